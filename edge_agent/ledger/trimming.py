"""What the ledger drops once the port has acknowledged it and its retention is over, in steps of a few rows.

Events go from the oldest end only, and only after an EventsTrimmed in the chain has said so. The head where the kept
ones begin stays noted, with the event that opened the session in force there: the rest verifies as before.
Ages are counted in `run_s`, seconds for which agents ran on this ledger: a clock that is set changes nothing.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import apsw

from edge_agent.domain.event import EventsTrimmed, StorageState
from edge_agent.domain.retention import BoothRetention, EvidenceDeleted
from edge_agent.ledger.by_class import to_delete
from edge_agent.ledger.database import transaction
from edge_agent.ledger.faults import sqlite_faults
from edge_agent.ledger.kept import Kept, read_kept
from edge_agent.ledger.shedding import to_shed

# One step's rows: about a millisecond, so that an event that comes meanwhile waits for no more than that.
STEP_EVENTS = 64
STEP_FILES = 8
# Acknowledgements within so many seconds share a row, with the latest one's age.
ACKNOWLEDGED_S = 60


class Retention:
    """Over the writer's connection, in its thread. Raises what Store's methods raise."""

    def __init__(self, database: apsw.Connection, path: Path, monotonic: Callable[[], float]) -> None:
        self._database, self._path = database, path
        self._monotonic, self._began = monotonic, monotonic()
        self._kept = read_kept(database)

    @property
    def run_s(self) -> int:
        """Seconds for which agents have run on this ledger, this run's included."""
        return self._kept.run_s + int(self._monotonic() - self._began)

    def acknowledged(self, through: int) -> None:
        """The port holds everything up to `through`, and no longer what it acknowledged beyond. In a transaction."""
        _note_acknowledged(self._database, through, self.run_s)

    def due(self, retention_s: float) -> EventsTrimmed | None:
        """What the chain must say before more can be trimmed, if more can."""
        with sqlite_faults(self._path):
            due = _due_through(self._database, self.run_s - math.ceil(retention_s))
        return EventsTrimmed(*due) if due is not None and due[0] > self._kept.announced_seq else None

    def announced(self, said: EventsTrimmed) -> None:
        """The chain says it durably: `trim` may go so far."""
        self._note("announced_seq = ?, announced_run_s = ?", said.through_seq, self.run_s)

    @property
    def announced_ago_s(self) -> float:
        """Since the last announcement; infinite before the first."""
        return self.run_s - self._kept.announced_run_s if self._kept.announced_seq else math.inf

    def note_time(self) -> None:
        """Note for how long agents ran, once a minute: what a kill takes from it is kept so much longer."""
        now = self._monotonic()
        if now - self._began >= ACKNOWLEDGED_S:
            self._note("run_s = run_s + ?", int(now - self._began))
            self._began = now

    def trim(self, retention_s: float) -> bool:
        """One step: a few of the announced events and a few pieces of evidence; whether any went."""
        if not self.trimmable(retention_s):
            return False
        before = self.run_s - math.ceil(retention_s)
        with sqlite_faults(self._path):
            with transaction(self._database):
                _trim_events(self._database, self._kept)
                _trim_blobs(self._database, self._kept, before)
            self._kept = read_kept(self._database)
        return True

    def trimmable(self, retention_s: float) -> bool:
        """Whether `trim` would find something."""
        with sqlite_faults(self._path):
            before = self.run_s - math.ceil(retention_s)
            return _any_events(self._database, self._kept) or _any_blobs(self._database, self._kept, before)

    def to_shed(self, state: StorageState) -> list[tuple[bytes, int]]:
        """Digests and sizes of the evidence that is to go next while the disk is in this state."""
        with sqlite_faults(self._path):
            return to_shed(self._database, state)

    def to_delete(self, rules: BoothRetention, retention_s: float) -> EvidenceDeleted | None:
        """What is to go before its event now, if anything is."""
        with sqlite_faults(self._path):
            return to_delete(self._database, rules, self._kept, retention_s, self.run_s)

    def own_bytes(self) -> int:
        """What the ledger and its evidence take."""
        with sqlite_faults(self._path):
            evidence = self._database.execute(
                "SELECT sum(size) FROM blob WHERE state IN ('kept', 'sent', 'waiting')"
            ).get
        files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists()) + (
            evidence if isinstance(evidence, int) else 0
        )

    def doomed(self) -> Sequence[bytes]:
        """The next few files of evidence that are to be removed."""
        with sqlite_faults(self._path):
            rows = self._database.execute("SELECT sha256 FROM doomed LIMIT ?", (STEP_FILES,)).fetchall()
        return [row[0] for row in cast("list[tuple[bytes]]", rows)]

    def buried(self, removed: Sequence[bytes]) -> None:
        """These files are gone."""
        with sqlite_faults(self._path), transaction(self._database):
            self._database.executemany("DELETE FROM doomed WHERE sha256 = ?", [(sha256,) for sha256 in removed])

    def _note(self, columns: str, *values: int) -> None:
        with sqlite_faults(self._path), transaction(self._database):
            self._database.execute(f"UPDATE kept SET {columns}", values)  # noqa: S608 - our own words
        self._kept = read_kept(self._database)


