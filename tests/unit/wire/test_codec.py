"""Everything that the domain can say arrives in the event, field by field."""

from dataclasses import replace
from typing import get_args

import pytest

from edge_agent.domain.clock import ClockError
from edge_agent.domain.event import (
    AlarmRaised,
    DeviceChanged,
    Draft,
    EventBody,
    EventsTrimmed,
    EvidenceShed,
    InspectionClosed,
    InspectionOpened,
    KeyRotated,
    ScanReceived,
    SessionOpened,
    StorageLevel,
    StorageState,
    Unassigned,
)
from edge_agent.domain.evidence import Evidence, EvidenceKind, EvidenceRef
from edge_agent.domain.inspection import (
    Abandoned,
    Complete,
    Expected,
    Incomplete,
    Inspection,
    Missing,
    MissingReason,
    Outcome,
    PlateSeen,
    ScanJoin,
    ScanSeen,
    SealSeen,
    SealStateSeen,
    SpectrumSeen,
    TagSeen,
    Voted,
    VotedCode,
    Weighed,
)
from edge_agent.domain.joining import PlateRole
from edge_agent.domain.observation import (
    Body,
    CharacterRead,
    DeviceFault,
    DeviceSetup,
    DeviceState,
    DeviceStatus,
    Direction,
    FaultKind,
    Malformed,
    Observation,
    Opaque,
    RadiationKind,
    SealCondition,
    SealState,
    TagRead,
    Weight,
)
from edge_agent.ledger.instants import instant_of
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import MAX_COUNTS, MAX_RAW_BYTES, event_payload
from edge_agent.wire.codec_inspection import MAX_WORDS
from edge_agent.wire.codec_recall import recalled
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from tests.unit.inspection.script import (
    ARRIVES,
    alarm,
    code,
    instant,
    occupancy,
    plate,
    sample,
    scan,
    seal,
    seal_state,
    setup,
    spectrum,
    status,
    tag,
    weight,
)

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


def test_what_may_be_compared_with_it_later_is_read_back_as_it_was() -> None:
    at = instant(3)
    ref = EvidenceRef(EvidenceKind.SCAN, "application/dicom", b"s" * 32, 9)
    vote = Voted("ABC120", 0.8, (), 3, 1, ("ABC12O",), "front")
    seen = ScanSeen(scan("s1", "AAA111"), "x-ray", at, ScanJoin.TIME, (ref,), "2026-01-01T00:00:00Z")
    missing = (Missing(Expected.SEAL, MissingReason.NOT_SEEN), Missing(Expected.TAG, MissingReason.COULD_NOT_LOOK))
    record = Inspection(
        *("i", "1", instant(1), instant(9)),
        Incomplete(missing),
        plate=vote,
        plates=(PlateSeen(vote, PlateRole.TRACTOR),),
        container_codes=(VotedCode(vote, True),),
        seals=(SealSeen("ML-1", "Code 128", "scanner", at),),
        seal_states=(SealStateSeen(SealState("ES-1", SealCondition.BROKEN), "reader", at),),
        weights=(
            Weighed(Weight(9, True, "9", "kg", False, 1.0), "scale", at),
            Weighed(Weight(1, True, "1", "t"), "s", at),
        ),
        scans=(seen,),
        looked_for=(Expected.PLATE, Expected.SCAN),
    )
    for outcome in (record.outcome, Complete(), Abandoned("why")):
        one = replace(record, outcome=outcome)
        assert recalled(encoded(InspectionClosed(one)).inspection_closed.inspection) == one


def test_an_inspection_with_every_device() -> None:
    at = instant(3)
    ref = EvidenceRef(EvidenceKind.SCAN, "application/dicom", b"s" * 32, 9)
    whole = TagRead("414E", "AN", 2, -61.5, "E280", "00FF")
    weighed = Weight(30_480, True, "30480", "kg", False, 120.0)
    seen = ScanSeen(scan("s1", "AAA111"), "x-ray", at, ScanJoin.NUMBER, (ref,), "2026-01-01T00:00:00Z")
    drove = replace(occupancy(1), suppression=0.21, direction=Direction.FORWARD)
    message = inspection(
        Complete(),
        seal_states=(SealStateSeen(SealState("ES-1", SealCondition.OTHER_NUMBER, "says ES-2"), "reader", at),),
        tags=(TagSeen(whole, "reader", at, 4), TagSeen(TagRead("E2"), "reader", at)),
        weights=(Weighed(weighed, "scale", at), Weighed(Weight(1000, True, "1.0", "t"), "scale-2", at)),
        spectra=(SpectrumSeen(spectrum("Cs-137", gamma_alarm=True), "n42", at),),
        scans=(seen,),
        radiation=(drove,),
        direction=Direction.BACKWARD,
    )
    [state] = message.seal_states
    assert (state.number, state.condition, state.detail, state.device_id) == (
        "ES-1",
        "other_number",
        "says ES-2",
        "reader",
    )
    known, unknown = message.tags
    assert (known.epc, known.text, known.antenna, known.rssi_dbm) == ("414E", "AN", 2, -61.5)
    assert (known.tid, known.memory, known.reads) == ("E280", "00FF", 4)
    assert not unknown.HasField("antenna")
    assert not unknown.HasField("rssi_dbm")
    net, plain = message.weights
    assert (net.kg, net.shown, net.unit, net.gross, net.tare_kg) == (30_480, "30480", "kg", False, 120.0)
    assert net.HasField("gross")
    assert not plain.HasField("gross")
    assert not plain.HasField("tare_kg")
    [measured] = message.spectra
    assert (measured.instrument, measured.live_s, measured.real_s) == ("maker model 1", 3.0, 3.1)
    assert (measured.gamma_counts, measured.neutron_counts, measured.gamma_alarm) == (900, 2, True)
    assert (measured.nuclides[0].name, measured.nuclides[0].confidence) == ("Cs-137", 0.9)
    assert not measured.HasField("speed_kmh")
    [image] = message.scans
    assert (image.scan_id, image.format, image.vehicle_number, image.joined_by) == ("s1", "dicos", "AAA111", "number")
    assert (image.width, image.height, image.device_time) == (800, 600, "2026-01-01T00:00:00Z")
    assert (image.files[0].kind, image.files[0].sha256, image.files[0].size) == ("scan", b"s" * 32, 9)
    assert (message.radiation[0].suppression, message.radiation[0].direction) == (0.21, wire.DIRECTION_FORWARD)
    assert message.direction == wire.DIRECTION_BACKWARD
    assert all(m.at.monotonic_ns == 3_000_000_000 for m in (state, known, net, measured, image))
    assert not inspection(Complete()).HasField("direction")


