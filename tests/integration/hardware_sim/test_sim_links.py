"""Links with real sockets and pseudo-terminals: readers that come, go, push each other out, or do not read."""

import asyncio
import os
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import serial

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.links import one_reader
from hardware_sim.links.pty import PtyLink
from hardware_sim.links.tcp import TcpLink


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline that a loaded machine keeps."""
    async with asyncio.timeout(30):
        while not condition():  # what is waited for lies in the kernel
            await asyncio.sleep(0.01)


@asynccontextmanager
async def tcp_link() -> AsyncIterator[TcpLink]:
    link = TcpLink("127.0.0.1", 0, lambda: b"HELLO\r\n", bytes.upper)
    await link.open()
    try:
        yield link
    finally:
        await link.close()


@asynccontextmanager
async def pty_link(path: Path, hello: bytes = b"HELLO\r\n") -> AsyncIterator[PtyLink]:
    link = PtyLink(path, lambda: hello, bytes.upper)
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


async def connect(link: TcpLink) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = link.url.removeprefix("socket://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    assert await asyncio.wait_for(reader.readexactly(7), 30) == b"HELLO\r\n"
    return reader, writer


async def test_tcp_reader_gets_what_is_said_while_it_is_there() -> None:
    async with tcp_link() as link:
        link.write(b"before\r\n")
        reader, writer = await connect(link)
        link.write(b"one\r\n")
        assert await reader.readexactly(5) == b"one\r\n"
        writer.close()
        await until(lambda: not link.attached)
        link.write(b"between\r\n")
        reader, writer = await connect(link)
        link.write(b"two\r\n")
        assert await reader.readexactly(5) == b"two\r\n"
        assert link.lost_bytes == len(b"before\r\nbetween\r\n")
        writer.close()


async def test_tcp_newest_reader_takes_the_line() -> None:
    async with tcp_link() as link:
        old_reader, old_writer = await connect(link)
        reader, writer = await connect(link)
        assert await asyncio.wait_for(old_reader.read(), 30) == b""
        link.write(b"mine\r\n")
        assert await reader.readexactly(6) == b"mine\r\n"
        assert link.attached
        old_writer.close()
        writer.close()


async def test_tcp_reader_that_does_not_read_loses_bytes_and_holds_up_nobody() -> None:
    async with tcp_link() as link:
        _, writer = await connect(link)
        for _ in range(2000):
            link.write(b"x" * 10_000)  # far beyond what the kernel and the backlog take
            await asyncio.sleep(0)
            if link.lost_bytes:
                break
        assert link.lost_bytes
        writer.transport.abort()


async def test_tcp_reader_that_reads_nothing_is_still_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_reader, "_FLUSHES_S", 0.05)
    async with tcp_link() as link:
        _, writer = await connect(link)
        while not link.lost_bytes:
            link.write(b"x" * 65_536)
            await asyncio.sleep(0)
        served = link._server.writer
        assert served is not None
        link.hang_up()
        with suppress(ConnectionError):
            await asyncio.wait_for(served.wait_closed(), 30)
        writer.transport.abort()


@pytest.mark.parametrize("error", [TimeoutError(110, "Connection timed out"), ConnectionResetError()])
async def test_tcp_reader_that_vanished_is_no_defect(error: OSError) -> None:
    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: raised.append(context))

    async def vanishing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise error

    server = one_reader.OneReaderServer("socket", "127.0.0.1", 0, vanishing)
    await server.open()
    host, port = server.url.removeprefix("socket://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    assert await asyncio.wait_for(reader.read(), 30) == b""
    writer.close()
    await server.close()
    assert not raised


async def test_tcp_port_in_use_is_a_clear_error() -> None:
    async with tcp_link() as link:
        other = TcpLink("127.0.0.1", int(link.url.rsplit(":", 1)[1]), lambda: b"", bytes.upper)
        with pytest.raises(SettingsInvalid, match=r"cannot be served.*\n.*choose another port"):
            await other.open()
        await other.close()


async def test_pty_reader_gets_bytes_unchanged_and_misses_those_between(tmp_path: Path) -> None:
    every = bytes(range(256))
    async with pty_link(tmp_path / "seal.tty") as link:
        link.write(b"before\r\n")
        for round_number in range(3):
            port = serial.Serial(link.url, 115_200, timeout=0)
            try:
                got = bytearray()
                await until(lambda got=got, port=port: got.extend(port.read(4096)) or got == b"HELLO\r\n")  # type: ignore[misc]
                link.write(every)
                await until(lambda got=got, port=port: got.extend(port.read(4096)) or got == b"HELLO\r\n" + every)  # type: ignore[misc]
            finally:
                port.close()
            await until(lambda: not link.attached)
            link.write(b"between %d\r\n" % round_number)
        assert link.lost_bytes >= len(b"before\r\n")


async def test_pty_is_raw_for_a_reader_that_sets_nothing(tmp_path: Path) -> None:
    async with pty_link(tmp_path / "seal.tty", b"") as link:
        for _ in range(2):  # the second opening too, after a reader that left the terminal line-buffered
            descriptor = os.open(link.url, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                await until(lambda: link.attached)
                link.write(b"a\r\x03\x04\x11z")
                got = bytearray()

                def take(descriptor: int = descriptor, got: bytearray = got) -> bool:
                    with suppress(BlockingIOError):
                        got.extend(os.read(descriptor, 100))
                    return got == b"a\r\x03\x04\x11z"

                await until(take)
                cooked = termios.tcgetattr(descriptor)
                cooked[0] |= termios.ICRNL | termios.IXON
                cooked[3] |= termios.ICANON | termios.ISIG
                termios.tcsetattr(descriptor, termios.TCSANOW, cooked)
            finally:
                os.close(descriptor)
            await until(lambda: not link.attached)


async def test_pty_reader_that_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    async with pty_link(tmp_path / "seal.tty") as link:
        with serial.Serial(link.url, timeout=0):
            await until(lambda: link.attached)
            for _ in range(100):
                link.write(b"x" * 1000)
            assert link.lost_bytes > 10_000


async def test_pty_link_replaces_a_stale_one_and_is_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "lane" / "seal.tty"
    path.parent.mkdir()
    path.symlink_to("/dev/pts/999999")
    async with pty_link(path):
        assert path.is_symlink()
        assert path.resolve().is_char_device()
    assert not path.is_symlink()
    assert not list(path.parent.iterdir())


async def test_pty_link_of_another_run_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "seal.tty"
    async with pty_link(path):
        async with pty_link(path):
            newest = path.readlink()
        assert not path.is_symlink()
        path.symlink_to(newest)  # somebody else's by now
    assert path.is_symlink()


async def test_pty_refuses_to_replace_a_file(tmp_path: Path) -> None:
    path = tmp_path / "seal.tty"
    path.write_text("keep me")
    link = PtyLink(path, lambda: b"", bytes.upper)
    with pytest.raises(SettingsInvalid, match="exists and is no symbolic link"):
        await link.open()
    await link.close()
    assert path.read_text() == "keep me"
