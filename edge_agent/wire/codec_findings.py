"""Findings and decisions, from the domain's words to the wire's messages and back."""

from collections.abc import Iterable

from edge_agent.domain import event as domain
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
from edge_agent.domain.sentences import say
from edge_agent.wire.clipping import clip
from edge_agent.wire.v1alpha1 import findings_pb2 as wire

_SEVERITIES = {
    Severity.NOTICE: wire.FINDING_SEVERITY_NOTICE,
    Severity.WARNING: wire.FINDING_SEVERITY_WARNING,
    Severity.ALARM: wire.FINDING_SEVERITY_ALARM,
}
RECOMMENDATIONS = {
    Recommendation.RELEASE: wire.RECOMMENDATION_RELEASE,
    Recommendation.REFER: wire.RECOMMENDATION_REFER,
    Recommendation.HOLD: wire.RECOMMENDATION_HOLD,
}
DECISIONS = {
    Decision.RELEASE: wire.DECISION_RELEASE,
    Decision.REFER: wire.DECISION_REFER,
    Decision.HOLD: wire.DECISION_HOLD,
}
# Of one finding and of one record. Cut to these, the findings of a record leave room for the rest of it.
MAX_FINDINGS = 32
MAX_ADDED = 16  # at once, after an inspection has closed
MAX_NAME = 64
MAX_SENTENCE = 400
MAX_VALUE = 200
MAX_PARAMETERS = 8
MAX_BASIS = 8
# Of an officer's decision, in bytes of UTF-8; the port refuses longer ones.
MAX_OFFICER = 100
MAX_REASON = 1000
MESSAGE_ID_BYTES = 16


def severity_named(value: int) -> Severity | None:
    """A FindingSeverity of the wire; None for one that is not known here."""
    return next((name for name, known in _SEVERITIES.items() if known == value), None)


def recommendation_named(value: int) -> Recommendation | None:
    """A Recommendation of the wire; None for one that is not known here."""
    return next((name for name, known in RECOMMENDATIONS.items() if known == value), None)


def decision_named(value: int) -> Decision | None:
    """A Decision of the wire; None for one that is not known here."""
    return next((name for name, known in DECISIONS.items() if known == value), None)


def findings(found: Iterable[Finding]) -> list[wire.Finding]:
    """The first `MAX_FINDINGS` of them."""
    return [finding(one) for one in list(found)[:MAX_FINDINGS]]


def finding(found: Finding) -> wire.Finding:
    """One finding, with its English sentence."""
    return wire.Finding(
        rule=clip(found.rule, MAX_NAME),
        severity=_SEVERITIES[found.severity],
        recommends=RECOMMENDATIONS[found.recommends],
        sentence=clip(say(found), MAX_SENTENCE),
        sentence_key=clip(found.key, MAX_NAME),
        parameters=[
            wire.SentenceParameter(name=clip(name, MAX_NAME), value=clip(value, MAX_VALUE))
            for name, value in found.parameters[:MAX_PARAMETERS]
        ],
        device_ids=[clip(device, MAX_NAME) for device in found.devices[:MAX_BASIS]],
        identifiers=[
            wire.FindingIdentifier(kind=clip(one.kind, MAX_NAME), text=clip(one.text, MAX_VALUE))
            for one in found.identifiers[:MAX_BASIS]
        ],
        evidence_sha256=found.evidence[:MAX_BASIS],
    )


def finding_of(message: wire.Finding) -> Finding:
    """As the message says it. Raises ValueError on a severity or recommendation that is not known."""
    severity, recommends = severity_named(message.severity), recommendation_named(message.recommends)
    if severity is None or recommends is None:
        raise ValueError(f"a finding of rule {message.rule!r} without a known severity and recommendation")
    return Finding(
        rule=message.rule,
        severity=severity,
        recommends=recommends,
        key=message.sentence_key,
        parameters=tuple((p.name, p.value) for p in message.parameters),
        devices=tuple(message.device_ids),
        identifiers=tuple(Identifier(one.kind, one.text) for one in message.identifiers),
        evidence=tuple(message.evidence_sha256),
        sentence=message.sentence,
    )


def findings_added(body: domain.FindingsAdded) -> wire.FindingsAdded:
    """What became known after the inspection had closed."""
    return wire.FindingsAdded(
        inspection_id=body.inspection_id,
        lane_id=body.lane_id,
        origin=body.origin.value,
        cause=body.cause.value,
        findings=findings(body.findings[:MAX_ADDED]),
        recommendation=RECOMMENDATIONS[strictest(body.findings)],
        message_id=body.message_id,
    )


def decision_recorded(body: domain.DecisionRecorded) -> wire.DecisionRecorded:
    """An officer's decision."""
    return wire.DecisionRecorded(
        inspection_id=body.inspection_id,
        lane_id=body.lane_id,
        decision=DECISIONS[body.decision],
        officer=clip(body.officer, MAX_OFFICER),
        reason=clip(body.reason, MAX_REASON),
        decided_utc_us=body.decided_utc_us,
        message_id=body.message_id,
    )


def findings_added_of(message: wire.PortFindings, lane_id: str) -> domain.FindingsAdded:
    """What the port sent, as the event that the booth chains. Raises ValueError on what cannot be one."""
    _checked(message.message_id, message.inspection_id)
    if not message.findings:
        raise ValueError("the port sent findings of an inspection, and there are none")
    return domain.FindingsAdded(
        message.inspection_id,
        lane_id,
        Origin.PORT,
        Cause(message.cause),
        tuple(finding_of(one) for one in message.findings[:MAX_ADDED]),
        message.message_id,
    )


def decision_of(message: wire.OfficerDecision, lane_id: str) -> domain.DecisionRecorded:
    """What the port sent, as the event that the booth chains. Raises ValueError on what cannot be one."""
    _checked(message.message_id, message.inspection_id)
    decisions = {value: name for name, value in DECISIONS.items()}
    if message.decision not in decisions:
        raise ValueError(f"the decision {message.decision} is not known")
    return domain.DecisionRecorded(
        message.inspection_id,
        lane_id,
        decisions[message.decision],
        message.officer,
        message.reason,
        message.decided_utc_us,
        message.message_id,
    )


def _checked(message_id: bytes, inspection_id: str) -> None:
    if len(message_id) != MESSAGE_ID_BYTES:
        raise ValueError(f"a message id of {len(message_id)} bytes, not {MESSAGE_ID_BYTES}")
    if not inspection_id:
        raise ValueError("no inspection is named")
