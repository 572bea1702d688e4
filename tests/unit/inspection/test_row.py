"""A lane whose devices have positions, by the numbers of the rules in edge_agent/inspection/row.py.

entry -12        front -6 (plates)    portal 0    rear 3 (codes)   scanner 4 (seals)       exit 22
  |                 |                   |            |               |                       |
"""

import pytest

from edge_agent.domain.event import AlarmRaised, InspectionClosed
from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.observation import (
    Body,
    DeviceState,
    Direction,
    Malformed,
    Observation,
    Opaque,
    Presence,
    Weight,
)
from edge_agent.inspection.row import MAX_ROW
from edge_agent.inspection.whereabouts import End, Place
from tests.unit.inspection.script import (
    ARRIVES,
    DEPARTS,
    Script,
    alarm,
    background,
    code,
    instant,
    occupancy,
    picture,
    plate,
    sample,
    scan,
    seal,
    spectrum,
    status,
    tag,
    weight,
)

PLACES = {
    "entry": Place(-12, 0.5),
    "front": Place(-6, 2, End.FRONT),
    "portal": Place(0, 0.5),
    "rear": Place(3, 2, End.REAR),
    "scanner": Place(4, 1, End.REAR),
    "exit": Place(22, 0.5),
    "n42": Place(2, 1),
}


def lane(*devices: str) -> Script:
    """A lane with those devices of PLACES, which expects nothing."""
    return Script(expects=(), places={name: PLACES[name] for name in devices or PLACES})


def ends(script: Script) -> list[tuple[str, str, list[str], list[str]]]:
    """Of each closed inspection: its id, plate, codes and seals."""
    script.said()
    return [
        (i.id, i.plate.text if i.plate else "-", [c.vote.text for c in i.container_codes], [s.number for s in i.seals])
        for i in script.closed
    ]


def test_a_sensor_far_up_the_lane_does_not_end_the_inspection_further_down() -> None:
    script = lane("entry", "front", "portal", "rear")
    script.at(10, "entry", ARRIVES).at(13, "front", plate("AAA111")).at(14, "entry", DEPARTS).at(15, "portal", ARRIVES)
    assert script.said() == ["opened by presence"]
    script.at(17, "entry", ARRIVES).at(19, "front", plate("BBB222"))
    assert script.said() == ["opened by presence"], "the first one's stays open"
    script.at(20, "portal", DEPARTS).at(21, "rear", code("CSQU3054383")).at(21, "entry", DEPARTS)
    script.at(23, "portal", ARRIVES).at(28, "portal", DEPARTS).at(29, "rear", code("MSKU0383250")).until(60)
    assert ends(script) == [
        ("inspection-1", "AAA111", ["CSQU3054383"], []),
        ("inspection-2", "BBB222", ["MSKU0383250"], []),
    ]


def test_rule_p1_a_convoy_of_four() -> None:
    script = lane("entry", "front", "portal", "scanner", "exit")
    for n in range(4):
        t = 10 + 6 * n
        script.at(t, "entry", ARRIVES).at(t + 2, "front", plate(f"AAA11{n}")).at(t + 3, "entry", DEPARTS)
        script.at(t + 4, "portal", ARRIVES)
        if n:
            script.at(t + 4.5, "scanner", seal(f"ML-100{n - 1}"))
        script.at(t + 5.5, "portal", DEPARTS)
    script.at(34, "scanner", seal("ML-1003")).until(90)
    assert ends(script) == [(f"inspection-{n + 1}", f"AAA11{n}", [], [f"ML-100{n}"]) for n in range(4)]


def test_rule_p1_what_cannot_have_got_there_is_another_vehicle() -> None:
    script = lane("entry", "portal").at(10, "entry", ARRIVES).at(10.5, "portal", ARRIVES)
    assert script.said() == ["opened by presence"] * 2


