"""The end of receipts that witnesses cosigned, or an authority set its time on: of old ones a few stay.

    a month, all ─► then the last of each day ─► after 400 days the last of each 30

One goes when a later one of its chain and its day has the word of all who gave theirs on it: whatever quorum it had,
that one has, and its tree holds the same events at the same places. What changes is the time by which a pack shows its
events to have been seen. The newest of a chain stays.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import apsw

from edge_agent.domain.clock import Clock
from port_gateway.moments import DAY_US
from port_gateway.store import Store
from port_gateway.witnessed import Chain

ALL_DAYS = 30
DAILY_DAYS = 400
PERIOD_DAYS = 30
# One step's receipts: acknowledgements wait for a step.
STEP = 256


class _Kind(NamedTuple):
    """Where receipts are, where it stands who gave a word on them and when it was kept, and all that goes with one."""

    receipts: str
    words: str
    tables: tuple[str, ...]


_KINDS = (
    _Kind("witnessed", "witness, kept_utc_us FROM cosignature", ("cosignature", "witnessed")),
    _Kind("time_token", "hex(authority), kept_utc_us FROM time_token", ("time_token",)),
)
_PLACE = "booth_id = ? AND epoch = ? AND size = ?"


class _Receipt(NamedTuple):
    """How many events it covers, when a word on it was kept last by the gateway's clock, and whose there are."""

    size: int
    kept_us: int
    by: frozenset[str]


class EndOfReceipts:
    """Over an open store. Blocks: use it from a thread, and only while the clock is believed."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._looked_us = 0

    def run(self) -> Iterator[int]:
        """Once a day: remove what is over; after each step the number of receipts that went."""
        now = round(self._clock.now().utc.timestamp() * 1e6)
        if abs(now - self._looked_us) < DAY_US:
            return
        self._looked_us = now
        for kind in _KINDS:
            with self._store.reading() as db:
                rows = db.execute(f"SELECT DISTINCT booth_id, epoch FROM {kind.receipts}").fetchall()  # noqa: S608
            for booth_id, epoch in rows:
                if isinstance(epoch, bytes):
                    yield from self._thin(kind, (str(booth_id), epoch), now)

    def _thin(self, kind: _Kind, chain: Chain, now: int) -> Iterator[int]:
        stay: dict[int, list[frozenset[str]]] = {}
        over: list[int] = []
        for receipt in self._newest_first(kind, chain):
            period = _period(receipt.kept_us, now)
            if period is None:
                continue
            later = stay.setdefault(period, [])
            if any(receipt.by <= by for by in later):
                over.append(receipt.size)
            else:
                later.append(receipt.by)
            if len(over) == STEP:
                yield self._store.submit(_removing(kind, chain, over)).result()
                over = []
        if over:
            yield self._store.submit(_removing(kind, chain, over)).result()

    def _newest_first(self, kind: _Kind, chain: Chain) -> Iterator[_Receipt]:
        """Pages, so that no reader stays open."""
        query = f"SELECT size FROM {kind.receipts} WHERE booth_id = ? AND epoch = ? AND size < ?"  # noqa: S608
        below = 2**63 - 1
        while True:
            with self._store.reading() as db:
                sizes = db.execute(f"{query} ORDER BY size DESC LIMIT ?", (*chain, below, STEP)).fetchall()
                page = [_receipt(db, kind, chain, int(str(size))) for (size,) in sizes]
            if not page:
                return
            below = page[-1].size
            yield from page


def _receipt(db: apsw.Connection, kind: _Kind, chain: Chain, size: int) -> _Receipt:
    rows = db.execute(f"SELECT {kind.words} WHERE {_PLACE}", (*chain, size)).fetchall()
    return _Receipt(size, max((int(str(at)) for _, at in rows), default=0), frozenset(str(who) for who, _ in rows))


def _period(kept_us: int, now_us: int) -> int | None:
    """Which receipts one may stand for: those of the same number; None where all stay."""
    age, day = now_us - kept_us, kept_us // DAY_US
    if age <= ALL_DAYS * DAY_US:
        return None
    return day if age <= DAILY_DAYS * DAY_US else -1 - day // PERIOD_DAYS


def _removing(kind: _Kind, chain: Chain, sizes: list[int]) -> Callable[[apsw.Connection], int]:
    def write(db: apsw.Connection) -> int:
        for table in kind.tables:
            db.executemany(f"DELETE FROM {table} WHERE {_PLACE}", [(*chain, size) for size in sizes])  # noqa: S608
        return len(sizes)

    return write
