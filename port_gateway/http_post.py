"""One HTTP POST to a party outside, that can neither keep its caller waiting nor fill its memory."""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from edge_agent.domain.errors import PortUnreachable


class Answer(NamedTuple):
    """`kind`: the media type in lower case, without parameters."""

    status: int
    kind: str
    body: bytes


def post(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, limit: int, who: str) -> Answer:
    """The answer, of at most `limit` bytes, within `timeout_s`. Follows no redirection, uses no proxy.

    `url` is http:// or https://; over https the server's certificate is verified. Raises PortUnreachable.
    """
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=timeout_s, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        with contextlib.closing(connection):
            connection.connect()
            with _ended_after(timeout_s, connection.sock):
                connection.request("POST", path, body, dict(headers))
                return _read(connection.getresponse(), limit, who)
    except (OSError, http.client.HTTPException, ValueError, OverflowError) as error:
        # A time-out shows as an error or, from `_ended_after`, as an answer that ends too early.
        raise PortUnreachable(f"{who} does not answer ({type(error).__name__})") from None


def _read(response: http.client.HTTPResponse, limit: int, who: str) -> Answer:
    data = bytearray()
    # `read` takes the size of a chunk as the server gives it: all there is for one of -1.
    while len(data) <= limit and (part := response.read1(limit + 1 - len(data))):
        data += part
    if len(data) > limit:
        raise PortUnreachable(f"{who} answers with more than {limit} bytes")
    if response.length:
        raise PortUnreachable(f"{who} ends its answer too early")
    kind = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
    return Answer(response.status, kind, bytes(data))


@contextlib.contextmanager
def _ended_after(seconds: float, connected: socket.socket) -> Iterator[None]:
    """The socket's own time-out begins again with every byte that trickles in."""

    def end() -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
