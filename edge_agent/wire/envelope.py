"""DSSE envelopes: the bytes that are signed, stored, hashed, sent and verified for ever.

Source: DSSE protocol v1.0.2 (secure-systems-lab/dsse, protocol.md).
"""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.message import DecodeError

from edge_agent.wire import ed25519
from edge_agent.wire.identity import PublicKey
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1.envelope_pb2 import Envelope, Signature

PAYLOAD_TYPE = "application/vnd.edge-agent.event.v1alpha1+protobuf"
# An inspection with forty seals and per-character alternatives has about 30 kB; a batch carries 256 KiB.
MAX_ENVELOPE_BYTES = 128 * 1024
MAX_SIGNATURE_BYTES = 128  # ECDSA P-256 in DER has at most 72


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed. Lengths count bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def write_envelope(payload: bytes, signature: bytes, keyid: str) -> bytes:
    """The envelope's bytes around a signed event payload."""
    return Envelope(
        payload=payload, payload_type=PAYLOAD_TYPE, signatures=[Signature(sig=signature, keyid=keyid)]
    ).SerializeToString()


def read_envelope(data: bytes, max_bytes: int = MAX_ENVELOPE_BYTES) -> tuple[bytes, Signature]:
    """The unverified payload and its signature. Raises Refused: oversized, malformed, wrong payload type.

    One form alone is accepted: what Protocol Buffers would let stand beside it, or written in another way, is signed
    by nobody and would change the envelope's digest.
    """
    if len(data) > max_bytes:
        raise Refused(RefusalCode.OVERSIZED, f"{len(data)} bytes, at most {max_bytes}")
    try:
        envelope = Envelope.FromString(data)
    except DecodeError:
        raise Refused(RefusalCode.MALFORMED_ENVELOPE, "not a DSSE envelope") from None
    if len(envelope.signatures) != 1:
        raise Refused(
            RefusalCode.MALFORMED_ENVELOPE,
            f"{len(envelope.signatures)} signatures, there must be exactly one",
        )
    if envelope.payload_type != PAYLOAD_TYPE:
        raise Refused(RefusalCode.WRONG_PAYLOAD_TYPE, f"{envelope.payload_type[:100]!r} is not {PAYLOAD_TYPE}")
    signature = envelope.signatures[0]
    if write_envelope(envelope.payload, signature.sig, signature.keyid) != data:
        raise Refused(RefusalCode.MALFORMED_ENVELOPE, "written in another form than the one that is accepted")
    return envelope.payload, signature


def check_signature(key: PublicKey, payload: bytes, signature: bytes) -> None:
    """Returns if `key` signed `payload` as an event. Raises Refused(BAD_SIGNATURE)."""
    if len(signature) > MAX_SIGNATURE_BYTES or not signed_by(key, pae(PAYLOAD_TYPE, payload), signature):
        raise Refused(RefusalCode.BAD_SIGNATURE, "the signature does not belong to these bytes and this key")


def signed_by(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether `key` signed `message`: Ed25519, or ECDSA with SHA-256 in DER."""
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
            return True
    except InvalidSignature:
        return False
    return ed25519.signed(key, message, signature)


def envelope_sha256(data: bytes) -> bytes:
    """The link of the chain: SHA-256 over the envelope's bytes as the booth wrote them."""
    return hashlib.sha256(data).digest()