def test_a_scan_that_came() -> None:
    seen = ScanSeen(scan("s1"), "x-ray", instant(3), ScanJoin.NONE)
    received = encoded(ScanReceived("", "1", seen)).scan_received
    assert (received.inspection_id, received.lane_id) == ("", "1")
    assert (received.scan.scan_id, received.scan.joined_by) == ("s1", "none")


def test_a_key_handed_over() -> None:
    rotated = encoded(KeyRotated(b"certificate", b"signature")).key_rotated
    assert (rotated.certificate, rotated.possession) == (b"certificate", b"signature")


def test_the_clocks_error() -> None:
    at = replace(instant(0), error=ClockError(1_500, 16_000_000))
    event = wire.Event.FromString(event_payload(Draft(InspectionOpened("i", "1", "plate"), at), HEAD))
    assert (event.at.clock_error.estimated_us, event.at.clock_error.bound_us) == (1_500, 16_000_000)
    assert instant_of(event.at).error == at.error
    assert not encoded(InspectionOpened("i", "1", "plate")).at.HasField("clock_error")


def test_trimmed_events() -> None:
    trimmed = encoded(EventsTrimmed(41, b"h" * 32)).events_trimmed
    assert (trimmed.through_seq, trimmed.sha256) == (41, b"h" * 32)


@pytest.mark.parametrize("state", StorageState)
def test_storage(state: StorageState) -> None:
    level = encoded(StorageLevel(state, 7, 9)).storage_level
    assert wire.StorageState.Name(level.state) == f"STORAGE_STATE_{state.name}"
    assert (level.used_bytes, level.capacity_bytes) == (7, 9)
    shed = encoded(EvidenceShed((b"a" * 32, b"b" * 32), 11)).evidence_shed
    assert (list(shed.sha256), shed.size) == ([b"a" * 32, b"b" * 32], 11)


def test_a_set_up() -> None:
    said = DeviceSetup((("n_sigma", "5.0"), ("hold_in", "10")), ("n_sigma",))
    changed = encoded(DeviceChanged("portal", "1", said)).device_changed
    assert [(s.name, s.value) for s in changed.setup.values] == [("n_sigma", "5.0"), ("hold_in", "10")]
    assert list(changed.setup.changed) == ["n_sigma"]


def test_outcomes() -> None:
    missing = Missing(Expected.PLATE, MissingReason.COULD_NOT_LOOK, "front: offline")
    message = inspection(Incomplete((missing,)))
    assert message.incomplete.missing[0].what == "plate"
    assert message.incomplete.missing[0].reason == wire.MISSING_REASON_COULD_NOT_LOOK
    assert not message.HasField("plate")
    assert inspection(Abandoned("stopped")).abandoned.why == "stopped"


def test_why_something_is_missing_has_a_bound() -> None:
    missing = Missing(Expected.PLATE, MissingReason.COULD_NOT_LOOK, "é" * 5000)
    [said] = inspection(Incomplete((missing,))).incomplete.missing
    assert said.detail == "é" * ((MAX_WORDS - 3) // 2) + "…"
    assert len(inspection(Abandoned("é" * 5000)).abandoned.why.encode()) <= MAX_WORDS


def test_an_alarm_has_a_bound_on_its_counts() -> None:
    counts = tuple(range(MAX_COUNTS + 1))
    raised = encoded(AlarmRaised("i", "1", "portal", RadiationKind.GAMMA, counts, b"")).alarm_raised
    assert list(raised.counts) == list(range(256))


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
    (seal_state("ES-100", SealCondition.BROKEN), "seal_state", "ES-100 broken"),
    (tag("E200"), "tag", "E200"),
    (replace(tag("414E"), text="AN"), "tag", "AN"),
    (weight(30_480), "weight", "30480 kg"),
    (weight(30_480, settled=False), "weight", "30480 kg in motion"),
    (spectrum("Cs-137", "K-40"), "spectrum", "Cs-137, K-40"),
    (spectrum(), "spectrum", "no nuclide"),
    (scan("s1", "AAA111"), "scan", "s1 AAA111"),
    (setup(n_sigma="5.0"), "device_setup", "n_sigma=5.0"),
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
    assert message.inspection_id == ""
    assert encoded(Unassigned(observation, "i-7")).unassigned.inspection_id == "i-7"
    assert encoded(Unassigned(observation, unreported=44)).unassigned.unreported == 44


def test_no_body_is_forgotten_here() -> None:
    assert {type(body) for body, _, _ in _EVERY_BODY} == set(get_args(Body))
