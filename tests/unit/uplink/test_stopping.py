"""An uplink that is stopped at the very moment at which its connection fails, stops."""

import asyncio
import random
from pathlib import Path
from typing import Never

import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import PortUnreachable
from edge_agent.ledger.identity import BoothIdentity
from edge_agent.uplink.client import Uplink
from edge_agent.uplink.evidence import EvidenceUplink
from edge_agent.uplink.link import Port, UplinkSettings

SETTINGS = UplinkSettings(gateway="127.0.0.1:1", gateway_certificate=Path("gateway.crt"))
PORT = Port(SETTINGS, BoothIdentity("booth.key", Path("booth.crt")))


async def _fails_when_cancelled(already: list[bool]) -> Never:
    """Once: so that a test of a broken uplink still ends."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not already:
            already.append(True)
            raise PortUnreachable("the connection failed") from None
        raise
    raise AssertionError("waits for ever")


@pytest.mark.parametrize("kind", ["events", "evidence"])
async def test_a_cancellation_that_meets_a_failure_is_not_lost(kind: str) -> None:
    already: list[bool] = []

    class Events(Uplink):
        async def _stream(self) -> None:
            await _fails_when_cancelled(already)

    class Evidence(EvidenceUplink):
        async def _connected(self, generation: int) -> None:
            await _fails_when_cancelled(already)

    uplink: Uplink | EvidenceUplink
    rng = random.Random(1)
    if kind == "events":
        uplink = Events(SETTINGS, PORT, None, SystemClock(), "1", lambda *_: None, rng)  # type: ignore[arg-type]
    else:
        uplink = Evidence(SETTINGS, PORT, None, SystemClock(), lambda *_: None, rng)  # type: ignore[arg-type]
    task: asyncio.Task[None] = asyncio.ensure_future(uplink.run())
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert done
