"""Compares entries of the watch list that are new with vehicles that have passed already.

    watchlist add … --since DAY ─► every InspectionClosed that came since ─► hit ─► PortFindings for its booth

Beside a running gateway: events are read in pages, and what fits is written in transactions of its own. A vehicle that
is let in meanwhile is compared by the gateway; the same hit counts once.
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
            rows = db.execute(
                "SELECT cursor, booth_id, envelope, received_utc_us FROM event e WHERE cursor > ?"
                " AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.cursor = e.cursor AND q.released_cursor IS NULL)"
                " ORDER BY cursor LIMIT ?",
                (after, _PAGE),
            ).fetchall()
            if not rows:
                return result
            after = int(str(rows[-1][0]))
            closed = [
                (str(booth), event)
                for _, booth, envelope, received in rows
                if int(str(received)) >= since_us and (event := _closed(envelope)) is not None
            ]
            result.inspections += len(closed)
            near = [(booth, event) for booth, event in closed if fits(db, event, now_us, wanted)]
        for booth_id, event in near:
            if result.found >= MAX_FOUND:
                result.whole = False
                return result
            result.found += store.submit(_comparing(booth_id, event, now_us, wanted)).result()


def _first_since(store: Store, since_us: int) -> int:
    """A cursor before the first event that came since. Cursors rise with time, but for a clock that was set: two days
    before are looked through, too.
    """
    with store.reading() as db:
        last = db.execute("SELECT coalesce(max(cursor), 0) FROM event").get
        low, high = 0, int(str(last))
        while low < high:
            middle = (low + high) // 2
            came = db.execute(
                "SELECT received_utc_us FROM event WHERE cursor > ? ORDER BY cursor LIMIT 1", (middle,)
            ).get
            if isinstance(came, int) and came < since_us - 2 * DAY_US:
                low = middle + 1
            else:
                high = middle
    return low


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
