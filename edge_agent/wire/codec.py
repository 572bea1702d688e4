"""From the domain's words to the wire's messages. Serialised once, at the booth, just before signing."""

import uuid
from typing import assert_never

from edge_agent.domain import event as domain
from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.evidence import EvidenceRef
from edge_agent.domain.inspection import (
    Abandoned,
    Complete,
    Incomplete,
    Inspection,
    MissingReason,
    SealSeen,
    Voted,
    VotedCode,
)
from edge_agent.domain.observation import (
    Body,
    CharacterRead,
    ContainerCodeRead,
    DeviceFault,
    DeviceState,
    DeviceStatus,
    Malformed,
    Observation,
    Opaque,
    PlateRead,
    Presence,
    RadiationAlarm,
    RadiationKind,
    RadiationOccupancy,
    RadiationSample,
    SealRead,
)
from edge_agent.wire.chain import Head
from edge_agent.wire.v1alpha1 import event_pb2 as wire

_CLOCK_STATES = {
    ClockState.UNKNOWN: wire.CLOCK_STATE_UNSPECIFIED,
    ClockState.SYNCHRONISED: wire.CLOCK_STATE_SYNCHRONISED,
    ClockState.UNSYNCHRONISED: wire.CLOCK_STATE_UNSYNCHRONISED,
}
_REASONS = {
    MissingReason.NOT_SEEN: wire.MISSING_REASON_NOT_SEEN,
    MissingReason.COULD_NOT_LOOK: wire.MISSING_REASON_COULD_NOT_LOOK,
}
_RADIATION = {
    RadiationKind.GAMMA: wire.RADIATION_KIND_GAMMA,
    RadiationKind.NEUTRON: wire.RADIATION_KIND_NEUTRON,
}
_STATES = {
    DeviceState.ONLINE: wire.DEVICE_STATE_ONLINE,
    DeviceState.WAITING: wire.DEVICE_STATE_WAITING,
    DeviceState.OFFLINE: wire.DEVICE_STATE_OFFLINE,
    DeviceState.FAILED: wire.DEVICE_STATE_FAILED,
}
# A device can send any bytes; an event stays well below the envelope's limit, and the whole is in the raw capture.
MAX_RAW_BYTES = 4096


def event_payload(draft: domain.Draft, head: Head, evidence: tuple[EvidenceRef, ...] = ()) -> bytes:
    """The bytes to sign: `draft` as the event that follows `head`. `evidence` adds to the draft's own."""
    event = wire.Event(
        booth_id=head.booth_id,
        epoch=head.epoch,
        seq=head.seq + 1,
        previous_sha256=head.sha256,
        id=str(uuid.uuid4()),
        at=_instant(draft.at),
        evidence=[_evidence_ref(ref) for ref in (*(e.ref for e in draft.evidence), *evidence)],
    )
    body = draft.body
    match body:
        case domain.SessionOpened():
            event.session_opened.CopyFrom(
                wire.SessionOpened(public_key=body.public_key, agent_version=body.agent_version)
            )
        case domain.InspectionOpened():
            event.inspection_opened.CopyFrom(
                wire.InspectionOpened(inspection_id=body.inspection_id, lane_id=body.lane_id, cause=body.cause)
            )
        case domain.InspectionClosed():
            event.inspection_closed.inspection.CopyFrom(_inspection(body.inspection))
        case domain.AlarmRaised():
            event.alarm_raised.CopyFrom(_alarm(body))
        case domain.DeviceChanged():
            event.device_changed.CopyFrom(_device_changed(body))
        case domain.Unassigned():
            event.unassigned.CopyFrom(_unassigned(body.observation))
        case _:
            assert_never(body)
    return event.SerializeToString()


def _instant(at: Instant) -> wire.Instant:
    return wire.Instant(
        utc_us=round(at.utc.timestamp() * 1e6),
        monotonic_ns=at.monotonic_ns,
        clock_state=_CLOCK_STATES[at.clock_state],
    )


def _evidence_ref(ref: EvidenceRef) -> wire.EvidenceRef:
    return wire.EvidenceRef(kind=ref.kind.value, media_type=ref.media_type, sha256=ref.sha256, size=ref.size)


