"""Compares entries of the watch list that are new with vehicles that have passed already.

    watchlist add … --since DAY ─► every InspectionClosed that came since ─► hit ─► PortFindings for its booth

Beside a running gateway: events are read in pages, and what fits is written in transactions of its own. A vehicle that
is let in meanwhile is compared by the gateway; the same hit counts once. When an event came is what a believed clock
says (`event_kept`), not the clock of that moment: one that ran wrong for an hour must hide no vehicle.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import apsw
from google.protobuf.message import DecodeError

from edge_agent.domain.errors import Permanent
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.refused import Refused
from edge_agent.wire.v1alpha1.event_pb2 import Event
from port_gateway.moments import DAY_US, moment
from port_gateway.store import Store
from port_gateway.watch_list import compare, fits

MAX_DAYS = 90
# A list that fits everything stops there: its entries want a second look.
MAX_FOUND = 1_000
_PAGE = 256
# How far events were dated by a believed clock, from where on, and when it was believed last.
_KNOWN = ("events_looked", "events_before", "clock_believed_us")


@dataclass(slots=True)
class LookedBack:
    """`inspections` were compared, `found` of them fit; `whole` is False where it ended at MAX_FOUND."""

    inspections: int = 0
    found: int = 0
    whole: bool = True


def checked_since(since_us: int, now_us: int) -> int:
    """The time. Raises Permanent."""
    if not now_us - MAX_DAYS * DAY_US <= since_us <= now_us:
        raise Permanent(
            f"--since {moment(since_us)}: not within the last {MAX_DAYS} days",
            f"give a time from {moment(now_us - MAX_DAYS * DAY_US)} on",
        )
    return since_us


def look_back(store: Store, ids: Collection[str], since_us: int, now_us: int) -> LookedBack:
    """Compare these entries with all that closed since; what fits becomes a finding as if it had closed now."""
    result, wanted = LookedBack(), frozenset(ids)
    after = _first_since(store, since_us)
    while True:
        with store.reading() as db:
            looked, before, believed = (_meta(db, key) for key in _KNOWN)
            rows = db.execute(
                "SELECT e.cursor, e.booth_id, e.envelope,"
                " CASE WHEN e.cursor > ?1 AND k.cursor THEN k.since_utc_us"
                " WHEN e.cursor > ?2 THEN max(e.received_utc_us, ?3) ELSE e.received_utc_us END"
                " FROM event e LEFT JOIN event_kept k ON k.cursor = e.cursor WHERE e.cursor > ?4"
                " AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.cursor = e.cursor AND q.released_cursor IS NULL)"
                " ORDER BY e.cursor LIMIT ?5",
                (before, looked, believed, after, _PAGE),
            ).fetchall()
            if not rows:
                return result
            after = int(str(rows[-1][0]))
            closed = [
                (str(booth), event)
                for _, booth, envelope, came in rows
                if int(str(came)) >= since_us and (event := _closed(envelope)) is not None
            ]
            result.inspections += len(closed)
            near = [(booth, event) for booth, event in closed if fits(db, event, now_us, wanted)]
        for booth_id, event in near:
            if result.found >= MAX_FOUND:
                result.whole = False
                return result
            result.found += store.submit(_comparing(booth_id, event, now_us, wanted)).result()


def _first_since(store: Store, since_us: int) -> int:
    """A cursor before the first event that came since. Cursors rise with the times of `event_kept`; what came before
    that table rises with the clock's, but for one that was set: two days before are looked through, too.
    """
    some_days_before = since_us - 2 * DAY_US
    with store.reading() as db:
        looked, before, _ = (_meta(db, key) for key in _KNOWN)
        kept = "SELECT since_utc_us FROM event_kept WHERE cursor > ? ORDER BY cursor LIMIT 1"
        first = db.execute(kept, (before,)).get
        if before < looked and isinstance(first, int) and first < some_days_before:
            return _first(db, kept, before, looked, some_days_before)
        came = "SELECT received_utc_us FROM event WHERE cursor > ? ORDER BY cursor LIMIT 1"
        return _first(db, came, 0, before if looked else 0, some_days_before)


def _first(db: apsw.Connection, query: str, low: int, high: int, since_us: int) -> int:
    """The lowest cursor from `low` on behind which nothing came before `since_us`; at most `high`."""
    while low < high:
        middle = (low + high) // 2
        came = db.execute(query, (middle,)).get
        if isinstance(came, int) and came < since_us:
            low = middle + 1
        else:
            high = middle
    return low


def _meta(db: apsw.Connection, key: str) -> int:
    value = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).get
    return value if isinstance(value, int) else 0


def _closed(envelope: object) -> Event | None:
    if not isinstance(envelope, bytes) or not envelope:  # deleted under retention
        return None
    try:
        event = Event.FromString(read_envelope(envelope)[0])
    except (Refused, DecodeError):
        return None
    return event if event.WhichOneof("body") == "inspection_closed" else None


def _comparing(booth_id: str, event: Event, now_us: int, ids: frozenset[str]) -> Callable[[apsw.Connection], int]:
    def write(db: apsw.Connection) -> int:
        return compare(db, booth_id, event, now_us, ids)

    return write
