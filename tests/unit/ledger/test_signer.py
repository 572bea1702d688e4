from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.ledger.signer import SessionSigner, open_signer
from edge_agent.wire.identity import (
    SpiffeId,
    certificate_key,
    create_identity,
    key_id,
    load_certificate,
    load_public_key,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_the_device_key_comes_from_a_file(tmp_path: Path) -> None:
    key, certificate = create_identity(tmp_path, "booth", SpiffeId.parse("spiffe://uslrd/booth/lane-1"), NOW)
    public = certificate_key(load_certificate(certificate))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    for uri in (f"file:{key}", f"file://{key}"):
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


@pytest.mark.parametrize("uri", ["pkcs11:token=booth?pin-value=1234", "booth.key", "", ":booth.key"])
def test_an_unknown_scheme_names_the_known_ones_and_never_the_secret(uri: str) -> None:
    with pytest.raises(IdentityInvalid) as error:
        open_signer(uri)
    assert "file:" in str(error.value)
    assert "1234" not in str(error.value)


def test_a_missing_key_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(IdentityInvalid, match=r"booth\.key: cannot be read"):
        open_signer(f"file:{tmp_path}/booth.key")