def _note_acknowledged(database: apsw.Connection, through: int, run_s: int) -> None:
    database.execute("DELETE FROM acknowledged WHERE through > ?", (through,))
    newest = "SELECT through, run_s FROM acknowledged ORDER BY through DESC LIMIT 1"
    last: list[tuple[Any, ...]] = database.execute(newest).fetchall()
    if last and last[0][0] == through:
        return  # a heartbeat
    if last and last[0][1] // ACKNOWLEDGED_S == run_s // ACKNOWLEDGED_S:
        database.execute(
            "UPDATE acknowledged SET through = ?, run_s = ? WHERE through = ?", (through, run_s, last[0][0])
        )
    else:
        database.execute("INSERT INTO acknowledged VALUES (?, ?)", (through, run_s))


def _due_through(database: apsw.Connection, before: int) -> tuple[Any, ...] | None:
    """The last event that may go, with its digest: acknowledged at a `run_s` of at most `before`.

    An inspection that is still open keeps its beginning, and all after it.
    """
    through = database.execute("SELECT max(through) FROM acknowledged WHERE run_s <= ?", (before,)).get
    if not isinstance(through, int):
        return None
    open_since = database.execute(
        "SELECT min(o.seq) FROM event o WHERE o.inspection_id <> '' AND o.kind = 'inspection_opened' AND o.seq <= ? "
        "AND NOT EXISTS (SELECT 1 FROM event c WHERE c.inspection_id <> '' AND c.kind = 'inspection_closed' "
        "AND c.inspection_id = o.inspection_id)",
        (through,),
    ).get
    if isinstance(open_since, int):
        through = min(through, open_since - 1)
    rows: list[tuple[Any, ...]] = database.execute("SELECT seq, sha256 FROM event WHERE seq = ?", (through,)).fetchall()
    return rows[0] if rows else None


_EVENTS = "FROM event WHERE seq <= ? ORDER BY seq LIMIT ?"
_SENT = "FROM blob WHERE state = 'sent' AND sent_run_s <= ? AND seq <= ? ORDER BY sent_run_s, position LIMIT ?"
_GONE = "FROM blob WHERE state IN ('lost', 'shed', 'deleted') AND seq <= ? LIMIT ?"


def _any_events(database: apsw.Connection, kept: Kept) -> bool:
    return bool(database.execute(f"SELECT seq {_EVENTS}", (_through(database, kept), 1)).fetchall())


def _through(database: apsw.Connection, kept: Kept) -> int:
    """The last that may go: announced, and still acknowledged; a port that went back needs the rest again."""
    acked = database.execute("SELECT max(acked_through) FROM cursor").get
    return min(kept.announced_seq, acked) if isinstance(acked, int) else 0


def _trim_events(database: apsw.Connection, kept: Kept) -> None:
    rows = database.execute(
        f"SELECT seq, sha256, iif(kind = 'session_opened', envelope, NULL) {_EVENTS}",
        (_through(database, kept), STEP_EVENTS),
    ).fetchall()
    if not rows:
        return
    seq, sha256, _ = rows[-1]
    session = next((opening for _, _, opening in reversed(rows) if opening is not None), kept.session)
    database.execute("DELETE FROM event WHERE seq <= ?", (seq,))
    database.execute("UPDATE kept SET trimmed_seq = ?, trimmed_sha256 = ?, session = ?", (seq, sha256, session))
    database.execute("DELETE FROM acknowledged WHERE through <= ?", (seq,))


def _any_blobs(database: apsw.Connection, kept: Kept, before: int) -> bool:
    return bool(
        database.execute(f"SELECT 1 {_SENT}", (before, kept.announced_seq, 1)).fetchall()
        or database.execute(f"SELECT 1 {_GONE}", (kept.trimmed_seq, 1)).fetchall()
    )


def _trim_blobs(database: apsw.Connection, kept: Kept, before: int) -> None:
    rows = database.execute(f"SELECT position, sha256 {_SENT}", (before, kept.announced_seq, STEP_FILES)).fetchall()
    database.execute("DELETE FROM standing WHERE seq <= ?", (kept.trimmed_seq,))
    gone = database.execute(f"SELECT position, NULL {_GONE}", (kept.trimmed_seq, STEP_EVENTS)).fetchall()
    for position, sha256 in (*rows, *gone):
        if sha256 is not None:
            database.execute("INSERT OR IGNORE INTO doomed VALUES (?)", (sha256,))
        database.execute("DELETE FROM blob WHERE position = ?", (position,))
