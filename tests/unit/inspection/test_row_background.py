"""Which vehicle's radiation profile holds what a portal said of its background, in a lane with positions."""

import pytest

from edge_agent.domain.evidence import EvidenceKind
from edge_agent.inspection.whereabouts import End, Place
from tests.unit.inspection.script import ARRIVES, DEPARTS, Script, background, seal
from tests.unit.inspection.test_row import lane


def backgrounds(script: Script) -> dict[str, list[int]]:
    """Of each closed inspection: the counts of the background in its profile."""
    script.said()
    held = {}
    for inspection, pieces in zip(script.closed, script.evidence, strict=True):
        lines = [
            line.split(",")
            for e in pieces
            if e.kind is EvidenceKind.RADIATION_PROFILE
            for line in e.data.decode().split()
        ]
        held[inspection.id] = [int(cells[6]) for cells in lines if "background" in cells]
    return held


def test_rule_p2_the_background_between_two_vehicles_is_of_the_second_also_with_an_exit() -> None:
    script = lane("portal", "exit").at(10, "portal", ARRIVES).at(14, "portal", DEPARTS).at(15, "portal", background(3))
    script.at(20, "exit", ARRIVES).at(22, "exit", DEPARTS).at(24, "portal", ARRIVES).at(27, "portal", DEPARTS)
    assert backgrounds(script.until(200)) == {"inspection-1": [], "inspection-2": [3]}


def test_rule_p2_with_an_entry_and_an_exit_it_is_of_the_vehicle_that_comes_to_the_portal_next() -> None:
    script = lane("entry", "portal", "exit").at(1, "portal", DEPARTS).at(9, "portal", background(9))
    script.at(10, "entry", ARRIVES).at(14, "entry", DEPARTS).at(15, "portal", background(15))
    script.at(16, "entry", ARRIVES).at(17, "portal", ARRIVES).at(22, "portal", DEPARTS)
    for t in (23, 24, 25):
        script.at(t, "portal", background(t))
    script.at(33, "exit", ARRIVES).at(37, "exit", DEPARTS)  # the first one
    script.at(38, "entry", DEPARTS).at(39, "portal", background(39)).at(40, "portal", ARRIVES).at(44, "portal", DEPARTS)
    assert backgrounds(script.until(300)) == {"inspection-1": [9, 15], "inspection-2": [23, 24, 25, 39]}


@pytest.mark.parametrize("holds_s", [2.0, 0.0])
def test_rule_p2_a_portal_that_holds_itself_occupied_was_left_so_long_before_it_says_so(holds_s: float) -> None:
    places = {"portal": Place(0, 0.5, holds_s=holds_s), "scanner": Place(6, 1, End.REAR)}
    script = Script(expects=(), places=places).at(1, "portal", DEPARTS).at(10, "portal", ARRIVES)
    script.at(15.5, "scanner", seal("ML-1")).at(16, "portal", DEPARTS).at(16.1, "scanner", seal("ML-2")).until(90)
    script.said()
    [inspection] = script.closed
    numbers = [seen.number for seen in inspection.seals]
    assert numbers == (["ML-1", "ML-2"] if holds_s else []), (
        "its rear has driven on since 14, or was at the portal at 16"
    )
