"""Seals, their conditions and tags of no vehicle that is known: they wait for theirs, and are reported if none comes.

What waited is reported one by one up to a bound, and past it counted.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from edge_agent.domain.clock import Instant
from edge_agent.domain.event import Draft, Unassigned
from edge_agent.domain.observation import Observation
from edge_agent.inspection.assemble import Assembly

# The same number is reported once in so many seconds.
REPEAT_S = 60.0
# Different ones within that time: a yard may hold thousands.
MAX_REPORTED = 256
# Numbers that wait, and readings of each; of more the first and the last ones.
MAX_WAITING = 256
MAX_READINGS = 8
TICK_S = 1e-6  # a wake time goes through a float and back


@dataclass(slots=True)
class _Waits:
    due: float  # of its first reading, in seconds on the observations' clock
    readings: list[Observation] = field(default_factory=list)


class Strays:
    """What waits, what was reported in the last minute, and how many readings were not."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waits] = {}
        self._reported: dict[str, float] = {}  # the oldest stand first
        self._unreported = 0
        self._latest: tuple[Observation, str] | None = None  # of those that were not reported

    def waits(self, observation: Observation, number: str, wait_s: float) -> list[Draft]:
        """One reading whose vehicle may come within `wait_s`; `number` says what was read."""
        waits = self._waiting.get(number)
        if waits is None:
            if len(self._waiting) >= MAX_WAITING:
                return self.seen(observation, number)
            waits = self._waiting[number] = _Waits(observation.at.monotonic + wait_s)
        if len(waits.readings) >= MAX_READINGS:
            del waits.readings[1]
        waits.readings.append(observation)
        return []

    def taken(self, whose: Callable[[Observation], Assembly | None]) -> list[Observation]:
        """Those whose vehicle has come, which wait no longer: all readings of a number are of one and the same."""
        taken = list[Observation]()
        for number, waits in list(self._waiting.items()):
            owners = {id(owner) if (owner := whose(reading)) else 0 for reading in waits.readings}
            if len(owners) == 1 and 0 not in owners:
                taken += self._waiting.pop(number).readings
        return taken

    def due(self, now: Instant) -> bool:
        """Something has waited long enough."""
        return any(waits.due <= now.monotonic + TICK_S for waits in self._waiting.values())

    def overdue(self, now: Instant) -> list[Draft]:
        """What has waited long enough is of no vehicle."""
        late = [number for number, waits in self._waiting.items() if waits.due <= now.monotonic + TICK_S]
        return [draft for number in late for draft in self._given_up(number)]

    def _given_up(self, number: str) -> list[Draft]:
        readings = self._waiting.pop(number).readings
        return [draft for reading in readings for draft in self.seen(reading, number)]

    def seen(self, observation: Observation, number: str) -> list[Draft]:
        """One reading of no vehicle; `number` says what was read."""
        self._forget(observation.at.monotonic)
        if number in self._reported:
            return []
        if len(self._reported) >= MAX_REPORTED:
            self._unreported += 1
            self._latest = (observation, number)
            return []
        return self._report(observation, number, observation.at)

    def next_wake(self) -> float | None:
        """When something has waited long enough, or there is room again to say what was not reported."""
        wakes = [waits.due for waits in self._waiting.values()]
        if self._unreported:
            wakes.append(next(iter(self._reported.values())) + REPEAT_S)
        return min(wakes, default=None)

    def woke(self, now: Instant) -> list[Draft]:
        """The latest reading that was not reported, with the number of the others."""
        self._forget(now.monotonic)
        return [] if len(self._reported) >= MAX_REPORTED else self.pause(now)

    def stop(self, now: Instant) -> list[Draft]:
        """No later report will say what waits."""
        return [draft for number in list(self._waiting) for draft in self._given_up(number)] + self.pause(now)

    def pause(self, now: Instant) -> list[Draft]:
        """As `woke`, whether there is room or not; what waits goes on waiting."""
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
