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

DEVICES: dict[str, Any] = {
    "portal": {"kind": "rapiscan_vm250", "hold_in": 3, "links": [{"kind": "tcp"}]},
    "seal-scanner": {"kind": "barcode_scanner", "links": [{"kind": "tcp"}]},
}
BOOTH: dict[str, Any] = {
    "1": {
        "expects": ["plate", "container_code", "seal", "radiation"],
        "devices": [
            {"id": "portal", "driver": "rapiscan_vm250"},
            {"id": "seal-scanner", "driver": "barcode_scanner"},
        ],
    }
}


def scenario(trucks: int) -> Scenario:
    return Scenario.model_validate(
        {
            "title": "A day",
            "seed": 7,
            "lanes": {
                "1": {
                    "drive": {"speed_mps": [2.5, 4.0]},
                    "devices": DEVICES,
                    "traffic": {"count": trucks, "gap_s": [6, 30]},
                }
            },
        }
    )


@pytest.mark.parametrize(
    "trucks", [pytest.param(60, id="an hour"), pytest.param(1000, id="a thousand", marks=pytest.mark.proof)]
)
@pytest.mark.timeout(600)
def test_truth_and_ledger_differ_in_nothing(trucks: int, tmp_path: Path) -> None:
    day = run_day(scenario(trucks), BOOTH, tmp_path)
    assert len(day.score.vehicles) == day.events == trucks
    assert [miss for vehicle in day.score.vehicles for miss in vehicle.misses] == []
    assert day.score.spurious == []
    assert all(vehicle.wholly_right for vehicle in day.score.vehicles)
    assert day.simulated_s > trucks * 6


def test_a_plate_that_is_read_wrongly_shows(tmp_path: Path) -> None:
    def eye(lane: Lane, role: str, at: float) -> Iterator[Reading]:
        for reading in oracle(lane, role, at):
            wrong = isinstance(reading.body, PlateRead) and len(lane.passages) == 3
            yield replace(reading, body=replace(reading.body, text="WRONG1")) if wrong else reading  # type: ignore[arg-type]

    day = run_day(scenario(5), BOOTH, tmp_path, eye)
    [(vehicle, [miss])] = [(n, v.misses) for n, v in enumerate(day.score.vehicles) if v.misses]
    assert (vehicle, miss.what, miss.received) == (2, "plate", "WRONG1")
