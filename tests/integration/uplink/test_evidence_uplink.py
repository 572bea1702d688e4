import asyncio
import hashlib
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.ledger.recorder import Ledger
from edge_agent.uplink.evidence import CHUNK_BYTES, EvidenceUplink
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import EvidenceServiceServicer, add_EvidenceServiceServicer_to_server
from tests.integration.ledger.conftest import alarm
from tests.integration.uplink.conftest import Site, said, until


@dataclass
class TestEvidencePort(EvidenceServiceServicer):
    """Holds evidence. Every field after `partial` is a way to behave badly."""

    __test__ = False

    held: dict[bytes, bytes] = field(default_factory=dict)
    partial: dict[bytes, bytes] = field(default_factory=dict)
    offsets: list[int] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)
    received: int = 0
    drop_after: int | None = None  # UNAVAILABLE after so many bytes in all
    refuse: set[bytes] = field(default_factory=set)  # INVALID_ARGUMENT
    spoil: set[bytes] = field(default_factory=set)  # ends each upload early, without the whole

    def state(self, sha256: bytes) -> wire.BlobState:
        if sha256 in self.held:
            return wire.BlobState(sha256=sha256, complete=True, committed_size=len(self.held[sha256]))
        return wire.BlobState(sha256=sha256, committed_size=len(self.partial.get(sha256, b"")))

    async def StatBlobs(self, request: wire.StatBlobsRequest, context: Any) -> wire.StatBlobsResponse:
        return wire.StatBlobsResponse(blobs=[self.state(sha256) for sha256 in request.sha256])

    async def PutBlob(self, request_iterator: Any, context: Any) -> wire.PutBlobResponse:
        header = (await anext(request_iterator)).header
        if header.sha256 in self.refuse:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not this one")
        if header.sha256 in self.spoil:
            return wire.PutBlobResponse(blob=self.state(header.sha256))
        self.offsets.append(header.offset)
        self.partial[header.sha256] = self.partial.get(header.sha256, b"")[: header.offset]
        async for request in request_iterator:
            self.chunks.append(len(request.chunk))
            self.partial[header.sha256] += request.chunk
            self.received += len(request.chunk)
            if self.drop_after is not None and self.received >= self.drop_after:
                self.drop_after = None
                await context.abort(grpc.StatusCode.UNAVAILABLE, "going away")
        data = self.partial.pop(header.sha256)
        assert len(data) == header.size
        assert hashlib.sha256(data).digest() == header.sha256
        self.held[header.sha256] = data
        return wire.PutBlobResponse(blob=self.state(header.sha256))


