"""Rules on what was announced of a vehicle beside what was seen of it. What is not declared is not compared."""

from collections.abc import Iterator

from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.expected import (
    ArrivalTiming,
    ExpectationMatch,
    ExpectedCrossing,
    IdentifierComparison,
    IdentifierKind,
    IdentifierVerdict,
    Loading,
    MatchOutcome,
)
from edge_agent.domain.finding import Identifier
from edge_agent.domain.inspection import Expected, Inspection, Weighed
from edge_agent.domain.observation import SealCondition
from edge_agent.inspection.rules import Facts, Found, Limits, Rule
from edge_agent.inspection.rules_seen import lane_seal_missing, on_container, seal_states_other

# A seal or code that fits its declaration, as a reader reads.
FITS = (
    IdentifierVerdict.SAME,
    IdentifierVerdict.LOOKS_ALIKE,
    IdentifierVerdict.ONE_CHARACTER_OFF,
    IdentifierVerdict.WITHOUT_CHECK_DIGIT,
)


def container_other(facts: Facts, rule: Rule, _: Limits) -> Iterator[Found]:
    """Another container than declared was read, or one that is not."""
    for one in _compared(facts.match, IdentifierKind.CONTAINER_CODE):
        device = device_of(facts.inspection, one)
        if not rule.heeds(device):
            continue
        basis = (_known(device), _both(one), picture(facts, one))
        if one.verdict is IdentifierVerdict.OTHER:
            yield Found("container_other.declared", (("read", one.read), ("declared", one.declared)), *basis)
        elif one.verdict is IdentifierVerdict.UNDECLARED:
            yield Found("container_other.undeclared", (("read", one.read),), *basis)


def plate_other(facts: Facts, rule: Rule, _: Limits) -> Iterator[Found]:
    """Another plate than declared was read. One that is not declared at all is none: trailers change."""
    for one in _compared(facts.match, IdentifierKind.PLATE):
        device = device_of(facts.inspection, one)
        if one.verdict is IdentifierVerdict.OTHER and rule.heeds(device):
            parameters = (("read", one.read), ("declared", one.declared))
            yield Found("", parameters, _known(device), _both(one), picture(facts, one))


def not_read(facts: Facts, _: Rule, __: Limits) -> Iterator[Found]:
    """A declared plate or container was not read, though devices looked for it."""
    looked = {IdentifierKind.PLATE: Expected.PLATE, IdentifierKind.CONTAINER_CODE: Expected.CONTAINER_CODE}
    for kind, what in looked.items():
        for one in _compared(facts.match, kind):
            if one.verdict is IdentifierVerdict.NOT_READ and what in facts.looked:
                yield Found(f"not_read.{kind}", (("declared", one.declared),), identifiers=_both(one))


def seal_missing(facts: Facts, _: Rule, __: Limits) -> Iterator[Found]:
    """A declared seal was not found, nor another in its place; or the lane wants one, and there was none."""
    compared = list(_compared(facts.match, IdentifierKind.SEAL))
    if not any(one.declared for one in compared):
        yield from lane_seal_missing(facts)
        return
    found = [one for one in compared if one.verdict is IdentifierVerdict.UNDECLARED]
    missing = [one for one in compared if one.verdict is IdentifierVerdict.NOT_READ]
    if Expected.SEAL in facts.looked:
        for one in missing[len(found) :]:
            evidence = facts.evidence(EvidenceKind.RAW_CAPTURE)
            yield Found("seal_missing.declared", (("declared", one.declared),), (), _both(one), evidence)


def seal_other(facts: Facts, rule: Rule, _: Limits) -> Iterator[Found]:
    """A seal that is not the declared one: in its place, beside it, or by its own electronics."""
    yield from seal_states_other(facts, rule)
    compared = list(_compared(facts.match, IdentifierKind.SEAL))
    missing = [one.declared for one in compared if one.verdict is IdentifierVerdict.NOT_READ]
    for one in compared:
        device = device_of(facts.inspection, one)
        if one.verdict not in (IdentifierVerdict.OTHER, IdentifierVerdict.UNDECLARED) or not rule.heeds(device):
            continue
        evidence = facts.evidence(EvidenceKind.RAW_CAPTURE)
        declared = one.declared or (missing.pop(0) if missing else "")
        basis = (_known(device), tuple(Identifier("seal", text) for text in (one.read, declared) if text), evidence)
        if declared:
            found = Found("seal_other.declared", (("seal", one.read), ("declared", declared)), *basis)
        else:
            found = Found("seal_other.undeclared", (("seal", one.read),), *basis)
        yield on_container(found, facts.inspection, one.read)


