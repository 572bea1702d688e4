"""An evidence pack out of the inbox: what the port holds of one inspection, with its own receipt."""

from collections.abc import Sequence
from pathlib import Path

import apsw
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.domain.clock import Clock
from edge_agent.pack.collect import Contents, Cosigned, KnownEnds, NotFound, collect_event, collect_inspection
from edge_agent.pack.page import Exporter
from edge_agent.pack.write import Written, write_pack
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import identity_of, load_certificate, load_private_key
from edge_agent.wire.time_token import TimeToken
from edge_agent.wire.witness_policy import NO_POLICY
from port_gateway.chains import ends_within
from port_gateway.config import Settings
from port_gateway.config_witnesses import load_policy
from port_gateway.evidence import EvidenceFiles
from port_gateway.moments import moment
from port_gateway.retention_index import STAYS, deleted, deleted_event, deleted_inspection, stays_at_booth
from port_gateway.revocation import chain_heads, read_ended
from port_gateway.store import offline
from port_gateway.time_tokens import first_stamped
from port_gateway.trees import ChainNodes, Receipts
from port_gateway.trust import read_trust
from port_gateway.witnessed import best_witnessed


class InboxChain(ChainNodes):
    """One chain of the inbox, in the transaction of `db`."""

    def __init__(
        self, db: apsw.Connection, booth_id: str, epoch: bytes, settings: Settings, gateway: tuple[Receipts, bytes]
    ) -> None:
        """`gateway`: who signs the receipt, and its certificate (DER)."""
        super().__init__(db, booth_id, epoch)
        self.booth_id, self.epoch = booth_id, epoch
        self._db, self._gateway = db, gateway
        self._files, self._rules = EvidenceFiles(settings.evidence), settings.retention.days.rules()
        self._not_kept: dict[tuple[int, int], bytes] = {}
        self._time_token: TimeToken | None = None
        self._policy = NO_POLICY if settings.witnesses is None else load_policy(settings.witnesses.policy)

    def nodes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        if level and self._not_kept:
            return [self._not_kept[level, position] for position in range(first, first + count)]
        return super().nodes(level, first, count)

    def find(self, needle: bytes) -> Sequence[int]:
        rows = self._db.execute(
            "SELECT seq FROM event WHERE booth_id = ? AND epoch = ? AND instr(envelope, ?) > 0"
            " AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.cursor = event.cursor AND q.released_cursor IS NULL)",
            (self.booth_id, self.epoch, needle),
        )
        return [int(row[0]) for row in rows]

    def envelope(self, seq: int) -> bytes | None:
        value = self._db.execute(
            "SELECT envelope FROM event WHERE booth_id = ? AND epoch = ? AND seq = ?", (self.booth_id, self.epoch, seq)
        ).get
        return value if isinstance(value, bytes) and value else None  # empty: deleted under retention

    def session(self, seq: int) -> bytes | None:
        value = self._db.execute(
            "SELECT max(opened_seq) FROM session WHERE booth_id = ? AND epoch = ? AND opened_seq <= ?",
            (self.booth_id, self.epoch, seq),
        ).get
        return self.envelope(value) if isinstance(value, int) else None

    def checkpoint(self, seq: int) -> bytes | None:
        """The booth's own stay with the booth."""
        return None

    def receipt(self, seq: int) -> tuple[bytes, bytes] | None:
        """The first with a time token; without one, signed now: everything in the inbox is held durably."""
        row = self._db.execute(
            "SELECT seq, sha256 FROM chain WHERE booth_id = ? AND epoch = ?", (self.booth_id, self.epoch)
        ).fetchone()
        if row is None or row[0] < seq:
            return None
        receipts, certificate = self._gateway
        tree, tiles = self.tree(row[0])
        self._not_kept = {(node.level, node.position): node.sha256 for node in tiles}
        stamped = first_stamped(self._db, self.booth_id, self.epoch, seq)
        if stamped is not None:
            self._time_token = stamped.token
            return stamped.note, stamped.certificate
        return receipts.sign(Head(self.booth_id, self.epoch, row[0], row[1]), tree), certificate

    def witnessed(self, seq: int) -> Cosigned | None:
        """The first that the quorum cosigned; without one, the first that most did."""
        receipt = best_witnessed(self._db, (self.booth_id, self.epoch), seq, self._policy)
        if receipt is None:
            return None
        note, by = receipt.cosigned(self._policy)
        return Cosigned(note, receipt.certificate, by, self._policy)

    def time_token(self) -> TimeToken | None:
        return self._time_token

    def key_ends(self) -> KnownEnds:
        """The port keeps the list."""
        return KnownEnds(
            ends_within(read_ended(self._db, self.booth_id).get(self.booth_id, {}), self.epoch), complete=True
        )

    def lost(self, size: int) -> int:
        held = self._db.execute(
            "SELECT count(*) FROM event WHERE booth_id = ? AND epoch = ? AND seq <= ?",
            (self.booth_id, self.epoch, size),
        ).get
        return size - int(str(held))

    def evidence(self, sha256: bytes) -> Path | str:
        gone = deleted(self._db, sha256)
        if gone is not None:
            what = "the port's settings" if gone.place == "port" else "the booth's settings, as an event here says"
            return f"deleted by retention on {moment(gone.at_utc_us)} under {what}: {gone.rule}"
        if self._files.complete(sha256):
            return self._files.path(sha256)
        if stays_at_booth(self._db, sha256, self._rules):
            return STAYS
        return "it has not arrived at the port"


