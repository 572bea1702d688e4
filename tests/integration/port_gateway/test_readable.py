"""A back-office reads the booths of its own port, and of the ports that it was given; no others."""

import asyncio

import pytest

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.wire.identity import SpiffeId
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from port_gateway.cli import main
from port_gateway.client import Subscription
from tests.integration.port_gateway.conftest import Port, Stream
from tests.unit.port_gateway.signing import Ledger, Party

FAR = "spiffe://usotm/booth/lane-1"


async def events_of(port: Port, reader: Party, *asked: str, some: bool = True) -> set[str]:
    """The booths whose events come when read from the beginning; the first may take its time where `some` are due."""
    booths = set[str]()
    async with port.subscribe(reader) as stub:
        call = stub.Subscribe()
        await call.write(wire.SubscribeRequest(start=wire.SubscribeStart(after=0, booth_ids=asked)))
        reading = asyncio.ensure_future(call.read())
        while (await asyncio.wait([reading], timeout=20 if some and not booths else 0.5))[0]:
            response = reading.result()
            assert isinstance(response, wire.SubscribeResponse)
            booths.add(response.booth_id)
            reading = asyncio.ensure_future(call.read())
        call.cancel()
        await asyncio.wait([reading])
    return booths


async def listed(port: Port, reader: Party) -> set[str]:
    async with port.subscribe(reader) as stub:
        answer = await stub.ListBooths(wire.ListBoothsRequest(), timeout=10)
    return {booth.booth_id for booth in answer.booths}


async def test_it_reads_its_own_port_and_those_it_was_given(served: Port, capsys: pytest.CaptureFixture[str]) -> None:
    near, there = served.booth, Party(served.folder / "far", FAR)
    office = Party(served.folder / "o", "spiffe://usotm/back-office/customs")
    served.trust(there, office)
    for party in (near, there):
        ledger = Ledger(party.identity, party.key)
        async with served.ingest(party) as stub:
            stream = Stream(stub)
            await stream.hello(ledger.hello())
            await stream.send(1, *ledger.envelopes)
            await stream.acked(1)
    lanes = {near.identity, served.other_booth.identity}
    assert await listed(served, served.office) == lanes
    assert await listed(served, office) == {FAR}
    assert await events_of(served, served.office) == {near.identity}
    assert await events_of(served, office) == {FAR}
    assert await events_of(served, office, FAR, near.identity) == {FAR}
    assert await events_of(served, office, near.identity, some=False) == set()
    # One that was given the other port as well; and it is taken back at once, from an open subscription too.
    config = str(served.write_config())
    give = ("trust", "add", config, str(office.certificate_path), "--reads")
    assert await asyncio.to_thread(main, [*give, "uslrd"]) == 0
    assert await asyncio.to_thread(main, ["trust", "list", config]) == 0
    assert "reads uslrd usotm" in capsys.readouterr().out
    assert await listed(served, office) == {FAR, *lanes}
    assert await events_of(served, office) == {FAR, near.identity}
    assert await events_of(served, office, near.identity) == {near.identity}
    async with served.subscribe(office) as reading, Subscription(reading, after=0) as subscription:
        assert await subscription.next(20)
        assert await subscription.next(20)
        assert await asyncio.to_thread(main, [*give, "usstl"]) == 0
        more = Ledger(near.identity, near.key, bytes(16))
        async with served.ingest(near) as ingest:
            stream = Stream(ingest)
            await stream.hello(more.hello())
            await stream.send(1, *more.envelopes)
            await stream.acked(1)
        assert await subscription.next(0.5) is None


async def test_only_back_offices_are_given_ports(port: Port) -> None:
    store = port.store()
    try:
        trust = port.trust_store(store)
        with pytest.raises(IdentityInvalid, match="is no back-office"):
            trust.let_read(SpiffeId.parse(port.booth.identity), ["usotm"])
        with pytest.raises(IdentityInvalid, match="no identity of this system"):
            trust.let_read(SpiffeId.parse(port.office.identity), ["USOTM/x"])
    finally:
        store.close()
