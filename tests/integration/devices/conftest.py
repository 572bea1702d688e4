"""Real ports for the links: pseudo-terminals, TCP servers, an RFC 2217 device server."""

import asyncio
import os
import socket
import threading
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import serial
from serial.rfc2217 import PortManager

from edge_agent.devices.catalogue import CATALOGUE
from edge_agent.devices.link import LinkSettings
from edge_agent.devices.talk import talk
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.observation import DeviceStatus, Reading
from tests.integration.devices.command_booth import Booth

PATIENCE_S = 30.0
BACKGROUND = b"GB,000379,000371,000407,000371\r\n"


async def until(condition: Callable[[], object]) -> None:
    """Waits for a fact, not for a time."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


class Heard:
    """What a conversation emitted."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []

    async def emit(self, reading: Reading) -> None:
        self.readings.append(reading)

    @property
    def states(self) -> list[str]:
        return [reading.body.state for reading in self.readings if isinstance(reading.body, DeviceStatus)]

    @property
    def details(self) -> list[str]:
        return [reading.body.detail for reading in self.readings if isinstance(reading.body, DeviceStatus)]

    @property
    def raw(self) -> bytes:
        return b"".join(reading.raw for reading in self.readings)


@asynccontextmanager
async def talking(link: LinkSettings, driver: str = "rapiscan_vm250") -> AsyncIterator[Heard]:
    heard, row = Heard(), CATALOGUE[driver]
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(
            talk("x", row, row.settings(), link, heard.emit, SystemClock(), uniform=lambda low, high: 0.02)
        )
        try:
            yield heard
        finally:
            task.cancel()


class Cable:
    """A serial device on a pseudo-terminal, under a name that stays when it is plugged in again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._master = -1

    def plug_in(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        fresh = self.path.with_suffix(".new")
        fresh.symlink_to(os.ttyname(slave))
        fresh.replace(self.path)
        os.close(slave)

    def say(self, data: bytes) -> None:
        os.write(self._master, data)

    def hear(self) -> bytes:
        return os.read(self._master, 100)

    def pull(self) -> None:
        if self._master >= 0:
            os.close(self._master)
            self._master = -1


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    made = Cable(tmp_path / "usb-scanner")
    made.plug_in()
    yield made
    made.pull()


Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def tcp_device(conversation: Conversation) -> AsyncIterator[str]:
    """A device on raw TCP: `conversation` is held with everyone who connects. Yields its URL."""

    held: set[asyncio.Task[None] | None] = set()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.add(asyncio.current_task())
        with suppress(OSError, asyncio.CancelledError):  # the stream's own callback does not expect cancellation
            try:
                await conversation(reader, writer)
            finally:
                writer.close()
                await writer.wait_closed()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        tasks = [task for task in held if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await server.wait_closed()


class DeviceServer:
    """A serial port behind RFC 2217, by pyserial's own server side; it serves one client at a time."""

    def __init__(self) -> None:
        self.port = serial.serial_for_url("loop://", timeout=0)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._listening.getsockname()[1]}"
        self._client: socket.socket | None = None
        self._manager: PortManager | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """PortManager's way to its client."""
        if self._client:
            self._client.sendall(data)

    def say(self, data: bytes) -> None:
        assert self._manager
        self.write(b"".join(self._manager.escape(data)))

    def hang_up(self) -> None:
        if self._client:
            with suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.hang_up()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(PATIENCE_S)
        self.port.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                self._client, _ = self._listening.accept()
                with self._client, suppress(OSError):
                    self._manager = PortManager(self.port, self)  # type: ignore[arg-type]
                    while data := self._client.recv(1000):
                        b"".join(self._manager.filter(data))


@pytest.fixture
def device_server() -> Iterator[DeviceServer]:
    server = DeviceServer()
    yield server
    server.close()


@pytest.fixture
def booth(tmp_path: Path) -> Iterator[Booth]:
    made = Booth(tmp_path)
    yield made
    for device in made.made:
        device.close()
