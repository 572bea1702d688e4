"""A small certificate authority for sites that have none: it issues booths' certificates, and nothing else.

Its own certificate is limited to its port by name (RFC 5280, 4.2.1.10) and to end entities. The gateway needs its key
only to enrol and to renew; a copy belongs into a safe.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.wire.enrollment import EnrollmentFault, NotEnrolled
from edge_agent.wire.identity import (
    CERTIFICATE_FAULTS,
    Role,
    SpiffeId,
    key_id,
    load_certificate,
    load_private_key,
    subject_of,
    write_certificate,
    write_private_key,
)

BACKDATED = timedelta(minutes=5)  # the booth's clock may lag a little


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority's key and certificate, and for how long it issues."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    valid_for: timedelta

    @classmethod
    def load(cls, key: Path, certificate: Path, valid_for: timedelta) -> "Authority":
        """Raises IdentityInvalid."""
        own, shown = load_private_key(key), load_certificate(certificate)
        if own.public_key() != shown.public_key():
            raise IdentityInvalid(f"{key} does not belong to {certificate}", "give the pair of `port-gateway ca init`")
        return cls(own, shown, valid_for)

    def issue(self, identity: SpiffeId, key: ec.EllipticCurvePublicKey, now: datetime) -> x509.Certificate:
        """A booth's certificate, valid from now on and no longer than the authority. Raises NotEnrolled.

        None is issued that TLS would refuse: for a name that the authority's own constraints do not allow.
        """
        if identity.role is not Role.BOOTH or not may_name(self.certificate, identity.port):
            raise NotEnrolled(
                EnrollmentFault.NO_AUTHORITY,
                f"this port's authority issues nothing for {identity}",
                "enrol a booth at its own port's gateway",
            )
        if not self.certificate.not_valid_before_utc <= now < self.certificate.not_valid_after_utc:
            raise NotEnrolled(
                EnrollmentFault.CLOCK_WRONG,
                f"the port's clock says {now:%Y-%m-%d %H:%M} UTC, and its authority is valid from"
                f" {self.certificate.not_valid_before_utc:%Y-%m-%d} to {self.certificate.not_valid_after_utc:%Y-%m-%d}",
                "set the gateway's clock, or make a new authority with `port-gateway ca init`",
            )
        return (
            x509.CertificateBuilder()
            .subject_name(subject_of(identity, key))
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - BACKDATED, self.certificate.not_valid_before_utc))
            .not_valid_after(min(now + self.valid_for, self.certificate.not_valid_after_utc))
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(identity))]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def create_authority(folder: Path, port: str, now: datetime, valid_for: timedelta) -> tuple[Path, Path]:
    """A new authority for the booths of `port`: ca.key (mode 0600) and ca.crt. Raises IdentityInvalid."""
    SpiffeId.parse(f"spiffe://{port}/booth/x")
    key_path, certificate_path = folder / "ca.key", folder / "ca.crt"
    for path in (key_path, certificate_path):
        if path.exists():
            raise IdentityInvalid(f"{path} exists already", "keep using it, or move it away first")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"booths of {port}"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, key_id(key.public_key())[:16]),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + valid_for)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints([x509.UniformResourceIdentifier(port)], None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private_key(key_path, key)
    write_certificate(certificate_path, certificate)
    return key_path, certificate_path


def may_name(authority: x509.Certificate, port: str) -> bool:
    """Whether the authority's name constraints (RFC 5280, 4.2.1.10) let it issue for the booths of `port`."""
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return True
    permitted, excluded = _hosts(constraints.permitted_subtrees), _hosts(constraints.excluded_subtrees)
    return not _within(port, excluded) and (not permitted or _within(port, permitted))


def _hosts(names: list[x509.GeneralName] | None) -> list[str]:
    return [name.value for name in names or () if isinstance(name, x509.UniformResourceIdentifier)]


def _within(port: str, hosts: list[str]) -> bool:
    return any(port == host or (host[:1] == "." and port.endswith(host)) for host in hosts)


def issued_by(certificate: x509.Certificate, authorities: Sequence[x509.Certificate]) -> bool:
    """Whether one of the authorities, as such, has issued the certificate."""
    for authority in authorities:
        try:
            constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
            certificate.verify_directly_issued_by(authority)
            _ = certificate.subject  # TLS is given what can be read whole
        except (x509.ExtensionNotFound, *CERTIFICATE_FAULTS):
            continue
        if constraints.ca:
            return True
    return False


def roots_pem(authorities: Sequence[x509.Certificate]) -> bytes:
    """The authorities as TLS takes them."""
    return b"".join(a.public_bytes(serialization.Encoding.PEM) for a in authorities)


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
