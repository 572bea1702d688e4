"""A moment as an event carries it, back in the domain's words."""

from datetime import UTC, datetime, timedelta

from edge_agent.domain.clock import ClockError, ClockState, Instant
from edge_agent.wire.v1alpha1 import event_pb2 as wire

_CLOCK_STATES = {
    wire.CLOCK_STATE_SYNCHRONISED: ClockState.SYNCHRONISED,
    wire.CLOCK_STATE_UNSYNCHRONISED: ClockState.UNSYNCHRONISED,
}


def instant_of(message: wire.Instant) -> Instant:
    """`monotonic_ns` belongs to the run of the machine that wrote it."""
    utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=message.utc_us)
    error = None
    if message.HasField("clock_error"):
        error = ClockError(message.clock_error.estimated_us, message.clock_error.bound_us)
    return Instant(utc, message.monotonic_ns, _CLOCK_STATES.get(message.clock_state, ClockState.UNKNOWN), error)
