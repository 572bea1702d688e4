"""`edge-agent enroll`: the booth's first certificate, from the port's own authority, for a one-time token."""

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.ledger.pkcs11_key import make_token_key
from edge_agent.ledger.pkcs11_uri import parse_key_uri
from edge_agent.ledger.secrets import read_secret
from edge_agent.ledger.signer import DeviceKey, open_signer, split_uri
from edge_agent.ledger.x509_key import X509Key
from edge_agent.uplink.enroll import enroll
from edge_agent.wire.enrollment import EnrollmentFault, NotEnrolled, Token
from edge_agent.wire.identity import (
    certificate_key,
    identity_of,
    parse_certificate,
    signing_request,
    write_certificate,
    write_private_key,
)


def read_token(text: str | None, file: Path | None) -> Token:
    """Raises IdentityInvalid, NotEnrolled."""
    return Token.parse(text or "" if file is None else read_secret(file, "the token").decode(errors="replace"))


async def enroll_booth(address: str, token: Token, folder: Path, signer: str | None, now: datetime) -> str:
    """Make booth.key unless it is there (or use `signer`), and get booth.crt and gateway.crt; what was done, in words.

    Raises IdentityInvalid, TokenUnavailable, NotEnrolled, PortUnreachable, PortRefused.
    """
    booth, gateway = folder / "booth.crt", folder / "gateway.crt"
    if booth.exists():
        raise IdentityInvalid(f"{booth} exists already", "this booth has its certificate; move it away to enrol anew")
    key = _key(folder, signer)
    request = x509.load_pem_x509_csr(signing_request(X509Key(key), token.booth))
    pem, issued = await enroll(address, token, request.public_bytes(serialization.Encoding.DER), now)
    certificate = x509.load_der_x509_certificate(issued.certificate)
    if certificate_key(certificate) != key.public_key or identity_of(certificate) != token.booth:
        raise NotEnrolled(EnrollmentFault.REQUEST_INVALID, "the port issued a certificate for another", "call the port")
    shown = parse_certificate(pem, "the gateway")
    if gateway.exists() and parse_certificate(gateway.read_bytes(), str(gateway)) != shown:
        raise IdentityInvalid(f"{gateway} is of another gateway", "move it away first")
    if not gateway.exists():
        write_certificate(gateway, shown)
    write_certificate(booth, certificate)
    return (
        f"identity     {token.booth}\ncertificate  {booth}   (until {certificate.not_valid_after_utc:%Y-%m-%d})\n"
        f"gateway      {gateway}   ({identity_of(shown)})"
    )


def _key(folder: Path, signer: str | None) -> DeviceKey:
    if signer is not None:
        scheme, rest = split_uri(signer)
        return make_token_key(parse_key_uri(rest, Path()))[0] if scheme == "pkcs11" else open_signer(signer)
    path = folder / "booth.key"
    if not path.exists():
        write_private_key(path, ec.generate_private_key(ec.SECP256R1()))
    return open_signer(str(path))
