"""Faults on real links: readers are hung up on, find another terminal, hear garbage, or a port that is not there."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import serial

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.clock import WorldClock
from hardware_sim.fault_run import FaultRun
from hardware_sim.faults import PORT, PORT_KINDS, AnyFault, Fault
from hardware_sim.links.rfc2217 import Rfc2217Link
from hardware_sim.links.tcp import TcpLink
from hardware_sim.port_proxy import PortProxy
from hardware_sim.port_settings import PortSettings, split_address
from hardware_sim.run import PortSim
from tests.integration.hardware_sim.sim import address, connected, lane, running, until


def begin(sim: PortSim, **settings: Any) -> Fault:
    return sim.faults.begin(AnyFault.validate_python(settings))


async def line(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readuntil(b"\r\n"), 30)


async def ended(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        async with asyncio.timeout(30):
            while await reader.read(4096):
                pass


async def test_hung_up_on_and_back_at_the_same_address(tmp_path: Path) -> None:
    async with running(lane(), tmp_path) as sim:
        reader, writer = await connected(url := address(sim, "portal"))
        assert (await line(reader)).startswith(b"SG1")
        fault = begin(sim, target="portal", kind="hang_up", for_s=None)
        await ended(reader)
        with pytest.raises(ConnectionError):
            await connected(url)
        sim.faults.end(fault.id)
        await until(lambda: _answers(url))
        again, other = await connected(url)
        assert (await line(again)).startswith(b"SG1")
        writer.close()
        other.close()


def _answers(url: str) -> bool:
    host, port = split_address(url.removeprefix("socket://"))
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


async def test_hung_up_on_for_a_moment(tmp_path: Path) -> None:
    async with running(lane(), tmp_path) as sim:
        reader, writer = await connected(address(sim, "portal"))
        assert (await line(reader)).startswith(b"SG1")
        fault = begin(sim, target="portal", kind="hang_up")
        await ended(reader)
        await until(lambda: fault.state == "over")
        writer.close()


@pytest.mark.parametrize("kind", [TcpLink, Rfc2217Link])
async def test_a_reader_accepted_at_the_last_moment_is_hung_up_on_too(kind: type[TcpLink] | type[Rfc2217Link]) -> None:
    for turns in range(10):
        link = kind("127.0.0.1", 0, lambda: b"HELLO", lambda _: b"")
        await link.open()
        host, _, port = link.url.rpartition("//")[2].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as reader:
            for _ in range(turns):  # the loop takes some turns from the kernel's accepting to the link's serving
                await asyncio.sleep(0)
            await link.close()
            await link.open()
            with suppress(ConnectionError):
                while await asyncio.to_thread(reader.recv, 100):
                    pass
        await link.close()


async def test_plugged_in_again_it_is_another_terminal(tmp_path: Path) -> None:
    async with running(lane(), tmp_path) as sim:
        tty = Path(address(sim, "portal", 1))
        before = os.readlink(tty)
        with serial.Serial(str(tty), timeout=0) as port:
            await until(lambda: port.in_waiting > 0)
            fault = begin(sim, target="portal", kind="re_plug", for_s=None)
            await until(lambda: not tty.is_symlink())
            with pytest.raises((serial.SerialException, OSError)):
                await until(lambda: port.in_waiting < 0)
        sim.faults.end(fault.id)
        await until(tty.is_symlink)
        assert os.readlink(tty) != before
        with serial.Serial(str(tty), timeout=0) as port:
            await until(lambda: port.in_waiting > 0)
            assert port.read(3) == b"SG1"


async def test_silence_keeps_the_link_up(tmp_path: Path) -> None:
    async with running(lane(), tmp_path) as sim:
        reader, writer = await connected(address(sim, "scale"))
        await asyncio.wait_for(reader.readexactly(18), 30)
        fault = begin(sim, target="scale", kind="silence", for_s=None)
        with suppress(TimeoutError):  # what was on its way already
            await asyncio.wait_for(reader.read(4096), 0.2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        sim.faults.end(fault.id)
        await asyncio.wait_for(reader.readexactly(18), 30)
        writer.close()


async def test_a_scale_that_never_settles_and_one_with_wrong_checks(tmp_path: Path) -> None:
    async with running(lane(), tmp_path) as sim:
        reader, writer = await connected(address(sim, "scale"))

        async def frame() -> bytes:
            return await asyncio.wait_for(reader.readexactly(18), 30)

        assert sum(await frame()) & 0x7F == 0
        moving = begin(sim, target="scale", kind="stuck_motion")
        async with asyncio.timeout(30):
            while not (await frame())[2] & 0x08:
                pass
        sim.faults.end(moving.id)
        async with asyncio.timeout(30):
            while (await frame())[2] & 0x08:
                pass
        begin(sim, target="scale", kind="wrong_checksum")
        async with asyncio.timeout(30):
            while sum(await frame()) & 0x7F == 0:
                pass
        writer.close()


async def test_a_greeting_is_spoilt_too(tmp_path: Path) -> None:
    async with running(lane(), tmp_path) as sim:
        begin(sim, target="portal", kind="wrong_baud", sent_bd=9600, heard_bd=4800)
        reader, writer = await connected(address(sim, "portal"))
        heard = await asyncio.wait_for(reader.read(64), 30)
        assert heard
        assert b"SG1" not in heard
        writer.close()


async def test_faults_stand_in_their_file_with_beginning_and_end(tmp_path: Path) -> None:
    more = "faults: [{target: portal, kind: silence, truck: 1, when: enters, for_s: 0.5}]\n"
    async with running(lane(more), tmp_path) as sim:
        sim.send("1")
        begin(sim, target="scale", kind="drop", share=0.5)
        await until(lambda: sim.faults.faults.all[0].state == "over")
    records = [json.loads(text) for text in (tmp_path / "faults.jsonl").read_text().splitlines()]
    assert [(r["what"], r["target"], r["kind"], r["by"]) for r in records] == [
        ("began", "scale", "drop", "command"),
        ("began", "portal", "silence", "scenario"),
        ("ended", "portal", "silence", "scenario"),
        ("ended", "scale", "drop", "command"),
    ]
    assert records[0]["parameters"] == {"share": 0.5}


# --- the way to the port -------------------------------------------------------------------------------------------


class Gateway:
    """A peer that says its name, then echoes."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.address = ""
        self.connections = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Gateway"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            writer.write(self.name)
            while data := await reader.read(1024):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


