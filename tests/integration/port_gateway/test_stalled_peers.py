"""A peer that no longer reads, in a process that is really stopped: it harms nobody, and is known dead in time."""

import asyncio
import contextlib
import gc
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from edge_agent.wire.refused import RefusalCode
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import SubscribeServiceStub
from port_gateway import serve
from port_gateway.client import Received, Subscription
from port_gateway.ingest import Ingest
from port_gateway.subscribe import Subscriptions
from tests.integration.port_gateway.conftest import PATIENCE_S, Port, Stream
from tests.unit.port_gateway.signing import Ledger, Party

if TYPE_CHECKING:
    from edge_agent.wire.v1alpha1.services_pb2_grpc import IngestServiceAsyncStub

LARGE = 100_000
INSIDE = (Ingest._batch.__code__, Ingest._take.__code__)
ROUNDS = 40


@contextlib.asynccontextmanager
async def stalled(port: Port, party: Party, role: str, hello: bytes = b"") -> AsyncIterator[None]:
    """A peer that has begun, and is stopped (SIGSTOP) while the block runs."""
    assert port.running is not None
    files = (port.gateway.certificate_path, party.key_path, party.certificate_path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.port_gateway.stalling_client", role, port.running.address),
        *map(str, files),
        hello.hex(),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await process.stdout.readline() == b"reading\n"
        process.send_signal(signal.SIGSTOP)
        yield
    finally:
        process.kill()
        await process.wait()


def rss() -> int:
    """Bytes of this process, which the gateway runs in."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return 1024 * int(line.split()[1])


async def rounds(stub: "IngestServiceAsyncStub", ledger: Ledger) -> list[float]:
    """Seconds to each acknowledgement, one event of 100 kB at a time."""
    took = []
    stream = Stream(stub)
    welcome = await stream.hello(ledger.hello())
    assert welcome.durable_through == ledger.head.seq
    for _ in range(ROUNDS):
        envelope = ledger.large(LARGE)
        begun = time.monotonic()
        await stream.send(ledger.head.seq, envelope)
        await stream.acked(ledger.head.seq)
        took.append(time.monotonic() - begun)
        ledger.envelopes[-1] = b""  # memory is measured
    await stream.call.done_writing()
    await stream.status()
    return took


async def test_stalled_readers_harm_neither_booths_nor_other_readers(served: Port) -> None:
    ledger = served.ledger()
    async with contextlib.AsyncExitStack() as stack:
        ingest = await stack.enter_async_context(served.ingest())
        stream = Stream(ingest)
        await stream.hello(ledger.hello())
        await stream.send(1, *ledger.envelopes)
        await stream.acked(1)
        await rounds(ingest, ledger)  # warm
        without = await rounds(ingest, ledger)
        for _ in range(3):
            await stack.enter_async_context(stalled(served, served.office, "back-office"))
        quick = await stack.enter_async_context(served.subscribe())
        reader = await stack.enter_async_context(Subscription(quick, after=0))
        beside = await rounds(ingest, ledger)  # what their windows take is taken now
        before = rss()
        beside += await rounds(ingest, ledger)
        grown = rss() - before
        async with asyncio.timeout(PATIENCE_S):
            for seq in range(1, ledger.head.seq + 1):
                received = await reader.next()
                assert isinstance(received, Received)
                assert received.verified.seq == seq
        # Each of the three is owed 4 MB more.
        assert grown < 6_000_000, f"{grown} bytes more"
        assert statistics.median(beside) < 3 * statistics.median(without) + 0.05
        print(
            f"to the acknowledgement, median: {statistics.median(without):.4f} s alone, {statistics.median(beside):.4f}"
        )


@pytest.mark.parametrize("role", ["booth", "back-office"])
async def test_a_peer_that_is_half_open_is_known_dead(port: Port, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {}

    def keep(kind: type[Any]) -> Any:
        def made(*arguments: Any) -> Any:
            kept[kind.__name__] = kind(*arguments)
            return kept[kind.__name__]

        return made

    monkeypatch.setattr(serve, "Subscriptions", keep(Subscriptions))
    monkeypatch.setattr(serve, "Ingest", keep(Ingest))
    port.limits = port.limits.model_copy(update={"keepalive_s": 0.5, "keepalive_timeout_s": 0.5})
    ledger = port.ledger()
    async with port.serving(), port.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(1, *ledger.envelopes)
        await stream.acked(1)
        await stream.call.done_writing()
        await stream.status()
        party = port.booth if role == "booth" else port.office
        opened = kept["Ingest"]._streams if role == "booth" else kept["Subscriptions"]._open
        async with stalled(port, party, role, ledger.hello().SerializeToString()):
            assert len(opened) == 1
            begun = time.monotonic()
            async with asyncio.timeout(20):
                while opened:
                    await asyncio.sleep(0.05)
            assert time.monotonic() - begun < 10


async def test_a_connection_on_which_nothing_runs_is_ended(port: Port) -> None:
    """gRPC's client keeps one for good when a call on it ended in the middle of a write."""
    port.limits = port.limits.model_copy(update={"keepalive_s": 0.1})
    async with port.serving(), port.channel(port.office) as left, port.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(port.ledger().hello())
        await SubscribeServiceStub(left).ListBooths(wire.ListBoothsRequest(), timeout=PATIENCE_S)
        assert left.get_state() is grpc.ChannelConnectivity.READY
        async with asyncio.timeout(PATIENCE_S):
            await left.wait_for_state_change(grpc.ChannelConnectivity.READY)
        await stream.acked(0)  # that of a stream goes on
        # and who was left dials again
        await SubscribeServiceStub(left).ListBooths(wire.ListBoothsRequest(), timeout=PATIENCE_S)


async def test_what_a_refused_stream_sent_is_not_kept(port: Port) -> None:
    async with port.serving():
        for _ in range(4):
            async with port.ingest() as stub:
                stream = Stream(stub)
                await stream.hello(port.ledger().hello())
                await stream.send(1, bytes(LARGE))
                assert (await stream.nack()).code == RefusalCode.MALFORMED_ENVELOPE.value
                await stream.status()
        gc.collect()
        assert not [one for one in gc.get_objects() if isinstance(one, FrameType) and one.f_code in INSIDE]
