"""The peer of a call: who it is, by the certificate it showed, and how a call is ended in words."""

import logging
from typing import Any, NoReturn

import grpc

from edge_agent.domain.errors import EdgeAgentError, Fatal, Permanent, Recoverable, StoreFull
from edge_agent.wire.identity import Role
from edge_agent.wire.refused import RefusalCode, Refused
from port_gateway.trust import Registered, TrustStore

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


def peer_of(context: Context, trust: TrustStore, role: Role) -> Registered:
    """The registered peer of this call. Raises Refused(NOT_TRUSTED)."""
    shown = b"".join(context.auth_context().get("x509_pem_cert") or ())
    return trust.peer(shown, role)


class Stopping(Recoverable):
    """The gateway is asked to stop. `after_s`: when a reader is to come back."""

    def __init__(self, after_s: int) -> None:
        super().__init__(f"DRAIN: the gateway is stopping, come back after {after_s} s", "subscribe again")
        self.after_s = after_s


async def end(context: Context, error: EdgeAgentError) -> NoReturn:
    """End the call with the status that belongs to `error`; the details begin with its name."""
    if isinstance(error, Refused):
        code = _STATUS.get(error.code, grpc.StatusCode.FAILED_PRECONDITION)
        details = f"{error.code.name}: {error.detail}"
    else:
        code = next(status for kind, status in _STATUS_BY_KIND if isinstance(error, kind))
        # A path of the gateway's machine is no business of its peers.
        details = "the port's store is full" if isinstance(error, StoreFull) else error.wrong
        if isinstance(error, Fatal):
            details = "the port's store failed"
    if isinstance(error, Stopping):
        context.set_trailing_metadata((("grpc-retry-pushback-ms", str(1000 * error.after_s)),))
        log.info("%s: call ended: %s", context.peer(), error.wrong)
    else:
        log.warning("%s: call ended: %s: %s", context.peer(), code.name, error.wrong)
    # gRPC keeps some calls' last error for long, and its frames hold what the peer sent.
    error.__traceback__ = error.__context__ = None
    await context.abort(code, details)
    raise AssertionError("abort raises")


_STATUS = {
    RefusalCode.NOT_TRUSTED: grpc.StatusCode.PERMISSION_DENIED,
    RefusalCode.KEY_REVOKED: grpc.StatusCode.PERMISSION_DENIED,
    RefusalCode.PROTOCOL: grpc.StatusCode.INVALID_ARGUMENT,
}
_STATUS_BY_KIND: tuple[tuple[type[EdgeAgentError], grpc.StatusCode], ...] = (
    (StoreFull, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (Fatal, grpc.StatusCode.UNAVAILABLE),
    (Recoverable, grpc.StatusCode.ABORTED),
    (Permanent, grpc.StatusCode.INVALID_ARGUMENT),
    (EdgeAgentError, grpc.StatusCode.INTERNAL),
)
