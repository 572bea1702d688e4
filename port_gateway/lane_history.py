"""What lanes did over hours and days: the rows of lane_quarters.py added up.

All figures add: counts and sums by SQL, histograms bin by bin. A quantile comes from the summed histogram, within
QUANTILE_ERROR (domain/statistics.py) of the true one.
"""

import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import apsw

from edge_agent.domain.inspection import Expected, MissingReason
from edge_agent.domain.statistics import QUARTER_S, Confidences, Durations
from port_gateway.lane_quarters import CODES, DWELL, GAP, PLATES, SERVICE, missing_of, reads_of, times_of, unpacked

_SUM = struct.Struct("<HQ")
_EVER = datetime(9999, 1, 1, tzinfo=UTC)
LENGTHS = {"quarter": timedelta(seconds=QUARTER_S), "hour": timedelta(hours=1), "day": timedelta(days=1)}


@dataclass(frozen=True, slots=True)
class LaneKey:
    """A lane of the port; `number` is its own in the tables."""

    number: int
    booth_id: str
    lane_id: str

    @property
    def name(self) -> str:
        """For people: the booth's name, and the lane's if it is another."""
        booth = self.booth_id.rpartition("/")[2]
        return booth if booth == self.lane_id else f"{booth}/{self.lane_id}"


@dataclass(frozen=True, slots=True)
class Span:
    """One period: local hours and days are as long as they are, 23 to 25 hours when clocks change."""

    begin: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        return self.end.timestamp() - self.begin.timestamp()


@dataclass(frozen=True, slots=True)
class Period:
    """A lane, or several together, in one span. `due_s`: what there was to be covered, up to now."""

    lanes: tuple[LaneKey, ...]
    span: Span
    due_s: float
    covered_s: float = 0.0
    unsynced_s: float = 0.0
    clock_set: int = 0
    arrived: int = 0
    complete: int = 0
    incomplete: int = 0
    abandoned: int = 0
    dwell: Durations = field(default_factory=Durations)
    gap: Durations = field(default_factory=Durations)
    service: Durations = field(default_factory=Durations)
    gamma_alarms: int = 0
    neutron_alarms: int = 0
    unassigned: int = 0
    up_s: float = 0.0
    down_s: float = 0.0
    unknown_s: float = 0.0
    plates: Confidences = field(default_factory=Confidences)
    codes: Confidences = field(default_factory=Confidences)
    missing: Mapping[tuple[Expected, MissingReason], int] = field(default_factory=dict)
    devices: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

    @property
    def vehicles(self) -> int:
        return self.complete + self.incomplete + self.abandoned

    @property
    def coverage(self) -> float:
        """Of the time that there was, the share of which anything is known."""
        return min(1.0, self.covered_s / self.due_s) if self.due_s else 0.0

    @property
    def complete_share(self) -> float | None:
        return self.complete / self.vehicles if self.vehicles else None

    @property
    def queued_share(self) -> float | None:
        """Of the vehicles that left, those that had come right behind the one before."""
        return min(1.0, self.service.count / self.vehicles) if self.vehicles else None

    @property
    def availability(self) -> float | None:
        """Of the devices' time, the share in which they could be relied on; what is not known counts for neither."""
        known = self.up_s + self.down_s
        return self.up_s / known if known else None


def lanes_of(db: apsw.Connection, booth: str = "", lane: str = "") -> list[LaneKey]:
    """The lanes of which anything is known; `booth` by its id or its last part."""
    rows = db.execute("SELECT id, booth_id, lane_id FROM lane")
    every = [LaneKey(int(str(n)), str(booth_id), str(lane_id)) for n, booth_id, lane_id in rows]
    every.sort(key=lambda one: (_counting(one.booth_id), _counting(one.lane_id)))
    chosen = [one for one in every if booth in ("", one.booth_id, one.booth_id.rpartition("/")[2])]
    return [one for one in chosen if lane in ("", one.lane_id)]