def test_rule_p2_what_a_portal_measures_is_of_the_vehicle_in_it() -> None:
    script = lane("entry", "portal").at(8, "portal", DEPARTS).at(10, "entry", ARRIVES)
    script.at(11, "portal", background(300), b"GB,000300\r\n").at(13, "entry", DEPARTS).at(14, "portal", ARRIVES).at(
        15, "entry", ARRIVES
    )
    script.at(15, "portal", sample(60), b"GS,000060\r\n").at(16, "portal", alarm(900)).at(18, "portal", DEPARTS)
    script.at(18.2, "portal", occupancy(7)).at(19, "entry", DEPARTS).at(20, "portal", ARRIVES)
    script.at(24, "portal", DEPARTS).until(60)
    raised = [d.body for d in script.drafts if isinstance(d.body, AlarmRaised)]
    assert [a.inspection_id for a in raised] == ["inspection-1"]
    script.said()
    assert [[o.number for o in i.radiation] for i in script.closed] == [[7], []]
    [profile] = [e for e in script.evidence[0] if e.kind is EvidenceKind.RADIATION_PROFILE]
    assert b"GB,000300" in profile.data
    assert b"GS,000060" in profile.data


def test_rule_p2_the_background_between_two_vehicles_is_of_the_second() -> None:
    script = lane("portal").at(10, "portal", ARRIVES).at(14, "portal", DEPARTS)
    script.at(15, "portal", background(3), b"GB,3\r\n").at(16, "portal", ARRIVES).at(19, "portal", DEPARTS).until(60)
    script.said()
    held = [
        [b"GB,3" in e.data for e in pieces if e.kind is EvidenceKind.RADIATION_PROFILE] for pieces in script.evidence
    ]
    assert held == [[], [True]]


def test_rule_p3_a_front_camera_sees_the_next_vehicle_while_one_stands_in_the_portal() -> None:
    script = lane("front", "portal").at(10, "front", plate("AAA111")).at(12, "portal", ARRIVES).until(20)
    script.at(20, "front", plate("BBB222"))
    assert script.said() == ["opened by plate", "opened by plate"]
    script.at(22, "portal", DEPARTS).at(24, "portal", ARRIVES).at(28, "portal", DEPARTS).until(60)
    assert ends(script) == [("inspection-1", "AAA111", [], []), ("inspection-2", "BBB222", [], [])]


def test_rule_p3_of_two_that_can_have_been_there_nothing_is_guessed() -> None:
    script = Script(expects=(), places={"portal": Place(0, 0.5), "reader": Place(3, 6)})
    script.at(10, "portal", ARRIVES).at(13, "portal", DEPARTS).at(13.3, "portal", ARRIVES).said()
    script.at(13.4, "reader", tag("E200"))
    script.at(13.4, "reader", plate("AAA111"))
    script.at(13.4, "reader", weight(20_000))
    assert script.said() == ["unassigned TagRead", "unassigned PlateRead", "unassigned Weight"]


def test_rule_p3_unless_the_same_text_was_read_of_one() -> None:
    script = Script(expects=(), places={"portal": Place(0, 0.5), "reader": Place(3, 6)})
    script.at(10, "portal", ARRIVES).at(11, "reader", plate("AAA111")).at(13, "portal", DEPARTS)
    script.at(13.3, "portal", ARRIVES).at(13.4, "reader", plate("AAA111")).at(16, "portal", DEPARTS).until(60)
    script.said()
    assert [(i.id, i.plate.reads if i.plate else 0) for i in script.closed] == [
        ("inspection-1", 2),
        ("inspection-2", 0),
    ]


def test_rule_p3_the_one_that_must_have_been_there() -> None:
    script = Script(expects=(), places={"entry": Place(-12, 0.5), "portal": Place(0, 0.5), "reader": Place(2, 4)})
    script.at(10, "entry", ARRIVES).at(13, "entry", DEPARTS).at(14, "portal", ARRIVES).at(15, "entry", ARRIVES)
    script.at(19, "reader", code("CSQU3054383")).at(20, "portal", DEPARTS).until(60)
    assert ends(script)[0] == ("inspection-1", "-", ["CSQU3054383"], [])


def test_rule_p3_not_one_of_which_the_device_has_read_another_text() -> None:
    script = lane("entry", "portal", "rear", "exit").at(10, "entry", ARRIVES).at(13, "entry", DEPARTS)
    script.at(14, "portal", ARRIVES).at(18, "portal", DEPARTS).at(19, "rear", code("CSQU3054383"))
    script.at(22, "exit", ARRIVES).at(30, "entry", ARRIVES).at(33, "entry", DEPARTS)  # it stands there
    script.at(34, "portal", ARRIVES).at(38, "portal", DEPARTS).said()
    script.at(58, "rear", code("MSKU0383250"))  # of the second one, which stood as well
    assert script.said() == ["unassigned ContainerCodeRead"]


