"""After a kill a start asks the ledger whether the last draft became an event."""

from dataclasses import replace

from edge_agent.ledger.recent import recorded_in
from tests.integration.ledger.conftest import Booth, alarm, closed, opened


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
