"""This booth's identity: made, shown, and asked for."""

from datetime import datetime
from pathlib import Path

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.ledger.pkcs11_key import make_token_key
from edge_agent.ledger.pkcs11_uri import parse_key_uri
from edge_agent.ledger.secrets import read_secret
from edge_agent.ledger.signer import open_signer, split_uri
from edge_agent.ledger.x509_key import X509Key
from edge_agent.wire.identity import (
    Role,
    SpiffeId,
    certificate_key,
    create_identity,
    identity_of,
    key_id,
    load_certificate,
    self_signed,
    signing_request,
    write_certificate,
)


def init_booth(booth: str, folder: Path, now: datetime, signer: str | None, passphrase_file: Path | None) -> str:
    """Make the booth's key and certificate; what to do next, in words. Raises IdentityInvalid, TokenUnavailable.

    `signer` is the pkcs11: URI of a key in a hardware token, made unless it is there; without one the key is a file
    in `folder`.
    """
    identity = booth_identity(booth)
    if signer is None:
        passphrase = None if passphrase_file is None else read_secret(passphrase_file, "the passphrase")
        key, certificate = create_identity(folder, "booth", identity, now, passphrase=passphrase)
        uri = str(key) if passphrase is None else f"file:{key}?passphrase-file={passphrase_file}"
        kept = "keep it on this machine; mode 0600"
    else:
        scheme, rest = split_uri(signer)
        if scheme != "pkcs11" or passphrase_file is not None:
            raise IdentityInvalid(
                "--signer takes the pkcs11: URI of a hardware token's key, which has no passphrase",
                "leave --signer out for a key in a file",
            )
        certificate = folder / "booth.crt"
        if certificate.exists():
            raise IdentityInvalid(f"{certificate} exists already", "keep using it, or move it away first")
        token_key, made = make_token_key(parse_key_uri(rest, Path()))
        write_certificate(certificate, self_signed(X509Key(token_key), identity, now))
        uri, kept = signer, f"{'made' if made else 'was there already'}; it stays in the token"
    return (
        f"key          {uri}   ({kept})\n"
        f"certificate  {certificate}   (give it to the port: port-gateway trust add CONFIG {certificate.name})\n"
        f"identity     {identity}"
    )


def request(booth: str, signer: str) -> str:
    """A certificate signing request in PEM form. Raises IdentityInvalid, TokenUnavailable."""
    identity = booth_identity(booth)
    return signing_request(X509Key(open_signer(signer)), identity).decode()


def booth_identity(text: str) -> SpiffeId:
    """Raises IdentityInvalid unless it names a booth."""
    identity = SpiffeId.parse(text)
    if identity.role is not Role.BOOTH:
        raise IdentityInvalid(f"{text} names a {identity.role}", "a booth is spiffe://<port>/booth/<name>")
    return identity


def show(path: Path) -> dict[str, str]:
    """Whom a certificate names, its key id and its dates. Raises IdentityInvalid."""
    certificate = load_certificate(path)
    return {
        "identity": str(identity_of(certificate)),
        "key id": key_id(certificate_key(certificate)),
        "valid from": certificate.not_valid_before_utc.isoformat(),
        "valid until": certificate.not_valid_after_utc.isoformat(),
    }
