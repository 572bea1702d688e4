"""Sessions of an agent that goes on running: opened by age, at their place in the chain, when the key answers."""

import asyncio
import gc
import shutil
import weakref
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from edge_agent.ledger import next_session
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.leftover import DAMAGED
from edge_agent.ledger.salvage import salvage
from edge_agent.ledger.store import DATABASE
from tests.integration.ledger.conftest import Booth, HandClock, until
from tests.integration.ledger.failing_disk import FailingDisk
from tests.integration.ledger.gated_token import Token
from tests.integration.ledger.sessions import (
    DAY_S,
    checkpointed,
    events,
    grown_old,
    looked,
    nudge,
    openings,
    signed,
    signed_by_their_sessions,
    states,
    until_opened,
    wake,
)


async def test_an_old_session_is_followed_by_another(booth: Booth, clock: HandClock, token: Token) -> None:
    async with booth.open(clock=clock, session_s=DAY_S, device=token) as ledger:
        keys = [weakref.ref(ledger.recorder._session)]
        clock.forward(DAY_S - 1)
        await looked(ledger)
        assert len(openings(ledger)) == 1
        clock.forward(1 - DAY_S)
        for sessions in (2, 3):
            await grown_old(ledger, clock, sessions)
            keys.append(weakref.ref(ledger.recorder._session))
            assert checkpointed(booth) == verify_ledger(booth.directory, booth.device_keys).seq
            await nudge(ledger)
            assert checkpointed(booth) == verify_ledger(booth.directory, booth.device_keys).seq
        gc.collect()
        assert [key() is None for key in keys] == [True, True, False], "an old private key is kept"
        signed_by_their_sessions(ledger, token.key_id)
        assert [one.session_opened.while_running for one in openings(ledger)] == [False, True, True]
        assert {one.session_opened.agent_version for one in openings(ledger)} == {"1.0"}
        assert states(ledger) == []
    assert token.asked == 3
    async with booth.open(clock=clock) as ledger:  # without an age: one a start
        clock.forward(100 * DAY_S)
        await looked(ledger)
        assert [one.session_opened.while_running for one in openings(ledger)] == [False, True, True, False]
    verify_ledger(booth.directory, booth.device_keys)


async def test_a_clock_that_is_set_opens_none_and_a_long_pause_one(booth: Booth, clock: HandClock) -> None:
    async with booth.open(clock=clock, session_s=DAY_S) as ledger:
        for days in (400, -20_000, 20_000):
            clock.utc += timedelta(days=days)
            await looked(ledger)
        assert len(openings(ledger)) == 1
        clock.forward(30 * DAY_S)
        await until_opened(ledger, 2)
        for _ in range(5):
            await looked(ledger)
        assert len(openings(ledger)) == 2


async def test_under_load_every_call_is_answered_in_its_order(booth: Booth, clock: HandClock) -> None:
    async with booth.open(clock=clock, session_s=10.0) as ledger:

        async def record(number: int) -> int:
            clock.forward(0.01)
            return await nudge(ledger, number)

        answered = await asyncio.gather(*(record(n) for n in range(4_000)))
        assert answered == sorted(set(answered))
        told = [e.alarm_raised.counts[0] for e, _ in events(ledger) if e.WhichOneof("body") == "alarm_raised"]
        assert told == list(range(4_000))
        assert len(openings(ledger)) > 1
        signed_by_their_sessions(ledger, next(iter(booth.device_keys)))
    verify_ledger(booth.directory, booth.device_keys)


async def test_nobody_waits_for_a_slow_token_and_a_lost_place_is_not_taken(
    booth: Booth, clock: HandClock, token: Token
) -> None:
    async with booth.open(clock=clock, session_s=DAY_S, device=token) as ledger:
        token.open.clear()
        clock.forward(DAY_S)
        wake(ledger)
        await until(lambda: token.asked == 2)
        for number in range(20):  # it is being signed, and all go on
            await nudge(ledger, number)
        token.open.set()
        await signed(ledger)
        await looked(ledger)
        assert len(openings(ledger)) == 1, "signed for a place that another event has"
        assert token.asked == 2, "the next attempt waits a second"
        clock.forward(next_session.LOST_S)
        await until_opened(ledger, 2)
        signed_by_their_sessions(ledger, token.key_id)
        assert states(ledger) == []
    verify_ledger(booth.directory, booth.device_keys)


