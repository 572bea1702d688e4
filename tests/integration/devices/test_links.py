"""Links and conversations over real ports: what a cable, a network and a device server do to them."""

import asyncio
import os
import socket
import struct
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge_agent.devices.link import CHUNK, QUEUED, LinkSettings, SerialLink
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import LinkDown
from edge_agent.domain.observation import Malformed, SealRead
from tests.integration.devices.conftest import BACKGROUND, Cable, DeviceServer, talking, tcp_device, until

# pyserial 3.5 sets up its RFC 2217 thread by methods that Python has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)\\(\\) is deprecated:DeprecationWarning")


def opened(url: str, **line: object) -> SerialLink:
    return SerialLink(LinkSettings.model_validate({"url": url, **line}), 9600, SystemClock())


async def received(link: SerialLink, length: int) -> bytes:
    data = b""
    async with asyncio.timeout(30):
        while len(data) < length:
            chunk = await link.receive(None)
            assert chunk
            data += chunk[0]
    return data


# --- a local port ------------------------------------------------------------------------------------------------


async def test_a_cable_pulled_and_plugged_in_again(cable: Cable) -> None:
    async with talking(LinkSettings(url=str(cable.path))) as heard:
        await until(lambda: heard.states == ["waiting"])
        cable.say(b"\xfe\x00 not a record\r\n")
        cable.say(BACKGROUND + b"GB,0003")  # in one: where the first is heard, the rest has been read
        await until(lambda: heard.states == ["waiting", "online"])
        cable.pull()
        await until(lambda: heard.states == ["waiting", "online", "offline"])
        assert heard.raw == b"\xfe\x00 not a record\r\n" + BACKGROUND + b"GB,0003", "nothing of it is lost"
        cable.plug_in()
        await until(lambda: heard.states[-1] == "waiting")
        cable.say(BACKGROUND)
        await until(lambda: heard.states[-1] == "online")


async def test_a_scan_is_read_and_an_unfinished_one_given_up(cable: Cable) -> None:
    async with talking(LinkSettings(url=str(cable.path)), "barcode_scanner") as heard:
        await until(lambda: heard.states == ["waiting"])
        cable.say(b"]C0HQ0012345\r\n]C0HQ00")
        await until(lambda: any(isinstance(reading.body, Malformed) for reading in heard.readings))
        bodies = [reading.body for reading in heard.readings if reading.raw]
        assert bodies == [SealRead("HQ0012345", "Code 128"), Malformed("a scan without its end")]


async def test_a_port_has_one_owner(cable: Cable) -> None:
    async with opened(str(cable.path)) as link:
        with pytest.raises(LinkDown, match="it is held by this program itself") as raised:
            await opened(str(cable.path)).__aenter__()
        assert "nothing else holds the port" in raised.value.remedy
        link.send(b"?")
        assert await asyncio.to_thread(cable.hear) == b"?"
    async with opened(str(cable.path)):
        pass  # closed before: it opens again at once


@pytest.mark.parametrize("name", ["missing", "a file"])
async def test_what_is_no_port(tmp_path: Path, name: str) -> None:
    (tmp_path / "a file").write_bytes(b"")
    with pytest.raises(LinkDown, match="cannot be opened"):
        await opened(str(tmp_path / name)).__aenter__()


# --- TCP ---------------------------------------------------------------------------------------------------------


async def test_a_device_that_speaks_at_once_and_hangs_up() -> None:
    async def speaks_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BACKGROUND)
        await writer.drain()

    async with tcp_device(speaks_once) as url, talking(LinkSettings(url=url)) as heard:
        await until(lambda: heard.states.count("offline") >= 2)
    readings = [reading for reading in heard.readings if reading.raw]
    assert heard.states[:5] == ["waiting", "online", "offline", "online", "offline"]
    assert readings[0].raw == BACKGROUND, "the first bytes of a connection are kept"


async def test_a_half_open_connection_is_closed_and_opened_anew() -> None:
    ends: list[float] = []

    async def falls_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BACKGROUND)
        await reader.read()  # to the end: the agent must hang up, we never do
        ends.append(time.monotonic())

    async with tcp_device(falls_silent) as url, talking(LinkSettings(url=url, silence_s=0.5)) as heard:
        await until(lambda: heard.states.count("online") >= 3 and len(ends) >= 2)
    assert heard.states[:5] == ["waiting", "online", "waiting", "online", "waiting"], "never known to be down"