@pytest.mark.parametrize(("body", "cause"), [(plate("AAA111"), "plate"), (code("CSQU3054383"), "container_code")])
def test_rule_p4_a_sighting_before_the_first_sensor_opens(body: Body, cause: str) -> None:
    script = lane("front", "portal").at(10, "front", body).at(12, "portal", ARRIVES).at(15, "portal", DEPARTS).until(60)
    assert script.said() == [f"opened by {cause}", f"closed {'AAA111' if cause == 'plate' else '-'} complete"]


def test_rule_p4_one_that_the_sensor_before_missed_is_opened_once() -> None:
    script = lane("entry", "front").at(5, "entry", ARRIVES).at(8, "entry", DEPARTS).until(30)
    assert script.said() == ["opened by presence", "closed - complete"]
    script.at(40, "front", plate("AAA111")).at(41, "front", plate("AAA111")).until(60)
    assert script.said() == ["opened by plate", "closed AAA111 complete"]


@pytest.mark.parametrize("body", [seal("ML-1"), tag("E200"), weight(20_000), Opaque("x", ()), Malformed("noise")])
def test_what_belongs_to_no_vehicle_is_reported_as_such(body: Body) -> None:
    script = lane("portal", "scanner").at(10, "scanner", body).at(11, "unplaced", body)
    reported = [] if isinstance(body, Opaque) else [f"unassigned {type(body).__name__}"]
    assert script.until(100).said() == reported * (2 if isinstance(body, (Malformed, Weight)) else 1)
    assert len(script.lane._records.context) == (2 if isinstance(body, Opaque) else 0)


def test_rule_p5_a_spectrum_comes_when_its_vehicle_is_far() -> None:
    script = lane("n42", "portal", "exit").at(10, "portal", ARRIVES).at(14, "portal", DEPARTS).at(20, "exit", ARRIVES)
    script.at(21, "n42", spectrum("Cs-137")).at(25, "exit", DEPARTS).until(60).said()
    assert [s.measurement.nuclides[0].name for s in script.closed[0].spectra] == ["Cs-137"]


def test_rule_p5_of_two_that_were_there_it_is_nobodys() -> None:
    script = lane("n42", "portal", "exit").at(10, "portal", ARRIVES).at(14, "portal", DEPARTS)
    script.at(15, "portal", ARRIVES).at(19, "portal", DEPARTS).at(20, "exit", ARRIVES).at(25, "exit", DEPARTS)
    script.at(25.4, "exit", ARRIVES).said()
    file = picture("document")
    script.until(29).said()
    script.at(29, "n42", spectrum("Cs-137"), evidence=file)
    assert [d.evidence for d in script.drafts] == [file]
    assert script.said() == ["unassigned SpectroscopicMeasurement"]


def late(script: Script, seconds: float, device: str, body: Body) -> Script:
    """A reading of a device that took its time, dated with the moment at which it looked."""
    script.drafts += script.lane.observe(Observation("late", device, "1", instant(seconds), body))
    return script


def test_rule_p6_a_reading_is_judged_by_its_own_moment() -> None:
    script = lane("entry", "front", "portal").at(10, "entry", ARRIVES).at(13, "entry", DEPARTS)
    script.at(14, "portal", ARRIVES).at(15, "entry", ARRIVES).at(18, "portal", DEPARTS)
    late(script, 12, "front", plate("AAA111"))
    late(script, 17, "front", plate("BBB222"))
    script.at(19, "entry", DEPARTS).at(20, "portal", ARRIVES).at(24, "portal", DEPARTS).until(60)
    assert [plate_ for _, plate_, _, _ in ends(script)] == ["AAA111", "BBB222"]


def test_rule_p6_after_its_inspection_closed_it_is_reported() -> None:
    script = lane("front", "portal").at(10, "portal", ARRIVES).at(14, "portal", DEPARTS).until(60)
    script.said()
    for _ in range(3):
        late(script, 9.5, "front", plate("AAA111"))
    assert script.said() == ["unassigned PlateRead of inspection-1"], "it can have been there before the portal met it"
    script = lane("front", "portal").at(9, "front", plate("AAA111")).at(10, "portal", ARRIVES)
    script.at(14, "portal", DEPARTS).until(60)
    script.said()
    for _ in range(3):
        late(script, 9.5, "front", plate("AAA112"))
    late(script, 14.1, "portal", alarm(90))
    assert script.said() == ["unassigned PlateRead of inspection-1", "alarm in inspection-1"]


