"""The lane's rules, by their numbers in edge_agent/inspection/lane.py."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.domain.event import AlarmRaised, DeviceChanged, InspectionClosed, Unassigned
from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.inspection import Expected
from edge_agent.domain.observation import (
    Body,
    DeviceFault,
    DeviceState,
    DeviceStatus,
    FaultKind,
    Malformed,
    Observation,
    Opaque,
    RadiationAlarm,
    RadiationSample,
)
from edge_agent.inspection.profile import radiation_profile, raw_capture
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
    seal,
    status,
)


def whole_truck(script: Script, t: float, text: str) -> None:
    script.at(t, "portal", ARRIVES).at(t + 0.5, "front", plate(text)).at(t + 1, "rear", code("CSQU3054383"))
    script.at(t + 1.5, "scanner", seal("ML-1234567")).at(t + 2, "portal", occupancy()).at(t + 2, "portal", DEPARTS)


def test_rule_1_presence_opens() -> None:
    assert Script().at(10, "portal", ARRIVES).said() == ["opened by presence"]


@pytest.mark.parametrize(("body", "cause"), [(plate("ABC123"), "plate"), (code("CSQU3054383"), "container_code")])
def test_rule_1_a_sighting_opens(body: Body, cause: str) -> None:
    assert Script().at(10, "front", body).said() == [f"opened by {cause}"]


def test_rules_2_and_3_one_vehicle() -> None:
    script = Script()
    whole_truck(script, 10, "ABC123")
    assert script.said() == ["opened by presence"]
    assert script.until(14.9).said() == []
    assert script.until(15.0).said() == ["closed ABC123 complete"]
    [inspection] = script.closed
    assert [c.vote.text for c in inspection.container_codes] == ["CSQU3054383"]
    assert [s.number for s in inspection.seals] == ["ML-1234567"]
    assert len(inspection.radiation) == 1
    assert inspection.observations == 6
    assert inspection.opened == instant(10)
    assert not script.lane.busy


def test_rule_3_a_late_sighting_holds_it_open() -> None:
    script = Script(expects=(Expected.PLATE,)).at(10, "portal", ARRIVES).at(12, "portal", DEPARTS)
    script.at(14, "front", plate("ABC123")).until(16.9)
    assert script.said() == ["opened by presence"]
    assert script.until(17).said() == ["closed ABC123 complete"]


def test_rule_4_tailgating() -> None:
    script = Script(expects=(Expected.PLATE,))
    script.at(10, "portal", ARRIVES).at(11, "front", plate("AAA111")).at(12, "portal", DEPARTS)
    script.at(13, "portal", ARRIVES).at(14, "front", plate("BBB222")).at(15, "portal", DEPARTS).until(30)
    assert script.said() == [
        "opened by presence",
        "closed AAA111 complete",
        "opened by presence",
        "closed BBB222 complete",
    ]


def test_rule_4_a_sighting_before_the_portal_is_the_same_vehicle() -> None:
    script = Script(expects=(Expected.PLATE,))
    script.at(9, "front", plate("AAA111")).at(10, "portal", ARRIVES).at(12, "portal", DEPARTS).until(30)
    assert script.said() == ["opened by plate", "closed AAA111 complete"]


def test_rule_4_the_same_device_says_occupied_twice() -> None:
    script = Script(expects=()).at(10, "portal", ARRIVES).at(11, "portal", ARRIVES).at(12, "portal", DEPARTS).until(30)
    assert script.said() == ["opened by presence", "closed - complete"]


def test_rule_5_a_portal_that_goes_down_does_not_hold_it_open() -> None:
    script = Script(expects=(Expected.RADIATION,)).at(10, "portal", ARRIVES)
    script.at(11, "portal", status(DeviceState.OFFLINE, "the connection was closed")).until(30)
    assert script.said() == [
        "opened by presence",
        "portal offline",
        "closed - without radiation (could_not_look)",
    ]
    [inspection] = script.closed
    assert "the connection was closed" in str(inspection.outcome)


def test_rule_6_a_vehicle_that_does_not_leave() -> None:
    script = Script(expects=()).at(10, "portal", ARRIVES).at(11, "front", plate("AAA111")).until(200)
    assert script.said() == ["opened by presence", "closed AAA111 abandoned: the vehicle had not left after 60 s"]
    for t in range(200, 230):
        script.at(t, "front", plate("AAA111"))
    script.at(230, "portal", alarm(900))
    assert script.said() == ["unassigned PlateRead", "alarm in no inspection"]
    script.at(231, "portal", DEPARTS).until(240).at(250, "front", plate("AAA111"))
    assert script.said() == ["opened by plate"]


def test_rule_6_a_blocked_lanes_samples_are_not_of_the_next_vehicle() -> None:
    script = Script(expects=()).at(10, "portal", ARRIVES).until(100).at(101, "portal", sample(7, 7), b"GS,7\r\n")
    script.at(102, "portal", DEPARTS).until(110).at(111, "portal", background(3, 3), b"GB,3\r\n").said()
    script.at(120, "portal", ARRIVES).at(122, "portal", DEPARTS).until(130).said()
    [evidence] = script.evidence
    [profile] = [e for e in evidence if e.kind is EvidenceKind.RADIATION_PROFILE]
    assert b"GB,3" in profile.data
    assert b"GS,7" not in profile.data


def test_rule_6_misreadings_do_not_fill_the_ledger() -> None:
    script = Script(expects=()).at(10, "portal", ARRIVES).until(100)
    script.said()
    for t in range(100, 300):
        script.at(t, "front", plate(f"NOISE{t}"))
    assert script.said() == ["unassigned PlateRead"] * 32


def test_rule_6_the_next_presence_ends_the_blockade() -> None:
    script = Script(expects=()).at(10, "portal", ARRIVES).until(100).at(101, "portal", DEPARTS)
    script.at(101.5, "portal", ARRIVES)
    assert script.said()[-1] == "opened by presence"


def test_rule_7_a_read_that_comes_too_late() -> None:
    script = Script(expects=())
    whole_truck(script, 10, "AAA111")
    script.until(15).said()
    late = instant(14.5)
    observation = script.observed[1]
    for _ in range(3):
        script.drafts += script.lane.observe(type(observation)("late", "front", "1", late, plate("AAA111"), b"", ()))
    assert script.said() == ["unassigned PlateRead of inspection-1"]


def test_rule_7_nor_does_it_belong_to_the_next_vehicle() -> None:
    script = Script(expects=(Expected.PLATE,))
    whole_truck(script, 10, "AAA111")
    script.at(15.5, "portal", ARRIVES).said()
    late = Observation("late", "front", "1", instant(14.5), plate("AAA111", 1.0))
    script.drafts += script.lane.observe(late)
    script.at(16, "front", plate("BBB222", 0.5)).at(17, "portal", DEPARTS).until(30)
    assert script.said() == ["unassigned PlateRead of inspection-1", "closed BBB222 complete"]


def test_rule_8_a_seal_without_a_vehicle() -> None:
    script = Script().at(10, "scanner", seal("ML-1234567"))
    assert script.until(13).said() == ["unassigned SealRead"]
    for t in range(14, 65):
        script.at(t, "scanner", seal("ML-1234567"))
    assert script.at(65, "scanner", seal("ML-7654321")).until(69).said() == ["unassigned SealRead"]
    assert script.at(71, "scanner", seal("ML-1234567")).until(74).said() == ["unassigned SealRead"]


def test_rule_9_an_alarm_does_not_wait() -> None:
    script = (
        Script().at(10, "portal", ARRIVES).at(10.2, "portal", sample(900, 1, 1, 1, in_alarm=True), b"GA,000900\r\n")
    )
    script.at(10.2, "portal", alarm(900, 1, 1, 1))
    raised = [d.body for d in script.drafts if isinstance(d.body, AlarmRaised)]
    assert script.said() == ["opened by presence", "alarm in inspection-1"]
    assert raised[0].raw == b"GA,000900\r\n"
    assert Script().at(10, "portal", alarm(900, 1, 1, 1)).said() == ["alarm in no inspection"]


def test_rule_9_a_device_reports_a_fault() -> None:
    script = Script().at(10, "portal", DeviceFault(FaultKind.TAMPER, True, "cabinet open"))
    assert script.said() == ["portal tamper"]


def test_rule_10_garbage_is_reported_once_a_minute() -> None:
    script = Script()
    for t in range(10, 100):
        script.at(t, "portal", Malformed("no such tag"), b"\xff")
    reports = [d.body.observation.body for d in script.drafts if isinstance(d.body, Unassigned)]
    assert reports == [Malformed("no such tag"), Malformed("no such tag (and 59 more since the last report)")]


def test_garbage_during_an_inspection_goes_into_its_capture() -> None:
    script = Script(expects=()).at(10, "portal", ARRIVES).at(11, "portal", Malformed("no such tag"), b"\xff\xfe")
    script.at(12, "portal", DEPARTS).until(20)
    assert script.said() == ["opened by presence", "closed - complete"]
    [evidence] = script.evidence
    [capture] = [e for e in evidence if e.kind is EvidenceKind.RAW_CAPTURE]
    assert [json.loads(line)["raw"] for line in capture.data.splitlines()] == ["", "fffe", ""]


def test_a_flood_does_not_push_the_portals_samples_out_of_the_evidence() -> None:
    script = Script(expects=()).at(10, "portal", ARRIVES)
    for kind in (Malformed("no such tag"), Opaque("barcode", ("x",))):
        for _ in range(11_000):
            script.at(11, "scanner", kind, b"\xff" * 200)
    script.at(12, "portal", sample(7, 8), b"GS,000007,000008\r\n").at(13, "portal", DEPARTS).until(20).said()
    [evidence] = script.evidence
    [profile] = [e for e in evidence if e.kind is EvidenceKind.RADIATION_PROFILE]
    assert b"GS,000007,000008" in profile.data
    assert script.closed[0].observations == 22_003, "what is not kept is counted"


def test_a_flood_during_an_inspection_does_not_fill_its_capture() -> None:
    script = Script(expects=()).at(10, "portal", ARRIVES)
    for _ in range(1000):
        script.at(11, "scanner", Malformed("noise"), b"\xff" * 8192)
    script.at(12, "portal", DEPARTS).until(20).said()
    [inspection], [evidence] = script.closed, script.evidence
    [capture] = [e for e in evidence if e.kind is EvidenceKind.RAW_CAPTURE]
    assert inspection.observations == 1002
    assert len(capture.data.splitlines()) == 2 + 2 * 1024 * 1024 // 8192
    assert len(capture.data) < 8 * 1024 * 1024


def test_not_seen_and_could_not_look_are_different() -> None:
    script = Script(connected=False)
    for device in ("front", "rear", "portal"):
        script.at(0, device, status(DeviceState.ONLINE))
    script.at(1, "scanner", status(DeviceState.WAITING)).at(2, "rear", status(DeviceState.FAILED, "model broken"))
    script.said()
    script.at(10, "portal", ARRIVES).at(12, "portal", DEPARTS).until(30)
    assert script.said()[-1] == (
        "closed - without plate (not_seen), container_code (could_not_look), seal (not_seen), radiation (not_seen)"
    )


def test_a_portal_that_only_waits_could_not_look() -> None:
    script = Script(connected=False, expects=(Expected.RADIATION,))
    script.at(0, "portal", status(DeviceState.WAITING)).at(10, "front", plate("A1")).until(30)
    assert script.said()[-1] == "closed A1 without radiation (could_not_look)"


def test_a_device_that_never_connected_could_not_look() -> None:
    script = Script(connected=False, expects=(Expected.SEAL,)).at(10, "front", plate("A1")).until(30)
    assert script.said()[-1] == "closed A1 without seal (could_not_look)"
    [inspection] = script.closed
    assert "has not connected" in str(inspection.outcome)


def test_no_device_for_what_is_expected() -> None:
    script = Script(expects=(Expected.PLATE,))
    script.lane._records.providers.pop("front")
    script.at(10, "portal", ARRIVES).at(12, "portal", DEPARTS).until(30)
    assert script.said()[-1] == "closed - without plate (could_not_look)"


def test_the_profile_begins_with_the_background_before_the_vehicle() -> None:
    script = Script(expects=()).at(5, "portal", background(300, 310), b"GB,000300,000310\r\n")
    script.at(6, "portal", Opaque("NC", ("1",)), b"NC,1\r\n")
    script.at(10, "portal", ARRIVES).at(10, "portal", sample(60, 61), b"GS,000060,000061\r\n")
    script.at(12, "portal", DEPARTS).until(20).said()
    [evidence] = script.evidence
    [profile] = [e for e in evidence if e.kind is EvidenceKind.RADIATION_PROFILE]
    lines = profile.data.decode().splitlines()
    assert lines[1].endswith('gamma,background,0,1,300 310,"GB,000300,000310"')
    assert lines[2].endswith('gamma,occupied,0,0.2,60 61,"GS,000060,000061"')
    assert len(lines) == 3


def test_the_line_that_alarmed_is_in_the_profile() -> None:
    script = Script(expects=()).at(10, "portal", ARRIVES).at(10, "portal", alarm(900, 1), b"GA,000900,000001\r\n")
    script.at(10, "portal", sample(900, 1, in_alarm=True)).at(12, "portal", DEPARTS).until(20).said()
    [evidence] = script.evidence
    [profile] = [e for e in evidence if e.kind is EvidenceKind.RADIATION_PROFILE]
    assert profile.data.decode().splitlines()[1].endswith('gamma,occupied,1,0.2,900 1,"GA,000900,000001"')


def test_pictures_are_those_of_the_best_read() -> None:
    script = Script(expects=()).at(10, "front", plate("ABC123", 0.7), evidence=picture("dim"))
    script.at(11, "front", plate("ABC123", 0.95), evidence=picture("sharp"))
    script.at(12, "front", plate("ABC128", 0.6), evidence=picture("wrong")).until(30).said()
    [evidence] = script.evidence
    assert [e.data for e in evidence if e.kind is EvidenceKind.FRAME] == [b"sharp"]


def test_the_agent_stops_in_mid_vehicle() -> None:
    script = Script().at(10, "portal", ARRIVES).at(11, "front", plate("ABC123"))
    script.drafts += script.lane.stop(instant(12), "the agent was stopped")
    assert script.said() == ["opened by presence", "closed ABC123 abandoned: the agent was stopped"]
    assert script.lane.stop(instant(13), "again") == []


def test_an_inspection_without_observations_or_evidence() -> None:
    assert raw_capture([]) is None
    assert radiation_profile([]) is None


def test_the_devices_own_stamp_is_kept() -> None:
    observation = Observation("o", "portal", "1", instant(1), ARRIVES, b"", (), "2016-05-31 09:30:00.899 -07")
    capture = raw_capture([observation])
    assert capture is not None
    assert json.loads(capture.data)["device_time"] == "2016-05-31 09:30:00.899 -07"


def test_waking_too_early_changes_nothing() -> None:
    script = Script().at(10, "portal", ARRIVES)
    assert script.lane.woke(instant(11)) == []
    assert Script().lane.woke(instant(11)) == []


_BODIES = st.sampled_from(
    [
        ("portal", ARRIVES),
        ("portal", DEPARTS),
        ("portal", sample(10, 10)),
        ("portal", alarm(90, 90)),
        ("portal", occupancy()),
        ("portal", Opaque("NC", ("1",))),
        ("portal", status(DeviceState.OFFLINE)),
        ("portal", status(DeviceState.ONLINE)),
        ("front", plate("AAA111")),
        ("front", plate("BBB222")),
        ("rear", code("CSQU3054383")),
        ("scanner", seal("ML-1234567")),
        ("scanner", seal("ML-7654321")),
    ]
)


REPEATED = [plate("AAA111"), plate("BBB222"), code("CSQU3054383"), seal("ML-1234567"), seal("ML-7654321")]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 40), _BODIES), max_size=40))
def test_no_observation_is_lost_or_doubled(happenings: list[tuple[float, tuple[str, Body]]]) -> None:
    """Each is in exactly one capture, or an event of its own, or still the lane's context, or a known repeat."""
    script = Script()
    script.observed.clear()
    of_a_blocked_lane: set[str] = set()
    now = 1.0
    for gap, (device, body) in happenings:
        now += gap
        script.at(now, device, body)
        if script.lane._traffic.blocked_for(script.observed[-1]) and isinstance(body, (RadiationSample, Opaque)):
            of_a_blocked_lane.add(script.observed[-1].id)
    script.until(now + 1000)
    script.drafts += script.lane.stop(instant(now + 1000), "end")
    captured: list[str] = []
    events = {DeviceStatus: 0, RadiationAlarm: 0}
    unassigned: list[str] = []
    opened = 0
    for draft in script.drafts:
        match draft.body:
            case InspectionClosed():
                opened -= 1
                for evidence in draft.evidence:
                    if evidence.kind is EvidenceKind.RAW_CAPTURE:
                        captured += [json.loads(line)["id"] for line in evidence.data.splitlines()]
            case Unassigned():
                unassigned.append(draft.body.observation.id)
            case DeviceChanged():
                events[DeviceStatus] += 1
            case AlarmRaised():
                events[RadiationAlarm] += 1
            case _:
                opened += 1
    assert opened == 0, "every opened inspection is closed once"
    assert len(captured) == len(set(captured))
    for kind, number in events.items():
        assert number == sum(isinstance(o.body, kind) for o in script.observed)
    context = [o.id for o in script.lane._records.context]
    accounted = {*captured, *unassigned, *context, *of_a_blocked_lane}
    for o in script.observed:
        own_event = isinstance(o.body, (DeviceStatus, RadiationAlarm))
        repeat = o.body in REPEATED
        assert o.id in accounted or own_event or o.body == DEPARTS or (repeat and unassigned), o
