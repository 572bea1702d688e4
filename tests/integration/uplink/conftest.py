"""A small port over real gRPC and mutual TLS that behaves well or badly on command, and a booth with a real ledger."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.ledger.identity import BoothIdentity
from edge_agent.ledger.recorder import Ledger
from edge_agent.uplink.client import Uplink
from edge_agent.uplink.link import LinkState, Port, UplinkSettings
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import SpiffeId, create_identity
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import IngestServiceServicer, add_IngestServiceServicer_to_server
from edge_agent.wire.verify import Chain, verify_next
from tests.integration.ledger.conftest import Booth

NOW = datetime.now(UTC) - timedelta(hours=1)  # noqa: TID251 - certificates must be valid while the test runs


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what must come, and gives up after half a minute."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def said(caplog: pytest.LogCaptureFixture, least: int = logging.INFO) -> list[logging.LogRecord]:
    """What the booth logged. gRPC logs what its cancelled calls raise in the ports of these tests."""
    return [r for r in caplog.records if r.name.startswith("edge_agent") and r.levelno >= least]


@dataclass
class TestPort(IngestServiceServicer):
    """Verifies and holds events. Every field after `chain` is a way to behave badly."""

    __test__ = False

    chain: Chain
    held: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=lambda: [bytes(32)])
    hellos: list[wire.Hello] = field(default_factory=list)
    received: int = 0
    welcome: dict[str, Any] = field(default_factory=dict)  # fields to say otherwise
    mute: bool = False  # no welcome
    silent: bool = False  # no acknowledgement
    beats: bool = False  # repeats its last word every 50 ms instead of taking more
    slow_s: float = 0.0  # before each acknowledgement
    drop_after: int | None = None  # UNAVAILABLE after so many events were kept, unacknowledged
    refuse: wire.Nack | None = None  # instead of taking a batch
    first: wire.StreamEventsResponse | None = None  # instead of a welcome; nothing in it: the stream just ends
    deny: bool = False  # PERMISSION_DENIED
    lie_in_acks: bool = False  # another hash
    drain: bool = False  # says that it stops before it answers a batch
    close_after: int | None = None  # ends the stream in good order after so many batches

    async def StreamEvents(self, request_iterator: Any, context: Any) -> AsyncIterator[wire.StreamEventsResponse]:
        hello = await anext(request_iterator)
        if self.deny:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this booth is not registered")
        self.hellos.append(hello.hello)
        if self.first is not None:
            if self.first.WhichOneof("message") is not None:
                yield self.first
            return
        if self.mute:
            await asyncio.sleep(3600)
        granted = {"window_records": 500, "window_bytes": 1 << 20, "max_batch_bytes": 1 << 18}
        said: dict[str, Any] = {"durable_through": len(self.held), "chain_head": self.hashes[-1]}
        yield wire.StreamEventsResponse(welcome=wire.Welcome(**{**granted, **said, **self.welcome}))
        batches = 0
        async for request in request_iterator:
            self.received += len(request.batch.envelopes)
            if self.drain:
                yield wire.StreamEventsResponse(drain=wire.Drain(after_s=0))
            if self.refuse is not None:
                yield wire.StreamEventsResponse(nack=self.refuse)
                return
            self._keep(request.batch)
            if self.drop_after is not None and self.received >= self.drop_after:
                self.drop_after = None
                await context.abort(grpc.StatusCode.UNAVAILABLE, "going away")
            await asyncio.sleep(self.slow_s)
            batches += 1
            if not self.silent:
                head = b"x" * 32 if self.lie_in_acks else self.hashes[-1]
                said = {"durable_through": len(self.held), "chain_head": head}
                yield wire.StreamEventsResponse(ack=wire.Ack(**said))
            while self.beats:
                yield wire.StreamEventsResponse(ack=wire.Ack(**said))
                await asyncio.sleep(0.05)
            if batches == self.close_after:
                return

    def _keep(self, batch: wire.Batch) -> None:
        assert batch.first_seq == len(self.held) + 1, "neither a gap nor a repetition"
        assert len(batch.envelopes) <= 256
        assert sum(map(len, batch.envelopes)) <= 256 * 1024
        for envelope in batch.envelopes:
            verified = verify_next(self.chain, envelope)
            self.chain = verified.chain
            self.held.append(envelope)
            self.hashes.append(verified.sha256)


@dataclass
class Site:
    """A booth, a gateway's identity, and where its server listens once it has begun."""

    booth: Booth
    keys: Path
    address: str = "127.0.0.1:0"
    links: list[tuple[LinkState, str]] = field(default_factory=list)

    def settings(self, **changes: Any) -> UplinkSettings:
        quick = {"back_off_s": 0.05, "back_off_max_s": 0.2, "refused_retry_s": 0.5, "connect_s": 5.0}
        return UplinkSettings.model_validate(
            {"gateway": self.address, "gateway_certificate": self.keys / "gateway.crt", **quick, **changes}
        )

    def port(self, settings: UplinkSettings) -> Port:
        return Port(settings, BoothIdentity("lane-1.key", Path("lane-1.crt"), self.booth.keys))

    def new_port(self, ledger: Ledger, **behaviour: Any) -> TestPort:
        head = Head(ledger.outbox.booth_id, ledger.outbox.epoch)
        return TestPort(Chain(head, self.booth.device_keys), **behaviour)

    def states(self) -> list[LinkState]:
        return [state for state, _ in self.links]

    @asynccontextmanager
    async def serving(
        self, servicer: Any, add: Any = add_IngestServiceServicer_to_server, trusted: Path | None = None
    ) -> AsyncIterator[None]:
        """Again on the same address the second time."""
        server = grpc.aio.server(
            options=[("grpc.http2.min_ping_interval_without_data_ms", 10_000), ("grpc.so_reuseport", 0)]
        )
        add(servicer, server)
        credentials = grpc.ssl_server_credentials(
            [((self.keys / "gateway.key").read_bytes(), (self.keys / "gateway.crt").read_bytes())],
            root_certificates=(trusted or self.booth.keys / "lane-1.crt").read_bytes(),
            require_client_auth=True,
        )
        self.address = f"127.0.0.1:{server.add_secure_port(self.address, credentials)}"
        await server.start()
        try:
            yield
        finally:
            await server.stop(None)

    @asynccontextmanager
    async def sending(self, ledger: Ledger, **changes: Any) -> AsyncIterator["asyncio.Task[None]"]:
        """An uplink at work; its task, to see how it ended."""
        settings = self.settings(**changes)
        uplink = Uplink(
            settings,
            self.port(settings),
            ledger.outbox,
            SystemClock(),
            "1.0",
            lambda state, detail: self.links.append((state, detail)),
            random.Random(1),
        )
        ledger.recorder.notify(uplink.wake)
        task: asyncio.Task[None] = asyncio.ensure_future(uplink.run())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(BaseException):
                await task


@pytest.fixture
def site(tmp_path: Path) -> Site:
    keys = tmp_path / "keys"
    create_identity(keys, "gateway", SpiffeId.parse("spiffe://uslrd/gateway/main"), NOW, ("localhost", "127.0.0.1"))
    return Site(Booth(keys, tmp_path / "ledger"), keys)
