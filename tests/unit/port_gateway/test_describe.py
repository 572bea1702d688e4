from datetime import UTC, datetime
from typing import Any

import pytest

from edge_agent.domain import event as domain
from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.expected import (
    ArrivalTiming,
    ExpectationMatch,
    IdentifierComparison,
    IdentifierKind,
    IdentifierVerdict,
    MatchOutcome,
)
from edge_agent.domain.inspection import (
    Abandoned,
    Complete,
    Expected,
    Incomplete,
    Inspection,
    Missing,
    MissingReason,
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
from edge_agent.domain.joining import Belonging, Carrier, KnownBy
from edge_agent.domain.observation import (
    DeviceFault,
    DeviceSetup,
    DeviceState,
    DeviceStatus,
    Direction,
    FaultKind,
    Nuclide,
    Observation,
    RadiationKind,
    RadiationOccupancy,
    ScanImage,
    SealCondition,
    SealRead,
    SealState,
    SpectroscopicMeasurement,
    TagRead,
    Weight,
)
from edge_agent.domain.retention import DeletionReason, EvidenceDeleted
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import event_payload
from edge_agent.wire.v1alpha1.event_pb2 import Event
from port_gateway.describe import event_json, event_text

AT = Instant(datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC), 1, ClockState.SYNCHRONISED)
OCCUPANCY = RadiationOccupancy(7, 4.2, True, False, 1.5, False, (10, 11), 3, 20)


def event(body: domain.EventBody) -> Event:
    return Event.FromString(event_payload(domain.Draft(body, AT), Head("spiffe://uslrd/booth/lane-1", bytes(16))))


def closed(**kwargs: Any) -> domain.InspectionClosed:
    return domain.InspectionClosed(Inspection("i", "lane-1", AT, AT, **kwargs))


FULL = closed(
    outcome=Complete(),
    plate=Voted("ABC123", 0.97, (), 9, 1),
    container_codes=(VotedCode(Voted("MSKU1234565", 0.9, (), 5), False),),
    seals=(SealSeen("ML-CN 12345", "Code 128", "scanner-1", AT),),
    radiation=(OCCUPANCY,),
)
MISSING = (
    Missing(Expected.PLATE, MissingReason.NOT_SEEN),
    Missing(Expected.CONTAINER_CODE, MissingReason.COULD_NOT_LOOK),
)
SCAN = ScanSeen(ScanImage("s1", "dicos", "AAA111"), "x-ray", AT, ScanJoin.NUMBER)
CAESIUM = SpectroscopicMeasurement("maker", 3.0, 3.0, 900, 1, True, False, (Nuclide("Cs-137"),))
REAR = Belonging(Carrier.CONTAINER, "MSKU1234565", KnownBy.REAR, 2)
TRACTOR = Belonging(Carrier.TRACTOR, "ABC123", KnownBy.TEXT)
SCANNED = closed(
    outcome=Complete(),
    direction=Direction.BACKWARD,
    seal_states=(SealStateSeen(SealState("ES-1", SealCondition.BROKEN), "reader", AT, REAR),),
    tags=(TagSeen(TagRead("414E414D31", "ANAM1"), "reader", AT, on=TRACTOR),),
    weights=(Weighed(Weight(30_480, True, "30480", "kg"), "scale", AT),),
    scans=(SCAN,),
    spectra=(SpectrumSeen(CAESIUM, "n42", AT),),
)
READ = Observation("o", "scanner-1", "lane-1", AT, SealRead("X1\x1b[31m2"))

