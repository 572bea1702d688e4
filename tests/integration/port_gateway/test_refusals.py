"""Every refusal code, produced by a real forged stream over mTLS; nothing of it is kept."""

import contextlib
from collections.abc import Callable, Iterator

import apsw
import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES, PAYLOAD_TYPE
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.envelope_pb2 import Envelope
from tests.integration.port_gateway.conftest import Port, Stream
from tests.unit.port_gateway.signing import Ledger, device_event, sign


def changed(envelope: bytes, change: Callable[[Envelope], object]) -> bytes:
    message = Envelope.FromString(envelope)
    change(message)
    return message.SerializeToString()


def flip_signature(message: Envelope) -> None:
    sig = bytearray(message.signatures[0].sig)
    sig[10] ^= 1
    message.signatures[0].sig = bytes(sig)


def oversized(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    return 4, changed(ledger.add(device_event()), lambda m: setattr(m, "payload", bytes(MAX_ENVELOPE_BYTES)))


def malformed_envelope(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    return 4, b"\xff" * 40


def two_signatures(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    return 4, changed(ledger.add(device_event()), lambda m: m.signatures.append(m.signatures[0]))


def wrong_payload_type(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    return 4, changed(ledger.add(device_event()), lambda m: setattr(m, "payload_type", PAYLOAD_TYPE + "2"))


def unknown_key(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    return 4, ledger.add(device_event(), ed25519.Ed25519PrivateKey.generate())


def bad_signature(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    return 4, changed(ledger.add(device_event()), flip_signature)


def changed_payload(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    return 4, ledger.add(device_event()).replace(b"camera-1", b"camera-2")


def malformed_event(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    return 4, sign(b"no event", ledger.session_key)


def wrong_booth(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    ledger.head = Head(port.other_booth.identity, ledger.epoch, ledger.head.seq, ledger.head.sha256)
    return 4, ledger.add(device_event())


def wrong_epoch(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    ledger.head = Head(ledger.booth_id, bytes(16), ledger.head.seq, ledger.head.sha256)
    return 4, ledger.add(device_event())


def gap(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    ledger.add(device_event())
    return 5, ledger.add(device_event())


def replayed(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    return 4, ledger.envelopes[1]


def fork(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    twin = Ledger(ledger.booth_id, ledger.device_key, ledger.epoch)
    twin.session_key = ledger.session_key
    return 2, twin.add(device_event("another"))


def fork_at_a_new_place(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    return 4, fork(port, ledger)[1]


def fork_by_a_new_session(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    return 1, Ledger(ledger.booth_id, ledger.device_key, ledger.epoch).envelopes[0]


def broken_chain(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    ledger.head = Head(ledger.booth_id, ledger.epoch, ledger.head.seq, bytes(32))
    return 4, ledger.add(device_event())


def wrong_signer(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    return 4, ledger.add(device_event(), ledger.device_key)


def wrong_place(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    return 5, ledger.add(device_event())


def reserialised(port: Port, ledger: Ledger) -> tuple[int, bytes]:
    """The same message with its fields in another order: other bytes, another digest."""
    envelope = ledger.add(device_event())
    message = Envelope.FromString(envelope)
    tail = Envelope(payload_type=message.payload_type, signatures=message.signatures).SerializeToString()
    assert Envelope.FromString(tail + Envelope(payload=message.payload).SerializeToString()) == message
    ledger.envelopes[-1] = tail + Envelope(payload=message.payload).SerializeToString()
    return 4, ledger.envelopes[-1]


FORGERIES = [
    (oversized, wire.REFUSAL_CODE_OVERSIZED),
    (malformed_envelope, wire.REFUSAL_CODE_MALFORMED_ENVELOPE),
    (two_signatures, wire.REFUSAL_CODE_MALFORMED_ENVELOPE),
    (reserialised, wire.REFUSAL_CODE_MALFORMED_ENVELOPE),
    (wrong_payload_type, wire.REFUSAL_CODE_WRONG_PAYLOAD_TYPE),
    (unknown_key, wire.REFUSAL_CODE_UNKNOWN_KEY),
    (bad_signature, wire.REFUSAL_CODE_BAD_SIGNATURE),
    (changed_payload, wire.REFUSAL_CODE_BAD_SIGNATURE),
    (malformed_event, wire.REFUSAL_CODE_MALFORMED_EVENT),
    (wrong_booth, wire.REFUSAL_CODE_WRONG_BOOTH),
    (wrong_epoch, wire.REFUSAL_CODE_WRONG_EPOCH),
    (gap, wire.REFUSAL_CODE_GAP),
    (replayed, wire.REFUSAL_CODE_REPLAYED),
    (fork, wire.REFUSAL_CODE_FORK),
    (fork_at_a_new_place, wire.REFUSAL_CODE_FORK),
    (fork_by_a_new_session, wire.REFUSAL_CODE_FORK),
    (broken_chain, wire.REFUSAL_CODE_BROKEN_CHAIN),
    (wrong_signer, wire.REFUSAL_CODE_WRONG_SIGNER),
    (wrong_place, wire.REFUSAL_CODE_PROTOCOL),
]


def rows(port: Port, query: str) -> list[tuple[object, ...]]:
    # apsw, as the gateway: two SQLite libraries in one process do not see each other's locks.
    with contextlib.closing(apsw.Connection(str(port.settings().database))) as db:
        return list(db.execute(query))


@pytest.mark.parametrize(("forge", "code"), FORGERIES, ids=[forge.__name__ for forge, _ in FORGERIES])
async def test_a_forgery_is_refused_by_name_and_nothing_of_it_is_kept(
    served: Port, forge: Callable[[Port, Ledger], tuple[int, bytes]], code: wire.RefusalCode.ValueType
) -> None:
    ledger = served.ledger()
    ledger.grow(2)
    good = list(ledger.envelopes)
    hello = ledger.hello()
    hello.newest_seq = 100
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(hello)
        await stream.send(1, *good)
        await stream.acked(3)
        await stream.send(*forge(served, ledger))
        nack = await stream.nack()
        assert wire.RefusalCode.Name(nack.code) == wire.RefusalCode.Name(code), nack.detail
        assert nack.seq > 0
        refused = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT)
        assert await stream.status() in refused
    assert rows(served, "SELECT envelope FROM event ORDER BY cursor") == [(envelope,) for envelope in good]
    alarms = [] if code == wire.REFUSAL_CODE_PROTOCOL else [(wire.RefusalCode.Name(code)[len("REFUSAL_CODE_") :],)]
    assert rows(served, "SELECT code FROM alarm") == alarms


async def test_what_stands_before_a_forgery_in_its_batch_is_kept(served: Port) -> None:
    ledger = served.ledger()
    ledger.grow(5)
    forged = [*ledger.envelopes[:4], changed(ledger.envelopes[4], flip_signature), ledger.envelopes[5]]
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(1, *forged)
        nack = await stream.nack()
        assert (nack.seq, nack.code, stream.durable) == (5, wire.REFUSAL_CODE_BAD_SIGNATURE, 4)
        again = Stream(stub)
        assert (await again.hello(ledger.hello())).durable_through == 4
        await again.send(5, *ledger.envelopes[4:])
        await again.acked(6)


async def test_a_superseded_session_signs_nothing_new(served: Port) -> None:
    ledger = served.ledger()
    old = ledger.session_key
    ledger.open_session()
    ledger.add(device_event(), old)
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(1, *ledger.envelopes)
        assert (await stream.nack()).code == wire.REFUSAL_CODE_UNKNOWN_KEY


async def test_protocol_violations(served: Port) -> None:
    ledger = served.ledger()
    ledger.grow(300)
    hello = wire.StreamEventsRequest(hello=ledger.hello())
    batch = wire.StreamEventsRequest(batch=wire.Batch(first_seq=1, envelopes=ledger.envelopes[:1]))
    short_epoch = wire.StreamEventsRequest(hello=ledger.hello())
    short_epoch.hello.epoch = b"short"
    violations: list[list[wire.StreamEventsRequest]] = [
        [batch],
        [wire.StreamEventsRequest()],
        [short_epoch],
        [hello, hello],
        [hello, wire.StreamEventsRequest(batch=wire.Batch(first_seq=1))],
        [hello, wire.StreamEventsRequest(batch=wire.Batch(first_seq=0, envelopes=ledger.envelopes[:1]))],
        [hello, wire.StreamEventsRequest(batch=wire.Batch(first_seq=2**64 - 1, envelopes=ledger.envelopes[:1]))],
        [hello, wire.StreamEventsRequest(batch=wire.Batch(first_seq=1, envelopes=ledger.envelopes[:257]))],
        [hello, wire.StreamEventsRequest(batch=wire.Batch(first_seq=1, envelopes=[bytes(100_000)] * 3))],
    ]
    async with served.ingest() as stub:
        for requests in violations:
            stream = Stream(stub)
            for request in requests:
                await stream.call.write(request)
            if len(requests) > 1:
                assert (await stream.read()).WhichOneof("message") == "welcome"
            assert (await stream.nack()).code == wire.REFUSAL_CODE_PROTOCOL
            assert await stream.status() is grpc.StatusCode.INVALID_ARGUMENT
    assert rows(served, "SELECT count(*) FROM event") == [(0,)]


async def test_a_batch_beyond_the_window_is_refused(port: Port) -> None:
    port.limits = port.limits.model_copy(update={"window_records": 256})
    ledger = port.ledger()
    ledger.grow(299)
    async with port.serving(), port.ingest() as stub:
        stream = Stream(stub)
        assert (await stream.hello(ledger.hello())).window_records == 256
        with writer_held(port):  # no commit, so no acknowledgement: all of it stays in flight
            await stream.send(1, *ledger.envelopes[:200])
            await stream.send(201, *ledger.envelopes[200:256])
            assert (await stream.read()).ack.durable_through == 0  # a heartbeat: within the window
            await stream.send(257, *ledger.envelopes[256:])
            for _ in range(4):  # heartbeats: time for the gateway to take the batch in
                assert (await stream.read()).ack.durable_through == 0
        nack = await stream.nack()
        assert (nack.code, stream.durable) == (wire.REFUSAL_CODE_PROTOCOL, 256)


@contextlib.contextmanager
def writer_held(port: Port) -> Iterator[None]:
    """Holds SQLite's write lock, as another process could for a moment."""
    db = apsw.Connection(str(port.settings().database))
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        db.execute("ROLLBACK")
        db.close()


async def test_a_message_beyond_the_transport_limit_ends_the_stream(served: Port) -> None:
    ledger = served.ledger()
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(1, bytes(600 * 1024))
        assert await stream.status() is grpc.StatusCode.RESOURCE_EXHAUSTED
