"""A whole booth whose only key lies in a token: sessions, events and TLS to a real gateway."""

from pathlib import Path

import pytest

from edge_agent.cli import main
from edge_agent.config import read_config
from edge_agent.domain.errors import SettingsInvalid
from edge_agent.ledger.pkcs11_key import TokenUnavailable
from tests.hardware_token import PIN, HardwareToken, needs_softhsm
from tests.integration.keys.booth_at_port import BOOTH, Booth
from tests.integration.port_gateway.conftest import Port

pytestmark = needs_softhsm


async def test_it_opens_sessions_and_speaks_tls_with_the_key_in_the_token(
    tmp_path: Path, token: HardwareToken, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "init", BOOTH, "--out", str(tmp_path), "--signer", token.uri()]) == 0
    booth = Booth(tmp_path, Port(tmp_path), token.uri())
    booth.trust()
    async with booth.port.serving():
        await booth.run_until(lambda: booth.acked() >= 1)
        await booth.run_until(lambda: booth.acked() >= 2)
        token.pull_out()
        token.look_again()
        with pytest.raises(TokenUnavailable, match="token 'booth' is not there"):
            await booth.run_until(lambda: booth.acked() >= 3)
        with pytest.raises(SettingsInvalid, match="token 'booth' is not there"):
            read_config(booth.config)
    assert PIN not in "".join(capfd.readouterr())
