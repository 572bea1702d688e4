"""Asks a time-stamp authority over HTTP (RFC 3161, section 3.4): one question, one bounded answer."""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from edge_agent.domain.errors import PortUnreachable
from edge_agent.wire.time_token import MAX_RESPONSE_BYTES

_REPLY = "application/timestamp-reply"
_LOOK = (
    "check `time.url` in the settings and the way there; tokens are asked for again, and nothing else waits for them"
)


@dataclass(frozen=True, slots=True)
class TimeAuthority:
    """`url` is http:// or https://; the whole exchange ends after `timeout_s`. Follows no redirection, uses no proxy.

    With http:// whoever is on the way can read and suppress, and forge nothing: the answer is signed, and verified.
    """

    url: str
    timeout_s: float = 10.0

    def ask(self, query: bytes) -> bytes:
        """The answer's bytes, not yet looked at. Raises PortUnreachable."""
        parts = urlsplit(self.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=self.timeout_s, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self.timeout_s)
        try:
            with contextlib.closing(connection):
                connection.connect()
                with _ended_after(self.timeout_s, connection.sock):
                    headers = {"Content-Type": "application/timestamp-query", "Accept": _REPLY}
                    connection.request("POST", path, query, headers)
                    return self._read(connection.getresponse())
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            # A time-out shows as an error or, from `_ended_after`, as an answer that ends too early.
            raise self._failed(f"does not answer ({type(error).__name__})") from None

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        if response.status != http.client.OK:
            raise self._failed(f"answers with HTTP status {response.status}")
        kind = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        if kind != _REPLY:
            raise self._failed(f"answers with {kind[:60]!r} instead of {_REPLY}")
        data = response.read(MAX_RESPONSE_BYTES + 1)
        if len(data) > MAX_RESPONSE_BYTES:
            raise self._failed(f"answers with more than {MAX_RESPONSE_BYTES} bytes")
        if response.length:
            raise self._failed("ends its answer too early")
        return data

    def _failed(self, how: str) -> PortUnreachable:
        return PortUnreachable(f"the time-stamp authority {self.url} {how}", _LOOK)


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
