"""Checkpoints: who says that a chain has these many events and this Merkle root. No input or output, no clock.

    spiffe://uslrd/booth/lane-1/000102030405060708090a0b0c0d0e0f      origin: the booth, and the ledger's epoch
    20852163                                                          size: the chain's events up to this sequence
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=                      root: RFC 6962, over the envelopes' SHA-256
    held 2026-11-22T09:00:00Z                                         only in a receipt: the port's clock
    <blank line>
    — spiffe://uslrd/booth/lane-1/0001… <base64 of 4 bytes of key id, and the signature>

Sources: C2SP tlog-checkpoint, C2SP signed-note (types 0x01 Ed25519 and 0x02 ECDSA), C2SP tlog-proof. The booth's
session key signs checkpoints under the name of the origin; the gateway's key signs receipts under its own identity.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge_agent.domain.errors import ProofFault, ProofInvalid
from edge_agent.wire.identity import PublicKey, spki

# A note with sixteen signatures, which verifiers must accept, stays below this.
MAX_NOTE_BYTES = 4096
_DASH = "\u2014"
_ED25519 = b"\x01"
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_HELD = re.compile(r"held ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})Z")
_KEEP = "keep it, and ask the booth's and the port's operators which of them shows another chain"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A statement about one chain. `held`: when the port held all of it durably; None in a booth's checkpoint."""

    origin: str
    size: int
    root: bytes
    held: datetime | None = None

    def text(self) -> bytes:
        """What is signed."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode()]
        if self.held is not None:
            lines.append(f"held {self.held.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
        return "".join(f"{line}\n" for line in lines).encode()


def origin_of(booth_id: str, epoch: bytes) -> str:
    """The name of one chain: the booth's identity and the ledger's epoch in lower-case hex."""
    return f"{booth_id}/{epoch.hex()}"


def sign_checkpoint(checkpoint: Checkpoint, name: str, key: PublicKey, sign: Callable[[bytes], bytes]) -> bytes:
    """The signed note. `sign` signs with the private half of `key`: Ed25519, or ECDSA with SHA-256 in DER."""
    text = checkpoint.text()
    signature = base64.b64encode(note_key_id(name, key) + sign(text)).decode()
    return text + f"\n{_DASH} {name} {signature}\n".encode()


def open_checkpoint(note: bytes, name: str, key: PublicKey) -> Checkpoint:
    """The checkpoint in a note that `key` has signed as `name`; other signatures are ignored. Raises ProofInvalid."""
    text, signatures = split_note(note)
    for signer, signature in signatures:
        if signer == name and signature[:4] == note_key_id(name, key):
            check_signature(key, text, signature[4:])
            return _parse(text)
    raise ProofInvalid(ProofFault.NOTE_NOT_SIGNED, f"the checkpoint is not signed by {name}", _KEEP)


def read_checkpoint(note: bytes) -> Checkpoint:
    """The checkpoint in a note of one's own store, without a look at its signatures. Raises ProofInvalid."""
    return _parse(split_note(note)[0])


def note_key_id(name: str, key: PublicKey) -> bytes:
    """The 4 bytes that stand before a signature in a note."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return hashlib.sha256(name.encode() + b"\n" + _ED25519 + key.public_bytes_raw()).digest()[:4]
    return hashlib.sha256(spki(key)).digest()[:4]


def write_proof(index: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """C2SP tlog-proof: a leaf's inclusion in the tree of a checkpoint, which is in it as signed."""
    hashes_ = "".join(f"{base64.b64encode(node).decode()}\n" for node in proof)
    return f"c2sp.org/tlog-proof@v1\nindex {index}\n{hashes_}\n".encode() + note


def split_note(note: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The signed text, and the signatures (key id first) with the names before them. Raises ProofInvalid."""
    if len(note) > MAX_NOTE_BYTES:
        raise ProofInvalid(
            ProofFault.NOTE_OVERSIZED, f"a checkpoint of {len(note)} bytes, at most {MAX_NOTE_BYTES}", _KEEP
        )
    text, blank, rest = note.rpartition(b"\n\n")
    if not blank or not rest.endswith(b"\n"):
        raise _malformed("no signatures after a blank line")
    return text + b"\n", signature_lines(rest)


def signature_lines(data: bytes) -> list[tuple[str, bytes]]:
    """Name and signature (key id first) of each line of a note's end. Raises ProofInvalid."""
    signatures = []
    for line in data[:-1].split(b"\n"):
        try:
            dash, name, encoded = line.decode().split(" ")
            signature = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise _malformed("a line that is no signature") from None
        if dash != _DASH or not name or len(signature) < 5 or base64.b64encode(signature).decode() != encoded:
            raise _malformed("a line that is no signature")
        signatures.append((name, signature))
    return signatures


def _parse(text: bytes) -> Checkpoint:
    origin, size, root, more = checkpoint_lines(text)
    return Checkpoint(origin, size, root, _held(more))


def checkpoint_lines(text: bytes) -> tuple[str, int, bytes, list[str]]:
    """Origin, size, root and what lines there are beyond, of any log's checkpoint. Raises ProofInvalid."""
    try:
        origin, size, root, *more = text.decode().split("\n")[:-1]
        digest = base64.b64decode(root, validate=True)
    except (ValueError, binascii.Error):
        raise _malformed("not origin, size and root") from None
    if not origin or not _SIZE.fullmatch(size) or len(digest) != 32 or base64.b64encode(digest).decode() != root:
        raise _malformed("not origin, size and root")
    return origin, int(size), digest, more


def _held(lines: list[str]) -> datetime | None:
    if not lines:
        return None
    match = _HELD.fullmatch(lines[0])
    try:
        held = datetime.fromisoformat(match[1]).replace(tzinfo=UTC) if match and len(lines) == 1 else None
    except ValueError:
        held = None
    if held is None:
        raise _malformed("a fourth line that does not say since when the port holds it")
    return held


def check_signature(key: PublicKey, text: bytes, signature: bytes) -> None:
    """Returns if `key` signed `text`. Raises ProofInvalid."""
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
        else:
            key.verify(signature, text)
    except InvalidSignature:
        raise ProofInvalid(
            ProofFault.NOTE_BAD_SIGNATURE, "the checkpoint's signature does not belong to its text and this key", _KEEP
        ) from None


def _malformed(what: str) -> ProofInvalid:
    return ProofInvalid(ProofFault.NOTE_MALFORMED, f"not a checkpoint: {what}", _KEEP)
