"""Arrivals, and what is stated or drawn of trucks."""

import asyncio
import re
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from stdnum import iso6346

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.run import PortSim
from hardware_sim.scenario import Scenario, load_scenario
from hardware_sim.stepped import START_S, SteppedClock, SteppedLoop
from hardware_sim.world.arrivals import ArrivalSettings
from hardware_sim.world.lane import Lane
from hardware_sim.world.plates import REGIONS, draw_plate, draw_trailer_plate
from hardware_sim.world.settings import TruckSettings
from hardware_sim.world.truck import Truck
from hardware_sim.world.truth import Record
from tests.unit.hardware_sim.conftest import with_base

Make = Callable[[str], Scenario]


def passages(scenario: Scenario, seed: int = 3) -> Lane:
    lane = scenario.build_lanes(seed)["1"]
    lane.open(0.0)
    lane.advance(float("inf"))
    return lane


def trucks(scenario: Scenario, seed: int = 3) -> tuple[Truck, ...]:
    return scenario.build_lanes(seed)["1"].trucks


# --- arrivals ---------------------------------------------------------------------------------------------------


def test_trucks_by_chance_come_at_their_rate_and_with_exponential_gaps() -> None:
    settings = ArrivalSettings(per_hour=120, gap_s=(2.0, 2.0))
    moments = [a.not_before for a in islice(settings.arrivals(Random(1), []), 4000)]
    gaps = [b - a for a, b in pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(30.0, rel=0.05)
    assert sum((g - mean) ** 2 for g in gaps) / len(gaps) == pytest.approx(
        mean**2, rel=0.15
    )  # as exponential ones have
    assert sum(g > 30 for g in gaps) / len(gaps) == pytest.approx(0.368, abs=0.03)


def test_a_rate_that_changes_with_the_hours() -> None:
    rates = [{"from_h": 0, "per_hour": 20}, {"from_h": 2, "per_hour": 300}, {"from_h": 3, "per_hour": 60}]
    settings = ArrivalSettings.model_validate({"per_hour": rates})
    counts = [0.0] * 4
    runs = 30
    for seed in range(runs):
        for arrival in settings.arrivals(Random(seed), []):
            if arrival.not_before >= 4 * 3600:
                break
            counts[int(arrival.not_before // 3600)] += 1 / runs
    assert counts == pytest.approx([20, 20, 300, 60], rel=0.12)


def test_a_change_of_rate_forgets_how_long_nobody_came() -> None:
    """Memoryless: from the moment at which the rate changes the first truck takes the new rate's mean."""
    rates = [{"from_h": 0, "per_hour": 1}, {"from_h": 1, "per_hour": 60}]
    settings = ArrivalSettings.model_validate({"per_hour": rates})
    firsts = [
        next(a.not_before for a in settings.arrivals(Random(seed), []) if a.not_before >= 3600) - 3600
        for seed in range(2000)
    ]
    assert sum(firsts) / len(firsts) == pytest.approx(60, rel=0.1)


def test_more_trucks_than_the_lane_takes_queue_in_order(scenario: Make) -> None:
    lane = passages(scenario("traffic: {count: 30, per_hour: 1500}"))
    gaps = [b.enters - a.clears for a, b in zip(lane.passages, lane.passages[1:], strict=False)]
    assert min(gaps) == pytest.approx(9.0)
    assert sum(gap < 9.001 for gap in gaps) > 25
    assert [p.truck.index for p in lane.passages] == list(range(1, 31))


def test_a_truck_with_a_stated_moment_is_there_then_or_as_soon_as_it_can(scenario: Make) -> None:
    lane = passages(scenario("traffic: {trucks: [{at_s: 40}, {at_s: 41}, {}, {at_s: 500}]}"))
    enters = [p.enters for p in lane.passages]
    assert enters[0] == pytest.approx(40.0)
    assert enters[1] == pytest.approx(lane.passages[0].clears + 9.0)
    assert enters[3] == pytest.approx(500.0)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("traffic: {count: 9, convoy: {size: 3, gap_s: [4, 3]}}", "convoy.gap_s: the first number is the smaller one"),
        ("traffic: {count: 9, convoy: {size: 3, gap_s: 4}, per_hour: 60}", "convoy and per_hour: say one of them"),
        ("traffic: {count: 9, convoy: {size: 3, gap_s: 2}}", "two would be one vehicle to it"),
        ("traffic: {count: 9, per_hour: [{from_h: 1, per_hour: 5}]}", "the first rate is from_h: 0"),
        ("traffic: {trucks: [{containers: [{}, {size_type: 42G1}]}]}", "both of 20 feet"),
        ("traffic: {trucks: [{containers: [{}], seal: null}]}", "say it under `containers`"),
        ("traffic: {trucks: [{reverse: {at_m: 3, back_m: 2}, turns_back_m: 4}]}", "say one of them"),
        ("traffic: {count: 1, mix: {norm: 2}}", "must be at most 1"),
        ("traffic: {trucks: [{containers: [{code: MSKU0383251}]}]}", "check digit of MSKU0383251"),
        ("traffic: {trucks: [{tag: anam-1}]}", "pattern"),
    ],
)
def test_mistakes_in_traffic_are_named(scenario: Make, more: str, says: str) -> None:
    with pytest.raises(SettingsInvalid, match=re.escape(says)):
        scenario(more)


def test_a_device_where_no_truck_comes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "far.yaml"
    path.write_text(
        with_base("traffic: {count: 1}\n").replace("kind: rapiscan_vm250", "kind: rapiscan_vm250\n        at_m: -20")
    )
    with pytest.raises(SettingsInvalid, match=r"portal stands at -20 m, and trucks are in the lane from -14 to 6 m"):
        load_scenario(str(path))


# --- trucks -----------------------------------------------------------------------------------------------------


def test_containers_are_stated_in_full_or_drawn(scenario: Make) -> None:
    made = trucks(
        scenario(
            "traffic: {trucks: [{containers: [{code: MSKU0383250, seal: null}, {seal: {number: HS1, opened: true}}]},"
            " {containers: [{size_type: 45G1}]}, {containers: [{seal: {opened: true}}]}]}".replace("HS1", "HS1000")
        )
    )
    (first, behind), (second, after) = made[0].placed
    assert (first.code, first.seal) == ("MSKU0383250", None)
    assert second.seal is not None
    assert (second.seal.number, second.seal.opened) == ("HS1000", True)
    assert iso6346.is_valid(second.code)
    assert [behind, after] == pytest.approx([4.4, 4.4 + 6.06 + 0.076])
    assert made[0].container_m == pytest.approx(12.196)
    assert made[0].length_m == pytest.approx(4.4 + 12.196 + 1.2, abs=0.01)
    assert made[1].size_type == "45G1"
    assert made[2].seal_opened
    assert re.fullmatch(r"[A-Z]+\d{7}", made[2].seal or "")


def test_a_check_digit_that_is_painted_wrong(scenario: Make) -> None:
    stated = "{container_code: MSKU0383250, misprinted: true}, {misprinted: true}, {container_code: MSKU0383250}"
    codes = [one.container_code for one in trucks(scenario(f"traffic: {{trucks: [{stated}]}}"))]
    assert codes[::2] == ["MSKU0383251", "MSKU0383250"]
    assert not iso6346.is_valid(codes[1])


def test_what_is_stated_of_every_truck_holds_unless_one_says_otherwise(scenario: Make) -> None:
    made = trucks(
        scenario("traffic: {count: 3, every_truck: {night: true, rain: true, tag: null}, trucks: [{rain: false}]}")
    )
    assert [(t.night, t.rain, t.tag) for t in made] == [(True, False, None), (True, True, None), (True, True, None)]


def test_a_mix_has_its_shares_and_one_share_does_not_move_the_others(scenario: Make) -> None:
    def made(mix: str) -> tuple[Truck, ...]:
        return trucks(scenario(f"traffic: {{count: 2000, mix: {mix}}}"))

    half = made("{no_plate: 0.1, two_containers: 0.2, seal_opened: 0.05, swapped_container: 0.1, norm: 0.3}")
    shares = [
        sum(t.plate is None for t in half) / 2000,
        sum(len(t.containers) == 2 for t in half) / 2000,
        sum(t.seal_opened for t in half) / 2000,
        sum(t.declared.container_codes is not None for t in half) / 2000,
        sum(t.cargo.kind.value == "norm" for t in half) / 2000,
    ]
    assert shares == pytest.approx([0.1, 0.2, 0.05, 0.1, 0.3], abs=0.03)
    alone = made("{norm: 0.3}")
    assert [t.cargo for t in alone] == [t.cargo for t in half]
    assert [t.plate for t in alone if t.plate] == [t.plate for t in made("{}") if t.plate]


def test_plates_of_every_region_have_their_pattern_and_no_sign_that_is_mistaken() -> None:
    signs = {"A": "[A-Z]", "9": "[0-9]"}
    for code, region in REGIONS.items():
        random = Random(code)
        for pattern, plate in (
            (region.pattern, draw_plate(random, [code])),
            (region.trailer or region.pattern, draw_trailer_plate(random, code)),
        ):
            assert re.fullmatch("".join(signs.get(c, re.escape(c)) for c in pattern), plate.painted), code
            assert plate.region == code
            assert 4 <= len(plate.text) <= 9
    assert {code[:2] for code in REGIONS} == {"US", "MX", "CA", "EU", "BR"}


# --- on demand --------------------------------------------------------------------------------------------------

ON_DEMAND: dict[str, Any] = {
    "title": "On demand",
    "lanes": {
        "a": {
            "devices": {"scanner": {"kind": "barcode_scanner", "links": [{"kind": "tcp"}]}},
            "traffic": {"on_demand": True, "count": 1, "gap_s": 3},
        },
        "b": {
            "devices": {"scanner-b": {"kind": "barcode_scanner", "links": [{"kind": "tcp"}]}},
            "traffic": {"count": 1},
        },
    },
}


def test_a_truck_is_sent_while_it_runs_and_its_truth_is_told(tmp_path: Path) -> None:
    records: list[Record] = []

    async def run() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)
        sim = PortSim(Scenario.model_validate(ON_DEMAND), 1, tmp_path, SteppedClock(loop), in_memory=True)
        stop = sim.subscribe(records.append)
        await sim.open()
        ids = []
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(sim.run())
            await asyncio.sleep(100)
            ids.append(sim.send("a", TruckSettings(seal="HS0000042")))
            ids.append(sim.send("a"))
            with pytest.raises(KeyError):
                sim.send("c")
            with pytest.raises(ValueError, match="lane b is over: say `on_demand: true`"):
                sim.send("b")
            await asyncio.sleep(200)
            assert sim.truck_count == 4
            stop()
            ids.append(sim.send("a"))
            await asyncio.sleep(100)
            assert not running.done()  # it waits for more
            running.cancel()
        await sim.close()
        return ids

    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        ids = runner.run(run())
    assert ids == ["a-0002", "a-0003", "a-0004"]
    assert sorted(str(r["id"]) for r in records) == ["a-0001", "a-0002", "a-0003", "b-0001"]
    sent = next(r for r in records if r["id"] == "a-0002")
    assert sent["seal"] == "HS0000042"
    assert sent["devices"] == {"scanner": {"seal": "HS0000042", "seals": ["HS0000042"]}}


