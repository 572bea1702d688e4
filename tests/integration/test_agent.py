"""What only the whole agent shows: how it starts and ends when its ledger cannot."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge_agent import agent
from edge_agent.config import read_config
from edge_agent.domain.clock import SystemClock
from edge_agent.wire.identity import Role, SpiffeId, create_identity

SETTINGS = """\
identity: {key: keys/booth.key, certificate: keys/booth.crt}
ledger: {directory: ledger}
uplink: {gateway: "localhost:7443", gateway_certificate: keys/gateway.crt}
lanes: [{id: 1, expects: []}]
"""


async def test_a_stop_is_heard_while_the_ledger_waits_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = SystemClock().now().utc
    create_identity(tmp_path / "keys", "booth", SpiffeId("uslrd", Role.BOOTH, "lane-1"), now)
    create_identity(tmp_path / "keys", "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), now, ("localhost",))
    config = tmp_path / "booth.yaml"
    config.write_text(SETTINGS)
    stop = asyncio.Event()

    @asynccontextmanager
    async def no_room(*_: object) -> AsyncIterator[None]:
        stop.set()
        await asyncio.Event().wait()
        yield

    monkeypatch.setattr(agent, "open_ledger", no_room)
    async with asyncio.timeout(10):
        await agent.run(read_config(config), SystemClock(), stop)
