"""`port-gateway watchlist add|import|list|remove|hits|changes`, `decide` and `decisions`."""

import argparse
import contextlib
import getpass
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import apsw

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.counted import counted
from edge_agent.domain.finding import Decision, Recommendation, Severity
from edge_agent.wire.identity import identity_of, load_certificate
from port_gateway.config import Settings, read_config
from port_gateway.decisions import Decided, decide, read_decisions
from port_gateway.entry_files import FORMATS
from port_gateway.findings_command.files import entries, entry_of
from port_gateway.look_back import MAX_DAYS, MAX_FOUND, LookedBack, checked_since, look_back
from port_gateway.moments import moment
from port_gateway.store import Store, offline
from port_gateway.trust_command.cli import OK, add_config, show
from port_gateway.watch_list import KINDS, Entry, note_watch_change, put, read_list, remove

T = TypeVar("T")
NOT_THERE = 1
COMMIT_S = 60.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def add_watchlist(parser: argparse.ArgumentParser) -> None:
    """Adds the commands. All that change the list work at once on a running gateway."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser(
        "add",
        help="watch for one plate, container, seal or tag",
        description="Watch for one identifier. Every inspection that closes from now on is compared with it, here at "
        "the port; its booth is told TEXT and nothing else of the list. One with the same id is replaced.",
    )
    add_config(add)
    add.add_argument("kind", choices=KINDS, metavar="KIND", help="plate, container_code, seal or tag")
    add.add_argument("text", metavar="IDENTIFIER", help="as written; separators and case do not matter")
    add.add_argument("--tell", required=True, metavar="TEXT", help="what the officer is told, one line")
    add.add_argument("--id", default="", metavar="ID", help="your own reference (default: one is drawn)")
    add.add_argument("--severity", choices=tuple(map(str, Severity)), default=Severity.ALARM)
    add.add_argument("--recommends", choices=tuple(map(str, Recommendation)), default=Recommendation.HOLD)
    add.add_argument("--until", default="", metavar="TIME", help="watch no longer, e.g. 2026-12-31T00:00+00:00")
    _add_since(add)
    add.add_argument("--json", action="store_true", help="print a JSON object")
    add.set_defaults(run=_add)

    given = commands.add_parser(
        "import",
        help="watch for all that a CSV or JSON file names, or for none of it",
        description="Columns or fields: kind, text, tell, and if wanted id, severity, recommends, until.",
    )
    add_config(given)
    given.add_argument("file", type=Path, metavar="FILE", help="UTF-8, at most 100,000 entries")
    given.add_argument("--format", choices=FORMATS, default="", help="by default the file's name says it")
    _add_since(given)
    given.add_argument("--json", action="store_true", help="print a JSON object")
    given.set_defaults(run=_import)

    every = commands.add_parser("list", help="what is watched for; whoever reads this terminal sees it")
    add_config(every)
    every.add_argument("--json", action="store_true", help="print one JSON object an entry")
    every.set_defaults(run=_list)

    out = commands.add_parser("remove", help="watch for these no longer; status 1 if one was not there")
    add_config(out)
    out.add_argument("ids", nargs="+", metavar="ID", help="as `list` names them")
    out.add_argument("--json", action="store_true", help="print a JSON object")
    out.set_defaults(run=_remove)

    hits = commands.add_parser("hits", help="inspections that fitted an entry, and whether their booth was told")
    add_config(hits)
    hits.add_argument("--json", action="store_true", help="print one JSON object a hit")
    hits.set_defaults(run=_hits)

    changes = commands.add_parser("changes", help="who changed the list, newest first")
    add_config(changes)
    changes.add_argument("--json", action="store_true", help="print one JSON object a change")
    changes.set_defaults(run=_changes)


def _add_since(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since",
        type=_day,
        metavar="DAY",
        help=f"compare also with vehicles that passed since then, {MAX_DAYS} days back at the most, e.g. 2026-11-01",
    )


def _day(text: str) -> datetime:
    """A day or a time; without an offset, UTC. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def add_decide(parser: argparse.ArgumentParser) -> None:
    """An officer's decision."""
    add_config(parser)
    parser.add_argument("inspection", metavar="INSPECTION", help="its id, as `tail` shows it")
    parser.add_argument(
        "decision", choices=tuple(map(str, Decision)), metavar="DECISION", help="release, refer or hold"
    )
    parser.add_argument("--officer", required=True, metavar="NAME", help="who decides, one line of at most 100 bytes")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why, one line of at most 1,000 bytes")
    parser.add_argument("--booth", default="", metavar="BOOTH", help="where several booths name this inspection")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.set_defaults(run=_decide)


