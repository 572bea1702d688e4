"""How a booth gets its first certificate: the token that a person carries to it, and what a request must be.

A token is `ea1.` and base64url of a JSON object with `booth`, `id`, `secret` (hex) and `gateway`: SHA-256 of the
certificate that the port's enrolment shows in TLS. With it the first contact cannot be fooled.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from enum import Enum, auto

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.domain.errors import IdentityInvalid, Permanent
from edge_agent.wire.identity import CERTIFICATE_FAULTS, SpiffeId, uri_names

PREFIX = "ea1."
MAX_TOKEN_CHARACTERS = 1024
MAX_REQUEST_BYTES = 4096
SECRET_BYTES = 32


class EnrollmentFault(Enum):
    """Why no certificate was issued; its name is at the beginning of the status's details."""

    TOKEN_WRONG = auto()
    TOKEN_USED = auto()
    TOKEN_EXPIRED = auto()
    REQUEST_INVALID = auto()
    REQUEST_OF_ANOTHER = auto()
    KEY_ENDED = auto()
    CLOCK_WRONG = auto()
    NO_AUTHORITY = auto()
    NOT_DUE = auto()


class NotEnrolled(Permanent):
    """No certificate was issued; `fault` says why."""

    def __init__(self, fault: EnrollmentFault, detail: str, remedy: str = "") -> None:
        super().__init__(f"{fault.name}: {detail}", remedy)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Token:
    """One-time leave to enrol `booth`."""

    booth: SpiffeId
    id: str
    secret: bytes
    gateway_sha256: bytes

    def __str__(self) -> str:
        fields = {
            **{"booth": str(self.booth), "id": self.id, "secret": self.secret.hex()},
            "gateway": self.gateway_sha256.hex(),
        }
        return PREFIX + base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "Token":
        """Raises NotEnrolled; its message does not repeat the token."""
        try:
            if not text.startswith(PREFIX) or len(text) > MAX_TOKEN_CHARACTERS:
                raise ValueError
            encoded = text.removeprefix(PREFIX)
            fields = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
            token = cls(
                SpiffeId.parse(fields["booth"]),
                str(fields["id"]),
                bytes.fromhex(fields["secret"]),
                bytes.fromhex(fields["gateway"]),
            )
            if len(token.secret) != SECRET_BYTES or len(token.gateway_sha256) != 32:
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError, binascii.Error, IdentityInvalid):
            raise NotEnrolled(
                EnrollmentFault.TOKEN_WRONG, "this is no token of `port-gateway enroll token`", "copy it whole"
            ) from None
        return token


def read_request(der: bytes) -> tuple[ec.EllipticCurvePublicKey, list[str]]:
    """The P-256 key for which a PKCS#10 request asks, signed by it, and its URI names. Raises NotEnrolled."""
    invalid = EnrollmentFault.REQUEST_INVALID
    try:
        if len(der) > MAX_REQUEST_BYTES:
            raise ValueError
        request = x509.load_der_x509_csr(der)
        names = uri_names(request.extensions)
        key = request.public_key()
        signed = request.is_signature_valid
    except CERTIFICATE_FAULTS:
        raise NotEnrolled(invalid, "this is no PKCS#10 request in DER") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise NotEnrolled(invalid, "the key is not P-256", "make one with `edge-agent keys init`")
    if not signed:
        raise NotEnrolled(invalid, "it is not signed by its own key")
    return key, names


def requested(der: bytes, identity: SpiffeId) -> ec.EllipticCurvePublicKey:
    """The key of `read_request`, asked for `identity` alone. Raises NotEnrolled."""
    key, names = read_request(der)
    if names != [str(identity)]:
        shown = ", ".join(names)[:200] or "nobody"
        raise NotEnrolled(EnrollmentFault.REQUEST_OF_ANOTHER, f"it names {shown!r}, and this is {identity}")
    return key