@asynccontextmanager
async def sending(site: Site, ledger: Ledger, lost: list[bytes], **changes: Any) -> AsyncIterator[None]:
    settings = site.settings(**changes)
    uplink = EvidenceUplink(
        settings,
        site.port(settings),
        ledger.outbox,
        SystemClock(),
        lambda sha256, _: lost.append(sha256),
        random.Random(1),
    )
    ledger.recorder.notify(uplink.wake)
    task = asyncio.ensure_future(uplink.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def serving(site: Site, port: TestEvidencePort) -> Any:
    return site.serving(port, add_EvidenceServiceServicer_to_server)


def piece(size: int, seed: int) -> Evidence:
    return Evidence(EvidenceKind.FRAME, "image/jpeg", random.Random(seed).randbytes(size))


async def test_evidence_arrives_whole_and_is_noted(site: Site) -> None:
    pieces = [piece(size, n) for n, size in enumerate([0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 700_000])]
    port, lost = TestEvidencePort(), list[bytes]()
    async with site.booth.open() as ledger:
        await ledger.recorder.record(alarm(1, *pieces))
        async with serving(site, port), sending(site, ledger, lost):
            await until(lambda: ledger.outbox.blob_states() == {"sent": 5})
            later = [piece(100, 100 + n) for n in range(200)]
            await asyncio.gather(*(ledger.recorder.record(alarm(n, e)) for n, e in enumerate(later)))
            await until(lambda: ledger.outbox.blob_states() == {"sent": 205})
    assert port.held == {e.sha256: e.data for e in (*pieces, *later)}
    assert max(port.chunks) == CHUNK_BYTES
    assert lost == []


async def test_what_the_port_holds_is_not_sent_again(site: Site) -> None:
    here, there = piece(1000, 1), piece(1000, 2)
    port = TestEvidencePort(held={there.sha256: there.data})
    async with site.booth.open() as ledger:
        await ledger.recorder.record(alarm(1, here, there))
        async with serving(site, port), sending(site, ledger, []):
            await until(lambda: ledger.outbox.blob_states() == {"sent": 2})
    assert port.received == 1000


async def test_a_port_that_lost_evidence_and_no_events_gets_it_again(site: Site) -> None:
    pieces = [piece(1000, n) for n in range(70)]  # more than are asked for at once
    port = TestEvidencePort()
    async with site.booth.open() as ledger:
        await ledger.recorder.record(alarm(1, *pieces[:35]))
        await ledger.recorder.record(alarm(2, *pieces[35:]))
        async with serving(site, port), sending(site, ledger, []):
            await until(lambda: ledger.outbox.blob_states() == {"sent": 70})
        del port.held[pieces[69].sha256]
        async with serving(site, port), sending(site, ledger, []):
            await until(lambda: len(port.held) == 70)
            await until(lambda: ledger.outbox.blob_states() == {"sent": 70})
            assert port.received == 71_000


async def test_a_port_that_lost_evidence_while_the_agent_ran_gets_it_again(site: Site) -> None:
    old, new = piece(1000, 1), piece(1000, 2)
    port = TestEvidencePort()
    async with serving(site, port):
        pass  # the address is known from now on
    async with site.booth.open() as ledger, sending(site, ledger, []):
        await ledger.recorder.record(alarm(1, old))
        async with serving(site, port):
            await until(lambda: ledger.outbox.blob_states() == {"sent": 1})
        port.held.clear()
        await ledger.recorder.record(alarm(2, new))
        await asyncio.sleep(0.2)  # the outage is noticed
        async with serving(site, port):
            await until(lambda: len(port.held) == 2)


async def test_an_upload_resumes_from_the_committed_size(site: Site) -> None:
    evidence = piece(2_000_000, 1)
    port = TestEvidencePort(drop_after=1_000_000)
    async with site.booth.open() as ledger:
        await ledger.recorder.record(alarm(1, evidence))
        async with serving(site, port), sending(site, ledger, [], evidence_bytes_per_s=100_000_000):
            await until(lambda: ledger.outbox.blob_states() == {"sent": 1})
    assert port.held == {evidence.sha256: evidence.data}
    assert port.received == 2_000_000, "nothing was sent twice"
    assert port.offsets == [0, 4 * CHUNK_BYTES]


async def test_evidence_that_is_gone_is_told_once_and_not_tried_for_ever(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    gone, changed, good = (piece(1000, n) for n in range(3))
    port, lost = TestEvidencePort(), list[bytes]()

    def path(evidence: Evidence) -> Path:
        name = evidence.sha256.hex()
        return site.booth.directory / "evidence" / name[:2] / name[2:4] / name

    async with site.booth.open() as ledger:
        await ledger.recorder.record(alarm(1, gone, changed, good))
        path(gone).unlink()
        path(changed).write_bytes(changed.data[:-1] + b"?")
        async with serving(site, port), sending(site, ledger, lost):
            await until(lambda: ledger.outbox.blob_states() == {"lost": 2, "sent": 1})
            await ledger.recorder.record(alarm(2, piece(10, 9)))
            await until(lambda: len(port.held) == 2)
    assert lost == [gone.sha256, changed.sha256]
    assert [r.levelname for r in said(caplog)].count("ERROR") == 2
    assert good.sha256 in port.held


@pytest.mark.parametrize("behaviour", ["refuse", "spoil"])
async def test_one_piece_that_never_goes_through_does_not_hold_up_the_rest(site: Site, behaviour: str) -> None:
    bad, *good = (piece(1000, n) for n in range(6))
    port = TestEvidencePort()
    getattr(port, behaviour).add(bad.sha256)
    async with site.booth.open() as ledger:
        await ledger.recorder.record(alarm(1, bad, *good))
        async with serving(site, port), sending(site, ledger, []):
            await until(lambda: ledger.outbox.blob_states() == {"kept": 1, "sent": 5})
            getattr(port, behaviour).clear()
            await until(lambda: ledger.outbox.blob_states() == {"sent": 6})


async def test_the_line_is_never_filled(site: Site) -> None:
    evidence = piece(5 * CHUNK_BYTES, 1)
    port = TestEvidencePort()
    async with site.booth.open() as ledger:
        await ledger.recorder.record(alarm(1, evidence))
        async with serving(site, port):
            begun = time.monotonic()
            async with sending(site, ledger, [], evidence_bytes_per_s=2 * CHUNK_BYTES):
                await until(lambda: ledger.outbox.blob_states() == {"sent": 1})
            assert time.monotonic() - begun >= 1.5  # a burst of two chunks, then two a second


async def test_an_outage_is_told_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edge_agent.uplink")
    port = TestEvidencePort()
    async with site.booth.open() as ledger:
        await ledger.recorder.record(alarm(1, piece(1000, 1)))
        async with serving(site, port):
            pass  # now the address is known, and nobody listens there
        async with sending(site, ledger, []):
            await until(lambda: len(said(caplog)) == 1)
            await asyncio.sleep(0.5)
            async with serving(site, port):
                await until(lambda: ledger.outbox.blob_states() == {"sent": 1})
    assert [r.levelname for r in said(caplog)] == ["WARNING", "INFO"]
