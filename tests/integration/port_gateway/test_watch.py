"""BoothService over mutual TLS: each booth is told what is for it, at once, and nobody waits for another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import grpc
import pytest

from edge_agent.domain import event as domain
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.finding import Decision
from edge_agent.wire.v1alpha1 import findings_pb2
from edge_agent.wire.v1alpha1 import watch_pb2 as wire
from edge_agent.wire.v1alpha1.expected_pb2 import ExpectationList
from port_gateway import booth_messages, expected
from port_gateway.booth_messages import TooManyMessages, post
from port_gateway.cli import main
from port_gateway.store import Store
from port_gateway.trust import TrustStore
from tests.integration.port_gateway.conftest import PATIENCE_S, Port, Stream
from tests.integration.port_gateway.watching import Watch, ids, watching

INSPECTION = "0b1e3f6c-6f3e-4f7e-8f5b-0d3b8f0f5c11"


@pytest.fixture
def config(port: Port) -> str:
    return str(port.write_config())


async def expect(config: str, *arguments: str) -> None:
    assert await asyncio.to_thread(main, ["expect", "add", config, *arguments]) == 0


# --- expectations -----------------------------------------------------------------------------------------------------
async def test_what_a_command_adds_reaches_the_booth_at_once(port: Port, config: str) -> None:
    await expect(config, "before", "--plate", "TX1")
    async with port.serving(), watching(port) as booth:
        page = await booth.take()
        assert (ids(page), page.whole, page.newest) == (["before"], True, True)
        await expect(config, "live", "--plate", "TX2:tractor", "--container", "CSQU3054383", "--seal", "JH1234")
        page = await booth.take()
        assert (ids(page), page.whole, page.newest) == (["live"], False, True)
        assert page.put[0].plates[0].role == "tractor"
        assert await asyncio.to_thread(main, ["expect", "remove", config, "before"]) == 0
        page = await booth.take()
        assert (ids(page), list(page.removed)) == ([], ["before"])
        kept = page.list
    async with port.serving(), watching(port, held=kept) as booth:
        page = await booth.take()
        assert (ids(page), page.whole, page.newest, page.list) == ([], False, True, kept)


async def test_a_booth_is_told_nothing_of_other_lanes(port: Port, config: str) -> None:
    async with port.serving(), watching(port) as one, watching(port, port.other_booth) as two:
        for booth in (one, two):
            assert ids(await booth.take()) == []
        await expect(config, "secret", "--plate", "TX1", "--booth", "lane-2")
        page = await two.take()
        assert ids(page) == ["secret"]
        assert not page.put[0].booth_ids
        await expect(config, "both", "--plate", "TX2")
        page = await one.take()
        assert ids(page) == ["both"], "what is for another booth is no page here"
        # The other's changes move the list all the same, and the heartbeat says how far this booth is with it.
        await expect(config, "more", "--plate", "TX3", "--booth", "lane-2")
        async with asyncio.timeout(PATIENCE_S):
            while (await one.read(beats=True)).heartbeat.list.revision <= page.list.revision:
                pass


async def test_a_page_waits_until_the_one_before_is_kept(
    port: Port, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expected, "PAGE_RECORDS", 1)
    for n in range(3):
        await expect(config, f"e{n}", "--plate", f"TX{n}")
    async with port.serving(), watching(port) as booth:
        first = await booth.page()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await booth.call.read()
        assert (ids(first), first.newest) == (["e0"], False)
    async with port.serving(), watching(port) as booth:
        assert [ids(await booth.take()) for _ in range(3)] == [["e0"], ["e1"], ["e2"]]


async def test_what_runs_out_is_taken_from_the_booth(port: Port, config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("port_gateway.watch.EXPIRE_S", 0.1)
    await expect(config, "soon", "--plate", "TX1")
    async with port.serving(), watching(port) as booth:
        assert ids(await booth.take()) == ["soon"]
        with contextlib.closing(port.store()) as store:
            store.submit(lambda db: db.execute("UPDATE expected SET forget_utc_us = 1")).result(PATIENCE_S)
        assert list((await booth.take()).removed) == ["soon"]


async def test_the_port_knows_what_each_booth_holds(
    port: Port, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await expect(config, "a", "--plate", "TX1")
    async with port.serving(), watching(port) as booth:
        await booth.take()
        capsys.readouterr()

        def said() -> bool:
            assert main(["expect", "booths", config]) == 0
            return f"{port.booth.identity}  holds revision 1 since" in capsys.readouterr().out

        async with asyncio.timeout(PATIENCE_S):
            while not await asyncio.to_thread(said):
                await asyncio.sleep(0.05)


async def test_streams_that_a_booth_does_not_read_do_not_pile_up(port: Port) -> None:
    def fill(db: apsw.Connection) -> None:
        for n in range(200):  # together more than any window
            decision = findings_pb2.OfficerDecision(
                message_id=n.to_bytes(16, "big"), inspection_id="i", reason="y" * 100_000
            )
            post(db, port.booth.identity, decision, 1)

    def standing() -> int:
        return sum(task.get_name() == f"kept by {port.booth.identity}" for task in asyncio.all_tasks())

    with contextlib.closing(port.store()) as store:
        store.submit(fill).result(PATIENCE_S)
    async with port.serving(), contextlib.AsyncExitStack() as opened, asyncio.timeout(PATIENCE_S):
        for _ in range(3):
            await opened.enter_async_context(watching(port))
            await asyncio.sleep(0.5)  # until the port stands in a write; else there is less to see
        while standing() > 1:
            await asyncio.sleep(0.05)


# --- who may ask ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("who", ["office", "another name"])
async def test_only_a_registered_booth_may_watch_and_in_its_own_name(port: Port, who: str) -> None:
    party = port.office if who == "office" else port.booth
    name = port.office.identity if who == "office" else port.other_booth.identity
    async with port.serving(), watching(port, party, booth_id=name) as booth:
        assert await booth.status() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_request_that_does_not_fit_ends_the_stream(port: Port, config: str) -> None:
    wrong = ExpectationList(list_id=b"x" * 16, revision=7, mark=1)
    async with port.serving():
        async with port.channel(port.booth) as channel:
            watch = Watch(channel)
            await watch.call.write(wire.WatchRequest(kept=wire.ExpectationsKept(list=wrong)))
            assert await watch.status() is grpc.StatusCode.INVALID_ARGUMENT
        async with watching(port) as booth:
            await booth.page()
            await booth.call.write(wire.WatchRequest(kept=wire.ExpectationsKept(list=wrong)))
            assert await booth.status() is grpc.StatusCode.INVALID_ARGUMENT
            assert "only the page that was sent" in await booth.call.details()
        async with watching(port) as booth:
            await booth.take()
            await booth.call.write(wire.WatchRequest(hello=wire.WatchHello(booth_id=port.booth.identity)))
            assert await booth.status() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_revoked_booth_is_told_nothing_more(port: Port, config: str) -> None:
    async with port.serving(), watching(port) as booth:
        await booth.take()
        with contextlib.closing(port.store()) as store:
            TrustStore(store, SystemClock()).add([port.stranger.certificate], replace=True)
        assert await booth.status() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_newer_stream_of_a_booth_ends_the_one_before(port: Port) -> None:
    async with port.serving(), watching(port) as first:
        await first.take()
        async with watching(port) as second:
            await second.take()
            assert await first.status() is grpc.StatusCode.ABORTED


async def test_a_gateway_that_stops_says_so(port: Port) -> None:
    async with contextlib.AsyncExitStack() as serving:
        await serving.enter_async_context(port.serving())
        async with watching(port) as booth:
            await booth.take()
            stopping = asyncio.ensure_future(serving.aclose())
            assert (await booth.read()).WhichOneof("message") == "drain"
            await booth.call.done_writing()
            assert await booth.status() is grpc.StatusCode.OK
            await stopping


# --- peers that stand still -------------------------------------------------------------------------------------------
async def test_a_booth_that_takes_nothing_keeps_nobody_waiting(port: Port, config: str, tmp_path: Path) -> None:
    rows = "".join(f"e{n},TX{n}{n % 7},{'x' * 250}\n" for n in range(2000))
    (tmp_path / "many.csv").write_text(f"id,plates,note\n{rows}")
    async with port.serving(), watching(port) as still, watching(port, port.other_booth) as moving:
        assert await asyncio.to_thread(main, ["expect", "import", config, str(tmp_path / "many.csv")]) == 0
        taken = 0
        while taken < 2000:
            taken += len((await moving.take()).put)
        with contextlib.closing(port.store()) as store:
            post_decision(store, port.other_booth.identity, b"m" * 16)
        assert (await moving.read()).decision.message_id == b"m" * 16
        page = await still.page()
        assert ids(page) == [] or len(page.put) <= expected.PAGE_RECORDS
        ledger = port.ledger()
        async with port.ingest() as stub:
            stream = Stream(stub)
            await stream.hello(ledger.hello())
            await stream.send(1, *ledger.envelopes)
            await stream.acked(1)


# --- messages ---------------------------------------------------------------------------------------------------------
def post_decision(store: Store, booth_id: str, message_id: bytes) -> None:
    message = findings_pb2.OfficerDecision(message_id=message_id, inspection_id=INSPECTION, officer="M. Ruiz")
    store.submit(lambda db: post(db, booth_id, message, 1)).result(PATIENCE_S)


@pytest.fixture
async def stored(port: Port) -> AsyncIterator[Store]:
    with contextlib.closing(port.store()) as store:
        yield store


async def test_a_message_is_sent_again_until_the_booths_event_names_it(port: Port, stored: Store) -> None:
    named = [bytes([n]) * 16 for n in range(3)]
    post_decision(stored, port.booth.identity, named[0])
    post_decision(stored, port.booth.identity, named[0])  # once, whoever says it twice
    post_decision(stored, port.other_booth.identity, named[1])
    ledger = port.ledger()
    async with port.serving():
        async with watching(port) as booth:
            assert (await booth.read()).decision.message_id == named[0]
            await booth.take()
            post_decision(stored, port.booth.identity, named[2])
            assert (await booth.read()).decision.message_id == named[2]
        async with watching(port) as booth:
            assert [(await booth.read()).decision.message_id for _ in range(2)] == [named[0], named[2]]
        ledger.add(
            domain.DecisionRecorded(INSPECTION, "1", Decision.HOLD, "M. Ruiz", "seal", 1, named[0]),
        )
        async with port.ingest() as stub:
            stream = Stream(stub)
            await stream.hello(ledger.hello())
            await stream.send(1, *ledger.envelopes)
            await stream.acked(2)
        async with watching(port) as booth:
            assert (await booth.read()).decision.message_id == named[2]
            await booth.take()
        async with watching(port, port.other_booth) as other:
            assert (await other.read()).decision.message_id == named[1]


async def test_one_booth_cannot_settle_what_another_is_told(port: Port, stored: Store) -> None:
    post_decision(stored, port.other_booth.identity, b"m" * 16)
    ledger = port.ledger()
    ledger.add(domain.DecisionRecorded(INSPECTION, "1", Decision.RELEASE, "x", "y", 1, b"m" * 16))
    async with port.serving():
        async with port.ingest() as stub:
            stream = Stream(stub)
            await stream.hello(ledger.hello())
            await stream.send(1, *ledger.envelopes)
            await stream.acked(2)
        async with watching(port, port.other_booth) as other:
            assert (await other.read()).decision.message_id == b"m" * 16


def test_a_booth_that_never_comes_back_does_not_fill_the_disk(
    port: Port, stored: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(booth_messages, "MAX_WAITING", 2)
    for n in range(2):
        post_decision(stored, port.booth.identity, bytes([n]) * 16)
    with pytest.raises(TooManyMessages, match="2 messages wait for spiffe://uslrd/booth/lane-1"):
        post_decision(stored, port.booth.identity, b"x" * 16)
