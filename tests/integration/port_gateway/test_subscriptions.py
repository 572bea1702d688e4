import asyncio
import contextlib
from pathlib import Path
from typing import Any

import grpc
import pytest

from edge_agent.domain.errors import Permanent
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import (
    SubscribeServiceServicer,
    add_SubscribeServiceServicer_to_server,
)
from port_gateway.client import PortStops
from port_gateway.tail import Printer, Tail, tail
from tests.integration.port_gateway.conftest import PATIENCE_S, Port, Stream
from tests.unit.port_gateway.signing import Ledger


class Reader:
    """A back-office's subscription, driven by hand."""

    def __init__(self, stub: Any, **start: Any) -> None:
        self.call = stub.Subscribe()
        self.start = wire.SubscribeStart(**start)

    async def begin(self) -> "Reader":
        await self.call.write(wire.SubscribeRequest(start=self.start))
        return self

    async def take(self, count: int) -> list[wire.SubscribeResponse]:
        async with asyncio.timeout(PATIENCE_S):
            return [await self.call.read() for _ in range(count)]

    async def nothing_comes(self, seconds: float = 0.3) -> bool:
        """Whether the port is silent; the subscription cannot be used after."""
        try:
            async with asyncio.timeout(seconds):
                await self.call.read()
        except TimeoutError:
            return True
        return False

    async def ack(self, through: int) -> None:
        await self.call.write(wire.SubscribeRequest(ack=wire.SubscribeAck(through=through)))

    async def done(self) -> grpc.StatusCode:
        await self.call.done_writing()
        while await self.call.read() is not grpc.aio.EOF:
            continue
        code: grpc.StatusCode = await self.call.code()
        return code


async def fill(port: Port, ledger: Ledger, count: int) -> None:
    ledger.grow(count)
    async with port.ingest() as stub:
        stream = Stream(stub)
        welcome = await stream.hello(ledger.hello())
        for at in range(welcome.durable_through, ledger.head.seq, 100):
            await stream.send(at + 1, *ledger.envelopes[at : at + 100])
            await stream.acked(min(at + 100, ledger.head.seq))


@pytest.fixture
async def filled(served: Port) -> tuple[Port, Ledger]:
    ledger = served.ledger()
    await fill(served, ledger, 49)
    return served, ledger


async def test_replay_from_any_cursor_then_live(filled: tuple[Port, Ledger]) -> None:
    port, ledger = filled
    async with port.subscribe() as stub:
        everything = await (await Reader(stub).begin()).take(50)
        assert [r.envelope for r in everything] == ledger.envelopes
        assert [r.cursor for r in everything] == sorted({r.cursor for r in everything})
        assert {r.booth_id for r in everything} == {port.booth.identity}
        live = await Reader(stub, after=everything[39].cursor).begin()
        assert [r.envelope for r in await live.take(10)] == ledger.envelopes[40:]
        waiting = asyncio.ensure_future(live.take(3))
        await fill(port, ledger, 3)
        assert [r.envelope for r in await waiting] == ledger.envelopes[50:]


async def test_a_named_cursor_is_kept_over_a_restart(port: Port) -> None:
    ledger = port.ledger()
    async with port.serving():
        await fill(port, ledger, 19)
        async with port.subscribe() as stub:
            reader = await Reader(stub, name="risk").begin()
            got = await reader.take(20)
            await reader.ack(got[11].cursor)
            assert await reader.done() is grpc.StatusCode.OK
    async with port.serving(), port.subscribe() as stub:
        assert [r.envelope for r in await (await Reader(stub, name="risk").begin()).take(8)] == ledger.envelopes[12:]
        other = await (await Reader(stub, name="archive").begin()).take(20)  # a name of its own, a cursor of its own
        assert len(other) == 20
        again = await (await Reader(stub, name="risk", after=0).begin()).take(20)  # an explicit cursor wins
        assert len(again) == 20


async def test_only_these_booths(filled: tuple[Port, Ledger]) -> None:
    port, _ = filled
    other = Ledger(port.other_booth.identity, port.other_booth.key)
    async with port.ingest(port.other_booth) as stub:
        stream = Stream(stub)
        await stream.hello(other.hello())
        await stream.send(1, *other.envelopes)
        await stream.acked(1)
    async with port.subscribe() as stub:
        reader = await Reader(stub, booth_ids=[port.other_booth.identity]).begin()
        assert [r.envelope for r in await reader.take(1)] == other.envelopes
        assert await reader.nothing_comes()


async def test_a_reader_is_told_of_a_stop_and_its_last_acknowledgement_is_kept(port: Port) -> None:
    ledger = port.ledger()
    port.limits = port.limits.model_copy(update={"drain_s": 20.0, "back_after_s": 7})
    async with contextlib.AsyncExitStack() as channels, contextlib.AsyncExitStack() as serving:
        await serving.enter_async_context(port.serving())
        await fill(port, ledger, 19)
        stub = await channels.enter_async_context(port.subscribe())
        busy = await Reader(stub, name="busy").begin()
        got = await busy.take(20)
        idle = await Reader(stub, after=got[-1].cursor).begin()
        stopping = asyncio.ensure_future(serving.aclose())
        async with asyncio.timeout(PATIENCE_S):
            while not stopping.done():  # one has nothing outstanding, and ends at once; for the other it waits
                if idle.call.done():
                    await busy.ack(got[-1].cursor)
                    break
                await asyncio.sleep(0.05)
            await stopping
        for reader in (idle, busy):
            assert await reader.call.code() is grpc.StatusCode.ABORTED
            assert await reader.call.details() == "DRAIN: the gateway is stopping, come back after 7 s"
            assert ("grpc-retry-pushback-ms", "7000") in list(await reader.call.trailing_metadata())
    async with port.serving(), port.subscribe() as stub:
        await fill(port, ledger, 1)
        assert [r.envelope for r in await (await Reader(stub, name="busy").begin()).take(1)] == ledger.envelopes[20:]


