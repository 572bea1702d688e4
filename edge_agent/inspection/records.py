"""The inspections of a lane: opens one with what is known at that moment, and closes it as a record."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from edge_agent.domain.clock import Instant
from edge_agent.domain.event import Draft, InspectionOpened
from edge_agent.domain.expected import ExpectationMatch
from edge_agent.domain.inspection import Expected, Inspection, Outcome
from edge_agent.domain.observation import Observation
from edge_agent.inspection.assemble import Assembly, Provider
from edge_agent.inspection.findings import Later, judge
from edge_agent.inspection.rules import Facts, Rules
from edge_agent.inspection.scans import Scans
from edge_agent.inspection.whereabouts import Driving, Place

# What a portal said of its background in the last minutes belongs into the next vehicle's profile.
CONTEXT_OBSERVATIONS = 64


@dataclass(frozen=True, slots=True)
class LaneRules:
    """What a lane expects of each vehicle, how long it waits, and where its devices stand (`places`, by device id).

    Without places one vehicle is in the lane at a time.
    """

    lane_id: str
    expects: tuple[Expected, ...]
    settle_s: float = 3.0
    longest_s: float = 600.0
    scan_delay_s: float = 120.0
    places: Mapping[str, Place] = field(default_factory=dict)
    driving: Driving = field(default_factory=Driving)
    # Forms of the region's plates, as in "AAA0000", with their shares (0..1).
    series: Mapping[str, float] = field(default_factory=dict)
    # So long after the agent was last there an open inspection is taken up again.
    resume_s: float = 60.0
    findings: Rules = field(default_factory=Rules)


# How a record compares with what the port expects.
LookUp = Callable[[Inspection], ExpectationMatch]


class Records:
    """What the inspections of one lane have in common."""

    def __init__(
        self,
        rules: LaneRules,
        providers: Iterable[Provider],
        new_id: Callable[[], str],
        look_up: LookUp | None = None,
    ) -> None:
        self.rules = rules
        self.look_up = look_up
        self.later = Later(rules.findings, rules.lane_id)
        self.providers = {provider.device_id: provider for provider in providers}
        self.down: dict[str, str] = dict.fromkeys(self.providers, "has not connected")
        self.context: deque[Observation] = deque(maxlen=CONTEXT_OBSERVATIONS)
        self.reported: set[str] = set()
        self.scans = Scans(rules.lane_id, rules.scan_delay_s)
        self._new_id = new_id

    def before(self, of: Callable[[str], bool] = lambda _: True) -> tuple[Observation, ...]:
        """Takes out what devices said before a vehicle came to them; `of` picks the devices."""
        taken = tuple(o for o in self.context if of(o.device_id))
        rest = [o for o in self.context if not of(o.device_id)]
        self.context.clear()
        self.context.extend(rest)
        return taken

    def open(
        self, observation: Observation, cause: str, of: Callable[[str], bool] = lambda _: True
    ) -> tuple[Assembly, Draft]:
        """A vehicle came: `cause` is what it was seen by, `of` the devices that it has come to."""
        opened = Assembly(self._new_id(), self.rules.lane_id, observation.at, self.before(of))
        self.reported.clear()
        self.scans.opened(opened.id, observation.at)
        for device, why in self.down.items():
            opened.was_blind(device, why)
        return opened, Draft(InspectionOpened(opened.id, self.rules.lane_id, cause), observation.at)

    def close(self, inspection: Assembly, now: Instant, outcome: Outcome | None = None) -> Draft:
        """The vehicle left, or is given up."""
        rules = self.rules
        return inspection.close(
            now, rules.expects, self.providers, outcome, self.scans.closed, rules.series, self._judge
        )

    def announced(self, now: Instant) -> list[Draft]:
        """What is found of vehicles that have left, now that the port expects others."""
        return [] if self.look_up is None else self.later.announced(self.look_up, now)

    def _judge(self, facts: Facts) -> Inspection:
        if self.look_up is not None:
            match = self.look_up(facts.inspection)
            facts = replace(facts, inspection=replace(facts.inspection, expectation=match), match=match)
        judged = judge(self.rules.findings, facts)
        self.later.closed(replace(facts, inspection=judged))
        return judged
