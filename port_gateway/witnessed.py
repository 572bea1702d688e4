"""Receipts with the cosignatures of witnesses, as the inbox keeps them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apsw
from cryptography import x509

from edge_agent.domain.errors import IdentityInvalid, ProofFault, ProofInvalid
from edge_agent.wire.checkpoint import MAX_NOTE_BYTES, Checkpoint, open_checkpoint, origin_of, split_note
from edge_agent.wire.cosignature import Cosignature, VerifierKey, cosignatures
from edge_agent.wire.identity import CERTIFICATE_FAULTS, Role, certificate_key, identity_of
from edge_agent.wire.witness_policy import Policy

Chain = tuple[str, bytes]
"""Booth and epoch."""
# An export looks through so many receipts for one that the quorum cosigned.
MAX_LOOKED_THROUGH = 1000
_KEEP = "keep a copy of the data folder, and restore it from a backup"


@dataclass(frozen=True, slots=True)
class WitnessedReceipt:
    """A receipt over `size` events, the certificate (DER) of the gateway that signed it, and who cosigned it."""

    chain: Chain
    size: int
    note: bytes
    certificate: bytes
    kept: tuple[tuple[str, bytes], ...]  # verifier key and line

    def verified(self) -> tuple[Checkpoint, list[Cosignature]]:
        """What it says and who cosigned it, each signature verified. Raises ProofInvalid, IdentityInvalid."""
        try:
            gateway = x509.load_der_x509_certificate(self.certificate)
            if identity_of(gateway).role is not Role.GATEWAY:
                raise IdentityInvalid("signed by what is no gateway")
            receipt = open_checkpoint(self.note, str(identity_of(gateway)), certificate_key(gateway))
        except CERTIFICATE_FAULTS as error:
            raise IdentityInvalid(f"the certificate beside a cosigned receipt: {error}", _KEEP) from None
        if (receipt.origin, receipt.size) != (origin_of(*self.chain), self.size) or receipt.held is None:
            raise ProofInvalid(ProofFault.WRONG_ORIGIN, "a cosigned receipt is of another place", _KEEP)
        keys = [VerifierKey.parse(witness) for witness, _ in self.kept]
        found = cosignatures(split_note(self.note)[0], b"".join(line for _, line in self.kept), keys)
        if len(found) != len(keys):
            raise ProofInvalid(ProofFault.NOTE_NOT_SIGNED, "a cosignature is not by the witness beside it", _KEEP)
        return receipt, found

    def cosigned(self, policy: Policy) -> tuple[bytes, tuple[VerifierKey, ...]]:
        """The note with cosignatures at its end, and by whom: as many as it has room for, those of `policy` first."""
        wanted = {str(witness.key) for witness in policy.witnesses.values()}
        note, by = self.note, list[VerifierKey]()
        for witness, line in sorted(self.kept, key=lambda each: (each[0] not in wanted, each)):
            if len(note) + len(line) <= MAX_NOTE_BYTES:
                note, by = note + line, [*by, VerifierKey.parse(witness)]
        return note, tuple(by)


def keep_cosignature(db: apsw.Connection, receipt: WitnessedReceipt, cosignature: Cosignature, now_us: int) -> None:
    """Keep one more cosignature over a receipt, which may be new."""
    place = (*receipt.chain, receipt.size)
    db.execute("INSERT OR IGNORE INTO witnessed VALUES (?,?,?,?,?)", (*place, receipt.note, receipt.certificate))
    held = db.execute("SELECT note FROM witnessed WHERE booth_id = ? AND epoch = ? AND size = ?", place).get
    if held == receipt.note:  # not over another note of the same size
        row = (*place, str(cosignature.witness), cosignature.line, cosignature.at_s, now_us)
        db.execute("INSERT OR REPLACE INTO cosignature VALUES (?,?,?,?,?,?,?)", row)


def receipts_from(
    db: apsw.Connection, chain: Chain, seq: int, newest_first: bool = False
) -> Iterator[WitnessedReceipt]:
    """Cosigned receipts of `seq` events or more, the smallest first (or the largest)."""
    order = "DESC" if newest_first else "ASC"
    rows = db.execute(
        f"SELECT size, note, certificate FROM witnessed WHERE booth_id = ? AND epoch = ? AND size >= ?"  # noqa: S608
        f" ORDER BY size {order} LIMIT ?",
        (*chain, seq, MAX_LOOKED_THROUGH),
    ).fetchall()
    for size, note, certificate in rows:
        yield _receipt(db, chain, int(str(size)), note, certificate)


def _receipt(db: apsw.Connection, chain: Chain, size: int, note: object, certificate: object) -> WitnessedReceipt:
    kept = db.execute(
        "SELECT witness, line FROM cosignature WHERE booth_id = ? AND epoch = ? AND size = ? ORDER BY witness",
        (*chain, size),
    ).fetchall()
    lines = tuple((str(witness), _bytes(line)) for witness, line in kept)
    return WitnessedReceipt(chain, size, _bytes(note), _bytes(certificate), lines)


def best_witnessed(db: apsw.Connection, chain: Chain, seq: int, policy: Policy) -> WitnessedReceipt | None:
    """The first that covers event `seq` and has the quorum; without one, the first with the most cosignatures."""
    best: WitnessedReceipt | None = None
    for receipt in receipts_from(db, chain, seq):
        if policy.witnesses and policy.satisfied(_keys(receipt.kept)):
            return receipt
        if best is None or len(receipt.kept) > len(best.kept):
            best = receipt
    return best


def _keys(kept: Sequence[tuple[str, bytes]]) -> list[VerifierKey]:
    return [VerifierKey.parse(witness) for witness, _ in kept]


def check_witnessed(receipt: WitnessedReceipt, root: bytes) -> list[Cosignature]:
    """The cosignatures of a receipt over the tree with this root. Raises ProofInvalid, IdentityInvalid."""
    checkpoint, found = receipt.verified()
    if checkpoint.root != root:
        raise ProofInvalid(ProofFault.PROOF_WRONG_ROOT, "it is over another chain than the one that is held", _KEEP)
    return found


def all_witnessed(db: apsw.Connection) -> Iterator[WitnessedReceipt]:
    """Every cosigned receipt, chain by chain."""
    rows = db.execute("SELECT booth_id, epoch, size, note, certificate FROM witnessed ORDER BY booth_id, epoch, size")
    for booth_id, epoch, size, note, certificate in rows:
        yield _receipt(db, (str(booth_id), _bytes(epoch)), int(str(size)), note, certificate)


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise apsw.CorruptError("a receipt or cosignature is not there")
    return value
