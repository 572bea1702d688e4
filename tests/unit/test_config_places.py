"""Positions in a booth's settings file."""

from pathlib import Path

import pytest

from edge_agent.config import read_config
from edge_agent.inspection.whereabouts import Driving, End, Place
from tests.unit.test_config import GOOD, folder, mistakes, written

__all__ = ["folder"]

PLACED = (
    GOOD.replace('1600"}}', '1600"}, position_m: 0, holds_s: 2}')
    .replace("usb-scanner}}", "usb-scanner}, position_m: 4, reach_m: 2, sees: rear}\n"
             "      - {id: x-ray, driver: watched_folder, settings: {directory: /srv}}")
    .replace("role: plate}", "role: plate, position_m: -6}")
    .replace("role: container}", "role: container, position_m: 3.5}")
)  # fmt: skip


def test_positions_reach_the_lane(folder: Path) -> None:
    [lane] = read_config(
        written(folder, PLACED.replace("    devices", "    fastest_mps: 5\n    stands_s: 60\n    devices"))
    ).lanes
    assert lane.rules.places == {
        "portal": Place(0, 1, End.ANY, 2),
        "scanner": Place(4, 2, End.REAR),
        "front": Place(-6, 1, End.FRONT),
        "side": Place(3.5, 1, End.ANY),
    }
    assert lane.rules.driving == Driving(1, 5, 4, 30, 60)


def test_without_positions_there_are_none(folder: Path) -> None:
    assert read_config(written(folder, GOOD)).lanes[0].rules.places == {}


@pytest.mark.parametrize(
    ("change", "to", "expected"),
    [
        (", position_m: -6", "", "lanes.0.cameras.0: others of this lane have a position, and this one has none"),
        ("position_m: -6", "position_m: 1000", "lanes.0.cameras.0.position_m"),
        ("reach_m: 2", "reach_m: 0", "lanes.0.devices.1.reach_m"),
        ("sees: rear", "sees: back", "lanes.0.devices.1.sees"),
        ("    devices", "    slowest_mps: 9\n    devices", "slowest_mps is not below fastest_mps: 9 and 8"),
        ("    devices", "    longest_m: 3\n    devices", "shortest_m is not below longest_m: 4 and 3"),
    ],
)
def test_a_mistake(folder: Path, change: str, to: str, expected: str) -> None:
    assert expected in mistakes(folder, PLACED.replace(change, to))
