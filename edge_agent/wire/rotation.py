"""A booth that hands over to a new device key: what both keys sign, and what a verifier checks of it.

The old key speaks by a session that it vouched for, which signs the KeyRotated like any other event. The new key
signs `possession_message`, so that nobody can be made the owner of what a key that he does not hold has signed.
"""

from cryptography import x509

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.wire.envelope import MAX_SIGNATURE_BYTES, pae, signed_by
from edge_agent.wire.identity import CERTIFICATE_FAULTS, PublicKey, SpiffeId, certificate_key, identity_of, key_id
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1.event_pb2 import KeyRotated

ROTATION_TYPE = "application/vnd.edge-agent.key-rotation.v1alpha1"
MAX_CERTIFICATE_BYTES = 8192


def possession_message(booth_id: str, epoch: bytes, old_key_id: str, certificate: bytes) -> bytes:
    """What the new key signs: the booth, its epoch, the old key's id and the new certificate (DER), under a type."""
    return pae(ROTATION_TYPE, booth_id.encode() + b"\0" + epoch + bytes.fromhex(old_key_id) + certificate)


def new_key(rotated: KeyRotated, booth_id: str, epoch: bytes, old_key_id: str, seq: int) -> tuple[str, PublicKey]:
    """The new device key and its id. Raises Refused: MALFORMED_EVENT, WRONG_BOOTH, WRONG_SIGNER, NOT_POSSESSED."""
    try:
        if len(rotated.certificate) > MAX_CERTIFICATE_BYTES:
            raise ValueError
        certificate = x509.load_der_x509_certificate(rotated.certificate)
        identity, key = identity_of(certificate), certificate_key(certificate)
        certificate.verify_directly_issued_by(certificate)
        _ = certificate.subject, certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except (*CERTIFICATE_FAULTS, IdentityInvalid):
        raise Refused(RefusalCode.MALFORMED_EVENT, "a rotation without a usable certificate", seq) from None
    if identity != SpiffeId.parse(booth_id):
        raise Refused(RefusalCode.WRONG_BOOTH, f"the new key's certificate is that of {identity}", seq)
    new_id = key_id(key)
    if new_id == old_key_id or not old_key_id:
        raise Refused(RefusalCode.WRONG_SIGNER, "a booth hands over to another key than its own", seq)
    message = possession_message(booth_id, epoch, old_key_id, rotated.certificate)
    if len(rotated.possession) > MAX_SIGNATURE_BYTES or not signed_by(key, message, rotated.possession):
        raise Refused(RefusalCode.NOT_POSSESSED, "the new key has not signed for this booth, epoch and old key", seq)
    return new_id, key