@pytest.mark.parametrize(("pushback", "after_s"), [(7_000, 7), (2**63 - 1, 300)])
async def test_a_reader_stays_away_no_longer_than_five_minutes(tmp_path: Path, pushback: int, after_s: float) -> None:
    class Stopping(SubscribeServiceServicer):
        async def ListBooths(self, request: Any, context: Any) -> Any:
            context.set_trailing_metadata((("grpc-retry-pushback-ms", str(pushback)),))
            await context.abort(grpc.StatusCode.ABORTED, "DRAIN: the gateway is stopping")

    port = Port(tmp_path)
    server = grpc.aio.server()
    add_SubscribeServiceServicer_to_server(Stopping(), server)  # type: ignore[abstract]
    credentials = grpc.ssl_server_credentials([port.gateway.pair], port.office.pair[1], require_client_auth=True)
    address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
    await server.start()
    try:
        files = (port.gateway.certificate_path, port.office.key_path, port.office.certificate_path)
        with pytest.raises(PortStops) as stops:
            await tail(Tail(address, *files), Printer(False))
        assert stops.value.after_s == after_s
    finally:
        await server.stop(None)


async def test_a_slow_subscriber_gets_its_credit_and_harms_nobody(filled: tuple[Port, Ledger]) -> None:
    port, ledger = filled
    async with port.subscribe() as stub:
        slow = await Reader(stub, max_outstanding=5).begin()
        got = await slow.take(5)
        quick = await Reader(stub).begin()
        await quick.take(50)
        await fill(port, ledger, 200)
        assert [r.envelope for r in await quick.take(200)] == ledger.envelopes[50:]
        await slow.ack(got[2].cursor)
        assert [r.envelope for r in await slow.take(3)] == ledger.envelopes[5:8]
        assert await slow.nothing_comes()  # five are outstanding again


async def test_a_subscriber_that_never_reads_costs_a_page(served: Port) -> None:
    ledger = served.ledger()
    ledger.grow(1)
    async with served.subscribe() as stub, served.ingest() as ingest:
        deaf = await Reader(stub, max_outstanding=10_000).begin()
        stream = Stream(ingest)
        await stream.hello(ledger.hello())
        await stream.send(1, *ledger.envelopes)
        for _ in range(100):  # 12 MB: far beyond what HTTP/2 lets through unread
            seq = ledger.head.seq + 1
            await stream.send(seq, ledger.large(120_000))
            await stream.acked(seq)
        got = await deaf.take(102)
        assert [r.envelope for r in got] == ledger.envelopes


async def test_a_cursor_that_this_port_never_gave_is_refused(filled: tuple[Port, Ledger]) -> None:
    port, ledger = filled
    async with port.subscribe() as stub:
        (newest,) = [r.cursor for r in await (await Reader(stub, after=49).begin()).take(1)]
        at_the_end = await Reader(stub, after=newest).begin()
        for beyond in (newest + 1, 2**64 - 1):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await (await Reader(stub, after=beyond).begin()).take(1)
            assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            told = f"WRONG_CURSOR: cursor {beyond} is beyond this port's newest, {newest}: "
            assert (raised.value.details() or "").startswith(told)
        assert port.running is not None
        files = (port.gateway.certificate_path, port.office.key_path, port.office.certificate_path)
        for follow in (False, True):
            with pytest.raises(Permanent, match=f"cursor {newest + 1} is beyond this port's newest, {newest}: "):
                await tail(Tail(port.running.address, *files, after=newest + 1, follow=follow), Printer(False))
        await fill(port, ledger, 1)
        assert [r.envelope for r in await at_the_end.take(1)] == ledger.envelopes[-1:]


async def test_requests_out_of_order_end_the_subscription(filled: tuple[Port, Ledger]) -> None:
    port, _ = filled
    start = wire.SubscribeRequest(start=wire.SubscribeStart(after=48))
    wrong: list[list[wire.SubscribeRequest]] = [
        [wire.SubscribeRequest(ack=wire.SubscribeAck(through=1))],
        [start, start],
        [start, wire.SubscribeRequest(ack=wire.SubscribeAck(through=10**9))],
        [wire.SubscribeRequest(start=wire.SubscribeStart(name="n" * 65))],
        [wire.SubscribeRequest(start=wire.SubscribeStart(booth_ids=["b"] * 257))],
    ]
    async with port.subscribe() as stub:
        for requests in wrong:
            call = stub.Subscribe()
            for request in requests:
                await call.write(request)
            async with asyncio.timeout(PATIENCE_S):
                with contextlib.suppress(grpc.aio.AioRpcError):
                    while await call.read() is not grpc.aio.EOF:
                        continue
                assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
