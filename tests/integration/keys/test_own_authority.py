"""The gateway's own authority, as the commands use it."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from port_gateway.authority import Authority
from port_gateway.cli import main
from tests.integration.keys.booth_at_port import BOOTH
from tests.integration.keys.test_enrollment import LANE, EnrollingPort, present


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
