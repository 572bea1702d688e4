"""Writes forgeries.json: one case for each way in which a chain can be forged, in the form of envelopes.json.

    python -m tests.vectors.make_forgery_vectors           write the file
    python -m tests.vectors.make_forgery_vectors --check   compare it with what would be written

An envelope is hex, or a list of [hex, times] to be put together: limits are long. Deterministic, as make_vectors.py.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES, PAYLOAD_TYPE, envelope_sha256, pae
from edge_agent.wire.identity import key_id, spki
from edge_agent.wire.quarantine import MAX_QUARANTINED_BYTES
from edge_agent.wire.rotation import MAX_CERTIFICATE_BYTES, ROTATION_TYPE, possession_message
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1.envelope_pb2 import Envelope, Signature
from tests.vectors.make_vectors import (
    BOOTH,
    DEVICE_KEY,
    EPOCH,
    GENESIS,
    NEW_DEVICE_KEY,
    NEXT_SESSION_KEY,
    SESSION_KEY,
    STRANGER_KEY,
    THIRD_DEVICE_KEY,
    PrivateKey,
    alarm,
    arrived,
    bytes_of,
    certificate,
    ended,
    event,
    good_chain,
    parts_of,
    rotated,
    sealed,
    session_opened,
)  # fmt: skip

FILE = Path(__file__).with_name("forgeries.json")
OTHER_BOOTH = "spiffe://uslrd/booth/lane-2"
OTHER_EPOCH = bytes(range(16, 32))
P256_SESSION_KEY = ec.derive_private_key(0x5E5510, ec.SECP256R1())
P384_KEY = ec.derive_private_key(0x384384384, ec.SECP384R1())
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
Case = tuple[str, str | None, list[bytes], list[dict[str, Any]]]

GOOD = good_chain()
HEAD2, HEAD3 = envelope_sha256(GOOD[1]), envelope_sha256(GOOD[2])
THIRD = bytes_of(alarm(3, HEAD2))


def by_session(made: wire.Event, key: PrivateKey = SESSION_KEY) -> bytes:
    return sealed(bytes_of(made), key)


def with_signature(payload: bytes, sig: bytes, keyid: str, payload_type: str = PAYLOAD_TYPE) -> bytes:
    signatures = [Signature(sig=sig, keyid=keyid)]
    return Envelope(payload=payload, payload_type=payload_type, signatures=signatures).SerializeToString()


def keys() -> Iterator[Case]:
    """Whose key signed, and what it may sign."""
    session = key_id(SESSION_KEY.public_key())
    forged = STRANGER_KEY.sign(pae(PAYLOAD_TYPE, THIRD))
    yield "the session's key id over a stranger's signature", "BAD_SIGNATURE", *_third(THIRD, forged, session)
    good = SESSION_KEY.sign(pae(PAYLOAD_TYPE, THIRD))
    yield "a key id in upper case", "UNKNOWN_KEY", *_third(THIRD, good, session.upper())
    yield "no key id", "UNKNOWN_KEY", *_third(THIRD, good, "")
    stranger = sealed(bytes_of(session_opened(1, GENESIS, SESSION_KEY)), THIRD_DEVICE_KEY)
    yield "a session opened by a key that is not registered", "UNKNOWN_KEY", [stranger], []
    p256 = sealed(bytes_of(session_opened(4, HEAD3, P256_SESSION_KEY)), DEVICE_KEY)
    after = by_session(arrived(5, envelope_sha256(p256)), P256_SESSION_KEY)
    yield "a P-256 session key", None, [*GOOD[:3], p256, after], []
    by_p384 = event(4, HEAD3)
    by_p384.session_opened.public_key = spki(P384_KEY.public_key())
    yield "a P-384 session key", "MALFORMED_EVENT", [*GOOD[:3], sealed(bytes_of(by_p384), DEVICE_KEY)], []
    none = event(4, HEAD3)
    none.session_opened.agent_version = "0.1.0"
    yield "a session without a key", "MALFORMED_EVENT", [*GOOD[:3], sealed(bytes_of(none), DEVICE_KEY)], []
    own = sealed(bytes_of(session_opened(4, HEAD3, DEVICE_KEY)), DEVICE_KEY)
    yield "a device key as its own session key", "WRONG_SIGNER", [*GOOD[:3], own], []


def _third(payload: bytes, sig: bytes, keyid: str) -> tuple[list[bytes], list[dict[str, Any]]]:
    return [*GOOD[:2], with_signature(payload, sig, keyid)], []


def signatures() -> Iterator[Case]:
    """What was signed, and other bytes for the same signature."""
    session, device = key_id(SESSION_KEY.public_key()), key_id(DEVICE_KEY.public_key())
    sig = Envelope.FromString(GOOD[2]).signatures[0].sig
    re_typed = SESSION_KEY.sign(pae("text/plain", THIRD))
    yield "signed as another type, sent as an event", "BAD_SIGNATURE", *_third(THIRD, re_typed, session)
    possession = SESSION_KEY.sign(pae(ROTATION_TYPE, THIRD))
    yield "signed as a proof of possession, sent as an event", "BAD_SIGNATURE", *_third(THIRD, possession, session)
    bare = SESSION_KEY.sign(THIRD)
    yield "the payload signed without its type", "BAD_SIGNATURE", *_third(THIRD, bare, session)
    for name, kind in (
        ("an event, sent as another type", "application/vnd.edge-agent.event.v1+protobuf"),
        ("the payload type in upper case", PAYLOAD_TYPE.upper()),
        ("a blank after the payload type", PAYLOAD_TYPE + " "),
        ("no payload type", ""),
    ):
        yield name, "WRONG_PAYLOAD_TYPE", [*GOOD[:2], with_signature(THIRD, sig, session, kind)], []
    higher = int.from_bytes(sig[32:], "little") + _ED25519_ORDER
    beyond = sig[:32] + higher.to_bytes(32, "little")
    yield "Ed25519 with S beyond the group's order", "BAD_SIGNATURE", *_third(THIRD, beyond, session)
    yield "no signature's bytes", "BAD_SIGNATURE", *_third(THIRD, b"", session)
    yield "a signature of 129 bytes", "BAD_SIGNATURE", *_third(THIRD, sig + bytes(65), session)

    opening = Envelope.FromString(GOOD[3])
    ecdsa = opening.signatures[0].sig
    r, s = decode_dss_signature(ecdsa)
    other = with_signature(opening.payload, encode_dss_signature(r, _P256_ORDER - s), device)
    yield "the other S of ECDSA: the link after it breaks", "BROKEN_CHAIN", [*GOOD[:3], other, GOOD[4]], []
    for name, der in (("ECDSA with a byte after it", ecdsa + b"\0"), ("ECDSA, not in DER", _not_der(ecdsa))):
        yield name, "BAD_SIGNATURE", [*GOOD[:3], with_signature(opening.payload, der, device)], []


def _not_der(sig: bytes) -> bytes:
    """The same numbers with the length in its long form, which BER allows and DER does not."""
    return sig[:1] + b"\x81" + sig[1:]


def forms() -> Iterator[Case]:
    """The same message in other bytes, and bytes that are no message."""
    third = Envelope.FromString(GOOD[2])
    payload = b"\x0a" + _varint(len(third.payload)) + third.payload
    kind = b"\x12" + _varint(len(PAYLOAD_TYPE)) + PAYLOAD_TYPE.encode()
    inner = third.signatures[0].SerializeToString()
    signature = b"\x1a" + _varint(len(inner)) + inner
    assert payload + kind + signature == GOOD[2]
    sig, keyid = inner[: 2 + 64], inner[2 + 64 :]
    turned = b"\x1a" + _varint(len(inner)) + keyid + sig
    longer = b"\x0a" + _long(len(third.payload))
    emptied = b"\x1a" + _varint(len(inner) + 2) + sig + b"\x12\x00" + keyid
    stuffed = b"\x1a" + _varint(len(inner) + 3) + inner + b"\x1a\x01x"
    for name, data in (
        ("re-serialised: fields in another order", kind + payload + signature),
        ("re-serialised: the signature's fields in another order", payload + kind + turned),
        ("re-serialised: a length in more bytes", longer + third.payload + kind + signature),
        ("re-serialised: a field number in more bytes", b"\x8a\x00" + payload[1:] + kind + signature),
        ("re-serialised: the payload twice", b"\x0a\x01x" + payload + kind + signature),
        ("an unknown field after the signature", payload + kind + signature + b"\x22\x03abc"),
        ("an unknown field inside the signature", payload + kind + stuffed),
        ("an unknown group", payload + kind + signature + b"\x23\x24"),
        ("an empty field, written out", payload + kind + emptied),
        ("a byte after the end", GOOD[2] + b"\0"),
        ("cut off in the middle", GOOD[2][:-40]),
        ("no bytes at all", b""),
        ("no signature", payload + kind),
        ("a payload type that is no UTF-8", payload + b"\x12\x01\xff" + signature),
    ):
        yield name, "MALFORMED_ENVELOPE", [*GOOD[:2], data], []

    fields = wire.Event.FromString(THIRD)
    tail = wire.Event(alarm_raised=fields.alarm_raised).SerializeToString()
    fields.ClearField("alarm_raised")
    moved = tail + fields.SerializeToString(deterministic=True)
    assert wire.Event.FromString(moved) == wire.Event.FromString(THIRD)
    other = with_signature(moved, third.signatures[0].sig, third.signatures[0].keyid)
    yield "re-serialised: the payload's fields in another order", "BAD_SIGNATURE", [*GOOD[:2], other], []
    yield "the same order, when the booth signed it", None, [*GOOD[:2], sealed(moved, SESSION_KEY)], []


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _long(value: int) -> bytes:
    """A varint with a byte more than it needs."""
    short = _varint(value)
    return short[:-1] + bytes([short[-1] | 0x80, 0])


def events() -> Iterator[Case]:
    """Signed by the right key, and no event that can be used."""

    def changed(**fields: Any) -> list[bytes]:
        made = alarm(3, HEAD2)
        for name, value in fields.items():
            if value is None:
                made.ClearField(name)  # type: ignore[arg-type]
            else:
                setattr(made, name, value)
        return [*GOOD[:2], by_session(made)]

    yield "an event without an id", "MALFORMED_EVENT", changed(id=""), []
    yield "an event without a time", "MALFORMED_EVENT", changed(at=None), []
    yield "an event with sequence 0", "MALFORMED_EVENT", changed(seq=0), []
    for size in (31, 33):
        made = alarm(3, HEAD2)
        made.evidence[0].sha256 = bytes(size)
        yield f"an evidence digest of {size} bytes", "MALFORMED_EVENT", [*GOOD[:2], by_session(made)], []
    unknown = bytes_of(event(3, HEAD2)) + b"\xfa\x7f\x03abc"  # field 2047
    yield "a body that this version does not know", "MALFORMED_EVENT", [*GOOD[:2], sealed(unknown, SESSION_KEY)], []
    extra = sealed(THIRD + b"\xfa\x7f\x03abc", SESSION_KEY)
    yield "an unknown field beside a known body", None, [*GOOD[:2], extra], []
    for name, code, after in (
        ("an unknown group beside a known body", None, b"\xfb\x7f\xfc\x7f"),
        ("an unknown group that another ends", "MALFORMED_EVENT", b"\xfb\x7f\x0c"),
        ("a field that is longer than the event", "MALFORMED_EVENT", b"\xfa\x7f\x04abc"),
    ):
        yield name, code, [*GOOD[:2], sealed(THIRD + after, SESSION_KEY)], []
    spoilt = THIRD.replace(b"portal-1", b"portal\xff1")
    name = "text that is no UTF-8, deep inside"
    yield name, "MALFORMED_EVENT", [*GOOD[:2], sealed(spoilt, SESSION_KEY)], []
    yield "an epoch of 15 bytes", "WRONG_EPOCH", changed(epoch=EPOCH[:15]), []
    yield "a previous digest of 31 bytes", "BROKEN_CHAIN", changed(previous_sha256=HEAD2[:31]), []
    first = sealed(bytes_of(session_opened(1, b"", SESSION_KEY)), DEVICE_KEY)
    yield "a first event without the zeros", "BROKEN_CHAIN", [first], []


def chains() -> Iterator[Case]:
    """Whole events, genuine each, that are not this chain."""
    twin = by_session(arrived(2, envelope_sha256(GOOD[0]), cause="plate"))
    twin3 = by_session(alarm(3, envelope_sha256(twin)))
    yield "the last event again", "REPLAYED", [*GOOD, GOOD[4]], []
    yield "the first event again", "REPLAYED", [*GOOD[:3], GOOD[0]], []
    yield "another last event", "FORK", [*GOOD[:2], twin], []
    again = sealed(bytes_of(session_opened(1, GENESIS, NEXT_SESSION_KEY)), DEVICE_KEY)
    yield "another first event", "FORK", [*GOOD[:3], again], []
    yield "spliced: the end of another ledger of the same session", "BROKEN_CHAIN", [*GOOD[:2], twin3], []
    elsewhere = sealed(bytes_of(session_opened(1, GENESIS, SESSION_KEY, OTHER_EPOCH)), DEVICE_KEY)
    yield "spliced: the beginning of another epoch", "WRONG_EPOCH", [elsewhere], []
    there = by_session(arrived(2, envelope_sha256(elsewhere), epoch=OTHER_EPOCH))
    yield "spliced: the middle of another epoch", "WRONG_EPOCH", [GOOD[0], there], []
    yield "cut out in the middle", "GAP", [GOOD[0], GOOD[2]], []
    yield "two events exchanged", "GAP", [GOOD[0], GOOD[2], GOOD[1]], []
    yield "the head is missing: it begins at a session", "GAP", GOOD[3:], []
    yield "the head is missing: it begins within a session", "UNKNOWN_KEY", GOOD[1:], []
    highest = alarm(3, HEAD2)
    highest.seq = 2**64 - 1
    yield "the highest sequence that there is", "GAP", [*GOOD[:2], by_session(highest)], []


def rotations() -> Iterator[Case]:
    """A booth that hands over to a new key, and everybody who would like to."""
    handed = by_session(rotated(4, HEAD3))
    head = envelope_sha256(handed)
    for name, code, signer in (
        ("a stranger", "UNKNOWN_KEY", STRANGER_KEY),
        ("the new key", "UNKNOWN_KEY", NEW_DEVICE_KEY),
        ("the device key", "WRONG_SIGNER", DEVICE_KEY),
    ):
        yield f"a rotation signed by {name}", code, [*GOOD[:3], by_session(rotated(4, HEAD3), signer)], []
    late = by_session(rotated(5, head, new=THIRD_DEVICE_KEY))
    yield "a rotation by a session of a retired key", "KEY_RETIRED", [*GOOD[:3], handed, late], []
    after = sealed(bytes_of(session_opened(5, head, NEXT_SESSION_KEY)), NEW_DEVICE_KEY)
    back = rotated(6, envelope_sha256(after), NEW_DEVICE_KEY, DEVICE_KEY)
    returned = by_session(back, NEXT_SESSION_KEY)
    yield "a rotation back to a retired key", "KEY_RETIRED", [*GOOD[:3], handed, after, returned], []
    further = [ended(DEVICE_KEY, "KEY_REVOKED", {EPOCH.hex(): 5})]
    still = by_session(arrived(5, head))
    yield "a retired key's session, and a revocation further on", "KEY_RETIRED", [*GOOD[:3], handed, still], further
    revoked = [ended(DEVICE_KEY, "KEY_REVOKED", {EPOCH.hex(): 3})]
    yield "a rotation by a session of a revoked key", "KEY_REVOKED", [*GOOD[:3], handed], revoked
    yield "a rotation to the same key", "WRONG_SIGNER", [*GOOD[:3], by_session(rotated(4, HEAD3, new=DEVICE_KEY))], []
    yield "a rotation to the session's own key", "WRONG_SIGNER", *_handed(certificate(SESSION_KEY), SESSION_KEY)
    yield "a new key's signature for another old key", "NOT_POSSESSED", *_handed(possessed={"old": THIRD_DEVICE_KEY})
    yield "a new key's signature for another epoch", "NOT_POSSESSED", *_handed(possessed={"epoch": OTHER_EPOCH})
    yield "a new key's signature for another booth", "NOT_POSSESSED", *_handed(possessed={"booth": OTHER_BOOTH})
    yield "a new key's signature of 129 bytes", "NOT_POSSESSED", *_handed(pad=129)
    yield "a new certificate of another booth", "WRONG_BOOTH", *_handed(certificate(NEW_DEVICE_KEY, OTHER_BOOTH))
    gateway = certificate(NEW_DEVICE_KEY, "spiffe://uslrd/gateway/lane-1")
    yield "a new certificate of a gateway", "WRONG_BOOTH", *_handed(gateway)
    for name, der in (
        ("two identities", certificate(NEW_DEVICE_KEY, BOOTH, OTHER_BOOTH)),
        ("an identity of no form", certificate(NEW_DEVICE_KEY, BOOTH.upper())),
        ("another issuer", certificate(NEW_DEVICE_KEY, issuer=DEVICE_KEY)),
        ("a P-384 key", certificate(P384_KEY)),
        ("a byte after it", certificate(NEW_DEVICE_KEY) + b"\0"),
        ("no bytes", b""),
    ):
        yield f"a new certificate with {name}", "MALFORMED_EVENT", *_handed(der)
    yield "a new Ed25519 device key", None, *_handed(certificate(STRANGER_KEY), STRANGER_KEY)
    at_limit = _certificate_of(MAX_CERTIFICATE_BYTES)
    yield "a new certificate of 8,192 bytes", None, *_handed(at_limit)
    over = _certificate_of(MAX_CERTIFICATE_BYTES + 1)
    yield "a new certificate of 8,193 bytes", "MALFORMED_EVENT", *_handed(over)


def _handed(
    der: bytes | None = None, key: PrivateKey = NEW_DEVICE_KEY, possessed: dict[str, Any] | None = None, pad: int = 0
) -> tuple[list[bytes], list[dict[str, Any]]]:
    """A chain that ends in a KeyRotated with this certificate; what the new key signed says `possessed`."""
    der = certificate(key) if der is None else der
    said = {"booth": BOOTH, "epoch": EPOCH, "old": DEVICE_KEY, **(possessed or {})}
    message = possession_message(said["booth"], said["epoch"], key_id(said["old"].public_key()), der)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        proof = key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    else:
        proof = key.sign(message)
    made = event(4, HEAD3)
    made.key_rotated.CopyFrom(wire.KeyRotated(certificate=der, possession=proof.ljust(pad, b"\0")))
    return [*GOOD[:3], by_session(made)], []


def _certificate_of(size: int) -> bytes:
    """A certificate of exactly so many bytes: its signature's length varies with what it signs."""
    beside = len(certificate(NEW_DEVICE_KEY, extension=bytes(size - 1000))) - (size - 1000)
    for byte in range(256):
        der = certificate(NEW_DEVICE_KEY, extension=bytes([byte]) * (size - beside))
        if len(der) == size:
            return der
    raise AssertionError(f"no filling makes {size} bytes")


