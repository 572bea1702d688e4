"""The gateway's own authority, as the commands use it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.wire.enrollment import NotEnrolled
from edge_agent.wire.identity import SpiffeId
from port_gateway.authority import Authority, create_authority
from port_gateway.cli import main
from tests.integration.keys.booth_at_port import BOOTH
from tests.integration.keys.enrolling_port import LANE, EnrollingPort, openssl_verifies, present


def test_a_token_is_for_a_booth_of_the_authoritys_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = EnrollingPort(tmp_path)
    port.settings()
    config = str(port.write_config())
    assert main(["enroll", "token", config, "spiffe://usotm/booth/lane-1"]) == 2
    assert "issues nothing for booths of usotm" in capsys.readouterr().err
    assert main(["enroll", "token", config, BOOTH]) == 0


def test_what_the_gateway_issued_can_be_registered_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = EnrollingPort(tmp_path)
    enroll = port.settings().enroll
    assert enroll is not None
    authority = Authority.load(enroll.key, enroll.certificate, timedelta(days=1))
    issued = authority.issue(LANE, ec.generate_private_key(ec.SECP256R1()).public_key(), present())
    (tmp_path / "booth.crt").write_bytes(issued.public_bytes(serialization.Encoding.PEM))
    assert main(["trust", "add", str(port.write_config()), str(tmp_path / "booth.crt")]) == 0
    assert "registered" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "constraints"),
    [
        ("spiffe://usotm/booth/lane-1", None),
        ("spiffe://uslrd/gateway/main", None),
        (BOOTH, x509.NameConstraints(None, [x509.UniformResourceIdentifier("uslrd")])),
        (BOOTH, x509.NameConstraints([x509.UniformResourceIdentifier(".uslrd")], None)),
    ],
    ids=["another port", "no booth", "excluded", "not permitted"],
)
def test_nothing_is_issued_that_verification_refuses(
    tmp_path: Path, name: str, constraints: x509.NameConstraints | None
) -> None:
    key_path, path = create_authority(tmp_path, "uslrd", present(), timedelta(days=9))
    authority = Authority.load(key_path, path, timedelta(days=1))
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    good = authority.issue(LANE, key, present())
    (tmp_path / "good.crt").write_bytes(good.public_bytes(serialization.Encoding.PEM))
    assert openssl_verifies(path, tmp_path / "good.crt")
    if constraints is not None:
        old = authority.certificate
        builder = x509.CertificateBuilder().subject_name(old.subject).issuer_name(old.issuer)
        builder = builder.public_key(old.public_key()).serial_number(1)
        builder = builder.not_valid_before(old.not_valid_before_utc).not_valid_after(old.not_valid_after_utc)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        limited = builder.add_extension(constraints, critical=True).sign(authority.key, hashes.SHA256())
        path.write_bytes(limited.public_bytes(serialization.Encoding.PEM))
        assert not openssl_verifies(path, tmp_path / "good.crt")
        authority = replace(authority, certificate=limited)
    with pytest.raises(NotEnrolled, match=f"NO_AUTHORITY: this port's authority issues nothing for {name}"):
        authority.issue(SpiffeId.parse(name), key, present())
