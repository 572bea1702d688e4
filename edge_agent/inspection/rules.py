"""Which rules apply to a closed inspection, and what they find. Pure.

    what was seen of one vehicle ─┐
    what the port expects of it  ─┼─► Facts ──► every rule of the table ──► Findings, the gravest first
    what its devices could see   ─┘

The table is the booth's configuration (`config_findings.py`); docs/findings.md says each rule for those who work with
it. Rules recommend, they never decide. Each is a function of the facts in one of the modules `rules_*.py`; it finds
something or nothing, and raises nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.expected import ExpectationMatch
from edge_agent.domain.finding import Finding, Identifier, Recommendation, Severity
from edge_agent.domain.inspection import Expected, Inspection
from edge_agent.domain.observation import RadiationKind, RadiationOccupancy

# A lane has some dozen devices and a vehicle a handful of numbers: past this a record says the same over and over.
MAX_FINDINGS = 32


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. `devices`: only what these say counts; none: what any device says."""

    severity: Severity
    recommends: Recommendation
    devices: frozenset[str] = frozenset()

    def heeds(self, device_id: str) -> bool:
        """Whether this device counts."""
        return not self.devices or device_id in self.devices


@dataclass(frozen=True, slots=True)
class Limits:
    """What the rules measure by; kilograms, shares of 1, seconds."""

    weight_share: float = 0.05
    weight_least_kg: float = 500.0
    weight_adds_up: bool = False
    empty_most_kg: float = 20_000.0
    laden_least_kg: float = 12_000.0
    sealed_programmes: frozenset[str] = frozenset({"FAST", "C-TPAT"})
    trusted_lanes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    late_s: float = 3600.0


_HOLD, _REFER, _RELEASE = Recommendation.HOLD, Recommendation.REFER, Recommendation.RELEASE
_ALARM, _WARNING, _NOTICE = Severity.ALARM, Severity.WARNING, Severity.NOTICE
# As shipped; the order is that in which findings of one severity are told.
TABLE: Mapping[str, Rule] = {
    "radiation_alarm": Rule(_ALARM, _HOLD),
    "radiation_cross_check": Rule(_ALARM, _HOLD),
    "radiation_disagreement": Rule(_WARNING, _REFER),
    "seal_broken": Rule(_ALARM, _HOLD),
    "seal_other": Rule(_ALARM, _HOLD),
    "seal_missing": Rule(_WARNING, _REFER),
    "container_other": Rule(_ALARM, _HOLD),
    "laden_declared_empty": Rule(_ALARM, _HOLD),
    "plate_other": Rule(_WARNING, _REFER),
    "weight_off": Rule(_WARNING, _REFER),
    "empty_declared_laden": Rule(_WARNING, _REFER),
    "trusted_condition": Rule(_WARNING, _REFER),
    "check_digit": Rule(_WARNING, _REFER),
    "could_not_look": Rule(_WARNING, _REFER),
    "ambiguous_match": Rule(_WARNING, _REFER),
    "scan_other": Rule(_WARNING, _REFER),
    "no_expectation": Rule(_NOTICE, _REFER),
    "not_read": Rule(_NOTICE, _REFER),
    "outside_window": Rule(_NOTICE, _RELEASE),
    "one_character": Rule(_NOTICE, _RELEASE),
    "late_expectation": Rule(_NOTICE, _RELEASE),
}


@dataclass(frozen=True, slots=True)
class Rules:
    """The table of a booth: the rules that are switched on, and their limits."""

    table: Mapping[str, Rule] = field(default_factory=lambda: dict(TABLE))
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one vehicle when its inspection closes.

    `occupancies` and `alarms` are with the device that said them. `blind`: devices that could not look, and why.
    `looked`: what at least one device that can give it could see all the time.
    `pictures`: digests by kind and text of an identifier; `files`: digests by kind of evidence.
    """

    inspection: Inspection
    match: ExpectationMatch | None = None
    occupancies: tuple[tuple[str, RadiationOccupancy], ...] = ()
    alarms: tuple[tuple[str, RadiationKind], ...] = ()
    blind: Mapping[str, str] = field(default_factory=dict)
    looked: frozenset[Expected] = frozenset()
    pictures: Mapping[tuple[str, str], tuple[bytes, ...]] = field(default_factory=dict)
    files: Mapping[EvidenceKind, tuple[bytes, ...]] = field(default_factory=dict)

    def evidence(self, *kinds: EvidenceKind) -> tuple[bytes, ...]:
        """The digests of these kinds."""
        return tuple(digest for kind in kinds for digest in self.files.get(kind, ()))


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule found, before the table says how grave it is. `key` is the sentence's; '' for the rule's own."""

    key: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    devices: tuple[str, ...] = ()
    identifiers: tuple[Identifier, ...] = ()
    evidence: tuple[bytes, ...] = ()


Apply = Callable[[Facts, Rule, Limits], Iterable[Found]]


def gravest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By severity, then as the table has them; one that says the same as another is left out."""
    order, severities = list(TABLE), list(Severity)
    unique = {(f.rule, f.key, f.parameters): f for f in findings}.values()
    ranked = sorted(
        unique, key=lambda f: (-severities.index(f.severity), order.index(f.rule) if f.rule in order else len(order))
    )
    return tuple(ranked[:MAX_FINDINGS])


def apply(rules: Rules, functions: Mapping[str, Apply], facts: Facts) -> tuple[Finding, ...]:
    """What those of `functions` find that are switched on."""
    findings = []
    for name, rule in rules.table.items():
        for found in functions[name](facts, rule, rules.limits) if name in functions else ():
            findings.append(finding(name, rule, found))
    return gravest_first(findings)


def finding(name: str, rule: Rule, found: Found) -> Finding:
    """What was found, as grave as the table says."""
    return Finding(
        name,
        rule.severity,
        rule.recommends,
        found.key or name,
        found.parameters,
        found.devices,
        found.identifiers,
        found.evidence,
    )
