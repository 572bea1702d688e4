"""Sessions of an agent that goes on running: opened by age, at their place in the chain, when the key answers."""

import asyncio
import contextlib
import gc
import logging
import shutil
import threading
import weakref
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from edge_agent.domain.errors import StoreFull
from edge_agent.ledger import next_session
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.leftover import DAMAGED
from edge_agent.ledger.pkcs11_key import PinRefused, TokenUnavailable
from edge_agent.ledger.recorder import Ledger
from edge_agent.ledger.salvage import salvage
from edge_agent.ledger.signer import DeviceKey
from edge_agent.ledger.store import DATABASE
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import key_id, load_public_key
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from tests.integration.ledger.conftest import Booth, HandClock, alarm, until
from tests.integration.ledger.failing_disk import FailingDisk

DAY_S = 86_400.0


class Token:
    """The booth's real key, which signs when the test lets it. `spoilt`: it signs something else."""

    def __init__(self, key: DeviceKey) -> None:
        self._key, self.public_key, self.key_id = key, key.public_key, key.key_id
        self.open = threading.Event()
        self.open.set()
        self.asked = self.answered = 0
        self.fails: Exception | None = None
        self.spoilt = False

    def sign(self, message: bytes) -> bytes:
        self.asked += 1
        assert self.open.wait(30)
        self.answered += 1
        if self.fails is not None:
            raise self.fails
        return self._key.sign(message + b"x" if self.spoilt else message)

    def pem(self) -> bytes | None:
        return None


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def token(booth: Booth) -> Iterator[Token]:
    token = Token(booth.device())
    yield token
    token.open.set()


def events(ledger: Ledger) -> list[tuple[wire.Event, str]]:
    """Each with the id of the key that signed it."""
    envelopes = [read_envelope(e) for e in ledger.outbox.after(0, 10_000, 10**8)]
    return [(wire.Event.FromString(payload), signature.keyid) for payload, signature in envelopes]


def openings(ledger: Ledger) -> list[wire.Event]:
    return [event for event, _ in events(ledger) if event.WhichOneof("body") == "session_opened"]


def states(ledger: Ledger) -> list[str]:
    said = [event.device_changed for event, _ in events(ledger) if event.WhichOneof("body") == "device_changed"]
    assert {(one.device_id, one.lane_id) for one in said} <= {("device-key", "")}
    return [wire.DeviceState.Name(one.status.state).rpartition("_")[2] + " " + one.status.detail for one in said]


def wake(ledger: Ledger) -> None:
    """The ledger looks at its session, though nothing is recorded."""
    ledger.recorder._queue.put(None)


async def nudge(ledger: Ledger, number: int = 0) -> int:
    """An event, after which the ledger looks at its session."""
    return (await ledger.recorder.record(alarm(number))).seq


async def looked(ledger: Ledger) -> None:
    """The ledger has looked after everything that was recorded."""
    for _ in range(2):
        await nudge(ledger)


async def signed(ledger: Ledger) -> None:
    """What the device key signed, or did not, is dealt with."""
    await until(lambda: ledger.recorder._next._attempt is None)


async def grown_old(ledger: Ledger, clock: HandClock, sessions: int) -> None:
    clock.forward(DAY_S)
    wake(ledger)
    await until(lambda: len(openings(ledger)) == sessions)


def signed_by_their_sessions(ledger: Ledger, device: str) -> None:
    session = ""
    for event, keyid in events(ledger):
        if event.WhichOneof("body") == "session_opened":
            assert keyid == device
            session = key_id(load_public_key(event.session_opened.public_key))
        else:
            assert keyid == session, event.seq


def checkpointed(booth: Booth) -> int:
    """The size of the newest checkpoint; `verify_ledger` looks at its signature."""
    with contextlib.closing(apsw.Connection(str(booth.directory / DATABASE))) as database:
        size = database.execute("SELECT max(size) FROM checkpoint").get
    assert isinstance(size, int)
    return size


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


async def until_opened(ledger: Ledger, sessions: int) -> None:
    wake(ledger)
    await until(lambda: len(openings(ledger)) == sessions)


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


