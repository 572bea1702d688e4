"""The traffic of a lane whose devices have no positions: one vehicle at a time, told apart by time alone.

Rules 1 to 7 of inspection/lane.py are decided here.
"""

from collections.abc import Iterable

from edge_agent.domain.clock import Instant
from edge_agent.domain.event import Draft
from edge_agent.domain.inspection import Abandoned, Outcome
from edge_agent.domain.observation import Observation
from edge_agent.inspection.assemble import Assembly
from edge_agent.inspection.records import Records
from edge_agent.inspection.sensors import SensorKnown

TICK_S = 1e-6  # a wake time goes through a float and back


class OneAtATime:
    """At most one inspection is open."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._rules = records.rules
        self._open: Assembly | None = None
        self._blocked = False
        self._occupied: set[str] = set()
        self._been_occupied: set[str] = set()
        self._last_activity = 0.0
        self._last: tuple[str, float, float] | None = None  # the inspection that closed last: id, opened, closed

    @property
    def busy(self) -> bool:
        """Whether a vehicle stands in the lane."""
        return self._open is not None or bool(self._occupied)

    @property
    def empty(self) -> bool:
        """No vehicle is known to be in the lane, not one that was given up either."""
        return not (self.busy or self._blocked)

    def blocked_for(self, observation: Observation) -> bool:
        """A vehicle that was given up has not left."""
        return self._blocked

    def sensors(self) -> tuple[SensorKnown, ...]:
        """Nothing follows from what sensors did before the lane was empty."""
        return ()

    def knew(self, sensors: Iterable[SensorKnown]) -> None:
        """As `sensors` said it in an earlier run."""

    def approach_s(self, device: str) -> float:
        """How long before its vehicle is known something may have been read of it, in seconds."""
        return self._rules.settle_s

    def inspections(self) -> tuple[Assembly, ...]:
        """Those that are open."""
        return (self._open,) if self._open else ()

    def open_for(self, observation: Observation) -> Assembly | None:
        """Whose it is, unless it came too late."""
        return self._open

    def late_for(self, observation: Observation) -> str | None:
        """The closed inspection for which this came too late, '' if it is of none; None: it did not come too late."""
        at = observation.at.monotonic
        if self._last is None or at > self._last[2]:
            return None
        return self._last[0] if at >= self._last[1] else ""

    def keeps_out(self, observation: Observation) -> bool:
        """A read is of the vehicle that blocks the lane, and opens nothing."""
        if self._blocked:
            self._last_activity = max(self._last_activity, observation.at.monotonic)
        return self._blocked

    def presence(self, observation: Observation, occupied: bool) -> list[Draft]:
        """A presence sensor is occupied or free."""
        device, drafts = observation.device_id, []
        if occupied:
            if device in self._been_occupied and device not in self._occupied:
                drafts += self._close(observation.at)
            if self._open is None:
                drafts += self._begin(observation, "presence")
            self._occupied.add(device)
            self._been_occupied.add(device)
        else:
            self._occupied.discard(device)
        self.join(observation)
        return drafts

    def begin(self, observation: Observation, cause: str) -> list[Draft]:
        """Open an inspection with this observation."""
        drafts = self._begin(observation, cause)
        self.join(observation)
        return drafts

    def _begin(self, observation: Observation, cause: str) -> list[Draft]:
        self._open, draft = self._records.open(observation, cause)
        self._blocked = False
        self._last_activity = observation.at.monotonic
        return [draft]

    def join(self, observation: Observation) -> None:
        """Into the open inspection, which it holds open."""
        if self._open is not None:
            self.join_to(self._open, observation)

    def join_to(self, inspection: Assembly, observation: Observation) -> None:
        """As `join`, where it is known whose it is."""
        inspection.join(observation)
        self._last_activity = max(self._last_activity, observation.at.monotonic)

    def give_up(self, inspection: Assembly, now: Instant, why: str) -> list[Draft]:
        """It ends here."""
        return self._close(now, Abandoned(why))

    def waits_until(self, monotonic: float) -> None:
        """Nothing settles before."""
        self._last_activity = max(self._last_activity, monotonic)

    def lost(self, device: str) -> None:
        """The device went down."""
        self._occupied.discard(device)
        self._been_occupied.discard(device)

    def next_wake(self) -> float | None:
        """When `woke` wants to be called."""
        settled = None if self._occupied else self._last_activity + self._rules.settle_s
        if self._open is None:
            return settled if self._blocked else None
        longest = self._open.opened.monotonic + self._rules.longest_s
        return longest if settled is None else min(settled, longest)

    def woke(self, now: Instant) -> list[Draft]:
        """Close what has settled, give up what does not leave."""
        wake = self.next_wake()
        if wake is None or now.monotonic < wake - TICK_S:
            return []
        if not self._occupied and now.monotonic >= self._last_activity + self._rules.settle_s - TICK_S:
            self._blocked = False
            self._records.reported.clear()
            return self._close(now)
        self._blocked = True
        return self._close(now, Abandoned(f"the vehicle had not left after {self._rules.longest_s:g} s"))

    def stop(self, now: Instant, why: str) -> list[Draft]:
        """Give up what is open."""
        return self._close(now, Abandoned(why))

    def _close(self, now: Instant, outcome: Outcome | None = None) -> list[Draft]:
        if self._open is None:
            return []
        draft = self._records.close(self._open, now, outcome)
        self._last = (self._open.id, self._open.opened.monotonic, now.monotonic)
        self._open = None
        self._been_occupied = set(self._occupied)
        return [draft]