def export_inspection(settings: Settings, inspection_id: str, out: Path, clock: Clock, version: str) -> Written:
    """Write the pack of one inspection, whichever booth it was at. May run beside a serving gateway.

    Raises NotFound, Refused, ProofInvalid, StoreFailed, StoreCorrupt, IdentityInvalid.
    """
    with offline(settings.database) as db:
        place = db.execute(
            "SELECT booth_id, epoch FROM event WHERE instr(envelope, ?) > 0 LIMIT 1", (inspection_id.encode() or b"-",)
        ).fetchone()
        gone = deleted_inspection(db, inspection_id)
        if gone:
            raise NotFound(f"inspection {inspection_id}: {gone}", "`port-gateway verify` shows that the chain is whole")
        if place is None:
            raise NotFound(
                f"no event here names an inspection {inspection_id[:100]!r}", "`port-gateway tail` shows ids"
            )
        source, certificates = _open(settings, db, str(place[0]), bytes(place[1]), clock)
        return _write(settings, collect_inspection(source, inspection_id, certificates), out, clock, version)


def export_event(settings: Settings, booth_id: str, seq: int, out: Path, clock: Clock, version: str) -> Written:
    """Write the pack of a single event of a booth's newest epoch; see `export_inspection`."""
    with offline(settings.database) as db:
        epochs = list(chain_heads(db, booth_id))
        if not epochs:
            raise NotFound(f"no event of {booth_id} is here", "`port-gateway trust list CONFIG` shows the booths")
        cursor = db.execute(
            "SELECT cursor FROM event WHERE booth_id = ? AND epoch = ? AND seq = ?", (booth_id, epochs[-1], seq)
        ).get
        gone = deleted_event(db, cursor) if isinstance(cursor, int) else None
        if gone is not None:
            raise NotFound(
                f"event {seq} was deleted under retention on {moment(gone.at_utc_us)}: {gone.rule}",
                "its digest is what is left: `port-gateway verify` shows that the chain is whole",
            )
        source, certificates = _open(settings, db, booth_id, epochs[-1], clock)
        return _write(settings, collect_event(source, seq, certificates), out, clock, version)


def _open(
    settings: Settings, db: apsw.Connection, booth_id: str, epoch: bytes, clock: Clock
) -> tuple[InboxChain, list[x509.Certificate]]:
    certificate = load_certificate(settings.identity.certificate)
    receipts = Receipts(identity_of(certificate), load_private_key(settings.identity.key), clock)
    gateway = receipts, certificate.public_bytes(serialization.Encoding.DER)
    ders = read_trust(db).certificates().get(booth_id, [])
    source = InboxChain(db, booth_id, epoch, settings, gateway)
    return source, [x509.load_der_x509_certificate(der) for der in ders]


def _write(settings: Settings, contents: Contents, out: Path, clock: Clock, version: str) -> Written:
    key = load_private_key(settings.identity.key)

    def sign(manifest: bytes) -> bytes:
        return key.sign(manifest, ec.ECDSA(hashes.SHA256()))

    exporter = Exporter(load_certificate(settings.identity.certificate), sign, version, clock.now().utc)
    return write_pack(contents, exporter, out)