def one_character(facts: Facts, _: Rule, __: Limits) -> Iterator[Found]:
    """What was taken for the declared one, though one character differs."""
    for one in facts.match.identifiers if facts.match else ():
        if one.verdict is IdentifierVerdict.ONE_CHARACTER_OFF:
            device = device_of(facts.inspection, one)
            parameters = (("read", one.read), ("declared", one.declared))
            yield Found("", parameters, _known(device), _both(one), picture(facts, one))


def no_expectation(facts: Facts, _: Rule, __: Limits) -> Iterator[Found]:
    """The port announced no such crossing."""
    if facts.match is not None and facts.match.outcome is MatchOutcome.NONE:
        yield Found()


def ambiguous_match(facts: Facts, _: Rule, __: Limits) -> Iterator[Found]:
    """Several announced crossings fit equally well."""
    if facts.match is not None and facts.match.outcome is MatchOutcome.AMBIGUOUS:
        ids = facts.match.expectation_ids
        named = tuple(Identifier("expectation", one) for one in ids)
        yield Found("", (("count", str(len(ids))),), identifiers=named)


def expectations_unknown(facts: Facts) -> Iterator[Found]:
    """The booth could not look up what is announced."""
    if facts.match is not None and facts.match.outcome is MatchOutcome.COULD_NOT_LOOK:
        yield Found("could_not_look.expectations", (("why", facts.match.detail or "the booth holds no list"),))


def outside_window(facts: Facts, _: Rule, __: Limits) -> Iterator[Found]:
    """It came before or after the time that was announced."""
    match = facts.match
    if match is not None and match.timing in (ArrivalTiming.EARLY, ArrivalTiming.LATE):
        minutes = str(max(1, round(match.outside_s / 60)))
        yield Found(f"outside_window.{match.timing}", (("minutes", minutes),))


def weight_off(facts: Facts, rule: Rule, limits: Limits) -> Iterator[Found]:
    """Measured and declared gross weight differ by more than a share, and by more than a least number of kilograms."""
    crossing = _expected(facts)
    declared = crossing.gross_weight_kg if crossing is not None else None
    if declared is None:
        return
    for kg, scales in _weighed(facts, rule, limits):
        off = abs(kg - declared)
        if off > max(limits.weight_share * declared, limits.weight_least_kg):
            percent = ("percent", f"{100 * (kg - declared) / declared:+.0f}")
            yield _of_weight("", (("kg", f"{kg:.0f}"), ("declared", f"{declared:.0f}"), percent), kg, scales, facts)


def laden_declared_empty(facts: Facts, rule: Rule, limits: Limits) -> Iterator[Found]:
    """Declared empty, and heavier than an empty vehicle can be."""
    if _loading(facts) is Loading.EMPTY:
        for kg, scales in _weighed(facts, rule, limits):
            if kg > limits.empty_most_kg:
                yield _beyond(kg, limits.empty_most_kg, scales, facts)


def empty_declared_laden(facts: Facts, rule: Rule, limits: Limits) -> Iterator[Found]:
    """Declared laden, and lighter than a laden vehicle can be."""
    if _loading(facts) is Loading.LADEN:
        for kg, scales in _weighed(facts, rule, limits):
            if kg < limits.laden_least_kg:
                yield _beyond(kg, limits.laden_least_kg, scales, facts)