def add_decisions(parser: argparse.ArgumentParser) -> None:
    """What was decided, and whether the booths' chains hold it."""
    add_config(parser)
    parser.add_argument("inspection", nargs="?", default="", metavar="INSPECTION", help="only of this one")
    parser.add_argument("--pending", action="store_true", help="only what no booth's chain holds yet")
    parser.add_argument("--json", action="store_true", help="print one JSON object a decision")
    parser.set_defaults(run=_decisions)


# --- watchlist --------------------------------------------------------------------------------------------------------
def _add(options: argparse.Namespace) -> int:
    values: dict[str, object] = {name: getattr(options, name) for name in ("kind", "text", "tell", "id", "until")}
    values |= {"severity": str(options.severity), "recommends": str(options.recommends)}
    return _put(options, [entry_of(values)], "added")


def _import(options: argparse.Namespace) -> int:
    found = entries(options.file, options.format, _now_us())
    return _put(options, found, f"imported {options.file.name}, {counted(len(found), 'entry', 'entries')}:")


def _put(options: argparse.Namespace, found: list[Entry], what: str) -> int:
    ids = ", ".join(entry.id for entry in found[:20]) + (", …" if len(found) > 20 else "")
    settings, now_us = read_config(options.config), _now_us()
    since_us = None if options.since is None else checked_since(round(options.since.timestamp() * 1e6), now_us)
    _write(settings, lambda db: put(db, found, _who(), f"{what} {ids}", now_us))
    facts: dict[str, object] = {"put": len(found), "ids": [entry.id for entry in found]}
    text = f"watching for {len(found)}: {ids}"
    if since_us is not None:
        past = _look_back(settings, [entry.id for entry in found], since_us)
        facts |= {"past": asdict(past)}
        ended = "" if past.whole else f"; ended there: more than {MAX_FOUND} fit, look at these entries again"
        compared = f"{counted(past.inspections, 'vehicle')} since then compared"
        text += f"; {compared}, {counted(past.found, 'hit')} (`watchlist hits`){ended}"
    show(facts, options.json, text)
    return OK


def _look_back(settings: Settings, ids: list[str], since_us: int) -> LookedBack:
    now_us = _now_us()
    with contextlib.closing(Store(settings.database)) as store:
        past = look_back(store, ids, since_us, now_us)
        counts = f"{counted(past.inspections, 'inspection')}, {counted(past.found, 'hit')}"
        words = f"looked back to {moment(since_us)}: {counts}"
        store.submit(lambda db: note_watch_change(db, _who(), words, now_us)).result(COMMIT_S)
    return past


def _list(options: argparse.Namespace) -> int:
    nothing = True
    with offline(read_config(options.config).database) as db:
        for one in read_list(db):
            until = None if one.until_utc_us is None else _at(one.until_utc_us).isoformat()
            facts: dict[str, str | None] = {"id": one.id, "kind": one.kind, "text": one.text, "tell": one.tell}
            facts |= {"severity": one.severity.value, "recommends": one.recommends.value, "until": until}
            ends = f", until {until}" if until else ""
            line = f"{one.id}  {one.kind} {one.text}  {one.severity}, {one.recommends}{ends}: {one.tell}"
            show(facts, options.json, line)
            nothing = False
    if nothing and not options.json:
        show({}, False, "nothing is watched for")
    return OK


