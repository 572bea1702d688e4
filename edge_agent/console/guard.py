"""What every request passes before it is answered, and what every answer carries.

1. The Host is one of this page's own names: a name that was turned to this address (DNS rebinding) is refused.
2. A change comes from the page itself: Origin, or Sec-Fetch-Site where a browser sends none.
3. There is a session, where a password is set.
"""

import logging
from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# With the referrer policy no-referrer browsers state the Origin of a form as null, and rule 2 would refuse our own.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
    "Server": "edge-agent",
}
# Lines of the log on refusals, so that nobody can fill the disk with them: then one is counted for many.
LOG_EVERY = 100

log = logging.getLogger(__name__)


class RefusedRequest(StrEnum):
    """Why a request is not answered; also in the answer, and in the log."""

    HOST_UNKNOWN = "HOST_UNKNOWN"
    CROSS_SITE = "CROSS_SITE"
    METHOD = "METHOD_NOT_ALLOWED"
    TOO_LARGE = "TOO_LARGE"
    NOT_FOUND = "NOT_FOUND"
    BUSY = "TOO_MANY_STREAMS"
    MALFORMED = "MALFORMED"


@dataclass(frozen=True, slots=True)
class Doors:
    """What the page answers to: `hosts` as a Host header has them, in lower case; `scheme` of its own addresses."""

    hosts: Set[str]
    scheme: str

    def knows(self, request: web.Request) -> bool:
        """Its Host is one of ours, once."""
        hosts = request.headers.getall("Host", [])
        return len(hosts) == 1 and hosts[0].strip().lower() in self.hosts

    def is_own(self, request: web.Request) -> bool:
        """A change that our own page asked for."""
        origin = request.headers.get("Origin")
        if origin is not None:
            return origin.lower() in {f"{self.scheme}://{host}" for host in self.hosts}
        return request.headers.get("Sec-Fetch-Site") == "same-origin"


class Sparingly(logging.Filter):
    """For aiohttp's own log: what is no HTTP is said in one line, and not for ever; a mistake of ours whole."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            self._count += 1
            record.exc_info = None
            record.msg, record.args = "%.80s: no HTTP that is taken (%s)", (record.getMessage(), type(error).__name__)
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            return self._count <= LOG_EVERY or self._count % LOG_EVERY == 0
        return True


class Refusals:
    """Says refusals in the log: each of the first, then one of many."""

    def __init__(self) -> None:
        self._count = 0

    def note(self, code: str, request: web.Request) -> None:
        """Without what the request carried: it may hold a password or a session."""
        self._count += 1
        if self._count <= LOG_EVERY or self._count % LOG_EVERY == 0:
            log.warning(
                "refused %s: %s %.60r from %s (%d in all)",
                code,
                request.method,
                request.path,
                request.remote,
                self._count,
            )
