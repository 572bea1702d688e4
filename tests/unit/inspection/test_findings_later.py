"""What becomes known of a vehicle after its inspection has closed."""

from dataclasses import replace

from edge_agent.domain.event import Draft, FindingsAdded, ScanReceived
from edge_agent.domain.expected import ExpectationMatch, MatchOutcome
from edge_agent.domain.finding import Cause, Identifier, Origin
from edge_agent.domain.inspection import Abandoned, Complete, Inspection, Outcome, ScanJoin, ScanSeen
from edge_agent.domain.sentences import say
from edge_agent.inspection.findings import LOOK_AT_ONCE, MAX_REMEMBERED, Later, judge
from edge_agent.inspection.rules import TABLE, Rules
from tests.unit.inspection.facts import CODE, OTHER_CODE, facts, limited, matched, record
from tests.unit.inspection.script import instant, scan

COMPLETE = Complete()
NONE = ExpectationMatch(MatchOutcome.NONE)
OTHER = matched(("container_code", OTHER_CODE, CODE, "other"))


def received(number: str, inspection_id: str = "i", how: ScanJoin = ScanJoin.TIME) -> ScanReceived:
    return ScanReceived(inspection_id, "1", ScanSeen(scan("s1", number), "x-ray", instant(20), how))


def left(rules: Rules, match: ExpectationMatch = NONE, outcome: Outcome = COMPLETE) -> Later:
    later = Later(rules, "1")
    known = facts(record(CODE, plate="ABC123", outcome=outcome), match)
    known = replace(known, inspection=judge(rules, known))
    later.closed(known)
    later.compared(known)
    later.changed()
    return later


def test_a_scan_that_states_another_number() -> None:
    later = left(Rules())
    [draft] = later.scan_came(received("XYZ999"), instant(20))
    body = draft.body
    assert isinstance(body, FindingsAdded)
    assert (body.inspection_id, body.lane_id, body.origin, body.cause) == ("i", "1", Origin.BOOTH, Cause.SCAN)
    assert [one.rule for one in body.findings] == ["scan_other"]
    assert draft.at == instant(20)
    assert later.scan_came(received("ABC123"), instant(20)) == []
    assert later.scan_came(received("XYZ999", how=ScanJoin.NUMBER), instant(20)) == []


def test_a_scan_of_no_vehicle_that_left() -> None:
    later = left(Rules())
    assert later.scan_came(received("XYZ999", "another"), instant(20)) == []
    assert later.scan_came(received("XYZ999", ""), instant(20)) == []


def test_the_rule_on_scans_can_be_off_or_of_one_scanner() -> None:
    assert left(Rules({})).scan_came(received("XYZ999"), instant(20)) == []
    of_another = Rules({"scan_other": replace(TABLE["scan_other"], devices=frozenset({"dicom"}))})
    assert left(of_another).scan_came(received("XYZ999"), instant(20)) == []


def test_a_crossing_that_is_announced_after_its_vehicle() -> None:
    later = left(Rules())
    [draft] = later.announced(lambda _: OTHER, instant(69))
    body = draft.body
    assert isinstance(body, FindingsAdded)
    assert (body.origin, body.cause) == (Origin.BOOTH, Cause.EXPECTATION)
    assert [say(one) for one in body.findings] == [
        f"The container {CODE} was read; {OTHER_CODE} is declared.",
        "The port announced this crossing 60 s after the vehicle had left.",
    ]
    assert body.findings[1].identifiers == (Identifier("expectation", "x-1"),)
    assert later.announced(lambda _: OTHER, instant(70)) == []  # said once


def test_several_that_are_announced_after_their_vehicle_and_fit_alike() -> None:
    later = left(Rules())
    [draft] = later.announced(lambda _: ExpectationMatch(MatchOutcome.AMBIGUOUS, ("x-1", "x-2")), instant(69))
    assert isinstance(draft.body, FindingsAdded)
    assert [(one.rule, [named.text for named in one.identifiers]) for one in draft.body.findings] == [
        ("ambiguous_match", ["x-1", "x-2"]),
        ("late_expectation", ["x-1", "x-2"]),
    ]
    later.changed()
    assert not later.looking, "said once"


def test_of_what_could_not_be_looked_up_more_may_be_known_later() -> None:
    later = left(Rules(), ExpectationMatch(MatchOutcome.COULD_NOT_LOOK))
    assert len(later.announced(lambda _: matched(), instant(10))) == 1


def test_what_was_found_before_is_not_said_again() -> None:
    rules = limited(trusted_lanes={"1": frozenset({"FAST"})})
    [draft] = left(rules).announced(lambda _: matched(), instant(10))
    assert isinstance(draft.body, FindingsAdded)
    assert [one.rule for one in draft.body.findings] == ["late_expectation"]


def test_a_vehicle_that_still_matches_nothing_is_looked_up_again() -> None:
    later = left(Rules())
    assert later.announced(lambda _: NONE, instant(10)) == []
    assert not later.looking
    later.changed()
    assert later.announced(lambda _: None, instant(10)) == []
    assert later.announced(lambda _: OTHER, instant(10)) == []  # the list has not changed
    later.changed()
    assert later.looking
    assert len(later.announced(lambda _: OTHER, instant(11))) == 1


def test_one_that_matched_is_not_looked_up_again() -> None:
    def never(_: Inspection) -> ExpectationMatch:
        raise AssertionError("it matched when it left")

    assert left(Rules(), matched()).announced(never, instant(10)) == []
    later = Later(Rules(), "1")
    later.compared(facts())
    later.changed()
    assert later.announced(never, instant(10)) == []


def test_only_so_long() -> None:
    assert len(left(Rules()).announced(lambda _: OTHER, instant(9 + 3600))) == 1
    later = left(Rules())
    assert later.announced(lambda _: OTHER, instant(9 + 3601)) == []
    assert later.announced(lambda _: OTHER, instant(10)) == []  # and is forgotten then


def test_nothing_is_added_where_nothing_is_found() -> None:
    rules = Rules({name: rule for name, rule in TABLE.items() if name != "late_expectation"})
    assert left(rules).announced(lambda _: matched(), instant(10)) == []


def test_a_passage_that_was_given_up() -> None:
    match = matched(("seal", "ML1", "", "not_read"))
    [draft] = left(Rules(), outcome=Abandoned("stopped")).announced(lambda _: match, instant(10))
    assert isinstance(draft.body, FindingsAdded)
    assert [one.rule for one in draft.body.findings] == ["late_expectation"]


def test_what_is_remembered_is_bounded() -> None:
    later = Later(Rules(), "1")
    for number in range(MAX_REMEMBERED + 5):
        later.closed(facts(replace(record(plate="ABC123"), id=f"i-{number}"), NONE))
        later.compared(facts(replace(record(plate="ABC123"), id=f"i-{number}"), NONE))
    later.changed()
    drafts = list[Draft]()
    while later.looking:
        step = later.announced(lambda _: matched(), instant(10))
        assert 0 < len(step) <= LOOK_AT_ONCE
        drafts += step
    assert len(drafts) == MAX_REMEMBERED
    assert later.scan_came(received("XYZ999", "i-0"), instant(20)) == []
    assert len(later.scan_came(received("XYZ999", "i-5"), instant(20))) == 1