def _remove(options: argparse.Namespace) -> int:
    unknown = _write(read_config(options.config), lambda db: remove(db, options.ids, _who(), _now_us()))
    gone = len(options.ids) - len(unknown)
    text = f"removed {gone}" + (f"; not there: {', '.join(unknown)}" if unknown else "")
    show({"removed": gone, "unknown": unknown}, options.json, text)
    return NOT_THERE if unknown else OK


def _hits(options: argparse.Namespace) -> int:
    with offline(read_config(options.config).database) as db:
        rows = db.execute(
            "SELECT booth_id, inspection_id, id, near, found_utc_us, chained_seq FROM watch_list_hit"
            " ORDER BY found_utc_us"
        ).fetchall()
    for booth, inspection, entry, near, at, chained in rows:
        state = "pending" if chained is None else "chained"
        facts = {"booth_id": booth, "inspection_id": inspection, "entry": entry, "near": bool(near), "state": state}
        facts |= {"found": _at(int(str(at))).isoformat(), "chained_seq": chained}
        near_word = ", one character differs" if near else ""
        show(
            facts, options.json, f"{_at(int(str(at))):%Y-%m-%d %H:%M:%S} UTC  {inspection}  {entry}{near_word}  {state}"
        )
    if not rows and not options.json:
        show({}, False, "nothing that closed was watched for")
    return OK


def _changes(options: argparse.Namespace) -> int:
    with offline(read_config(options.config).database) as db:
        rows = db.execute("SELECT at_utc_us, by_whom, what FROM watch_list_change ORDER BY number DESC").fetchall()
    for at, who, what in rows:
        when = _at(int(str(at)))
        facts = {"at": when.isoformat(), "who": who, "what": what}
        show(facts, options.json, f"{when:%Y-%m-%d %H:%M:%S} UTC  {who}  {what}")
    return OK


# --- decisions --------------------------------------------------------------------------------------------------------
def _decide(options: argparse.Namespace) -> int:
    settings = read_config(options.config)
    gateway = identity_of(load_certificate(settings.identity.certificate))

    def write(db: apsw.Connection) -> Decided:
        what = (options.inspection, Decision(options.decision), options.officer, options.reason)
        return decide(db, gateway, *what, _who(), _now_us(), options.booth)

    _show(_write(settings, write), options.json)
    return OK


def _decisions(options: argparse.Namespace) -> int:
    nothing = True
    with offline(read_config(options.config).database) as db:
        for decided in read_decisions(db, options.inspection, options.pending):
            _show(decided, options.json)
            nothing = False
    if nothing and not options.json:
        show({}, False, "nothing was decided")
    return OK


def _show(decided: Decided, as_json: bool) -> None:
    when = _at(decided.decided_utc_us)
    facts = {
        "inspection_id": decided.inspection_id,
        "booth_id": decided.booth_id,
        "decision": decided.decision,
        "officer": decided.officer,
        "reason": decided.reason,
        "by_whom": decided.by_whom,
        "decided": when.isoformat(),
        "state": decided.state,
        "chained_seq": decided.chained_seq,
    }
    place = "" if decided.chained_seq is None else f" at {decided.booth_id.rpartition('/')[2]} #{decided.chained_seq}"
    said = f"by {decided.officer} ({decided.by_whom}): {decided.reason}"
    if not decided.officer:
        said = "(by whom and why was deleted under retention)"
    what = f"{decided.inspection_id}  {decided.decision.upper()} {said}"
    line = f"{when:%Y-%m-%d %H:%M:%S} UTC  {what}  {decided.state}{place}"
    show(facts, as_json, line)


def _write(settings: Settings, work: Callable[[apsw.Connection], T]) -> T:
    """In one transaction of the inbox, whether or not a gateway runs."""
    with contextlib.closing(Store(settings.database)) as store:
        return store.submit(work).result(COMMIT_S)


def _now_us() -> int:
    return round(SystemClock().now().utc.timestamp() * 1e6)


def _at(utc_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=min(utc_us, 253_402_300_799_999_999))


def _who() -> str:
    try:
        return getpass.getuser()
    except OSError:  # an account without a name
        return str(os.getuid())
