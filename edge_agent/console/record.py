"""One vehicle as the page shows it: its record in rows of words, its findings, and what was expected of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge_agent.console.profile import drawn
from edge_agent.console.tail import Vehicle
from edge_agent.console.words import age
from edge_agent.domain import sentences
from edge_agent.domain.carriers import ON
from edge_agent.domain.finding import Finding, Recommendation, Severity
from edge_agent.wire.codec_findings import decision_named, recommendation_named, severity_named
from edge_agent.wire.codec_inspection import reason_named
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1 import expected_pb2 as expected
from edge_agent.wire.v1alpha1 import findings_pb2 as findings
from edge_agent.wire.v1alpha1.joining_pb2 import Belonging

Say = Callable[..., str]

_MATCHES = {
    expected.MATCH_OUTCOME_MATCHED: "matched",
    expected.MATCH_OUTCOME_AMBIGUOUS: "ambiguous",
    expected.MATCH_OUTCOME_NONE: "none",
    expected.MATCH_OUTCOME_COULD_NOT_LOOK: "could_not_look",
}
_FINE = ("same", "looks_alike", "without_check_digit")
_STRICTEST = tuple(str(one) for one in Recommendation)
_GRAVEST = tuple(reversed([str(one) for one in Severity]))
# No record is made longer than a screen can be scrolled, whatever the port sends.
MAX_FINDINGS = 60


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the record. `value` is an identifier or a fact, `notes` say how it was come by; `mark` is ok or bad."""

    name: str
    value: str
    notes: tuple[str, ...] = ()
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A finding in a sentence. `late`: it came after the vehicle had left."""

    severity: str
    sentence: str
    recommends: str
    late: bool


def moment(at: wire.Instant) -> int:
    """Milliseconds since 1970; a signed event may carry any number, a date has a range."""
    return min(max(at.utc_us, 0), 253_402_300_799_999_999) // 1000


def plate(inspection: wire.Inspection) -> str:
    """The plate that stands for the vehicle, '' if none was read."""
    return inspection.plate.text if inspection.HasField("plate") else ""


def outcome(inspection: wire.Inspection) -> str:
    """How the passage ended: complete, incomplete, abandoned or none."""
    return inspection.WhichOneof("outcome") or "none"


def recommendation(vehicle: Vehicle) -> str:
    """The strictest of all that the rules recommend; '' where no rules were applied."""
    said = [vehicle.inspection.recommendation, *(added.recommendation for added in vehicle.added)]
    known = [str(one) for one in map(recommendation_named, said) if one is not None]
    return max(known, key=_STRICTEST.index, default="")


def decision(vehicle: Vehicle) -> str:
    """The officer's: release, refer or hold; '' where none is known."""
    return "" if vehicle.decision is None else decision_named(vehicle.decision.decision) or ""


def alarmed(vehicle: Vehicle) -> bool:
    """A portal's verdict on it is an alarm."""
    inspection = vehicle.inspection
    return any(o.gamma_alarm or o.neutron_alarm for o in inspection.radiation) or any(
        s.gamma_alarm or s.neutron_alarm for s in inspection.spectra
    )


def found(vehicle: Vehicle, language: str) -> list[Found]:
    """The findings, the gravest first."""
    all_of_it = [(one, False) for one in vehicle.inspection.findings]
    all_of_it += [(one, True) for added in vehicle.added for one in added.findings]
    said = [
        Found(
            severity_named(one.severity) or Severity.NOTICE,
            sentences.say(_finding(one), language),
            recommendation_named(one.recommends) or "",
            late,
        )
        for one, late in all_of_it[:MAX_FINDINGS]
    ]
    return sorted(said, key=lambda one: _GRAVEST.index(one.severity))


def _finding(one: findings.Finding) -> Finding:
    parameters = tuple((parameter.name, parameter.value) for parameter in one.parameters)
    return Finding(
        one.rule, Severity.NOTICE, Recommendation.RELEASE, one.sentence_key, parameters, sentence=one.sentence
    )


