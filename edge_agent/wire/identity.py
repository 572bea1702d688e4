"""Who a booth, a gateway or a back-office is: a P-256 key and a certificate whose URI SAN is a SPIFFE id.

One certificate serves mutual TLS and vouches for the keys that sign events (ADR 0007).
"""

import hashlib
import ipaddress
import os
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge_agent.domain.errors import IdentityInvalid

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
MAX_CERTIFICATE_BYTES = 64 * 1024
VALID_FOR = timedelta(days=825)
# What the library raises of a certificate or request that somebody else has made: on loading, or by any property later.
CERTIFICATE_FAULTS = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
# CBP port codes have four digits, UN/LOCODEs five letters or digits; ids are what a person can read on a label.
_SPIFFE = re.compile(
    r"spiffe://(?P<port>[a-z0-9-]{2,32})/(?P<role>booth|gateway|back-office)/(?P<name>[a-z0-9-]{1,63})"
)

_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")


class Role(StrEnum):
    """Which side of the wire a certificate stands for."""

    BOOTH = "booth"
    GATEWAY = "gateway"
    BACK_OFFICE = "back-office"


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """`spiffe://<port>/<role>/<name>`, lower case."""

    port: str
    role: Role
    name: str

    def __str__(self) -> str:
        return f"spiffe://{self.port}/{self.role}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "SpiffeId":
        """Raises IdentityInvalid."""
        match = _SPIFFE.fullmatch(text)
        if match is None:
            raise IdentityInvalid(
                f"{text!r} is no identity of this system",
                "write spiffe://<port>/<booth|gateway|back-office>/<name> in lower case, e.g. spiffe://uslrd/booth/lane-1",
            )
        return cls(match["port"], Role(match["role"]), match["name"])


def identity_of(certificate: x509.Certificate) -> SpiffeId:
    """The one URI SAN of a certificate. Raises IdentityInvalid."""
    uris = uri_names(certificate.extensions)
    if len(uris) != 1:
        raise IdentityInvalid(
            f"the certificate has {len(uris)} URI names, and must have exactly one",
            "issue it with one URI subjectAltName, spiffe://<port>/<role>/<name>",
        )
    return SpiffeId.parse(uris[0])


def uri_names(extensions: x509.Extensions) -> list[str]:
    """The URI names of a certificate's or request's subjectAltName."""
    try:
        san = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return san.get_values_for_type(x509.UniformResourceIdentifier)


def key_id(key: PublicKey) -> str:
    """Lower-case hex SHA-256 of the key's SubjectPublicKeyInfo."""
    return hashlib.sha256(spki(key)).hexdigest()


def spki(key: PublicKey) -> bytes:
    """The key's SubjectPublicKeyInfo in DER."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_public_key(der: bytes) -> PublicKey:
    """A P-256 or Ed25519 key from its SubjectPublicKeyInfo. Raises IdentityInvalid."""
    try:
        key = serialization.load_der_public_key(der)
    except ValueError as error:
        raise IdentityInvalid(f"no public key: {error}", "send a SubjectPublicKeyInfo in DER") from None
    return _accepted(key)


def certificate_key(certificate: x509.Certificate) -> PublicKey:
    """The certificate's key. Raises IdentityInvalid unless it is P-256 or Ed25519."""
    return _accepted(certificate.public_key())


def _accepted(key: object) -> PublicKey:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise IdentityInvalid(f"a {type(key).__name__} is not accepted here", "use a P-256 or an Ed25519 key")


