"""What a lane finds: at the close of an inspection, in its record, and later as events of their own."""

from edge_agent.domain.event import FindingsAdded
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.expected import ExpectationMatch, MatchOutcome
from edge_agent.domain.finding import Recommendation
from edge_agent.domain.inspection import Inspection
from edge_agent.domain.observation import DeviceState
from edge_agent.domain.sentences import say
from edge_agent.inspection.records import MAX_UNCOMPARED
from tests.unit.inspection.facts import matched
from tests.unit.inspection.script import (
    ARRIVES,
    DEPARTS,
    Script,
    alarm,
    code,
    instant,
    occupancy,
    picture,
    plate,
    sample,
    scan,
    seal,
    status,
)

CODE = "CSQU3054383"


def passes(script: Script, *, container: str = CODE) -> Inspection:
    script.at(1, "portal", ARRIVES).at(2, "front", plate("ABC123"))
    script.at(2, "rear", code(container), evidence=picture(container)).at(3, "scanner", seal("ML-1"))
    script.at(3, "portal", sample(1)).at(4, "portal", occupancy()).at(4, "portal", DEPARTS).until(20).said()
    [inspection] = script.closed
    return inspection


def test_an_uneventful_passage() -> None:
    inspection = passes(Script())
    assert (inspection.findings, inspection.recommendation) == ((), Recommendation.RELEASE)
    assert inspection.expectation is None


def test_an_alarm_with_its_portal_and_its_profile() -> None:
    script = Script().at(1, "portal", ARRIVES).at(2, "front", plate("ABC123")).at(2, "portal", alarm(9))
    script.at(3, "portal", sample(9, in_alarm=True)).at(4, "portal", occupancy(1, gamma_alarm=True))
    script.at(4, "portal", DEPARTS).until(20).said()
    [inspection], [evidence] = script.closed, script.evidence
    assert [one.key for one in inspection.findings] == [
        "radiation_alarm.gamma",
        "radiation_disagreement.device",
        "seal_missing.lane",
    ]
    profile = next(e for e in evidence if e.kind is EvidenceKind.RADIATION_PROFILE)
    assert (inspection.findings[0].devices, inspection.findings[0].evidence) == (("portal",), (profile.sha256,))
    assert inspection.recommendation is Recommendation.HOLD


def test_an_alarm_alone() -> None:
    script = Script().at(1, "portal", ARRIVES).at(2, "portal", alarm(9)).at(4, "portal", DEPARTS).until(20)
    script.said()
    assert "radiation_alarm.gamma" in [one.key for one in script.closed[0].findings]


def test_a_wrong_check_digit_with_its_picture() -> None:
    inspection = passes(Script(), container="CSQU3054384")
    [one] = inspection.findings
    assert (one.key, one.devices) == ("check_digit", ("rear",))
    assert one.evidence == (Evidence(EvidenceKind.FRAME, "image/jpeg", b"CSQU3054384").sha256,)


def test_a_device_that_went_down_meanwhile() -> None:
    script = Script().at(1, "portal", ARRIVES).at(2, "scanner", status(DeviceState.OFFLINE, "no route"))
    script.at(4, "portal", occupancy()).at(4, "portal", DEPARTS).until(20).said()
    [inspection] = script.closed
    assert [say(one) for one in inspection.findings] == ["scanner could not look: offline: no route."]
    script.at(30, "scanner", status(DeviceState.ONLINE))
    script.at(31, "portal", ARRIVES).at(32, "portal", occupancy()).at(32, "portal", DEPARTS).until(60).said()
    assert [one.key for one in script.closed[0].findings] == ["seal_missing.lane"]


def test_what_is_expected_stands_in_the_record() -> None:
    script = Script()
    match = matched(("container_code", "MSKU0383250", CODE, "other"))
    inspection = script.lane.compared(passes(script), match)
    assert inspection.expectation == match
    assert [one.key for one in inspection.findings] == ["container_other.declared"]
    assert inspection.findings[0].evidence == (Evidence(EvidenceKind.FRAME, "image/jpeg", CODE.encode()).sha256,)


def test_a_seal_that_is_declared_is_missed_once() -> None:
    script = Script().at(1, "portal", ARRIVES).at(4, "portal", occupancy()).at(4, "portal", DEPARTS).until(20)
    script.said()
    [inspection] = script.closed
    assert [one.key for one in inspection.findings] == ["seal_missing.lane"]
    compared = script.lane.compared(inspection, matched(("seal", "ML1", "", "not_read")))
    assert [one.key for one in compared.findings] == ["seal_missing.declared"]


def test_an_announcement_that_comes_late() -> None:
    script = Script()
    none = ExpectationMatch(MatchOutcome.NONE)
    assert [one.key for one in script.lane.compared(passes(script), none).findings] == ["no_expectation"]
    script.lane.expectations_changed()
    assert script.lane.looking
    [draft] = script.lane.announced(lambda _: matched(), instant(67))
    assert not script.lane.looking
    assert isinstance(draft.body, FindingsAdded)
    assert (draft.body.inspection_id, [one.key for one in draft.body.findings]) == (
        "inspection-1",
        ["late_expectation"],
    )


def test_a_lane_that_is_told_nothing() -> None:
    script = Script()
    inspection = script.lane.compared(passes(script), None)
    assert (inspection.expectation, inspection.findings) == (None, ())
    script.lane.expectations_changed()
    assert script.lane.announced(lambda _: matched(), instant(67)) == []


def test_what_was_seen_is_found_whether_it_was_compared_or_not() -> None:
    script = Script()
    wrong = passes(script, container="CSQU3054384")
    for _ in range(2):  # the second time the lane has forgotten what it knew
        judged = script.lane.compared(wrong, None)
        assert judged.findings == wrong.findings
    assert wrong.findings[0].evidence != ()


def test_of_a_row_that_closes_at_once_each_is_compared() -> None:
    script = Script()
    for number in range(MAX_UNCOMPARED + 2):
        script.at(100 * number, "portal", ARRIVES).at(100 * number + 1, "portal", DEPARTS)
    script.until(100 * number + 50).said()
    assert len(script.closed) == MAX_UNCOMPARED + 2
    assert all(script.lane.compared(one, None).findings == one.findings for one in script.closed)


def test_a_late_scan_that_states_another_number() -> None:
    script = Script()
    passes(script)
    script.at(30, "x-ray", scan("s1", "XYZ999"))
    assert script.said() == ["scan s1 by time in inspection-1", "found later in inspection-1: scan_other"]
    script.at(40, "x-ray", scan("s2", "ABC-123"))
    assert script.said() == ["scan s2 by number in inspection-1"]


def test_a_scan_in_time_is_judged_with_its_vehicle() -> None:
    script = Script().at(1, "portal", ARRIVES).at(2, "front", plate("ABC123")).at(3, "x-ray", scan("s1", "XYZ999"))
    assert script.said()[-1] == "scan s1 by time in inspection-1"
    script.at(3, "scanner", seal("ML-1")).at(4, "portal", occupancy()).at(4, "portal", DEPARTS).until(20).said()
    assert [one.key for one in script.closed[0].findings] == ["scan_other"]


def test_a_vehicle_that_is_given_up() -> None:
    script = Script().at(1, "portal", ARRIVES).at(2, "portal", alarm(9))
    drafts = script.lane.stop(instant(5), "stopped")
    [inspection] = [d.body.inspection for d in drafts if hasattr(d.body, "inspection")]
    assert [one.key for one in inspection.findings] == ["radiation_alarm.gamma"]
