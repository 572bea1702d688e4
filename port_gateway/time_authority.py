"""Asks a time-stamp authority over HTTP (RFC 3161, section 3.4): one question, one bounded answer."""

import http.client
from dataclasses import dataclass

from edge_agent.domain.errors import PortUnreachable
from edge_agent.wire.time_token import MAX_RESPONSE_BYTES
from port_gateway.http_post import post

_REPLY = "application/timestamp-reply"
_HEADERS = {"Content-Type": "application/timestamp-query", "Accept": _REPLY}
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
        who = f"the time-stamp authority {self.url}"
        try:
            answer = post(self.url, query, _HEADERS, self.timeout_s, MAX_RESPONSE_BYTES, who)
        except PortUnreachable as error:
            raise PortUnreachable(error.wrong, _LOOK) from None
        if answer.status != http.client.OK:
            raise PortUnreachable(f"{who} answers with HTTP status {answer.status}", _LOOK)
        if answer.kind != _REPLY:
            raise PortUnreachable(f"{who} answers with {answer.kind[:60]!r} instead of {_REPLY}", _LOOK)
        return answer.body
