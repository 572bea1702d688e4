"""The device key cannot sign for the next session: said once, tried again, and the old session goes on."""

import logging

import pytest

from edge_agent.domain.errors import StoreFull
from edge_agent.domain.observation import DeviceState, DeviceStatus
from edge_agent.ledger import next_session
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.pkcs11_key import PinRefused, TokenUnavailable
from tests.integration.ledger.conftest import Booth, HandClock, until
from tests.integration.ledger.gated_token import Token
from tests.integration.ledger.sessions import (
    DAY_S,
    looked,
    openings,
    signed,
    signed_by_their_sessions,
    states,
    until_opened,
    wake,
)


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
        assert ledger.recorder.device_key == DeviceStatus(DeviceState.OFFLINE, "token 'booth' is not there")
        token.fails = PinRefused("token 'booth' refused the PIN", "correct the file")
        clock.forward(pause_s)
        wake(ledger)
        await until(lambda: len(states(ledger)) == 2)
        token.fails = None
        clock.forward(pause_s)
        await until_opened(ledger, 2)
        await looked(ledger)
        assert states(ledger)[1:] == ["FAILED token 'booth' refused the PIN", "ONLINE "]
        assert ledger.recorder.device_key == DeviceStatus(DeviceState.ONLINE)
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