def test_time_can_run_faster_and_everything_is_still_said_at_its_moment(tmp_path: Path) -> None:
    async def run() -> tuple[float, float, float, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)
        scenario = Scenario.model_validate({**ON_DEMAND, "lanes": {"b": ON_DEMAND["lanes"]["b"]}})
        sim = PortSim(scenario, 1, tmp_path, SteppedClock(loop), in_memory=True, speed=20.0)
        await sim.open()
        async with sim.memory_links["scanner-b"].attach() as end:
            await sim.run()
            label = await end.receive(0)
        await sim.close()
        assert label is not None
        due = sim.lanes["b"].lane.passages[0].scanned(-3.0)
        assert due is not None
        return loop.time() - START_S, sim.clock.monotonic() - START_S, label[1], due

    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        real, world, said, due = runner.run(run())
    assert world > 10
    assert real == pytest.approx(world / 20, rel=1e-6)
    assert said == pytest.approx(due, abs=1e-3)


def test_a_device_that_is_asked_is_woken_for_its_answer(tmp_path: Path) -> None:
    """Nothing else happens in this lane: without a nudge the answer, which takes a moment, would never come."""
    values = {
        "title": "A tag reader alone",
        "lanes": {
            "1": {
                "devices": {"reader": {"kind": "uhfreader18", "links": [{"kind": "tcp"}]}},
                "traffic": {"on_demand": True},
            }
        },
    }

    async def run() -> tuple[bytes, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)
        sim = PortSim(Scenario.model_validate(values), 1, tmp_path, SteppedClock(loop), in_memory=True)
        await sim.open()
        async with asyncio.TaskGroup() as tasks, sim.memory_links["reader"].attach() as end:
            running = tasks.create_task(sim.run())
            await asyncio.sleep(50)
            end.send(bytes.fromhex("04ff211995"))  # reader information, to whoever listens
            answer = await end.receive(timeout=5)
            running.cancel()
        await sim.close()
        assert answer is not None
        return answer[0], answer[1] - START_S - 50

    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        said, after = runner.run(run())
    assert (said[0], said[2]) == (len(said) - 1, 0x21)
    assert 0 <= after < 1
