"""Findings and decisions arrive in the event, field by field; what the port sends is checked before it is chained."""

from dataclasses import replace
from string import Formatter

import pytest

from edge_agent.domain.event import DecisionRecorded, FindingsAdded, InspectionClosed
from edge_agent.domain.finding import (
    Cause,
    Decision,
    Finding,
    Identifier,
    Origin,
    Recommendation,
    Severity,
    strictest,
)
from edge_agent.domain.inspection import Complete, Inspection, TagSeen
from edge_agent.domain.sentences import SENTENCES, say
from edge_agent.wire import codec_findings
from edge_agent.wire.codec_findings import MAX_FINDINGS, decision_of, finding_of, findings_added_of
from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES
from edge_agent.wire.v1alpha1 import event_pb2, findings_pb2
from tests.unit.inspection.script import instant, tag
from tests.unit.wire.test_codec import encoded

OTHER = Finding(
    "container_other",
    Severity.ALARM,
    Recommendation.HOLD,
    "container_other.declared",
    (("read", "CSQU3054383"), ("declared", "MSKU1234565")),
    ("side",),
    (Identifier("container_code", "CSQU3054383"),),
    (b"e" * 32,),
)
ID = b"m" * 16


def test_findings_of_an_inspection() -> None:
    record = Inspection("i", "1", instant(1), instant(9), Complete())
    found = replace(record, findings=(OTHER,), recommendation=Recommendation.HOLD)
    message = encoded(InspectionClosed(found)).inspection_closed.inspection
    assert message.recommendation == findings_pb2.RECOMMENDATION_HOLD
    [one] = message.findings
    assert (one.rule, one.severity) == ("container_other", findings_pb2.FINDING_SEVERITY_ALARM)
    assert one.sentence == "The container CSQU3054383 was read; MSKU1234565 is declared."
    assert finding_of(one) == replace(OTHER, sentence=one.sentence)
    nothing = encoded(InspectionClosed(record)).inspection_closed.inspection
    assert not nothing.HasField("recommendation")
    assert list(nothing.findings) == []


def test_findings_are_the_last_to_be_left_out() -> None:
    many = tuple(
        TagSeen(replace(tag("E2"), memory="F" * 300, epc=f"{n:0300}"), "reader", instant(1)) for n in range(400)
    )
    record = Inspection("i", "1", instant(1), instant(9), Complete(), tags=many, findings=(OTHER,) * 40)
    event = encoded(InspectionClosed(record))
    message = event.inspection_closed.inspection
    assert message.shortened
    assert len(message.findings) == MAX_FINDINGS
    assert event.ByteSize() < MAX_ENVELOPE_BYTES


def test_the_longest_findings_fit_their_event() -> None:
    long = "é" * 5000
    whole = replace(
        OTHER,
        rule=long,
        key=long,
        sentence=long,
        parameters=((long, long),) * 99,
        devices=(long,) * 99,
        identifiers=(Identifier(long, long),) * 99,
        evidence=(b"e" * 32,) * 99,
    )
    record = Inspection("i", "1", instant(1), instant(9), Complete(), findings=(whole,) * 99)
    event = encoded(InspectionClosed(record))
    assert event.ByteSize() < MAX_ENVELOPE_BYTES
    added = encoded(FindingsAdded("i", "1", Origin.PORT, Cause.WATCH_LIST, (whole,) * 99, ID))
    assert added.ByteSize() < MAX_ENVELOPE_BYTES


def test_findings_added_as_the_port_sent_them() -> None:
    sent = findings_pb2.PortFindings(
        message_id=ID, inspection_id="i", cause="watch_list", findings=[codec_findings.finding(OTHER)]
    )
    body = findings_added_of(sent, "1")
    message = encoded(body).findings_added
    assert (message.inspection_id, message.lane_id, message.message_id) == ("i", "1", ID)
    assert (message.origin, message.cause) == ("port", "watch_list")
    assert message.recommendation == findings_pb2.RECOMMENDATION_HOLD
    assert list(message.findings) == list(sent.findings)


def test_a_decision_as_the_port_sent_it() -> None:
    sent = findings_pb2.OfficerDecision(
        message_id=ID,
        inspection_id="i",
        decision=findings_pb2.DECISION_REFER,
        officer="R. Vega",
        reason="seal",
        decided_utc_us=7,
    )
    body = decision_of(sent, "2")
    assert body == DecisionRecorded("i", "2", Decision.REFER, "R. Vega", "seal", 7, ID)
    message = encoded(body).decision_recorded
    assert (message.inspection_id, message.lane_id, message.decision) == ("i", "2", findings_pb2.DECISION_REFER)
    assert (message.officer, message.reason, message.decided_utc_us) == ("R. Vega", "seal", 7)
    assert message.message_id == ID


@pytest.mark.parametrize(
    "wrong",
    [
        findings_pb2.OfficerDecision(message_id=ID, inspection_id="i"),
        findings_pb2.OfficerDecision(message_id=ID, decision=findings_pb2.DECISION_HOLD),
        findings_pb2.OfficerDecision(message_id=b"m", inspection_id="i", decision=findings_pb2.DECISION_HOLD),
    ],
)
def test_what_is_no_decision(wrong: findings_pb2.OfficerDecision) -> None:
    with pytest.raises(ValueError, match=r"not known|no inspection|message id"):
        decision_of(wrong, "1")


@pytest.mark.parametrize(
    "wrong",
    [
        findings_pb2.PortFindings(message_id=ID, inspection_id="i", cause="watch_list"),
        findings_pb2.PortFindings(
            message_id=ID, inspection_id="i", cause="rumour", findings=[codec_findings.finding(OTHER)]
        ),
        findings_pb2.PortFindings(
            message_id=ID, inspection_id="i", cause="watch_list", findings=[findings_pb2.Finding(rule="r")]
        ),
    ],
)
def test_what_are_no_findings(wrong: findings_pb2.PortFindings) -> None:
    with pytest.raises(ValueError, match=r"there are none|rumour|without a known"):
        findings_added_of(wrong, "1")


def test_the_strictest_of_findings() -> None:
    mild, middle = (replace(OTHER, recommends=r) for r in (Recommendation.RELEASE, Recommendation.REFER))
    assert strictest([]) is Recommendation.RELEASE
    assert strictest([mild, middle]) is Recommendation.REFER
    assert strictest([middle, OTHER, mild]) is Recommendation.HOLD


@pytest.mark.parametrize("key", SENTENCES)
def test_both_languages_say_the_same(key: str) -> None:
    names = [sorted(name for _, name, _, _ in Formatter().parse(text) if name) for text in SENTENCES[key]]
    assert names[0] == names[1]
    said = replace(OTHER, key=key, parameters=tuple((name, f"<{name}>") for name in names[0]))
    for language in ("en", "es"):
        assert all(f"<{name}>" in say(said, language) for name in names[0])


def test_a_sentence_of_another_version() -> None:
    assert say(replace(OTHER, key="unheard_of", sentence="Told by a newer port.")) == "Told by a newer port."
    assert say(replace(OTHER, key="unheard_of")) == "unheard_of"
    assert say(replace(OTHER, parameters=())) == "The container ? was read; ? is declared."


def test_an_event_of_before_has_neither() -> None:
    old = event_pb2.Inspection(id="i").SerializeToString()
    assert not event_pb2.Inspection.FromString(old).HasField("recommendation")
