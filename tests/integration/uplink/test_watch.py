"""The booth's Watch and the real gateway: the list comes, stays through everything, and never stands in the way."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import grpc
import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.expected import ExpectationMatch, IdentifierVerdict, MatchOutcome
from edge_agent.domain.inspection import Complete, Inspection, Voted
from edge_agent.expectations.store import DAMAGED, DATABASE, FOLDER
from edge_agent.expecting import Expecting, expectations_status, once
from edge_agent.ledger.recorder import Ledger
from edge_agent.uplink.watch import Watch
from edge_agent.wire.v1alpha1 import findings_pb2
from edge_agent.wire.v1alpha1.watch_pb2 import WatchRequest, WatchResponse
from edge_agent.wire.v1alpha1.watch_pb2_grpc import BoothServiceServicer, add_BoothServiceServicer_to_server
from port_gateway.booth_messages import post
from port_gateway.cli import main
from port_gateway.store import Store
from tests.integration.uplink.conftest import Site, said, until
from tests.integration.uplink.real_port import RealPort

INSPECTION = "0b1e3f6c-6f3e-4f7e-8f5b-0d3b8f0f5c11"


@pytest.fixture
def port(site: Site, tmp_path: Path) -> RealPort:
    (tmp_path / "gateway.yaml").write_text(
        "identity: {key: keys/gateway.key, certificate: keys/gateway.crt}\nlisten: localhost:1\ndata: data\n"
    )
    return RealPort(site, tmp_path)


@pytest.fixture
async def known(site: Site) -> AsyncIterator[Expecting]:
    with contextlib.closing(Expecting(site.booth.directory, SystemClock())) as known:
        yield known


async def expect(port: RealPort, *arguments: str) -> None:
    assert await asyncio.to_thread(main, ["expect", "add", str(port.folder / "gateway.yaml"), *arguments]) == 0


@contextlib.asynccontextmanager
async def watching(site: Site, known: Expecting, take: Any = None, **changes: Any) -> AsyncIterator[None]:
    """The booth's Watch at work."""
    settings = site.settings(**changes)

    async def nothing(_: WatchResponse) -> None:
        raise AssertionError("no message was posted")

    clock, rng = SystemClock(), random.Random(1)
    booth_id = "spiffe://uslrd/booth/lane-1"
    watch = Watch(settings, site.port(settings), booth_id, known, take or nothing, clock, "1.0", rng)
    task = asyncio.ensure_future(watch.run())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def vehicle(plate: str) -> Inspection:
    now = SystemClock().now()
    return Inspection(INSPECTION, "1", now, now, Complete(), plate=Voted(plate, 0.9, (), 3))


def match(known: Expecting, plate: str) -> ExpectationMatch:
    found = known.match(vehicle(plate))
    assert found is not None
    return found


def count(known: Expecting) -> int:
    return known._store.count()


async def test_what_the_port_expects_is_matched_at_the_booth_within_a_moment(
    port: RealPort, site: Site, known: Expecting
) -> None:
    news: list[int] = []
    known.notify(lambda: news.append(1))
    assert known.match(vehicle("TX1234")) is None, "a port that never told of anything"
    async with port.serving(), watching(site, known):
        await expect(port, "ACE-1", "--plate", "TX1234:tractor")
        await until(lambda: count(known) == 1)
        found = match(known, "TX1284")
        assert (found.outcome, found.expectation_ids) == (MatchOutcome.MATCHED, ("ACE-1",))
        assert [one.verdict for one in found.identifiers] == [IdentifierVerdict.ONE_CHARACTER_OFF]
        assert found.list is not None
        assert (found.list.revision, found.list_age_s is not None) == (1, True)
        assert match(known, "QQ7777").outcome is MatchOutcome.NONE
        assert len(news) == 1


