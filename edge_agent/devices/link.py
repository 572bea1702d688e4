"""The way to a device's bytes: a local serial port, or one across the network, all through pyserial.

A thread owns the port from opening to closing: nobody else reads, writes or closes it, so a port is never open twice.

     device ══ port ══ thread ──(chunk, when it came)──► at most QUEUED chunks ──► receive()
                         ▲                                    full: the thread waits, and the device's own
                         └────────── at most QUEUED ◄── send()    flow control or the kernel's buffer holds the rest
"""

import asyncio
import errno
import fcntl
import os
import queue
import re
import select
import socket
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Literal, Protocol, Self
from urllib.parse import parse_qs, urlsplit

import serial
from pydantic import BaseModel, ConfigDict, Field, field_validator
from serial import rfc2217
from serial.serialutil import SerialBase
from serial.urlhandler import protocol_socket

from edge_agent.devices.holders import Holder, holders, is_pty, strangers
from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import LinkDown

CHUNK = 4096
QUEUED = 64
# How long the thread sits in one read: what closing, and sending to a device that is silent, wait for at most.
READ_S = 0.05
WRITE_S = 5.0
CLOSE_S = 10.0  # pyserial waits up to 7 s for its own RFC 2217 thread

_PARITY = {"none": "N", "even": "E", "odd": "O", "mark": "M", "space": "S"}
_RFC2217_OPTIONS = {"ign_set_control", "timeout"}
# A peer that vanished without a word (power, cable) is found after 30 + 3 · 10 s also where silence is normal.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
# The same for a peer that is asked: what was sent is not acknowledged, and no probe is sent meanwhile.
_UNACKNOWLEDGED_MS = 60_000


class LinkSettings(BaseModel):
    """Where a device is attached, and how its line is set. What is left out comes from the driver."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        description="a local port (/dev/serial/by-id/...), socket://host:port (raw TCP) or rfc2217://host:port"
    )
    baud: int | None = Field(
        default=None, ge=50, le=4_000_000, description="bits per second; unset: the driver's usual rate"
    )
    bytesize: Literal[5, 6, 7, 8] = Field(default=8, description="data bits")
    parity: Literal["none", "even", "odd", "mark", "space"] = "none"
    stopbits: Literal[1, 2] = 1
    rtscts: bool = Field(default=False, description="hardware flow control")
    xonxoff: bool = Field(default=False, description="software flow control")
    silence_s: float | None = Field(
        default=None,
        gt=0,
        description="seconds without a word after which the device counts as silent; unset: the driver's",
    )

    @field_validator("url")
    @classmethod
    def _known_url(cls, url: str) -> str:
        if url.startswith("/"):
            return url
        parts = urlsplit(url)
        if parts.scheme not in ("socket", "rfc2217"):
            raise ValueError(
                f"{url!r} is neither a path that begins with / nor socket://host:port nor rfc2217://host:port"
            )
        if not parts.hostname or not parts.port or parts.path.strip("/"):
            raise ValueError(f"{url!r} needs a host and a port, and nothing after them: {parts.scheme}://host:port")
        options = set(parse_qs(parts.query, keep_blank_values=True))
        unknown = options - (_RFC2217_OPTIONS if parts.scheme == "rfc2217" else set())
        if unknown:
            raise ValueError(f"{url!r} has options that are unknown: {', '.join(sorted(unknown))}")
        return url

    @property
    def on_network(self) -> bool:
        """Whether the line can be dead without saying so."""
        return not self.url.startswith("/")


def port_of(url: str) -> str:
    """What is behind `url`, by whatever name: a local port's own path, or host:port."""
    if url.startswith("/"):
        return os.path.realpath(url)
    parts = urlsplit(url)
    if not parts.port:
        return url
    host = parts.hostname or ""
    with suppress(ValueError):
        host = str(ip_address(host))  # ::1 has other spellings
    return f"{host}:{parts.port}"


