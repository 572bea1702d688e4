"""A lane answers a source only once what it handed over is durable: then the scanner may forget its scan."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import BaseModel

from edge_agent.config import Device, DeviceConfig, LaneSetup
from edge_agent.devices.catalogue import SourceDriver
from edge_agent.devices.source import Emit
from edge_agent.domain.clock import Clock, SystemClock
from edge_agent.domain.event import DeviceChanged, Draft, ScanReceived
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.inspection import Expected
from edge_agent.domain.observation import Reading, ScanImage
from edge_agent.inspection.assemble import Provider
from edge_agent.inspection.records import LaneRules
from edge_agent.line import Line

FILE = Evidence(EvidenceKind.SCAN, "application/dicom", b"DICM")


class Settings(BaseModel):
    pass


class Scanner:
    """A source that hands one scan over, and forgets it when it may."""

    def __init__(self) -> None:
        self.forgot = asyncio.Event()

    async def run(self, emit: Emit) -> None:
        await emit(Reading(ScanImage("s1", "dicom"), 1.0, evidence=(FILE,)))
        self.forgot.set()
        await asyncio.Event().wait()


class Disk:
    """What `Recorder.record` is to a line; it takes its time."""

    def __init__(self) -> None:
        self.asked: list[Draft] = []
        self.news = asyncio.Event()
        self.works = asyncio.Event()

    async def record(self, draft: Draft) -> None:
        self.asked.append(draft)
        self.news.set()
        if isinstance(draft.body, ScanReceived):
            await self.works.wait()


@asynccontextmanager
async def running(scanner: Scanner, disk: Disk) -> AsyncIterator[Line]:
    def source(_settings: object, _clock: Clock) -> Scanner:
        return scanner

    row = SourceDriver("x_ray", "scanner", "scans", frozenset({Expected.SCAN}), Settings, source, pushes=True)
    setup = LaneSetup(
        LaneRules("1", (Expected.SCAN,)),
        (Provider("x-ray", row.gives),),
        (Device(DeviceConfig(id="x-ray", driver="x_ray"), row, Settings()),),
        (),
    )
    line = Line(setup, disk.record, SystemClock(), None)
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(_keep(line))
        yield line
        keeper.cancel()


async def _keep(line: Line) -> None:
    async with asyncio.TaskGroup() as group:
        line.start(group)


async def test_the_scanner_forgets_its_scan_when_it_is_durable_and_not_before() -> None:
    scanner, disk = Scanner(), Disk()
    async with asyncio.timeout(20), running(scanner, disk):
        while not any(isinstance(draft.body, ScanReceived) for draft in disk.asked):
            await asyncio.wait_for(disk.news.wait(), 10)
            disk.news.clear()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not scanner.forgot.is_set()
        disk.works.set()
        await scanner.forgot.wait()
    [changed, received] = disk.asked
    assert isinstance(changed.body, DeviceChanged), "the device is online"
    assert received.evidence == (FILE,)


async def test_a_line_that_is_stopped_lets_go_of_a_scanner_that_waits() -> None:
    scanner, disk = Scanner(), Disk()
    async with asyncio.timeout(20), running(scanner, disk):
        await disk.news.wait()
    assert not scanner.forgot.is_set()


async def test_a_disk_that_fails_ends_the_line_and_the_scanner_keeps_its_scan() -> None:
    scanner = Scanner()

    class Failing(Disk):
        async def record(self, draft: Draft) -> None:
            raise OSError("no")

    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(20), running(scanner, Failing()):
            await asyncio.Event().wait()
    assert not scanner.forgot.is_set()
