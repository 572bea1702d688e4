"""What the port has acknowledged is kept for a time, then trimmed; what it has not, never."""

import asyncio
import contextlib
import time
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import apsw
import pytest

from edge_agent.domain.errors import StoreCorrupt
from edge_agent.domain.event import Draft, EventsTrimmed, StorageLevel, StorageState
from edge_agent.domain.evidence import Evidence
from edge_agent.ledger import housekeeping
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.housekeeping import ANNOUNCE_S, Keeping
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.ledger.recorder import Ledger
from edge_agent.ledger.store import DATABASE, EVIDENCE, Store
from edge_agent.ledger.trimming import STEP_EVENTS
from edge_agent.wire.refused import Refused
from tests.integration.ledger.conftest import AT, Booth, HandClock, alarm, closed, opened, picture, until

DAY = 86_400.0
KEPT = 10 * DAY


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(autouse=True)
def a_disk_with_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """However full this machine's own is."""
    level = StorageLevel(StorageState.NORMAL, 1, 100)
    monkeypatch.setattr(housekeeping, "measure", lambda *_: level)


def opening(booth: Booth, clock: HandClock) -> AbstractAsyncContextManager[Ledger]:
    return booth.open(clock=clock, keeping=Keeping(KEPT))


async def acknowledge(ledger: Ledger, through: int) -> None:
    ledger.outbox.acked(through)
    await until(lambda: ledger.outbox.acked_through() == through)


async def send(ledger: Ledger, *evidence: Evidence) -> None:
    """The port acknowledges it."""
    for one in evidence:
        ledger.outbox.blob_sent(one.sha256)
    await until(lambda: ledger.outbox.blob_states().get("sent") == len(evidence))


async def after(ledger: Ledger, clock: HandClock, seconds: float) -> None:
    """So much later, with all that the recorder had to do then done."""
    clock.forward(seconds)
    await ledger.recorder.record(alarm(0))
    await asyncio.sleep(0.02)


def files(booth: Booth) -> set[str]:
    return {path.name for path in (booth.directory / EVIDENCE).rglob("*") if path.is_file()}


async def test_what_was_acknowledged_long_ago_is_trimmed_and_the_rest_verifies(booth: Booth, clock: HandClock) -> None:
    for _ in range(3):  # three sessions: the one in force at the trimmed end is a middle one's
        async with opening(booth, clock) as ledger:
            await asyncio.gather(*(ledger.recorder.record(alarm(n)) for n in range(2 * STEP_EVENTS)))
    cut = 2 * (2 * STEP_EVENTS + 1) - 5
    async with opening(booth, clock) as ledger:
        await acknowledge(ledger, cut)
        digest = ledger.outbox.sha256_at(cut)
        await after(ledger, clock, KEPT - 120)
        assert ledger.outbox.extent().oldest == 1
        await after(ledger, clock, 240)
        await until(lambda: ledger.outbox.kept().trimmed_seq == cut)
        oldest, newest, _ = ledger.outbox.extent()
        assert oldest == cut + 1
        assert ledger.outbox.sha256_at(cut) == digest  # a port that stands right here is told so
        assert ledger.outbox.sha256_at(cut - 1) is None
        assert ledger.outbox.after(cut - 1, 10, 10_000) == []
        assert verify_ledger(booth.directory, booth.device_keys).seq == newest  # beside the agent
    async with opening(booth, clock) as ledger:
        assert ledger.recorder.head.seq == newest + 1
    assert verify_ledger(booth.directory, booth.device_keys).seq == newest + 1
    with pytest.raises(Refused, match="UNKNOWN_KEY"):
        verify_ledger(booth.directory, {})


async def test_what_is_not_acknowledged_stays_for_ever(booth: Booth, clock: HandClock) -> None:
    unsent, sent = picture(100, b"u"), picture(100, b"s")
    async with opening(booth, clock) as ledger:
        await ledger.recorder.record(alarm(1, unsent, sent))
        await ledger.recorder.record(alarm(2))
        await acknowledge(ledger, 2)
        await send(ledger, sent)
        await after(ledger, clock, 100 * KEPT)
        await until(lambda: files(booth) == {unsent.sha256.hex()})
        assert ledger.outbox.extent().oldest == 3
        assert [blob.sha256 for blob in ledger.outbox.pending_blobs(0, 10)] == [unsent.sha256]
        await after(ledger, clock, 100 * KEPT)
        assert ledger.outbox.extent().oldest == 3
        assert files(booth) == {unsent.sha256.hex()}


