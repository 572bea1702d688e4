"""Which inspections keep their evidence longer: the same answer at the booth and at the port."""

import pytest

from edge_agent.domain.retention import Standing
from edge_agent.wire.standing import inspection_of, standing_of
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1 import findings_pb2 as findings

COMPLETE = wire.Inspection(id="i", complete=wire.Complete())
RULES = findings.RECOMMENDATION_RELEASE


def found(severity: "findings.FindingSeverity.ValueType") -> findings.Finding:
    return findings.Finding(rule="r", severity=severity)


def closed(inspection: wire.Inspection) -> wire.Event:
    return wire.Event(inspection_closed=wire.InspectionClosed(inspection=inspection))


UNKNOWN = findings.Finding.FromString(b"\x10\x4d")  # severity 77
INSPECTIONS = {
    "complete, no rules": (COMPLETE, Standing.CLEAR),
    "incomplete, no rules": (wire.Inspection(incomplete=wire.Incomplete()), Standing.FINDING),
    "given up, no rules": (wire.Inspection(abandoned=wire.Abandoned()), Standing.FINDING),
    "gamma": (
        wire.Inspection(complete=wire.Complete(), radiation=[wire.RadiationOccupancy(gamma_alarm=True)]),
        Standing.FINDING,
    ),
    "our own computation": (
        wire.Inspection(complete=wire.Complete(), radiation=[wire.RadiationOccupancy(cross_check_alarm=True)]),
        Standing.FINDING,
    ),
    "quiet portal": (
        wire.Inspection(complete=wire.Complete(), radiation=[wire.RadiationOccupancy(number=3)]),
        Standing.CLEAR,
    ),
    "spectrum": (
        wire.Inspection(complete=wire.Complete(), spectra=[wire.Spectrum(neutron_alarm=True)]),
        Standing.FINDING,
    ),
    "broken seal": (
        wire.Inspection(complete=wire.Complete(), seal_states=[wire.SealState(condition="broken")]),
        Standing.FINDING,
    ),
    "whole seal": (
        wire.Inspection(complete=wire.Complete(), seal_states=[wire.SealState(condition="present")]),
        Standing.CLEAR,
    ),
    "rules found nothing": (wire.Inspection(incomplete=wire.Incomplete(), recommendation=RULES), Standing.CLEAR),
    "a notice": (
        wire.Inspection(findings=[found(findings.FINDING_SEVERITY_NOTICE)], recommendation=RULES),
        Standing.CLEAR,
    ),
    "a warning": (
        wire.Inspection(findings=[found(findings.FINDING_SEVERITY_WARNING)], recommendation=RULES),
        Standing.FINDING,
    ),
    "of a newer agent": (
        wire.Inspection(findings=[UNKNOWN], recommendation=RULES),
        Standing.FINDING,
    ),
    "rules, and an alarm": (
        wire.Inspection(radiation=[wire.RadiationOccupancy(neutron_alarm=True)], recommendation=RULES),
        Standing.FINDING,
    ),
}


@pytest.mark.parametrize(("inspection", "standing"), INSPECTIONS.values(), ids=INSPECTIONS)
def test_a_record(inspection: wire.Inspection, standing: Standing) -> None:
    assert standing_of(closed(inspection)) is standing


DECISIONS = {
    findings.DECISION_RELEASE: Standing.CLEAR,
    findings.DECISION_REFER: Standing.REFERRED,
    findings.DECISION_HOLD: Standing.REFERRED,
}


@pytest.mark.parametrize(("decision", "standing"), DECISIONS.items())
def test_an_officers_decision(decision: "findings.Decision.ValueType", standing: Standing) -> None:
    event = wire.Event(decision_recorded=findings.DecisionRecorded(inspection_id="d", decision=decision))
    assert (standing_of(event), inspection_of(event)) == (standing, "d")


def test_what_came_later_and_what_is_of_no_inspection() -> None:
    added = findings.FindingsAdded(inspection_id="a", findings=[found(findings.FINDING_SEVERITY_ALARM)])
    assert standing_of(wire.Event(findings_added=added)) is Standing.FINDING
    notice = findings.FindingsAdded(inspection_id="a", findings=[found(findings.FINDING_SEVERITY_NOTICE)])
    assert standing_of(wire.Event(findings_added=notice)) is Standing.CLEAR
    assert standing_of(wire.Event(alarm_raised=wire.AlarmRaised(inspection_id="b"))) is Standing.FINDING
    assert standing_of(wire.Event(device_changed=wire.DeviceChanged())) is Standing.CLEAR
    assert inspection_of(closed(COMPLETE)) == "i"
    assert inspection_of(wire.Event(alarm_raised=wire.AlarmRaised(inspection_id="b"))) == "b"
    assert inspection_of(wire.Event(device_changed=wire.DeviceChanged())) == ""
    assert inspection_of(wire.Event()) == ""
