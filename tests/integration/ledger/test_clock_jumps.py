"""A booth whose clock is wrong, or is set while it runs: order, dedupe and trust come from the chain alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.event import AlarmRaised, Draft
from edge_agent.domain.observation import RadiationKind
from edge_agent.ledger.check import verify_ledger
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from port_gateway.inbox import Inbox
from port_gateway.receive import judge_batch
from port_gateway.store import Store
from tests.integration.ledger.conftest import Booth, HandClock, alarm, closed, opened

YEARS = timedelta(days=3653)
JUMPS = [2 * YEARS, -YEARS, -YEARS, YEARS, timedelta(seconds=-1), timedelta(0)]


@pytest.mark.parametrize("begin", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)])
async def test_a_clock_that_jumps_changes_nothing(booth: Booth, tmp_path: Path, begin: datetime) -> None:
    clock = HandClock()
    clock.utc = begin
    for jump in (*JUMPS, *JUMPS):  # a restart between any two
        async with booth.open(clock=clock) as ledger:
            clock.utc += jump
            clock.forward(1)
            body = AlarmRaised("", "lane-1", "portal", RadiationKind.GAMMA, (1,), b"GA")
            await ledger.recorder.record(Draft(body, clock.now()))
    count = 4 * len(JUMPS)
    assert verify_ledger(booth.directory, booth.device_keys).seq == count
    async with booth.open(clock=clock) as ledger:
        envelopes = list(ledger.outbox.after(0, count, 10_000_000))
        epoch = ledger.outbox.epoch
    events = [wire.Event.FromString(read_envelope(envelope)[0]) for envelope in envelopes]
    assert [event.seq for event in events] == list(range(1, count + 1))
    times = [event.at.utc_us for event in events]
    assert times != sorted(times)  # the clock did run back

    store = Store(tmp_path / "inbox.sqlite")
    try:
        inbox = Inbox(store, SystemClock())
        for _ in range(2):  # the second time everything is held already
            chain = inbox.chain(Head(booth.booth_id, epoch), dict(booth.device_keys))
            judged = judge_batch(inbox, chain, {}, 1, envelopes)
            assert judged.refused is None
            if judged.verified:
                inbox.append(chain.head, judged.verified).result(10)
        page, _ = inbox.page(0, None, 100)
        assert [one.envelope for one in page] == envelopes
    finally:
        store.close()


async def test_every_event_says_how_far_the_clock_can_be_trusted(booth: Booth) -> None:
    clock = SystemClock()
    async with booth.open() as ledger:
        for body in (opened("i-1").body, closed("i-1").body, alarm(1).body):
            await ledger.recorder.record(Draft(body, clock.now()))
        envelopes = list(ledger.outbox.after(0, 10, 100_000))
    events = [wire.Event.FromString(read_envelope(envelope)[0]) for envelope in envelopes]
    assert [event.WhichOneof("body") for event in events] == [
        *("session_opened", "inspection_opened", "inspection_closed", "alarm_raised")
    ]
    for event in events:
        assert event.at.clock_state != wire.CLOCK_STATE_UNSPECIFIED
        assert event.at.HasField("clock_error")
        assert event.at.clock_error.bound_us > 0
