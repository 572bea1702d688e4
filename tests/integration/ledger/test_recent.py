"""After a kill a start asks the ledger whether the last draft became an event."""

from dataclasses import replace
from typing import Any

from edge_agent.domain.event import (
    DeviceChanged,
    Draft,
    FindingsAdded,
    InspectionClosed,
    InspectionOpened,
    ScanReceived,
    SessionOpened,
)
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.expected import ExpectationMatch, MatchOutcome
from edge_agent.domain.finding import Cause, Origin
from edge_agent.domain.inspection import Complete, Expected, Inspection, ScanJoin, ScanSeen
from edge_agent.domain.observation import DeviceState, DeviceStatus, ScanImage
from edge_agent.domain.statistics import LaneStatistics, PartEnd
from edge_agent.inspection.rules import TABLE, Found, finding
from edge_agent.ledger.lately import Lately, Left, lately
from edge_agent.ledger.recent import recorded_in
from edge_agent.ledger.uncounted import uncounted
from tests.integration.ledger.conftest import Booth, HandClock, alarm, closed, opened, until
from tests.unit.inspection.script import instant

AT, RULE = instant(3), TABLE["late_expectation"]


async def test_vehicles_that_left_are_known_over_a_restart(booth: Booth) -> None:
    none, looked = ExpectationMatch(MatchOutcome.NONE), (Expected.PLATE, Expected.SEAL)
    records = [Inspection(id, "1", AT, AT, Complete(), expectation=none, looked_for=looked) for id in ("a", "b")]
    added = FindingsAdded("a", "1", Origin.BOOTH, Cause.EXPECTATION, (finding("late_expectation", RULE, Found()),))
    waits = ScanSeen(ScanImage("s", "dicom", "AAA111"), "x-ray", AT, ScanJoin.NONE)
    profile = Evidence(EvidenceKind.RADIATION_PROFILE, "text/csv", b"1,2")
    async with booth.open() as ledger:
        for record in records:
            await ledger.recorder.record(Draft(InspectionClosed(record), AT, (profile,)))
        await ledger.recorder.record(Draft(added, AT))
        await ledger.recorder.record(Draft(ScanReceived("", "1", waits), AT))
    async with booth.open() as ledger:
        known = lately(ledger.outbox)
    files = {EvidenceKind.RADIATION_PROFILE: (profile.sha256,)}
    plain = [replace(record, expectation=None) for record in records]
    assert known == {"1": Lately((Left(plain[0], files, False), Left(plain[1], files, True)), (waits,))}


async def test_a_draft_that_became_an_event_is_known_over_a_restart(booth: Booth) -> None:
    drafts = [opened("a"), alarm(1), closed("a")]
    async with booth.open() as ledger:
        for draft in drafts:
            await ledger.recorder.record(draft)
    async with booth.open() as ledger:
        recorded = recorded_in(ledger.outbox)
        assert [recorded(draft) for draft in drafts] == [True, True, True]
        assert not recorded(closed("b"))
        assert not recorded(opened("b"))
        assert not recorded(replace(drafts[1], at=drafts[1].at.shifted(1)))
        moved = replace(drafts[1].at, monotonic_ns=5)
        assert recorded(replace(drafts[1], at=moved)), "the machine may have been started anew"


async def test_what_is_in_no_count_yet_is_read_with_what_devices_did_before(booth: Booth) -> None:
    said = Draft(DeviceChanged("portal", "1", DeviceStatus(DeviceState.ONLINE)), AT)
    counted = [Draft(LaneStatistics(lane, 0, AT, AT, PartEnd.QUARTER, True), AT) for lane in ("1", "2")]
    async with booth.open() as ledger:
        await ledger.recorder.record(said)
        for n in range(5):
            await ledger.recorder.record(alarm(n))
        for draft in (*counted, opened("a"), closed("a")):
            await ledger.recorder.record(draft)
    async with booth.open() as ledger:
        reader = ledger.outbox

        def kinds(*arguments: Any) -> str:
            events = reader.since_counted(*arguments)
            return "".join((event.WhichOneof("body") or "?")[0] for event in events)

        assert kinds(["1", "2"], 100, 1) == "dlliis", "device, two counts, a vehicle, a start"
        assert kinds(["2"], 100, 1) == "dliis"
        assert kinds(["2"], 4, 1) == "liis", "no further back"
        assert kinds(["1", "another"], 100, 1) == "sdaaaaalliis", "one that was never counted"
        bodies = [one.draft and type(one.draft.body) for one in uncounted(reader, ["1"])]
    assert bodies[:2] == [SessionOpened, DeviceChanged]
    assert bodies[-4:] == [LaneStatistics, InspectionOpened, InspectionClosed, SessionOpened]


async def test_a_session_that_follows_another_begins_no_run(booth: Booth) -> None:
    said = Draft(DeviceChanged("portal", "1", DeviceStatus(DeviceState.ONLINE)), AT)
    clock = HandClock()
    async with booth.open(clock=clock, session_s=60) as ledger:
        await ledger.recorder.record(said)
        clock.forward(60)
        await ledger.recorder.record(alarm(1))
        await until(lambda: ledger.recorder.head.seq == 4)
        await ledger.recorder.record(Draft(LaneStatistics("1", 0, AT, AT, PartEnd.QUARTER, True), AT))
        reader = ledger.outbox
        kinds = [event.WhichOneof("body") for event in reader.since_counted(["1"], 100, 1)]
        assert kinds == ["device_changed", "lane_statistics"], "what a device did since the start"
        bodies = [one.draft and type(one.draft.body) for one in uncounted(reader, ["1", "2"])]
    assert bodies.count(SessionOpened) == 1
    assert bodies.count(None) == 1