def _counting(name: str) -> list[tuple[int, str]]:
    """Lane 2 stands before lane 10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"([0-9]+)", name)]


def known_span(db: apsw.Connection, lanes: Sequence[LaneKey], until: datetime = _EVER) -> tuple[int, int] | None:
    """From the first to the end of the last quarter that is kept and begins by `until`, in seconds since 1970."""
    query = "SELECT min(quarter_s), max(quarter_s) FROM lane_quarter WHERE lane = ? AND quarter_s <= ?"
    found = [db.execute(query, (one.number, int(until.timestamp()))).fetchone() for one in lanes]
    times = [(int(str(one[0])), int(str(one[1]))) for one in found if one is not None and one[0] is not None]
    return (min(first for first, _ in times), max(last for _, last in times) + QUARTER_S) if times else None


def spans(begin: datetime, end: datetime, by: str, zone: ZoneInfo) -> Iterator[Span]:
    """Quarters, hours or days of this zone that meet the time from `begin` to `end`."""
    length = LENGTHS[by]
    local = begin.astimezone(zone).replace(second=0, microsecond=0)
    if by == "day":
        start = local.replace(hour=0, minute=0)
    else:
        start = local - timedelta(minutes=local.minute % (length.seconds // 60))
    while start < end:
        after = _later(start, length, by, zone)
        yield Span(start, after)
        start = after


def _later(start: datetime, length: timedelta, by: str, zone: ZoneInfo) -> datetime:
    """Days by the calendar, all else by the time that passes."""
    if by == "day":
        return start + length  # the same wall time of the next day
    return datetime.fromtimestamp(start.timestamp() + length.total_seconds(), zone)


def history(
    db: apsw.Connection, lanes: Sequence[LaneKey], span: Span, now: datetime, *, devices: bool = False
) -> Period:
    """These lanes together in one span."""
    db.create_aggregate_function("merged", _merging)
    due_s = max(0.0, min(span.end.timestamp(), now.timestamp()) - span.begin.timestamp()) * len(lanes)
    marks = ",".join("?" * len(lanes))
    where = f"FROM lane_quarter WHERE lane IN ({marks}) AND quarter_s >= ? AND quarter_s < ?"
    bounds = (*(one.number for one in lanes), int(span.begin.timestamp()), int(span.end.timestamp()))
    row: Any = db.execute(f"SELECT {_SUMS} {where}", bounds).fetchone()
    if row is None or row[0] is None:
        return Period(tuple(lanes), span, due_s)
    counts = dict(_SUM.iter_unpack(row[-1]))
    dwell, gap, service = row[len(_COUNTED) : len(_COUNTED) + 3], row[-7:-4], row[-4:-1]
    return Period(
        lanes=tuple(lanes),
        span=span,
        due_s=due_s,
        **dict(zip(_COUNTED, row, strict=False)),
        dwell=times_of(counts, DWELL, dwell),
        gap=times_of(counts, GAP, gap),
        service=times_of(counts, SERVICE, service),
        plates=reads_of(counts, PLATES),
        codes=reads_of(counts, CODES),
        missing=missing_of(counts),
        devices=_devices(db.execute(f"SELECT devices {where}", bounds)) if devices else {},
    )


_COUNTED = (
    *("covered_s", "unsynced_s", "clock_set", "arrived", "complete", "incomplete", "abandoned", "gamma_alarms"),
    *("neutron_alarms", "unassigned", "up_s", "down_s", "unknown_s"),
)
_TIMES = ("dwell", "gap", "service")
_SUMS = ", ".join(
    (
        *(f"sum({name})" for name in _COUNTED),
        *(f"sum({name}_sum_s), min({name}_min_s), max({name}_max_s)" for name in _TIMES),
        "merged(counts)",
    )
)


def _merging() -> tuple[dict[int, int], Any, Any]:
    """An aggregate for SQL: counts by place, added up."""
    return {}, _add, _added


def _add(sums: dict[int, int], *values: object) -> None:
    for blob in values:
        for place, count in unpacked(blob if isinstance(blob, bytes) else b""):
            sums[place] = sums.get(place, 0) + count


def _added(sums: dict[int, int]) -> bytes:
    return b"".join(_SUM.pack(place, count) for place, count in sums.items())


def _devices(rows: Iterator[tuple[object, ...]]) -> dict[str, tuple[float, float, float]]:
    found: dict[str, tuple[float, float, float]] = {}
    for (text,) in rows:
        for device, *times in json.loads(str(text)):
            up, down, unknown = found.get(device, (0.0, 0.0, 0.0))
            found[device] = (up + times[0], down + times[1], unknown + times[2])
    return dict(sorted(found.items()))
