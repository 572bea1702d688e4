"""What time it is, and how far that can be trusted."""

import ctypes
import ctypes.util
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol


class ClockState(StrEnum):
    """Whether the kernel's clock follows a time source (adjtimex(2): TIME_ERROR, STA_UNSYNC)."""

    SYNCHRONISED = "synchronised"
    UNSYNCHRONISED = "unsynchronised"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ClockError:
    """The kernel's own figures for its clock (adjtimex(2): esterror, maxerror), in microseconds."""

    estimated_us: int
    bound_us: int


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment on a booth's clock. Wall time is for people; order comes from the ledger's sequence.

    `utc` is timezone-aware UTC; `monotonic_ns` counts from an arbitrary point and never runs back. `error` is None
    where the kernel does not say.
    """

    utc: datetime
    monotonic_ns: int
    clock_state: ClockState
    error: ClockError | None = None

    @property
    def monotonic(self) -> float:
        """Seconds on the monotonic clock."""
        return self.monotonic_ns / 1e9

    def shifted(self, seconds: float) -> "Instant":
        """The moment `seconds` later (earlier, if negative)."""
        return Instant(
            self.utc + timedelta(seconds=seconds),
            self.monotonic_ns + round(seconds * 1e9),
            self.clock_state,
            self.error,
        )


class Clock(Protocol):
    """The only source of time along the line, so that tests can step it."""

    def now(self) -> Instant: ...

    def monotonic(self) -> float: ...


def at_monotonic(clock: Clock, monotonic: float) -> Instant:
    """The instant at which `clock` showed `monotonic` seconds: dates a reading that arrived late."""
    now = clock.now()
    return now.shifted(monotonic - now.monotonic)


class SystemClock:
    """The kernel's clocks."""

    def now(self) -> Instant:
        monotonic_ns = time.monotonic_ns()
        return Instant(datetime.fromtimestamp(time.time_ns() / 1e9, UTC), monotonic_ns, *_kernel_clock())

    def monotonic(self) -> float:
        return time.monotonic()


_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
# struct timex on 64-bit Linux: modes (int, padded), offset, freq, maxerror, esterror (longs), status (int), …
_TIMEX_BYTES, _MAXERROR_OFFSET, _ESTERROR_OFFSET, _STATUS_OFFSET = 512, 24, 32, 40
_libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)


def _kernel_clock() -> tuple[ClockState, ClockError | None]:
    """adjtimex(2) with modes = 0 only reads, and needs no privilege."""
    if not hasattr(_libc, "adjtimex"):
        return ClockState.UNKNOWN, None
    timex = (ctypes.c_byte * _TIMEX_BYTES)()
    state = _libc.adjtimex(ctypes.byref(timex))
    if state < 0:
        return ClockState.UNKNOWN, None
    error = ClockError(_long_at(timex, _ESTERROR_OFFSET), _long_at(timex, _MAXERROR_OFFSET))
    status = ctypes.c_int.from_buffer(timex, _STATUS_OFFSET).value
    if state == _TIME_ERROR or status & _STA_UNSYNC:
        return ClockState.UNSYNCHRONISED, error
    return ClockState.SYNCHRONISED, error


def _long_at(timex: "ctypes.Array[ctypes.c_byte]", offset: int) -> int:
    return max(0, ctypes.c_long.from_buffer(timex, offset).value)
