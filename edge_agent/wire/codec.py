"""From the domain's words to the wire's messages. Serialised once, at the booth, just before signing."""

import uuid
from typing import assert_never

from edge_agent.domain import event as domain
from edge_agent.domain.evidence import EvidenceRef
from edge_agent.domain.observation import DeviceFault, DeviceSetup, DeviceState, DeviceStatus
from edge_agent.domain.retention import DeletionReason, EvidenceDeleted
from edge_agent.domain.statistics import LaneStatistics
from edge_agent.wire.chain import Head
from edge_agent.wire.clipping import clip
from edge_agent.wire.codec_findings import decision_recorded, findings_added
from edge_agent.wire.codec_inspection import (
    MAX_NUMBER,
    MAX_WORDS,
    RADIATION,
    evidence_ref,
    inspection,
    instant,
    scan,
    shorten,
)
from edge_agent.wire.codec_statistics import lane_statistics
from edge_agent.wire.codec_words import in_words
from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES
from edge_agent.wire.gaps import MAX_GAPS
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1 import retention_pb2 as wire_retention

_STATES = {
    DeviceState.ONLINE: wire.DEVICE_STATE_ONLINE,
    DeviceState.WAITING: wire.DEVICE_STATE_WAITING,
    DeviceState.OFFLINE: wire.DEVICE_STATE_OFFLINE,
    DeviceState.FAILED: wire.DEVICE_STATE_FAILED,
}
_STORAGE = {
    domain.StorageState.NORMAL: wire.STORAGE_STATE_NORMAL,
    domain.StorageState.FILLING: wire.STORAGE_STATE_FILLING,
    domain.StorageState.HIGH: wire.STORAGE_STATE_HIGH,
    domain.StorageState.CRITICAL: wire.STORAGE_STATE_CRITICAL,
}
_DELETION = {
    DeletionReason.NO_FINDING: wire_retention.DELETION_REASON_NO_FINDING,
    DeletionReason.RETENTION_OVER: wire_retention.DELETION_REASON_RETENTION_OVER,
}
# A device can send any bytes; an event stays well below the envelope's limit, and the whole is in the raw capture.
MAX_RAW_BYTES = 4096
MAX_SETTINGS = 128
MAX_COUNTS = 256
MAX_EARLIER = 16
# The envelope adds its signature, the signer's key id and the payload's type.
MAX_PAYLOAD_BYTES = MAX_ENVELOPE_BYTES - 2048


