"""aiohttp's server for one handler, with bounds on connections and time. Imported only where aiohttp is needed."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from edge_agent.domain.errors import LinkDown

LINE_MAX = 8190
HEADERS_MAX = 64
HANDSHAKE_S = 10.0
# A handler that is told to stop answers at once; a client that does not read its answer is cut off.
CLOSE_S = 2.0

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Bounds(Protocol):
    """What `listening` needs of the settings."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def max_connections(self) -> int: ...
    @property
    def idle_s(self) -> float: ...


log = logging.getLogger(__name__)
# aiohttp logs the line of a request that it cannot parse, and the token may stand in it.
_quiet = logging.getLogger(f"{__name__}.aiohttp")
_quiet.setLevel(logging.CRITICAL)


class _Server(web.Server):
    """Closes a connection that is one too many before anything of it is read."""

    def __init__(self, handler: Handler, bounds: Bounds) -> None:
        super().__init__(
            _telling(handler),
            access_log=None,
            logger=_quiet,
            keepalive_timeout=bounds.idle_s,
            max_line_size=LINE_MAX,
            max_field_size=LINE_MAX,
            max_headers=HEADERS_MAX,
            auto_decompress=False,
            lingering_time=1.0,
        )
        self._most = bounds.max_connections

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Called by aiohttp for each."""
        super().connection_made(handler, transport)
        if len(self.connections) > self._most:
            transport.abort()


def _telling(handler: Handler) -> Handler:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except Exception:
            log.exception("a request from %s could not be answered", request.remote)
            raise

    return handle


@asynccontextmanager
async def listening(handle: Handler, bounds: Bounds, context: ssl.SSLContext | None) -> AsyncIterator[str]:
    """Serves within; yields the URL. Raises LinkDown when the address cannot be had."""
    server = _Server(handle, bounds)
    loop = asyncio.get_running_loop()
    handshake_s = HANDSHAKE_S if context else None
    try:
        socket_server = await loop.create_server(
            server, bounds.host, bounds.port, backlog=16, ssl=context, ssl_handshake_timeout=handshake_s
        )
    except (OSError, socket.gaierror) as error:
        raise LinkDown(
            f"cannot listen on {bounds.host}:{bounds.port}: {error.strerror or error}",
            "check that the address is this computer's and that no other program has the port",
        ) from None
    try:
        host, port = socket_server.sockets[0].getsockname()[:2]
        yield f"http{'s' if context else ''}://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        socket_server.close()
        server.pre_shutdown()
        await server.shutdown(CLOSE_S)
        await socket_server.wait_closed()
