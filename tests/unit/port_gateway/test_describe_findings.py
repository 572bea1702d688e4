"""Findings and decisions as people read them: at the port, in an evidence pack, in the booth's log."""

from dataclasses import replace

from edge_agent.domain.event import DecisionRecorded, Draft, EventBody, FindingsAdded, InspectionClosed
from edge_agent.domain.finding import Cause, Decision, Finding, Origin, Recommendation, Severity
from edge_agent.inspection.words import in_words
from edge_agent.pack.words import body_in_words, record_in_words
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import event_payload
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from port_gateway.describe import event_text
from tests.unit.port_gateway.findings import closed
from tests.unit.port_gateway.signing import INSTANT

OTHER = Finding(
    "plate_other", Severity.WARNING, Recommendation.REFER, "plate_other", (("read", "AB1203"), ("declared", "CD5678"))
)
RECORD = replace(closed("i-1"), findings=(OTHER,), recommendation=Recommendation.REFER)
ADDED = FindingsAdded("i-1", "1", Origin.PORT, Cause.WATCH_LIST, (OTHER,), b"m" * 16)
DECIDED = DecisionRecorded("i-1", "1", Decision.HOLD, "R. Vega", "to the scanner", 7, b"m" * 16)


def event(body: EventBody) -> wire.Event:
    return wire.Event.FromString(event_payload(Draft(body, INSTANT), Head("spiffe://uslrd/booth/lane-1", bytes(16))))


def test_at_the_port() -> None:
    said = event_text(event(InspectionClosed(RECORD)))
    assert said.endswith(" | recommended: REFER\n    warning: The plate AB1203 was read; CD5678 is declared.")
    assert "recommended" not in event_text(event(InspectionClosed(closed("i-1"))))
    assert "1: of inspection i-1 the port found later | recommended: REFER\n" in event_text(event(ADDED))
    assert event_text(event(DECIDED)).endswith("1: inspection i-1 DECIDED HOLD by R. Vega: to the scanner")


def test_nothing_that_was_said_elsewhere_takes_a_line_of_its_own() -> None:
    forged = replace(OTHER, key="of another version", sentence="nothing\n12:00:00  1: vehicle arrived")
    text = event_text(event(replace(ADDED, findings=(forged,))))
    assert [line.strip() for line in text.splitlines()[1:]] == ["warning: nothing 12:00:00 1: vehicle arrived"]
    assert len(event_text(event(replace(DECIDED, reason="so\nand so"))).splitlines()) == 1


def test_in_a_pack() -> None:
    rows = record_in_words(event(InspectionClosed(RECORD)).inspection_closed.inspection)
    said = "The plate AB1203 was read; CD5678 is declared. (warning; by the rule plate_other, as configured)"
    assert ("Finding", said) in rows
    assert dict(rows)["Recommended by the rules"] == "refer; a recommendation, which decides nothing"
    assert "Finding" not in dict(record_in_words(event(InspectionClosed(closed())).inspection_closed.inspection))
    assert body_in_words(event(ADDED)) == (
        "After the inspection had been closed the port found: The plate AB1203 was read; CD5678 is declared."
    )
    assert (
        body_in_words(event(DECIDED))
        == "By decision of the officer R. Vega it was held. The reason given: to the scanner"
    )


def test_in_the_log_of_the_booth_without_identifiers() -> None:
    said = in_words(Draft(InspectionClosed(RECORD), INSTANT))
    assert said.endswith("; found: plate other (warning); recommended: REFER")
    assert in_words(Draft(ADDED, INSTANT)) == "found of a vehicle that had left, by the port: plate other (warning)"
    assert in_words(Draft(DECIDED, INSTANT)) == "an officer decided: HOLD"
    assert not any(number in said for number in ("AB1203", "CD5678"))
