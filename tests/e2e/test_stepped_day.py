"""A thousand trucks through one lane without sleeping: truth and ledger differ in nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.domain.observation import PlateRead, Reading
from hardware_sim.scenario import Scenario
from hardware_sim.world.lane import Lane
from tests.e2e.stepped_booth import oracle, run_day

TCP = [{"kind": "tcp"}]
DEVICES: dict[str, Any] = {
    "portal": {"kind": "rapiscan_vm250", "hold_in": 3, "links": TCP},
    "seal-scanner": {"kind": "barcode_scanner", "links": TCP},
    "scale": {"kind": "toledo_continuous", "at_m": -18.0, "length_m": 26.0, "links": TCP},
}
BOOTH: dict[str, Any] = {
    "1": {
        "expects": ["plate", "container_code", "seal", "radiation", "weight"],
        "devices": [
            {"id": "portal", "driver": "rapiscan_vm250"},
            {"id": "seal-scanner", "driver": "barcode_scanner"},
            {"id": "scale", "driver": "toledo_continuous"},
        ],
    }
}


def scenario(trucks: int) -> Scenario:
    """Every truck stops with its whole length on the scale, in the portal."""
    lane = {
        "drive": {"speed_mps": [2.5, 4.0], "stop_s": 6.0, "approach_m": 20.0},
        "devices": DEVICES,
        "traffic": {"count": trucks, "gap_s": [6, 30]},
    }
    return Scenario.model_validate({"title": "A day", "seed": 7, "lanes": {"1": lane}})


@pytest.mark.parametrize(
    "trucks", [pytest.param(25, id="half an hour"), pytest.param(1000, id="a thousand", marks=pytest.mark.proof)]
)
@pytest.mark.timeout(600)
def test_truth_and_ledger_differ_in_nothing(trucks: int, tmp_path: Path) -> None:
    day = run_day(scenario(trucks), BOOTH, tmp_path)
    assert len(day.score.vehicles) == day.events == trucks
    assert day.misses == []
    assert day.score.spurious == []
    assert all(vehicle.joined.one_to_one for vehicle in day.score.vehicles)
    assert day.simulated_s > trucks * 6


def test_a_plate_that_is_read_wrongly_shows(tmp_path: Path) -> None:
    def eye(lane: Lane, role: str, at: float) -> Iterator[Reading]:
        for reading in oracle(lane, role, at):
            wrong = isinstance(reading.body, PlateRead) and len(lane.passages) == 3
            yield replace(reading, body=replace(reading.body, text="WRONG1")) if wrong else reading  # type: ignore[arg-type]

    day = run_day(scenario(5), BOOTH, tmp_path, eye)
    [(vehicle, miss)] = day.misses
    assert (vehicle, miss.what, miss.received) == (day.score.vehicles[2].joined.truck.id, "plate", "WRONG1")