async def test_the_list_stays_through_a_restart_with_a_dead_link(port: RealPort, site: Site, known: Expecting) -> None:
    await expect(port, "ACE-1", "--plate", "TX1234")
    async with port.serving(), watching(site, known):
        await until(lambda: count(known) == 1)
    known.close()
    with contextlib.closing(Expecting(site.booth.directory, SystemClock())) as again:
        async with watching(site, again, connect_s=0.2):
            await asyncio.sleep(0.3)
            found = match(again, "TX1234")
            assert (found.outcome, found.list_age_s) == (MatchOutcome.MATCHED, found.list_age_s)
            assert found.list_age_s is not None
        await expect(port, "ACE-2", "--plate", "TX9999")
        async with port.serving(), watching(site, again):  # only what changed comes
            await until(lambda: count(again) == 2)
    status = expectations_status(site.booth.directory, SystemClock())
    assert (status["held"], status["expected"], status["revision"]) == (True, 2, 2)
    assert status["age_s"] is not None


async def test_a_copy_that_is_damaged_at_work_is_fetched_anew_and_no_lane_waits(
    port: RealPort, site: Site, known: Expecting, caplog: pytest.LogCaptureFixture
) -> None:
    await expect(port, "ACE-1", "--plate", "TX1234")
    async with port.serving(), watching(site, known):
        await until(lambda: count(known) == 1)
        with contextlib.closing(apsw.Connection(str(site.booth.directory / FOLDER / DATABASE))) as db:
            db.set_busy_timeout(5000)
            db.execute("UPDATE crossing SET message = x'ffffff'")
        found = match(known, "TX1234")
        assert (found.outcome, "does not hold what was written" in found.detail) == (MatchOutcome.COULD_NOT_LOOK, True)
        await until(lambda: match(known, "TX1234").outcome is MatchOutcome.MATCHED)
    assert "it is set aside, and the port sends the list again" in caplog.text
    assert (site.booth.directory / FOLDER / DAMAGED).exists()


async def test_a_port_that_was_put_back_is_believed(port: RealPort, site: Site, known: Expecting) -> None:
    await expect(port, "ACE-1", "--plate", "TX1234")
    backup = port.back_up()
    await expect(port, "ACE-2", "--plate", "TX9999")
    async with port.serving(), watching(site, known):
        await until(lambda: count(known) == 2)
    port.restore(backup)
    await expect(port, "ACE-3", "--plate", "AB5555")  # the same revision as that of ACE-2, and another state
    async with port.serving(), watching(site, known):
        await until(lambda: match(known, "AB5555").outcome is MatchOutcome.MATCHED)
        assert match(known, "TX9999").outcome is MatchOutcome.NONE


async def test_a_message_is_recorded_once_however_often_it_comes(port: RealPort, site: Site, known: Expecting) -> None:
    message = findings_pb2.OfficerDecision(
        message_id=b"m" * 16,
        inspection_id=INSPECTION,
        decision=findings_pb2.DECISION_HOLD,
        officer="M. Ruiz",
        reason="seal",
    )
    with contextlib.closing(Store(port.settings().database)) as store:
        store.submit(lambda db: post(db, "spiffe://uslrd/booth/lane-1", message, 1)).result(10)
    async with site.booth.open() as ledger:
        take = once(ledger.outbox, ledger.recorder.record, SystemClock())
        for _ in range(3):  # the link breaks before the event is at the port
            async with port.serving(), watching(site, known, take):
                await until(lambda: ledger.outbox.told_of(INSPECTION)[1] == {b"m" * 16})
        assert kinds(ledger) == ["session_opened", "decision_recorded"]
    async with site.booth.open() as ledger:  # restarted
        take = once(ledger.outbox, ledger.recorder.record, SystemClock())
        async with port.serving(), watching(site, known, take), port.sending(ledger):
            await until(lambda: port.rows("SELECT count(*) FROM booth_message") == [(0,)])
        assert kinds(ledger) == ["session_opened", "decision_recorded", "session_opened"]


