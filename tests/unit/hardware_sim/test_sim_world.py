"""Trucks, the lane and its timing, determinism, and the truth."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from stdnum import iso6346

from hardware_sim.player import Departed, Said, play
from hardware_sim.run import build_players
from hardware_sim.scenario import Scenario, load_scenario
from hardware_sim.world.passage import Passage
from hardware_sim.world.plates import USUAL
from hardware_sim.world.truth import TruthFile, truth_of
from tests.unit.hardware_sim.conftest import Played

Make = Callable[[str], Scenario]
Play = Callable[..., Played]


def test_same_seed_same_bytes_for_every_device(played: Play) -> None:
    one, other = played("traffic: {count: 4}"), played("traffic: {count: 4}")
    assert len(one.data("portal")) > 3000
    for device in ("portal", "seal-scanner"):
        assert one.data(device) == other.data(device)
    assert [(s.at, s.device) for s in one.said] == [(s.at, s.device) for s in other.said]


def test_another_seed_other_trucks_and_bytes(played: Play) -> None:
    one, other = played("traffic: {count: 4}", 1), played("traffic: {count: 4}", 2)
    assert one.data("portal") != other.data("portal")
    assert one.data("seal-scanner") != other.data("seal-scanner")


def test_an_occupancys_bytes_do_not_depend_on_how_long_traffic_was_held(scenario: Make) -> None:
    made = scenario("traffic: {count: 2}")

    def gamma(open_at: float) -> list[str]:
        run = Played(build_players(made, 7)["1"], open_at)
        return [line for _, line in run.lines() if line.startswith(("GS", "NS", "SP"))]

    assert gamma(0.0) == gamma(123.45)


def test_trucks_of_a_seed_are_varied_and_their_codes_hold(scenario: Make) -> None:
    trucks = scenario("traffic: {count: 300}").build_lanes(1)["1"].trucks
    assert len({t.container_code for t in trucks}) == 300
    assert {t.plate.region for t in trucks if t.plate} == set(USUAL)
    assert {t.night for t in trucks} == {True, False}
    assert all(iso6346.is_valid(t.container_code) for t in trucks)
    assert all(12 <= t.length_m + 0.5 <= 20.5 for t in trucks)


def test_a_stated_truck_leaves_the_others_as_they_were(scenario: Make) -> None:
    plain = scenario("traffic: {count: 3}").build_lanes(1)["1"].trucks
    stated = (
        scenario("traffic: {count: 3, trucks: [{}, {plate: null, seal: null, size_type: L5G1, night: true}]}")
        .build_lanes(1)["1"]
        .trucks
    )
    assert (stated[0], stated[2]) == (plain[0], plain[2])
    assert (stated[1].plate, stated[1].seal, stated[1].night) == (None, None, True)
    assert stated[1].length_m == pytest.approx(4.4 + 13.72 + 1.2)
    assert stated[1].container_code == plain[1].container_code


def test_trucks_drive_forward_without_a_jump(played: Play) -> None:
    for extra in ("traffic: {count: 2}", "traffic: {trucks: [{speed_mps: 1.0}, {speed_mps: 6.0}]}"):
        for passage in played(extra).player.lane.passages:
            moments = [passage.arrives + 0.05 * i for i in range(1200)]
            steps = [b - a for a, b in pairwise(passage.position(at) for at in moments)]
            assert min(steps) >= 0
            assert max(steps) < 0.35
            assert passage.position(passage.clears) == pytest.approx(passage.truck.length_m)
            assert passage.position(passage.enters) == pytest.approx(0.0, abs=1e-9)


def test_trucks_follow_with_the_stated_gap(played: Play) -> None:
    passages = played("traffic: {count: 4}").player.lane.passages
    assert passages[0].enters == pytest.approx(11.0)
    gaps = [b.enters - a.clears for a, b in pairwise(passages)]
    assert all(9.0 <= gap <= 11.0 for gap in gaps)
    assert len(set(gaps)) == 3


def test_a_truck_that_stops_stands_and_is_scanned_meanwhile() -> None:
    scenario = load_scenario("quiet")
    lane = scenario.build_lanes(1)["1"]
    lane.open(0.0)
    lane.advance(60.0)
    passage: Passage = lane.passages[0]
    scanned = passage.scanned(-3.0)
    assert scanned is not None
    assert passage.position(scanned) == pytest.approx(passage.position(scanned + 0.5))
    assert passage.position(scanned) == pytest.approx(5.0, abs=0.01)
    assert passage.position(scanned + 4.0) > 5.1


def test_seal_label_is_sent_while_its_truck_is_in_the_portal(played: Play) -> None:
    run = played("traffic: {trucks: [{}, {seal: null}, {seal: HS-0012345}]}")
    labels = [(s.at, s.data) for s in run.said if s.device == "seal-scanner"]
    first, _, third = run.player.lane.passages
    assert [data for _, data in labels] == [f"]C0{first.truck.seal}\r\n".encode(), b"]C0HS-0012345\r\n"]
    for (at, _), passage in zip(labels, (first, third), strict=True):
        assert passage.enters < at < passage.clears


def test_truth_is_what_the_devices_said(played: Play) -> None:
    run = played("traffic: {trucks: [{}, {cargo: {kind: source}, seal: null}, {plate: null}]}")
    began = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    records = [truth_of(d.passage, lambda s: began + timedelta(seconds=s), d.said) for d in run.departed]
    ends = [line.split(",") for _, line in run.lines() if line.startswith("GX")]
    blocks = run.data("portal").split(b"GX,")
    seals = [s.data for s in run.said if s.device == "seal-scanner"]
    assert [r["index"] for r in records] == [1, 2, 3]
    for record, end, block in zip(records, ends, blocks, strict=False):
        devices = record["devices"]
        assert isinstance(devices, dict)
        assert devices["portal"]["occupancy"] == int(end[1])
        assert devices["portal"]["gamma_alarm"] == (b"GA," in block)
        assert devices["portal"]["gamma_lines"] == block.count(b"GS,") + block.count(b"GA,")
    assert [f"]C0{r['seal']}\r\n".encode() for r in records if r["seal"]] == seals
    assert "seal-scanner" not in records[1]["devices"]  # type: ignore[operator]
    assert records[2]["plate"] is None
    assert records[0]["portal_entered"] == "2026-01-02T03:04:16.000Z"
    assert str(records[0]["arrived"]) < str(records[0]["portal_entered"]) < str(records[0]["departed"])


def test_truth_leaves_out_what_photos_showed(played: Play) -> None:
    departed = played("traffic: {count: 1}").departed[0]
    record = truth_of(
        departed.passage, lambda _: datetime(2026, 1, 2, tzinfo=UTC), departed.said, {"cam": "a.jpg"}, {"plate"}
    )
    assert (record["plate"], record["region"], record["photos"]) == (None, None, {"cam": "a.jpg"})
    assert record["container_code"] == departed.passage.truck.container_code


def test_truth_file_holds_each_record_before_the_next(tmp_path: Path) -> None:
    truth = TruthFile(tmp_path / "out" / "truth.jsonl")
    for index in range(3):
        truth.write({"index": index})
        lines = truth.path.read_text().splitlines()
        assert [json.loads(line)["index"] for line in lines] == list(range(index + 1))
    truth.close()


class SteppedClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.at = 50.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.at

    def now(self) -> object:
        raise AssertionError("playing needs no wall time")

    async def wait(self, seconds: float | None) -> bool:
        assert seconds is not None
        self.slept.append(seconds)
        self.at += seconds
        return False


async def test_play_on_a_stepped_clock_gives_the_stepped_bytes(scenario: Make, played: Play) -> None:
    clock, happened = SteppedClock(), list[Said | Departed]()
    player = build_players(scenario("traffic: {count: 3}"), 7, clock.at)["1"]
    player.lane.open(clock.at)
    await play(player, clock, happened.append, clock.wait)  # type: ignore[arg-type]
    data = b"".join(h.data for h in happened if isinstance(h, Said) and h.device == "portal")
    assert data == played("traffic: {count: 3}").data("portal")
    assert max(clock.slept) <= 5.0
    assert isinstance(happened[-1], Departed)


def test_hundreds_of_trucks_pass_without_sleeping_and_none_alarms_by_chance(scenario: Make) -> None:
    run = Played(build_players(scenario("traffic: {count: 250}"), 3)["1"])
    assert len(run.departed) == 250
    clean = [d.said["portal"]["gamma_alarm"] for d in run.departed]
    assert clean.count(True) == 0


def test_demo_is_brisk_and_holds_what_it_promises() -> None:
    scenario = load_scenario("demo")
    run = Played(build_players(scenario, scenario.seed)["1"])
    passages = run.player.lane.passages
    assert 75 <= run.departed[-1].at <= 90
    assert min(b.enters - a.clears for a, b in pairwise(passages)) >= 2.5
    assert sum(p.truck.plate is not None for p in passages) >= 9
    assert [d.passage.truck.index for d in run.departed if d.said["portal"]["gamma_alarm"]] == [8]
    assert [p.truck.index for p in passages if p.truck.seal is None] == [5]
    assert {p.truck.night for p in passages} == {True, False}
    assert any(str(s.at) and s.device == "seal-scanner" for s in run.said)


def test_truth_says_what_was_announced_and_where_that_differs(played: Play) -> None:
    run = played(
        "traffic: {trucks: [{}, {containers: [{code: MSKU0383250, seal: HS0001}, {code: TCNU7200794, seal: null}],"
        " declared: {container_codes: [HLXU2008419, TCNU7200794], gross_kg: 21000}}]}"
    )
    plain, swapped = (
        truth_of(d.passage, lambda s: datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=s), d.said)
        for d in run.departed
    )
    assert plain["declared"] == {
        "plate": plain["plate"],
        "container_codes": [plain["container_code"]],
        "seals": [plain["seal"]],
        "gross_kg": plain["gross_kg"],
        "differs": [],
    }
    assert swapped["declared"] == {
        "plate": swapped["plate"],
        "container_codes": ["HLXU2008419", "TCNU7200794"],
        "seals": ["HS0001"],
        "gross_kg": 21000,
        "differs": ["container_codes", "gross_kg"],
    }
    assert swapped["containers"] == [
        {"code": "MSKU0383250", "size_type": "22G1", "seal": {"number": "HS0001", "opened": False}},
        {"code": "TCNU7200794", "size_type": "22G1", "seal": None},
    ]
    assert (swapped["seals"], swapped["seal_opened"], swapped["lane"], swapped["id"]) == (
        ["HS0001"], False, "1", "1-0002",
    )  # fmt: skip