class Link(Protocol):
    """An open link, as `talk` needs it."""

    async def receive(self, timeout: float | None) -> tuple[bytes, float] | None:
        """The next bytes and when they came; None after `timeout` seconds. Raises LinkDown at the end of the link."""
        ...

    def send(self, data: bytes) -> None:
        """Hands bytes to the device. Raises LinkDown if it takes none."""
        ...


class SerialLink:
    """A link through pyserial; an asynchronous context manager that is open inside.

    Entering raises LinkDown if the port cannot be opened. pyserial gives a network peer 5 s for connecting.
    """

    def __init__(self, settings: LinkSettings, baud: int, clock: Clock) -> None:
        self._settings = settings
        self._baud = settings.baud or baud
        self._clock = clock
        self._chunks: asyncio.Queue[tuple[bytes, float] | LinkDown] = asyncio.Queue()  # bounded by _room
        self._room = threading.Semaphore(QUEUED)
        self._outgoing: queue.Queue[bytes] = queue.Queue(QUEUED)
        self._stop = threading.Event()
        self._end: LinkDown | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._closed = asyncio.Event()
        threading.Thread(target=self._own, args=(opened,), name=f"link {self._settings.url}", daemon=True).start()
        try:
            await opened
        except asyncio.CancelledError:
            self._stop.set()  # the thread closes what it may still open
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._closed.wait()

    async def receive(self, timeout: float | None) -> tuple[bytes, float] | None:
        if self._end:
            raise self._end
        try:
            async with asyncio.timeout(timeout):
                chunk = await self._chunks.get()
        except TimeoutError:
            return None
        if isinstance(chunk, LinkDown):
            self._end = chunk
            raise chunk
        self._room.release()
        return chunk

    def send(self, data: bytes) -> None:
        try:
            self._outgoing.put_nowait(data)
        except queue.Full:
            raise LinkDown(f"{self._settings.url} takes no bytes", "check flow control and the device") from None

    # --- in the thread -----------------------------------------------------------------------------------------

    def _own(self, opened: "asyncio.Future[None]") -> None:
        end = self._down("was lost: its thread ended")
        port: SerialBase | None = None
        try:
            port = open_port(self._settings, self._baud)
            self._tell(_settle, opened, None)
            self._carry(port)
        except (OSError, ValueError, termios.error) as error:  # serial.SerialException is an OSError
            end = self._down(f"was lost: {error}" if port else _why_not(self._settings.url, error))
        finally:
            if port:
                port.close()
            self._tell(_settle, opened, end)
            self._tell(self._chunks.put_nowait, end)
            self._tell(self._closed.set)

    def _carry(self, port: SerialBase) -> None:
        while not self._stop.is_set():
            with suppress(queue.Empty):
                port.write(self._outgoing.get_nowait())
            self._hand_over(self._look(port))

    def _look(self, port: SerialBase) -> bytes:
        """What is handed over next. A device that is more than a stream of bytes overrides it."""
        return read_port(port)

    def _hand_over(self, data: bytes) -> None:
        if not data:
            return
        at = self._clock.monotonic()
        while not self._room.acquire(timeout=READ_S):
            if self._stop.is_set():
                return
        self._tell(self._chunks.put_nowait, (data, at))

    def _tell(self, call: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(call, *arguments)

    def _down(self, wrong: str) -> LinkDown:
        if self._settings.on_network:
            return LinkDown(f"{self._settings.url} {wrong}", "check power, network and the device server's port")
        return LinkDown(
            f"{self._settings.url} {wrong}",
            "check the cable, `ls -l /dev/serial/by-id`, that nothing else holds the port, and membership of its group",
        )


def _settle(opened: "asyncio.Future[None]", error: LinkDown | None) -> None:
    if opened.done():
        return
    if error:
        opened.set_exception(error)
    else:
        opened.set_result(None)


# --- pyserial's three kinds of port, with what a booth needs of them ----------------------------------------------


def open_port(settings: LinkSettings, baud: int) -> SerialBase:
    """Opens it for this program alone. Raises OSError, ValueError or termios.error if it cannot be opened so."""
    line: dict[str, Any] = {
        "baudrate": baud,
        "bytesize": settings.bytesize,
        "parity": _PARITY[settings.parity],
        "stopbits": settings.stopbits,
        "rtscts": settings.rtscts,
        "xonxoff": settings.xonxoff,
    }
    port: SerialBase
    if settings.url.startswith("socket:"):
        port = _TcpPort(None, timeout=0, write_timeout=WRITE_S, **line)
    elif settings.url.startswith("rfc2217:"):
        port = _Rfc2217Port(None, timeout=READ_S, **line)  # it knows no write timeout
    else:
        port = serial.Serial(None, timeout=0, write_timeout=WRITE_S, exclusive=True, **line)
    port.port = settings.url
    try:
        if not settings.on_network:
            _refuse_shared(settings.url)
        port.open()
        if not settings.on_network and not is_pty(settings.url):  # on a pseudo-terminal it would outlive us
            fcntl.ioctl(port.fileno(), termios.TIOCEXCL)  # a program that takes no lock would steal bytes: EBUSY
    except OSError:
        port.close()
        raise
    return port


def _refuse_shared(path: str) -> None:
    """Two readers would each get some of the bytes."""
    if others := strangers(path):
        raise OSError(errno.EBUSY, f"it is held by {_listed(others)}")


def _why_not(url: str, error: Exception) -> str:
    """Why a port cannot be opened, for people."""
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return "cannot be opened: there is no such port; it is unplugged, or plugged in under another name"
    if number == errno.EACCES:
        return "cannot be opened: this user may not open it"
    if number == errno.EBUSY:
        return f"cannot be opened: {getattr(error, 'strerror', None) or error}"
    if number in (errno.EWOULDBLOCK, errno.EAGAIN):
        by = f" by {_listed(found)}" if (found := holders(url)) else ""
        return f"cannot be opened: it is held{by}"
    why = str(error).removeprefix(f"Could not open port {url}: ")
    return "cannot be opened: " + re.sub(r"^\[Errno \d+\] ", "", why)


def _listed(found: list[Holder]) -> str:
    return ", ".join(str(holder) for holder in found)


def read_port(port: SerialBase) -> bytes:
    """What is there, at most CHUNK bytes; waits READ_S for the first."""
    if isinstance(port, _Rfc2217Port):
        return bytes(port.read(CHUNK))
    ready, _, _ = select.select([port.fileno()], [], [], READ_S)
    return bytes(port.read(CHUNK)) if ready else b""


class _TcpPort(protocol_socket.Serial):
    """pyserial's `socket://`, which throws away the first bytes of a connection and leaks a socket that was reset."""

    _socket: socket.socket | None = None

    def open(self) -> None:
        super().open()
        _keep_alive(self._socket)

    def reset_input_buffer(self) -> None:
        """The first bytes after a connection are as good as any."""

    def close(self) -> None:
        connection = self._socket
        super().close()
        if connection:
            connection.close()


class _Rfc2217Port(rfc2217.Serial):
    """pyserial's `rfc2217://`, with the same two repairs, and one more: its `read` drops a connection's last bytes."""

    _socket: socket.socket | None = None
    _read_buffer: "queue.Queue[bytes | None]"
    _thread: threading.Thread

    def open(self) -> None:
        super().open()
        _keep_alive(self._socket)

    def reset_input_buffer(self) -> None:
        """The first bytes after a connection are as good as any."""

    def close(self) -> None:
        connection = self._socket
        super().close()
        if connection:
            connection.close()

    def read(self, size: int = 1) -> bytes:
        data = bytearray()
        with suppress(queue.Empty):
            data += self._read_buffer.get(timeout=READ_S) or b""  # None marks the end
            while len(data) < size:
                data += self._read_buffer.get_nowait() or b""
        if not data and not self._thread.is_alive() and self._read_buffer.empty():
            raise serial.SerialException("the connection was closed")
        return bytes(data)


def _keep_alive(connection: socket.socket | None) -> None:
    if connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
