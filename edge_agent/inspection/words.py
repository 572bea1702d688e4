"""Drafts in words, for the log that a person at the booth reads.

Identifiers are left out: the ledger keeps them for as long as it may, and a log is kept by others.
"""

import re
from collections import Counter
from collections.abc import Iterable

from edge_agent.domain.counted import counted
from edge_agent.domain.event import (
    AlarmRaised,
    DecisionRecorded,
    Draft,
    FindingsAdded,
    InspectionClosed,
    InspectionOpened,
    ScanReceived,
    Unassigned,
)
from edge_agent.domain.finding import Finding
from edge_agent.domain.inspection import Abandoned, Complete, Incomplete, Inspection
from edge_agent.domain.observation import SealCondition
from edge_agent.domain.statistics import LaneStatistics

# A device that was down for less is not worth a word here; its change of state was logged.
DOWN_TOLD_S = 30.0


def in_words(draft: Draft) -> str:
    """One line, or '' for what is logged where it happens (a device's change of state)."""
    body = draft.body
    match body:
        case InspectionOpened():
            return f"vehicle arrived ({body.cause})"
        case InspectionClosed():
            return _inspection(body.inspection)
        case AlarmRaised():
            return f"RADIATION ALARM {body.kind} at {body.device_id}, counts {' '.join(map(str, body.counts))}"
        case FindingsAdded():
            return f"found of a vehicle that had left, by the {body.origin}: {_found(body.findings)}"
        case DecisionRecorded():
            return f"an officer decided: {body.decision.upper()}"
        case ScanReceived():
            belongs = "" if body.inspection_id else ", which belongs to no vehicle known"
            return f"scan from {body.scan.device_id}{belongs}"
        case Unassigned():
            observation = body.observation
            return f"belongs to no vehicle: {_kind(observation.body)} of {observation.device_id}"
        case LaneStatistics() if body.vehicles:
            return _statistics(body)
        case _:
            return ""


def _statistics(said: LaneStatistics) -> str:
    """One line a quarter, of those in which vehicles left."""
    half = said.dwell.quantile(0.5)
    dwell = "" if half is None else f", half of them within {half:.0f} s"
    down = [f"{d.device_id} {d.down_s / 60:.0f} min" for d in said.devices if d.down_s >= DOWN_TOLD_S]
    minutes = f"{said.covered_s / 60:.0f} min"
    return f"{counted(said.vehicles, 'vehicle')} in {minutes}, {said.complete} complete{dwell}" + (
        f"; down: {', '.join(down)}" if down else ""
    )


def _inspection(inspection: Inspection) -> str:
    outcome = inspection.outcome
    match outcome:
        case Complete():
            how = "complete"
        case Incomplete():
            how = "without " + ", ".join(f"{m.what} ({m.reason.replace('_', ' ')})" for m in outcome.missing)
        case Abandoned():
            how = f"abandoned: {outcome.why}"
    seen = ["plate"] if inspection.plate else []
    seen += ["container code" + ("" if c.check_digit_ok else " (check digit)") for c in inspection.container_codes]
    seen += ["seal" for _ in inspection.seals]
    seen += [
        f"SEAL {s.state.condition.replace('_', ' ').upper()}"
        for s in inspection.seal_states
        if s.state.condition is not SealCondition.PRESENT
    ]
    seen += (
        ["tag" for _ in inspection.tags] + ["weight" for _ in inspection.weights] + ["scan" for _ in inspection.scans]
    )
    if any(s.measurement.gamma_alarm or s.measurement.neutron_alarm for s in inspection.spectra):
        seen.append("SPECTROSCOPIC ALARM")
    if any(o.gamma_alarm or o.neutron_alarm for o in inspection.radiation):
        seen.append("RADIATION ALARM")
    if any(o.disagreement for o in inspection.radiation):
        seen.append("radiation cross-check disagrees")
    done = f"vehicle done, {how}: {_each_once(seen) or 'nothing read'}"
    if inspection.recommendation is None:
        return done
    findings = f"; found: {_found(inspection.findings)}" if inspection.findings else ""
    return f"{done}{findings}; recommended: {inspection.recommendation.upper()}"


def _found(findings: tuple[Finding, ...]) -> str:
    """By rule, without the identifiers that a sentence names."""
    return _each_once(f"{one.rule.replace('_', ' ')} ({one.severity})" for one in findings)


def _each_once(words: Iterable[str]) -> str:
    """'plate, 2 × tag': in the order of the first of each."""
    return ", ".join(word if n == 1 else f"{n} × {word}" for word, n in Counter(words).items())


def _kind(body: object) -> str:
    """'spectroscopic measurement' of a SpectroscopicMeasurement."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(body).__name__).lower()
