"""A disk that is really full while scans come: a file system of some megabytes, with the booth's own ledger on it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import apsw
import pytest

from edge_agent.config import Device, DeviceConfig, LaneSetup
from edge_agent.devices.attend import attend
from edge_agent.devices.capture_file import CaptureWriter, Header
from edge_agent.devices.catalogue import SOURCES
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import StoreFull
from edge_agent.domain.inspection import Expected
from edge_agent.domain.observation import DeviceStatus
from edge_agent.inspection.assemble import Provider
from edge_agent.inspection.records import LaneRules
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.store import DATABASE
from edge_agent.line import Line
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from tests.contracts.source_imaging import free_port
from tests.integration.devices import folder_booth
from tests.integration.devices.conftest import until
from tests.integration.ledger.conftest import Booth
from tests.scanner import TOKEN, dicom_file, dicos, store
from tests.small_disk import Disk, mounted

SIZE_MB = 8
SCANS = {
    name: dicos(number, 500, 500) for number, name in enumerate(("push", "store", "folder", "early"), 1)
}  # 500 kB each


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path, request.param, SIZE_MB) as disk:
        yield disk


class Lane:
    """A booth with three scanners and a ledger on the disk, all real."""

    def __init__(self, disk: Disk, keys: Path, scans: Path) -> None:
        self.booth = Booth(keys, disk.path / "ledger")
        self.scans = scans
        scans.mkdir()
        (disk.path / "token").write_text(TOKEN)
        self.push, self.store = free_port(), free_port()
        self._settings: dict[str, dict[str, Any]] = {
            "http_push": {"port": self.push, "token_file": disk.path / "token", "answer_s": 0.3},
            "dicom_store": {"port": self.store, "calling_ae_titles": ["SCANNER"], "answer_s": 0.3},
            "watched_folder": {"directory": scans, "settle_s": 0.1, "poll_s": 0.05, "min_free_mb": 0},
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        rows = {name: SOURCES[name] for name in self._settings}
        devices = [
            Device(DeviceConfig(id=name, driver=name), row, row.settings.model_validate(self._settings[name]))
            for name, row in rows.items()
        ]
        providers = tuple(Provider(name, rows[name].gives) for name in rows)
        setup = LaneSetup(LaneRules("1", (Expected.SCAN,)), providers, tuple(devices), ())
        async with self.booth.open() as ledger, asyncio.TaskGroup() as group:
            line = Line(setup, ledger.recorder.record, SystemClock(), None)
            keeper = group.create_task(self._keep(line))
            await until(lambda: (self.scans / "done").is_dir())
            try:
                yield
            finally:
                keeper.cancel()

    async def _keep(self, line: Line) -> None:
        async with asyncio.TaskGroup() as group:
            line.start(group)

    async def pushed(self, scan: str = "push") -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/dicom"}
        async with aiohttp.ClientSession() as session:
            for _ in range(100):
                with suppress(aiohttp.ClientConnectorError):
                    url = f"http://127.0.0.1:{self.push}/scans"
                    async with session.post(url, data=dicom_file(SCANS[scan]), headers=headers) as answer:
                        return answer.status, (await answer.json()).get("remedy", "")
                await asyncio.sleep(0.02)
        raise AssertionError("nobody listens")

    async def sent_until_kept(self, scan: str) -> None:
        """As a scanner does that is told to send it again later: a slow disk takes longer than an answer waits."""
        async with asyncio.timeout(30):
            while (await self.pushed(scan))[0] not in (200, 201):
                await asyncio.sleep(0.05)

    async def stored(self) -> int | None:
        return await asyncio.to_thread(store, self.store, SCANS["store"])

    def in_the_ledger(self) -> dict[str, bool]:
        """The scans that events tell of, and whether their files lie there whole. A second event of one is an error."""
        found: dict[str, bool] = {}
        database = apsw.Connection(str(self.booth.directory / DATABASE), flags=apsw.SQLITE_OPEN_READONLY)
        for (envelope,) in database.execute("SELECT envelope FROM event"):
            event = wire.Event.FromString(read_envelope(envelope)[0])
            if event.HasField("scan_received"):
                scan = event.scan_received.scan
                assert scan.scan_id not in found, "recorded twice"
                found[scan.scan_id] = all(self._whole(ref.sha256) for ref in scan.files)
        database.close()
        return found

    def _whole(self, sha256: bytes) -> bool:
        name = sha256.hex()
        path = self.booth.directory / "evidence" / name[:2] / name[2:4] / name
        return path.is_file() and hashlib.sha256(path.read_bytes()).digest() == sha256


@pytest.mark.parametrize(
    ("disk", "left"),
    [("ext4", 0), ("tmpfs", 200_000)],
    ids=["not a byte", "room for events, none for scans"],
    indirect=["disk"],
)
async def test_no_sender_is_told_that_its_scan_is_kept_until_it_is(disk: Disk, tmp_path: Path, left: int) -> None:
    lane = Lane(disk, tmp_path / "keys", tmp_path / "scans")
    async with lane.running():
        await lane.sent_until_kept("early")
        disk.fill(but=left)
        (lane.scans / "scan.dcm").write_bytes(dicom_file(SCANS["folder"]))
        (status, remedy), stored = await asyncio.gather(lane.pushed(), lane.stored())
        assert (status, stored) == (503, 0xA700)
        assert remedy
        assert (lane.scans / "scan.dcm").is_file(), "put away before it was kept"
        assert lane.in_the_ledger() == {"D4": True}
        [(has_room, said)] = lane.booth.room
        assert not has_room
        assert str(lane.booth.directory) in said
        disk.make_room()
        await until(lambda: (lane.scans / "done" / "scan.dcm").is_file())
        await lane.sent_until_kept("push")
        async with asyncio.timeout(30):
            while await lane.stored() != 0:
                await asyncio.sleep(0.05)
        assert [has_room for has_room, _ in lane.booth.room] == [False, True]
    assert lane.in_the_ledger() == {"D1": True, "D2": True, "D3": True, "D4": True}
    verify_ledger(lane.booth.directory, lane.booth.device_keys)
    assert not list((lane.booth.directory / "evidence" / "unfinished").iterdir())


def _states(heard: folder_booth.Heard) -> list[tuple[str, str]]:
    bodies = [reading.body for reading in heard.readings]
    return [(body.state, body.detail) for body in bodies if isinstance(body, DeviceStatus)]


@pytest.mark.parametrize("disk", ["ext4"], indirect=True)
async def test_a_folder_on_the_full_disk_is_said_and_comes_back(disk: Disk, tmp_path: Path) -> None:
    """The scanner could not write there: the device is offline until it can."""
    folder = disk.path / "scans"
    folder.mkdir()
    given = SOURCES["watched_folder"].settings.model_validate(
        {"directory": folder, "settle_s": 0.1, "poll_s": 0.05, "min_free_mb": 1, "after": "remember"}
        | {"memory": disk.path / "memory"}
    )
    heard = folder_booth.Heard()
    (folder / "whole.dcm").write_bytes(dicom_file(SCANS["folder"]))
    disk.fill()
    with pytest.raises(OSError, match="No space left"), (folder / "half.dcm").open("wb", buffering=0) as half:
        half.write(dicom_file(SCANS["store"]))

    async def a_moment(_: float) -> None:
        await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        row = SOURCES["watched_folder"]
        task = group.create_task(attend("x-ray", row, given, heard.emit, SystemClock(), sleep=a_moment))
        await until(lambda: heard.faults == [True])
        await asyncio.sleep(0.3)  # some looks
        assert [scan.scan_id for scan in heard.scans] == ["D3"], "taken over again, as it could not be remembered"
        disk.make_room()
        (folder / "half.dcm").write_bytes(dicom_file(SCANS["store"]))
        await until(lambda: len(heard.scans) == 2 and heard.faults == [True, False])
        disk.fill()
        await until(lambda: _states(heard)[-1][0] == "offline")
        disk.make_room()
        (folder / "later.dcm").write_bytes(dicom_file(SCANS["push"]))
        await until(lambda: len(heard.scans) == 3)
        task.cancel()
    assert [scan.scan_id for scan in heard.scans] == ["D3", "D2", "D1"], "each once"
    details = {detail for _, detail in _states(heard) if "has 0 MB free" in detail}
    assert details
    assert all(detail.endswith("the scanner cannot write there") for detail in details)


@pytest.mark.parametrize("disk", ["tmpfs"], indirect=True)
def test_a_capture_on_a_full_disk_says_so(disk: Disk) -> None:
    link: dict[str, Any] = {"url": "/dev/x"}
    header = Header(device="a", driver="b", settings={}, link=link, started=datetime(2026, 1, 1, tzinfo=UTC))

    def recorded() -> None:
        with CaptureWriter(disk.path / "capture", header, 0.0) as writer:
            writer.event("rx", 0.5, b"first")
            disk.fill()
            for at in range(1, 100):
                writer.event("rx", at, bytes(4096))

    with pytest.raises(StoreFull, match="cannot be written: No space left on device") as raised:
        recorded()
    assert "free space" in raised.value.remedy