async def test_a_connection_that_is_reset() -> None:
    async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with tcp_device(resets) as url, opened(url) as link:
        link.send(b"?")
        for _ in range(2):
            with pytest.raises(LinkDown, match="was lost"):
                await link.receive(30)


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(LinkDown, match="Connection refused") as raised:
        await opened(f"socket://127.0.0.1:{port}").__aenter__()
    assert "check power, network" in raised.value.remedy


async def test_a_full_queue_holds_the_device_back_and_drops_nothing() -> None:
    sent = os.urandom(3_000_000)

    async def pours(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        await reader.read()

    async with tcp_device(pours) as url, opened(url) as link:
        await until(lambda: link._chunks.qsize() == QUEUED)
        await asyncio.sleep(0.2)
        assert link._chunks.qsize() == QUEUED
        first = await link.receive(1)
        assert first
        assert len(first[0]) <= CHUNK
        assert first[0] + await received(link, len(sent) - len(first[0])) == sent


async def test_bytes_for_a_device_go_out_in_order_and_not_without_end() -> None:
    got = bytearray()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            got.extend(data)

    async with tcp_device(listens) as url:
        async with opened(url) as link:
            link.send(b"one ")
            link.send(b"two")
            assert await link.receive(0.01) is None
            await until(lambda: got == b"one two")
        for _ in range(QUEUED):
            link.send(b"x")  # closed: nobody takes them
        with pytest.raises(LinkDown, match="takes no bytes"):
            link.send(b"x")


# --- RFC 2217 ----------------------------------------------------------------------------------------------------


async def test_a_device_server_sets_its_port_and_carries_every_byte(device_server: DeviceServer) -> None:
    every = bytes(range(256)) * 20  # 0xFF is doubled on the way
    async with opened(device_server.url, baud=19200, parity="even", bytesize=7, stopbits=2) as link:
        port = device_server.port
        assert (port.baudrate, port.parity, port.bytesize, port.stopbits) == (19200, "E", 7, 2)
        device_server.say(every)
        assert await received(link, len(every)) == every


async def test_a_device_server_hangs_up_after_its_last_word(device_server: DeviceServer) -> None:
    async with talking(LinkSettings(url=device_server.url)) as heard:
        await until(lambda: heard.states == ["waiting"])
        device_server.say(BACKGROUND * 200)
        device_server.hang_up()
        await until(lambda: heard.states[-1] == "offline")
        assert heard.raw == BACKGROUND * 200
        await until(lambda: heard.states[-1] == "waiting")
        device_server.say(BACKGROUND)
        await until(lambda: heard.states[-1] == "online")


async def test_an_opening_that_is_given_up_leaves_no_port_open(device_server: DeviceServer) -> None:
    opening = opened(device_server.url)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(opening.__aenter__())
        await asyncio.sleep(0)
        task.cancel()  # at once, and an RFC 2217 negotiation takes 0.1 s at least
    await opening._closed.wait()
    async with opened(device_server.url):
        pass  # the device server serves one at a time


async def test_no_rfc2217_behind_the_port() -> None:
    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with tcp_device(says_nothing) as url:
        silent = url.replace("socket:", "rfc2217:")
        with pytest.raises(LinkDown, match="does not seem to support RFC2217"):
            await opened(f"{silent}?timeout=0.3").__aenter__()
        with pytest.raises(TimeoutError):  # given up from outside: the thread closes what it opens
            async with asyncio.timeout(0.1):
                await opened(f"{silent}?timeout=0.5").__aenter__()


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("COM3", "neither a path"),
        ("spy:///dev/ttyS0", "neither a path"),
        ("socket://host", "needs a host and a port"),
        ("socket://:1600", "needs a host and a port"),
        ("socket://host:1600/x", "nothing after them"),
        ("socket://host:99999", "out of range"),
        ("socket://host:1600?logging=debug", "options that are unknown: logging"),
        ("rfc2217://host:1600?logging=debug", "options that are unknown: logging"),
    ],
)
def test_a_url_that_cannot_be_meant(url: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        LinkSettings(url=url)


def test_urls_that_can() -> None:
    assert not LinkSettings(url="/dev/serial/by-id/usb-FTDI").on_network
    assert LinkSettings(url="socket://[::1]:1600").on_network
    assert LinkSettings(url="rfc2217://host:1600?ign_set_control&timeout=5").on_network
