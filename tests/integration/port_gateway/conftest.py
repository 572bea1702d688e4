import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import (
    EvidenceServiceStub,
    IngestServiceStub,
    SubscribeServiceStub,
)
from port_gateway.config import Identity, Limits, Settings
from port_gateway.serve import Gateway, running
from port_gateway.store import Store
from port_gateway.trust import TrustStore
from tests.integration.port_gateway.desk import Desk
from tests.time_authority import Tsa
from tests.unit.port_gateway.signing import Ledger, Party

if TYPE_CHECKING:
    from edge_agent.wire.v1alpha1.services_pb2_grpc import (
        EvidenceServiceAsyncStub,
        IngestServiceAsyncStub,
        SubscribeServiceAsyncStub,
    )

PATIENCE_S = 30.0


@dataclass
class Port:
    """A gateway's folder, the parties around it, and the gateway while it runs."""

    folder: Path
    limits: Limits = field(default_factory=lambda: Limits(heartbeat_s=0.2, drain_s=0.5))
    running: Gateway | None = None

    def __post_init__(self) -> None:
        self.gateway = Party(self.folder / "gw", "spiffe://uslrd/gateway/main", ("127.0.0.1", "localhost"))
        self.booth = Party(self.folder / "b1", "spiffe://uslrd/booth/lane-1")
        self.other_booth = Party(self.folder / "b2", "spiffe://uslrd/booth/lane-2")
        self.office = Party(self.folder / "bo", "spiffe://uslrd/back-office/customs")
        self.stranger = Party(self.folder / "x", "spiffe://uslrd/booth/lane-1")
        self.trust(self.booth, self.other_booth, self.office)

    def settings(self) -> Settings:
        identity = Identity(key=self.gateway.key_path, certificate=self.gateway.certificate_path)
        return Settings(identity=identity, listen="127.0.0.1:0", data=self.folder / "data", limits=self.limits)

    def write_config(self, listen: str = "127.0.0.1:0", limits: str = "{drain_s: 0.5, back_after_s: 0}") -> Path:
        path = self.folder / "gateway.yaml"
        path.write_text(
            "identity: {key: gw/main.key, certificate: gw/main.crt}\n"
            f"listen: '{listen}'\ndata: data\nlimits: {limits}\n"
        )
        return path

    def store(self) -> Store:
        return Store(self.settings().database)

    def trust_store(self, store: Store) -> TrustStore:
        return TrustStore(store, SystemClock())

    def trust(self, *parties: Party, replace: bool = False) -> None:
        with contextlib.closing(Store(self.settings().database)) as store:
            TrustStore(store, SystemClock()).add([party.certificate for party in parties], replace)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Gateway]:
        async with running(self.settings()) as gateway:
            self.running = gateway
            try:
                yield gateway
            finally:
                self.running = None

    def channel(self, party: Party, chain: bytes = b"", address: str = "") -> grpc.aio.Channel:
        assert self.running or address
        key, certificate = party.pair
        credentials = grpc.ssl_channel_credentials(self.gateway.pair[1], key, certificate + chain)
        return grpc.aio.secure_channel(address or (self.running.address if self.running else ""), credentials)

    @contextlib.asynccontextmanager
    async def ingest(self, party: Party | None = None, address: str = "") -> AsyncIterator["IngestServiceAsyncStub"]:
        async with self.channel(party or self.booth, address=address) as channel:
            yield IngestServiceStub(channel)

    @contextlib.asynccontextmanager
    async def evidence(self, party: Party | None = None) -> AsyncIterator["EvidenceServiceAsyncStub"]:
        async with self.channel(party or self.booth) as channel:
            yield EvidenceServiceStub(channel)

    @contextlib.asynccontextmanager
    async def subscribe(self, party: Party | None = None) -> AsyncIterator["SubscribeServiceAsyncStub"]:
        async with self.channel(party or self.office) as channel:
            yield SubscribeServiceStub(channel)

    def ledger(self, epoch: bytes = bytes(range(16))) -> Ledger:
        return Ledger(self.booth.identity, self.booth.key, epoch)


class Stream:
    """A booth's stream as a booth without manners would drive it."""

    def __init__(self, stub: "IngestServiceAsyncStub") -> None:
        self.call = stub.StreamEvents()
        self.durable = 0

    async def hello(self, hello: wire.Hello) -> wire.Welcome:
        await self.call.write(wire.StreamEventsRequest(hello=hello))
        response = await self.read()
        assert response.WhichOneof("message") == "welcome", response
        self.durable = response.welcome.durable_through
        return response.welcome

    async def send(self, first_seq: int, *envelopes: bytes) -> None:
        await self.call.write(
            wire.StreamEventsRequest(batch=wire.Batch(first_seq=first_seq, envelopes=list(envelopes)))
        )

    async def read(self) -> wire.StreamEventsResponse:
        async with asyncio.timeout(PATIENCE_S):
            response = await self.call.read()
        assert isinstance(response, wire.StreamEventsResponse), await self.call.code()
        return response

    async def acked(self, through: int) -> wire.Ack:
        """The first acknowledgement that reaches `through`; none may go beyond."""
        async with asyncio.timeout(PATIENCE_S):  # heartbeats come for ever
            while True:
                response = await self.read()
                assert response.WhichOneof("message") == "ack", response
                assert self.durable <= response.ack.durable_through
                self.durable = response.ack.durable_through
                if self.durable >= through:
                    return response.ack

    async def nack(self) -> wire.Nack:
        """The refusal, after any acknowledgements; nothing follows it."""
        async with asyncio.timeout(PATIENCE_S):
            while (response := await self.read()).WhichOneof("message") == "ack":
                self.durable = response.ack.durable_through
        assert response.WhichOneof("message") == "nack", response
        return response.nack

    async def status(self) -> grpc.StatusCode:
        async with asyncio.timeout(PATIENCE_S):
            return await self.call.code()


@pytest.fixture
def port(tmp_path: Path) -> Port:
    return Port(tmp_path)


@pytest.fixture
async def served(port: Port) -> AsyncIterator[Port]:
    async with port.serving():
        yield port


@pytest.fixture
def tsa(tmp_path: Path) -> Iterator[Tsa]:
    with Tsa(tmp_path / "tsa").serving() as tsa:
        yield tsa


@pytest.fixture
def desk(port: Port, tsa: Tsa) -> Iterator[Desk]:
    with contextlib.closing(port.store()) as store:
        yield Desk(port, tsa, store)