def load_certificate(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file. Raises IdentityInvalid."""
    return parse_certificate(_read(path, MAX_CERTIFICATE_BYTES), str(path))


def load_certificates(path: Path) -> list[x509.Certificate]:
    """All certificates of a PEM file, at least one. Raises IdentityInvalid."""
    try:
        return x509.load_pem_x509_certificates(_read(path, MAX_CERTIFICATE_BYTES))
    except ValueError:
        raise IdentityInvalid(f"{path}: no certificates in PEM form", "give the authority's certificates") from None


def parse_certificate(pem: bytes, name: str) -> x509.Certificate:
    """As `load_certificate`, for bytes already in memory; `name` stands in the message."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise IdentityInvalid(f"{name}: no certificate in PEM form", "give the .crt file, not the key") from None


def load_private_key(path: Path, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    """A P-256 key from a PEM file that only its owner can read. Raises IdentityInvalid.

    With a `passphrase` the file must be encrypted, without one it must not be.
    """
    pem = _read(path, MAX_CERTIFICATE_BYTES)
    if b"-----BEGIN CERTIFICATE-----" in pem:
        raise IdentityInvalid(f"{path}: a certificate, and no key", "give the .key file, not the certificate")
    mode = path.stat().st_mode & 0o077
    if mode:
        raise IdentityInvalid(
            f"{path}: others may read this key (mode {path.stat().st_mode & 0o777:04o})", f"chmod 600 {path}"
        )
    try:
        key = serialization.load_pem_private_key(pem, password=passphrase)
    except (ValueError, TypeError):
        kind = "unencrypted private key in PEM form" if passphrase is None else "private key that this passphrase opens"
        remedy = "give the .key file made by `keys init`; an encrypted one needs its passphrase-file"
        raise IdentityInvalid(f"{path}: no {kind}", remedy) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise IdentityInvalid(f"{path}: not a P-256 key", "make one with `keys init`")
    return key


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except ValueError:
        raise IdentityInvalid(f"{str(path)!r}: a NUL character stands in it", "write the path without it") from None
    except OSError as error:
        raise IdentityInvalid(
            f"{path}: cannot be read: {error.strerror}", "check the path, or run `keys init`"
        ) from None
    if len(data) > limit:
        raise IdentityInvalid(f"{path}: larger than {limit} bytes", "this is no key or certificate: check the path")
    return data


def create_identity(
    directory: Path,
    name: str,
    identity: SpiffeId,
    now: datetime,
    hosts: tuple[str, ...] = (),
    valid_for: timedelta = VALID_FOR,
    passphrase: bytes | None = None,
) -> tuple[Path, Path]:
    """Write a new P-256 key (mode 0600) and its self-signed certificate; returns both paths.

    `hosts` are the DNS names or addresses under which a gateway is reached; with a `passphrase` the key is
    encrypted. Refuses to overwrite: a booth's key that is replaced by mistake would orphan its ledger. Raises
    IdentityInvalid.
    """
    key_path, certificate_path = directory / f"{name}.key", directory / f"{name}.crt"
    for path in (key_path, certificate_path):
        if path.exists():
            raise IdentityInvalid(f"{path} exists already", "keep using it, or move it away first")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = self_signed(key, identity, now, hosts, valid_for)
    write_private_key(key_path, key, passphrase)
    write_certificate(certificate_path, certificate)
    return key_path, certificate_path


def write_private_key(path: Path, key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> None:
    """A new PEM file of mode 0600, durable on return; encrypted with a `passphrase`. Raises IdentityInvalid."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    _write(path, pem, 0o600)


def write_certificate(path: Path, *certificates: x509.Certificate) -> None:
    """A new PEM file, durable on return. Raises IdentityInvalid, also when it is there already."""
    _write(path, b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates), 0o644)


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink()  # half a key would be in the way of a whole one
            raise
    except OSError as error:
        raise IdentityInvalid(f"{path}: cannot be written: {error.strerror}", "choose another folder") from None


def subject_of(identity: SpiffeId, key: PublicKey) -> x509.Name:
    """TLS looks its anchors up by subject and tries only one: a subject is never the same for two keys."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"{identity.role} {identity.name}"[:64]),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, key_id(key)[:16]),
        ]
    )


def signing_request(key: ec.EllipticCurvePrivateKey, identity: SpiffeId) -> bytes:
    """A PKCS#10 request in PEM form for a certificate of `identity`."""
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(identity))])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject_of(identity, key.public_key()))
    request = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def self_signed(
    key: ec.EllipticCurvePrivateKey,
    identity: SpiffeId,
    now: datetime,
    hosts: tuple[str, ...] = (),
    valid_for: timedelta = VALID_FOR,
) -> x509.Certificate:
    """A certificate of `identity` for `key`, by that key. `hosts` are a gateway's names or addresses."""
    subject = subject_of(identity, key.public_key())
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(str(identity))]
    names += [_host(host) for host in hosts]
    usages = [ExtendedKeyUsageOID.SERVER_AUTH if identity.role is Role.GATEWAY else ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # the peer's clock may lag a little
        .not_valid_after(now + valid_for)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        if not _HOST.fullmatch(host):
            raise ValueError
        return x509.DNSName(host)
    except ValueError:
        raise IdentityInvalid(
            f"{host!r} is no host name", "write a DNS name or an IP address alone, in ASCII (xn--… for other letters)"
        ) from None