async def test_a_token_that_signs_too_slowly_is_said(
    booth: Booth, clock: HandClock, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(next_session, "HOLDS_S", (0.01,))
    async with booth.open(clock=clock, session_s=DAY_S, device=token) as ledger:
        token.open.clear()
        clock.forward(DAY_S)
        await looked(ledger)
        token.open.set()
        await signed(ledger)
        await looked(ledger)
        assert states(ledger) == ["WAITING signs in more than 0.01 s, and events come all the time"]
        clock.forward(next_session.FAILED_S)
        await until_opened(ledger, 2)
        await looked(ledger)
        assert states(ledger)[1:] == ["ONLINE "]


async def test_a_token_that_never_answers_is_said_and_asked_once(booth: Booth, clock: HandClock, token: Token) -> None:
    async with booth.open(clock=clock, session_s=DAY_S, device=token) as ledger:
        token.open.clear()
        clock.forward(DAY_S)
        await looked(ledger)
        assert states(ledger) == []
        for _ in range(5):
            clock.forward(next_session.PATIENCE_S)
            await looked(ledger)
        assert states(ledger) == ["WAITING has not signed within 30 s"]
        assert token.asked == 2
        token.open.set()
        await signed(ledger)
        await looked(ledger)
        clock.forward(next_session.LOST_S)
        await until_opened(ledger, 2)
        await looked(ledger)
        assert states(ledger)[1:] == ["ONLINE "]


async def test_without_its_key_it_goes_on_and_tries_again(
    booth: Booth, clock: HandClock, token: Token, caplog: pytest.LogCaptureFixture
) -> None:
    async with booth.open(clock=clock, session_s=DAY_S, device=token) as ledger:
        token.fails = TokenUnavailable("token 'booth' is not there", "put it back")
        clock.forward(DAY_S)
        wake(ledger)
        await until(lambda: len(states(ledger)) == 1)
        pause_s, asked = next_session.FAILED_S, 2
        for _ in range(12):
            clock.forward(pause_s - 1)
            await looked(ledger)
            assert token.asked == asked, f"asked again before {pause_s} s"
            clock.forward(1)
            asked += 1
            wake(ledger)
            await until(lambda asked=asked: token.answered == asked)  # type: ignore[misc]
            await signed(ledger)
            pause_s = min(2 * pause_s, next_session.FAILED_MAX_S)
        assert states(ledger) == ["OFFLINE token 'booth' is not there"]
        token.fails = PinRefused("token 'booth' refused the PIN", "correct the file")
        clock.forward(pause_s)
        wake(ledger)
        await until(lambda: len(states(ledger)) == 2)
        token.fails = None
        clock.forward(pause_s)
        await until_opened(ledger, 2)
        await looked(ledger)
        assert states(ledger)[1:] == ["FAILED token 'booth' refused the PIN", "ONLINE "]
        signed_by_their_sessions(ledger, token.key_id)
        clock.forward(DAY_S)
        token.fails = TokenUnavailable("token 'booth' is not there", "put it back")
        wake(ledger)
        await until(lambda: len(states(ledger)) == 4)
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert [text[:48] for text in said] == [
        "the device key opens no new session: token 'boot",
        "the device key opens no new session: token 'boot",
        "the device key answers again: a new session is o",
        "the device key opens no new session: token 'boot",
    ]
    verify_ledger(booth.directory, booth.device_keys)


async def test_what_the_port_would_refuse_is_no_opening(booth: Booth, clock: HandClock, token: Token) -> None:
    async with booth.open(clock=clock, session_s=DAY_S, device=token) as ledger:
        token.spoilt = True
        clock.forward(DAY_S)
        wake(ledger)
        await until(lambda: len(states(ledger)) == 1)
        assert "BAD_SIGNATURE" in states(ledger)[0]
        assert len(openings(ledger)) == 1
        token.spoilt = False
        clock.forward(next_session.FAILED_S)
        await until_opened(ledger, 2)
    verify_ledger(booth.directory, booth.device_keys)


async def test_a_fault_of_the_program_ends_the_ledger_as_ever(booth: Booth, clock: HandClock, token: Token) -> None:
    async with booth.open(clock=clock, session_s=DAY_S, device=token) as ledger:
        token.fails = ZeroDivisionError("a mistake")
        clock.forward(DAY_S)
        wake(ledger)
        with pytest.raises(ZeroDivisionError):
            await ledger.recorder.watch()
    verify_ledger(booth.directory, booth.device_keys)


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


async def test_a_state_that_finds_no_room_is_recorded_later(booth: Booth, clock: HandClock, token: Token) -> None:
    token.fails = TokenUnavailable("gone", "put it back")
    said = next_session.NextSession(token, clock, 0.0, "1.0", lambda: None)
    async with booth.open(clock=clock) as ledger:
        said.look(ledger.recorder.head)
        await until(lambda: token.answered == 1)
        await until(lambda: said.opening(ledger.recorder.head) is None and said._attempt is None)
    full, recorded = True, list[object]()

    def record(body: object, _: object) -> None:
        if full:
            raise StoreFull("no room", "make some")
        recorded.append(body)

    with pytest.raises(StoreFull):
        said.report(record)
    full = False
    for _ in range(2):
        said.report(record)
    assert len(recorded) == 1