def missing(inspection: wire.Inspection, say: Say) -> Iterator[Row]:
    """What the lane expects and did not learn."""
    for one in inspection.incomplete.missing if outcome(inspection) == "incomplete" else ():
        reason = reason_named(one.reason) or "unstated"
        name = say("missing", what=say(f"what.{one.what}"))
        yield Row(name, say(f"missing.{reason}"), (one.detail,) if one.detail else (), "bad")


def _on(on: Belonging, say: Say) -> str:
    key = f"{on.carrier}.{on.place}"
    return say(f"on.{key if key in ON else on.carrier if on.carrier in ON else ''}", text=on.text).rstrip()


def rows(vehicle: Vehicle, say: Say) -> Iterator[Row]:
    """What was read of it."""
    inspection = vehicle.inspection
    if inspection.HasField("plate") and not inspection.plates:
        yield Row(say("row.plate"), inspection.plate.text, _voted(inspection.plate, say))
    for seen in inspection.plates:
        role = f" ({say(f'role.{seen.role}')})" if seen.role not in ("", "unknown") else ""
        yield Row(say("row.plate") + role, seen.vote.text, _voted(seen.vote, say))
    for code in inspection.container_codes:
        check = say("value.check_ok" if code.check_digit_ok else "value.check_wrong")
        notes = (check, *([code.size_type] if code.size_type else []), *_voted(code.vote, say))
        yield Row(say("row.container_code"), code.vote.text, notes, "" if code.check_digit_ok else "bad")
    for seal in inspection.seals:
        yield Row(say("row.seal"), seal.number, (_on(seal.on, say), seal.device_id))
    for state in inspection.seal_states:
        mark = "ok" if state.condition == "present" else "bad"
        yield Row(
            say("row.seal_state", number=state.number),
            say(f"seal.{state.condition}"),
            tuple(filter(None, (_on(state.on, say), state.detail))),
            mark,
        )
    for tag in inspection.tags:
        yield Row(
            say("row.tag"),
            tag.text or tag.epc,
            (*([_on(tag.on, say)] if tag.HasField("on") else []), say("value.answered", count=tag.reads)),
        )
    for weighed in inspection.weights:
        shown = say("value.shown", shown=weighed.shown, unit=weighed.unit)
        yield Row(say("row.weight"), f"{weighed.kg:,.0f} kg".replace(",", "\u202f"), (shown,))
    for occupancy in inspection.radiation:
        yield _radiation(occupancy, say)
    for spectrum in inspection.spectra:
        yield _spectrum(spectrum, say)
    for scan in (*inspection.scans, *vehicle.scans):
        yield Row(say("row.scan"), scan.scan_id, tuple(filter(None, (scan.device_id, scan.format, scan.note))))
    yield from _disagreements(inspection, say)
    for away in inspection.resumed:
        seconds = max(0, away.until.utc_us - away.since.utc_us) / 1e6
        yield Row(say("row.away"), age(seconds), (say("value.away"),), "bad")
    if wire.CLOCK_STATE_UNSYNCHRONISED in (inspection.opened.clock_state, inspection.closed.clock_state):
        yield Row(say("row.clock"), say("clock.unsynchronised"), (say("value.clock"),), "bad")
    if inspection.HasField("direction"):
        backward = inspection.direction == wire.DIRECTION_BACKWARD
        yield Row(
            say("row.direction"),
            say("value.backward" if backward else "value.forward"),
            mark="bad" if backward else "",
        )


def _disagreements(inspection: wire.Inspection, say: Say) -> Iterator[Row]:
    """Devices that look at the same end of the vehicle, and read different texts most often."""
    said: dict[tuple[str, str], dict[str, list[str]]] = {}
    for reads in inspection.device_reads:
        if reads.texts:
            texts = said.setdefault((reads.what, reads.sees), {})
            texts.setdefault(reads.texts[0].text, []).append(reads.device_id)
    for (what, _), texts in said.items():
        if len(texts) > 1:
            who = ", ".join(f"{', '.join(devices)}: {text}" for text, devices in texts.items())
            yield Row(say("row.disagree", what=say(f"what.{what}")), who, (), "bad")


def _voted(vote: wire.Voted, say: Say) -> tuple[str, ...]:
    reads = say(
        "value.reads", reads=vote.reads, count=vote.reads + vote.reads_other, confidence=f"{vote.confidence:.2f}"
    )
    return (reads, *([say("value.others", others=", ".join(vote.others))] if vote.others else []))


