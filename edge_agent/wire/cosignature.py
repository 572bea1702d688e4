"""Cosignatures: a witness says that all it saw of a chain up to a checkpoint grew without change. No input, no clock.

    cosignature/v1                                                      what a witness signs: two lines of its own,
    time 1795338000                                                     its clock in seconds since 1970,
    spiffe://uslrd/booth/lane-1/000102030405060708090a0b0c0d0e0f        then the whole text of the checkpoint
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
    held 2026-11-22T09:00:00Z

    — witness.example/w1 <base64 of 4 bytes of key id, 8 bytes of that time, and the Ed25519 signature>

Sources: C2SP tlog-cosignature (type 0x04), C2SP signed-note (verifier keys, types 0x01 and 0x02).
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge_agent.domain.errors import IdentityInvalid, ProofFault, ProofInvalid
from edge_agent.wire.checkpoint import check_signature, signature_lines
from edge_agent.wire.identity import PublicKey, load_public_key, spki

ED25519, ECDSA, COSIGNATURE = 0x01, 0x02, 0x04
# Sixteen cosignatures under such names and a receipt stay below MAX_NOTE_BYTES.
MAX_NAME_BYTES = 100
_TIME_BYTES, _SIGNATURE_BYTES = 8, 64
_ASK = "ask whoever runs the witness or log for its verifier key, NAME+HASH+KEY"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Whose signatures in notes count. `kind` is their type: ED25519, COSIGNATURE (`raw`: 32 bytes) or ECDSA (SPKI)."""

    name: str
    kind: int
    raw: bytes

    @property
    def id(self) -> bytes:
        """The 4 bytes before each of its signatures."""
        if self.kind == ECDSA:
            return hashlib.sha256(self.raw).digest()[:4]
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.raw).digest()[:4]

    @property
    def key(self) -> PublicKey:
        return load_public_key(self.raw) if self.kind == ECDSA else ed25519.Ed25519PublicKey.from_public_bytes(self.raw)

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.kind]) + self.raw).decode()}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Of C2SP's form, `<name>+<key id in hex>+<base64 of type and key>`. Raises IdentityInvalid."""
        name, _, rest = text.partition("+")
        try:
            material = base64.b64decode(rest.partition("+")[2], validate=True)
            parsed = cls(name, material[0] if material else 0, material[1:])
            known = parsed.kind in (ED25519, ECDSA, COSIGNATURE) and len(parsed.raw) < 128
            known = known and isinstance(parsed.key, ec.EllipticCurvePublicKey) is (parsed.kind == ECDSA)
        except (ValueError, binascii.Error, IdentityInvalid, UnsupportedAlgorithm):
            known = False
        if not known:
            raise IdentityInvalid(f"{text[:200]!r} is no verifier key of a kind that is known here", _ASK)
        check_name(name)
        if str(parsed) != text:
            raise IdentityInvalid(f"{text[:200]!r}: name, hash and key do not belong together", _ASK)
        return parsed


def log_key(name: str, key: PublicKey) -> VerifierKey:
    """The verifier key of a party that signs notes as `name`."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return VerifierKey(name, ED25519, key.public_bytes_raw())
    return VerifierKey(name, ECDSA, spki(key))


def check_name(name: str) -> None:
    """A key's name, as it stands in notes: no blank, no plus sign. Raises IdentityInvalid."""
    if not name or len(name.encode()) > MAX_NAME_BYTES or "+" in name or " " in name or not name.isprintable():
        raise IdentityInvalid(
            f"{name[:200]!r} is no name of a key",
            f"give up to {MAX_NAME_BYTES} bytes without blanks and plus signs, e.g. witness.example/w1",
        )


@dataclass(frozen=True, slots=True)
class Cosignature:
    """`line` is the note's, with its newline; `at_s` the witness's clock, seconds since 1970."""

    witness: VerifierKey
    at_s: int
    line: bytes


def witness_key(name: str, key: ed25519.Ed25519PublicKey) -> VerifierKey:
    """The verifier key of a witness."""
    return VerifierKey(name, COSIGNATURE, key.public_bytes_raw())


def cosign(text: bytes, name: str, key: ed25519.Ed25519PrivateKey, at_s: int) -> Cosignature:
    """A witness's statement over a checkpoint's text. Only of what is durably its latest."""
    witness = witness_key(name, key.public_key())
    blob = witness.id + at_s.to_bytes(_TIME_BYTES) + key.sign(_cosigned(text, at_s))
    return Cosignature(witness, at_s, f"\u2014 {name} {base64.b64encode(blob).decode()}\n".encode())


def cosignatures(text: bytes, lines: bytes, witnesses: Iterable[VerifierKey]) -> list[Cosignature]:
    """The cosignatures over `text` by these witnesses, the first of each; others are ignored.

    Raises ProofInvalid when a line is no signature, or one by such a key does not verify.
    """
    known = {(witness.name, witness.id): witness for witness in witnesses}
    found: dict[VerifierKey, Cosignature] = {}
    for name, blob in signature_lines(lines) if lines else ():
        witness = known.get((name, blob[:4]))
        if witness is None or witness in found:
            continue
        at_s, signature = int.from_bytes(blob[4 : 4 + _TIME_BYTES]), blob[4 + _TIME_BYTES :]
        if len(signature) != _SIGNATURE_BYTES or at_s >> 63:
            raise ProofInvalid(ProofFault.NOTE_BAD_SIGNATURE, f"the cosignature of {name} is none of type 0x04", _ASK)
        check_signature(witness.key, _cosigned(text, at_s), signature)
        encoded = base64.b64encode(blob).decode()
        found[witness] = Cosignature(witness, at_s, f"\u2014 {name} {encoded}\n".encode())
    return list(found.values())


def _cosigned(text: bytes, at_s: int) -> bytes:
    return b"cosignature/v1\ntime %d\n" % at_s + text
