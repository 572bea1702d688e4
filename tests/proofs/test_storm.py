"""Short and middle form of tests/proofs/storm.py. How long it took is printed, not asserted: docs/reliability.md."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from edge_agent.demo.processes import program
from tests.integration.port_gateway.conftest import Port, Stream
from tests.proofs.storm import storm


@pytest.mark.timeout(300)
async def test_fifty_booths_reconnect_at_once(tmp_path: Path) -> None:
    print(await storm(tmp_path, 50, 1.0))


@pytest.mark.proof
@pytest.mark.timeout(600)
async def test_three_hundred_booths_reconnect_at_once(tmp_path: Path) -> None:
    print(await storm(tmp_path, 300, 3.0))


@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_a_port_that_acknowledges_before_it_commits_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ended by themselves"):
        await storm(tmp_path, 12, 0.5, "port's commit")


async def test_strangers_who_shake_hands_at_once_do_not_end_the_gateway(tmp_path: Path) -> None:
    """gRPC aborts a process that gives it certificates at every handshake (grpc/grpc#36693)."""
    port = Port(tmp_path)
    serving = program("gateway", tmp_path / "log", "port_gateway", "serve", str(port.write_config()), "--json")
    async with serving as gateway:
        host, _, number = str((await gateway.ready())["address"]).rpartition(":")
        async with asyncio.timeout(100), asyncio.TaskGroup() as group:
            for _ in range(16):
                group.create_task(asyncio.to_thread(_shake_hands, host, int(number), 25))
        async with port.ingest(address=f"{host}:{number}") as stub:
            stream = Stream(stub)
            await stream.call.done_writing()
            assert (await stream.nack()).detail == "the first request must be a hello"


def _shake_hands(host: str, port: int, times: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    for _ in range(times):
        with socket.create_connection((host, port), 20) as connection, context.wrap_socket(connection):
            pass
