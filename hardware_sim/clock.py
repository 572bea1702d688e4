"""The world's clock: another one, real or stepped, that may run faster."""

import asyncio
from contextlib import suppress

from edge_agent.domain.clock import Clock, Instant

# A wait as short as a clock's rounding would never end: a stepped clock would not move.
_LEAST_WAIT_S = 1e-6


class WorldClock:
    """Runs `speed` times as fast as `clock`, from now on; wall time too."""

    def __init__(self, clock: Clock, speed: float = 1.0) -> None:
        """Raises ValueError for a speed that is not positive."""
        if not speed > 0:
            raise ValueError("time runs forwards: a speed is greater than 0")
        self.speed = speed
        self._clock = clock
        self._start = clock.now()
        self._since = self._start.monotonic
        self._waiting: set[asyncio.Event] = set()

    def monotonic(self) -> float:
        start = self._start.monotonic
        return start + (self._clock.monotonic() - self._since) * self.speed

    def run_at(self, speed: float) -> None:
        """Run so fast from now on; whoever waits looks again. Raises ValueError for a speed that is not positive."""
        if not speed > 0:
            raise ValueError("time runs forwards: a speed is greater than 0")
        self._start, self._since = self.now(), self._clock.monotonic()
        self.speed = speed
        for event in self._waiting:
            event.set()

    def now(self) -> Instant:
        return self._start.shifted(self.monotonic() - self._start.monotonic)

    async def wait(self, seconds: float | None, nudged: asyncio.Event) -> bool:
        """Wait for so many of the world's seconds, or until `nudged`, which is cleared; whether it was set."""
        self._waiting.add(nudged)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if seconds is None else max(seconds / self.speed, _LEAST_WAIT_S)):
                    await nudged.wait()
        finally:
            self._waiting.discard(nudged)
        was_nudged = nudged.is_set()
        nudged.clear()
        return was_nudged
