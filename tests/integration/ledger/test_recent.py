"""After a kill a start asks the ledger whether the last draft became an event."""

from dataclasses import replace

from edge_agent.domain.event import Draft, FindingsAdded, InspectionClosed, ScanReceived
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.expected import ExpectationMatch, MatchOutcome
from edge_agent.domain.finding import Cause, Origin
from edge_agent.domain.inspection import Complete, Expected, Inspection, ScanJoin, ScanSeen
from edge_agent.domain.observation import ScanImage
from edge_agent.inspection.rules import TABLE, Found, finding
from edge_agent.ledger.lately import Lately, Left, lately
from edge_agent.ledger.recent import recorded_in
from tests.integration.ledger.conftest import Booth, alarm, closed, opened
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
