"""Trucks that stand for long between two presence sensors, with the places and rules of test_row.py."""

from edge_agent.domain.observation import DeviceState
from tests.unit.inspection.script import ARRIVES, DEPARTS, Script, alarm, code, plate, status
from tests.unit.inspection.test_row import PLACES, ends

CLOSED = ["opened by presence", "closed - complete"]


def watched(*devices: str, longest_s: float = 600.0) -> Script:
    """A lane whose sensors have all said that they are free."""
    script = Script(expects=(), places={name: PLACES[name] for name in devices}, longest_s=longest_s)
    for sensor in {"entry", "portal", "exit"} & set(devices):
        script.at(5, sensor, DEPARTS)
    return script


def test_rule_p9_a_truck_that_stands_between_sensors_that_work_is_one() -> None:
    script = watched("entry", "front", "portal", "rear", "exit")
    script.at(10, "entry", ARRIVES).at(12, "front", plate("AAA111")).at(13, "entry", DEPARTS)
    script.at(100, "portal", ARRIVES).at(104, "portal", DEPARTS).at(105, "rear", code("CSQU3054383"))
    script.at(200, "exit", ARRIVES).at(204, "exit", DEPARTS).until(206.9)
    assert script.said() == ["opened by presence"]
    assert script.until(207).said() == ["closed AAA111 complete"]
    assert [c.vote.text for c in script.closed[0].container_codes] == ["CSQU3054383"]


def test_rule_p9_in_a_queue_the_portal_measures_the_one_that_stood_before_it() -> None:
    script = watched("entry", "front", "portal", "exit")
    script.at(10, "entry", ARRIVES).at(12, "front", plate("AAA111")).at(13, "entry", DEPARTS)
    script.at(30, "entry", ARRIVES).at(33, "front", plate("BBB222")).at(90, "portal", ARRIVES)
    script.at(91, "portal", alarm(900)).at(92, "entry", DEPARTS).at(94, "portal", DEPARTS)
    script.at(120, "portal", ARRIVES).at(124, "portal", DEPARTS).at(130, "exit", ARRIVES).at(134, "exit", DEPARTS)
    script.at(150, "exit", ARRIVES).at(154, "exit", DEPARTS).until(400)
    assert [word for word in script.said() if word.startswith("alarm")] == ["alarm in inspection-1"]
    assert [(one.id, one.plate.text) for one in script.closed if one.plate] == [
        ("inspection-1", "AAA111"),
        ("inspection-2", "BBB222"),
    ]


def test_rule_p9_one_that_stands_is_waited_for_so_long_and_no_longer() -> None:
    script = watched("portal", "exit").at(20, "portal", ARRIVES).at(24, "portal", DEPARTS).until(600)
    base = watched("portal").at(20, "portal", ARRIVES).at(24, "portal", DEPARTS).until(600)
    assert script.said() == base.said() == CLOSED
    assert base.closed[0].closed.monotonic == 27
    assert 27 + 180 < script.closed[0].closed.monotonic < 27 + 180 + 25, "and as long as it takes to the exit"


def test_rule_p9_a_sensor_that_missed_the_one_before_it_is_not_waited_for() -> None:
    script = watched("portal", "exit").at(20, "portal", ARRIVES).at(24, "portal", DEPARTS)
    script.at(300, "portal", ARRIVES).at(304, "portal", DEPARTS).until(330)
    assert ends(script) == [("inspection-1", "-", [], []), ("inspection-2", "-", [], [])]


def test_rule_p9_what_only_a_camera_saw_was_missed_by_no_sensor() -> None:
    script = watched("front", "portal", "exit").at(10, "front", plate("ZZZ999")).until(100)
    script.at(120, "portal", ARRIVES).at(124, "portal", DEPARTS).at(250, "exit", ARRIVES).at(254, "exit", DEPARTS)
    assert script.until(600).said() == ["opened by plate", "closed ZZZ999 complete", *CLOSED]


def test_rule_p9_nor_is_one_that_goes_down() -> None:
    script = watched("portal", "exit").at(20, "portal", ARRIVES).at(24, "portal", DEPARTS)
    script.at(100, "exit", status(DeviceState.OFFLINE)).until(100)
    assert script.said() == ["opened by presence", "exit offline", "closed - complete"]


def test_rule_p9_who_is_waited_for_is_not_recorded_as_abandoned() -> None:
    script = watched("portal", "exit", longest_s=60.0).at(20, "portal", ARRIVES).at(24, "portal", DEPARTS).until(80)
    assert script.said() == CLOSED
