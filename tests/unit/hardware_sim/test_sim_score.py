"""The score: which record is which truck, and what of it is right."""

from datetime import timedelta

import pytest

from hardware_sim.score.judge import Verdict, wilson
from hardware_sim.score.report import text_of
from tests.unit.hardware_sim.scores import Files, Json, checks, fates, iso, record, truck


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
