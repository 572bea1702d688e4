"""A TCP server for one reader at a time.

One owner: a new connection takes the place of the one before, since that may be half open and nobody would know.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from hardware_sim.links.address import unserved

# A reader that has stopped reading: beyond this the line loses bytes instead of holding up the world.
_BACKLOG_BYTES = 64 * 1024
_ACCEPT_TURNS = 6
# So long a closed connection may still carry what was written before; a reader that reads nothing would keep it open.
_FLUSHES_S = 1.0


async def settle_accepted(server: asyncio.Server) -> None:
    """Accept no more, and let the connections that were just accepted come to their handlers: a server that is closed
    in between forgets them open, and their readers would wait for ever."""
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(_ACCEPT_TURNS):
        await asyncio.sleep(0)


class OneReaderServer:
    """Serves between `open` and `close`; `writer` is the reader's connection while there is one."""

    def __init__(
        self,
        scheme: str,
        host: str,
        port: int,
        serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    ) -> None:
        """`serve` carries on with a reader until it is gone. Port 0: one that is free, kept from then on."""
        self._scheme = scheme
        self._host = host
        self._port = port
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._opened = 0
        self.writer: asyncio.StreamWriter | None = None

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self._scheme}://{host}:{self._port}"

    async def open(self) -> None:
        """Raises SettingsInvalid when it cannot be served there."""
        self._opened += 1
        attached = partial(self._attached, self._opened)
        try:
            self._server = await asyncio.start_server(attached, self._host, self._port, limit=4096)
        except OSError as error:
            raise unserved(self.url, self._host, self._port, error.strerror) from None
        self._port = self._server.sockets[0].getsockname()[1]

    def write(self, data: bytes) -> bool:
        """Send to the reader; False if there is none, or it does not read."""
        if self.writer is None or self.writer.transport.get_write_buffer_size() > _BACKLOG_BYTES:
            return False
        self.writer.write(data)
        return True

    def hang_up(self) -> None:
        """Close the reader's connection, as when the cable is pulled."""
        if self.writer is not None:
            self.writer.close()
            asyncio.get_running_loop().call_later(_FLUSHES_S, self.writer.transport.abort)
            self.writer = None

    async def close(self) -> None:
        """Serve no more; `open` may follow."""
        self._opened += 1
        if self._server is not None:
            await settle_accepted(self._server)
            self._server.close()
        self.hang_up()
        if self._server is not None:
            await self._server.wait_closed()

    async def _attached(self, opened: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if opened != self._opened:  # accepted just before the server was closed
            writer.close()
            return
        self.hang_up()
        self.writer = writer
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the reader is gone, or the run is over: the same as a close
        finally:
            if self.writer is writer:
                self.writer = None
            writer.close()
