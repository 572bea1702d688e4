"""A whole booth whose only key lies in a token: sessions, events and TLS to a real gateway."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from edge_agent.cli import main
from edge_agent.config import read_config
from edge_agent.domain.errors import SettingsInvalid
from edge_agent.ledger.pkcs11_key import TokenUnavailable
from port_gateway.config import Settings
from tests.e2e.port import free_port
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


class SteadyPort(Port):
    """A gateway that comes back at the same address."""

    def settings(self) -> Settings:
        if not hasattr(self, "listen"):
            self.listen = f"127.0.0.1:{free_port()}"
        return super().settings().model_copy(update={"listen": self.listen})


async def test_pulled_out_while_it_runs_it_dials_again_when_the_token_is_back(
    tmp_path: Path, token: HardwareToken, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["keys", "init", BOOTH, "--out", str(tmp_path), "--signer", token.uri()]) == 0
    booth = Booth(tmp_path, SteadyPort(tmp_path), token.uri())
    booth.trust()
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(30):
        async with booth.port.serving():
            running = await stack.enter_async_context(booth.running())
            while booth.acked() < 1:
                await asyncio.sleep(0.01)
        token.pull_out()
        token.look_again()
        while "token 'booth' is not there" not in caplog.text:  # the gateway is gone, and cannot be dialled anew
            assert not running.done()
            await asyncio.sleep(0.01)
        token.put_back()
        caplog.set_level("INFO", "edge_agent.uplink")
        async with booth.port.serving():
            while "connected, goes on at sequence 2" not in caplog.text:
                assert not running.done()
                await asyncio.sleep(0.01)
