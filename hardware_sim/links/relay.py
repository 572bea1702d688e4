"""In front of a protocol library's own server: what faults do to its messages on their way to the client.

    client ◄══ host:port ══ Relay ◄══ FaultyLine ◄══ whole messages ◄══ the library's server, on the loopback

What the client says passes as it is.
"""

import asyncio
from collections.abc import Callable

from hardware_sim.clock import WorldClock
from hardware_sim.faults import Fault, Faults
from hardware_sim.links.faults import FaultyLine
from hardware_sim.links.one_reader import settle_accepted
from hardware_sim.links.settings import LOCAL

_CHUNK = 16 * 1024

# The length of the message that begins here, of which at least the header is there; 0: more is needed to say.
MessageLength = Callable[[bytes], int]


class Relay:
    """Serves between `open` and `close`; faults of `target` reach each connection."""

    def __init__(self, faults: Faults, target: str, clock: WorldClock, length: MessageLength) -> None:
        self._faults = faults
        self._target = target
        self._clock = clock
        self._length = length
        self._to = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int, to: int) -> int:
        """Listen there, and carry each connection to port `to` of the loopback; the port. Raises OSError."""
        self._to = to
        self._server = await asyncio.start_server(self._serve, host, port, limit=_CHUNK)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        await settle_accepted(server)
        server.close()
        broken = tuple(self._connections)
        for connection in broken:
            connection.cancel()
        await asyncio.gather(*broken, return_exceptions=True)
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._connections.add(task)
        try:
            await self._carry(reader, writer)
        except asyncio.CancelledError:
            pass  # closed: asyncio would log what ends this task otherwise
        finally:
            self._connections.discard(task)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up: asyncio.StreamWriter | None = None
        try:
            up_reader, up = await asyncio.open_connection(LOCAL, self._to, limit=_CHUNK)
            async with asyncio.TaskGroup() as ways:
                back = ways.create_task(self._back(up_reader, writer), name=f"from {self._target}")
                there = ways.create_task(self._there(reader, up), name=f"to {self._target}")
                await asyncio.wait({back, there}, return_when=asyncio.FIRST_COMPLETED)
                back.cancel()
                there.cancel()
        except* OSError:
            pass  # one side broke: so does the other
        finally:
            if up is not None:
                up.close()

    async def _there(self, reader: asyncio.StreamReader, up: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            up.write(data)
            await up.drain()

    async def _back(self, up: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, nudged = FaultyLine(self._faults, self._target), asyncio.Event()

        def nudge(fault: Fault, at: float) -> None:
            nudged.set()

        self._faults.on_change.append(nudge)
        try:
            async with asyncio.TaskGroup() as both:
                hearing = both.create_task(self._hear(up, line, nudged), name=f"messages of {self._target}")
                while not hearing.done() or line.next_due() is not None:
                    now = self._clock.monotonic()
                    for data in line.due(now):
                        writer.write(data)
                    await writer.drain()
                    due = line.next_due()
                    if due is not None or not hearing.done():
                        await self._clock.wait(None if due is None else max(0.0, due - now), nudged)
        finally:
            self._faults.on_change.remove(nudge)
            line.close()

    async def _hear(self, up: asyncio.StreamReader, line: FaultyLine, nudged: asyncio.Event) -> None:
        held = b""
        while data := await up.read(_CHUNK):
            held += data
            while (length := self._length(held)) and len(held) >= length:
                line.said(held[:length], self._clock.monotonic())
                held = held[length:]
            nudged.set()
        nudged.set()
