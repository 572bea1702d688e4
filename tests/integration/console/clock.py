"""A clock whose monotonic time can be set on."""

from edge_agent.domain.clock import Instant


class MovableClock:
    def __init__(self, now: Instant) -> None:
        self._now = now

    def now(self) -> Instant:
        return self._now

    def monotonic(self) -> float:
        return self._now.monotonic

    def forward(self, seconds: float) -> None:
        self._now = self._now.shifted(seconds)
