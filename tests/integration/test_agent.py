"""What only the whole agent shows: how it starts and ends when its ledger cannot."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge_agent import agent
from edge_agent.config import read_config
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import SettingsInvalid
from edge_agent.wire.identity import Role, SpiffeId, create_identity

SETTINGS = """\
identity: {key: keys/booth.key, certificate: keys/booth.crt}
ledger: {directory: ledger}
uplink: {gateway: "localhost:7443", gateway_certificate: keys/gateway.crt}
lanes: [{id: 1, expects: []}]
"""


def booth(folder: Path, settings: str = SETTINGS) -> Path:
    now = SystemClock().now().utc
    create_identity(folder / "keys", "booth", SpiffeId("uslrd", Role.BOOTH, "lane-1"), now)
    create_identity(folder / "keys", "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), now, ("localhost",))
    config = folder / "booth.yaml"
    config.write_text(settings)
    return config


async def test_a_stop_is_heard_while_the_ledger_waits_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = booth(tmp_path)
    stop = asyncio.Event()

    @asynccontextmanager
    async def no_room(*_: object, **__: object) -> AsyncIterator[None]:
        stop.set()
        await asyncio.Event().wait()
        yield

    monkeypatch.setattr(agent, "open_ledger", no_room)
    async with asyncio.timeout(10):
        await agent.run(read_config(config), SystemClock(), stop)


def test_a_scanner_without_its_token_keeps_no_booth_from_starting(tmp_path: Path) -> None:
    scanner = "{id: x-ray, driver: http_push, settings: {port: 0, token_file: token}}"
    config = booth(tmp_path, SETTINGS.replace("expects: []", f"expects: [], devices: [{scanner}]"))
    with pytest.raises(SettingsInvalid, match=r"token_file: .*token cannot be read"):
        read_config(config)
    command = [sys.executable, "-m", "edge_agent", "run", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        said = ""
        while "x-ray is offline" not in said:
            line = running.stderr.readline()
            assert line, f"it ended: {said}"
            said += line
        running.send_signal(signal.SIGTERM)
        running.stderr.read()
        assert running.wait(10) == 0
    assert "settings.token_file" in said.split("x-ray is offline")[0], "what is missing is said at the start"
