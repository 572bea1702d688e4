"""Everything that the domain can say arrives in the event, field by field."""

from typing import get_args

import pytest

from edge_agent.domain.event import (
    AlarmRaised,
    DeviceChanged,
    Draft,
    EventBody,
    InspectionClosed,
    InspectionOpened,
    SessionOpened,
    Unassigned,
)
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.inspection import (
    Abandoned,
    Complete,
    Expected,
    Incomplete,
    Inspection,
    Missing,
    MissingReason,
    Outcome,
    SealSeen,
    Voted,
    VotedCode,
)
from edge_agent.domain.observation import (
    Body,
    CharacterRead,
    DeviceFault,
    DeviceState,
    DeviceStatus,
    FaultKind,
    Malformed,
    Observation,
    Opaque,
    RadiationKind,
)
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import MAX_RAW_BYTES, event_payload
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from tests.unit.inspection.script import ARRIVES, alarm, code, instant, occupancy, plate, sample, seal, status

HEAD = Head("spiffe://uslrd/booth/lane-1", bytes(16), 41, b"h" * 32)


def encoded(body: EventBody, *evidence: Evidence) -> wire.Event:
    return wire.Event.FromString(event_payload(Draft(body, instant(1.5), evidence), HEAD))


def test_the_frame_of_every_event() -> None:
    event = encoded(InspectionOpened("i", "1", "presence"), Evidence(EvidenceKind.FRAME, "image/jpeg", b"abc"))
    assert (event.booth_id, event.epoch, event.seq, event.previous_sha256) == (HEAD.booth_id, HEAD.epoch, 42, b"h" * 32)
    assert len(event.id) == 36
    assert event.at.utc_us == 1767225601500000
    assert event.at.monotonic_ns == 1_500_000_000
    assert event.at.clock_state == wire.CLOCK_STATE_SYNCHRONISED
    [ref] = event.evidence
    assert (ref.kind, ref.media_type, ref.size) == ("frame", "image/jpeg", 3)
    assert event.inspection_opened == wire.InspectionOpened(inspection_id="i", lane_id="1", cause="presence")


def inspection(outcome: Outcome, **more: object) -> wire.Inspection:
    record = Inspection("i", "1", instant(1), instant(9), outcome, **more)  # type: ignore[arg-type]
    return encoded(InspectionClosed(record)).inspection_closed.inspection


def test_an_inspection() -> None:
    read = (CharacterRead("0", 0.6, (("O", 0.39),)),)
    vote = Voted("ABC120", 0.8, read, 3, 1, ("ABC12O",), "front")
    message = inspection(
        Complete(),
        plate=vote,
        container_codes=(VotedCode(vote, True, "22G1"),),
        seals=(SealSeen("ML-1234567", "Code 128", "scanner", instant(3)),),
        radiation=(occupancy(7, gamma_alarm=True),),
        observations=12,
    )
    assert message.WhichOneof("outcome") == "complete"
    assert message.plate.characters[0].alternatives[0].character == "O"
    assert (message.plate.reads, message.plate.reads_other, list(message.plate.others)) == (3, 1, ["ABC12O"])
    assert (message.container_codes[0].check_digit_ok, message.container_codes[0].size_type) == (True, "22G1")
    assert message.seals[0].number == "ML-1234567"
    assert (message.radiation[0].number, message.radiation[0].gamma_alarm) == (7, True)
    assert message.radiation[0].cross_check_sigma == 1.2
    assert message.observations == 12


def test_outcomes() -> None:
    missing = Missing(Expected.PLATE, MissingReason.COULD_NOT_LOOK, "front: offline")
    message = inspection(Incomplete((missing,)))
    assert message.incomplete.missing[0].what == "plate"
    assert message.incomplete.missing[0].reason == wire.MISSING_REASON_COULD_NOT_LOOK
    assert not message.HasField("plate")
    assert inspection(Abandoned("stopped")).abandoned.why == "stopped"


def test_other_events() -> None:
    assert encoded(SessionOpened(b"key", "1.0")).session_opened.public_key == b"key"
    raised = encoded(AlarmRaised("i", "1", "portal", RadiationKind.NEUTRON, (1, 2), b"NA" * MAX_RAW_BYTES)).alarm_raised
    assert raised.kind == wire.RADIATION_KIND_NEUTRON
    assert list(raised.counts) == [1, 2]
    assert len(raised.raw) == MAX_RAW_BYTES
    changed = encoded(DeviceChanged("portal", "1", DeviceStatus(DeviceState.FAILED, "why"))).device_changed
    assert changed.status.state == wire.DEVICE_STATE_FAILED
    changed = encoded(DeviceChanged("portal", "1", DeviceFault(FaultKind.TAMPER, True))).device_changed
    assert (changed.fault.fault, changed.fault.active) == ("tamper", True)


_EVERY_BODY: list[tuple[Body, str, str]] = [
    (plate("ABC123"), "plate", "ABC123"),
    (code("CSQU3054383"), "container_code", "CSQU3054383"),
    (seal("ML-1234567"), "seal", "ML-1234567"),
    (sample(1, 2), "radiation_sample", "1 2"),
    (alarm(1, 2), "radiation_alarm", "gamma"),
    (occupancy(7), "radiation_occupancy", "7"),
    (ARRIVES, "presence", "occupied"),
    (type(ARRIVES)(False), "presence", "empty"),
    (DeviceFault(FaultKind.TAMPER, True), "device_fault", "tamper"),
    (status(DeviceState.ONLINE), "device_status", "online"),
    (Opaque("NC", ("1", "2")), "opaque", "NC,1,2"),
    (Malformed("no such tag"), "malformed", "no such tag"),
]


@pytest.mark.parametrize(("body", "kind", "text"), _EVERY_BODY)
def test_what_belongs_to_no_vehicle(body: Body, kind: str, text: str) -> None:
    observation = Observation("o", "device", "1", instant(1), body, b"raw")
    message = encoded(Unassigned(observation)).unassigned
    assert (message.kind, message.text, message.raw, message.device_id) == (kind, text, b"raw", "device")


def test_no_body_is_forgotten_here() -> None:
    assert {type(body) for body, _, _ in _EVERY_BODY} == set(get_args(Body))
