"""What a party outside may answer: it neither fills the memory of who asks, nor ends the thread that does."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterable

import pytest

from edge_agent.domain.errors import PortUnreachable
from port_gateway.http_post import post

LIMIT = 1024
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Server:
    """Sends `parts` to the first that connects; `taken` of them were."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts, self.taken = parts, 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection, contextlib.suppress(OSError):
            while not connection.recv(65_536).endswith(b"?"):  # what is left unread would reset the connection
                pass
            for part in self._parts:
                connection.sendall(part)
                self.taken += 1

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._socket.close()


@pytest.mark.parametrize("size", [b"-1", b"-2", b"-ffffffffffffffffffff", b"ffffffffffffffffffff", b"no"])
def test_chunks_of_no_size(size: bytes) -> None:
    many = 1024
    parts = itertools.chain([CHUNKED + size + b"\r\n"], itertools.repeat(bytes(65_536), many))
    with Server(parts) as server, pytest.raises(PortUnreachable, match="it "):
        post(f"http://{server.address}/", b"?", {}, 20, LIMIT, "it")
    assert server.taken < many / 2


def test_chunks() -> None:
    with Server([CHUNKED + b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"]) as server:
        assert post(f"http://{server.address}/", b"?", {}, 20, LIMIT, "it").body == b"abcde"
    with (
        Server([CHUNKED + b"3\r\nabc\r\n"]) as server,
        pytest.raises(PortUnreachable, match="IncompleteRead"),
    ):
        post(f"http://{server.address}/", b"?", {}, 20, LIMIT, "it")
