"""Seals, their conditions and tags of no vehicle: reported one by one up to a bound, and past it counted."""

from edge_agent.domain.clock import Instant
from edge_agent.domain.event import Draft, Unassigned
from edge_agent.domain.observation import Observation

# The same number is reported once in so many seconds.
REPEAT_S = 60.0
# Different ones within that time: a yard may hold thousands.
MAX_REPORTED = 256


class Strays:
    """What was reported in the last minute, and how many readings were not."""

    def __init__(self) -> None:
        self._reported: dict[str, float] = {}  # the oldest stand first
        self._unreported = 0
        self._latest: tuple[Observation, str] | None = None  # of those that were not reported

    def seen(self, observation: Observation, number: str) -> list[Draft]:
        """One reading; `number` says what was read."""
        self._forget(observation.at.monotonic)
        if number in self._reported:
            return []
        if len(self._reported) >= MAX_REPORTED:
            self._unreported += 1
            self._latest = (observation, number)
            return []
        return self._report(observation, number, observation.at)

    def next_wake(self) -> float | None:
        """When there is room again to say what was not reported, in seconds on the observations' clock."""
        return next(iter(self._reported.values())) + REPEAT_S if self._unreported else None

    def woke(self, now: Instant) -> list[Draft]:
        """The latest reading that was not reported, with the number of the others."""
        self._forget(now.monotonic)
        return [] if len(self._reported) >= MAX_REPORTED else self.stop(now)

    def stop(self, now: Instant) -> list[Draft]:
        """As `woke`, whether there is room or not: no later report will say it."""
        if self._latest is None:
            return []
        observation, number = self._latest
        self._unreported -= 1
        return self._report(observation, number, now)

    def _report(self, observation: Observation, number: str, now: Instant) -> list[Draft]:
        body = Unassigned(observation, unreported=self._unreported)
        self._unreported, self._latest = 0, None
        self._reported[number] = now.monotonic
        return [Draft(body, now)]

    def _forget(self, now: float) -> None:
        while self._reported and now >= next(iter(self._reported.values())) + REPEAT_S:
            del self._reported[next(iter(self._reported))]
