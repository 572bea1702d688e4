"""A device in the same process as its reader: no socket, no thread, one clock.

device ──write──► MemoryLink ──(chunk, when)──► attach() ──receive──► reader
       ◄─answer──                               ◄───────── send ───
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import LinkDown

# A reader that has stopped reading: beyond this the line loses bytes, as a real one does.
_BACKLOG_BYTES = 64 * 1024


class MemoryLink:
    """Serves one reader at a time in this process."""

    def __init__(
        self, name: str, clock: Clock, connected: Callable[[], bytes], received: Callable[[bytes], bytes]
    ) -> None:
        """`connected` gives the bytes that the device sends when a reader attaches, `received` its answer to what a
        reader sends. What is written is dated on `clock`."""
        self.url = f"/memory/{name}"
        self._clock = clock
        self._connected = connected
        self._received = received
        self._serves = False
        self._end: MemoryEnd | None = None
        self.lost_bytes = 0

    @property
    def attached(self) -> bool:
        """Whether a reader is attached."""
        return self._end is not None

    async def open(self) -> None:
        self._serves = True

    async def watch(self) -> None:
        """There is nothing to watch."""

    def write(self, data: bytes) -> None:
        """Hand bytes to the reader, if there is one."""
        if not data:
            return
        if self._end is None or not self._end.put(data, self._clock.monotonic()):
            self.lost_bytes += len(data)

    def hang_up(self) -> None:
        """Break the reader's connection, as when the cable is pulled."""
        if self._end is not None:
            self._end.end()
            self._end = None

    async def close(self) -> None:
        self._serves = False
        self.hang_up()

    def attach(self) -> "MemoryEnd":
        """The reader's end, to be entered; a new one takes the place of the one before."""
        return MemoryEnd(self)

    # --- called by the reader's end ------------------------------------------------------------------------------

    def enter(self, end: "MemoryEnd") -> None:
        """Raises LinkDown while the device is away."""
        if not self._serves:
            raise LinkDown(f"{self.url} cannot be opened: the device is away", "bring the simulator up")
        self.hang_up()
        self._end = end
        self.write(self._connected())

    def leave(self, end: "MemoryEnd") -> None:
        if self._end is end:
            self._end = None

    def deliver(self, end: "MemoryEnd", data: bytes) -> None:
        """Raises LinkDown if `end` is attached no longer."""
        if self._end is not end:
            raise LinkDown(f"{self.url} was lost: the device hung up")
        self.write(self._received(data))


class MemoryEnd:
    """The reader's end of a link in memory: an asynchronous context manager that is open inside."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link
        self._chunks: deque[tuple[bytes, float]] = deque()
        self._bytes = 0
        self._ended = False
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._link.enter(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.leave(self)

    async def receive(self, timeout: float | None) -> tuple[bytes, float] | None:
        """The next bytes and when they were sent; None after `timeout` seconds. Raises LinkDown once the device has
        hung up and everything before that is read."""
        if not self._chunks and not self._ended:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._news.wait()
        if self._chunks:
            data, at = self._chunks.popleft()
            self._bytes -= len(data)
            return data, at
        if self._ended:
            raise LinkDown(f"{self._link.url} was lost: the device hung up")
        return None

    def send(self, data: bytes) -> None:
        """Hand bytes to the device. Raises LinkDown if it has hung up."""
        self._link.deliver(self, data)

    # --- called by the device's end ------------------------------------------------------------------------------

    def put(self, data: bytes, at: float) -> bool:
        """Whether there was room."""
        if self._bytes + len(data) > _BACKLOG_BYTES:
            return False
        self._chunks.append((data, at))
        self._bytes += len(data)
        self._news.set()
        return True

    def end(self) -> None:
        """The device hung up."""
        self._ended = True
        self._news.set()
