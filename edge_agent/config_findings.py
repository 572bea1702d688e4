"""The table of rules of a booth, as its settings say it. What is not stated is as shipped (inspection/rules.py).

```yaml
findings:
  weight_off: {share: 0.08, devices: [scale]}       # its own limits; only what this device says
  seal_missing: {severity: alarm, recommends: hold}
  no_expectation: off
  trusted_condition: {lanes: {"1": [FAST, C-TPAT]}}
```
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from edge_agent.domain.expected import PROGRAMMES
from edge_agent.domain.finding import Recommendation, Severity
from edge_agent.inspection.rules import TABLE, Limits, Rule, Rules
from edge_agent.settings_file import Mistake, Place
from edge_agent.settings_words import one_of

Kilograms = Annotated[float, Field(ge=0, le=200_000)]
_SHIPPED = Limits()


class RuleSettings(BaseModel):
    """Of any rule. `devices`: only what these say counts; none: what any says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    severity: Severity | None = None
    recommends: Recommendation | None = None
    devices: list[str] = []


class WeightOff(RuleSettings):
    """Measured and declared weight differ by more than this share, and by more than so many kilograms."""

    share: Annotated[float, Field(gt=0, le=1)] = _SHIPPED.weight_share
    least_kg: Kilograms = _SHIPPED.weight_least_kg
    # Scales that weigh axle groups one after the other: what they say is added up, for the other two rules as well.
    adds_up: bool = _SHIPPED.weight_adds_up


class LadenDeclaredEmpty(RuleSettings):
    """An empty vehicle weighs this at most."""

    most_kg: Kilograms = _SHIPPED.empty_most_kg


class EmptyDeclaredLaden(RuleSettings):
    """A laden vehicle weighs this at least."""

    least_kg: Kilograms = _SHIPPED.laden_least_kg


class TrustedCondition(RuleSettings):
    """Programmes that ask for a seal; lanes, by id, that are for vehicles of these programmes alone."""

    sealed: list[str] = sorted(_SHIPPED.sealed_programmes)
    lanes: dict[str, list[str]] = {}


class LateExpectation(RuleSettings):
    """For so long after a vehicle has left an announcement of it is looked for."""

    within_s: Annotated[float, Field(gt=0, le=86_400)] = _SHIPPED.late_s


_SWITCHES = {"on": True, "off": False, True: True, False: False}


def _off(value: object) -> object:
    """`no_expectation: off`, or false."""
    return {"enabled": _SWITCHES[value]} if isinstance(value, str | bool) and value in _SWITCHES else value


_Off = BeforeValidator(_off)
_Plain = Annotated[RuleSettings, _Off]


class FindingsSettings(BaseModel):
    """One setting a rule, by its id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    radiation_alarm: _Plain = RuleSettings()
    radiation_cross_check: _Plain = RuleSettings()
    radiation_disagreement: _Plain = RuleSettings()
    seal_broken: _Plain = RuleSettings()
    seal_other: _Plain = RuleSettings()
    seal_missing: _Plain = RuleSettings()
    container_other: _Plain = RuleSettings()
    laden_declared_empty: Annotated[LadenDeclaredEmpty, _Off] = LadenDeclaredEmpty()
    plate_other: _Plain = RuleSettings()
    weight_off: Annotated[WeightOff, _Off] = WeightOff()
    empty_declared_laden: Annotated[EmptyDeclaredLaden, _Off] = EmptyDeclaredLaden()
    trusted_condition: Annotated[TrustedCondition, _Off] = TrustedCondition()
    check_digit: _Plain = RuleSettings()
    could_not_look: _Plain = RuleSettings()
    ambiguous_match: _Plain = RuleSettings()
    scan_other: _Plain = RuleSettings()
    no_expectation: _Plain = RuleSettings()
    not_read: _Plain = RuleSettings()
    outside_window: _Plain = RuleSettings()
    one_character: _Plain = RuleSettings()
    late_expectation: Annotated[LateExpectation, _Off] = LateExpectation()

    @property
    def rules(self) -> Rules:
        """The table that the inspection works with."""
        limits = Limits(
            weight_share=self.weight_off.share,
            weight_least_kg=self.weight_off.least_kg,
            weight_adds_up=self.weight_off.adds_up,
            empty_most_kg=self.laden_declared_empty.most_kg,
            laden_least_kg=self.empty_declared_laden.least_kg,
            sealed_programmes=frozenset(self.trusted_condition.sealed),
            trusted_lanes={lane: frozenset(of) for lane, of in self.trusted_condition.lanes.items()},
            late_s=self.late_expectation.within_s,
        )
        table = {name: _rule(getattr(self, name), shipped) for name, shipped in TABLE.items()}
        return Rules({name: rule for name, rule in table.items() if getattr(self, name).enabled}, limits)


def _rule(stated: RuleSettings, shipped: Rule) -> Rule:
    severity, recommends = stated.severity or shipped.severity, stated.recommends or shipped.recommends
    return Rule(severity, recommends, frozenset(stated.devices))


def findings_mistakes(findings: Mapping[str, Any], lanes: list[str], devices: list[str]) -> Iterator[Mistake]:
    """Devices, lanes and programmes that a rule names, and that the booth does not have."""
    for name, rule in findings.items():
        if not isinstance(rule, dict):
            continue
        place: Place = ("findings", name)
        yield from _unknown((*place, "devices"), rule.get("devices"), devices, "device or camera")
        if name == "trusted_condition":
            yield from _unknown((*place, "sealed"), rule.get("sealed"), PROGRAMMES, "programme")
            of_lanes = rule.get("lanes")
            for lane, programmes in of_lanes.items() if isinstance(of_lanes, dict) else ():
                yield from _unknown((*place, "lanes", lane), programmes, PROGRAMMES, "programme")
                if str(lane) not in lanes:
                    yield Mistake((*place, "lanes", lane), f"there is no lane {str(lane)!r}", one_of(str(lane), lanes))


def _unknown(place: Place, named: object, known: "list[str] | tuple[str, ...]", what: str) -> Iterator[Mistake]:
    for index, one in enumerate(named if isinstance(named, list) else ()):
        if isinstance(one, str) and one not in known:
            yield Mistake((*place, index), f"there is no {what} {one!r}", one_of(one, known))
