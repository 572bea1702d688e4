"""The score: which record is which truck, and what of it is right."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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
from hardware_sim.score.judge import Score, Verdict, judge, wilson
from hardware_sim.score.received import parse_received
from hardware_sim.score.report import json_of, text_of
from hardware_sim.score.truth import read_truth
from port_gateway.describe import event_json

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
Json = dict[str, Any]


def iso(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def truck(n: int, **changes: Any) -> Json:
    """Truck n comes every half minute: in the lane 0-20 s, in the portal 5-12 s."""
    at = 30.0 * n
    return {
        "id": f"1-{n:04d}", "index": n, "lane": "1",
        "arrived": iso(at), "portal_entered": iso(at + 5), "portal_left": iso(at + 12), "departed": iso(at + 20),
        "plate": f"ABC{n:04d}", "container_code": f"MSKU{n:07d}", "containers": [
            {"code": f"MSKU{n:07d}", "seal": {"number": f"HS{n:07d}", "opened": False}}
        ],
        "seals": [f"HS{n:07d}"], "gross_kg": 31000,
        "radiation": {"expected_gamma_alarm": False, "expected_neutron_alarm": False},
        "devices": {
            "portal": {"gamma_alarm": False, "neutron_alarm": False},
            "scale": {"gross_kg": 31000.0},
            "reader": {"tags": [{"epc": f"E2{n:022X}", "text": "", "kind": "truck"}]},
        },
        "observed_by": {"portal": "rapiscan_vm250", "scanner": "barcode_scanner", "scale": "mt_sics",
                        "reader": "uhfreader288", "a": "plate camera", "b": "container camera"},
        "photos": {},
    } | changes  # fmt: skip


def record(n: int, **changes: Any) -> Json:
    at = 30.0 * n
    return {
        "opened": iso(at + 4), "closed": iso(at + 15), "lane": "1", "id": f"i{n}",
        "plate": f"ABC{n:04d}", "container_codes": [f"MSKU{n:07d}"], "seals": [f"HS{n:07d}"],
        "seal_conditions": ["present"], "tags": [f"E2{n:022X}"], "weights_kg": [31020.0],
        "gamma_alarm": False, "neutron_alarm": False,
    } | changes  # fmt: skip


class Files:
    def __init__(self, folder: Path) -> None:
        self.truth, self.events, self.faults = (folder / f"{n}.jsonl" for n in ("truth", "events", "faults"))

    def write(self, trucks: list[Json], records: list[Json], faults: list[Json] | None = None) -> None:
        for path, objects in ((self.truth, trucks), (self.events, records), (self.faults, faults)):
            if objects is not None:
                path.write_text("".join(json.dumps(o) + "\n" for o in objects))

    def score(self, trucks: list[Json], records: list[Json], faults: list[Json] | None = None, **more: Any) -> Score:
        self.write(trucks, records, faults)
        with self.events.open("rb") as file:
            return judge(read_truth(self.truth), parse_received(file, "events"), **more)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def fates(score: Score) -> list[str]:
    return [v.joined.fate for v in score.vehicles]


def checks(score: Score, n: int = 0) -> dict[str, Verdict]:
    return {c.what: c.verdict for c in score.vehicles[n].checks}


def test_everything_right(files: Files) -> None:
    score = files.score([truck(n) for n in range(5)], [record(n) for n in range(5)])
    assert score.whole.right == score.whole.there == 5
    assert fates(score) == ["right"] * 5
    assert set(score.rows) == {
        "plate", "container", "seal", "seal state", "tag", "weight", "gamma verdict", "neutron verdict"
    }  # fmt: skip
    assert all(tally.right == tally.there == 5 for tally in score.rows.values())


@pytest.mark.parametrize(
    ("change", "what", "verdict"),
    [
        ({"plate": "XBC0000"}, "plate", Verdict.WRONG),
        ({"plate": "ABCO000"}, "plate", Verdict.FOLDED),
        ({"plate": "abc-0000"}, "plate", Verdict.RIGHT),
        ({"plate": None}, "plate", Verdict.MISSED),
        ({"container_codes": ["MSKU0000001"]}, "container", Verdict.WRONG),
        ({"container_codes": []}, "container", Verdict.MISSED),
        ({"container_codes": ["MSKU0000000", "CSQU3054383"]}, "container", Verdict.EXTRA),
        ({"seals": []}, "seal", Verdict.MISSED),
        ({"seals": ["HSO000000"]}, "seal", Verdict.WRONG),
        ({"seals": ["HS0000000", "HS0000000"]}, "seal", Verdict.RIGHT),
        ({"seal_conditions": ["broken"]}, "seal state", Verdict.WRONG),
        ({"tags": []}, "tag", Verdict.MISSED),
        ({"weights_kg": [31311.0]}, "weight", Verdict.WRONG),
        ({"weights_kg": [30691.0]}, "weight", Verdict.RIGHT),
        ({"weights_kg": []}, "weight", Verdict.MISSED),
        ({"gamma_alarm": True}, "gamma verdict", Verdict.WRONG),
        ({"gamma_alarm": None, "neutron_alarm": None}, "neutron verdict", Verdict.MISSED),
        ({"radiation_measured": False}, "gamma verdict", Verdict.MISSED),
    ],
)
def test_each_kind_of_difference_is_seen(files: Files, change: Json, what: str, verdict: Verdict) -> None:
    score = files.score([truck(0)], [record(0, **change)])
    assert verdict in [c.verdict for c in score.vehicles[0].checks if c.what == what]
    assert score.vehicles[0].wholly_right == (verdict is Verdict.RIGHT)


def test_none_there_and_none_received_is_right_and_counts_for_nothing(files: Files) -> None:
    without = {"plate": None, "seals": [], "containers": [{"code": "MSKU0000000", "seal": None}]}
    score = files.score(
        [truck(0, **without), truck(1, **without)],
        [record(0, plate=None, seals=[], seal_conditions=[]), record(1, seals=[], seal_conditions=[])],
    )
    assert score.vehicles[0].wholly_right
    assert checks(score)["plate"] is Verdict.NONE
    assert (score.rows["plate"].there, score.rows["plate"].extra) == (0, 1)
    assert "seal" not in score.rows


def test_what_nobody_looks_at_is_not_missed(files: Files) -> None:
    score = files.score([truck(0, observed_by={"portal": "rapiscan_vm250"})], [record(0, plate=None, seals=[])])
    assert "plate" not in score.rows
    assert "seal" not in score.rows
    assert score.vehicles[0].wholly_right


def test_a_plate_on_a_photo_is_unknown(files: Files) -> None:
    score = files.score([truck(0, plate=None, photos={"a": "x.jpg"})], [record(0, plate="QQQ1234")])
    assert "plate" not in score.rows


def test_a_missed_vehicle_misses_everything(files: Files) -> None:
    score = files.score([truck(n) for n in range(3)], [record(0), record(2)])
    assert fates(score) == ["right", "missed", "right"]
    assert score.rows["plate"].missed == 1
    assert "1-0001" in text_of(score, "t", "e").split("misses")[1]


def test_a_split_vehicle(files: Files) -> None:
    parts = [record(1, closed=iso(38), seals=[]), record(1, opened=iso(38.5), id="more", plate=None)]
    score = files.score([truck(n) for n in range(3)], [record(0), *parts, record(2)])
    assert fates(score) == ["right", "split", "right"]
    assert not score.spurious
    assert not score.vehicles[1].wholly_right
    assert "split: 2 records (lines" in text_of(score, "t", "e")


def test_two_vehicles_in_one_record(files: Files) -> None:
    both = record(1, closed=iso(75), seals=["HS0000001", "HS0000002"])
    score = files.score([truck(n) for n in range(4)], [record(0), both, record(3)])
    assert fates(score) == ["right", "merged", "merged", "right"]
    assert {v.joined.merged_into for v in score.vehicles} == {"", "1-0001"}


def test_a_spurious_record_takes_nobodys_place(files: Files) -> None:
    ghost = record(7, opened=iso(22), closed=iso(28), plate="GHOST1", container_codes=[], seals=[], tags=[])
    score = files.score([truck(n) for n in range(2)], [record(0), ghost, record(1)])
    assert fates(score) == ["right", "right"]
    assert [r.plate for r in score.spurious] == ["GHOST1"]
    assert "spurious: received GHOST1 (line 2)" in text_of(score, "t", "e")


def test_a_booth_whose_clock_is_wrong(files: Files) -> None:
    """By identifiers, up to the window; one identifier alone joins nobody."""
    late = [record(n, opened=iso(30 * n + 304), closed=iso(30 * n + 315)) for n in range(20)]
    score = files.score([truck(n) for n in range(20)], late)
    assert fates(score) == ["right"] * 20
    assert all(v.wholly_right for v in score.vehicles)
    beyond = files.score([truck(n) for n in range(20)], late, window=timedelta(seconds=60))
    assert beyond.one_to_one.right < 20
    one = record(0, opened=iso(304), closed=iso(315), plate="ABC0000", container_codes=[], seals=[], tags=[])
    assert fates(files.score([truck(0)], [one])) == ["missed"]


def test_lanes_are_kept_apart(files: Files) -> None:
    trucks = [truck(0), truck(0, id="2-0000", lane="2", plate="ZZZ9999")]
    records = [record(0, lane="2", plate="ZZZ9999", id="x"), record(0)]
    score = files.score(trucks, records)
    assert [v.joined.record.lane if v.joined.record else "" for v in score.vehicles] == ["1", "2"]
    assert all(c.good for v in score.vehicles for c in v.checks if c.what == "plate")


def test_lanes_are_kept_apart_when_nothing_was_read(files: Files) -> None:
    blind: Json = {"plate": None, "container_codes": [], "seals": [], "tags": []}
    score = files.score(
        [truck(0), truck(0, id="2-0000", lane="2")], [record(0, lane="2", **blind), record(0, id="x", **blind)]
    )
    assert [v.joined.record.lane if v.joined.record else "" for v in score.vehicles] == ["1", "2"]


def test_a_vehicle_whose_identifiers_stand_in_the_record_before_it(files: Files) -> None:
    both = record(1, closed=iso(62), seals=["HS0000001", "HS0000002"], container_codes=["MSKU0000001", "MSKU0000002"])
    score = files.score([truck(n) for n in range(3)], [record(0), both])
    assert fates(score) == ["right", "merged", "merged"]


def test_a_fault_is_told_and_can_be_left_out(files: Files) -> None:
    faults = [
        {"id": 1, "at": iso(31), "what": "began", "target": "portal", "kind": "silence"},
        {"id": 1, "at": iso(49), "what": "ended", "target": "portal", "kind": "silence"},
        {"id": 2, "at": iso(0), "what": "began", "target": "port", "kind": "down"},
    ]
    trucks, records = [truck(n) for n in range(3)], [record(0), record(1, radiation_measured=False), record(2)]
    score = files.score(trucks, records, faults)
    assert [v.joined.truck.disturbed for v in score.vehicles] == [False, True, False]
    assert "(during portal: silence)" in text_of(score, "t", "e")
    assert score.whole.right == 2
    clear = files.score(trucks, records, faults, undisturbed=True)
    assert clear.whole.right == clear.whole.there == 2
    assert not clear.spurious


def test_alarms_are_held_against_the_load(files: Files) -> None:
    hot = {"radiation": {"expected_gamma_alarm": True, "expected_neutron_alarm": False},
           "devices": {"portal": {"gamma_alarm": True, "neutron_alarm": False}}}  # fmt: skip
    score = files.score(
        [truck(0, **hot), truck(1, **hot), truck(2)],
        [record(0, gamma_alarm=True), record(1), record(2, gamma_alarm=True)],
    )
    assert [v.joined.truck.id for v in score.alarms_missed] == ["1-0001"]
    assert [v.joined.truck.id for v in score.alarms_false] == ["1-0002"]
    assert "MISSED 1-0001" in text_of(score, "t", "e")


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


def test_wilson_intervals() -> None:
    """Against the tables of Brown, Cai and DasGupta (2001) and the closed form at the ends."""
    assert wilson(0, 0) == (0.0, 1.0)
    for right, there, low, high in ((10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (81, 263, 0.2553, 0.3662)):
        assert wilson(right, there) == pytest.approx((low, high), abs=1e-4)


def test_a_day_is_joined_in_time_and_order(files: Files) -> None:
    """2,500 vehicles, every tenth missed, every seventh misread: each record goes to its own truck."""
    trucks = [truck(n) for n in range(2500)]
    records = [record(n, plate=f"XYZ{n:04d}" if n % 7 == 0 else f"ABC{n:04d}") for n in reversed(range(2500)) if n % 10]
    score = files.score(trucks, records)
    assert [v.joined.record.id if v.joined.record else None for v in score.vehicles] == [
        f"i{n}" if n % 10 else None for n in range(2500)
    ]
    assert score.rows["plate"].wrong == sum(1 for n in range(2500) if n % 10 and n % 7 == 0)


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
