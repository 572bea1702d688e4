"""Health and reflection as a supervisor and grpcurl ask for them: what is said is true."""

import asyncio
import contextlib
import json
from typing import Any

import apsw
import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from edge_agent.domain.errors import PortUnreachable, SettingsInvalid, StoreFull
from port_gateway import admin, serve
from port_gateway import store as store_module
from port_gateway.admin import SERVICES, ask
from port_gateway.cli import main
from port_gateway.config import Admin, Settings, read_config
from port_gateway.store import Store
from tests.integration.port_gateway.conftest import PATIENCE_S, Port, Stream


class Administered(Port):
    def settings(self) -> Settings:
        return super().settings().model_copy(update={"admin": Admin(listen="127.0.0.1:0")})


@pytest.fixture
def port(tmp_path: Any) -> Administered:
    return Administered(tmp_path)


async def says(port: Port, wanted: str, service: str = "") -> None:
    assert port.running is not None
    async with asyncio.timeout(PATIENCE_S):
        while await asyncio.to_thread(ask, port.running.admin_address, service) != wanted:
            await asyncio.sleep(0.02)


async def test_it_serves_and_its_services_are_described(port: Administered) -> None:
    async with port.serving() as gateway:
        for name in ("", *SERVICES):
            await says(port, "SERVING", name)
        assert await asyncio.to_thread(ask, gateway.admin_address, "no.such.Service") == "SERVICE_UNKNOWN"

        def described() -> tuple[set[str], list[str]]:
            with grpc.insecure_channel(gateway.admin_address) as channel:
                database = ProtoReflectionDescriptorDatabase(channel)
                found = DescriptorPool(database).FindServiceByName("edge_agent.wire.v1alpha1.SubscribeService")
                return set(database.get_services()), [method.name for method in found.methods]

        services, methods = await asyncio.to_thread(described)
        assert services == {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
        assert methods == ["Subscribe", "GetBlob", "ListBooths"]
        address = gateway.admin_address
    with pytest.raises(PortUnreachable):
        await asyncio.to_thread(ask, address)


async def test_it_says_that_it_drains(port: Administered) -> None:
    port.limits = port.limits.model_copy(update={"drain_s": 20.0})
    ledger = port.ledger()
    async with contextlib.AsyncExitStack() as channels, contextlib.AsyncExitStack() as serving:
        gateway = await serving.enter_async_context(port.serving())
        stream = Stream(await channels.enter_async_context(port.ingest()))
        await stream.hello(ledger.hello())
        await stream.send(1, *ledger.envelopes)
        await stream.acked(1)
        channel = await channels.enter_async_context(grpc.aio.insecure_channel(gateway.admin_address))
        watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
        stopping = asyncio.ensure_future(serving.aclose())
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert not stopping.done()  # a supervisor knows while there is still something on its way
        watching.cancel()
        await stream.call.done_writing()
        await stopping


async def test_it_says_that_nothing_can_be_kept_and_that_it_can_again(
    port: Administered, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores: list[Store] = []

    def opened(*arguments: Any) -> Store:
        stores.append(Store(*arguments))
        return stores[0]

    monkeypatch.setattr(serve, "Store", opened)
    monkeypatch.setattr(admin, "PROBE_S", 0.25)
    port.limits = port.limits.model_copy(update={"database_bytes": 1024 * 1024})
    ledger = port.ledger()
    for _ in range(20):
        ledger.large(100_000)
    async with port.serving(), port.ingest() as stub:
        await says(port, "SERVING")
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            for seq in range(1, 22):
                await stream.send(seq, ledger.envelopes[seq - 1])
                await asyncio.wait_for(stream.acked(seq), 20)
        await says(port, "NOT_SERVING")
        # A small row still finds room, and the probe does not.
        small = False
        while not small:
            with contextlib.suppress(StoreFull):  # in one commit with a probe it fails like that
                await asyncio.wrap_future(stores[0].submit(lambda db: db.execute("UPDATE meta SET value = value")))
                small = True
        await asyncio.sleep(0.6)
        assert await asyncio.to_thread(ask, port.running.admin_address if port.running else "") == "NOT_SERVING"
        Store.limit(stores[0]._db, 10**9)
        await says(port, "SERVING")


async def test_a_gateway_that_starts_with_a_full_store_says_so(port: Administered) -> None:
    """As a supervisor that restarts it would see it: nobody's event was refused since."""
    with contextlib.closing(port.store()) as store:
        store.submit(lambda db: db.execute("CREATE TABLE filler AS SELECT zeroblob(300000)")).result()
    port.limits = port.limits.model_copy(update={"database_bytes": 300_000})
    async with port.serving() as gateway:
        assert await asyncio.to_thread(ask, gateway.admin_address) == "NOT_SERVING"


async def test_it_says_that_another_process_locks_the_store(
    port: Administered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "BUSY_TIMEOUT_MS", 100)
    monkeypatch.setattr(admin, "PROBE_S", 0.25)
    ledger = port.ledger()
    async with port.serving() as gateway, port.ingest() as stub:
        assert await asyncio.to_thread(ask, gateway.admin_address) == "SERVING"
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        with contextlib.closing(apsw.Connection(str(port.settings().database))) as backup:
            backup.execute("BEGIN IMMEDIATE")
            await stream.send(1, *ledger.envelopes)
            await says(port, "NOT_SERVING")
            assert await stream.status() is grpc.StatusCode.ABORTED
            backup.execute("ROLLBACK")
        await says(port, "SERVING")


async def test_so_many_may_watch_and_no_more(port: Administered) -> None:
    async with port.serving() as gateway, grpc.aio.insecure_channel(gateway.admin_address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watching = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(admin.MAX_CALLS)]
        for one in watching:
            assert (await one.read()).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(PortUnreachable, match="RESOURCE_EXHAUSTED"):
            await asyncio.to_thread(ask, gateway.admin_address)
        for one in watching:
            one.cancel()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(PortUnreachable):
                    assert await asyncio.to_thread(ask, gateway.admin_address) == "SERVING"
                    return


def test_nothing_unprotected_leaves_the_machine(port: Port) -> None:
    config = port.write_config()
    text = config.read_text()
    for listen in ("0.0.0.0:7445", "10.0.0.5:7445", "gateway.example:7445", "[::]:7445"):
        config.write_text(f"{text}admin: {{listen: '{listen}'}}\n")
        with pytest.raises(SettingsInvalid, match="must be on loopback"):
            read_config(config)
    for section, listen in (
        ("{}", "127.0.0.1:7445"),
        ("{listen: '[::1]:1'}", "[::1]:1"),
        ("{listen: 'localhost:1'}", "localhost:1"),
    ):
        config.write_text(f"{text}admin: {section}\n")
        settings = read_config(config)
        assert settings.admin is not None
        assert settings.admin.listen == listen


async def test_the_command_says_it_by_its_status(port: Administered, capsys: pytest.CaptureFixture[str]) -> None:
    config = port.write_config()
    assert await asyncio.to_thread(main, ["health", str(config)]) == 2
    assert "has no `admin`" in capsys.readouterr().err
    async with port.serving() as gateway:
        config.write_text(f"{config.read_text()}admin: {{listen: '{gateway.admin_address}'}}\n")
        await says(port, "SERVING")
        assert await asyncio.to_thread(main, ["health", str(config), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"state": "SERVING"}
    assert await asyncio.to_thread(main, ["health", str(config)]) == 1
    assert capsys.readouterr().out == "UNREACHABLE\n"
