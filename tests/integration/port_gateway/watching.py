"""A booth's side of Watch, driven by hand over real gRPC and mutual TLS."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc

from edge_agent.wire.v1alpha1 import watch_pb2 as wire
from edge_agent.wire.v1alpha1.expected_pb2 import ExpectationList
from edge_agent.wire.v1alpha1.watch_pb2_grpc import BoothServiceStub
from tests.integration.port_gateway.conftest import PATIENCE_S, Port
from tests.unit.port_gateway.signing import Party


class Watch:
    """One stream. `kept` is what the booth holds after the pages that it took."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.call = BoothServiceStub(channel).Watch()
        self.kept: ExpectationList | None = None

    async def hello(self, booth_id: str, held: ExpectationList | None = None) -> None:
        await self.call.write(wire.WatchRequest(hello=wire.WatchHello(booth_id=booth_id, list=held, agent_version="1")))

    async def read(self, *, beats: bool = False) -> wire.WatchResponse:
        """The next word of the port; heartbeats only if asked for."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                response = await self.call.read()
                assert isinstance(response, wire.WatchResponse), (await self.call.code(), await self.call.details())
                if beats or response.WhichOneof("message") != "heartbeat":
                    return response

    async def page(self) -> wire.ExpectationsPage:
        response = await self.read()
        assert response.WhichOneof("message") == "expectations", response
        return response.expectations

    async def keep(self, page: wire.ExpectationsPage) -> None:
        self.kept = page.list
        await self.call.write(wire.WatchRequest(kept=wire.ExpectationsKept(list=page.list)))

    async def take(self) -> wire.ExpectationsPage:
        """A page, and keep it."""
        page = await self.page()
        await self.keep(page)
        return page

    async def status(self) -> grpc.StatusCode:
        async with asyncio.timeout(PATIENCE_S):
            return await self.call.code()


@contextlib.asynccontextmanager
async def watching(
    port: Port, party: Party | None = None, held: ExpectationList | None = None, booth_id: str = ""
) -> AsyncIterator[Watch]:
    """A stream that has said hello as `party` (the port's booth), or in another's name."""
    party = party or port.booth
    async with port.channel(party) as channel:
        watch = Watch(channel)
        await watch.hello(booth_id or party.identity, held)
        yield watch
        watch.call.cancel()


def ids(page: wire.ExpectationsPage) -> list[str]:
    return [one.id for one in page.put]