class Way:
    """A proxy between the test and two gateways."""

    def __init__(self, faults: FaultRun, proxy: PortProxy, gateways: tuple[Gateway, Gateway]) -> None:
        self.faults, self.proxy, self.gateways = faults, proxy, gateways

    def begin(self, kind: str, **more: Any) -> Fault:
        return self.faults.begin(AnyFault.validate_python({"target": PORT, "kind": kind} | more))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*split_address(self.proxy.address))

    async def greeted(self) -> bytes:
        reader, writer = await self.connect()
        try:
            return await asyncio.wait_for(reader.readexactly(3), 30)
        finally:
            writer.close()


@pytest.fixture
async def way(tmp_path: Path) -> AsyncIterator[Way]:
    async with Gateway(b"one").serving() as one, Gateway(b"two").serving() as two:
        settings = PortSettings(upstream=one.address, forgets_to=two.address)
        clock = WorldClock(SystemClock())
        run = FaultRun(1, {PORT: PORT_KINDS}, clock, tmp_path / "faults.jsonl", settings)
        await run.open()
        assert run.proxy is not None
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(run.run())
            try:
                yield Way(run, run.proxy, (one, two))
            finally:
                serving.cancel()
                await run.close()


async def test_the_way_to_the_port_carries_bytes_untouched(way: Way) -> None:
    reader, writer = await way.connect()
    assert await reader.readexactly(3) == b"one"
    blob = bytes(range(256)) * 2000
    writer.write(blob)
    assert await asyncio.wait_for(reader.readexactly(len(blob)), 30) == blob
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 30) == b""  # an end is carried on too
    writer.close()


async def test_down_and_refused(way: Way) -> None:
    reader, writer = await way.connect()
    await reader.readexactly(3)
    down = way.begin("down")
    await ended(reader)
    await until(lambda: not _answers(f"socket://{way.proxy.address}"))
    way.faults.end(down.id)
    await until(lambda: _answers(f"socket://{way.proxy.address}"))
    assert await way.greeted() == b"one"
    refuse = way.begin("refuse")
    refused, other = await way.connect()
    with pytest.raises(ConnectionError):
        assert await asyncio.wait_for(refused.read(), 30) == b"x"
    way.faults.end(refuse.id)
    assert await way.greeted() == b"one"
    writer.close()
    other.close()


async def test_half_open_carries_nothing_and_tells_nobody(way: Way) -> None:
    reader, writer = await way.connect()
    await reader.readexactly(3)
    fault = way.begin("half_open")
    writer.write(b"hello?")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.3)
    late, other = await way.connect()  # accepted, and nothing more
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(late.read(1), 0.2)
    assert way.gateways[0].connections == 1
    way.faults.end(fault.id)
    await ended(reader)
    assert await way.greeted() == b"one"
    writer.close()
    other.close()


async def test_a_slow_way_takes_its_time(way: Way) -> None:
    reader, writer = await way.connect()
    await reader.readexactly(3)
    way.begin("slow", bytes_per_s=4000, latency_s=0.1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    writer.write(b"x" * 1200)
    assert await asyncio.wait_for(reader.readexactly(1200), 30) == b"x" * 1200
    assert loop.time() - began > 0.45  # 0.3 s of bytes, there and, overlapping, back, and twice the latency
    writer.close()


async def test_a_port_that_forgot_is_another_one(way: Way) -> None:
    reader, writer = await way.connect()
    assert await reader.readexactly(3) == b"one"
    way.begin("forget")
    await ended(reader)
    assert await way.greeted() == b"two"
    way.begin("forget")  # there is no third: it stays with the last
    assert await way.greeted() == b"two"
    writer.close()


async def test_a_gateway_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
        run = FaultRun(1, {PORT: PORT_KINDS}, WorldClock(SystemClock()), tmp_path / "f", PortSettings(upstream=nobody))
        await run.open()
        assert run.proxy is not None
        reader, writer = await asyncio.open_connection(*split_address(run.proxy.address))
        await ended(reader)
        writer.close()
        taken.listen()
        other = FaultRun(1, {}, WorldClock(SystemClock()), tmp_path / "g", PortSettings(listen=nobody, upstream=nobody))
        with pytest.raises(SettingsInvalid, match="cannot be served"):
            await other.open()
        await other.close()
        await run.close()