def test_rule_p6_a_devices_own_clock_decides_nothing() -> None:
    script = lane("entry", "front", "portal").at(10, "entry", ARRIVES).at(13, "entry", DEPARTS)
    script.at(14, "portal", ARRIVES).at(15, "entry", ARRIVES)
    script.at(17, "front", plate("BBB222"), device_time="2031-01-01T00:00:00Z").at(18, "portal", DEPARTS)
    script.at(18.5, "entry", DEPARTS).at(19, "portal", ARRIVES).at(24, "portal", DEPARTS).until(60)
    assert [plate_ for _, plate_, _, _ in ends(script)] == ["-", "BBB222"]


def test_rule_p7_a_flicker_is_the_same_vehicle() -> None:
    script = lane("portal").at(10, "portal", ARRIVES).at(10.1, "portal", DEPARTS).at(10.2, "portal", ARRIVES)
    script.at(10.3, "portal", ARRIVES).at(14, "portal", DEPARTS).until(60)
    assert script.said() == ["opened by presence", "closed - complete"]


def test_rule_p7_a_sensor_that_was_down_finds_its_vehicle_again() -> None:
    script = lane("portal").at(10, "portal", ARRIVES).at(11, "portal", status(DeviceState.OFFLINE))
    script.at(12, "portal", status(DeviceState.ONLINE)).at(12.1, "portal", ARRIVES).at(14, "portal", DEPARTS).until(60)
    assert script.said() == ["opened by presence", "portal offline", "portal online", "closed - complete"]


def test_rule_p8_a_truck_that_reverses_in_the_lane_is_one() -> None:
    script = lane("entry", "portal", "exit").at(10, "entry", ARRIVES).at(13, "entry", DEPARTS)
    script.at(14, "portal", ARRIVES).at(18, "portal", DEPARTS).at(22, "portal", ARRIVES).at(27, "portal", DEPARTS)
    script.at(30, "exit", ARRIVES).at(34, "exit", DEPARTS).until(60)
    assert script.said() == ["opened by presence", "closed - complete"]


def test_rule_p8_a_truck_that_leaves_backwards() -> None:
    script = lane("entry", "portal").at(10, "entry", ARRIVES).at(13, "entry", DEPARTS).at(14, "portal", ARRIVES)
    script.at(18, "portal", DEPARTS).at(20, "portal", ARRIVES).at(24, "entry", ARRIVES).at(25, "portal", DEPARTS)
    assert script.at(28, "entry", DEPARTS).until(30.9).said() == ["opened by presence"]
    assert script.until(31).said() == ["closed - complete"]
    assert script.at(40, "entry", ARRIVES).said() == ["opened by presence"]


def test_rule_p8_a_sensor_that_tells_the_direction() -> None:
    script = lane("portal").at(10, "portal", ARRIVES).at(14, "portal", DEPARTS)
    script.at(15, "portal", Presence(True, Direction.BACKWARD)).at(18, "portal", DEPARTS)
    assert script.said() == ["opened by presence"]
    script.at(18.5, "portal", ARRIVES).at(22, "portal", DEPARTS).until(60)
    assert script.said() == ["closed - complete"], "and on again: what went back is met first"


def test_rule_p8_who_never_passed_a_sensor_does_not_come_back_to_it() -> None:
    script = lane("entry", "portal").at(10, "entry", ARRIVES)
    script.at(15, "portal", Presence(True, Direction.BACKWARD)).at(18, "portal", DEPARTS)
    assert script.said() == ["opened by presence"]


def test_rule_p8_without_a_sensor_before_it_is_the_next_vehicle() -> None:
    script = lane("portal").at(10, "portal", ARRIVES).at(14, "portal", DEPARTS).at(15, "portal", ARRIVES)
    assert script.said() == ["opened by presence"] * 2


def test_rule_p9_a_vehicle_is_waited_for_between_two_devices() -> None:
    script = lane("entry", "portal").at(10, "entry", ARRIVES).at(13, "entry", DEPARTS).until(23.9)
    assert script.said() == ["opened by presence"], "8 m to the portal for the front of the shortest, at 1 m/s"
    script.at(23.9, "portal", ARRIVES).at(28, "portal", DEPARTS).until(30.9)
    assert script.said() == []
    assert script.until(31).said() == ["closed - complete"]


