"""A thousand trucks through one lane without sleeping: truth and ledger differ in nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.domain.observation import PlateRead, Reading
from hardware_sim.world.lane import Lane
from tests.e2e.stepped_booth import BOOTH, day_scenario, oracle, run_day

SCORED = {"plate", "container", "seal", "weight", "gamma verdict", "neutron verdict"}


@pytest.mark.parametrize(
    "trucks", [pytest.param(25, id="half an hour"), pytest.param(1000, id="a thousand", marks=pytest.mark.proof)]
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


def test_a_plate_that_is_read_wrongly_shows(tmp_path: Path) -> None:
    def eye(lane: Lane, role: str, at: float) -> Iterator[Reading]:
        for reading in oracle(lane, role, at):
            wrong = isinstance(reading.body, PlateRead) and len(lane.passages) == 3
            yield replace(reading, body=replace(reading.body, text="WRONG1")) if wrong else reading  # type: ignore[arg-type]

    day = run_day(day_scenario(5), BOOTH, tmp_path, eye)
    [(vehicle, miss)] = day.misses
    assert (vehicle, miss.what, miss.received) == (day.score.vehicles[2].joined.truck.id, "plate", "WRONG1")
