"""Devices that protocol libraries carry, each with a real peer: pymodbus, llrpkit, pynetdicom, an HTTP server."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from PIL import Image
from pydantic import ValidationError

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.device import Service
from hardware_sim.devices import aspect_modbus, imaging_dicom, imaging_folder, imaging_http, llrp_reader
from hardware_sim.devices.scan_files import DICOS_DX_FOR_PRESENTATION
from hardware_sim.world.lane import Lane
from hardware_sim.world.radiograph import radiograph
from tests.unit.hardware_sim.roads import lane_of, said_by, site_of, truck


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[None]:
    """The service open and running; and nothing of it afterwards."""
    threads = set(threading.enumerate())
    await service.open()
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(service.run())
            try:
                yield
            finally:
                running.cancel()
    finally:
        await service.close()
    await until(lambda: not [t for t in threading.enumerate() if t not in threads and "asyncio" not in t.name])


def lane() -> Lane:
    return lane_of([truck(tag="ANAM00001234"), truck(2, tag="ANAM00005678")])


# --- Modbus ------------------------------------------------------------------------------------------------------


async def test_modbus_client_reads_the_registers_as_they_change() -> None:
    from pymodbus.client import AsyncModbusTcpClient

    one = lane()
    device = aspect_modbus.AspectModbus("aspect", aspect_modbus.Settings(kind="aspect_modbus", unit=3), site_of(one))
    async with serving(device):
        client = AsyncModbusTcpClient("127.0.0.1", port=int(device.url.split(":")[2].split("/")[0]))
        assert await client.connect()
        try:
            for at in (1.0, one.passages[0].reaches(3.0), one.passages[1].leaves(0.0)):
                said_by(device, at)
                answer = await client.read_holding_registers(100, count=21, device_id=3)
                assert answer.registers == device.registers
            assert device.registers[17] == 2
            assert (await client.read_holding_registers(100, count=22, device_id=3)).isError()
            assert (await client.write_register(120, 1, device_id=3)).isError()
        finally:
            client.close()


async def test_modbus_serves_again_after_it_was_closed_and_says_when_its_port_is_taken() -> None:
    device = aspect_modbus.AspectModbus("aspect", aspect_modbus.Settings(kind="aspect_modbus"), site_of(lane()))
    await device.open()
    url = device.url
    other = aspect_modbus.AspectModbus(
        "other",
        aspect_modbus.Settings(kind="aspect_modbus", port=int(url.split(":")[2].split("/")[0])),
        site_of(lane()),
    )
    with pytest.raises(SettingsInvalid, match="cannot be served"):
        await other.open()
    await other.close()
    await device.close()
    await device.open()
    assert device.url == url
    await device.close()


# --- LLRP --------------------------------------------------------------------------------------------------------


async def test_llrp_client_hears_the_tags_of_the_truck_that_is_there() -> None:
    from llrpkit.reader import Reader

    one = lane()
    device = llrp_reader.LlrpReader("tags", llrp_reader.Settings(kind="llrp_reader"), site_of(one))
    async with serving(device):
        said_by(device, one.passages[0].reaches(-2.0 + 1.6))  # its windscreen is before the first antenna
        async with Reader("127.0.0.1", int(device.url.rsplit(":", 1)[1])) as reader:
            heard: set[tuple[str, int]] = set()

            async def listen() -> None:
                async for report in reader.inventory():
                    heard.add((report.epc.hex().upper(), int(report.antenna or 0)))
                    if len({epc for epc, _ in heard}) >= 2:
                        return

            async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(listen())
                await until(lambda: len(heard) > 0)
                assert {epc for epc, _ in heard} == {b"ANAM00001234".hex().upper()}
                said_by(device, one.passages[1].reaches(-2.0 + 1.6))  # the next truck
                await listening
            assert {epc for epc, _ in heard} >= {b"ANAM00005678".hex().upper()}


async def test_llrp_field_is_empty_without_a_truck() -> None:
    one = lane()
    device = llrp_reader.LlrpReader("tags", llrp_reader.Settings(kind="llrp_reader"), site_of(one))
    async with serving(device):
        assert said_by(device, 1e6)
        assert device._emulator.tags == []
        told = device.said_of(one.passages[0])
        assert told is not None
        assert next(t["text"] for t in told["tags"]) == "ANAM00001234"  # type: ignore[attr-defined]


# --- folder ------------------------------------------------------------------------------------------------------


def scans(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix in (".png", ".tif"))


async def test_folder_gets_whole_files_under_their_last_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write_bytes = Path.write_bytes

    def watched(path: Path, data: bytes) -> int:
        written.append(path.name)
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", watched)
    one = lane()
    device = imaging_folder.ImagingFolder(
        "xray", imaging_folder.Settings(kind="imaging_folder", sidecar=True), site_of(one, folder=tmp_path)
    )
    async with serving(device):
        said = said_by(device, 1e6)
        await until(lambda: len(scans(tmp_path / "scans")) == 2)
    for path, passage, (_, data) in zip(scans(tmp_path / "scans"), one.passages, said, strict=True):
        assert path.name == f"{passage.truck.container_code}_xray-{passage.truck.index:06d}.png"
        told = device.said_of(passage)
        assert told is not None
        assert told["sha256"] == sha256(path.read_bytes()).hexdigest() == sha256(data).hexdigest()
        with Image.open(path) as image:
            assert np.array_equal(
                np.asarray(image), radiograph(passage.truck, site_of(one).random_key("xray", passage.truck.index, 1))
            )
        assert passage.truck.container_code in path.with_suffix(".json").read_text()
    assert not [p for p in (tmp_path / "scans").iterdir() if p.name.startswith(".")]
    assert len(written) == 4
    assert all(name.startswith(".") for name in written), "a name that readers see, and a file that is not whole"


async def test_marker_comes_after_a_file_that_is_written_slowly(tmp_path: Path) -> None:
    one = lane_of([truck()])
    device = imaging_folder.ImagingFolder(
        "xray",
        imaging_folder.Settings(kind="imaging_folder", format="tiff", finish="marker", writes_s=0.4, states="none"),
        site_of(one, folder=tmp_path),
    )
    async with serving(device):
        ((_, data),) = said_by(device, 1e6)
        path = tmp_path / "scans" / "xray-000001.tif"
        await until(path.exists)
        assert path.stat().st_size < len(data)
        assert not path.with_name("xray-000001.tif.done").exists()
        await until(path.with_name("xray-000001.tif.done").exists)
        assert path.read_bytes() == data


async def test_folder_keeps_so_many_scans_and_no_more(tmp_path: Path) -> None:
    one = lane_of([truck(k) for k in range(1, 6)])
    settings = imaging_folder.Settings(kind="imaging_folder", format="tiff", keep=2)
    device = imaging_folder.ImagingFolder("xray", settings, site_of(one, folder=tmp_path))
    async with serving(device):
        said_by(device, 1e6)
        await until(lambda: [p.stem[-6:] for p in scans(tmp_path / "scans")].count("000005") == 1)
        await until(lambda: len(scans(tmp_path / "scans")) == 2)


async def test_folder_that_cannot_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "scans").write_text("a file")
    device = imaging_folder.ImagingFolder(
        "xray", imaging_folder.Settings(kind="imaging_folder"), site_of(lane(), folder=tmp_path)
    )
    with pytest.raises(SettingsInvalid, match="no scans can be written"):
        await device.open()


# --- HTTP --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def receiver(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    application = web.Application(client_max_size=32 * 1024 * 1024)
    application.add_routes([web.post("/scans", answer)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/scans"
    finally:
        await runner.cleanup()


async def test_scans_are_pushed_with_their_token_and_again_after_a_fault() -> None:
    got: list[tuple[dict[str, str], bytes]] = []
    statuses = iter([503, 201, 403, 201])

    async def answer(request: web.Request) -> web.Response:
        got.append((dict(request.headers), await request.read()))
        return web.Response(status=next(statuses))

    one = lane_of([truck(k) for k in range(1, 4)])
    async with receiver(answer) as url:
        settings = imaging_http.Settings(kind="imaging_http", to=url, token="s3cret", again_s=0.05, format="tiff")
        device = imaging_http.ImagingHttp("xray", settings, site_of(one))
        async with serving(device):
            said = said_by(device, 1e6)
            await until(lambda: len(got) == 4)
            await until(lambda: not device.waiting)
    assert [headers["X-Scan-Id"] for headers, _ in got] == [
        "xray-000001", "xray-000001", "xray-000002", "xray-000003",
    ]  # fmt: skip
    assert all(headers["Authorization"] == "Bearer s3cret" for headers, _ in got)
    assert all(headers["Content-Type"] == "image/tiff" for headers, _ in got)
    assert got[1][0]["X-Vehicle-Number"] == one.trucks[0].container_code
    assert [body for _, body in got] == [said[0][1], said[0][1], said[1][1], said[2][1]]
    assert device.refused == 1


async def test_push_waits_while_it_is_closed_and_ends_while_nobody_answers() -> None:
    one = lane_of([truck()])
    settings = imaging_http.Settings(kind="imaging_http", to="http://127.0.0.1:9/scans", format="tiff", again_s=600)
    device = imaging_http.ImagingHttp("xray", settings, site_of(one))
    async with serving(device):
        said_by(device, 1e6)
        await until(lambda: not device.waiting)


# --- DICOM -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def store_scp(statuses: list[int], port: int = 0) -> AsyncIterator[tuple[int, list[Any]]]:
    from pynetdicom import AE, evt
    from pynetdicom.service_class import StorageServiceClass
    from pynetdicom.sop_class import register_uid

    # pynetdicom does not know DICOS by itself.
    register_uid(DICOS_DX_FOR_PRESENTATION, "DICOSDigitalXRayImageStorageForPresentation", StorageServiceClass)
    got: list[Any] = []

    def store(event: Any) -> int:
        got.append(event.dataset)
        return statuses.pop(0) if statuses else 0x0000

    entity = AE(ae_title="BOOTH")
    entity.add_supported_context(DICOS_DX_FOR_PRESENTATION)
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    assert server is not None
    try:
        yield server.server_address[1], got
    finally:
        await asyncio.to_thread(server.shutdown)


async def test_scans_are_stored_by_dicom_and_again_when_the_receiver_is_out_of_resources() -> None:
    one = lane_of([truck(), truck(2)])
    async with store_scp([0xA700, 0x0000, 0xC000]) as (port, got):
        settings = imaging_dicom.Settings(kind="imaging_dicom", port=port, called="BOOTH", again_s=0.05)
        device = imaging_dicom.ImagingDicom("xray", settings, site_of(one))
        async with serving(device):
            said_by(device, 1e6)
            await until(lambda: device.refused == 1)
        assert [d.PatientID for d in got] == [one.trucks[k].container_code for k in (0, 0, 1)]
        told = device.said_of(one.passages[0])
        assert told is not None
        assert got[0].SOPInstanceUID == told["sop_instance_uid"]
        pixels = np.frombuffer(got[0].PixelData, "<u2").reshape(got[0].Rows, got[0].Columns)
        assert np.array_equal(pixels, radiograph(one.trucks[0], site_of(one).random_key("xray", 1, 1)))


# pynetdicom leaves a socket to the garbage collector when nobody answers.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_receiver_that_takes_no_such_objects_and_one_that_is_away_end_nothing() -> None:
    one = lane_of([truck()])
    async with store_scp([]) as (port, got):
        settings = imaging_dicom.Settings(kind="imaging_dicom", port=port, format="dicom", again_s=0.05, tries=2)
        device = imaging_dicom.ImagingDicom("xray", settings, site_of(one))
        async with serving(device):
            said_by(device, 1e6)
            await until(lambda: device.refused == 1)
        assert got == []
    away = imaging_dicom.ImagingDicom(
        "xray", imaging_dicom.Settings(kind="imaging_dicom", port=port, again_s=0.05, tries=2), site_of(one)
    )
    async with serving(away):
        said_by(away, 1e6)
        await until(lambda: away.refused == 1)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValidationError):
        imaging_dicom.Settings(kind="imaging_dicom", called="A TITLE THAT IS TOO LONG")
    with pytest.raises(ValidationError):
        imaging_http.Settings(kind="imaging_http", to="ftp://somewhere")
