"""What an event says of its inspection's standing, on which depends how long evidence is kept.

Booth and port must agree: what the booth lets go without a finding, the port never asks for.
"""

from edge_agent.domain.retention import Standing
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1 import findings_pb2 as findings

_PRESENT = ("", "present")
_DECIDED = (findings.DECISION_REFER, findings.DECISION_HOLD)


def inspection_of(event: wire.Event) -> str:
    """The inspection that an event is about, '' if about none."""
    kind = event.WhichOneof("body") or ""
    body = getattr(event, kind, None)
    if isinstance(body, wire.InspectionClosed):
        return body.inspection.id
    return str(getattr(body, "inspection_id", ""))


def standing_of(event: wire.Event) -> Standing:
    """What this event alone says. An inspection has the highest of all its events."""
    match event.WhichOneof("body"):
        case "alarm_raised":
            return Standing.FINDING
        case "inspection_closed":
            return Standing.FINDING if _found(event.inspection_closed.inspection) else Standing.CLEAR
        case "findings_added":
            return Standing.FINDING if any(map(_counts, event.findings_added.findings)) else Standing.CLEAR
        case "decision_recorded":
            return Standing.REFERRED if event.decision_recorded.decision in _DECIDED else Standing.CLEAR
        case _:
            return Standing.CLEAR


def _found(inspection: wire.Inspection) -> bool:
    """Alarms always count. Where no rules were applied, so does everything but a complete passage."""
    alarms = (
        any(one.gamma_alarm or one.neutron_alarm or one.cross_check_alarm for one in inspection.radiation)
        or any(one.gamma_alarm or one.neutron_alarm for one in inspection.spectra)
        or any(one.condition not in _PRESENT for one in inspection.seal_states)
    )
    if inspection.HasField("recommendation"):
        return alarms or any(map(_counts, inspection.findings))
    return alarms or inspection.WhichOneof("outcome") != "complete"


def _counts(finding: findings.Finding) -> bool:
    """A notice (no expectation, a plate that is not there) is of most vehicles, and keeps no picture of them."""
    return finding.severity != findings.FINDING_SEVERITY_NOTICE
