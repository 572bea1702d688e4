"""Between booths and the port gateway: a TCP proxy that refuses, slows, goes half-open, forgets or is gone.

    agent ══► listen ══ PortProxy ══► upstreams[0], after `forget` upstreams[1], …
                            ▲
                            └── faults whose target is `port`

TLS passes through untouched. `forget` is another gateway with the same identity and nothing in its store: what the
first one had acknowledged is gone, as after a restore from an old copy.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress

from hardware_sim.clock import WorldClock
from hardware_sim.faults import PORT, Fault, Faults, Slow
from hardware_sim.links.address import unserved
from hardware_sim.links.one_reader import settle_accepted
from hardware_sim.port_settings import split_address

_CHUNK = 16 * 1024
# How much a slow way holds before the sender is held up: some round trips, as a modem's buffer does.
_BUFFER = 64 * 1024
_CONNECT_S = 10.0


class PortProxy:
    """Serves between `open` and `close`; what is wrong with it is asked of `faults` at every turn."""

    def __init__(self, listen: str, upstreams: Sequence[str], faults: Faults, clock: WorldClock) -> None:
        self._host, self._port = split_address(listen)
        self._upstreams = [split_address(u) for u in upstreams]
        self._current = 0
        self._faults = faults
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._nudged = asyncio.Event()
        self._freed = asyncio.Event()
        self._freed.set()
        self.connections = 0
        faults.on_change.append(self._changed)

    @property
    def address(self) -> str:
        """Where agents connect to; known once it is open."""
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    async def open(self) -> None:
        """Raises SettingsInvalid when it cannot listen there."""
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=_CHUNK)
        except OSError as error:
            what = f"the way to the port (`listen` under `port:`): {self.address}"
            raise unserved(what, self._host, self._port, error.strerror) from None
        self._port = self._server.sockets[0].getsockname()[1]

    async def run(self) -> None:
        """Open and close the listener as faults demand. Runs until cancelled."""
        while True:
            await self._nudged.wait()
            self._nudged.clear()
            down = self._faults.on(PORT, "down") is not None
            if down and self._server is not None:
                await self._unlisten()
            elif not down and self._server is None:
                await self.open()

    async def close(self) -> None:
        await self._unlisten()

    async def _unlisten(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await settle_accepted(server)
            server.close()
        await self._break_connections()
        if server is not None:
            await server.wait_closed()

    async def _break_connections(self) -> None:
        broken = tuple(self._connections)
        for connection in broken:
            connection.cancel()
        await asyncio.gather(*broken, return_exceptions=True)

    def _changed(self, fault: Fault, at: float) -> None:
        if fault.settings.target != PORT:
            return
        if fault.settings.kind == "forget" and fault.state == "active":
            self._current = min(self._current + 1, len(self._upstreams) - 1)
        if fault.state == "active" and fault.settings.kind in ("refuse", "down", "forget"):
            for connection in self._connections:
                connection.cancel()
        half_open = self._faults.on(PORT, "half_open") is not None
        (self._freed.clear if half_open else self._freed.set)()
        if fault.settings.kind == "half_open" and fault.state == "over":
            # Both ends gave these connections up long ago or will: what was swallowed never comes.
            for connection in self._connections:
                connection.cancel()
        self._nudged.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._connections.add(task)
        self.connections += 1
        try:
            if self._server is None or self._faults.on(PORT, "refuse") is not None:
                _reset(writer)
                return
            await self._freed.wait()  # half-open: the kernel has accepted, and nothing more happens
            await self._carry(reader, writer)
        except asyncio.CancelledError:
            _reset(writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                up_reader, up_writer = await asyncio.open_connection(*self._upstreams[self._current], limit=_CHUNK)
        except (OSError, TimeoutError):
            _reset(writer)  # the gateway is not there: the agent is told as it would be
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pipe(reader, up_writer), name="to the port")
                both.create_task(self._pipe(up_reader, writer), name="from the port")
        except* OSError:
            _reset(writer)  # one side broke: so does the other
        finally:
            up_writer.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction. A slow way delays each chunk by its latency and lets it out at its rate."""
        late = _Late(writer, self._clock)
        async with asyncio.TaskGroup() as tasks:
            sender = tasks.create_task(late.run(), name="late bytes")
            while data := await reader.read(_CHUNK):
                if self._faults.on(PORT, "half_open") is not None:
                    continue  # swallowed: neither end is told
                fault = self._faults.on(PORT, "slow")
                await late.put(data, fault.settings if fault and isinstance(fault.settings, Slow) else None)
            await late.end()
            await sender
        if writer.can_write_eof():
            writer.write_eof()


class _Late:
    """Bytes on their way in one direction: each goes out when the way has carried it."""

    def __init__(self, writer: asyncio.StreamWriter, clock: WorldClock) -> None:
        self._writer = writer
        self._clock = clock
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=max(1, _BUFFER // _CHUNK))
        self._busy_until = 0.0
        self._never = asyncio.Event()

    async def put(self, data: bytes, slow: Slow | None) -> None:
        now = self._clock.monotonic()
        if slow is None:
            await self._queue.put((now, data))
            return
        # Cut, so that the rate shows within a chunk too.
        step = max(64, slow.bytes_per_s // 20)
        for begin in range(0, len(data), step):
            piece = data[begin : begin + step]
            self._busy_until = max(self._busy_until, now) + len(piece) / slow.bytes_per_s
            await self._queue.put((self._busy_until + slow.latency_s, piece))

    async def end(self) -> None:
        await self._queue.put((self._clock.monotonic(), b""))

    async def run(self) -> None:
        while True:
            at, data = await self._queue.get()
            while (left := at - self._clock.monotonic()) > 0:
                await self._clock.wait(left, self._never)
            if not data:
                return
            self._writer.write(data)
            await self._writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection with a reset, as a host without a listener answers."""
    with suppress(OSError):
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()