def _inspection(inspection: Inspection) -> wire.Inspection:
    message = wire.Inspection(
        id=inspection.id,
        lane_id=inspection.lane_id,
        opened=_instant(inspection.opened),
        closed=_instant(inspection.closed),
        container_codes=[_voted_code(code) for code in inspection.container_codes],
        seals=[_seal(seal) for seal in inspection.seals],
        radiation=[_occupancy(occupancy) for occupancy in inspection.radiation],
        observations=inspection.observations,
    )
    if inspection.plate is not None:
        message.plate.CopyFrom(_voted(inspection.plate))
    outcome = inspection.outcome
    match outcome:
        case Complete():
            message.complete.SetInParent()
        case Incomplete():
            message.incomplete.missing.extend(
                wire.Missing(what=m.what.value, reason=_REASONS[m.reason], detail=m.detail) for m in outcome.missing
            )
            message.incomplete.SetInParent()
        case Abandoned():
            message.abandoned.why = outcome.why
            message.abandoned.SetInParent()
        case _:
            assert_never(outcome)
    return message


def _voted(vote: Voted) -> wire.Voted:
    return wire.Voted(
        text=vote.text,
        confidence=vote.confidence,
        characters=[_character(c) for c in vote.characters],
        reads=vote.reads,
        reads_other=vote.reads_other,
        others=vote.others,
        device_id=vote.device_id,
    )


def _character(character: CharacterRead) -> wire.CharacterRead:
    return wire.CharacterRead(
        character=character.character,
        confidence=character.confidence,
        alternatives=[wire.Alternative(character=c, confidence=p) for c, p in character.alternatives],
    )


def _voted_code(code: VotedCode) -> wire.VotedCode:
    return wire.VotedCode(vote=_voted(code.vote), check_digit_ok=code.check_digit_ok, size_type=code.size_type)


def _seal(seal: SealSeen) -> wire.SealSeen:
    return wire.SealSeen(number=seal.number, symbology=seal.symbology, device_id=seal.device_id, at=_instant(seal.at))


def _occupancy(occupancy: RadiationOccupancy) -> wire.RadiationOccupancy:
    return wire.RadiationOccupancy(
        number=occupancy.number,
        duration_s=occupancy.duration_s,
        gamma_alarm=occupancy.gamma_alarm,
        neutron_alarm=occupancy.neutron_alarm,
        cross_check_sigma=occupancy.cross_check_sigma,
        cross_check_alarm=occupancy.cross_check_alarm,
        gamma_background=occupancy.gamma_background or (),
        neutron_background_milli=occupancy.neutron_background_milli,
        gamma_samples=occupancy.gamma_samples,
        speed_kmh=occupancy.speed_kmh,
    )


def _alarm(alarm: domain.AlarmRaised) -> wire.AlarmRaised:
    return wire.AlarmRaised(
        inspection_id=alarm.inspection_id,
        lane_id=alarm.lane_id,
        device_id=alarm.device_id,
        kind=_RADIATION[alarm.kind],
        counts=alarm.counts,
        raw=alarm.raw[:MAX_RAW_BYTES],
    )


def _device_changed(changed: domain.DeviceChanged) -> wire.DeviceChanged:
    message = wire.DeviceChanged(device_id=changed.device_id, lane_id=changed.lane_id)
    what = changed.what
    match what:
        case DeviceStatus():
            message.status.CopyFrom(wire.DeviceStatus(state=_STATES[what.state], detail=what.detail))
        case DeviceFault():
            message.fault.CopyFrom(wire.DeviceFault(fault=what.fault.value, active=what.active, detail=what.detail))
        case _:
            assert_never(what)
    return message


def _unassigned(observation: Observation) -> wire.Unassigned:
    kind, text = _in_words(observation.body)
    return wire.Unassigned(
        observation_id=observation.id,
        lane_id=observation.lane_id,
        device_id=observation.device_id,
        kind=kind,
        text=text,
        raw=observation.raw[:MAX_RAW_BYTES],
    )


def _in_words(body: Body) -> tuple[str, str]:
    match body:
        case PlateRead():
            return "plate", body.text
        case ContainerCodeRead():
            return "container_code", body.code
        case SealRead():
            return "seal", body.number
        case RadiationSample():
            return "radiation_sample", " ".join(str(count) for count in body.counts)
        case RadiationAlarm():
            return "radiation_alarm", body.kind.value
        case RadiationOccupancy():
            return "radiation_occupancy", str(body.number)
        case Presence():
            return "presence", "occupied" if body.occupied else "empty"
        case DeviceFault():
            return "device_fault", body.fault.value
        case DeviceStatus():
            return "device_status", body.state.value
        case Opaque():
            return "opaque", ",".join((body.tag, *body.fields))
        case Malformed():
            return "malformed", body.why
        case _:
            assert_never(body)
