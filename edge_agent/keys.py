"""`edge-agent keys`: this booth's identity, made and shown."""

from datetime import datetime
from pathlib import Path

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.wire.identity import (
    Role,
    SpiffeId,
    certificate_key,
    create_identity,
    identity_of,
    key_id,
    load_certificate,
)


def init_booth(booth: str, folder: Path, now: datetime) -> str:
    """Make the booth's key and certificate; what to do next, in words. Raises IdentityInvalid."""
    identity = SpiffeId.parse(booth)
    if identity.role is not Role.BOOTH:
        raise IdentityInvalid(f"{booth} names a {identity.role}", "a booth is spiffe://<port>/booth/<name>")
    key, certificate = create_identity(folder, "booth", identity, now)
    return (
        f"key          {key}   (keep it on this machine; mode 0600)\n"
        f"certificate  {certificate}   (give it to the port: port-gateway trust add CONFIG {certificate.name})\n"
        f"identity     {identity}"
    )


def show(path: Path) -> dict[str, str]:
    """Whom a certificate names, its key id and its dates. Raises IdentityInvalid."""
    certificate = load_certificate(path)
    return {
        "identity": str(identity_of(certificate)),
        "key id": key_id(certificate_key(certificate)),
        "valid from": certificate.not_valid_before_utc.isoformat(),
        "valid until": certificate.not_valid_after_utc.isoformat(),
    }
