"""A port that says at every dial that it stops: no failure at first, and one that a person hears of after a time."""

import asyncio
import random
from contextlib import suppress

from edge_agent.domain.clock import SystemClock
from edge_agent.uplink.client import MAX_STOPPING_S, Uplink
from edge_agent.uplink.link import LinkState
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from tests.integration.ledger.conftest import alarm
from tests.integration.uplink.conftest import Site, until


class Ahead(SystemClock):
    """Its monotonic clock is `ahead` of this machine's by so many seconds."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


async def test_a_port_that_only_stops_is_told_as_down_after_a_time(site: Site) -> None:
    clock = Ahead()
    stopping = wire.StreamEventsResponse(drain=wire.Drain(after_s=0))
    async with site.booth.open() as ledger:
        await ledger.recorder.record(alarm(1))
        port = site.new_port(ledger, first=stopping)
        async with site.serving(port):
            settings = site.settings()
            on_link = lambda state, why: site.links.append((state, why))  # noqa: E731
            uplink = Uplink(settings, site.port(settings), ledger.outbox, clock, "1", on_link, random.Random(1))
            task = asyncio.ensure_future(uplink.run())
            try:
                await until(lambda: len(port.hellos) >= 2)
                clock.ahead = MAX_STOPPING_S - 60
                dialled = len(port.hellos)
                await until(lambda: len(port.hellos) >= dialled + 2)
                assert site.links == []
                clock.ahead = MAX_STOPPING_S
                dialled = len(port.hellos)
                await until(lambda: len(port.hellos) >= dialled + 3)
                assert site.states() == [LinkState.DOWN]  # once
                assert "has been stopping for 60" in site.links[0][1]
                port.first = None
                await until(lambda: ledger.outbox.acked_through() == 2)
                assert site.states() == [LinkState.DOWN, LinkState.UP]
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