def limits() -> Iterator[Case]:
    yield "an envelope of 131,072 bytes", None, [*GOOD[:2], _envelope_of(MAX_ENVELOPE_BYTES)], []
    for size in (MAX_ENVELOPE_BYTES + 1, MAX_QUARANTINED_BYTES, MAX_QUARANTINED_BYTES + 1):
        yield f"an envelope of {size:,} bytes", "OVERSIZED", [*GOOD[:2], _envelope_of(size)], []


def _envelope_of(size: int) -> bytes:
    made = alarm(3, HEAD2)
    made.alarm_raised.raw = bytes(size - len(GOOD[2]))
    made.alarm_raised.raw = bytes(size - len(GOOD[2]) - (len(by_session(made)) - size))
    envelope = by_session(made)
    assert len(envelope) == size
    return envelope


def all_cases() -> list[Case]:
    parts = (keys, signatures, forms, events, chains, rotations, limits)
    return [case for part in parts for case in part()]


def listed(cases: Sequence[Case]) -> list[dict[str, Any]]:
    names = [name for name, _, _, _ in cases]
    assert len(set(names)) == len(names)
    return [
        {
            "name": name,
            "envelopes": [parts_of(envelope) for envelope in envelopes],
            "accepted": len(envelopes) - (code is not None) if name not in _EARLIER else _EARLIER[name],
            "code": code,
            **({"quarantine": True} if name in _OF_CONTENT else {}),
            **({"ended_keys": ends} if ends else {}),
        }
        for name, code, envelopes, ends in cases
    ]


# Where envelopes stand after the one that is refused.
_EARLIER = {
    "two events exchanged": 1,
    "the head is missing: it begins at a session": 0,
    "the head is missing: it begins within a session": 0,
}

# Signed by the session key and linked: a port may keep the refused event in its place, in quarantine.
_OF_CONTENT = {
    "an event without an id",
    "an event without a time",
    "an evidence digest of 31 bytes",
    "an evidence digest of 33 bytes",
    "a body that this version does not know",
    "text that is no UTF-8, deep inside",
    "an envelope of 131,073 bytes",
    "an envelope of 262,144 bytes",
}


def text() -> str:
    document = {
        "about": "As envelopes.json; an envelope is hex, or a list of [hex, times] to be put together. See README.md.",
        "payload_type": PAYLOAD_TYPE,
        "booth_id": BOOTH,
        "epoch": EPOCH.hex(),
        "certificate": certificate().hex(),
        "cases": listed(all_cases()),
    }
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if FILE.read_text() == text() else "forgeries.json is not what this script writes")
    FILE.write_text(text())
