"""The ledger on disk: SQLite in WAL mode with synchronous=FULL, through apsw. One writer; readers have their own.

<directory>/ledger.sqlite3   events, cursors, blobs
<directory>/epoch            which life of the ledger lies here: says so when the database is gone
<directory>/lock             held by the one agent that writes
<directory>/evidence/        see evidence_files.py
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import apsw

from edge_agent.domain.clock import Instant
from edge_agent.domain.errors import StoreCorrupt, StoreFailed, StoreFull
from edge_agent.domain.event import Replaced
from edge_agent.domain.evidence import EvidenceKind
from edge_agent.ledger.by_class import bring, let_go_on, raise_standing
from edge_agent.ledger.database import EPOCH_FILE, event_of, opened, transaction
from edge_agent.ledger.evidence_files import sync_directory
from edge_agent.ledger.faults import SALVAGE, file_faults, sqlite_faults
from edge_agent.ledger.handover import note_handover, noted_handover
from edge_agent.ledger.identity import HandedOver
from edge_agent.ledger.instants import instant_of
from edge_agent.ledger.leftover import events_behind, keep_aside, leftover_log
from edge_agent.ledger.replaced import replaced_of
from edge_agent.ledger.seal import Sealed
from edge_agent.ledger.trees import CheckpointSigner, LedgerTree, Receipt, keep_receipt
from edge_agent.ledger.trimming import Retention
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import PublicKey

DATABASE = "ledger.sqlite3"
LOCK_FILE = "lock"
EVIDENCE = "evidence"
# Automatic checkpoints ignore their own errors, an fsync that failed among them: the writer does them itself.
CHECKPOINT_PAGES = 1_000
PORT = "port"

_log = logging.getLogger(__name__)


class BlobState(StrEnum):
    """Where a piece of evidence stands."""

    KEPT = "kept"  # on this disk; the port may not have it
    SENT = "sent"  # the port holds it durably
    LOST = "lost"  # this disk no longer has what was written
    SHED = "shed"  # removed before its retention was over, for room on the disk
    WAITING = "waiting"  # kept only with a finding, which may still come: not offered to the port
    DELETED = "deleted"  # removed as the settings say, before its event


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An inspection that was opened and never closed: the agent was killed in between."""

    inspection_id: str
    lane_id: str
    opened: Instant


