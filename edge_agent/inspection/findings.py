"""What the rules find of one vehicle: when its inspection closes, and when more becomes known of it later.

1. When an inspection closes every rule that is switched on is applied to it, and what they find stands in its record.
2. A passage that was given up was not looked at to its end: what was not seen of it is then no finding.
3. A scan that comes for a closed inspection, and states another number than was read, adds a finding to it.
4. A crossing that is announced after its vehicle has left adds what does not fit, and that it came late; several that
   fit alike add that they do. For this the last vehicles that matched nothing are remembered for `late_s`; after a
   restart, as their records have them.
5. What the port finds comes from the port, and stands in the booth's chain as the port said it.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from edge_agent.domain.clock import Instant
from edge_agent.domain.event import Draft, FindingsAdded, ScanReceived
from edge_agent.domain.expected import ExpectationMatch, MatchOutcome
from edge_agent.domain.finding import Cause, Finding, Identifier, Origin, strictest
from edge_agent.domain.inspection import Abandoned, Inspection
from edge_agent.inspection import rules_declared as declared
from edge_agent.inspection import rules_seen as seen
from edge_agent.inspection.rules import Apply, Facts, Found, Limits, Rule, Rules, apply, finding

# Vehicles of a lane of which more may become known; at one in ten seconds this is what `late_s` holds by default.
MAX_REMEMBERED = 360
# Looked up in one step: an alarm waits for no more than this.
LOOK_AT_ONCE = 20


def _could_not_look(facts: Facts, rule: Rule, limits: Limits) -> list[Found]:
    return [*seen.could_not_look(facts, rule, limits), *declared.expectations_unknown(facts)]


SEEN: dict[str, Apply] = {
    "radiation_alarm": seen.radiation_alarm,
    "radiation_cross_check": seen.radiation_cross_check,
    "radiation_disagreement": seen.radiation_disagreement,
    "seal_broken": seen.seal_broken,
    "check_digit": seen.check_digit,
    "could_not_look": _could_not_look,
    "scan_other": seen.scan_other,
}
DECLARED: dict[str, Apply] = {
    "seal_other": declared.seal_other,
    "container_other": declared.container_other,
    "plate_other": declared.plate_other,
    "weight_off": declared.weight_off,
    "laden_declared_empty": declared.laden_declared_empty,
    "empty_declared_laden": declared.empty_declared_laden,
    "ambiguous_match": declared.ambiguous_match,
    "outside_window": declared.outside_window,
    "one_character": declared.one_character,
}
# Of what was not there: only where the passage was looked at to its end.
ABSENT: dict[str, Apply] = {
    "seal_missing": declared.seal_missing,
    "not_read": declared.not_read,
    "no_expectation": declared.no_expectation,
    "trusted_condition": declared.trusted_condition,
}


def judge(rules: Rules, facts: Facts) -> Inspection:
    """The record with what the rules find, and what that recommends."""
    given_up = isinstance(facts.inspection.outcome, Abandoned)
    findings = apply(rules, SEEN | DECLARED | ({} if given_up else ABSENT), facts)
    return replace(facts.inspection, findings=findings, recommendation=strictest(findings))


class Later:
    """What may still become known of a lane's closed inspections."""

    def __init__(self, rules: Rules, lane_id: str) -> None:
        self._rules = rules
        self._lane_id = lane_id
        self._read: deque[tuple[str, frozenset[str]]] = deque(maxlen=MAX_REMEMBERED)
        self._unmatched: deque[Facts] = deque(maxlen=MAX_REMEMBERED)
        self._left_to_look = 0

    def remember(self, left: Iterable[Inspection]) -> None:
        """Vehicles that left in an earlier run of the agent."""
        self._read.extend((one.id, seen.numbers_read(one)) for one in left)

    def remember_unmatched(self, unmatched: Iterable[Facts]) -> None:
        """Of those, the ones that matched nothing; the port may have announced them since."""
        self._unmatched.extend(unmatched)
        self.changed()

    def closed(self, facts: Facts) -> None:
        """A vehicle left."""
        self._read.append((facts.inspection.id, seen.numbers_read(facts.inspection)))

    def compared(self, facts: Facts) -> None:
        """It was compared with what the port expects."""
        if facts.match is not None and facts.match.outcome in (MatchOutcome.NONE, MatchOutcome.COULD_NOT_LOOK):
            self._unmatched.append(facts)

    def scan_came(self, received: ScanReceived, at: Instant) -> list[Draft]:
        """A scan, perhaps of a closed inspection: one that is open judges it when it closes."""
        rule = self._rules.table.get("scan_other")
        read = next((numbers for inspection, numbers in self._read if inspection == received.inspection_id), None)
        if rule is None or read is None or not rule.heeds(received.scan.device_id):
            return []
        findings = tuple(finding("scan_other", rule, one) for one in seen.states_other_number(received.scan, read))
        return self._added(received.inspection_id, Cause.SCAN, findings, at)

    def changed(self) -> None:
        """The port's list has changed: whoever matched nothing may be in it now."""
        self._left_to_look = len(self._unmatched)

    @property
    def looking(self) -> bool:
        """There are vehicles to be looked up again."""
        return self._left_to_look > 0

    def announced(self, match: Callable[[Inspection], ExpectationMatch | None], now: Instant) -> list[Draft]:
        """Looks the next of the vehicles that matched nothing up again, until `looking` is over."""
        drafts = list[Draft]()
        for _ in range(min(LOOK_AT_ONCE, self._left_to_look, len(self._unmatched))):
            facts = self._unmatched.popleft()
            left_s = now.monotonic - facts.inspection.closed.monotonic
            if left_s > self._rules.limits.late_s:
                continue
            matched = match(facts.inspection)
            if matched is None or matched.outcome not in (MatchOutcome.MATCHED, MatchOutcome.AMBIGUOUS):
                self._unmatched.append(facts)
                continue
            given_up = isinstance(facts.inspection.outcome, Abandoned)
            functions = DECLARED | ({} if given_up else ABSENT) | {"late_expectation": _late(left_s, matched)}
            findings = apply(self._rules, functions, replace(facts, match=matched))
            known = {(f.rule, f.key, f.parameters) for f in facts.inspection.findings}
            new = tuple(f for f in findings if (f.rule, f.key, f.parameters) not in known)
            drafts += self._added(facts.inspection.id, Cause.EXPECTATION, new, now)
        self._left_to_look = min(max(0, self._left_to_look - LOOK_AT_ONCE), len(self._unmatched))
        return drafts

    def _added(self, inspection_id: str, cause: Cause, findings: tuple[Finding, ...], at: Instant) -> list[Draft]:
        if not findings:
            return []
        return [Draft(FindingsAdded(inspection_id, self._lane_id, Origin.BOOTH, cause, findings), at)]


def _late(left_s: float, matched: ExpectationMatch) -> Apply:
    named = tuple(Identifier("expectation", one) for one in matched.expectation_ids)
    return lambda *_: [Found("", (("seconds", f"{left_s:.0f}"),), identifiers=named)]