def test_rule_p9_but_not_for_ever() -> None:
    assert lane("entry", "portal").at(10, "entry", ARRIVES).at(13, "entry", DEPARTS).until(24).said() == [
        "opened by presence",
        "closed - complete",
    ]


def test_rule_p10_a_vehicle_that_does_not_leave_and_one_that_does() -> None:
    script = lane("entry", "front", "portal").at(10, "front", plate("AAA111")).at(12, "portal", ARRIVES).until(70)
    assert script.said() == ["opened by plate", "closed AAA111 abandoned: the vehicle had not left after 60 s"]
    assert script.lane.busy
    script.at(71, "portal", sample(7), b"GS,7\r\n").at(72, "portal", occupancy()).at(73, "portal", alarm(900))
    script.at(80, "entry", ARRIVES)
    assert script.said() == [
        "unassigned RadiationOccupancy of inspection-1",
        "alarm in inspection-1",
        "opened by presence",
    ]
    assert not script.lane._records.context
    script.at(90, "portal", DEPARTS).at(92, "entry", DEPARTS).at(94, "portal", ARRIVES).at(99, "portal", DEPARTS)
    assert script.until(150).said() == ["closed - complete"]
    assert not script.lane.busy


def test_rule_p10_reads_of_it_are_reported_and_open_nothing() -> None:
    script = lane("front").at(10, "front", plate("AAA111"))
    for t in range(12, 200, 2):
        script.at(t, "front", plate("AAA111"))
    assert script.until(300).said() == [
        "opened by plate",
        "closed AAA111 abandoned: the vehicle had not left after 60 s",
        "unassigned PlateRead of inspection-1",
    ]
    assert script.lane.next_wake() is None


def test_rule_p11_of_a_sensor_that_is_down_nothing_follows() -> None:
    script = lane("entry", "portal").at(5, "entry", ARRIVES).at(8, "entry", DEPARTS).at(10, "portal", ARRIVES)
    script.at(14, "portal", DEPARTS).at(14, "entry", status(DeviceState.OFFLINE)).at(16, "portal", ARRIVES)
    assert script.said() == ["opened by presence", "entry offline", "opened by presence"], "it came unseen"


def test_a_scan_is_of_the_vehicle_whose_number_it_states() -> None:
    script = lane("front", "portal").at(10, "front", plate("AAA111")).at(12, "portal", ARRIVES)
    script.at(20, "front", plate("BBB222")).at(21, "x-ray", scan("S-1", "AAA111")).at(22, "portal", DEPARTS).until(60)
    assert "scan S-1 by number in inspection-1" in script.said()
    assert [[s.scan.scan_id for s in i.scans] for i in script.closed] == [["S-1"], []]


def test_a_scale_that_nobody_is_on_says_nothing() -> None:
    script = Script(expects=(), places={"portal": Place(0, 0.5), "scale": Place(0, 9)})
    assert script.at(10, "scale", weight(20)).said() == []
    script.at(11, "portal", ARRIVES).at(12, "scale", weight(30_000)).at(15, "portal", DEPARTS).until(60).said()
    assert [w.weight.kg for w in script.closed[0].weights] == [30_000]


def test_a_row_is_bounded() -> None:
    script = lane("entry")
    for n in range(MAX_ROW + 2):
        script.at(10 + n * 0.05, "entry", ARRIVES)
        script.lane._traffic.lost("entry")
        script.lane._traffic._lost.clear()  # type: ignore[attr-defined]
    given_up = [d.body.inspection.outcome for d in script.drafts if isinstance(d.body, InspectionClosed)]
    assert [str(o) for o in given_up] == [f"Abandoned(why='{MAX_ROW} vehicles came after it')"] * 2


def test_departures_of_nobody_say_nothing() -> None:
    assert lane("portal").at(10, "portal", DEPARTS).said() == []


def test_the_agent_stops_with_two_in_the_lane() -> None:
    script = lane("entry", "front", "portal").at(10, "front", plate("AAA111")).at(12, "portal", ARRIVES)
    script.at(20, "front", plate("BBB222")).said()
    script.drafts += script.lane.stop(instant(21), "the agent was stopped")
    assert script.said() == [f"closed {p} abandoned: the agent was stopped" for p in ("AAA111", "BBB222")]
