"""Every limit of docs/wire.md on requests, at it and one beyond it, against a real gateway."""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable

import grpc
import pytest

from edge_agent.domain import event as domain
from edge_agent.wire.codec import event_payload
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.event_pb2 import Event
from port_gateway.config import MAX_BATCH_BYTES, MAX_BATCH_RECORDS
from port_gateway.evidence import CHUNK_BYTES, MAX_BLOB_BYTES
from port_gateway.serve import MAX_MESSAGE_BYTES
from port_gateway.subscribe import MAX_FILTER, MAX_NAME
from port_gateway.upload import MAX_STAT
from tests.integration.port_gateway.conftest import PATIENCE_S, Port, Stream
from tests.unit.port_gateway.signing import INSTANT, Ledger, device_event, sign


def add_of(ledger: Ledger, size: int) -> None:
    """The next event, whose envelope has so many bytes."""
    event = Event.FromString(event_payload(domain.Draft(device_event(), INSTANT), ledger.head, ()))
    event.alarm_raised.raw = b""
    for _ in range(3):  # lengths are written in more bytes as they grow
        event.alarm_raised.raw = bytes(
            len(event.alarm_raised.raw) + size - len(sign(event.SerializeToString(), ledger.session_key))
        )
    envelope = sign(event.SerializeToString(), ledger.session_key)
    assert len(envelope) == size
    ledger.envelopes.append(envelope)
    ledger.head = ledger.head.after(envelope_sha256(envelope))


async def batch(port: Port, ledger: Ledger, *envelopes: bytes) -> str:
    """What the port says of a stream with this one batch."""
    async with port.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(1, *(envelopes or ledger.envelopes))
        await stream.call.done_writing()
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(grpc.aio.AioRpcError):  # the status says it
                while isinstance(response := await stream.call.read(), wire.StreamEventsResponse):
                    if response.WhichOneof("message") == "nack":
                        return wire.RefusalCode.Name(response.nack.code)
                    stream.durable = response.ack.durable_through
        status = await stream.status()
    return f"{stream.durable} kept" if status is grpc.StatusCode.OK else status.name


@pytest.mark.parametrize("beyond", [0, 1])
async def test_envelopes_of_a_batch(served: Port, beyond: int) -> None:
    ledger = served.ledger()
    ledger.grow(MAX_BATCH_RECORDS - 1 + beyond)
    assert await batch(served, ledger) == ("REFUSAL_CODE_PROTOCOL" if beyond else "256 kept")


@pytest.mark.parametrize("beyond", [0, 1])
async def test_bytes_of_a_batch(served: Port, beyond: int) -> None:
    ledger = served.ledger()
    first = len(ledger.envelopes[0])
    add_of(ledger, 131_072)
    add_of(ledger, MAX_BATCH_BYTES + beyond - 131_072 - first)
    assert sum(map(len, ledger.envelopes)) == MAX_BATCH_BYTES + beyond
    assert await batch(served, ledger) == ("REFUSAL_CODE_PROTOCOL" if beyond else "3 kept")


@pytest.mark.parametrize("beyond", [0, 1])
async def test_bytes_of_a_message(served: Port, beyond: int) -> None:
    """At the limit the message is read, and its envelope refused for its own size."""
    filling = MAX_MESSAGE_BYTES + beyond
    request = wire.StreamEventsRequest(batch=wire.Batch(first_seq=1, envelopes=[bytes(filling - 100)]))
    filling -= request.ByteSize() - (filling - 100)
    request.batch.envelopes[0] = bytes(filling)
    assert request.ByteSize() == MAX_MESSAGE_BYTES + beyond
    said = await batch(served, served.ledger(), bytes(filling))
    assert said == ("RESOURCE_EXHAUSTED" if beyond else "REFUSAL_CODE_OVERSIZED")


async def status_of(call: "grpc.aio.Call") -> grpc.StatusCode:
    async with asyncio.timeout(PATIENCE_S):
        return await call.code()


@pytest.mark.parametrize("beyond", [0, 1])
async def test_digests_of_a_question(served: Port, beyond: int) -> None:
    async with served.evidence() as stub:
        call = stub.StatBlobs(wire.StatBlobsRequest(sha256=[bytes(32)] * (MAX_STAT + beyond)))
        assert await status_of(call) is (grpc.StatusCode.INVALID_ARGUMENT if beyond else grpc.StatusCode.OK)


@pytest.mark.parametrize(
    ("size", "chunk", "said"),
    [
        (CHUNK_BYTES, CHUNK_BYTES, grpc.StatusCode.OK),
        (CHUNK_BYTES + 1, CHUNK_BYTES + 1, grpc.StatusCode.INVALID_ARGUMENT),
        (MAX_BLOB_BYTES, CHUNK_BYTES, grpc.StatusCode.OK),
        (MAX_BLOB_BYTES + 1, CHUNK_BYTES, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_evidence_and_its_chunks(served: Port, size: int, chunk: int, said: grpc.StatusCode) -> None:
    data = bytes(chunk)
    header = wire.BlobHeader(sha256=hashlib.sha256(data).digest(), size=size)
    async with served.evidence() as stub:
        call = stub.PutBlob(iter([wire.PutBlobRequest(header=header), wire.PutBlobRequest(chunk=data)]))
        assert await status_of(call) is said


@pytest.mark.parametrize(
    "start",
    [
        lambda beyond: wire.SubscribeStart(name="é" * (MAX_NAME + beyond)),
        lambda beyond: wire.SubscribeStart(booth_ids=["spiffe://uslrd/booth/lane-1"] * (MAX_FILTER + beyond)),
    ],
    ids=["a name", "a filter"],
)
async def test_a_subscription(served: Port, start: Callable[[int], wire.SubscribeStart]) -> None:
    async with served.subscribe() as stub:
        for beyond, said in ((0, grpc.StatusCode.OK), (1, grpc.StatusCode.INVALID_ARGUMENT)):
            call = stub.Subscribe()
            await call.write(wire.SubscribeRequest(start=start(beyond)))
            await call.done_writing()
            assert await status_of(call) is said