class Store:
    """The writer's side. Use it from one thread; make it with `Store.open` and end with `close`.

    `vfs` names another SQLite file layer; tests put failing disks there.
    """

    def __init__(
        self,
        directory: Path,
        database: apsw.Connection,
        lock: int,
        head: Head,
        monotonic: Callable[[], float],
        waiting: frozenset[str] = frozenset(),
    ) -> None:
        self._directory = directory
        self._path = directory / DATABASE
        self._database = database
        self._lock = lock
        self._head = head
        self._log_pages = 0
        self._waiting = waiting
        self.retention = Retention(database, self._path, monotonic)
        self._inode = os.stat(self._path).st_ino
        with sqlite_faults(self._path), transaction(database):
            self._tree = LedgerTree(database, self._path, head)
            let_go_on(database, waiting)
        database.set_wal_hook(self._committed)

    @classmethod
    def open(
        cls,
        directory: Path,
        booth_id: str,
        vfs: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        device_keys: Mapping[str, PublicKey] = MappingProxyType({}),
        signs: str = "",
        waiting: Collection[EvidenceKind] = (),
    ) -> Self:
        """Open the ledger in `directory`, or begin one there; checks what is there before anything is added.

        `monotonic` gives seconds and never runs back; retention is counted by it. With `device_keys`, by
        key id, sessions are believed that SQLite dropped with the end of a damaged log: give every key that this booth
        has had. `signs` is the id of the one that is to sign from now on. Evidence of the kinds in `waiting` waits for
        a finding of its inspection; what waits already and is of another kind, no longer.

        Raises IdentityInvalid (another booth's ledger), StoreCorrupt, StoreFull, StoreFailed (in use, not writable, or
        its damaged log held that it was handed over from the key `signs`).
        """
        path = directory / DATABASE
        with file_faults(directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(directory.parent)
            lock = lock_ledger(directory)
        try:
            with file_faults(path):
                _refuse_lost_database(directory)
                log = leftover_log(path)
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its log the same mode
            with sqlite_faults(path):
                database = apsw.Connection(str(path), vfs=vfs)
                # SQLite empties the log when it is closed: until all in it is taken up, it stays as it was found.
                database.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                try:
                    head = opened(database, path, booth_id, (directory / EPOCH_FILE).exists())
                    with file_faults(directory):
                        replaces = replaced_of(database)
                        _note_epoch(directory, head.epoch, replaces.epoch if replaces is not None else b"")
                        sync_directory(directory)
                except BaseException:
                    database.close(force=True)
                    raise
        except BaseException:
            os.close(lock)
            raise
        try:
            store = cls(directory, database, lock, head, monotonic, frozenset(kind.value for kind in waiting))
            with sqlite_faults(path), file_faults(directory):
                behind = events_behind(log, database, head, device_keys)
                if behind.lost(head):
                    wrong = f"its log was damaged: events through {behind.accepted_through} were accepted"
                    whole = behind.events[-1].seq if behind.events else head.seq
                    raise StoreCorrupt(f"{path}: {wrong}, and the chain can be followed through {whole} only", SALVAGE)
                if behind.events or behind.others:
                    place = keep_aside(directory, log)  # what is in it is about to be written over
            if behind.events or behind.others:
                damaged = behind.accepted_through > head.seq
                why = (
                    "is damaged, perhaps by the disk"
                    if damaged
                    else "ends in a torn transaction, as a power cut leaves it"
                )
                what = f"{len(behind.events)} events behind that are taken up, {behind.others} cannot be"
                _log.log(
                    logging.ERROR if damaged else logging.WARNING, f"%s: its log {why}; {what}: see %s", path, place
                )
                store.append(behind.events)
            database.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
            with sqlite_faults(path):
                _refuse_retired(path, noted_handover(database), signs)
            return store
        except BaseException:
            database.close(force=True)
            os.close(lock)
            raise

    def head(self) -> Head:
        """Where the chain ends on disk."""
        return self._head

    def replaces(self) -> Replaced | None:
        """The damaged ledger in whose place this one was begun."""
        with sqlite_faults(self._path):
            return replaced_of(self._database)

    def sign_with(self, session: CheckpointSigner) -> None:
        """The key of the session that is opened next: from then on every `append` signs a checkpoint with it."""
        self._tree.sign_with(session)

    def append(
        self,
        sealed: Sequence[Sealed],
        acked_through: int | None = None,
        blobs: Mapping[bytes, BlobState] | None = None,
        offer_again: bool = False,
        receipt: Receipt | None = None,
    ) -> None:
        """Add events that follow the head, the port's cursor and receipt, and states of blobs in one transaction.

        `offer_again`: what was sent is to be offered to the port once more, `blobs` excepted. Durable on return;
        otherwise it raises StoreFull (nothing was added, try again) or StoreFailed.
        """
        self._refuse_replaced_file()
        with sqlite_faults(self._path), transaction(self._database):
            execute = self._database.cursor().execute
            for event in sealed:
                execute(
                    "INSERT INTO event (seq, id, kind, inspection_id, sha256, envelope) VALUES (?, ?, ?, ?, ?, ?)",
                    (event.seq, event.id, event.kind, event.inspection_id, event.sha256, event.envelope),
                )
                if event.kind == "key_rotated":
                    note_handover(self._database, event.envelope)
                raise_standing(self._database, event)
                for ref in event.evidence:
                    bring(self._database, event, ref, self._waiting, self.retention.run_s)
            if acked_through is not None:
                execute(
                    "INSERT INTO cursor (sink, acked_through) VALUES (?, ?) ON CONFLICT (sink) "
                    "DO UPDATE SET acked_through = excluded.acked_through",
                    (PORT, acked_through),
                )
                self.retention.acknowledged(acked_through)
            if offer_again:
                execute("UPDATE blob SET state = 'kept' WHERE state = 'sent'")
            for sha256, state in (blobs or {}).items():
                sent = self.retention.run_s if state is BlobState.SENT else None
                execute(
                    "UPDATE blob SET state = ?, sent_run_s = ? WHERE sha256 = ? AND state NOT IN ('shed', 'deleted')",
                    (state.value, sent, sha256),
                )
                if state in (BlobState.SHED, BlobState.DELETED):
                    execute("INSERT OR IGNORE INTO doomed VALUES (?)", (sha256,))
            if receipt is not None:
                keep_receipt(self._database, receipt)
            tree = self._tree.grow(sealed)
        self._tree.grown(tree, sealed)
        if sealed:
            self._head = sealed[-1].head_after

    def _refuse_replaced_file(self) -> None:
        """A file that was deleted takes writes until it is closed, and then they are gone. Raises StoreFailed."""
        try:
            there = os.stat(self._path).st_ino == self._inode
        except FileNotFoundError:
            there = False
        if not there:
            raise StoreFailed(
                f"{self._path}: the file was deleted or replaced while the agent was running",
                "put the whole ledger directory back before the agent starts again, or it begins a new chain",
            )

    def checkpoint(self, least_pages: int | None = None) -> None:
        """Move what the log holds into the database, when it is worth it. Raises StoreFailed.

        A full disk is no fault here: everything stays in the log, and the next append finds out.
        """
        if self._log_pages < (CHECKPOINT_PAGES if least_pages is None else least_pages):
            return
        try:
            with sqlite_faults(self._path):
                self._database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except StoreFull:
            return
        self._log_pages = 0

    def unfinished(self) -> tuple[Unfinished, ...]:
        """Inspections opened and never closed, in order."""
        with sqlite_faults(self._path):
            rows: list[tuple[Any, ...]] = self._database.execute(
                "SELECT seq, envelope FROM event o WHERE inspection_id <> '' AND kind = 'inspection_opened' "
                "AND NOT EXISTS (SELECT 1 FROM event c WHERE c.inspection_id <> '' AND c.kind = 'inspection_closed' "
                "AND c.inspection_id = o.inspection_id) ORDER BY seq"
            ).fetchall()
        events = [event_of(self._path, seq, envelope) for seq, envelope in rows]
        return tuple(
            Unfinished(e.inspection_opened.inspection_id, e.inspection_opened.lane_id, instant_of(e.at)) for e in events
        )

    def close(self) -> None:
        """Safe to call after a failure, too: what was accepted is in the log."""
        self._database.set_wal_hook(None)
        try:
            with sqlite_faults(self._path):
                self._database.close()
        finally:
            os.close(self._lock)

    def _committed(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK


def lock_ledger(directory: Path) -> int:
    """An open descriptor that keeps every other writer away. Raises StoreFailed when there is one."""
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreFailed(
            f"{directory}: another agent is writing this ledger", "stop it, or give this agent a directory of its own"
        ) from None
    return descriptor


def _refuse_retired(path: Path, handed: HandedOver | None, signs: str) -> None:
    """Who chose the key that signs could not see what only the damaged log held; from now on it is noted."""
    if handed is not None and handed.key != signs and signs in handed.retired:
        raise StoreFailed(
            f"{path}: it was handed over to the key {handed.key}, as only its damaged log said",
            "start again: that key signs then",
        )


def _refuse_lost_database(directory: Path) -> None:
    database, epoch = directory / DATABASE, directory / EPOCH_FILE
    if epoch.exists() and (not database.exists() or database.stat().st_size == 0):
        raise StoreCorrupt(
            f"{database}: the database of epoch {epoch.read_text(errors='replace').strip()} is gone", SALVAGE
        )


def _note_epoch(directory: Path, epoch: bytes, replaced: bytes) -> None:
    path = directory / EPOCH_FILE
    if path.exists() and path.stat().st_size:
        noted = path.read_text(errors="replace").strip()
        if noted == epoch.hex():
            return
        if noted != replaced.hex():
            raise StoreCorrupt(f"{directory}: the database is of epoch {epoch.hex()}, the rest of {noted}", SALVAGE)
    unfinished = path.with_suffix(".unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(f"{epoch.hex()}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