async def test_where_events_never_stop_the_writer_waits_for_the_last_attempt(
    booth: Booth, clock: HandClock, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(next_session, "HOLDS_S", (0.0, 0.0, 20.0))
    async with booth.open(clock=clock, session_s=DAY_S, device=token) as ledger:
        clock.forward(DAY_S)
        for attempt in (2, 3):
            token.open.clear()
            wake(ledger)
            await until(lambda attempt=attempt: token.asked == attempt)  # type: ignore[misc]
            await nudge(ledger)
            token.open.set()
            await signed(ledger)
            clock.forward(60)
        token.open.clear()
        last = ledger.recorder.head.seq
        wake(ledger)
        await until(lambda: token.asked == 4)
        waiting = asyncio.ensure_future(nudge(ledger))
        await asyncio.sleep(0.05)  # time in which it would be recorded
        assert not waiting.done()
        token.open.set()
        assert await waiting == last + 2
        assert openings(ledger)[-1].seq == last + 1
        signed_by_their_sessions(ledger, token.key_id)


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    disk = FailingDisk("disk-of-sessions")
    yield disk
    disk.unregister()


async def test_on_a_full_disk_the_opening_waits_and_nothing_is_accepted(
    booth: Booth, clock: HandClock, token: Token, disk: FailingDisk
) -> None:
    async with booth.open(clock=clock, session_s=DAY_S, device=token, vfs=disk.name) as ledger:
        token.open.clear()
        last = ledger.recorder.head.seq
        clock.forward(DAY_S)
        wake(ledger)
        await until(lambda: token.asked == 2)
        disk.full = True
        token.open.set()
        await booth.until_no_room()
        call = asyncio.ensure_future(nudge(ledger))
        await asyncio.sleep(0.05)  # time in which it would be accepted
        assert not call.done()
        assert ledger.outbox.extent()[1] == last
        disk.full = False
        assert await call == last + 2
        assert openings(ledger)[-1].seq == last + 1
        await until(lambda: [room for room, _ in booth.room] == [False, True])
        signed_by_their_sessions(ledger, token.key_id)
        assert checkpointed(booth) == verify_ledger(booth.directory, booth.device_keys).seq


async def test_closed_while_the_key_signs_it_does_not_wait(booth: Booth, clock: HandClock, token: Token) -> None:
    async with booth.open(clock=clock, session_s=DAY_S, device=token) as ledger:
        token.open.clear()
        clock.forward(DAY_S)
        wake(ledger)
        await until(lambda: token.asked == 2)
    token.open.set()
    async with booth.open(clock=clock) as ledger:
        assert len(openings(ledger)) == 2
    verify_ledger(booth.directory, booth.device_keys)


async def test_a_torn_log_and_a_salvage_know_every_session(booth: Booth, clock: HandClock, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    async with booth.open(clock=clock) as ledger:
        await nudge(ledger)
    async with booth.open(clock=clock, session_s=DAY_S) as ledger:
        for sessions in (3, 4):
            await grown_old(ledger, clock, sessions)
            await nudge(ledger)
        envelopes, lost = ledger.outbox.after(0, 1_000, 10**7), openings(ledger)[2].seq + 1
        shutil.copytree(booth.directory, killed)
    for damage in ("the log's first frame", "an event"):
        shutil.rmtree(booth.directory)
        shutil.copytree(killed, booth.directory)
        file = booth.directory / f"{DATABASE}-wal"
        data = bytearray(file.read_bytes())
        if damage == "an event":
            for at in positions(bytes(data), envelopes[lost - 1]):  # it lies in each of the page's copies
                data[at + 30] ^= 1
            file.write_bytes(data)
            found = salvage(booth.directory, booth.booth_id, booth.device_keys)
            assert found.replaced.found == len(envelopes) - 1
            assert found.replaced.missing == ((lost, lost),)
        else:
            data[32 + 8] ^= 1  # its salt: SQLite then sees an empty log
            file.write_bytes(data)
            async with booth.open() as ledger:
                assert ledger.outbox.after(0, 1_000, 10**7)[: len(envelopes)] == envelopes
            assert (booth.directory / DAMAGED).exists()
            verify_ledger(booth.directory, booth.device_keys)


def positions(data: bytes, wanted: bytes) -> Iterator[int]:
    at = data.find(wanted)
    assert at >= 0
    while at >= 0:
        yield at
        at = data.find(wanted, at + 1)