def _radiation(occupancy: wire.RadiationOccupancy, say: Say) -> Row:
    alarms = [
        say(f"alarm.{kind}")
        for kind in ("gamma", "neutron")
        if (occupancy.gamma_alarm, occupancy.neutron_alarm)[kind == "neutron"]
    ]
    notes = []
    if occupancy.HasField("cross_check_sigma"):
        notes.append(say("value.sigma", sigma=f"{occupancy.cross_check_sigma + 0.0:.1f}".replace("-0.0", "0.0")))
    disagree = occupancy.HasField("cross_check_alarm") and occupancy.cross_check_alarm != occupancy.gamma_alarm
    if disagree:
        notes.append(say("value.disagree"))
    value = ", ".join(alarms) or say("value.no_alarm")
    return Row(say("row.radiation"), value, tuple(notes), "bad" if alarms or disagree else "ok")


def _spectrum(spectrum: wire.Spectrum, say: Say) -> Row:
    named = ", ".join(nuclide.name for nuclide in spectrum.nuclides) or say("value.no_nuclide")
    alarm = spectrum.gamma_alarm or spectrum.neutron_alarm
    kinds = [say("alarm.gamma")] if spectrum.gamma_alarm else []
    kinds += [say("alarm.neutron")] if spectrum.neutron_alarm else []
    return Row(say("row.spectrum"), named, (*kinds, spectrum.instrument or spectrum.device_id), "bad" if alarm else "")


@dataclass(frozen=True, slots=True)
class Compared:
    """How the record compares with what the port expected. `rows`: what, declared, read, verdict, mark."""

    key: str
    headline: str
    notes: tuple[str, ...]
    rows: tuple[tuple[str, str, str, str, str], ...]


def compared(inspection: wire.Inspection, say: Say) -> Compared | None:
    """None where nothing was compared."""
    if not inspection.HasField("expectation"):
        return None
    match = inspection.expectation
    key = _MATCHES.get(match.outcome, "could_not_look")
    notes = [match.detail] if match.detail else []
    if match.expected.note:
        notes.append(match.expected.note)
    if match.expected.programmes:
        notes.append(", ".join(match.expected.programmes))
    timing = {expected.ARRIVAL_TIMING_EARLY: "early", expected.ARRIVAL_TIMING_LATE: "late"}.get(match.timing)
    if timing is not None:
        notes.append(say(f"expected.{timing}", age=age(match.outside_s)))
    if match.HasField("list_age_s"):
        notes.append(say("expected.age", age=age(match.list_age_s)))
    return Compared(
        key,
        say(f"expected.{key}", id=", ".join(match.expectation_ids)),
        tuple(notes),
        tuple(_comparison(one, say) for one in match.identifiers[:40]),
    )


def _comparison(one: expected.IdentifierComparison, say: Say) -> tuple[str, str, str, str, str]:
    name = expected.IdentifierVerdict.Name(one.verdict) if one.verdict in expected.IdentifierVerdict.values() else ""
    verdict = name.removeprefix("IDENTIFIER_VERDICT_").lower()
    what = say(f"what.{one.kind}") + (f" ({say(f'role.{one.role}')})" if one.role else "")
    mark = "ok" if verdict in _FINE else "" if verdict in ("not_read", "undeclared") else "bad"
    return what, one.declared or "–", one.read or "–", say(f"verdict.{verdict}"), mark


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart of the radiation profile with what is under it."""

    svg: str
    caption: str
    alarm: bool


def charts(vehicle: Vehicle, say: Say, language: str) -> list[Drawn] | None:
    """The radiation profile drawn; [] when the measurements are gone, None when there were none."""
    if vehicle.profile is None:
        return None
    return [
        Drawn(
            drawn(chart, say, language),
            f"{say('profile.title', kind=say(f'kind.{chart.kind}'), device=chart.device)}. "
            + say("profile.alarm" if chart.in_alarm else "profile.no_alarm"),
            chart.in_alarm,
        )
        for chart in vehicle.profile.charts
    ]
