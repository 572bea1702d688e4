"""Streams of salvaged ledgers: what the port takes, and what a forger would like it to."""

import grpc

from edge_agent.domain.event import Replaced, SessionOpened
from edge_agent.wire.identity import spki
from edge_agent.wire.refused import RefusalCode
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from tests.consumers.test_node import NODE, node
from tests.integration.port_gateway.conftest import Port, Stream
from tests.unit.port_gateway.signing import Ledger

import pytest  # isort: skip

OLD = bytes(range(16))


class Following(Ledger):
    """The ledger in the place of OLD, which lost these."""

    missing: tuple[tuple[int, int], ...] = ((4, 5), (7, 7))

    def open_session(self) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import ed25519

        self.session_key = ed25519.Ed25519PrivateKey.generate()
        replaced = Replaced(OLD, 10, b"h" * 32, 7, self.missing)
        return self.add(SessionOpened(spki(self.session_key.public_key()), "0.1", replaced), self.device_key)


def salvaged(old: Ledger) -> wire.Hello:
    hello = old.hello()
    hello.salvaged = True
    return hello


async def follow(port: Port, missing: tuple[tuple[int, int], ...] = ((4, 5), (7, 7))) -> None:
    kind = type("_", (Following,), {"missing": missing})
    new = kind(port.booth.identity, port.booth.key, bytes(range(1, 17)))
    async with port.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(new.hello())
        await stream.send(1, *new.envelopes)
        await stream.acked(1)


@pytest.fixture
def old(port: Port) -> Ledger:
    ledger = port.ledger(OLD)
    ledger.grow(9)
    return ledger


def alarms(port: Port) -> list[tuple[object, object]]:
    store = port.store()
    try:
        with store.reading() as db:
            return [(code, seq) for code, seq in db.execute("SELECT code, seq FROM alarm ORDER BY id")]
    finally:
        store.close()


async def test_a_gap_is_passed_over_once_it_is_declared(served: Port, old: Ledger) -> None:
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(old.hello())
        await stream.send(1, *old.envelopes[:2])
        await stream.acked(2)
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.call.write(wire.StreamEventsRequest(hello=salvaged(old)))
        nack = await stream.nack()
        assert nack.code == RefusalCode.NOT_REPLACED.value
        assert await stream.status() is grpc.StatusCode.FAILED_PRECONDITION
    await follow(served)
    async with served.ingest() as stub:
        stream = Stream(stub)
        assert (await stream.hello(salvaged(old))).durable_through == 2
        await stream.send(3, old.envelopes[2])
        await stream.acked(3)
        await stream.send(6, old.envelopes[5])
        await stream.acked(6)
        await stream.send(8, *old.envelopes[7:])
        ack = await stream.acked(10)
        assert ack.chain_head == old.head.sha256
        assert ack.receipt
        await stream.send(4, old.envelopes[3])  # found after all, and too late
        assert (await stream.nack()).code == RefusalCode.GAP.value
    assert alarms(served) == [("EVENTS_MISSING", 4), ("EVENTS_MISSING", 7), ("GAP", 4)]


@pytest.mark.parametrize(
    ("missing", "first", "code"),
    [
        (((4, 4),), 6, RefusalCode.GAP),  # one of two is not declared
        (((4, 5),), 7, RefusalCode.GAP),  # one more than was declared
        (((4, 5), (6, 2**40)), 2**40 + 1, RefusalCode.UNKNOWN_KEY),
    ],
)
async def test_more_than_was_declared_is_a_gap(
    served: Port, old: Ledger, missing: tuple[tuple[int, int], ...], first: int, code: RefusalCode
) -> None:
    await follow(served, missing)
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(salvaged(old))
        await stream.send(1, *old.envelopes[:3])
        await stream.acked(3)
        envelope = old.envelopes[first - 1] if first < 11 else Ledger(old.booth_id, old.device_key, OLD).grow(1)[0]
        await stream.send(first, envelope)
        assert (await stream.nack()).code == code.value


async def test_an_ordinary_stream_passes_nothing_over(served: Port, old: Ledger) -> None:
    await follow(served)
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(old.hello())
        await stream.send(1, *old.envelopes[:3])
        await stream.acked(3)
        await stream.send(6, old.envelopes[5])
        assert (await stream.nack()).code == RefusalCode.GAP.value


async def test_a_salvaged_ledger_may_end_before_what_the_port_holds_but_not_otherwise(
    served: Port, old: Ledger
) -> None:
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(old.hello())
        await stream.send(1, *old.envelopes)
        await stream.acked(10)
    await follow(served)
    hello = salvaged(old)
    hello.newest_seq, hello.chain_head = 5, b"5" * 32
    async with served.ingest() as stub:
        assert (await Stream(stub).hello(hello)).durable_through == 10
    hello.newest_seq = 10
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.call.write(wire.StreamEventsRequest(hello=hello))
        assert (await stream.nack()).code == RefusalCode.FORK.value


@pytest.mark.skipif(NODE is None, reason="needs node 18 or later: make system-packages")
async def test_the_consumer_in_javascript_follows_over_the_gaps(served: Port, old: Ledger, tmp_path: object) -> None:
    await follow(served)
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(salvaged(old))
        await stream.send(1, *old.envelopes[:3])
        await stream.acked(3)
        await stream.send(6, old.envelopes[5])
        await stream.acked(6)
        await stream.send(8, *old.envelopes[7:])
        receipt = served.folder / "receipt.note"
        receipt.write_bytes((await stream.acked(10)).receipt)
    assert served.running is not None
    office = served.office
    status, said = await node(
        *("--port", served.running.address, "--gateway", served.gateway.certificate_path, "--count", "8"),
        *("--certificate", office.certificate_path, "--key", office.key_path, "--note", receipt),
    )
    assert (status, said.splitlines()[-1]) == (0, "VERIFIED 8 events of 2 chains"), said
