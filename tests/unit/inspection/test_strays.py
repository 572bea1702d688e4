"""What is read before a lane knows of a vehicle: rule 15 of inspection/lane.py."""

import pytest

from edge_agent.domain.observation import Body
from edge_agent.inspection.whereabouts import Place
from tests.unit.inspection.script import ARRIVES, DEPARTS, Script, seal, seal_state, tag

# A reader whose field ends eight metres before the lane's first sensor.
PLACES = {"reader": Place(-10, 2), "portal": Place(0, 0.5)}


def tags(script: Script) -> list[list[str]]:
    """Of each inspection that closed."""
    return [[seen.tag.epc for seen in inspection.tags] for inspection in script.closed]


@pytest.mark.parametrize("body", [tag("E2"), seal("ML-1"), seal_state("ES-1")])
def test_rule_15_without_positions_it_is_of_the_inspection_that_opens_within_settle_s(body: Body) -> None:
    script = Script(expects=()).at(10, "reader", body).at(12.9, "portal", ARRIVES).at(15, "portal", DEPARTS).until(30)
    assert script.said() == ["opened by presence", "closed - complete"]
    [inspection] = script.closed
    assert len(inspection.tags) + len(inspection.seals) + len(inspection.seal_states) == 1
    assert inspection.observations == 3


def test_rule_15_without_positions_one_that_comes_later_is_another() -> None:
    script = Script(expects=()).at(10, "reader", tag("E2")).at(13.1, "portal", ARRIVES).at(15, "portal", DEPARTS)
    assert script.until(30).said() == ["unassigned TagRead", "opened by presence", "closed - complete"]
    assert tags(script) == [[]]


def test_rule_15_a_truck_that_draws_near_for_long_is_reported_once_and_keeps_what_was_read_last() -> None:
    script = Script(expects=())
    for t in range(10, 20):
        script.at(t, "reader", tag("E2"))
    script.at(20, "portal", ARRIVES).at(22, "portal", DEPARTS).until(40)
    assert script.said() == ["unassigned TagRead", "opened by presence", "closed - complete"]
    assert tags(script) == [["E2"]]


def test_rule_15_with_positions_it_is_of_the_vehicle_that_comes_from_there() -> None:
    script = Script(expects=(), places=PLACES).at(1, "portal", DEPARTS)
    script.at(10, "reader", tag("E2")).at(11, "reader", tag("E2")).at(14, "portal", ARRIVES).at(17, "portal", DEPARTS)
    assert script.until(60).said() == ["opened by presence", "closed - complete"]
    assert tags(script) == [["E2"]]
    assert script.closed[0].observations == 4


def test_rule_15_with_positions_none_that_comes_much_later_is_meant() -> None:
    script = Script(expects=(), places=PLACES).at(1, "portal", DEPARTS).at(10, "reader", tag("E2"))
    assert script.until(26).said() == ["unassigned TagRead"], "12.5 m at the slowest speed, and settle_s"
    script.at(30, "portal", ARRIVES).at(33, "portal", DEPARTS).until(60)
    script.said()
    assert tags(script) == [[]]


def test_rule_15_however_far_the_next_sensor_is_nothing_waits_longer_than_a_minute() -> None:
    places = {"reader": Place(-200, 2), "portal": Place(0, 0.5)}
    script = Script(expects=(), places=places).at(1, "portal", DEPARTS).at(10, "reader", tag("E2"))
    assert script.until(69.9).said() == []
    assert script.until(70).said() == ["unassigned TagRead"]


def test_rule_15_with_positions_of_two_that_can_have_been_there_it_is_nobodys() -> None:
    script = Script(expects=(), places=PLACES).at(1, "portal", DEPARTS).at(12, "reader", tag("E2"))
    script.at(14, "portal", ARRIVES).at(17, "portal", DEPARTS).at(18, "portal", ARRIVES).at(22, "portal", DEPARTS)
    assert "unassigned TagRead" in script.until(80).said()
    assert tags(script) == [[], []]


def test_rule_15_with_positions_what_is_read_again_when_the_first_vehicle_is_past_is_not_its() -> None:
    script = Script(expects=(), places=PLACES).at(1, "portal", DEPARTS).at(10, "reader", tag("E2"))
    script.at(12, "portal", ARRIVES).at(16, "portal", DEPARTS).at(18, "reader", tag("E2"))
    script.at(40, "portal", ARRIVES).at(44, "portal", DEPARTS).until(100)
    script.said()
    assert tags(script)[0] == []


def test_rule_15_what_waits_is_said_when_the_agent_stops() -> None:
    script = Script(expects=()).at(10, "reader", tag("E2"))
    script.drafts += script.lane.stop(script.observed[-1].at, "stopped")
    assert script.said() == ["unassigned TagRead"]
