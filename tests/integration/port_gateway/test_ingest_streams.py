import asyncio
import contextlib
from typing import TYPE_CHECKING, cast

import apsw
import grpc
import pytest

from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from port_gateway.config import Limits
from port_gateway.ingest import Ingest
from tests.integration.port_gateway.conftest import PATIENCE_S, Port, Stream
from tests.unit.port_gateway.signing import Ledger

if TYPE_CHECKING:
    from port_gateway.inbox import Inbox
    from port_gateway.trees import Receipts
    from port_gateway.trust import TrustStore


async def held(port: Port) -> list[bytes]:
    """What a back-office reads, through the last row of the inbox."""
    with contextlib.closing(apsw.Connection(str(port.settings().database))) as db:
        rows = db.execute("SELECT count(*) FROM event").get
    assert isinstance(rows, int)
    found = []
    async with port.subscribe() as stub, asyncio.timeout(PATIENCE_S):
        call = stub.Subscribe()
        await call.write(wire.SubscribeRequest(start=wire.SubscribeStart(max_outstanding=10_000)))
        for _ in range(rows):
            response = await call.read()
            assert isinstance(response, wire.SubscribeResponse)
            found.append(response.envelope)
        call.cancel()
    return found


async def test_events_are_acknowledged_and_reach_a_back_office_as_signed(served: Port) -> None:
    ledger = served.ledger()
    ledger.grow(9)
    async with served.ingest() as stub:
        stream = Stream(stub)
        welcome = await stream.hello(ledger.hello())
        assert (welcome.durable_through, welcome.chain_head) == (0, bytes(32))
        await stream.send(1, *ledger.envelopes)
        ack = await stream.acked(10)
        assert ack.chain_head == envelope_sha256(ledger.envelopes[-1])
    assert await held(served) == ledger.envelopes


async def test_a_second_stream_goes_on_where_the_first_stopped(served: Port) -> None:
    ledger = served.ledger()
    ledger.grow(4)
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(1, *ledger.envelopes[:3])
        await stream.acked(3)
        again = Stream(stub)
        welcome = await again.hello(ledger.hello())
        assert welcome.durable_through == 3
        assert await stream.status() is grpc.StatusCode.ABORTED  # superseded
        await again.send(4, *ledger.envelopes[3:])
        await again.acked(5)
    assert await held(served) == ledger.envelopes


async def test_a_stream_that_leaves_while_it_takes_over_holds_nobody_up() -> None:
    ingest = Ingest(cast("Inbox", None), cast("TrustStore", None), Limits(drain_s=60), cast("Receipts", None))
    await ingest._take_over(("booth", False))
    second = asyncio.ensure_future(ingest._take_over(("booth", False)))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    async with asyncio.timeout(5):
        await ingest._take_over(("booth", False))


async def test_an_identical_envelope_is_acknowledged_again_without_a_second_row(served: Port) -> None:
    ledger = served.ledger()
    ledger.grow(3)
    ledger.open_session()
    ledger.grow(2)
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(1, *ledger.envelopes[:6])
        await stream.acked(6)
        await stream.send(2, *ledger.envelopes[1:])  # five old ones, of two sessions, and a new one
        await stream.acked(7)
    assert await held(served) == ledger.envelopes


async def test_a_heartbeat_repeats_the_acknowledgement(served: Port) -> None:
    ledger = served.ledger()
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(1, *ledger.envelopes)
        await stream.acked(1)
        for _ in range(3):
            response = await stream.read()
            assert response.ack.durable_through == 1


async def test_batches_in_flight_together_are_acknowledged_in_order(served: Port) -> None:
    ledger = served.ledger()
    ledger.grow(599)
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        for first in range(0, 600, 60):
            await stream.send(first + 1, *ledger.envelopes[first : first + 60])
        await stream.acked(600)
        await stream.call.done_writing()
        assert await stream.status() is grpc.StatusCode.OK
    assert await held(served) == ledger.envelopes


async def test_booths_stream_side_by_side(served: Port) -> None:
    ledgers = [served.ledger(), Ledger(served.other_booth.identity, served.other_booth.key)]

    async def run(ledger: Ledger, number: int) -> None:
        async with served.ingest([served.booth, served.other_booth][number]) as stub:
            stream = Stream(stub)
            await stream.hello(ledger.hello())
            for seq in range(1, 51):
                if seq > 1:
                    ledger.grow(1)
                await stream.send(seq, ledger.envelopes[-1])
            await stream.acked(50)

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(run(ledgers[0], 0), run(ledgers[1], 1))
    found = await held(served)
    for ledger in ledgers:
        assert [envelope for envelope in found if envelope in ledger.envelopes] == ledger.envelopes
    assert len(found) == 100


@pytest.mark.parametrize("newest", [0, 2])
async def test_a_ledger_that_was_set_back_is_a_fork(served: Port, newest: int) -> None:
    ledger = served.ledger()
    ledger.grow(2)
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(1, *ledger.envelopes)
        await stream.acked(3)
        hello = ledger.hello()
        hello.newest_seq = newest
        again = Stream(stub)
        await again.call.write(wire.StreamEventsRequest(hello=hello))
        assert (await again.nack()).code == wire.REFUSAL_CODE_FORK


async def test_the_gateway_drains_what_is_in_flight_when_it_stops(port: Port) -> None:
    ledger = port.ledger()
    ledger.grow(99)
    async with contextlib.AsyncExitStack() as stack:
        async with port.serving():
            stream = Stream(await stack.enter_async_context(port.ingest()))
            await stream.hello(ledger.hello())
            await stream.send(1, *ledger.envelopes)
            await stream.acked(1)
        while (response := await stream.read()).WhichOneof("message") == "ack":  # one that does not half-close
            continue
        assert response.WhichOneof("message") == "drain"
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await stream.call.read() is not grpc.aio.EOF:
                continue
        assert await stream.status() is grpc.StatusCode.ABORTED
    async with port.serving():
        assert await held(port) == ledger.envelopes


async def test_a_booth_begins_so_many_ledgers_and_no_more(port: Port) -> None:
    port.limits = port.limits.model_copy(update={"epochs_a_booth": 2})
    ledgers = [port.ledger(bytes([n]) * 16) for n in range(4)]
    async with port.serving(), port.ingest() as stub:
        for ledger in ledgers[:2]:
            stream = Stream(stub)
            await stream.hello(ledger.hello())
            await stream.send(1, *ledger.envelopes)
            await stream.acked(1)
        for ledger in (ledgers[2], ledgers[2], ledgers[3]):
            stream = Stream(stub)
            await stream.call.write(wire.StreamEventsRequest(hello=ledger.hello()))
            assert (await stream.nack()).code == wire.REFUSAL_CODE_TOO_MANY_EPOCHS
            assert await stream.status() is grpc.StatusCode.FAILED_PRECONDITION
        ledgers[0].grow(1)  # what was begun goes on
        stream = Stream(stub)
        await stream.hello(ledgers[0].hello())
        await stream.send(2, ledgers[0].envelopes[1])
        await stream.acked(2)
        other = Ledger(port.other_booth.identity, port.other_booth.key)
        async with port.ingest(port.other_booth) as theirs:
            await Stream(theirs).hello(other.hello())
    with contextlib.closing(port.store()) as store, store.reading() as db:
        alarms = [(code, bytes(epoch)[0]) for code, epoch in db.execute("SELECT code, epoch FROM alarm ORDER BY id")]
    assert alarms == [("UNANNOUNCED_EPOCH", 1), ("TOO_MANY_EPOCHS", 2), ("TOO_MANY_EPOCHS", 3)]