async def test_a_port_that_went_back_takes_its_acknowledgement_back(booth: Booth, clock: HandClock) -> None:
    one = picture(100)
    async with opening(booth, clock) as ledger:
        for n in range(5):
            await ledger.recorder.record(alarm(n, one))
        await acknowledge(ledger, 6)
        await send(ledger, one)
        clock.forward(KEPT - 60)
        ledger.outbox.offer_again()
        await acknowledge(ledger, 3)
        await after(ledger, clock, 10 * DAY - 60)
        assert ledger.outbox.extent().oldest == 1
        await acknowledge(ledger, 6)
        await after(ledger, clock, 120)
        await until(lambda: ledger.outbox.extent().oldest == 4)
        assert files(booth) == {one.sha256.hex()}  # not acknowledged a second time


async def test_a_port_that_goes_back_stops_what_is_being_trimmed(booth: Booth, clock: HandClock) -> None:
    async with opening(booth, clock) as ledger:
        *_, last = await asyncio.gather(*(ledger.recorder.record(alarm(n)) for n in range(3 * STEP_EVENTS)))
        said = EventsTrimmed(last.seq, last.sha256)
        await ledger.recorder.record(Draft(said, AT))
        await acknowledge(ledger, last.seq)
    store = Store.open(booth.directory, booth.booth_id)
    try:
        store.retention.announced(said)
        assert store.retention.trim(KEPT)  # one step
        store.append((), acked_through=10)
        assert not store.retention.trim(KEPT)
        store.append((), acked_through=STEP_EVENTS + 9)
        assert store.retention.trim(KEPT)
        assert not store.retention.trim(KEPT)
    finally:
        store.close()
    assert verify_ledger(booth.directory, booth.device_keys).seq == last.seq + 1
    with contextlib.closing(LedgerReader(booth.directory)) as reader:
        assert reader.extent().oldest == STEP_EVENTS + 10


async def test_evidence_of_an_event_that_is_kept_is_kept(booth: Booth, clock: HandClock) -> None:
    again, once = picture(100, b"a"), picture(100, b"o")
    async with opening(booth, clock) as ledger:
        await ledger.recorder.record(alarm(1, again, once))
        await send(ledger, again, once)
        await acknowledge(ledger, 2)
        clock.forward(KEPT - 60)
        await ledger.recorder.record(alarm(2, again))
        await acknowledge(ledger, 3)
        await after(ledger, clock, 120)
        await until(lambda: files(booth) == {again.sha256.hex()})
        assert ledger.outbox.blob_states() == {"sent": 1}


async def test_files_are_removed_although_the_agent_was_killed_in_between(booth: Booth, clock: HandClock) -> None:
    one, back = picture(100, b"a"), picture(100, b"b")
    async with opening(booth, clock) as ledger:
        await ledger.recorder.record(alarm(1, one, back))
    database = apsw.Connection(str(booth.directory / DATABASE))
    with database:
        database.execute("INSERT INTO doomed SELECT sha256 FROM blob")
        database.execute("DELETE FROM blob")
    database.close()
    async with booth.open(clock=clock) as ledger:  # nothing is removed yet
        await ledger.recorder.record(alarm(2, back))  # the same bytes come again
    async with opening(booth, clock) as ledger:
        await until(lambda: one.sha256.hex() not in files(booth))
    assert back.sha256.hex() in files(booth)


