"""A device behind a TCP server, as a device server or the device's own network port offers it.

One owner: a new connection takes the place of the one before, since that may be half open and nobody would know.
Bytes for nobody are lost, as on a real line.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from edge_agent.domain.errors import SettingsInvalid

# A reader that has stopped reading: beyond this the line loses bytes instead of holding up the world.
_BACKLOG_BYTES = 64 * 1024
_ACCEPT_TURNS = 6


async def settle_accepted(server: asyncio.Server) -> None:
    """Accept no more, and let the connections that were just accepted come to their handlers: a server that is closed
    in between forgets them open, and their readers would wait for ever."""
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(_ACCEPT_TURNS):
        await asyncio.sleep(0)


class TcpLink:
    """Serves one reader at a time at `url` (socket://host:port)."""

    def __init__(
        self, host: str, port: int, connected: Callable[[], bytes], received: Callable[[bytes], bytes]
    ) -> None:
        """`connected` gives the bytes that the device sends when a reader attaches, `received` its answer to what a
        reader sends."""
        self._host = host
        self._port = port
        self._connected = connected
        self._received = received
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._opened = 0
        self.lost_bytes = 0

    @property
    def url(self) -> str:
        return f"socket://{self._host}:{self._port}"

    @property
    def attached(self) -> bool:
        """Whether a reader is connected."""
        return self._writer is not None

    async def open(self) -> None:
        self._opened += 1
        serve = partial(self._serve, self._opened)
        try:
            self._server = await asyncio.start_server(serve, self._host, self._port, limit=4096)
        except OSError as error:
            raise SettingsInvalid(
                f"{self.url} cannot be served: {error.strerror}",
                "choose another port in the scenario, or 0 for a free one",
            ) from None
        self._port = self._server.sockets[0].getsockname()[1]

    def write(self, data: bytes) -> None:
        """Send to the reader, if there is one and it reads."""
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() > _BACKLOG_BYTES:
            self.lost_bytes += len(data)
            return
        writer.write(data)

    def hang_up(self) -> None:
        """Close the reader's connection, as when the cable is pulled."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def watch(self) -> None:
        """The event loop watches the socket."""

    async def close(self) -> None:
        self._opened += 1
        if self._server is not None:
            await settle_accepted(self._server)
            self._server.close()
        self.hang_up()
        if self._server is not None:
            await self._server.wait_closed()

    async def _serve(self, opened: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if opened != self._opened:  # accepted just before the link was closed
            writer.close()
            return
        self.hang_up()
        self._writer = writer
        writer.write(self._connected())
        try:
            while data := await reader.read(4096):
                if (answer := self._received(data)) and self._writer is writer:
                    self.write(answer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the reader is gone, or the run is over: the same as a close
        finally:
            if self._writer is writer:
                self._writer = None
            writer.close()
