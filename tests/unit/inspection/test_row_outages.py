"""A lane with positions of which a sensor was down for a while, with the places and rules of test_row.py."""

from edge_agent.domain.observation import DeviceState
from edge_agent.inspection.whereabouts import MAX_FACTS
from tests.unit.inspection.script import ARRIVES, DEPARTS, Script, alarm, code, occupancy, plate, status
from tests.unit.inspection.test_row import ends, lane

DOWN, UP = status(DeviceState.OFFLINE), status(DeviceState.ONLINE)


def after_one_truck(*devices: str) -> Script:
    """Every presence sensor has spoken; the lane is empty again."""
    script = lane(*devices).at(1, "entry", ARRIVES).at(3, "entry", DEPARTS)
    script.at(9, "portal", ARRIVES).at(13, "portal", DEPARTS)
    script.at(24, "exit", ARRIVES).at(28, "exit", DEPARTS).until(100)
    script.said()
    return script


def test_rule_p11_a_truck_that_passed_while_the_portal_was_down_stays_one() -> None:
    script = after_one_truck("entry", "portal", "rear", "exit")
    script.at(200, "entry", ARRIVES).at(204, "entry", DEPARTS).at(205, "portal", DOWN).at(214, "portal", UP)
    script.at(216, "rear", code("CSQU3054383")).at(230, "exit", ARRIVES).at(234, "exit", DEPARTS).until(300)
    assert ends(script) == [("inspection-2", "-", ["CSQU3054383"], [])]


def test_rule_p11_also_if_the_portal_speaks_before_the_truck_is_seen_again() -> None:
    script = after_one_truck("entry", "portal", "rear", "exit")
    script.at(200, "entry", ARRIVES).at(204, "entry", DEPARTS).at(205, "portal", DOWN).at(214, "portal", UP)
    script.at(214, "portal", DEPARTS).at(216, "rear", code("CSQU3054383"))
    script.at(230, "exit", ARRIVES).at(234, "exit", DEPARTS).until(300)
    assert ends(script) == [("inspection-2", "-", ["CSQU3054383"], [])]


def test_rule_p11_a_truck_that_the_entry_could_not_see_is_not_the_one_before_it_come_back() -> None:
    script = after_one_truck("entry", "front", "portal", "rear", "exit")
    script.at(200, "entry", ARRIVES).at(203, "entry", DEPARTS).at(204, "front", plate("AAA111"))
    script.at(206, "portal", ARRIVES).at(210, "portal", DEPARTS).at(211, "entry", DOWN).at(222, "entry", UP)
    script.at(224, "portal", ARRIVES).at(228, "exit", ARRIVES).at(229, "portal", DEPARTS)
    script.at(230.5, "rear", code("CSQU3054383")).at(233, "exit", DEPARTS).at(244, "exit", ARRIVES).at(
        248, "exit", DEPARTS
    )
    script.until(300)
    assert ends(script) == [("inspection-2", "AAA111", [], []), ("inspection-3", "-", ["CSQU3054383"], [])]


def test_rule_p11_nor_if_the_entry_was_up_again_before_the_first_had_left_the_portal() -> None:
    script = after_one_truck("entry", "front", "portal", "rear", "exit")
    script.at(199, "entry", DOWN).at(203, "front", plate("AAA111")).at(206, "portal", ARRIVES)
    script.at(208, "entry", UP).at(208, "entry", DEPARTS).at(210, "portal", DEPARTS)  # the next one has come by it
    script.at(213, "portal", ARRIVES).at(218, "portal", DEPARTS).at(219, "rear", code("CSQU3054383"))
    script.at(228, "exit", ARRIVES).at(232, "exit", DEPARTS).at(235, "exit", ARRIVES).at(239, "exit", DEPARTS)
    script.until(300)
    assert ends(script) == [("inspection-2", "AAA111", [], []), ("inspection-3", "-", ["CSQU3054383"], [])]


def test_rule_p8_an_entry_that_works_again_since_before_the_truck_came_tells_that_it_comes_back() -> None:
    script = after_one_truck("entry", "portal", "exit").at(150, "entry", DOWN).at(160, "entry", UP)
    script.at(200, "entry", ARRIVES).at(203, "entry", DEPARTS).at(206, "portal", ARRIVES).at(210, "portal", DEPARTS)
    script.at(214, "portal", ARRIVES).at(219, "portal", DEPARTS).at(222, "exit", ARRIVES).at(226, "exit", DEPARTS)
    assert script.until(300).said()[2:] == ["opened by presence", "closed - complete"]


def test_rule_p2_an_alarm_on_an_empty_lane_is_of_no_vehicle() -> None:
    script = after_one_truck("entry", "portal", "exit").at(3700, "portal", alarm(900))
    assert script.at(3701, "portal", occupancy(2)).said() == ["alarm in no inspection", "unassigned RadiationOccupancy"]


def test_rule_p2_soon_after_its_vehicle_it_is_of_that_one() -> None:
    script = lane("entry", "portal", "exit").at(10, "portal", ARRIVES).at(14, "portal", DEPARTS)
    script.at(17, "portal", alarm(900)).at(17.1, "portal", alarm(900)).at(20, "portal", occupancy(2))
    assert script.said()[1:] == ["alarm in inspection-1", "alarm in no inspection"]
    script.until(60)
    script.said()
    assert [[o.number for o in i.radiation] for i in script.closed] == [[2]]
    script.at(134, "portal", occupancy(3)).at(134.1, "portal", occupancy(4))
    assert script.said() == ["unassigned RadiationOccupancy of inspection-1", "unassigned RadiationOccupancy"]


def test_rule_p2_but_not_across_an_outage() -> None:
    script = lane("entry", "portal", "exit").at(10, "portal", ARRIVES).at(14, "portal", DEPARTS)
    script.at(14.1, "portal", DOWN).at(16, "portal", UP).at(16.5, "portal", alarm(900))  # somebody came meanwhile
    script.at(16.6, "portal", occupancy(2))
    assert script.said() == [
        "opened by presence",
        "portal offline",
        "portal online",
        "alarm in no inspection",
        "unassigned RadiationOccupancy",
    ]


def test_rule_p2_nor_of_a_vehicle_that_was_on_the_sensor_when_it_went_down() -> None:
    script = lane("portal").at(10, "portal", ARRIVES).at(11, "portal", DOWN).at(12, "portal", UP)
    script.at(12.1, "portal", alarm(900)).at(12.2, "portal", ARRIVES).at(12.3, "portal", alarm(900))
    assert [word for word in script.said() if "alarm" in word] == ["alarm in no inspection", "alarm in inspection-1"]


def test_a_portal_that_stays_occupied_does_not_fill_the_memory() -> None:
    script = after_one_truck("entry", "portal", "exit").at(200, "entry", ARRIVES).at(203, "entry", DEPARTS)
    script.at(206, "portal", ARRIVES)
    for t in range(300, 3300, 10):
        script.at(t, "exit", ARRIVES).at(t + 4, "exit", DEPARTS)
    [stuck] = script.lane._traffic._row  # type: ignore[attr-defined]
    assert len(stuck.where._facts) == MAX_FACTS
    assert stuck.where.at(3300).rear.hi <= 22.5 + 8 * 6, "where it is, is still known by the latest"
