"""A running simulation in the test's own loop, and readers of its links."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edge_agent.domain.clock import SystemClock
from hardware_sim.run import PortSim
from hardware_sim.scenario import Scenario, parse_scenario

LANE = """\
title: A short lane
seed: 4
lanes:
  1:
    drive: {speed_mps: 14, slow_mps: 10}
    devices:
      portal:
        kind: rapiscan_vm250
        hold_in: 1
        links: [{kind: tcp}, {kind: pty, path: portal.tty}]
      seal-scanner:
        kind: barcode_scanner
        links: [{kind: pty, path: seal.tty}]
      scale:
        kind: toledo_continuous
        frames_per_s: 20
        links: [{kind: tcp}]
    traffic: {on_demand: true, first_truck_s: 0, gap_s: 1.3}
"""


def lane(more: str = "") -> Scenario:
    return parse_scenario(LANE + more, "lane.yaml")


@asynccontextmanager
async def running(scenario: Scenario, out: Path, **more: Any) -> AsyncIterator[PortSim]:
    """The scenario, open and playing."""
    sim = PortSim(scenario, scenario.seed, out, SystemClock(), **more)
    await sim.open()
    try:
        async with asyncio.TaskGroup() as tasks:
            playing = tasks.create_task(sim.run(), name="run")
            try:
                yield sim
            finally:
                playing.cancel()
    finally:
        await sim.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline that a loaded machine keeps."""
    async with asyncio.timeout(30):
        while not condition():  # what is waited for lies in the kernel
            await asyncio.sleep(0.01)


async def connected(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A reader of socket://host:port."""
    host, _, port = url.removeprefix("socket://").rpartition(":")
    return await asyncio.open_connection(host, int(port))


def address(sim: PortSim, device: str, link: int = 0) -> str:
    return sim.links[device][link].url
