"""The booth that scanners store to, and pynetdicom's own SCU as the scanner."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE

from edge_agent.devices.sources.dicom_store import DicomStore, Settings
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import StoreFailed
from edge_agent.domain.observation import DeviceStatus, Malformed, Reading, ScanImage
from tests.contracts.source_imaging import free_port
from tests.integration.devices.conftest import until
from tests.scanner import DICOS_DX, store

ECHO = "1.2.840.10008.1.1"


class Booth:
    """The source as it runs. Scans become durable while `ledger` is set."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.readings: list[Reading] = []
        self.emitting = 0
        self.ledger = asyncio.Event()
        self.ledger.set()
        self.breaks = False

    async def emit(self, reading: Reading) -> None:
        if isinstance(reading.body, ScanImage):
            self.emitting += 1
            await self.ledger.wait()
            if self.breaks:
                raise StoreFailed("the disk said no")
        self.readings.append(reading)

    @property
    def scans(self) -> list[ScanImage]:
        return [reading.body for reading in self.readings if isinstance(reading.body, ScanImage)]

    @property
    def wrong(self) -> list[str]:
        return [reading.body.why for reading in self.readings if isinstance(reading.body, Malformed)]

    async def store(self, *arguments: Any, **named: Any) -> int | None:
        return await asyncio.to_thread(store, self.settings.port, *arguments, **named)


def settings(**changes: Any) -> Settings:
    return Settings(**{"port": free_port(), "calling_ae_titles": ("SCANNER",), **changes})


@asynccontextmanager
async def serving(given: Settings) -> AsyncIterator[Booth]:
    booth = Booth(given)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(DicomStore(given, SystemClock()).run(booth.emit))
        await until(lambda: any(isinstance(r.body, DeviceStatus) for r in booth.readings) or task.done())
        try:
            yield booth
        finally:
            task.cancel()


@pytest.fixture
async def booth() -> AsyncIterator[Booth]:
    async with serving(settings()) as running:
        yield running


def associated(port: int, use: Callable[[Any], Any], *contexts: tuple[str, str]) -> Any:
    """What `use` returns of an association with these contexts; None if it is refused."""
    entity = AE("SCANNER")
    for abstract, syntax in contexts or [(DICOS_DX, ExplicitVRLittleEndian)]:
        entity.add_requested_context(UID(abstract), UID(syntax))
    association = entity.associate("127.0.0.1", port, ae_title="EDGE-AGENT")
    if not association.is_established:
        return None
    try:
        return use(association)
    finally:
        association.release()
        association.join(10)
