from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.wire.identity import (
    MAX_CERTIFICATE_BYTES,
    Role,
    SpiffeId,
    certificate_key,
    create_identity,
    identity_of,
    key_id,
    load_certificate,
    load_private_key,
    load_public_key,
    spki,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BOOTH = SpiffeId("uslrd", Role.BOOTH, "lane-1")


def test_a_new_identity(tmp_path: Path) -> None:
    key_path, certificate_path = create_identity(tmp_path / "keys", "booth", BOOTH, NOW)
    assert key_path.stat().st_mode & 0o777 == 0o600
    assert key_path.parent.stat().st_mode & 0o777 == 0o700
    certificate = load_certificate(certificate_path)
    assert identity_of(certificate) == BOOTH
    assert str(BOOTH) == "spiffe://uslrd/booth/lane-1"
    assert key_id(certificate_key(certificate)) == key_id(load_private_key(key_path).public_key())
    assert certificate.not_valid_after_utc == NOW + timedelta(days=825)


def test_a_gateway_is_reached_under_its_hosts(tmp_path: Path) -> None:
    gateway = SpiffeId("uslrd", Role.GATEWAY, "main")
    _, path = create_identity(tmp_path, "gateway", gateway, NOW, ("localhost", "127.0.0.1"))
    names = load_certificate(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    create_identity(tmp_path, "booth", BOOTH, NOW)
    with pytest.raises(IdentityInvalid, match="exists already"):
        create_identity(tmp_path, "booth", BOOTH, NOW)


def test_a_folder_or_host_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(IdentityInvalid, match="cannot be written"):
        create_identity(tmp_path / "file" / "keys", "booth", BOOTH, NOW)
    for host in ("münchen.example", "", "two names", "https://gateway.example", "-x", "gateway.example:7443"):
        with pytest.raises(IdentityInvalid, match="no host name"):
            create_identity(tmp_path, "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), NOW, (host,))


@pytest.mark.parametrize(
    "text",
    ["", "lane-1", "spiffe://uslrd/lane-1", "spiffe://USLRD/booth/x", "spiffe://uslrd/booth/a/b", "spiffe://uslrd/admin/x",
     "spiffe://uslrd/booth/x\n"],
)  # fmt: skip
def test_what_is_no_identity(text: str) -> None:
    with pytest.raises(IdentityInvalid, match="no identity"):
        SpiffeId.parse(text)


def self_signed(*names: x509.GeneralName) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256())


def test_a_certificate_names_exactly_one_identity() -> None:
    uri = x509.UniformResourceIdentifier(str(BOOTH))
    for names in ((), (x509.DNSName("lane-1"),), (uri, uri)):
        with pytest.raises(IdentityInvalid, match="exactly one"):
            identity_of(self_signed(*names))


def test_files_that_are_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "x.key"
    for content, expected in ((b"junk", "PEM"), (b"x" * (MAX_CERTIFICATE_BYTES + 1), "larger than")):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(IdentityInvalid, match=expected):
            load_private_key(path)
        with pytest.raises(IdentityInvalid, match=expected):
            load_certificate(path)
    with pytest.raises(IdentityInvalid, match="keys init"):
        load_private_key(tmp_path / "absent.key")


def test_a_key_that_others_may_read(tmp_path: Path) -> None:
    key_path, _ = create_identity(tmp_path, "booth", BOOTH, NOW)
    key_path.chmod(0o640)
    with pytest.raises(IdentityInvalid, match="chmod 600"):
        load_private_key(key_path)


def test_keys_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "ed.key"
    key = ed25519.Ed25519PrivateKey.generate()
    none = serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none))
    path.chmod(0o600)
    with pytest.raises(IdentityInvalid, match="not a P-256 key"):
        load_private_key(path)
    assert spki(load_public_key(spki(key.public_key()))) == spki(key.public_key())
    with pytest.raises(IdentityInvalid, match="no public key"):
        load_public_key(b"junk")
