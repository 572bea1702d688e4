"""A lane that a restart takes up, after hours: what it still knows of its devices, and what it has forgotten."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from edge_agent.domain.event import Draft, FindingsAdded, InspectionClosed, InspectionOpened, ScanReceived, Unassigned
from edge_agent.domain.expected import ExpectationList, ExpectationMatch, MatchOutcome
from edge_agent.domain.inspection import Abandoned, Inspection
from edge_agent.domain.observation import DeviceState, Observation
from edge_agent.kept_lane import LOST, Kept, TakenUp, take_up
from edge_agent.ledger.lane_journal import LaneJournal, forget_others
from edge_agent.ledger.store import Unfinished
from edge_agent.line import compared
from edge_agent.wire.refused import RefusalCode, Refused
from tests.unit.inspection.facts import matched
from tests.unit.inspection.script import ARRIVES, DEPARTS, alarm, instant, plate, sample, scan, status, tag
from tests.unit.test_kept_lane import PLACES, Booth, mid_vehicle

LIST = ExpectationList(b"l" * 16, 1, 1)


def killed_at_its_last_word(booth: Booth, seconds: float) -> TakenUp:
    """What a start makes of it; nothing of that is recorded yet."""
    open_ = booth.lane.inspections
    unfinished = [Unfinished(one.id, "1", one.opened) for one in open_]
    journal = LaneJournal(booth.folder, "1")
    kept = Kept(unfinished, lambda d: d in booth.events, booth.files.get, lambda _: False)
    return take_up(booth.setup, journal, kept, instant(seconds), "one")


def test_rule_14_until_its_devices_have_spoken_none_is_occupied_and_none_has_looked(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path)
    booth.start(instant(20))
    assert not booth.until(32.9).closed, "RETURN_S and settle_s"
    [inspection] = booth.until(33).closed
    assert inspection.looked_for == ()


@pytest.mark.parametrize("places", [None, PLACES], ids=["one at a time", "a row"])
def test_devices_that_connected_long_ago_were_not_blind(tmp_path: Path, places: None) -> None:
    booth = Booth(tmp_path, places)
    for t in range(20, 300, 20):
        booth.at(t, "portal", sample(3))
    booth.at(300, "front", plate("AAA111")).at(302, "portal", ARRIVES)
    booth.start(instant(310))
    booth.at(311, "portal", status(DeviceState.ONLINE)).at(312, "portal", DEPARTS).until(600)
    [inspection] = booth.closed
    whys = {dict(f.parameters)["why"] for f in inspection.findings if f.rule == "could_not_look"}
    assert whys == {"the agent was not running for 8 s"}


@pytest.mark.parametrize("boot", ["one", "two"], ids=["agent", "machine"])
def test_a_portal_that_had_met_vehicles_hours_ago_has_not_met_the_one_before_it(tmp_path: Path, boot: str) -> None:
    booth = Booth(tmp_path, PLACES).at(10, "portal", ARRIVES).at(13, "portal", DEPARTS)
    for t in range(200, 900, 200):
        booth.at(t, "rear", status(DeviceState.ONLINE))
    booth.at(1000, "front", plate("AAA111"))
    later = instant(1001) if boot == "one" else replace(instant(1001), monotonic_ns=5_000_000_000)
    booth.start(later, boot)
    moved = later.monotonic - 1001
    said = Observation("o", "portal", "1", replace(instant(1002), monotonic_ns=later.monotonic_ns + 10**9), sample(7))
    booth.events += booth.lane.observe(said)
    booth.events += booth.lane.give_up_all(said.at, "end")
    assert booth.closed[-1].observations == 1, "it watched, and none came to it: the sample is of the next vehicle"
    assert [s.until for s in booth.lane.known.sensors] == [13 + moved]


@pytest.mark.parametrize("places", [None, PLACES], ids=["one at a time", "a row"])
def test_a_vehicle_that_blocked_the_lane_has_one_record(tmp_path: Path, places: None) -> None:
    booth = Booth(tmp_path, places)
    for t in range(10, 900, 2):
        booth.at(t, "front", plate("AAA111"))
    booth.until(1000)
    assert len(booth.closed) == 1
    assert booth.start(instant(1010)).drafts == ()
    opened = [d for d in booth.events if isinstance(d.body, InspectionOpened)]
    assert len(opened) == len(booth.closed) == 1


@pytest.mark.parametrize("places", [None, PLACES], ids=["one at a time", "a row"])
def test_rule_14_a_lane_that_hears_late_waits_from_then_on_in_every_later_run(tmp_path: Path, places: None) -> None:
    booth = mid_vehicle(tmp_path, places)
    booth.start(instant(20))
    booth.lane.hears(instant(60))
    booth.events += booth.lane.woke(instant(61))
    booth.start(instant(70))
    booth.events += booth.lane.woke(instant(71))
    [inspection] = booth.lane.inspections
    booth.at(72, "portal", ARRIVES).at(75, "portal", DEPARTS).until(300)
    assert [one.id for one in booth.closed] == [inspection.id]
    assert [round(away.seconds) for away in booth.closed[0].resumed] == [6, 9]


def test_an_empty_lane_forgets_its_vehicles_though_nothing_more_is_heard(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path).at(17, "portal", DEPARTS).until(25)
    files = tmp_path / "lanes"
    assert len(booth.closed) == 1
    assert b"AAA111" in b"".join(path.read_bytes() for path in files.iterdir()), "a late scan may still be of it"
    booth.until(400)
    assert b"AAA111" not in b"".join(path.read_bytes() for path in files.iterdir())
    assert booth.lane.next_wake() is None, "and then it sleeps"


def test_so_it_does_after_a_restart(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path).at(17, "portal", DEPARTS).until(25)
    booth.start(instant(30))
    booth.until(400)
    assert b"AAA111" not in b"".join(path.read_bytes() for path in (tmp_path / "lanes").iterdir())


def test_what_a_lane_heard_goes_with_the_lane(tmp_path: Path) -> None:
    mid_vehicle(tmp_path)
    forget_others(tmp_path, {"1"})
    assert (tmp_path / "lanes" / "1.heard").exists()
    forget_others(tmp_path, {"2"})
    assert not any((tmp_path / "lanes").iterdir())
    forget_others(tmp_path / "nowhere", {"2"})


def one_left_and_one_stands(folder: Path) -> Booth:
    """What was heard of the first truck lies in `before`, of the second in `heard`."""
    booth = mid_vehicle(folder, PLACES).at(17, "portal", DEPARTS).until(200)
    return booth.at(201, "front", plate("BBB222")).at(202, "portal", ARRIVES)


def test_a_start_that_is_killed_while_it_tidies_up_lets_nothing_be_heard_twice(tmp_path: Path) -> None:
    booth = one_left_and_one_stands(tmp_path)
    before = tmp_path / "lanes" / "1.before"
    data = before.read_bytes()
    assert b"AAA111" in data
    booth.start(instant(210))
    before.write_bytes(data)  # killed before it was gone
    journal = LaneJournal(tmp_path, "1")
    heard = [line["said"]["id"] for line in journal.take() if "said" in line]
    journal.survived()
    assert sorted(heard) == sorted(set(heard))
    assert len(heard) >= 6
    booth.start(instant(211))
    booth.at(212, "portal", ARRIVES).at(214, "portal", DEPARTS).until(400)
    assert [(i.plate.text, i.observations) for i in booth.closed if i.plate] == [("AAA111", 5), ("BBB222", 4)]


def test_what_was_heard_before_the_lane_was_empty_may_be_damaged(tmp_path: Path) -> None:
    booth = one_left_and_one_stands(tmp_path)
    before = tmp_path / "lanes" / "1.before"
    before.write_bytes(before.read_bytes()[:-400])  # a power cut: the first truck has not left in what there is of it
    booth.start(instant(210))
    booth.at(212, "portal", ARRIVES).at(214, "portal", DEPARTS).until(400)
    assert [(i.plate.text, i.observations) for i in booth.closed if i.plate] == [("AAA111", 5), ("BBB222", 4)]


def test_a_start_on_a_full_disk_leaves_nothing_of_what_was_heard(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path)
    (tmp_path / "lanes" / "1.unfinished").symlink_to("/dev/full")
    booth.start(instant(20))
    assert not any((tmp_path / "lanes").iterdir())
    booth.at(22, "portal", DEPARTS).until(100)
    assert [i.observations for i in booth.closed] == [5]


@pytest.mark.parametrize("seconds", [20.0, 500.0], ids=["goes on", "too late"])
async def test_a_start_that_is_killed_before_it_has_recorded_loses_nothing(tmp_path: Path, seconds: float) -> None:
    booth = mid_vehicle(tmp_path).at(16, "portal", alarm(901))
    booth.events.pop()  # the first run was killed before this was committed
    first = killed_at_its_last_word(booth, seconds)
    second = killed_at_its_last_word(booth, seconds)
    assert [type(d.body) for d in first.drafts] == [type(d.body) for d in second.drafts]
    record = Recorded()
    await second.settle(record, partial(compared, None))
    assert record.drafts == list(second.drafts)
    if seconds == 20:
        third = killed_at_its_last_word(booth, 21)
        assert third.drafts == first.drafts, "begun, and the alarm may still not be in the ledger"


def test_a_start_that_is_killed_after_it_has_reported_whose_tag_it_was_not_leads_to_no_second_report(
    tmp_path: Path,
) -> None:
    booth = Booth(tmp_path).at(10, "scanner", tag("E2"))
    [reported] = killed_at_its_last_word(booth, 500).drafts
    assert isinstance(reported.body, Unassigned)
    booth.events.append(reported)
    assert killed_at_its_last_word(booth, 501).drafts == ()


async def test_a_record_that_a_start_closes_is_compared_with_what_the_port_expects(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path)
    record = Recorded()
    await killed_at_its_last_word(booth, 500).settle(record, partial(compared, _nothing_expected))
    [inspection] = [d.body.inspection for d in record.drafts if isinstance(d.body, InspectionClosed)]
    assert inspection.plate is not None
    assert inspection.expectation == _nothing_expected(inspection)


async def test_of_one_that_is_lost_nothing_was_read_that_could_be_expected(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path)
    (tmp_path / "lanes" / "1.heard").unlink()
    record = Recorded()
    await killed_at_its_last_word(booth, 20).settle(record, partial(compared, _nothing_expected))
    [inspection] = [d.body.inspection for d in record.drafts if isinstance(d.body, InspectionClosed)]
    assert inspection.outcome == Abandoned(LOST)
    assert inspection.expectation is None


async def test_what_cannot_be_an_event_does_not_end_every_start(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path)
    record = Recorded()

    async def refusing(draft: Draft) -> None:
        if isinstance(draft.body, InspectionClosed) and draft.body.inspection.observations:
            raise Refused(RefusalCode.OVERSIZED, "too large", 7)
        await record(draft)

    await killed_at_its_last_word(booth, 500).settle(refusing, partial(compared, None))
    assert [d.body.inspection.outcome for d in record.drafts if isinstance(d.body, InspectionClosed)] == [
        Abandoned(LOST)
    ]
    assert b"AAA111" not in (tmp_path / "lanes" / "1.heard").read_bytes()


async def left_and_unmatched(folder: Path) -> Booth:
    """A truck left; the port had announced none."""
    booth = mid_vehicle(folder).at(17, "portal", DEPARTS).until(30)
    booth.events[-1] = await compared(_nothing_expected, booth.lane, booth.events[-1])
    return booth


@pytest.mark.parametrize("damaged", [False, True], ids=["heard again", "journal lost"])
@pytest.mark.parametrize("seconds", [40.0, 3000.0])
async def test_a_crossing_that_is_announced_after_its_vehicle_and_a_restart_is_found(
    tmp_path: Path, seconds: float, damaged: bool
) -> None:
    booth = await left_and_unmatched(tmp_path)
    if damaged:
        (tmp_path / "lanes" / "1.heard").write_bytes(b"?\n")
    booth.start(replace(instant(seconds), monotonic_ns=10**9), boot="two")
    assert booth.lane.looking
    announced = matched(("seal", "ML-1", "", "not_read"), ("plate", "AAA112", "AAA111", "one_character_off"))
    found = booth.lane.announced(lambda _: announced, replace(instant(seconds), monotonic_ns=10**9))
    [body] = [d.body for d in found]
    assert isinstance(body, FindingsAdded)
    assert body.inspection_id == booth.closed[0].id
    late = {f.rule: dict(f.parameters) for f in body.findings}
    assert late["late_expectation"] == {"seconds": f"{seconds - booth.closed[0].closed.monotonic:.0f}"}
    assert "seal_missing" in late, "a device looked for seals all the time, as its record says"
    booth.events += found
    booth.start(instant(seconds + 1))
    assert not booth.lane.looking, "it is found once"


async def test_a_vehicle_that_left_too_long_ago_is_not_looked_up(tmp_path: Path) -> None:
    booth = await left_and_unmatched(tmp_path)
    booth.start(instant(4000))
    assert booth.lane.announced(lambda _: matched(), instant(4000)) == []
    assert not booth.lane.looking


def test_a_scan_that_states_the_number_of_a_vehicle_of_an_earlier_run_is_of_it(tmp_path: Path) -> None:
    booth = mid_vehicle(tmp_path).at(17, "portal", DEPARTS).until(30)
    booth.at(900, "x-ray", scan("waits", "BBB222")).start(instant(1000))
    [received] = booth.lane.observe(Observation("o", "x-ray", "1", instant(1001), scan("s", "AAA111")))
    assert isinstance(received.body, ScanReceived)
    assert received.body.inspection_id == booth.closed[0].id
    booth.at(1002, "front", plate("BBB222")).until(1200)
    assert [s.scan.scan_id for s in booth.closed[-1].scans] == ["waits"]


class Recorded:
    """A ledger's drafts."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []

    async def __call__(self, draft: Draft) -> None:
        self.drafts.append(draft)


def _nothing_expected(_: Inspection) -> ExpectationMatch:
    return ExpectationMatch(MatchOutcome.NONE, list=LIST, list_age_s=1)
