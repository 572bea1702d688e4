"""Writes envelopes.json: chains that verify, and named ones that do not, for verifiers in any language.

    python -m tests.vectors.make_vectors           write the file
    python -m tests.vectors.make_vectors --check   compare it with what would be written

Deterministic: fixed keys (public, for tests only), fixed times and ids, ECDSA with RFC 6979.
"""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES, PAYLOAD_TYPE, envelope_sha256, pae
from edge_agent.wire.identity import key_id, spki
from edge_agent.wire.rotation import possession_message
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1.envelope_pb2 import Envelope, Signature

FILE = Path(__file__).with_name("envelopes.json")
BOOTH = "spiffe://uslrd/booth/lane-1"
EPOCH = bytes(range(16))
DEVICE_KEY = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
NEW_DEVICE_KEY = ec.derive_private_key(0xFEDCBA0987654321, ec.SECP256R1())
THIRD_DEVICE_KEY = ec.derive_private_key(0x0F1E2D3C4B5A6978, ec.SECP256R1())
SESSION_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
NEXT_SESSION_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([2]) * 32)
STRANGER_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
GENESIS = bytes(32)
_LONG_RUN = 256
_NO_MEANING = x509.ObjectIdentifier("1.3.6.1.4.1.55555.1")


def certificate(
    key: PrivateKey = DEVICE_KEY, *identities: str, issuer: PrivateKey | None = None, extension: bytes = b""
) -> bytes:
    """A certificate of the booth, or of other identities, for a key; in DER. By itself, or by `issuer`."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "booth lane-1")])
    uris = [x509.UniformResourceIdentifier(identity) for identity in identities or (BOOTH,)]
    signer = issuer or key
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName(uris), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if extension:
        built = built.add_extension(x509.UnrecognizedExtension(_NO_MEANING, extension), critical=False)
    if isinstance(signer, ed25519.Ed25519PrivateKey):
        return built.sign(signer, None).public_bytes(serialization.Encoding.DER)
    signed = built.sign(signer, hashes.SHA256(), ecdsa_deterministic=True)
    return signed.public_bytes(serialization.Encoding.DER)


def event(seq: int, previous: bytes, booth_id: str = BOOTH, epoch: bytes = EPOCH) -> wire.Event:
    return wire.Event(
        booth_id=booth_id,
        epoch=epoch,
        seq=seq,
        previous_sha256=previous,
        id=f"00000000-0000-4000-8000-{seq:012d}",
        at=wire.Instant(
            utc_us=1_772_366_400_000_000 + seq * 1_000_000,
            monotonic_ns=seq * 1_000_000_000,
            clock_state=wire.CLOCK_STATE_SYNCHRONISED,
        ),
    )


def session_opened(seq: int, previous: bytes, key: PrivateKey, epoch: bytes = EPOCH) -> wire.Event:
    opened = event(seq, previous, epoch=epoch)
    opened.session_opened.public_key = spki(key.public_key())
    opened.session_opened.agent_version = "0.1.0"
    return opened


def arrived(seq: int, previous: bytes, cause: str = "presence", **kwargs: Any) -> wire.Event:
    opened = event(seq, previous, **kwargs)
    opened.inspection_opened.CopyFrom(
        wire.InspectionOpened(inspection_id="11111111-1111-4111-8111-111111111111", lane_id="lane-1", cause=cause)
    )
    return opened


def alarm(seq: int, previous: bytes) -> wire.Event:
    raised = event(seq, previous)
    raised.alarm_raised.CopyFrom(
        wire.AlarmRaised(
            inspection_id="11111111-1111-4111-8111-111111111111",
            lane_id="lane-1",
            device_id="portal-1",
            kind=wire.RADIATION_KIND_GAMMA,
            counts=[612, 590, 601, 633],
            raw=b"GA,000612,000590,000601,000633\r\n",
        )
    )
    raised.evidence.append(
        wire.EvidenceRef(kind="frame", media_type="image/jpeg", sha256=envelope_sha256(b"a picture"), size=9)
    )
    return raised


def rotated(
    seq: int,
    previous: bytes,
    old: ec.EllipticCurvePrivateKey = DEVICE_KEY,
    new: ec.EllipticCurvePrivateKey = NEW_DEVICE_KEY,
    possessed_by: ec.EllipticCurvePrivateKey | None = None,
) -> wire.Event:
    handed_over = event(seq, previous)
    der = certificate(new)
    message = possession_message(BOOTH, EPOCH, key_id(old.public_key()), der)
    proof = (possessed_by or new).sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    handed_over.key_rotated.CopyFrom(wire.KeyRotated(certificate=der, possession=proof))
    return handed_over


def sealed(payload: bytes, key: PrivateKey, payload_type: str = PAYLOAD_TYPE) -> bytes:
    message = pae(payload_type, payload)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        sig = key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    else:
        sig = key.sign(message)
    signature = Signature(sig=sig, keyid=key_id(key.public_key()))
    return Envelope(payload=payload, payload_type=payload_type, signatures=[signature]).SerializeToString()


def bytes_of(message: wire.Event) -> bytes:
    return message.SerializeToString(deterministic=True)


def good_chain() -> list[bytes]:
    chain: list[bytes] = []

    def add(make: Callable[[int, bytes], wire.Event], key: PrivateKey) -> None:
        previous = envelope_sha256(chain[-1]) if chain else GENESIS
        chain.append(sealed(bytes_of(make(len(chain) + 1, previous)), key))

    add(lambda seq, previous: session_opened(seq, previous, SESSION_KEY), DEVICE_KEY)
    add(arrived, SESSION_KEY)
    add(alarm, SESSION_KEY)
    add(lambda seq, previous: session_opened(seq, previous, NEXT_SESSION_KEY), DEVICE_KEY)
    add(arrived, NEXT_SESSION_KEY)
    return chain


def key_cases() -> list[dict[str, Any]]:
    """A booth that hands over to a new key, and keys that were revoked (`ended_keys`, as ListBooths says it)."""
    good = good_chain()
    handed = sealed(bytes_of(rotated(4, envelope_sha256(good[2]))), SESSION_KEY)
    head = envelope_sha256(handed)
    opening = bytes_of(session_opened(5, head, NEXT_SESSION_KEY))
    opened = sealed(opening, NEW_DEVICE_KEY)
    after = sealed(bytes_of(arrived(6, envelope_sha256(opened))), NEXT_SESSION_KEY)
    stolen = bytes_of(rotated(4, envelope_sha256(good[2]), possessed_by=DEVICE_KEY))
    here, elsewhere = EPOCH.hex(), bytes(16).hex()
    again = sealed(bytes_of(rotated(7, envelope_sha256(after), NEW_DEVICE_KEY, THIRD_DEVICE_KEY)), NEXT_SESSION_KEY)
    third = sealed(bytes_of(session_opened(8, envelope_sha256(again), SESSION_KEY)), THIRD_DEVICE_KEY)
    listed: list[tuple[str, str | None, list[bytes], dict[str, int] | None]] = [
        ("handed over to a new key", None, [*good[:3], handed, opened, after], None),
        (
            "the old key's session after it handed over",
            "KEY_RETIRED",
            [*good[:3], handed, sealed(bytes_of(arrived(5, head)), SESSION_KEY)],
            None,
        ),
        ("the old key after it handed over", "KEY_RETIRED", [*good[:3], handed, sealed(opening, DEVICE_KEY)], None),
        ("a new key that has not signed", "NOT_POSSESSED", [*good[:3], sealed(stolen, SESSION_KEY)], None),
        ("revoked after the last event", None, good, {here: 5}),
        ("a session whose device key was revoked", "KEY_REVOKED", good[:3], {here: 2}),
        ("a session opened by a revoked key", "KEY_REVOKED", good[:4], {here: 3}),
        ("revoked, and another epoch named", "KEY_REVOKED", good[:1], {elsewhere: 5}),
    ]
    revoked = [
        (name, code, envelopes, [] if through is None else [ended(DEVICE_KEY, "KEY_REVOKED", through)])
        for name, code, envelopes, through in listed
    ]
    both = [ended(DEVICE_KEY, "KEY_RETIRED", {here: 4}), ended(NEW_DEVICE_KEY, "KEY_RETIRED", {here: 7})]
    revoked += [
        ("handed over twice, and both ends listed", None, [*good[:3], handed, opened, after, again, third], both),
        (
            "handed over to a key that is revoked later",
            None,
            [*good[:3], handed, opened, after],
            [ended(NEW_DEVICE_KEY, "KEY_REVOKED", {here: 6})],
        ),
        (
            "handed over to a key that was revoked before",
            "KEY_REVOKED",
            [*good[:3], handed],
            [ended(NEW_DEVICE_KEY, "KEY_REVOKED", {here: 3})],
        ),
    ]
    return [
        {
            "name": name,
            "envelopes": [e.hex() for e in envelopes],
            "accepted": len(envelopes) - (code is not None),
            "code": code,
            **({"ended_keys": ends} if ends else {}),
        }
        for name, code, envelopes, ends in revoked
    ]


def ended(key: ec.EllipticCurvePrivateKey, code: str, through: dict[str, int]) -> dict[str, Any]:
    epochs = [{"epoch": epoch, "through_seq": seq} for epoch, seq in through.items()]
    return {"key_id": key_id(key.public_key()), "code": code, "epochs": epochs}


def _changed(envelope: bytes, at: bytes, to: bytes) -> bytes:
    assert envelope.count(at) == 1
    return envelope.replace(at, to)


def cases() -> list[dict[str, Any]]:
    good = good_chain()
    head = envelope_sha256(good[1])
    third = bytes_of(alarm(3, head))
    signature = Envelope.FromString(good[2]).signatures[0].sig
    two = Envelope.FromString(good[2])
    two.signatures.append(two.signatures[0])
    other_booth = bytes_of(arrived(3, head, booth_id="spiffe://uslrd/booth/lane-2"))
    bad: list[tuple[str, str, list[bytes]]] = [
        ("not an envelope", "MALFORMED_ENVELOPE", [*good[:2], b"\xff" * 20]),
        ("two signatures", "MALFORMED_ENVELOPE", [*good[:2], two.SerializeToString()]),
        ("wrong payload type", "WRONG_PAYLOAD_TYPE", [*good[:2], sealed(third, SESSION_KEY, "text/plain")]),
        ("wrong key", "UNKNOWN_KEY", [*good[:2], sealed(third, STRANGER_KEY)]),
        ("session key before its session", "UNKNOWN_KEY", [good[1]]),
        (
            "key of the session before",
            "UNKNOWN_KEY",
            [*good[:4], sealed(bytes_of(arrived(5, envelope_sha256(good[3]))), SESSION_KEY)],
        ),
        ("bad signature", "BAD_SIGNATURE", [*good[:2], _changed(good[2], signature, signature[:-1] + b"\0")]),
        ("one changed byte of the payload", "BAD_SIGNATURE", [*good[:2], _changed(good[2], b"portal-1", b"portal-2")]),
        ("signed, but no event", "MALFORMED_EVENT", [*good[:2], sealed(b"\xff\xff", SESSION_KEY)]),
        ("an event without a body", "MALFORMED_EVENT", [*good[:2], sealed(bytes_of(event(3, head)), SESSION_KEY)]),
        ("wrong booth", "WRONG_BOOTH", [*good[:2], sealed(other_booth, SESSION_KEY)]),
        ("wrong epoch", "WRONG_EPOCH", [*good[:2], sealed(bytes_of(arrived(3, head, epoch=bytes(16))), SESSION_KEY)]),
        ("gap", "GAP", [good[0], good[2]]),
        ("replayed", "REPLAYED", [*good[:3], good[1]]),
        ("fork", "FORK", [*good[:3], sealed(bytes_of(alarm(2, envelope_sha256(good[0]))), SESSION_KEY)]),
        ("broken chain", "BROKEN_CHAIN", [*good[:2], sealed(bytes_of(alarm(3, GENESIS)), SESSION_KEY)]),
        ("an event signed by the device key", "WRONG_SIGNER", [*good[:2], sealed(third, DEVICE_KEY)]),
        (
            "a session opened by a session key",
            "WRONG_SIGNER",
            [*good[:2], sealed(bytes_of(session_opened(3, head, NEXT_SESSION_KEY)), SESSION_KEY)],
        ),
    ]
    made: list[dict[str, Any]] = [
        {"name": "good", "envelopes": [e.hex() for e in good], "accepted": len(good), "code": None}
    ]
    made += [
        {
            "name": name,
            "envelopes": [e.hex() for e in envelopes],
            "accepted": len(envelopes) - 1,
            "code": code,
            **({"quarantine": True} if name == "an event without a body" else {}),
        }
        for name, code, envelopes in bad
    ]
    oversized = [e.hex() for e in good[:2]] + ["00"]
    made.append(
        {
            "name": "oversized",
            "envelopes": oversized,
            "repeat_last": MAX_ENVELOPE_BYTES + 1,
            "accepted": 2,
            "code": "OVERSIZED",
        }
    )
    return made + key_cases()


def parts_of(data: bytes) -> str | list[list[Any]]:
    """Hex, or where one byte stands often in a row [hex, times] in turn."""
    parts: list[list[Any]] = []
    for byte, run in groupby(data):
        length = sum(1 for _ in run)
        if length >= _LONG_RUN:
            parts.append([f"{byte:02x}", length])
        elif parts and parts[-1][1] == 1:
            parts[-1][0] += f"{byte:02x}" * length
        else:
            parts.append([f"{byte:02x}" * length, 1])
    return data.hex() if len(parts) < 2 else parts


def document() -> dict[str, Any]:
    first = good_chain()[0]
    envelope = Envelope.FromString(first)
    return {
        "about": "Verify each case from the beginning: `accepted` envelopes verify, the next is refused with `code`. "
        "With `repeat_last`, the last envelope is that many times its bytes; `ended_keys` is what ListBooths says. See "
        "docs/wire.md.",
        "payload_type": PAYLOAD_TYPE,
        "booth_id": BOOTH,
        "epoch": EPOCH.hex(),
        "certificate": certificate().hex(),
        "device_key_id": key_id(DEVICE_KEY.public_key()),
        "worked_example": {
            "payload": envelope.payload.hex(),
            "pae": pae(PAYLOAD_TYPE, envelope.payload).hex(),
            "signature": envelope.signatures[0].sig.hex(),
            "envelope": first.hex(),
            "envelope_sha256": envelope_sha256(first).hex(),
        },
        "cases": cases(),
    }


def text() -> str:
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if FILE.read_text() == text() else "envelopes.json is not what this script writes")
    FILE.write_text(text())
