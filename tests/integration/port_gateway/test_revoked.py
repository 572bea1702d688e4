"""A key revoked while the gateway serves: open streams end at once, and nothing of it comes in again."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import grpc
import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.wire.identity import SpiffeId, key_id
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from port_gateway.cli import main
from port_gateway.config import Limits
from port_gateway.store import Store
from port_gateway.tail import Printer, Tail, tail
from port_gateway.trust import TrustStore
from tests.integration.port_gateway.conftest import Port, Stream
from tests.unit.port_gateway.signing import Ledger, Party


async def command(*arguments: str) -> int:
    return await asyncio.to_thread(main, list(arguments))


@pytest.fixture
async def served(port: Port) -> AsyncIterator[Port]:
    port.limits = Limits(heartbeat_s=10)  # a heartbeat would find out, too, only later
    async with port.serving():
        yield port


async def test_an_open_stream_ends_at_once_and_what_was_accepted_stands(served: Port) -> None:
    ledger = served.ledger()
    ledger.grow(9)
    config = str(served.write_config())
    async with served.ingest() as stub, served.ingest(served.other_booth) as beside:
        stream, other = Stream(stub), Stream(beside)
        await stream.hello(ledger.hello())
        beside_ledger = Ledger(served.other_booth.identity, served.other_booth.key)
        await other.hello(beside_ledger.hello())
        await stream.send(1, *ledger.envelopes)
        await stream.acked(10)
        key = key_id(served.booth.key.public_key())
        assert await command("trust", "revoke", config, served.booth.identity, "--key", key, "--now") == 0
        async with asyncio.timeout(3):
            assert (await stream.nack()).code == wire.REFUSAL_CODE_KEY_REVOKED
            assert await stream.status() is grpc.StatusCode.PERMISSION_DENIED
        await other.send(1, *beside_ledger.envelopes)
        await other.acked(1)
    async with served.ingest() as stub:
        stream = Stream(stub)
        with contextlib.suppress(grpc.aio.AioRpcError):  # the handshake may have failed already
            await stream.call.write(wire.StreamEventsRequest(hello=ledger.hello()))
        assert await stream.status() is grpc.StatusCode.UNAVAILABLE
    # The booth gets a new key, and its chain goes on; what the old key or its session signs beyond is refused.
    new = Party(served.folder / "new", served.booth.identity)
    served.trust(new, replace=True)
    ledger.grow(1)
    async with served.ingest(new) as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(11, ledger.envelopes[10])
        assert (await stream.nack()).code == wire.REFUSAL_CODE_KEY_REVOKED
    ledger.envelopes.pop()
    assert await command("verify", config) == 0


async def test_back_offices_are_told_and_verify_by_it(served: Port, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = served.ledger()
    ledger.grow(2)
    async with served.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(1, *ledger.envelopes)
        await stream.acked(3)
    with_store = Store(served.settings().database)
    try:
        mine = key_id(served.booth.key.public_key())
        TrustStore(with_store, SystemClock()).revoke(SpiffeId.parse(served.booth.identity), mine)
    finally:
        with_store.close()
    async with served.subscribe() as stub:
        listed = await stub.ListBooths(wire.ListBoothsRequest(), timeout=10)
    booth = next(b for b in listed.booths if b.booth_id == served.booth.identity)
    (end,) = booth.ended_keys
    assert (end.key_id, end.code) == (mine, wire.REFUSAL_CODE_KEY_REVOKED)
    assert [(e.epoch, e.through_seq) for e in end.epochs] == [(ledger.epoch, 3)]
    assert await tail(from_the_beginning(served), Printer(as_json=True)) == 0
    # A port that passes on what it should have refused is found out.
    with_store = Store(served.settings().database)
    try:
        with_store.submit(lambda db: db.execute("UPDATE ended_key_epoch SET through_seq = 2").fetchall()).result()
        with_store.submit(
            lambda db: db.execute("UPDATE meta SET value = value + 1 WHERE key = 'trust_version'").fetchall()
        ).result()
    finally:
        with_store.close()
    assert await tail(from_the_beginning(served), Printer(as_json=True)) == 1
    assert "KEY_REVOKED" in capsys.readouterr().out
    assert await command("verify", str(served.write_config()), "--json") == 1


async def test_a_back_office_that_is_revoked_reads_no_more(served: Port) -> None:
    config = str(served.write_config())
    async with served.subscribe() as stub:
        call = stub.Subscribe()
        await call.write(wire.SubscribeRequest(start=wire.SubscribeStart(after=0)))
        await asyncio.sleep(0.1)
        key = key_id(served.office.key.public_key())
        assert await command("trust", "revoke", config, served.office.identity, "--key", key, "--now") == 0
        async with asyncio.timeout(3):
            assert await call.code() is grpc.StatusCode.PERMISSION_DENIED
            assert "KEY_REVOKED" in (await call.details() or "")


async def test_the_commands_say_what_they_did(served: Port, capsys: pytest.CaptureFixture[str]) -> None:
    config, mine = str(served.write_config()), key_id(served.booth.key.public_key())
    for arguments, said in (
        (("--key", mine, "--after-seq", "5"), "the port holds no event"),
        (("--key", "12345678", "--now"), "0 keys of"),
        (("--key", "ab" * 32, "--now"), "is it mistyped?"),
    ):
        assert await command("trust", "revoke", config, served.booth.identity, *arguments) == 2
        assert said in capsys.readouterr().err
    assert await command("trust", "revoke", config, served.booth.identity, "--key", "ab" * 32, "--now", "--unseen") == 0
    capsys.readouterr()
    epoch = bytes(16).hex()
    index = ("--key", mine[:12], "--after-seq", "5", "--epoch", epoch, "--json")
    assert await command("trust", "revoke", config, served.booth.identity, *index) == 0
    assert json.loads(capsys.readouterr().out)["counts_through"] == {epoch: 5}
    assert await command("trust", "list", config, "--json") == 0
    states = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {s["state"] for s in states if s["key_id"] == mine} == {"revoked"}


def from_the_beginning(port: Port) -> Tail:
    assert port.running is not None
    office = port.office
    pinned = port.gateway.certificate_path
    return Tail(port.running.address, pinned, office.key_path, office.certificate_path, after=0, wait_s=0.2)