def kinds(ledger: Ledger) -> list[str]:
    return [row[0] for row in ledger.outbox._rows("SELECT kind FROM event ORDER BY seq")]


async def test_an_older_gateway_is_told_once_and_events_go_on(
    site: Site, known: Expecting, caplog: pytest.LogCaptureFixture
) -> None:
    async with site.booth.open() as ledger, contextlib.AsyncExitStack() as open:
        await open.enter_async_context(site.serving(site.new_port(ledger)))  # serves no BoothService
        await open.enter_async_context(watching(site, known, refused_retry_s=0.05))
        await open.enter_async_context(site.sending(ledger))
        await until(lambda: ledger.outbox.acked_through() == ledger.recorder.head.seq)
        await until(lambda: "UNIMPLEMENTED" in caplog.text)
        await asyncio.sleep(0.5)
    # An answer that meets the hello on its way may reach the booth as gRPC's own INTERNAL: a failure of another kind.
    told = [r.getMessage() for r in caplog.records if "what the port expects is not being told" in r.getMessage()]
    assert len([words for words in told if "UNIMPLEMENTED" in words]) == 1
    assert len(told) <= 2


class Misbehaving(BoothServiceServicer):
    """A port that behaves as it is told."""

    def __init__(self, answers: list[WatchResponse], status: grpc.StatusCode | None = None) -> None:
        self.answers, self.status, self.calls = answers, status, 0

    async def Watch(self, request_iterator: Any, context: Any) -> AsyncIterator[WatchResponse]:
        self.calls += 1
        assert isinstance(await anext(request_iterator), WatchRequest)
        for answer in self.answers:
            yield answer
        if self.status is not None:
            await context.abort(self.status, "as told")
        await asyncio.sleep(3600)


async def test_a_port_that_falls_silent_is_dialled_again(
    site: Site, known: Expecting, caplog: pytest.LogCaptureFixture
) -> None:
    mute = Misbehaving([])
    async with site.serving(mute, add_BoothServiceServicer_to_server), watching(site, known, no_ack_s=0.2):
        await until(lambda: mute.calls >= 3)
    assert len(said(caplog, logging.WARNING)) == 1


async def test_failures_that_take_turns_are_told_once_each(
    site: Site, known: Expecting, caplog: pytest.LogCaptureFixture
) -> None:
    class Fickle(Misbehaving):
        async def Watch(self, request_iterator: Any, context: Any) -> AsyncIterator[WatchResponse]:
            self.status = grpc.StatusCode.PERMISSION_DENIED if self.calls % 2 else grpc.StatusCode.UNAVAILABLE
            async for answer in super().Watch(request_iterator, context):
                yield answer

    port = Fickle([])
    async with site.serving(port, add_BoothServiceServicer_to_server), watching(site, known, refused_retry_s=0.05):
        await until(lambda: port.calls >= 6)
    assert len([r for r in caplog.records if "is not being told" in r.getMessage()]) <= 2


@pytest.mark.parametrize("what", ["impossible message", "empty", "unknown list", "refusal"])
async def test_nothing_that_a_port_says_ends_the_agent(site: Site, known: Expecting, what: str) -> None:
    answers = {
        "impossible message": [WatchResponse(decision=findings_pb2.OfficerDecision(message_id=b"short"))],
        "empty": [WatchResponse()],
        "unknown list": [WatchResponse.FromString(b"\x22\x02\x08\x01")],  # a heartbeat for a list that nobody holds
        "refusal": [],
    }[what]
    odd = Misbehaving(answers, grpc.StatusCode.PERMISSION_DENIED if what == "refusal" else grpc.StatusCode.INTERNAL)
    async with site.booth.open() as ledger:
        take = once(ledger.outbox, ledger.recorder.record, SystemClock())
        serving = site.serving(odd, add_BoothServiceServicer_to_server)
        async with serving, watching(site, known, take, refused_retry_s=0.05):
            await until(lambda: odd.calls >= 3)
        assert kinds(ledger) == ["session_opened"]