def event_payload(draft: domain.Draft, head: Head, evidence: tuple[EvidenceRef, ...] = ()) -> bytes:
    """The bytes to sign: `draft` as the event that follows `head`. `evidence` adds to the draft's own."""
    event = wire.Event(
        booth_id=head.booth_id,
        epoch=head.epoch,
        seq=head.seq + 1,
        previous_sha256=head.sha256,
        id=str(uuid.uuid4()),
        at=instant(draft.at),
        evidence=[evidence_ref(ref) for ref in (*(e.ref for e in draft.evidence), *evidence)],
    )
    body = draft.body
    match body:
        case domain.SessionOpened():
            event.session_opened.CopyFrom(
                wire.SessionOpened(
                    public_key=body.public_key, agent_version=body.agent_version, while_running=body.while_running
                )
            )
            if body.replaces is not None:
                event.session_opened.replaces.CopyFrom(replaced(body.replaces))
        case domain.KeyRotated():
            event.key_rotated.CopyFrom(wire.KeyRotated(certificate=body.certificate, possession=body.possession))
        case domain.InspectionOpened():
            event.inspection_opened.CopyFrom(
                wire.InspectionOpened(inspection_id=body.inspection_id, lane_id=body.lane_id, cause=body.cause)
            )
        case domain.InspectionClosed():
            event.inspection_closed.inspection.CopyFrom(inspection(body.inspection))
            if (too_many := event.ByteSize() - MAX_PAYLOAD_BYTES) > 0:
                shorten(event.inspection_closed.inspection, too_many)
        case domain.AlarmRaised():
            event.alarm_raised.CopyFrom(_alarm(body))
        case domain.DeviceChanged():
            event.device_changed.CopyFrom(_device_changed(body))
        case domain.ScanReceived():
            event.scan_received.CopyFrom(
                wire.ScanReceived(inspection_id=body.inspection_id, lane_id=body.lane_id, scan=scan(body.scan))
            )
        case domain.Unassigned():
            event.unassigned.CopyFrom(_unassigned(body))
        case domain.StorageLevel():
            event.storage_level.CopyFrom(
                wire.StorageLevel(
                    state=_STORAGE[body.state], used_bytes=body.used_bytes, capacity_bytes=body.capacity_bytes
                )
            )
        case domain.EvidenceShed():
            event.evidence_shed.CopyFrom(wire.EvidenceShed(sha256=body.sha256, size=body.size))
        case EvidenceDeleted():
            event.evidence_deleted.CopyFrom(
                wire_retention.EvidenceDeleted(sha256=body.sha256, size=body.size, reason=_DELETION[body.reason])
            )
        case domain.FindingsAdded():
            event.findings_added.CopyFrom(findings_added(body))
        case domain.DecisionRecorded():
            event.decision_recorded.CopyFrom(decision_recorded(body))
        case LaneStatistics():
            event.lane_statistics.CopyFrom(lane_statistics(body))
        case domain.EventsTrimmed():
            event.events_trimmed.CopyFrom(wire.EventsTrimmed(through_seq=body.through_seq, sha256=body.sha256))
        case _:
            assert_never(body)
    return event.SerializeToString()


def replaced(body: domain.Replaced) -> wire.Replaced:
    """The ledger before this one."""
    gaps = [wire.MissingEvents(first_seq=first, last_seq=last) for first, last in body.missing[:MAX_GAPS]]
    return wire.Replaced(
        epoch=body.epoch,
        last_seq=body.last_seq,
        last_sha256=body.last_sha256,
        found=body.found,
        missing=gaps,
        earlier=body.earlier[:MAX_EARLIER],
    )


def _alarm(alarm: domain.AlarmRaised) -> wire.AlarmRaised:
    return wire.AlarmRaised(
        inspection_id=alarm.inspection_id,
        lane_id=alarm.lane_id,
        device_id=alarm.device_id,
        kind=RADIATION[alarm.kind],
        counts=alarm.counts[:MAX_COUNTS],
        raw=alarm.raw[:MAX_RAW_BYTES],
    )


def _device_changed(said: domain.DeviceChanged) -> wire.DeviceChanged:
    message = wire.DeviceChanged(device_id=said.device_id, lane_id=said.lane_id)
    what = said.what
    match what:
        case DeviceStatus():
            message.status.CopyFrom(
                wire.DeviceStatus(state=_STATES[what.state], detail=clip(what.detail, MAX_RAW_BYTES))
            )
        case DeviceFault():
            message.fault.CopyFrom(
                wire.DeviceFault(fault=what.fault.value, active=what.active, detail=clip(what.detail, MAX_RAW_BYTES))
            )
        case DeviceSetup():
            values = [
                wire.Setting(name=clip(name, MAX_NUMBER), value=clip(value, MAX_WORDS))
                for name, value in what.values[:MAX_SETTINGS]
            ]
            changed = [clip(name, MAX_NUMBER) for name in what.changed[:MAX_SETTINGS]]
            message.setup.CopyFrom(wire.DeviceSetup(values=values, changed=changed))
        case _:
            assert_never(what)
    return message


def _unassigned(body: domain.Unassigned) -> wire.Unassigned:
    observation = body.observation
    kind, text = in_words(observation.body)
    return wire.Unassigned(
        observation_id=observation.id,
        lane_id=observation.lane_id,
        device_id=observation.device_id,
        kind=kind,
        text=clip(text, MAX_RAW_BYTES),
        raw=observation.raw[:MAX_RAW_BYTES],
        inspection_id=body.inspection_id,
        unreported=body.unreported,
    )
