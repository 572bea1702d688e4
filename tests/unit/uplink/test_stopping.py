"""What a failing connection must not hide: that the uplink is stopped, or that the port holds another chain."""

import asyncio
import random
from pathlib import Path
from typing import Any, Never

import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import PortUnreachable
from edge_agent.ledger.identity import BoothIdentity
from edge_agent.uplink.client import Uplink
from edge_agent.uplink.evidence import EvidenceUplink
from edge_agent.uplink.link import LinkState, Port, UplinkSettings
from edge_agent.uplink.window import ChainForked

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


@pytest.mark.parametrize(
    "beside", ["nothing", "a drain", "a certificate goes over", "the next certificate is in force"]
)
async def test_a_fork_is_told_and_waited_for_whatever_else_was_on_that_stream(beside: str) -> None:
    streams = 0

    class Events(Uplink):
        async def _stream(self) -> None:
            nonlocal streams
            streams += 1
            await asyncio.sleep(0)
            if beside == "a drain":
                self._rest_s = 0.0
            if beside in ("a drain", "a certificate goes over"):
                self._leaving.set()
            raise ChainForked("FORK at sequence 1")

    class Renewed(Port):
        async def goes_over(self) -> bool:
            return beside == "the next certificate is in force"

    told: list[LinkState] = []
    port = Renewed(SETTINGS, BoothIdentity("booth.key", Path("booth.crt")))
    outbox: Any = None
    uplink = Events(SETTINGS, port, outbox, SystemClock(), "1", lambda state, _: told.append(state))
    task = asyncio.ensure_future(uplink.run())
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert told == [LinkState.FORKED]
    assert streams == 1
