"""What faults do to messages of devices with a server of their own, seen by real clients; and to files on their way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from edge_agent.domain.clock import SystemClock
from hardware_sim.clock import WorldClock
from hardware_sim.device import Service
from hardware_sim.devices import aspect_modbus, imaging_folder, imaging_http, llrp_reader
from hardware_sim.fault_run import FaultRun, Relayed
from hardware_sim.fault_targets import targets_of
from hardware_sim.faults import AnyFault
from tests.integration.hardware_sim.test_sim_services import lane, receiver, serving, until
from tests.unit.hardware_sim.roads import lane_of, said_by, site_of, truck


@asynccontextmanager
async def disturbed(service: Service, settings: Any, tmp_path: Path) -> AsyncIterator[FaultRun]:
    """The service as a run has it."""
    run = FaultRun(
        1, targets_of({"x": settings}, {}, port=False), WorldClock(SystemClock()), tmp_path / "f.jsonl", None
    )
    parts: Any = SimpleNamespace(lane=lane(), devices={}, services={"x": service}, nudged=asyncio.Event())
    run.add_lane("1", parts, {})
    async with serving(service):
        yield run


def begin(run: FaultRun, kind: str, **parameters: Any) -> int:
    return run.begin(AnyFault.validate_python({"target": "x", "kind": kind, **parameters})).id


async def test_a_modbus_portals_answers_are_late_lost_cut_and_wrong(tmp_path: Path) -> None:
    from pymodbus.client import AsyncModbusTcpClient
    from pymodbus.exceptions import ModbusException

    settings = aspect_modbus.Settings(kind="aspect_modbus", unit=3)
    device = aspect_modbus.AspectModbus("x", settings, site_of(lane()))
    assert isinstance(device, Relayed)
    async with disturbed(device, settings, tmp_path) as run:
        port = int(device.url.split(":")[2].split("/")[0])
        client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=0.4, retries=0)
        assert await client.connect()

        async def asked() -> list[int]:
            if not client.connected:
                await client.connect()
            return list((await client.read_holding_registers(100, count=21, device_id=3)).registers)

        said_by(device, 5.0)
        try:
            assert await asked() == device.registers
            for kind, parameters in (("delay", {"delay_s": 60}), ("drop", {"share": 1.0}), ("silence", {})):
                number = begin(run, kind, **parameters)
                with pytest.raises(ModbusException):
                    await asked()
                run.end(number)
                client.close()
            client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=20, retries=0)
            number = begin(run, "split", size=20, gap_s=0.01)
            assert await asked() == device.registers
            run.end(number)
            begin(run, "garble", share=1.0)
        finally:
            client.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(bytes.fromhex("000100000006030300640015"))
        answer = await reader.readexactly(51)
        assert answer[:6] != bytes.fromhex("00010000002d")
        writer.close()
        await writer.wait_closed()


async def test_an_llrp_reader_is_silent_and_speaks_again_on_the_same_connection(tmp_path: Path) -> None:
    from llrpkit.reader import Reader

    one = lane()
    settings = llrp_reader.Settings(kind="llrp_reader")
    device = llrp_reader.LlrpReader("x", settings, site_of(one))
    heard: list[object] = []
    async with disturbed(device, settings, tmp_path) as run:
        said_by(device, one.passages[0].reaches(-2.0 + 1.6))
        async with Reader("127.0.0.1", int(device.url.rsplit(":", 1)[1])) as reader:

            async def listen() -> None:
                async for report in reader.inventory():
                    heard.append(report)

            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(listen())
                await until(lambda: len(heard) > 0)
                number = begin(run, "silence")
                await asyncio.sleep(0.3)  # what was under way
                before = len(heard)
                await asyncio.sleep(0.5)  # some twenty reports
                assert len(heard) == before
                run.end(number)
                await until(lambda: len(heard) > before)
                listening.cancel()


async def test_a_pushed_file_comes_in_pieces_with_its_length(tmp_path: Path) -> None:
    got: list[tuple[str | None, bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        got.append((request.headers.get("Content-Length"), await request.read()))
        return web.Response(status=201)

    one = lane_of([truck()])
    async with receiver(answer) as url:
        settings = imaging_http.Settings(kind="imaging_http", to=url, format="tiff")
        device = imaging_http.ImagingHttp("x", settings, site_of(one))
        device.fault(AnyFault.validate_python({"target": "x", "kind": "split", "size": 4096, "gap_s": 0.001}), True)
        async with serving(device):
            ((_, data),) = said_by(device, 1e6)
            await until(lambda: len(got) == 1)
    assert got == [(str(len(data)), data)]


@pytest.mark.parametrize("finish", ["rename", "marker"])
async def test_a_file_grows_in_pieces_and_is_whole_when_it_is_said_to_be(tmp_path: Path, finish: Any) -> None:
    settings = imaging_folder.Settings(kind="imaging_folder", format="tiff", finish=finish, states="none")
    device = imaging_folder.ImagingFolder("x", settings, site_of(lane_of([truck()]), folder=tmp_path))
    split = AnyFault.validate_python({"target": "x", "kind": "split", "size": 100, "gap_s": 0.2})
    device.fault(split, True)
    async with serving(device):
        ((_, data),) = said_by(device, 1e6)
        path = tmp_path / "scans" / "x-000001.tif"
        growing = path if finish == "marker" else path.with_name(".x-000001.tif.part")
        await until(growing.exists)
        assert growing.stat().st_size < len(data)
        device.fault(split, False)  # the rest comes at once
        await until((path.with_name(path.name + ".done") if finish == "marker" else path).exists)
        assert path.read_bytes() == data
