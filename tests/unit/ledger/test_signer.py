from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.ledger.signer import SessionSigner, open_signer
from edge_agent.wire.identity import (
    SpiffeId,
    certificate_key,
    create_identity,
    key_id,
    load_certificate,
    load_private_key,
    load_public_key,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_the_device_key_comes_from_a_file(tmp_path: Path) -> None:
    key, certificate = create_identity(tmp_path, "booth", SpiffeId.parse("spiffe://uslrd/booth/lane-1"), NOW)
    public = certificate_key(load_certificate(certificate))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    for uri in (f"file:{key}", f"file://{key}", str(key)):
        signer = open_signer(uri)
        assert signer.key_id == key_id(public)
        public.verify(signer.sign(b"message"), b"message", ec.ECDSA(hashes.SHA256()))


def test_a_session_key_is_new_every_time_and_signs() -> None:
    first, second = SessionSigner(), SessionSigner()
    assert first.key_id != second.key_id
    public = load_public_key(first.public_key)
    assert isinstance(public, ed25519.Ed25519PublicKey)
    assert first.key_id == key_id(public)
    public.verify(first.sign(b"message"), b"message")


def encrypted(path: Path, passphrase: bytes) -> Path:
    key = load_private_key(path)
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(passphrase))
    )
    return path


def test_an_encrypted_key_opens_with_the_passphrase_of_a_file(tmp_path: Path) -> None:
    key, certificate = create_identity(tmp_path, "booth", SpiffeId.parse("spiffe://uslrd/booth/lane-1"), NOW)
    encrypted(key, b"a long one")
    secret = tmp_path / "passphrase"
    secret.write_bytes(b"a long one\n")
    secret.chmod(0o400)
    signer = open_signer("file:booth.key?passphrase-file=passphrase", tmp_path)
    assert signer.key_id == key_id(certificate_key(load_certificate(certificate)))
    pem = signer.pem()
    assert pem is not None
    assert b"ENCRYPTED" not in pem
    with pytest.raises(IdentityInvalid, match="needs its passphrase-file"):
        open_signer("booth.key", tmp_path)


@pytest.mark.parametrize(
    ("secret", "mode", "said"),
    [
        (b"wrong one", 0o400, "no private key that this passphrase opens"),
        (b"a long one", 0o440, "others may read the key's passphrase"),
        (b"a long one", 0o604, "others may read the key's passphrase"),
        (b"", 0o400, "is one line"),
        (b"two\nlines", 0o400, "is one line"),
        (b"x" * 1025, 0o400, "is one line"),
    ],
)
def test_a_passphrase_file_that_cannot_be_used(tmp_path: Path, secret: bytes, mode: int, said: str) -> None:
    key, _ = create_identity(tmp_path, "booth", SpiffeId.parse("spiffe://uslrd/booth/lane-1"), NOW)
    encrypted(key, b"a long one")
    (tmp_path / "passphrase").write_bytes(secret)
    (tmp_path / "passphrase").chmod(mode)
    with pytest.raises(IdentityInvalid, match=said) as error:
        open_signer("file:booth.key?passphrase-file=passphrase", tmp_path)
    assert "a long one" not in str(error.value)


def test_systemds_credentials_may_show_the_groups_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = create_identity(tmp_path, "booth", SpiffeId.parse("spiffe://uslrd/booth/lane-1"), NOW)
    encrypted(key, b"a long one")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "passphrase").write_bytes(b"a long one")
    (credentials / "passphrase").chmod(0o440)
    uri = "file:booth.key?passphrase-file=credentials/passphrase"
    with pytest.raises(IdentityInvalid, match="others may read"):
        open_signer(uri, tmp_path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert open_signer(uri, tmp_path).key_id
    (credentials / "passphrase").chmod(0o444)
    with pytest.raises(IdentityInvalid, match="others may read"):
        open_signer(uri, tmp_path)


@pytest.mark.parametrize(
    "uri", ["tpm:token=booth?pin-value=1234", "file:booth.key?pin=1234", "file:a?passphrase-file=b&1234"]
)
def test_an_unknown_uri_names_the_known_ones_and_never_the_secret(uri: str) -> None:
    with pytest.raises(IdentityInvalid) as error:
        open_signer(uri)
    assert "file:" in str(error.value)
    assert "1234" not in str(error.value)


def test_a_missing_key_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(IdentityInvalid, match=r"booth\.key: cannot be read"):
        open_signer(f"file:{tmp_path}/booth.key")
    with pytest.raises(IdentityInvalid, match="cannot be read"):
        open_signer("")
