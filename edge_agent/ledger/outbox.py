"""What the uplink reads of the ledger, on a connection of its own, and what it reports back to the writer."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edge_agent.ledger.database import event_of, open_reader
from edge_agent.ledger.evidence_files import EvidenceFiles
from edge_agent.ledger.faults import sqlite_faults
from edge_agent.ledger.kept import Kept, read_kept
from edge_agent.ledger.quarantined import note_quarantined
from edge_agent.ledger.store import DATABASE, EVIDENCE, PORT, BlobState
from edge_agent.ledger.trees import LedgerNodes, Receipt
from edge_agent.wire.chain import GENESIS_SHA256
from edge_agent.wire.tree import Tree
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.v1alpha1.services_pb2 import Quarantined


class Extent(NamedTuple):
    """What the ledger holds: sequences 0 and 0 when it holds nothing."""

    oldest: int
    newest: int
    head_sha256: bytes


class PendingBlob(NamedTuple):
    """Evidence that the port may not have. `position` rises in the order of the events."""

    position: int
    sha256: bytes
    size: int


class LedgerReader:
    """Reads a ledger, whether or not an agent writes it. May be used from any thread."""

    def __init__(self, directory: Path) -> None:
        """Raises StoreFailed when there is none, or it is being made; StoreCorrupt."""
        self._path = directory / DATABASE
        self._evidence = EvidenceFiles(directory / EVIDENCE)
        self._one_at_a_time = threading.Lock()
        with sqlite_faults(self._path):
            self._database = open_reader(self._path)

    def close(self) -> None:
        with self._one_at_a_time:
            self._database.close()

    def extent(self) -> Extent:
        """Lowest and highest sequence, and the SHA-256 of the highest envelope."""
        rows = self._rows(
            "SELECT (SELECT min(seq) FROM event), seq, sha256 FROM event ORDER BY seq DESC LIMIT 1",
        )
        return Extent(*rows[0]) if rows else Extent(0, 0, GENESIS_SHA256)

    def after(self, seq: int, limit: int, max_bytes: int) -> Sequence[bytes]:
        """The envelopes that follow `seq`, in order: at most `limit`, and one or as many as fit `max_bytes`.

        Empty also when the one right after `seq` is not held.
        """
        envelopes: list[bytes] = []
        size = 0
        with self._one_at_a_time, sqlite_faults(self._path):
            rows = self._database.execute(
                "SELECT seq, envelope FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit)
            )
            for expected, (found, envelope) in enumerate(rows, start=seq + 1):
                size += len(envelope)
                if found != expected or (envelopes and size > max_bytes):
                    break
                envelopes.append(envelope)
            rows.close()  # an open statement would keep the log from being emptied
        return envelopes

    def of_vehicles_that_left(self, limit: int) -> list[Event]:
        """Of the last `limit` events: closed inspections, what was found of them later, and scans; the oldest first."""
        rows = self._rows(
            "SELECT seq, envelope FROM event WHERE seq > ? AND kind IN"
            " ('inspection_closed', 'findings_added', 'scan_received') ORDER BY seq",
            self.extent().newest - limit,
        )
        return [event_of(self._path, seq, envelope) for seq, envelope in rows]

    def since_counted(self, lanes: Collection[str], limit: int, context: int) -> Iterator[Event]:
        """Of the last `limit` events, oldest first: all from `context` events before the last statistics of each lane
        on, and before that the changes of devices in the same run of the agent."""
        least = self.extent().newest - limit
        rows = self._rows(
            "SELECT seq, envelope FROM event WHERE seq > ? AND kind = 'lane_statistics' ORDER BY seq DESC", least
        )
        begin, left = least, set(lanes)
        for seq, envelope in rows:
            left.discard(event_of(self._path, seq, envelope).lane_statistics.lane_id)
            if not left:
                begin = max(least, seq - context)
                break
        opened = (
            "SELECT seq, envelope FROM event WHERE kind = 'session_opened' AND seq <= ? AND seq > ? ORDER BY seq DESC"
        )
        openings = (event_of(self._path, *row) for row in self._rows(opened, begin, least))
        started = next((opening.seq for opening in openings if not opening.session_opened.while_running), least)
        query = "SELECT seq, envelope FROM event WHERE seq > ? OR (seq > ? AND kind = 'device_changed') ORDER BY seq"
        for seq, envelope in self._rows(query, begin, started):
            yield event_of(self._path, seq, envelope)

    def sha256_at(self, seq: int) -> bytes | None:
        """The SHA-256 of the envelope at `seq`, also of the last one trimmed; None if it is not known.

        32 zero bytes at 0.
        """
        if seq == 0:
            return GENESIS_SHA256
        rows: list[tuple[bytes]] = self._rows("SELECT sha256 FROM event WHERE seq = ?", seq)
        if rows:
            return rows[0][0]
        kept = self.kept()
        return kept.trimmed_sha256 if seq == kept.trimmed_seq else None

    def kept(self) -> Kept:
        """Where the events that are kept begin."""
        with self._one_at_a_time, sqlite_faults(self._path):
            return read_kept(self._database)

    def tree(self, size: int) -> Tree:
        """The Merkle tree of the first `size` events. Raises StoreCorrupt."""
        with self._one_at_a_time, sqlite_faults(self._path):
            return LedgerNodes(self._database, self._path).tree(size)

    def acked_through(self) -> int:
        """The highest sequence that the port has acknowledged, as far as it was noted."""
        rows: list[tuple[int]] = self._rows("SELECT acked_through FROM cursor WHERE sink = ?", PORT)
        return rows[0][0] if rows else 0

    def pending_blobs(self, after: int, limit: int) -> Sequence[PendingBlob]:
        """Evidence to be sent, behind position `after`, in order."""
        rows = self._rows(
            "SELECT position, sha256, size FROM blob WHERE state = 'kept' AND position > ? ORDER BY position LIMIT ?",
            after,
            limit,
        )
        return [PendingBlob(*row) for row in rows]

    def sent_blobs(self, after: int, limit: int) -> Sequence[PendingBlob]:
        """Evidence that is kept here and that the port has taken, behind position `after`, in order."""
        rows = self._rows(
            "SELECT position, sha256, size FROM blob WHERE state = 'sent' AND position > ? ORDER BY position LIMIT ?",
            after,
            limit,
        )
        return [PendingBlob(*row) for row in rows]

    def evidence_bytes(self) -> int:
        """What the evidence that is kept here takes."""
        rows = self._rows("SELECT coalesce(sum(size), 0) FROM blob WHERE state IN ('kept', 'sent', 'waiting')")
        return int(rows[0][0])

    def epoch_held(self) -> bytes:
        """The epoch of the events held."""
        return bytes(self._rows("SELECT value FROM meta WHERE key = 'epoch'")[0][0])

    def blob_states(self) -> dict[str, int]:
        """How many blobs stand in each state."""
        return dict(self._rows("SELECT state, count(*) FROM blob GROUP BY state"))

    def told_of(self, inspection_id: str) -> tuple[str, frozenset[bytes]]:
        """An inspection's lane, '' if it is not held, and the ids of the port's messages that are recorded of it."""
        rows = self._rows(
            "SELECT seq, kind, envelope FROM event WHERE inspection_id <> '' AND kind IN ('inspection_opened',"
            " 'inspection_closed', 'findings_added', 'decision_recorded') AND inspection_id = ?",
            inspection_id,
        )
        lane_id, recorded = "", set[bytes]()
        for seq, kind, envelope in rows:
            event = event_of(self._path, seq, envelope)
            if kind == "inspection_opened":
                lane_id = event.inspection_opened.lane_id
            elif kind == "inspection_closed":
                lane_id = event.inspection_closed.inspection.lane_id
            else:
                recorded |= {event.findings_added.message_id, event.decision_recorded.message_id}
        return lane_id, frozenset(recorded - {b""})

    def read_blob(self, sha256: bytes) -> bytes | None:
        """The evidence, verified; None when the file is missing or changed. Raises StoreFailed."""
        return self._evidence.read(sha256)

    def holds_blob(self, sha256: bytes) -> bool:
        """Whether an event that is held brought this evidence, though its bytes may be gone. Raises StoreFailed."""
        return bool(self._rows("SELECT 1 FROM blob WHERE sha256 = ? LIMIT 1", sha256))

    def _rows(self, query: str, *values: int | str | bytes) -> list[tuple[Any, ...]]:
        with self._one_at_a_time, sqlite_faults(self._path):
            return self._database.execute(query, values).fetchall()


class LedgerOutbox(LedgerReader):
    """The uplink's view: reads here, and hands what the port said to the one writer."""

    def __init__(
        self,
        directory: Path,
        booth_id: str,
        epoch: bytes,
        acked: Callable[[int], None],
        mark: Callable[[bytes, BlobState], None],
        offer_again: Callable[[], None],
        received: Callable[[Receipt], None],
    ) -> None:
        super().__init__(directory)
        self.booth_id = booth_id
        self.epoch = epoch
        self._acked = acked
        self._mark = mark
        self._offer_again = offer_again
        self._received = received

    def acked(self, through: int) -> None:
        """The port holds everything up to `through` durably."""
        self._acked(through)

    def offer_again(self) -> None:
        """The port went back, and may have lost evidence, too."""
        self._offer_again()

    def received(self, size: int, receipt: bytes, certificate: bytes) -> None:
        """The port signed, by this gateway's certificate (DER), for the first `size` events."""
        self._received(Receipt(size, receipt, certificate))

    def quarantined(self, events: Sequence[Quarantined]) -> None:
        """What the port keeps and cannot read: noted for `ledger status`."""
        note_quarantined(self._path.parent, self.epoch, events)

    def blob_sent(self, sha256: bytes) -> None:
        """The port holds this evidence durably."""
        self._mark(sha256, BlobState.SENT)

    def blob_lost(self, sha256: bytes) -> None:
        """This disk no longer has this evidence; do not offer it again."""
        self._mark(sha256, BlobState.LOST)
