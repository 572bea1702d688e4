"""Why an address cannot be served."""

import errno
import socket

from edge_agent.domain.errors import SettingsInvalid

_REASONS = {
    errno.EADDRNOTAVAIL: (
        "this machine has no such address",
        "write one that it has: 127.0.0.1 for this machine alone, 0.0.0.0 for all of its addresses",
    ),
    errno.EADDRINUSE: ("another program has this port", "choose another port, or 0 for a free one"),
    errno.EACCES: (
        "ports below 1024 are the administrator's",
        "choose another port, of 1024 or more, or 0 for a free one",
    ),
}


def unserved(what: str, host: str, port: int, said: str | None = None) -> SettingsInvalid:
    """The error for a server that could not listen at `host`:`port`, found by trying; `said`: its own words, for when
    trying tells nothing."""
    try:
        number = _refusal(host, port)
    except OSError as error:
        return SettingsInvalid(
            f"{what} cannot be served: {host!r} is no address: {error.strerror}",
            "write an address of this machine, such as 127.0.0.1, or its name",
        )
    reason, remedy = _REASONS.get(number, (said or "nobody knows why", "choose another port, or 0 for a free one"))
    return SettingsInvalid(f"{what} cannot be served: {reason}", remedy)


def _refusal(host: str, port: int) -> int:
    """The number of the system's error; 0 if it would let us. Raises OSError for a host that is none."""
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
            try:
                tried.bind(address)
                tried.listen(1)
            except OSError as error:
                return error.errno or 0
    return 0
