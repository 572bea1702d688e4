"""Deletes evidence whose time at the port is over, in steps that a kill may end anywhere.

    over for every use, none held ─► deleted_evidence + doomed, one commit ─► file removed ─► no longer doomed

Everything runs on the store's one writer: no event that names the same evidence again comes in between.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from edge_agent.domain.clock import Clock
from edge_agent.domain.counted import counted
from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.retention import EvidenceRules, Standing
from port_gateway.evidence import EvidenceFiles
from port_gateway.moments import DAY_US, UNDATED_US
from port_gateway.retention_index import OTHER_KIND, days_of
from port_gateway.store import Store

log = logging.getLogger(__name__)

# One step's pieces: acknowledgements wait for a step.
STEP = 32
DATED = 2_000
UNNAMED_DAYS = 90
_CLASSES = [(kind, standing) for kind in (*map(str, EvidenceKind), OTHER_KIND) for standing in Standing]
_FIRST = -(2**62), b""
# What a booth says that it deleted, and nobody has looked at; and what is to be removed.
_SAID = (
    "SELECT sha256 FROM doomed_evidence d WHERE EXISTS (SELECT 1 FROM evidence_use u WHERE u.sha256 = d.sha256) LIMIT ?"
)
# An alarm or a hold that came since.
_KEPT_BY = (
    "SELECT 1 FROM evidence_use u WHERE sha256 = ? AND (standing > 0 OR EXISTS"
    " (SELECT 1 FROM legal_hold h WHERE h.inspection_id = u.inspection_id)) LIMIT 1"
)
_DOOMED = _SAID.replace("EXISTS", "NOT EXISTS")


@dataclass(frozen=True, slots=True)
class Over:
    """A piece of evidence whose time is over."""

    sha256: bytes
    kind: str
    standing: Standing
    size: int
    inspections: tuple[str, ...]


class Retention:
    """Over an open store and its folder of evidence. Blocks: use it from a thread."""

    def __init__(self, store: Store, files: EvidenceFiles, rules: EvidenceRules, clock: Clock) -> None:
        self._store, self._files, self._rules, self._clock = store, files, rules, clock
        self._looked_back = False
        self._looked_us = self._whole_us = 0
        # How far each class was looked through since `_whole_us`: nobody looks for what has not arrived at every turn.
        self._looked_through: dict[tuple[str, Standing], tuple[int, bytes]] = {}

    def run(self) -> Iterator[int]:
        """Delete all that is over; after each step the number of pieces that it deleted. Raises what the store does."""
        if not self._looked_back:  # a folder is put back while no gateway runs; a year has deleted millions
            self._resurrected()
            self._looked_back = True
        self.settle()
        while self._bury():
            pass
        self._date()
        yield from self._unnamed()
        if abs(self._now_us() - self._whole_us) >= DAY_US:  # what came late, or was held
            self._whole_us, self._looked_through = self._now_us(), {}
        for kind, standing in _CLASSES:
            if (keep := days_of(self._rules, kind, standing)) is not None:
                yield from self._run_class(kind, standing, self._now_us() - round(keep * DAY_US))

    def settle(self) -> None:
        """Look at what booths say that they deleted: no file goes by a booth's word, and what is here was not deleted
        before it was offered. Raises what the store does.
        """
        here = Counter[str]()

        def write(db: apsw.Connection) -> int:
            rows: list[tuple[Any, ...]] = db.execute(_SAID, (STEP,)).fetchall()
            for (sha256,) in rows:
                complete = self._files.complete(sha256)
                if complete:
                    booth = db.execute("SELECT booth_id FROM evidence_use WHERE sha256 = ?", (sha256,)).get
                    here[str(booth)] += 1
                if complete or db.execute(_KEPT_BY, (sha256,)).get is not None:
                    db.execute("DELETE FROM deleted_evidence WHERE sha256 = ? AND place = 'booth'", (sha256,))
                else:
                    db.execute("DELETE FROM evidence_use WHERE sha256 = ?", (sha256,))
                db.execute("DELETE FROM doomed_evidence WHERE sha256 = ?", (sha256,))
            return len(rows)

        while self._any(_SAID) and self._store.submit(write).result():
            pass
        for booth_id, count in here.items():
            log.warning(
                "%s called %s deleted before it was offered, and what came nevertheless stays. "
                "Ask whether its key is its own",
                booth_id,
                counted(count, "piece of evidence"),
            )

    def _unnamed(self) -> Iterator[int]:
        """Once a day: files that no event has named for as long as a booth may be cut off."""
        now = self._now_us()
        if abs(now - self._looked_us) < DAY_US:
            return
        self._looked_us = now
        named = "SELECT 1 FROM evidence_ref WHERE sha256 = ?1 UNION SELECT 1 FROM evidence_use WHERE sha256 = ?1"

        def write(db: apsw.Connection, sha256: bytes) -> int:
            if db.execute(named, (sha256,)).get is not None:
                return 0
            self._files.remove(sha256)
            return 1

        for sha256 in self._files.since_before(now / 1e6 - UNNAMED_DAYS * 86_400):
            with self._store.reading() as db:
                if db.execute(named, (sha256,)).get is not None:
                    continue
            yield self._store.submit(lambda db, one=sha256: write(db, one)).result()  # type: ignore[misc]

    def undate(self, since_us: int) -> None:
        """The clock was set: what is dated from `since_us` on counts from when a clock is believed again."""
        self._redate(f"received_utc_us >= {since_us} AND received_utc_us < {UNDATED_US}", UNDATED_US)

    def _date(self) -> None:
        """The clock is believed: what came while it was not counts from now on."""
        self._redate(f"received_utc_us = {UNDATED_US}", self._now_us())

    def _redate(self, which: str, to_us: int) -> None:
        for kind, standing in _CLASSES:
            some = f"FROM evidence_use WHERE kind = ? AND standing = ? AND {which} LIMIT ?"
            query = f"SELECT sha256, booth_id, inspection_id {some}"
            work = (
                f"UPDATE evidence_use SET received_utc_us = {to_us}"  # noqa: S608 - own numbers
                f" WHERE (sha256, booth_id, inspection_id) IN ({query})"
            )
            chosen = kind, int(standing), DATED

            def write(db: apsw.Connection, work: str = work, chosen: tuple[str, int, int] = chosen) -> int:
                db.execute(work, chosen)
                return db.changes()

            while self._any(query, *chosen) and self._store.submit(write).result():
                pass

    def over(self) -> Iterator[Over]:
        """What `run` would delete now; nothing is changed."""
        now = self._now_us()
        seen: set[bytes] = set()
        for kind, standing in _CLASSES:
            keep = days_of(self._rules, kind, standing)
            rows = () if keep is None else self._rows(kind, standing, now - round(keep * DAY_US), _FIRST)
            for _, sha256 in rows:
                if sha256 in seen or not self._files.complete(sha256):
                    continue
                with self._store.reading() as db:
                    piece = _if_over(db, sha256, self._rules, now)
                if piece is not None:
                    seen.add(sha256)
                    yield piece

    def _run_class(self, kind: str, standing: Standing, before_us: int) -> Iterator[int]:
        """What has not arrived cannot be deleted."""
        batch: list[bytes] = []
        place = after = self._looked_through.get((kind, standing), _FIRST)
        for place in self._rows(kind, standing, before_us, after):
            if self._files.complete(place[1]):
                batch.append(place[1])
            if len(batch) == STEP:
                yield self._delete(batch)
                batch = []
        if batch:
            yield self._delete(batch)
        self._looked_through[kind, standing] = place

    def _rows(
        self, kind: str, standing: Standing, before_us: int, after: tuple[int, bytes]
    ) -> Iterator[tuple[int, bytes]]:
        """When each piece of this class came, and its digest. Pages, so that no reader stays open."""
        while True:
            with self._store.reading() as db:
                rows: list[tuple[Any, ...]] = db.execute(
                    "SELECT received_utc_us, sha256 FROM evidence_use WHERE kind = ? AND standing = ?"
                    " AND received_utc_us <= ? AND (received_utc_us, sha256) > (?, ?)"
                    " ORDER BY received_utc_us, sha256 LIMIT 256",
                    (kind, int(standing), before_us, *after),
                ).fetchall()
            if not rows:
                return
            for received, sha256 in rows:
                after = int(received), bytes(sha256)
                yield after

    def _delete(self, digests: Sequence[bytes]) -> int:
        now = self._now_us()

        def write(db: apsw.Connection) -> int:
            pieces = [
                piece
                for sha256 in dict.fromkeys(digests)
                if (piece := _if_over(db, sha256, self._rules, now)) is not None
            ]
            for piece in pieces:
                days = days_of(self._rules, piece.kind, piece.standing)
                kept = counted(days or 0, "day", form="g")
                rule = f"{piece.kind} with standing {piece.standing.name.lower()} is kept for {kept}"
                db.execute(
                    "INSERT OR REPLACE INTO deleted_evidence VALUES (?,?,'port',?,?,?)",
                    (piece.sha256, now, rule, piece.kind, piece.size),
                )
                db.execute("INSERT OR IGNORE INTO doomed_evidence VALUES (?)", (piece.sha256,))
                db.execute("DELETE FROM evidence_use WHERE sha256 = ?", (piece.sha256,))
            return len(pieces)

        count = self._store.submit(write).result()
        while self._bury():
            pass
        return count

    def _bury(self) -> bool:
        """Remove the files of a few deleted pieces; whether there were any."""

        def write(db: apsw.Connection) -> int:
            rows: list[tuple[Any, ...]] = db.execute(_DOOMED, (STEP,)).fetchall()
            doomed = [bytes(row[0]) for row in rows]
            for sha256 in doomed:
                self._files.remove(sha256)
            db.executemany("DELETE FROM doomed_evidence WHERE sha256 = ?", [(sha256,) for sha256 in doomed])
            return len(doomed)

        return self._any(_DOOMED) and bool(self._store.submit(write).result())

    def _any(self, query: str, *values: str | int) -> bool:
        with self._store.reading() as db:
            return db.execute(query, values or (1,)).get is not None

    def _resurrected(self) -> None:
        """Files that a restored folder of evidence brought back go again."""
        after = b""
        while True:
            with self._store.reading() as db:
                rows: list[tuple[Any, ...]] = db.execute(
                    "SELECT sha256 FROM deleted_evidence d WHERE sha256 > ? AND NOT EXISTS"
                    " (SELECT 1 FROM evidence_use u WHERE u.sha256 = d.sha256) ORDER BY sha256 LIMIT 256",
                    (after,),
                ).fetchall()
            if not rows:
                return
            after = bytes(rows[-1][0])
            back = [(bytes(row[0]),) for row in rows if self._files.complete(bytes(row[0]))]
            if back:
                self._store.submit(_doom(back)).result()

    def _now_us(self) -> int:
        return round(self._clock.now().utc.timestamp() * 1e6)


def _doom(digests: Sequence[tuple[bytes]]) -> Callable[[apsw.Connection], None]:
    def write(db: apsw.Connection) -> None:
        db.executemany("INSERT OR IGNORE INTO doomed_evidence VALUES (?)", digests)

    return write


def _if_over(db: apsw.Connection, sha256: bytes, rules: EvidenceRules, now_us: int) -> Over | None:
    """The piece, if its time is over for every inspection that named it and none of them is held."""
    uses: list[tuple[Any, ...]] = db.execute(
        "SELECT kind, standing, size, inspection_id, received_utc_us,"
        " EXISTS (SELECT 1 FROM legal_hold h WHERE h.inspection_id = u.inspection_id)"
        " FROM evidence_use u WHERE sha256 = ?",
        (sha256,),
    ).fetchall()
    for kind, standing, _, _, received, held in uses:
        days = days_of(rules, kind, Standing(standing))
        if held or days is None or received + round(days * DAY_US) > now_us:
            return None
    if not uses:
        return None
    kind, standing, size, _, _, _ = max(uses, key=lambda use: use[1])
    return Over(sha256, kind, Standing(standing), size, tuple(sorted({use[3] for use in uses} - {""})))
