"""The inspections of a lane: opens one with what is known at that moment, and closes it as a record."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from edge_agent.domain.clock import Instant
from edge_agent.domain.event import Draft, InspectionOpened
from edge_agent.domain.expected import ExpectationMatch
from edge_agent.domain.finding import strictest
from edge_agent.domain.inspection import Expected, Inspection, Outcome
from edge_agent.domain.observation import Observation
from edge_agent.inspection.assemble import Assembly, Provider
from edge_agent.inspection.belonging import belonging
from edge_agent.inspection.findings import Later, judge
from edge_agent.inspection.rules import Facts, Rules, gravest_first
from edge_agent.inspection.scans import Scans
from edge_agent.inspection.whereabouts import Driving, Place

# What a portal said of its background in the last minutes belongs into the next vehicle's profile.
CONTEXT_OBSERVATIONS = 64
# A lane goes by what it heard in this time at least, though its scanners be faster.
LEAST_MEMORY_S = 60.0
# A record is compared as soon as it closes; a lane may close a row of them at once.
MAX_UNCOMPARED = 64


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

    @property
    def memory_s(self) -> float:
        """Once the lane is empty, what was said longer ago than this decides nothing, but for what sensors have met."""
        return max(LEAST_MEMORY_S, self.scan_delay_s)


class Records:
    """What the inspections of one lane have in common."""

    def __init__(
        self,
        rules: LaneRules,
        providers: Iterable[Provider],
        new_id: Callable[[], str],
    ) -> None:
        self.rules = rules
        self._facts: dict[str, Facts] = {}  # of inspections that closed, until they are compared
        self.later = Later(rules.findings, rules.lane_id)
        self.providers = {provider.device_id: provider for provider in providers}
        self.down: dict[str, str] = dict.fromkeys(self.providers, "has not connected")
        self.context: deque[Observation] = deque(maxlen=CONTEXT_OBSERVATIONS)
        self.reported: set[str] = set()
        self.scans = Scans(rules.lane_id, rules.scan_delay_s)
        self._new_id = new_id

    def before(self, at: float, of: Callable[[str], bool] = lambda _: True) -> tuple[Observation, ...]:
        """Takes out what devices said in the last minutes before a vehicle came to them; `of` picks the devices."""
        since = at - self.rules.memory_s
        taken = tuple(o for o in self.context if of(o.device_id) and o.at.monotonic >= since)
        known = {o.id for o in taken}
        rest = [o for o in self.context if o.id not in known]
        self.context.clear()
        self.context.extend(rest)
        return taken

    def open(
        self, observation: Observation, cause: str, of: Callable[[str], bool] = lambda _: True
    ) -> tuple[Assembly, Draft]:
        """A vehicle came: `cause` is what it was seen by, `of` the devices that it has come to."""
        opened = Assembly(self._new_id(), self.rules.lane_id, observation.at, self.before(observation.at.monotonic, of))
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

    def _belonging(self, inspection: Inspection) -> Inspection:
        sees = {device: provider.sees for device, provider in self.providers.items()}
        return belonging(inspection, sees, self.rules.places.keys())

    def _judge(self, facts: Facts) -> Inspection:
        facts = replace(facts, inspection=self._belonging(facts.inspection))
        judged = judge(self.rules.findings, facts)
        facts = replace(facts, inspection=judged)
        self.later.closed(facts)
        self._facts[judged.id] = facts
        if len(self._facts) > MAX_UNCOMPARED:
            del self._facts[next(iter(self._facts))]
        return judged

    def compared(self, inspection: Inspection, match: ExpectationMatch | None) -> Inspection:
        """The record that just closed, with how it compares with what the port expects, judged by that as well."""
        known = self._facts.pop(inspection.id, None)
        inspection = self._belonging(replace(inspection, expectation=match))
        facts = replace(known or Facts(inspection), inspection=inspection, match=match)
        judged = judge(self.rules.findings, facts)
        if known is None:  # what its devices saw is found already
            findings = gravest_first((*judged.findings, *inspection.findings))
            judged = replace(judged, findings=findings, recommendation=strictest(findings))
        self.later.compared(replace(facts, inspection=judged))
        return judged
