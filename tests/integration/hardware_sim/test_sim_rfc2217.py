"""The device server with real sockets; pyserial's rfc2217 client judges."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import serial

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.links.lines import Lines
from hardware_sim.links.rfc2217 import Rfc2217Link
from hardware_sim.links.uart import SerialFormat

# pyserial's client names its thread in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name).. is deprecated:DeprecationWarning")

EVERY = bytes(range(256))


class Wires:
    """Lines that a test turns."""

    def __init__(self) -> None:
        self.now = Lines()

    def __call__(self) -> Lines:
        return self.now


@asynccontextmanager
async def device_server(
    wire: SerialFormat | None = None,
    received: Callable[[bytes], bytes] = lambda data: b"<" + data + b">",
    lines: Callable[[], Lines] = Lines,
) -> AsyncIterator[Rfc2217Link]:
    link = Rfc2217Link("127.0.0.1", 0, lambda: b"HELLO\r\n", received, wire, lines)
    await link.open()
    try:
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(link.watch())
            try:
                yield link
            finally:
                watch.cancel()
    finally:
        await link.close()


async def opened(link: Rfc2217Link, **settings: Any) -> Any:
    return await asyncio.to_thread(serial.serial_for_url, link.url, timeout=10, **settings)


def read(port: Any, count: int) -> bytes:
    """So many bytes, by a deadline that a loaded machine keeps."""
    data, until = b"", time.monotonic() + 10
    while len(data) < count and time.monotonic() < until:
        data += port.read(count - len(data))
    return data


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_bytes_pass_both_ways_unchanged_with_the_readers_settings_known() -> None:
    async with device_server() as link:
        port = await opened(link, baudrate=4800, bytesize=7, parity="E", stopbits=2)
        try:
            assert await asyncio.to_thread(read, port, 7) == b"HELLO\r\n"
            assert link.port_format == SerialFormat(4800, 7, "E", 2)
            link.write(EVERY)
            assert await asyncio.to_thread(read, port, 256) == EVERY  # 0xFF among them, which Telnet doubles
            await asyncio.to_thread(port.write, b"a\xffb")
            assert await asyncio.to_thread(read, port, 5) == b"<a\xffb>"
        finally:
            await asyncio.to_thread(port.close)
        await until(lambda: not link.attached)
        link.write(b"nobody")
        assert link.lost_bytes == 6


async def test_wrong_rate_garbles_both_ways_until_it_is_set_right() -> None:
    heard: list[bytes] = []

    def received(data: bytes) -> bytes:
        heard.append(data)
        return b""

    async with device_server(SerialFormat(9600, 8, "N", 1), received) as link:
        port = await opened(link, baudrate=19_200)
        try:
            await until(lambda: link.port_format == SerialFormat(19_200, 8, "N", 1))
            await asyncio.to_thread(port.reset_input_buffer)
            link.write(b"W     31240kg\r\n")
            garbled = await asyncio.to_thread(read, port, 10)
            assert b"3" not in garbled
            await asyncio.to_thread(port.write, b"W\r")
            await until(lambda: len(heard) > 0)
            assert b"W\r" not in b"".join(heard)
            await asyncio.to_thread(setattr, port, "baudrate", 9600)
            await asyncio.to_thread(port.read_all)
            await asyncio.to_thread(port.write, b"W\r")
            await until(lambda: heard[-1].endswith(b"W\r") or b"".join(heard).endswith(b"W\r"))
            link.write(b"right\r\n")
            assert b"right\r\n" in await asyncio.to_thread(port.read_until, b"right\r\n")
        finally:
            await asyncio.to_thread(port.close)


async def test_lines_that_change_are_told() -> None:
    wires = Wires()
    async with device_server(lines=wires) as link:
        port: Any = await opened(link)
        try:
            for lines in (Lines(cts=True), Lines(cts=True, dsr=True), Lines(dsr=True, ri=True, cd=True), Lines()):
                wires.now = lines
                until_s = time.monotonic() + 30
                while time.monotonic() < until_s:
                    told = await asyncio.to_thread(lambda: Lines(port.cts, port.dsr, port.ri, port.cd))
                    if told == lines:
                        break
                assert told == lines
        finally:
            await asyncio.to_thread(port.close)


async def test_newest_reader_takes_the_port() -> None:
    async with device_server() as link:
        old_reader, old_writer = await asyncio.open_connection("127.0.0.1", int(link.url.rsplit(":", 1)[1]))
        port = await opened(link)
        try:
            async with asyncio.timeout(30):
                await old_reader.read()  # to its end
            assert await asyncio.to_thread(read, port, 7) == b"HELLO\r\n"
        finally:
            await asyncio.to_thread(port.close)
            old_writer.close()


@pytest.mark.parametrize(
    "hostile",
    [
        b"\xff\xfa\x2c\x01\x00\xff\xf0",  # a baud rate of one byte
        b"\xff\xfa\x2c\x03\x63\xff\xf0",  # a parity that there is not
        b"\xff\xfa\x2c\x0a\xff\xf0",  # a mask without its byte
        b"\xff\xf0",  # the end of an option that never began
        b"\xff\xfa\x2c" + b"A" * 5000,  # an option without end
    ],
)
async def test_reader_that_speaks_no_rfc2217_is_left_and_the_next_one_served(hostile: bytes) -> None:
    async with device_server() as link:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(link.url.rsplit(":", 1)[1]))
        writer.write(hostile)
        async with asyncio.timeout(30):
            await reader.read()
        writer.close()
        port = await opened(link)
        assert await asyncio.to_thread(read, port, 7) == b"HELLO\r\n"
        await asyncio.to_thread(port.close)


async def test_reader_that_does_not_read_loses_bytes_and_holds_up_nobody() -> None:
    async with device_server() as link:
        _, writer = await asyncio.open_connection("127.0.0.1", int(link.url.rsplit(":", 1)[1]))
        await until(lambda: link.attached)
        for _ in range(2000):
            link.write(b"x" * 10_000)
            await asyncio.sleep(0)
            if link.lost_bytes:
                break
        assert link.lost_bytes
        writer.transport.abort()


async def test_port_in_use_is_a_clear_error() -> None:
    async with device_server() as link:
        other = Rfc2217Link("127.0.0.1", int(link.url.rsplit(":", 1)[1]), lambda: b"", lambda data: data)
        with pytest.raises(SettingsInvalid, match="cannot be served"):
            await other.open()
        await other.close()
