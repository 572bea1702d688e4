"""Which vehicle a scan belongs to: by number, by time, or to none that the booth knows."""

import pytest

from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.inspection import Expected, ScanJoin
from tests.unit.inspection.script import ARRIVES, DEPARTS, Script, code, instant, plate, scan

PICTURE = (Evidence(EvidenceKind.SCAN, "application/dicom", b"DICM"),)


def two_vehicles() -> Script:
    """The first from 10 to 18 s, the second from 30 to 38 s; each closes 3 s later."""
    script = Script(expects=())
    for start, number, container in ((10, "AAA111", "CSQU3054383"), (30, "BBB222", "TCNU7200794")):
        script.at(start, "portal", ARRIVES).at(start + 1, "front", plate(number)).at(start + 2, "rear", code(container))
        script.at(start + 8, "portal", DEPARTS)
    script.until(45).said()
    return script


def at(seconds: float) -> str:
    return instant(seconds).utc.isoformat()


def test_rule_13_while_the_vehicle_is_in_the_lane() -> None:
    script = Script(expects=(Expected.SCAN,)).at(10, "portal", ARRIVES).at(12, "x-ray", scan("s1"), evidence=PICTURE)
    assert script.drafts[-1].evidence == PICTURE, "it is committed at once, with its file"
    script.at(13, "portal", DEPARTS).until(30)
    assert script.said() == ["opened by presence", "scan s1 by time in inspection-1", "closed - complete"]
    [seen] = script.closed[0].scans
    assert (seen.scan.scan_id, seen.how, seen.files) == ("s1", ScanJoin.TIME, (PICTURE[0].ref,))


def test_rule_13_a_scan_that_comes_a_minute_later_names_its_vehicle() -> None:
    script = two_vehicles().at(80, "x-ray", scan("s1", "CSQU 305438-3"))
    assert script.said() == ["scan s1 by number in inspection-1"]


def test_the_plate_will_do_as_well() -> None:
    assert two_vehicles().at(80, "x-ray", scan("s1", "bbb-222")).said() == ["scan s1 by number in inspection-2"]


def test_the_number_wins_over_the_time() -> None:
    script = two_vehicles().at(80, "x-ray", scan("s1", "AAA111"), device_time=at(34))
    assert script.said() == ["scan s1 by number in inspection-1"]


def test_the_vehicle_that_came_last_with_a_number_has_it() -> None:
    script = two_vehicles().at(60, "portal", ARRIVES).at(61, "front", plate("AAA111"))
    script.said()
    assert script.at(62, "x-ray", scan("s1", "AAA111")).said() == ["scan s1 by number in inspection-3"]


def test_by_the_time_at_which_it_was_taken() -> None:
    script = (
        two_vehicles().at(80, "x-ray", scan("s1"), device_time=at(14)).at(81, "x-ray", scan("s2"), device_time=at(33))
    )
    assert script.said() == ["scan s1 by time in inspection-1", "scan s2 by time in inspection-2"]


@pytest.mark.parametrize(
    "taken", ["2026-01-01T01:00:14+01:00", "20260101000014.000000+0000", "20251231190014-0500", "2026-01-01T00:00:14Z"]
)
def test_times_as_scanners_write_them(taken: str) -> None:
    assert two_vehicles().at(80, "x-ray", scan("s1"), device_time=taken).said() == ["scan s1 by time in inspection-1"]


@pytest.mark.parametrize("taken", ["20260101000014.000000", "yesterday", "9999-12-31T23:59:59-14:00", "\x00"])
def test_times_that_say_nothing(taken: str) -> None:
    assert two_vehicles().at(80, "x-ray", scan("s1"), device_time=taken).said() == ["scan s1 by none in no inspection"]


def test_clocks_may_differ_by_some_seconds() -> None:
    assert two_vehicles().at(80, "x-ray", scan("s1"), device_time=at(6)).said() == ["scan s1 by time in inspection-1"]


def test_a_time_without_an_offset_says_nothing() -> None:
    script = two_vehicles().at(80, "x-ray", scan("s1"), device_time=instant(14).utc.replace(tzinfo=None).isoformat())
    assert script.said() == ["scan s1 by none in no inspection"]


def test_two_vehicles_could_be_meant_so_none_is() -> None:
    assert two_vehicles().at(80, "x-ray", scan("s1")).said() == ["scan s1 by none in no inspection"]


def test_without_a_time_the_only_vehicle_of_the_last_minutes() -> None:
    script = two_vehicles()
    assert script.at(145, "x-ray", scan("s1")).said() == ["scan s1 by time in inspection-2"]
    assert script.at(170, "x-ray", scan("s2")).said() == ["scan s2 by none in no inspection"]


def test_a_number_that_was_read_on_nobody_does_not_stand_against_the_time() -> None:
    script = two_vehicles().at(80, "x-ray", scan("s1", "ZZZ999"), device_time=at(33))
    added = "found later in inspection-2: scan_other"
    assert script.said() == ["scan s1 by time in inspection-2", added]


def test_rule_13_a_scan_that_comes_before_its_vehicle() -> None:
    script = Script(expects=()).at(1, "x-ray", scan("s1", "AAA111"), evidence=PICTURE)
    assert script.said() == ["scan s1 by none in no inspection"]
    script.at(10, "portal", ARRIVES).at(11, "front", plate("AAA111")).at(12, "portal", DEPARTS).until(30).said()
    [seen] = script.closed[0].scans
    assert (seen.scan.scan_id, seen.how, seen.files) == ("s1", ScanJoin.NUMBER, (PICTURE[0].ref,))
    script.at(40, "portal", ARRIVES).at(41, "front", plate("AAA111")).at(42, "portal", DEPARTS).until(60).said()
    assert script.closed[0].scans == (), "joined once"


def test_what_is_remembered_is_bounded() -> None:
    script = Script(expects=())
    for number in range(200):
        start = 10 + number * 20
        script.at(start, "x-ray", scan(f"early-{number}", f"NONE{number}"), device_time=at(0))
        script.at(start + 1, "portal", ARRIVES).at(start + 2, "front", plate(f"AAA{number:03d}"))
        script.at(start + 3, "portal", DEPARTS).until(start + 15).said()
    assert script.at(5000, "x-ray", scan("s1", "AAA199")).said() == ["scan s1 by number in inspection-200"]
    assert script.at(5000, "x-ray", scan("s2", "AAA100")).said() == ["scan s2 by none in no inspection"]