@pytest.mark.parametrize("years", [-56, -10, 10])
async def test_a_wall_clock_that_is_set_trims_nothing(booth: Booth, clock: HandClock, years: int) -> None:
    async with opening(booth, clock) as ledger:
        await ledger.recorder.record(alarm(1))
        await acknowledge(ledger, 2)
        clock.utc += timedelta(days=365 * years)
        await after(ledger, clock, 600)
        await ledger.recorder.record(alarm(1))
    clock.utc -= timedelta(days=365 * years)
    clock.seconds = 5.0  # the machine was restarted
    async with opening(booth, clock) as ledger:
        await after(ledger, clock, 600)
        assert ledger.outbox.extent().oldest == 1
        await after(ledger, clock, KEPT)  # the time before counts, and the time in which nothing ran does not
        await until(lambda: ledger.outbox.extent().oldest == 3)


async def test_an_inspection_that_is_open_keeps_its_beginning(booth: Booth, clock: HandClock) -> None:
    async with opening(booth, clock) as ledger:
        for inspection in ("a", "b"):
            await ledger.recorder.record(opened(inspection))
        await ledger.recorder.record(closed("a"))
        await acknowledge(ledger, 4)
        await after(ledger, clock, 2 * KEPT)
        await until(lambda: ledger.outbox.extent().oldest == 3)
    async with opening(booth, clock) as ledger:
        assert [one.inspection_id for one in ledger.recorder.unfinished()] == ["b"]


async def test_what_was_removed_by_another_hand_is_found(booth: Booth, clock: HandClock) -> None:
    async with opening(booth, clock) as ledger:
        for n in range(9):
            await ledger.recorder.record(alarm(n))
        await acknowledge(ledger, 4)
        await after(ledger, clock, KEPT + 60)
        await until(lambda: ledger.outbox.extent().oldest == 5)
    database = apsw.Connection(str(booth.directory / DATABASE))
    database.execute("UPDATE kept SET trimmed_seq = 6, trimmed_sha256 = (SELECT sha256 FROM event WHERE seq = 6)")
    with pytest.raises(StoreCorrupt, match="was trimmed through 6"):
        async with opening(booth, clock):
            pass
    database.execute("DELETE FROM event WHERE seq <= 6")
    database.close()
    with pytest.raises(Refused, match=r"through 6 are gone, and the chain says so only of those through 4"):
        verify_ledger(booth.directory, booth.device_keys)


async def test_announcements_do_not_fill_the_ledger(booth: Booth, clock: HandClock) -> None:
    """Something falls due every minute of an hour; the chain says so once."""
    async with opening(booth, clock) as ledger:
        for _ in range(60):
            await acknowledge(ledger, (await ledger.recorder.record(alarm(1))).seq)
            clock.forward(60)
        before = ledger.recorder.head.seq
        clock.forward(KEPT - ANNOUNCE_S)
        for _ in range(59):
            clock.forward(60)
            await ledger.recorder.record(alarm(1))
        await until(lambda: ledger.outbox.kept().trimmed_seq > 1)
        assert ledger.recorder.head.seq - before - 59 == 1


async def test_an_event_does_not_wait_for_trimming(
    booth: Booth, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for one step at most, and a step has a bound."""
    steps: list[float] = []
    real = housekeeping.Housekeeper._take_step

    def timed(self: housekeeping.Housekeeper, *arguments: object) -> bool:
        began = time.perf_counter()
        more = real(self, *arguments)  # type: ignore[arg-type]
        steps.append(time.perf_counter() - began)
        return more

    monkeypatch.setattr(housekeeping.Housekeeper, "_take_step", timed)
    async with opening(booth, clock) as ledger:
        for _ in range(8):
            await asyncio.gather(*(ledger.recorder.record(alarm(n)) for n in range(250)))
        await acknowledge(ledger, 2_001)
        await after(ledger, clock, KEPT + 60)
        between: list[int] = []
        while ledger.outbox.kept().trimmed_seq < 2_001:
            done = len(steps)
            await ledger.recorder.record(alarm(1))
            between.append(len(steps) - done)
        assert len(steps) > 2_000 / STEP_EVENTS
        # The one under way, and one before the answer had come back to the loop; without a processor it comes late.
        assert sorted(between)[len(between) * 3 // 4] <= 2
        assert max(between) < len(steps) / 2
        assert sorted(steps)[len(steps) // 2] < 0.05
