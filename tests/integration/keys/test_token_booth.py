"""A whole booth whose only key lies in a token: sessions, events and TLS to a real gateway."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from edge_agent import agent
from edge_agent.cli import main
from edge_agent.config import read_config
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import SettingsInvalid, StoreFailed
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.ledger.pkcs11_key import TokenUnavailable
from edge_agent.wire.identity import load_certificate
from port_gateway.store import Store
from port_gateway.trust import TrustStore
from tests.hardware_token import HardwareToken, needs_softhsm
from tests.integration.port_gateway.conftest import Port

pytestmark = needs_softhsm
BOOTH = "spiffe://uslrd/booth/lane-7"


@pytest.fixture
def config(tmp_path: Path, token: HardwareToken) -> Path:
    assert main(["keys", "init", BOOTH, "--out", str(tmp_path), "--signer", token.uri()]) == 0
    return tmp_path / "booth.yaml"


async def run_until_sent(config: Path, address: str, events: int, key: str) -> None:
    config.write_text(
        f"identity: {{key: '{key}', certificate: booth.crt}}\nledger: {{directory: ledger}}\n"
        f"uplink: {{gateway: '{address}', gateway_certificate: gw/main.crt, back_off_s: 0.05, back_off_max_s: 0.1}}\n"
        "lanes: [{id: 1, expects: []}]\n"
    )
    stop = asyncio.Event()
    running = asyncio.ensure_future(agent.run(read_config(config, files=False), SystemClock(), stop))
    try:
        async with asyncio.timeout(30):
            while not running.done() and _acked(config.parent / "ledger") < events:
                await asyncio.sleep(0.02)
    finally:
        stop.set()
        await running


def _acked(directory: Path) -> int:
    try:
        with contextlib.closing(LedgerReader(directory)) as reader:
            return reader.acked_through()
    except StoreFailed:  # it is only just being made
        return 0


async def test_it_opens_sessions_and_speaks_tls_with_the_key_in_the_token(
    tmp_path: Path, token: HardwareToken, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    port = Port(tmp_path)
    store = Store(port.settings().database)
    TrustStore(store, SystemClock()).add([load_certificate(tmp_path / "booth.crt")])
    store.close()
    async with port.serving() as gateway:
        await run_until_sent(config, gateway.address, 1, token.uri())
        await run_until_sent(config, gateway.address, 2, token.uri())
        token.pull_out()
        token.look_again()
        with pytest.raises(TokenUnavailable, match="token 'booth' is not there"):
            await run_until_sent(config, gateway.address, 3, token.uri())
        with pytest.raises(SettingsInvalid, match="token 'booth' is not there"):
            read_config(config)
    assert "483 921" not in "".join(capfd.readouterr())
