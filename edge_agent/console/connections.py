"""Bounds on what browsers can hold: connections in all and from one address, and how long each may take over anything.

aiohttp itself waits for ever for a request's first line, and for a reader that does not read.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Never

from aiohttp import web

MAX_CONNECTIONS = 64
# From one address: some browsers of one office behind one address, each with six connections.
MAX_FROM_ONE = 24
# Whose TLS handshake is not over.
MAX_BEGINNING = 64
# To bring a request, a handshake included; and to keep a connection without one.
REQUEST_S = 10.0
IDLE_S = 20.0
# To take an answer: the largest picture at 1 MB/s.
ANSWER_S = 30.0
LOOK_S = 0.5


class Connections:
    """Makes the protocols of `server`; `settings` are those of aiohttp's request handler."""

    def __init__(
        self,
        server: web.Server,
        settings: dict[str, Any],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server, self._settings, self._monotonic = server, settings, monotonic
        self._loop = asyncio.get_running_loop()
        self._beginning: dict[asyncio.BaseProtocol, float] = {}
        self._deadlines: dict[asyncio.BaseProtocol, float] = {}
        self._from: Counter[str] = Counter()

    def __call__(self) -> asyncio.BaseProtocol:
        """A protocol for a new connection."""
        if len(self._beginning) >= MAX_BEGINNING:
            return _Refused()
        protocol = _Handler(self, self._server, self._loop, self._settings)
        self._beginning[protocol] = self._monotonic() + REQUEST_S
        return protocol

    def made(self, protocol: asyncio.BaseProtocol, address: str) -> bool:
        """Whether there is room for it."""
        self._beginning.pop(protocol, None)
        if len(self._deadlines) >= MAX_CONNECTIONS or self._from[address] >= MAX_FROM_ONE:
            return False
        self._deadlines[protocol] = self._monotonic() + REQUEST_S
        self._from[address] += 1
        return True

    def lost(self, protocol: asyncio.BaseProtocol, address: str) -> None:
        """It is over."""
        if self._deadlines.pop(protocol, None) is not None:
            self._from[address] -= 1
            self._from += Counter()  # forgets addresses of which none is left

    def allow(self, request: web.Request, seconds: float) -> None:
        """The request's connection may take so long from now on."""
        if request.protocol in self._deadlines:
            self._deadlines[request.protocol] = self._monotonic() + seconds

    async def watch(self) -> Never:
        """Ends those that take too long."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = self._monotonic()
            self._beginning = {one: deadline for one, deadline in self._beginning.items() if now <= deadline}
            for protocol in [one for one, deadline in self._deadlines.items() if now > deadline]:
                transport = getattr(protocol, "transport", None)
                if transport is not None:
                    transport.abort()


class _Handler(web.RequestHandler):
    """aiohttp's, that says when its connection is made and lost."""

    __slots__ = ("_address", "_connections")

    def __init__(
        self,
        connections: Connections,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        settings: dict[str, Any],
    ) -> None:
        super().__init__(server, loop=loop, **settings)
        self._connections, self._address = connections, ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) else ""
        super().connection_made(transport)
        if not self._connections.made(self, self._address) and isinstance(transport, asyncio.Transport):
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.lost(self, self._address)
        super().connection_lost(exc)


class _Refused(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.abort()
