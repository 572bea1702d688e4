"""From a draft to the bytes that are stored, hashed, sent and verified for ever. No input or output, no clock."""

from dataclasses import dataclass

from edge_agent.domain.event import (
    AlarmRaised,
    DecisionRecorded,
    Draft,
    FindingsAdded,
    InspectionClosed,
    InspectionOpened,
    ScanReceived,
)
from edge_agent.domain.evidence import EvidenceRef
from edge_agent.domain.retention import Standing
from edge_agent.ledger.signer import Signer
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import event_payload
from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES, PAYLOAD_TYPE, envelope_sha256, pae, write_envelope
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.standing import standing_of
from edge_agent.wire.v1alpha1.event_pb2 import Event


@dataclass(frozen=True, slots=True)
class Sealed:
    """One link of the chain, ready to be stored. `evidence` names the files that must be on disk before it.

    `kind` is the event's body by its name in event.proto; `inspection_id` is '' where there is none; `standing` is what
    the event says of that inspection's.
    """

    seq: int
    id: str
    kind: str
    inspection_id: str
    envelope: bytes
    sha256: bytes
    evidence: tuple[EvidenceRef, ...]
    head_after: Head
    standing: Standing = Standing.CLEAR


def seal(draft: Draft, head: Head, signer: Signer) -> Sealed:
    """`draft` as the signed event that follows `head`. The head itself moves only when the store has it.

    Raises Refused(OVERSIZED): the port would never take such an event, and everything after it would wait.
    """
    payload = event_payload(draft, head)
    envelope = write_envelope(payload, signer.sign(pae(PAYLOAD_TYPE, payload)), signer.key_id)
    if len(envelope) > MAX_ENVELOPE_BYTES:
        raise Refused(
            RefusalCode.OVERSIZED, f"an event of {len(envelope)} bytes, at most {MAX_ENVELOPE_BYTES}", head.seq + 1
        )
    event = Event.FromString(payload)
    sha256 = envelope_sha256(envelope)
    return Sealed(
        seq=event.seq,
        id=event.id,
        kind=event.WhichOneof("body") or "",
        inspection_id=_inspection_id(draft),
        envelope=envelope,
        sha256=sha256,
        evidence=tuple(evidence.ref for evidence in draft.evidence),
        head_after=head.after(sha256),
        standing=standing_of(event),
    )


def _inspection_id(draft: Draft) -> str:
    match draft.body:
        case InspectionOpened() | AlarmRaised() | ScanReceived() | FindingsAdded() | DecisionRecorded():
            return draft.body.inspection_id
        case InspectionClosed(inspection=inspection):
            return inspection.id
        case _:
            return ""