SHOWN: list[tuple[domain.EventBody, list[str]]] = [
    (domain.SessionOpened(b"key", "0.1"), ["12:30:05  session opened", "0.1"]),
    (domain.SessionOpened(b"key", "0.1", while_running=True), ["12:30:05  new session key while running", "0.1"]),
    (
        domain.DeviceChanged("device-key", "", DeviceStatus(DeviceState.OFFLINE, "no token")),
        ["12:30:05  device device-key offline (no token)"],
    ),
    (domain.InspectionOpened("i", "lane-1", "presence"), ["lane-1: vehicle arrived (presence)"]),
    (FULL, ["complete", "ABC123 (0.97, 9 of 10 reads)", "MSKU1234565", "check digit WRONG", "ML-CN 12345"]),
    (FULL, ["GAMMA ALARM (cross-check 1.5 sigma, which DISAGREES)"]),
    (closed(outcome=Incomplete(MISSING)), ["INCOMPLETE (plate: nothing was seen, container_code: COULD NOT LOOK)"]),
    (closed(outcome=Incomplete(MISSING)), ["plate none read", "container none read", "radiation not measured"]),
    (closed(outcome=Abandoned("no departure")), ["ABANDONED (no departure)"]),
    (
        domain.AlarmRaised("i", "lane-1", "portal-1", RadiationKind.NEUTRON, (3, 4), b"raw"),
        ["RADIATION ALARM neutron at portal-1 (3, 4)"],
    ),
    (
        domain.DeviceChanged("camera-1", "lane-1", DeviceStatus(DeviceState.OFFLINE, "refused")),
        ["device camera-1 offline (refused)"],
    ),
    (domain.DeviceChanged("p", "lane-1", DeviceFault(FaultKind.TAMPER, False)), ["fault tamper is over"]),
    (
        SCANNED,
        [
            "drove BACKWARD",
            "SEAL ES-1 on the rear container MSKU1234565 BROKEN",
            "tag ANAM1 on tractor ABC123",
            "30480 kg",
        ],
    ),
    (SCANNED, ["scan s1 (dicos, by number) that states AAA111", "spectrum ALARM: Cs-137"]),
    (domain.ScanReceived("i-7", "lane-1", SCAN), ["scan s1", "from x-ray of inspection i-7"]),
    (domain.ScanReceived("", "lane-1", SCAN), ["belongs to NO vehicle known"]),
    (
        domain.DeviceChanged("p", "lane-1", DeviceSetup((("n_sigma", "9.9"), ("hold", "1")), ("n_sigma",))),
        ["device p set-up CHANGED (n_sigma = 9.9)"],
    ),
    (domain.DeviceChanged("p", "lane-1", DeviceSetup((("n_sigma", "9.9"),))), ["says how it is set up"]),
    (domain.Unassigned(READ), ["belongs to no vehicle", "scanner-1"]),
    (domain.Unassigned(READ, "i-7"), ["came too late for inspection i-7"]),
    (
        domain.StorageLevel(domain.StorageState.HIGH, 86_000_000_000, 100_000_000_000),
        ["the booth's disk: HIGH, 86 % of 100.0 GB used"],
    ),
    (domain.EvidenceShed((b"a" * 32,), 11), ["removed 1 piece of evidence (11 B) early"]),
    (
        EvidenceDeleted((b"a" * 32,), 11, DeletionReason.NO_FINDING),
        ["deleted 1 piece of evidence (11 B): kept only with a finding"],
    ),
    (EvidenceDeleted((b"a" * 32,), 11, DeletionReason.RETENTION_OVER), ["its time at the booth is over"]),
    (domain.KeyRotated(b"no certificate", b""), ["handed over to a new device key: ?"]),
    (domain.EventsTrimmed(41, b"h" * 32), ["the booth drops its events through 41"]),
    (domain.Unassigned(READ, unreported=44), ["belongs to no vehicle, and 44 more that are only counted"]),
]


@pytest.mark.parametrize(("body", "words"), SHOWN)
def test_an_event_is_shown_in_words(body: domain.EventBody, words: list[str]) -> None:
    text = event_text(event(body))
    for word in words:
        assert word in text
    assert "\x1b" not in text


def test_a_clock_that_may_be_seconds_off_is_told() -> None:
    opened = event(domain.InspectionOpened("i", "lane-1", "presence"))
    opened.at.clock_error.bound_us = 12_000_000
    assert event_text(opened).startswith("12:30:05 (±12 s)  ")


def test_a_time_beyond_the_calendar_is_shown_all_the_same() -> None:
    strange = event(domain.InspectionOpened("i", "lane-1", "presence"))
    for utc_us in (2**63 - 1, -(2**63)):
        strange.at.utc_us = utc_us
        assert "vehicle arrived" in event_text(strange)


def test_bytes_are_hex_everywhere_in_json() -> None:
    alarm = event(domain.AlarmRaised("i", "lane-1", "p", RadiationKind.GAMMA, (3,), b"\x00\xff"))
    alarm.evidence.add(sha256=b"\xab" * 32, kind="frame")
    facts = event_json(alarm)
    assert facts["alarm_raised"]["raw"] == "00ff"
    assert facts["evidence"][0]["sha256"] == "ab" * 32
    assert facts["epoch"] == "00" * 16
    assert facts["seq"] == "1"  # protobuf's JSON writes 64-bit numbers as text
    assert facts["alarm_raised"]["kind"] == "RADIATION_KIND_GAMMA"


@pytest.mark.parametrize(
    ("match", "said"),
    [
        (ExpectationMatch(MatchOutcome.NONE), "| NOT EXPECTED |"),
        (ExpectationMatch(MatchOutcome.AMBIGUOUS, ("A", "B")), "| expected as ONE OF A B |"),
        (
            ExpectationMatch(MatchOutcome.COULD_NOT_LOOK, detail="damaged"),
            "| could NOT be compared with what is expected (damaged) |",
        ),
        (ExpectationMatch(MatchOutcome.MATCHED, ("A",)), "| expected as A |"),
        (
            ExpectationMatch(
                MatchOutcome.MATCHED,
                ("A",),
                identifiers=(
                    IdentifierComparison(IdentifierKind.PLATE, "TX1", "TX1", IdentifierVerdict.SAME),
                    IdentifierComparison(IdentifierKind.CONTAINER_CODE, "C1", "C2", IdentifierVerdict.OTHER),
                    IdentifierComparison(IdentifierKind.SEAL, "S1", "", IdentifierVerdict.NOT_READ),
                ),
                timing=ArrivalTiming.LATE,
                outside_s=90,
            ),
            "| expected as A (container code C2 is OTHER than declared, seal S1 not read, 90 s after its window) |",
        ),
    ],
)
def test_a_vehicle_is_told_with_what_was_expected(match: ExpectationMatch, said: str) -> None:
    assert said in event_text(event(closed(outcome=Complete(), expectation=match)))