def trusted_condition(facts: Facts, _: Rule, limits: Limits) -> Iterator[Found]:
    """A trusted-trader programme asks for an intact seal as declared; its lane is for vehicles of the programme."""
    crossing = _expected(facts)
    stated = frozenset(crossing.programmes) if crossing else frozenset()
    for programme in sorted(stated & limits.sealed_programmes):
        if crossing is not None and crossing.loading is not Loading.EMPTY and _unsealed(facts):
            yield Found("trusted_condition.seal", (("programme", programme),))
    lane = limits.trusted_lanes.get(facts.inspection.lane_id, frozenset())
    known = facts.match is not None and facts.match.outcome is not MatchOutcome.COULD_NOT_LOOK
    if lane and known and not lane & stated:
        yield Found("trusted_condition.lane", (("programmes", ", ".join(sorted(lane))),))


def _unsealed(facts: Facts) -> bool:
    """No intact seal as declared, though a device looked for one."""
    if Expected.SEAL not in facts.looked:
        return False
    inspection = facts.inspection
    if any(seen.state.condition is not SealCondition.PRESENT for seen in inspection.seal_states):
        return True
    compared = [one for one in _compared(facts.match, IdentifierKind.SEAL) if one.declared]
    if compared:
        return any(one.verdict not in FITS for one in compared)
    return not (inspection.seals or inspection.seal_states)


# --- what the rules have in common ------------------------------------------------------------------------------------


def _expected(facts: Facts) -> ExpectedCrossing | None:
    return facts.match.expected if facts.match is not None else None


def _loading(facts: Facts) -> Loading | None:
    crossing = _expected(facts)
    return crossing.loading if crossing is not None else None


def _compared(match: ExpectationMatch | None, kind: IdentifierKind) -> Iterator[IdentifierComparison]:
    for one in match.identifiers if match is not None else ():
        if one.kind is kind:
            yield one


def _both(one: IdentifierComparison) -> tuple[Identifier, ...]:
    return tuple(Identifier(one.kind.value, text) for text in (one.read, one.declared) if text)


def _known(device: str) -> tuple[str, ...]:
    return (device,) if device else ()


def device_of(inspection: Inspection, one: IdentifierComparison) -> str:
    """The device that read it, '' if it was not read."""
    devices = {(IdentifierKind.CONTAINER_CODE, c.vote.text): c.vote.device_id for c in inspection.container_codes}
    devices |= {(IdentifierKind.SEAL, _plain(s.number)): s.device_id for s in inspection.seals}
    devices |= {(IdentifierKind.SEAL, _plain(s.state.number)): s.device_id for s in inspection.seal_states}
    devices |= {(IdentifierKind.PLATE, p.vote.text): p.vote.device_id for p in inspection.plates}
    text = _plain(one.read) if one.kind is IdentifierKind.SEAL else one.read
    return devices.get((one.kind, text), "")


def _plain(seal: str) -> str:
    return "".join(c for c in seal.upper() if c.isalnum())


def picture(facts: Facts, one: IdentifierComparison) -> tuple[bytes, ...]:
    """Pictures of the text that was read."""
    return facts.pictures.get((one.kind.value, one.read), ())


def _weighed(facts: Facts, rule: Rule, limits: Limits) -> list[tuple[float, tuple[Weighed, ...]]]:
    """Gross kilograms, with the scales that say so: each by itself, or all of them added up. Net without its tare is
    no gross weight."""
    known = [
        (gross, w) for w in facts.inspection.weights if rule.heeds(w.device_id) and (gross := _gross(w)) is not None
    ]
    if limits.weight_adds_up and known:
        return [(sum(kg for kg, _ in known), tuple(w for _, w in known))]
    return [(kg, (w,)) for kg, w in known]


def _gross(weighed: Weighed) -> float | None:
    weight = weighed.weight
    if weight.gross is False:
        return None if weight.tare_kg is None else weight.kg + weight.tare_kg
    return weight.kg


def _beyond(kg: float, limit: float, scales: tuple[Weighed, ...], facts: Facts) -> Found:
    return _of_weight("", (("kg", f"{kg:.0f}"), ("limit", f"{limit:.0f}")), kg, scales, facts)


def _of_weight(
    key: str, parameters: tuple[tuple[str, str], ...], kg: float, scales: tuple[Weighed, ...], facts: Facts
) -> Found:
    devices = tuple(scale.device_id for scale in scales)
    evidence = facts.evidence(EvidenceKind.RAW_CAPTURE)
    return Found(key, parameters, devices, (Identifier("weight", f"{kg:.0f}"),), evidence)
