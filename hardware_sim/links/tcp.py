"""A device behind a TCP server, as a device server or the device's own network port offers it.

Bytes for nobody are lost, as on a real line.
"""

import asyncio
from collections.abc import Callable

from hardware_sim.links.one_reader import OneReaderServer


class TcpLink:
    """Serves one reader at a time at `url` (socket://host:port)."""

    def __init__(
        self, host: str, port: int, connected: Callable[[], bytes], received: Callable[[bytes], bytes]
    ) -> None:
        """`connected` gives the bytes that the device sends when a reader attaches, `received` its answer to what a
        reader sends."""
        self._server = OneReaderServer("socket", host, port, self._serve)
        self._connected = connected
        self._received = received
        self.lost_bytes = 0

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def attached(self) -> bool:
        """Whether a reader is connected."""
        return self._server.writer is not None

    async def open(self) -> None:
        await self._server.open()

    def write(self, data: bytes) -> None:
        """Send to the reader, if there is one and it reads."""
        if not self._server.write(data):
            self.lost_bytes += len(data)

    def hang_up(self) -> None:
        """Close the reader's connection, as when the cable is pulled."""
        self._server.hang_up()

    async def watch(self) -> None:
        """The event loop watches the socket."""

    async def close(self) -> None:
        await self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._connected())
        while data := await reader.read(4096):
            if (answer := self._received(data)) and self._server.writer is writer:
                self.write(answer)
