"""`hardware-sim score`: what it takes, what it requires, and what it shows."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.event import AlarmRaised, Draft, InspectionClosed
from edge_agent.domain.inspection import (
    Complete,
    Inspection,
    SealSeen,
    SealStateSeen,
    TagSeen,
    Voted,
    VotedCode,
    Weighed,
)
from edge_agent.domain.observation import (
    RadiationKind,
    RadiationOccupancy,
    SealCondition,
    SealState,
    TagRead,
    Weight,
)
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import event_payload
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from hardware_sim.cli import main
from hardware_sim.score.report import json_of
from port_gateway.describe import event_json
from tests.unit.hardware_sim.scores import START, Files, Json, iso, record, truck


def instant(seconds: float) -> Instant:
    return Instant(START + timedelta(seconds=seconds), round(seconds * 1e9), ClockState.SYNCHRONISED)


def test_what_the_port_gateway_prints(files: Files) -> None:
    """Real messages of the wire, as `port-gateway tail --json` shows them."""
    voted = Voted("ABC0000", 0.97, (), 12)
    inspection = Inspection(
        id="i0", lane_id="1", opened=instant(4), closed=instant(15), outcome=Complete(), plate=voted,
        container_codes=(VotedCode(Voted("MSKU0000000", 0.9, (), 9), check_digit_ok=True),),
        seals=(SealSeen("HS0000000", "Code 128", "scanner", instant(8)),),
        radiation=(RadiationOccupancy(1, 7.0, True, False, 9.5, True, (380, 376, 408, 366), 6500, 35),),
        seal_states=(
            SealStateSeen(SealState("HS0000000", SealCondition.PRESENT), "reader", instant(7)),
            SealStateSeen(SealState("HS0000000", SealCondition.BROKEN), "reader", instant(9)),
        ),
        tags=(TagSeen(TagRead("E2" + "0" * 22), "reader", instant(7)),),
        weights=(Weighed(Weight(31000.0, True, "31000", "kg"), "scale", instant(9)),),
    )  # fmt: skip
    alarm = AlarmRaised("i0", "1", "portal", RadiationKind.GAMMA, (900, 60, 60, 60), b"GA")
    head = Head("spiffe://uslrd/booth/lane-1", b"0123456789abcdef")
    drafts = [Draft(alarm, instant(6.5)), Draft(InspectionClosed(inspection), instant(15))]
    events = [wire.Event.FromString(event_payload(draft, head)) for draft in drafts]
    records: list[Json] = [
        {"cursor": n, "booth_id": e.booth_id, "seq": e.seq, "verified": True, "event": event_json(e)}
        for n, e in enumerate(events, 1)
    ]
    hot = {"radiation": {"expected_gamma_alarm": True, "expected_neutron_alarm": False}}
    opened = {"containers": [{"code": "MSKU0000000", "seal": {"number": "HS0000000", "opened": True}}]}
    devices = truck(0)["devices"] | {"portal": {"gamma_alarm": True, "neutron_alarm": False}}
    refused = {"verified": False, "code": "BROKEN_CHAIN", "seq": 3, "detail": ""}
    score = files.score([truck(0, devices=devices, **hot, **opened)], [*records, records[1], refused])
    assert [(c.what, c.truth, c.received) for c in score.vehicles[0].misses] == []
    assert score.whole.right == 1
    assert score.received == 1  # what stands twice is one
    assert score.unverified == 1
    assert score.vehicles[0].closed_after_s == pytest.approx(3.0)
    assert score.vehicles[0].alarm_after_s == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not an event"),
        ("[]", "not an event"),
        ("{}", "neither an event nor a vehicle"),
        ('{"opened": "2026-01-01T00:00:00Z"}', "closed: Field required"),
        ('{"opened": "yesterday", "closed": "2026-01-01T00:00:00Z"}', "opened: "),
        ('{"opened": "2026-01-01T00:00:00", "closed": "2026-01-01T00:00:00Z"}', "opened: "),
        ('{"opened": "2026-01-01T00:00:00Z", "closed": "2026-01-01T00:00:00Z", "plates": []}', "plates: "),
        ('{"seq": 1, "inspection_closed": {"inspection": {}}}', "a moment is missing"),
    ],
)
def test_a_line_that_cannot_be_taken_is_named(
    files: Files, capsys: pytest.CaptureFixture[str], line: str, words: str
) -> None:
    files.write([truck(0)], [record(0)])
    files.events.write_text(json.dumps(record(0)) + "\n" + line + "\n")
    assert main(["score", str(files.truth), str(files.events)]) == 2
    said = capsys.readouterr().err
    assert "events.jsonl:2: " in said
    assert words in said


@pytest.mark.parametrize(
    ("requirement", "status"),
    [
        ("plate>=0.66", 0),
        ("plate>=70%", 1),
        ("vehicles==1", 0),
        ("missed=0", 0),
        ("whole<=0.5", 1),
        ("alarms_missed==0", 0),
        ("all", 1),
        ("speed>=1", 2),
        ("plate", 2),
    ],
)
def test_what_is_required_decides_the_exit_status(files: Files, requirement: str, status: int) -> None:
    files.write([truck(n) for n in range(3)], [record(0), record(1), record(2, plate="WRONG12")])
    assert main(["score", str(files.truth), str(files.events), "--require", requirement]) == status


@pytest.mark.parametrize("option", ["--window", "--weight-tolerance"])
@pytest.mark.parametrize("number", ["nan", "inf", "1e300", "-1", "much"])
def test_a_number_that_is_none_is_named(capsys: pytest.CaptureFixture[str], option: str, number: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["score", "truth.jsonl", "events.jsonl", f"{option}={number}"])
    assert f"argument {option}: " in capsys.readouterr().err


def test_without_a_vehicle_nothing_is_said_to_be_right(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files.write([], [])
    assert main(["score", str(files.truth), str(files.events)]) == 0
    assert "none came, and none was received" in capsys.readouterr().out
    assert main(["score", str(files.truth), str(files.events), "--require", "all"]) == 1


def test_only_some_rows(files: Files) -> None:
    files.write([truck(0)], [record(0, plate="WRONG12")])
    arguments = ["score", str(files.truth), str(files.events), "--require", "all"]
    assert main([*arguments, "--only", "seal,gamma_verdict"]) == 0
    assert main([*arguments, "--only", "seal,plate"]) == 1
    assert main([*arguments, "--only", "colour"]) == 2


@pytest.mark.parametrize("count", [0, 1, 12, 200])
def test_a_picture_of_it(files: Files, tmp_path: Path, count: int) -> None:
    picture = tmp_path / "score.png"
    faults = [{"id": 1, "at": iso(31), "what": "began", "target": "portal", "kind": "silence"}]
    records = [record(n, plate="WRONG" if n % 5 == 0 else f"ABC{n:04d}") for n in range(count) if n % 6]
    files.write([truck(n) for n in range(count)], records, faults)
    assert main(["score", str(files.truth), str(files.events), "--picture", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["score", str(files.truth), str(files.events), "--picture", "score.txt"]) == 2


def test_as_json_everything_stands_there(files: Files) -> None:
    score = files.score([truck(n) for n in range(2)], [record(0, plate="WRONG12")])
    said = json.loads(json.dumps(json_of(score)))
    assert said["figures"]["plate"] == 0
    assert said["rows"]["vehicles"]["right"] == 1
    assert {"what": "plate", "truth": "ABC0000", "received": "WRONG12", "verdict": "wrong"} in said["trucks"][0][
        "checks"
    ]
