"""A watched folder as the booth runs it, and what was told of it."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_agent.devices.sources.watched_folder import Settings, WatchedFolder
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.observation import DeviceFault, DeviceStatus, Malformed, Reading, ScanImage
from tests.integration.devices.conftest import until


def settings(directory: Path, **changes: Any) -> Settings:
    return Settings(**{"directory": directory, "settle_s": 0.1, "poll_s": 0.05, "min_free_mb": 0, **changes})


class Heard:
    """What was emitted; `then` is called after each scan, before it is durable."""

    def __init__(self, then: Callable[[Reading], Awaitable[None]] | None = None) -> None:
        self.readings: list[Reading] = []
        self._then = then

    async def emit(self, reading: Reading) -> None:
        if isinstance(reading.body, ScanImage) and self._then:
            await self._then(reading)
        self.readings.append(reading)

    @property
    def scans(self) -> list[ScanImage]:
        return [reading.body for reading in self.readings if isinstance(reading.body, ScanImage)]

    @property
    def files(self) -> list[bytes]:
        return [reading.evidence[0].data for reading in self.readings if isinstance(reading.body, ScanImage)]

    @property
    def wrong(self) -> list[str]:
        return [reading.body.why for reading in self.readings if isinstance(reading.body, Malformed)]

    @property
    def faults(self) -> list[bool]:
        return [reading.body.active for reading in self.readings if isinstance(reading.body, DeviceFault)]


@asynccontextmanager
async def watching(given: Settings, heard: Heard | None = None) -> AsyncIterator[Heard]:
    heard = heard or Heard()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(WatchedFolder(given, SystemClock()).run(heard.emit))
        await until(lambda: any(isinstance(r.body, DeviceStatus) for r in heard.readings) or task.done())
        try:
            yield heard
        finally:
            task.cancel()


async def looks(heard: Heard, directory: Path) -> None:
    """Returns when the folder was surely looked at again: a scan put there now has been taken over."""
    name = f"later-{os.urandom(4).hex()}"
    (directory / f"{name}.uff").write_bytes(name.encode())
    await until(lambda: any(scan.scan_id == name for scan in heard.scans))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "scans"
    made.mkdir()
    return made


def in_folder(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if path.is_file() and not path.name.startswith("later")}
