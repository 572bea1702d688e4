"""RFC 3161 time tokens: an authority beside booth and port says when it saw a signed receipt. No input or output.

The message imprint is SHA-512 over the whole signed note, byte for byte: text, blank line and signature.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)
from rfc3161_client.tsp import PKIStatus

from edge_agent.domain.errors import Permanent
from edge_agent.wire.signing_certificate import names_signer

# A token with the certificates of its authority takes 2 to 10 KB.
MAX_RESPONSE_BYTES = 64 * 1024
_SHA512 = "2.16.840.1.101.3.4.2.3"
_OTHER = "look at the time-stamp authority's address and at its certificate in the settings"


class TimeTokenInvalid(Permanent):
    """A time-stamp authority's answer that does not verify."""


@dataclass(frozen=True, slots=True)
class TimeToken:
    """`response`: the authority's whole answer (TimeStampResp, DER); `authority`: its root certificate (DER)."""

    response: bytes
    authority: bytes

    @property
    def root_name(self) -> str:
        return x509.load_der_x509_certificate(self.authority).subject.rfc4514_string()

    @property
    def root_sha256(self) -> str:
        """Of the root certificate, in hex: what authorities publish as its fingerprint."""
        return hashlib.sha256(self.authority).hexdigest()

    @property
    def accuracy_us(self) -> int | None:
        """By how many microseconds the time may be wrong, as the token states; None where it states nothing.

        Of a token that was verified. Raises TimeTokenInvalid.
        """
        stated = _decoded(self.response).tst_info.accuracy
        if stated is None:
            return None
        return (stated.seconds or 0) * 1_000_000 + (stated.millis or 0) * 1000 + (stated.micros or 0)

    def verified(self, note: bytes) -> datetime:
        """The time (UTC) at which the authority saw exactly `note`. Raises TimeTokenInvalid."""
        return _verified(VerifierBuilder(), self, note)


class TimeQuery:
    """A question to an authority: `data` is the TimeStampReq (DER), with a nonce and the wish for certificates."""

    def __init__(self, note: bytes) -> None:
        self._note = note
        self._request = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA512).build()
        self.data = self._request.as_bytes()

    def taken(self, token: TimeToken) -> datetime:
        """The time that an answer states, if it is one to this question: its nonce, too. Raises TimeTokenInvalid."""
        return _verified(VerifierBuilder.from_request(self._request), token, self._note)


def _verified(builder: VerifierBuilder, token: TimeToken, note: bytes) -> datetime:
    verifier = builder.add_root_certificate(x509.load_der_x509_certificate(token.authority)).build()
    response = _decoded(token.response)
    try:
        verifier.verify_message(response, note)
        if not names_signer(response.time_stamp_token(), _signer(response)):
            raise TimeTokenInvalid("the time token names another certificate of its signer (RFC 5035)", _OTHER)
        digest = response.tst_info.message_imprint.hash_algorithm.dotted_string
        if digest != _SHA512:
            raise TimeTokenInvalid(f"the time token is over {digest} instead of SHA-512 ({_SHA512})", _OTHER)
        return response.tst_info.gen_time.astimezone(UTC)
    except (VerificationError, ValueError, StopIteration, IndexError) as error:
        raise TimeTokenInvalid(f"the time token does not verify: {str(error)[:200]}", _OTHER) from None


def _signer(response: TimeStampResponse) -> bytes:
    """The certificate (DER) that the verification took: the only one of this issuer and serial. Raises ValueError."""
    (information,) = response.signed_data.signer_infos
    loaded = {der: x509.load_der_x509_certificate(der) for der in response.signed_data.certificates}
    named = information.issuer, information.serial_number
    found = [der for der, certificate in loaded.items() if (certificate.issuer, certificate.serial_number) == named]
    if len(found) != 1:
        raise ValueError(f"{len(found)} certificates of its signer")
    return found[0]


def _decoded(data: bytes) -> TimeStampResponse:
    if len(data) > MAX_RESPONSE_BYTES:
        raise TimeTokenInvalid(f"an answer of more than {MAX_RESPONSE_BYTES} bytes", _OTHER)
    try:
        response = decode_timestamp_response(data)
    except ValueError:
        raise TimeTokenInvalid("the answer is no RFC 3161 response in DER", _OTHER) from None
    if response.status != PKIStatus.GRANTED:
        raise TimeTokenInvalid(f"the authority granted no token: {_status(response)}", _OTHER)
    return response


def _status(response: Any) -> str:
    try:
        name = PKIStatus(response.status).name.lower().replace("_", " ")
    except ValueError:
        name = f"status {response.status}"
    return name


def authority_pem(token: TimeToken) -> bytes:
    """The authority's root certificate for `openssl ts -verify -CAfile`."""
    return x509.load_der_x509_certificate(token.authority).public_bytes(serialization.Encoding.PEM)
