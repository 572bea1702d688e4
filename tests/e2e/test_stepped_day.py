"""A thousand trucks through one lane without sleeping: truth and ledger differ in nothing."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.domain.observation import PlateRead, Reading
from hardware_sim.world.lane import Lane
from tests.e2e.stepped_booth import BOOTH, Day, day_scenario, oracle, run_day

QUARTER_US = 900_000_000
SETTLED_US = 12_000_000  # what a lane waits for after a truck left the portal, at most
SCORED = {"plate", "container", "seal", "weight", "gamma verdict", "neutron verdict"}


@pytest.mark.parametrize(
    "trucks", [pytest.param(35, id="half an hour"), pytest.param(1000, id="a thousand", marks=pytest.mark.proof)]
)
@pytest.mark.timeout(600)
def test_truth_and_ledger_differ_in_nothing(trucks: int, tmp_path: Path) -> None:
    day = run_day(day_scenario(trucks), BOOTH, tmp_path)
    assert len(day.score.vehicles) == day.events == trucks
    assert day.misses == []
    rows = day.score.rows
    assert {name for name, tally in rows.items() if tally.right} >= SCORED
    assert all(rows[name].right >= trucks for name in SCORED - {"seal"})
    assert day.score.rows["seal"].there >= trucks * 0.9
    assert day.score.spurious == []
    assert all(vehicle.joined.one_to_one for vehicle in day.score.vehicles)
    assert day.simulated_s > trucks * 6
    _counted(day)


def _counted(day: Day) -> None:
    """In every quarter hour the booth's own count is what was true of it."""
    said = [e["lane_statistics"] for e in day.records if "lane_statistics" in e]
    by_quarter = {int(one["quarter_utc_us"]) // QUARTER_US: one for one in said}
    assert len(said) == len(by_quarter) >= 1, "one part a quarter: nothing was set, and nobody stood still"
    left, whole, unsure = Counter[int](), Counter[int](), Counter[int]()
    for vehicle in day.score.vehicles:
        truck, record = vehicle.joined.truck, vehicle.joined.record
        assert record is not None
        sign = round(truck.left.timestamp() * 1e6)  # of the portal; seconds later it has settled
        unsure[sign // QUARTER_US] += sign // QUARTER_US != (sign + SETTLED_US) // QUARTER_US
        quarter = round(record.closed.timestamp() * 1e6) // QUARTER_US
        assert quarter in (sign // QUARTER_US, (sign + SETTLED_US) // QUARTER_US)
        left[quarter] += 1
        whole[quarter] += all(truck.values[name] for name in ("plate", "container", "seal"))
    assert sum(unsure.values()) < len(day.score.vehicles) / 10, "the truth would show nothing"
    for quarter, one in by_quarter.items():
        assert one.get("vehicles", 0) == left[quarter]
        assert one.get("complete", 0) == whole[quarter]
        assert one["dwell"].get("count", 0) == left[quarter]
        assert sum(one["plates"]["counts"]) == left[quarter]
        times = {
            d["device_id"]: [d.get(f"{state}_s", 0) for state in ("up", "down", "unknown")] for d in one["devices"]
        }
        assert all(sum(of) == pytest.approx(one["covered_s"]) for of in times.values())
        assert times["portal"][0] > one["covered_s"] - 45, "it connects, and falls silent with the end of the day"
    assert sum(one.get("arrived", 0) for one in said) == len(day.score.vehicles)
    covered = sum(one["covered_s"] for one in said)
    assert covered == pytest.approx(day.simulated_s, abs=5)


def test_a_plate_that_is_read_wrongly_shows(tmp_path: Path) -> None:
    def eye(lane: Lane, role: str, at: float) -> Iterator[Reading]:
        for reading in oracle(lane, role, at):
            wrong = isinstance(reading.body, PlateRead) and len(lane.passages) == 3
            yield replace(reading, body=replace(reading.body, text="WRONG1")) if wrong else reading  # type: ignore[arg-type]

    day = run_day(day_scenario(5), BOOTH, tmp_path, eye)
    [(vehicle, miss)] = day.misses
    assert (vehicle, miss.what, miss.received) == (day.score.vehicles[2].joined.truck.id, "plate", "WRONG1")
