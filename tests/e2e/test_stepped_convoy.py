"""Convoys through a lane whose devices have positions: a camera sees the next truck while one stands in the portal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.domain.observation import Reading
from hardware_sim.scenario import Scenario
from hardware_sim.world.lane import Lane
from tests.e2e.stepped_booth import TCP, oracle, run_day

LOOKS_AT_M = -12.0
POSITIONS: dict[str, dict[str, Any]] = {
    "portal": {"position_m": 0, "reach_m": 0.5},
    "plate": {"position_m": LOOKS_AT_M, "reach_m": 2.0},
    "container": {"position_m": 7.5, "reach_m": 4.5, "sees": "front"},
}
CONVOY = Scenario.model_validate(
    {
        "title": "Convoys of four",
        "seed": 23,
        "lanes": {
            "1": {
                "drive": {"speed_mps": [3.2, 3.4], "slow_from_m": 2.4, "slow_to_m": 5.4, "approach_m": 20.0},
                "devices": {"portal": {"kind": "rapiscan_vm250", "hold_in": 3, "links": TCP}},
                "traffic": {"gap_s": [25, 30], "convoy": {"size": 4, "gap_s": [1.7, 2.2]}, "count": 12},
            }
        },
    }
)


def eye(lane: Lane, role: str, at: float) -> Iterator[Reading]:
    """The plate camera looks at the road before the portal; in the oracle's words, moved there."""
    if role == "container":
        yield from oracle(lane, role, at)
        return
    for passage in lane.seen(at):
        if abs(passage.position(at) - LOOKS_AT_M) <= POSITIONS["plate"]["reach_m"]:
            moved = _Standing(passage.truck)
            yield from oracle(moved, role, at)  # type: ignore[arg-type]


class _Standing:
    """A lane with this truck alone, in view of the oracle's plate camera."""

    def __init__(self, truck: Any) -> None:
        self.truck = truck

    def seen(self, at: float) -> list["_Standing"]:
        return [self]

    def position(self, at: float) -> float:
        return 3.0


def booth(placed: bool) -> dict[str, Any]:
    portal = {"id": "portal", "driver": "rapiscan_vm250", **(POSITIONS["portal"] if placed else {})}
    cameras = {role: POSITIONS[role] if placed else {} for role in ("plate", "container")}
    return {"1": {"expects": ["plate", "container_code", "radiation"], "devices": [portal], "cameras": cameras}}


@pytest.mark.timeout(120)
def test_with_positions_truth_and_ledger_differ_in_nothing(tmp_path: Path) -> None:
    day = run_day(CONVOY, booth(placed=True), tmp_path, eye)
    missed = [(truck, m) for truck, m in day.misses if m.what in ("plate", "container", "gamma verdict")]
    assert missed == []
    assert len(day.score.vehicles) == day.events == 12
    assert all(vehicle.joined.one_to_one for vehicle in day.score.vehicles)


@pytest.mark.timeout(120)
def test_without_positions_there_are_more_inspections_than_trucks(tmp_path: Path) -> None:
    day = run_day(CONVOY, booth(placed=False), tmp_path, eye)
    assert day.events > len(day.score.vehicles) == 12, "the scenario would show nothing"
