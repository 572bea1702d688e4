"""`port-gateway stats`: what lanes did, as a table, CSV, JSON or a plot."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import apsw

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import Permanent
from port_gateway.config import read_config
from port_gateway.lane_history import LENGTHS, LaneKey, Period, history, known_span, lanes_of, spans
from port_gateway.stats_command.table import write_csv, write_json, write_table
from port_gateway.store import offline
from port_gateway.trust_command.cli import OK, add_config

# What is shown without --from: as much as a person can read.
SHOWN = {"quarter": timedelta(hours=6), "hour": timedelta(days=1), "day": timedelta(days=31)}
# One picture of more would show nothing, and a table of more is for a program to read.
MAX_SPANS = 50_000
# A calendar ends at 9999, and a day, an hour and a zone are added to what is given.
FIRST_YEAR, LAST_YEAR = 1000, 9000
_FORMATS = {"table": write_table, "csv": write_csv, "json": write_json}


def add_stats(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_config(parser)
    parser.add_argument("--booth", default="", metavar="BOOTH", help="this booth: its id, or the id's last part")
    parser.add_argument("--lane", default="", metavar="LANE", help="lanes of this id within their booths")
    parser.add_argument("--from", dest="begin", type=_moment, metavar="WHEN", help="2026-01-15 or 2026-01-15T06:00")
    parser.add_argument("--to", dest="end", type=_moment, metavar="WHEN", help="up to that time, or through that day")
    parser.add_argument("--by", choices=tuple(LENGTHS), default="hour", help="length of a row (hour)")
    parser.add_argument(
        "--zone", type=_zone, default=ZoneInfo("UTC"), metavar="ZONE", help="e.g. America/Chicago (UTC)"
    )
    parser.add_argument("--together", action="store_true", help="the chosen lanes as one")
    parser.add_argument("--format", choices=tuple(_FORMATS), default="table", help="how it is written (table)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it: FILE ends in .png, .svg or .pdf")
    parser.set_defaults(run=_stats)


def _moment(text: str) -> date | datetime:
    try:
        moment = date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no date and no time; give 2026-01-15 or 2026-01-15T06:00"
        ) from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise argparse.ArgumentTypeError(f"{text!r}: give a time in the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise argparse.ArgumentTypeError(f"{name!r} is no time zone; give one like America/Chicago, or UTC") from None


def _stats(options: argparse.Namespace) -> int:
    with offline(read_config(options.config).database) as db:
        periods = _periods(db, options, SystemClock().now().utc)
    if options.plot is not None:
        from port_gateway.stats_command.plot import draw, save

        save(draw(periods, options.by, options.zone), options.plot)
    _FORMATS[options.format](periods, options.by, sys.stdout)
    return OK


def _periods(db: apsw.Connection, options: argparse.Namespace, now: datetime) -> list[list[Period]]:
    """Of each lane (or of all together) the periods, in order."""
    lanes = lanes_of(db, options.booth, options.lane)
    # A clock that runs ahead at one booth hides no other booth's day.
    known = known_span(db, lanes, now) or known_span(db, lanes)
    if known is None:
        return _nothing(db, options)
    begin, end = _bounds(options, known)
    chosen = list(islice(spans(begin, end, options.by, options.zone), MAX_SPANS + 1))
    groups: Sequence[Sequence[LaneKey]] = [lanes] if options.together else [[lane] for lane in lanes]
    if len(chosen) * len(groups) > MAX_SPANS:
        raise Permanent(
            f"too many rows for {len(groups)} lanes: at most {MAX_SPANS} in all",
            "choose fewer with --from and --to, --lane, or a longer --by",
        )
    devices = options.format == "json"
    return [[history(db, group, span, now, devices=devices) for span in chosen] for group in groups]


def _nothing(db: apsw.Connection, options: argparse.Namespace) -> list[list[Period]]:
    names = ", ".join(f"{lane.booth_id} lane {lane.lane_id}" for lane in lanes_of(db)[:20])
    if names:
        raise Permanent(f"nothing is known of booth {options.booth!r} lane {options.lane!r}", f"known are: {names}")
    raise Permanent(
        "no booth has sent statistics yet", "booths send them at each quarter of an hour, from this version on"
    )


def _bounds(options: argparse.Namespace, known: tuple[int, int]) -> tuple[datetime, datetime]:
    zone: ZoneInfo = options.zone
    first, last = (datetime.fromtimestamp(moment, UTC) for moment in known)
    end = last if options.end is None else _local(options.end, zone, through=True)
    begin = max(first, end - SHOWN[options.by]) if options.begin is None else _local(options.begin, zone)
    if begin >= end and options.begin is None:
        raise Permanent(
            f"nothing is known before --to {end:%Y-%m-%dT%H:%M%z}", f"give a time after {first:%Y-%m-%dT%H:%M%z}"
        )
    if begin >= end and options.end is None:
        raise Permanent(
            f"nothing is known after --from {begin:%Y-%m-%dT%H:%M%z}", f"give a time before {last:%Y-%m-%dT%H:%M%z}"
        )
    if begin >= end:
        raise Permanent(f"--from {begin:%Y-%m-%dT%H:%M%z} is not before --to {end:%Y-%m-%dT%H:%M%z}", "turn them round")
    return begin, end


def _local(moment: date | datetime, zone: ZoneInfo, through: bool = False) -> datetime:
    """A time without an offset is one of the zone's; a day ends with itself."""
    if isinstance(moment, datetime):
        return moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return datetime.combine(moment + timedelta(days=1) if through else moment, time(), zone)
