"""An evidence pack out of the ledger: what this booth holds of one inspection, with what the port signed for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import apsw

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import StoreFailed
from edge_agent.ledger.database import MIGRATIONS, open_reader
from edge_agent.ledger.evidence_files import EvidenceFiles
from edge_agent.ledger.faults import sqlite_faults
from edge_agent.ledger.handover import handed_over
from edge_agent.ledger.identity import BoothIdentity
from edge_agent.ledger.store import DATABASE, EVIDENCE
from edge_agent.ledger.trees import LedgerNodes, checkpoint_for, receipt_for
from edge_agent.pack.collect import KnownEnds, Source, collect_event, collect_inspection
from edge_agent.pack.page import Exporter
from edge_agent.pack.write import Written, write_pack
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import load_certificate
from edge_agent.wire.refused import RefusalCode
from edge_agent.wire.time_token import TimeToken
from edge_agent.wire.verify import KeyEnd


def refuse_older(database: apsw.Connection, path: Path) -> None:
    """Raises StoreFailed for a ledger that the agent of this version has not opened yet."""
    version = database.execute("PRAGMA user_version").get
    if version != len(MIGRATIONS):
        raise StoreFailed(
            f"{path}: has schema {version}, this version works with {len(MIGRATIONS)}",
            "start the agent of this version once: it brings the ledger to its schema, and signs a checkpoint",
        )


class LedgerChain(LedgerNodes):
    """The ledger's chain, in one read transaction."""

    def __init__(self, database: apsw.Connection, directory: Path) -> None:
        super().__init__(database, directory / DATABASE)
        refuse_older(database, directory / DATABASE)
        meta = {key: bytes(value) for key, value in database.execute("SELECT key, value FROM meta")}
        self.booth_id, self.epoch = meta["booth_id"].decode(), meta["epoch"]
        self._files = EvidenceFiles(directory / EVIDENCE)

    def find(self, needle: bytes) -> Sequence[int]:
        return [row[0] for row in self._rows("SELECT seq FROM event WHERE instr(envelope, ?) > 0", needle)]

    def envelope(self, seq: int) -> bytes | None:
        rows = self._rows("SELECT envelope FROM event WHERE seq = ?", seq)
        return rows[0][0] if rows else None

    def session(self, seq: int) -> bytes | None:
        rows = self._rows(
            "SELECT envelope FROM event WHERE kind = 'session_opened' AND seq <= ? ORDER BY seq DESC LIMIT 1", seq
        )
        return rows[0][0] if rows else self._trimmed_session()

    def checkpoint(self, seq: int) -> bytes | None:
        return checkpoint_for(self._database, seq)

    def receipt(self, seq: int) -> tuple[bytes, bytes] | None:
        receipt = receipt_for(self._database, seq)
        return None if receipt is None else (receipt.note, receipt.certificate)

    def witnessed(self, seq: int) -> None:
        """The port alone asks witnesses: what they cosign is its receipt (ADR 0035)."""

    def time_token(self) -> TimeToken | None:
        """The port alone asks for them."""
        return None

    def key_ends(self) -> KnownEnds:
        """This booth's own handovers, as far as they are kept: what the port revoked, it alone knows."""
        rows = self._rows("SELECT seq FROM event WHERE kind = 'key_rotated'")
        openings = {seq: self.session(seq) for (seq,) in rows}
        retired = {read_envelope(e)[1].keyid: KeyEnd(seq, RefusalCode.KEY_RETIRED) for seq, e in openings.items() if e}
        return KnownEnds(retired, complete=False)

    def lost(self, size: int) -> int:
        """A ledger that lost events is exported at the port: the one in its place is whole."""
        return 0

    def evidence(self, sha256: bytes) -> Path | str:
        rows = self._rows("SELECT state FROM blob WHERE sha256 = ?", sha256)
        state = rows[0][0] if rows else ""
        path = self._files.path(sha256)
        if path.is_file():
            return path
        return _ABSENT.get(state, "this booth no longer keeps it: its retention is over")

    def _trimmed_session(self) -> bytes | None:
        rows = self._rows("SELECT session FROM kept")
        return rows[0][0] if rows else None

    def _rows(self, query: str, *values: int | bytes) -> list[tuple[Any, ...]]:
        return cast("list[tuple[Any, ...]]", self._database.execute(query, values).fetchall())


_ABSENT = {
    "kept": "its file is missing at the booth",
    "lost": "the booth's disk lost it",
    "shed": "the booth removed it early, for room on its disk",
    "deleted": "the booth deleted it as its settings say: an EvidenceDeleted event names it",
}


def export(directory: Path, what: str | int, out: Path, identity: BoothIdentity, clock: Clock, version: str) -> Written:
    """Write the pack of an inspection (its id) or of a single event (its sequence), signed by the booth's device key.

    May run beside the agent. Raises NotFound, Refused, ProofInvalid, IdentityInvalid, StoreCorrupt, StoreFailed.
    """
    path = directory / DATABASE
    with sqlite_faults(path):
        database = open_reader(path)
        try:
            database.execute("BEGIN")
            source: Source = LedgerChain(database, directory)
            # The key that was handed over to signs, whether the port knows it or not.
            identity.signer(handed_over(path))
            certificates, held = identity.certificates(), identity.next() or identity.current()
            if isinstance(what, int):
                contents = collect_event(source, what, certificates)
            else:
                contents = collect_inspection(source, what, certificates)
            exporter = Exporter(load_certificate(held.certificate), held.key.sign, version, clock.now().utc)
            return write_pack(contents, exporter, out)
        finally:
            database.close()
