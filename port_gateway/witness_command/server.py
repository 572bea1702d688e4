"""The HTTP side of a witness: POST /add-checkpoint (C2SP tlog-witness), for few and patient callers."""

import contextlib
import logging
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import EdgeAgentError, Fatal
from edge_agent.wire.add_checkpoint import MAX_REQUEST_BYTES, Declined, opened, read_submission
from edge_agent.wire.cosignature import VerifierKey, cosign, witness_key
from port_gateway.witness_command.journal import Journal

log = logging.getLogger(__name__)

PATH = "/add-checkpoint"
MAX_CONNECTIONS = 32
# A peer that says nothing for so long is gone, and no connection is older than that.
IDLE_S, LIFE_S = 10.0, 60.0
_LINGER_S, _LINGER_READS = 1.0, 16
_TEXT, _SIZE = "text/plain; charset=utf-8", "text/x.tlog.size"


class Cosigner:
    """Says yes or no to submissions. For all threads."""

    def __init__(
        self, name: str, key: ed25519.Ed25519PrivateKey, logs: list[VerifierKey], journal: Journal, clock: Clock
    ) -> None:
        self._name, self._key, self._logs, self._journal, self._clock = name, key, logs, journal, clock
        self.vkey = witness_key(name, key.public_key())

    def answer(self, body: bytes) -> bytes:
        """The signature lines. Raises Declined, StoreFull, StoreFailed, StoreCorrupt."""
        submission = read_submission(body)
        head = opened(submission.note, self._logs)
        try:
            at_s = self._journal.advance(submission, head, body, lambda: int(self._clock.now().utc.timestamp()))
        except Declined as declined:
            log.warning("%s: %d: %s", head.origin, declined.status, declined.wrong)
            raise
        return cosign(head.text, self._name, self._key, at_s).line


class WitnessServer(ThreadingHTTPServer):
    """Listens from its making on; `serve_forever`, `shutdown` and `server_close` as usual."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], cosigner: Cosigner, context: ssl.SSLContext | None = None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.cosigner, self.context = cosigner, context
        self.failure: Fatal | None = None
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """The handshake is for the connection's own thread."""
        request, client_address = super().get_request()
        if self.context is not None:
            request = self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        return request, client_address

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        ending = threading.Timer(LIFE_S, _end, [request])
        ending.daemon = True
        ending.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            ending.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a connection from %s broke", client_address, exc_info=True)

    def failed(self, error: Fatal) -> None:
        """Nothing more is cosigned; `serve_forever` returns."""
        self.failure = self.failure or error
        threading.Thread(target=self.shutdown, daemon=True).start()


def _end(request: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(request, socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "witness", ""
    timeout = IDLE_S

    def setup(self) -> None:
        super().setup()
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()

    def do_POST(self) -> None:
        if self.path != PATH:
            self._say(404, _TEXT, b"there is nothing here\n", close=True)
            return
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit() and len(length) < 10):
            self._say(411, _TEXT, b"say how long the body is\n", close=True)
            return
        if int(length) > MAX_REQUEST_BYTES:
            self._say(413, _TEXT, b"the body is too long\n", close=True)
            return
        body = self.rfile.read(int(length))
        if len(body) == int(length):
            self._say(*self._answered(body))

    def _answered(self, body: bytes) -> tuple[int, str, bytes]:
        try:
            return 200, _TEXT, self.server.cosigner.answer(body)
        except Declined as declined:
            if declined.size is not None:
                return declined.status, _SIZE, b"%d\n" % declined.size
            return declined.status, _TEXT, f"{declined.wrong}\n".encode()
        except EdgeAgentError as error:
            log.error("%s", error)
            if isinstance(error, Fatal):
                self.server.failed(error)
            return 503, _TEXT, b"the witness cannot keep what it would cosign\n"

    def _say(self, status: int, kind: str, body: bytes, close: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if close:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        if close:
            self._let_read()

    def _let_read(self) -> None:
        """Closed with bytes unread, a connection is reset and the answer lost: take some, and wait for the end."""
        self.wfile.flush()
        self.request.settimeout(_LINGER_S)
        with contextlib.suppress(OSError):
            for _ in range(_LINGER_READS):
                if not self.rfile.read1(4096):
                    return

    def log_message(self, format: str, *args: Any) -> None:
        """Declined submissions are told where they are declined."""
