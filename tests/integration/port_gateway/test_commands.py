"""The commands as processes: what a person types, what a program reads, and what a kill leaves behind."""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import grpc
import pytest

from edge_agent.domain.evidence import EvidenceKind, EvidenceRef
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import EvidenceServiceStub
from port_gateway.cli import main
from tests.integration.port_gateway.conftest import PATIENCE_S, Port, Stream
from tests.unit.port_gateway.signing import device_event

COMMAND = (sys.executable, "-m", "port_gateway")


@contextlib.asynccontextmanager
async def gateway(config: Path) -> AsyncIterator[tuple["asyncio.subprocess.Process", str]]:
    """`port-gateway serve` as a process, and its address."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "serve", str(config), "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    try:
        async with asyncio.timeout(PATIENCE_S):
            line = await process.stdout.readline()
        assert line, await process.communicate()
        yield process, json.loads(line)["address"]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", [("serve",), ("trust", "list"), ("verify",)])
def test_a_data_folder_that_cannot_be(port: Port, command: tuple[str, ...]) -> None:
    config = port.write_config()
    config.write_text(config.read_text().replace("data: data", "data: gw/main.crt"))
    done = run(*command, config)
    assert done.returncode == 2
    assert "main.crt" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_for_evidence_that_cannot_be(port: Port) -> None:
    done = run("fetch", "a" * 64, "--out", port.gateway.certificate_path / "x", *connection(port, "127.0.0.1:1"))
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


async def arun(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(run, *arguments)


def connection(port: Port, address: str) -> list[object]:
    office = port.office
    return [
        *("--gateway", address, "--gateway-certificate", port.gateway.certificate_path),
        *("--key", office.key_path, "--certificate", office.certificate_path),
    ]


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def stream_all(port: Port, address: str, envelopes: list[bytes], hello: wire.Hello) -> None:
    async with port.ingest(address=address) as stub:
        stream = Stream(stub)
        welcome = await stream.hello(hello)
        for at in range(welcome.durable_through, len(envelopes), 50):
            await stream.send(at + 1, *envelopes[at : at + 50])
            await stream.acked(min(at + 50, len(envelopes)))


async def test_a_day_of_a_back_office(port: Port) -> None:
    config = port.write_config()
    ledger = port.ledger()
    image = os.urandom(300_000)
    digest = hashlib.sha256(image).digest()
    ledger.add(device_event(), evidence=(EvidenceRef(EvidenceKind.FRAME, "image/jpeg", digest, len(image)),))
    ledger.grow(8)
    async with gateway(config) as (process, address):
        await stream_all(port, address, ledger.envelopes, ledger.hello())
        tail = await arun("tail", *connection(port, address), "--json", "--limit", 10)
        assert (tail.returncode, tail.stderr) == (0, "")
        shown = objects(tail.stdout)
        assert [o["sha256"] for o in shown] == [envelope_sha256(e).hex() for e in ledger.envelopes]
        assert [(o["seq"], o["verified"], o["booth_id"]) for o in shown] == [
            (n, True, port.booth.identity) for n in range(1, 11)
        ]
        assert shown[1]["event"]["evidence"][0]["sha256"] == digest.hex()
        assert shown[1]["event"]["previous_sha256"] == shown[0]["sha256"]

        middle = await arun("tail", *connection(port, address), "--json", "--from", shown[6]["cursor"])
        assert [o["seq"] for o in objects(middle.stdout)] == [8, 9, 10]
        for expected in ([1, 2, 3], [4, 5, 6]):
            named = await arun("tail", *connection(port, address), "--json", "--name", "risk", "--limit", 3)
            assert [o["seq"] for o in objects(named.stdout)] == expected
        text = await arun("tail", *connection(port, address), "--limit", 2)
        assert "session opened" in text.stdout
        assert digest.hex() in text.stdout

        folder = port.folder / "fetched"
        early = await arun("fetch", digest.hex(), *connection(port, address), "--out", folder)
        assert (early.returncode, "not arrived" in early.stdout) == (1, True)
        verified = await arun("verify", config, "--json")  # beside the running gateway
        assert json.loads(verified.stdout)["evidence_at_booth"] == 1
        async with port.channel(port.booth, address=address) as channel:
            header = wire.BlobHeader(sha256=digest, size=len(image))
            requests = [wire.PutBlobRequest(header=header)]
            requests += [wire.PutBlobRequest(chunk=image[at : at + 100_000]) for at in range(0, len(image), 100_000)]
            assert (await EvidenceServiceStub(channel).PutBlob(iter(requests))).blob.complete
        fetched = await arun("fetch", digest.hex(), *connection(port, address), "--out", folder, "--json")
        assert Path(objects(fetched.stdout)[0]["path"]).read_bytes() == image

        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0
    verified = run("verify", config, "--json")
    facts = json.loads(verified.stdout)
    assert verified.returncode == 0
    assert (facts["events"], facts["chains"], facts["evidence_whole"], facts["evidence_missing"]) == (10, 1, 1, 0)
    unreachable = await arun("tail", *connection(port, address), "--limit", 1)
    assert unreachable.returncode == 2
    assert "Traceback" not in unreachable.stderr


@pytest.mark.parametrize("kills", [4])
async def test_a_killed_gateway_has_every_event_that_it_acknowledged_once(port: Port, kills: int) -> None:
    config = port.write_config(limits="{heartbeat_s: 0.2}")
    ledger = port.ledger()
    ledger.grow(2000 * kills)
    acked = 0
    for round_ in range(kills):
        async with gateway(config) as (process, address), port.ingest(address=address) as stub:
            stream = Stream(stub)
            welcome = await stream.hello(ledger.hello())
            assert welcome.durable_through >= acked
            assert welcome.chain_head == (
                envelope_sha256(ledger.envelopes[welcome.durable_through - 1]) if welcome.durable_through else bytes(32)
            )
            acked = welcome.durable_through
            sent = acked
            target = acked + 700 + 100 * round_
            try:
                while acked < target:
                    while sent - acked < 900:
                        await stream.send(sent + 1, *ledger.envelopes[sent : sent + 37])
                        sent += 37
                    acked = (await stream.read()).ack.durable_through
                process.kill()  # with some 800 events in flight
                while True:
                    acked = (await stream.read()).ack.durable_through
            except (grpc.aio.AioRpcError, AssertionError, asyncio.InvalidStateError):
                await process.wait()
    facts = json.loads(run("verify", config, "--json").stdout)
    assert facts["ok"]
    assert facts["events"] >= acked >= 700 * kills
    with contextlib.closing(apsw.Connection(str(port.settings().database))) as db:
        stored = [bytes(row[0]) for row in db.execute("SELECT envelope FROM event ORDER BY cursor")]
    assert stored == ledger.envelopes[: len(stored)]
    assert len(stored) == facts["events"]


async def test_a_full_store_acknowledges_nothing_more_and_recovers(port: Port) -> None:
    config = port.write_config(limits="{database_bytes: 1048576}")
    ledger = port.ledger()
    ledger.grow(600, "x" * 4000)
    async with gateway(config) as (process, address), port.ingest(address=address) as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        acked = 0
        with contextlib.suppress(grpc.aio.AioRpcError):
            while True:
                await stream.send(acked + 1, *ledger.envelopes[acked : acked + 50])
                acked = (await stream.read()).ack.durable_through
        assert await stream.status() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert 0 < acked < 601
        assert process.returncode is None  # it goes on serving
        tail = await arun("tail", *connection(port, address), "--json", "--limit", acked)
        assert len(objects(tail.stdout)) == acked
        again = Stream(stub)
        assert (await again.hello(ledger.hello())).durable_through == acked
    assert json.loads(run("verify", config, "--json").stdout)["events"] == acked
    config = port.write_config(limits="{database_bytes: 100048576}")
    async with gateway(config) as (_, address):
        await stream_all(port, address, ledger.envelopes, ledger.hello())
    assert json.loads(run("verify", config, "--json").stdout)["events"] == 601


def end(process: "asyncio.subprocess.Process") -> None:
    if process.returncode is None:
        process.kill()


async def test_tail_follows_over_a_restart_of_the_gateway(port: Port) -> None:
    ledger = port.ledger()
    ledger.grow(2)
    async with contextlib.AsyncExitStack() as stack:
        async with gateway(port.write_config()) as (_, address):
            await stream_all(port, address, ledger.envelopes, ledger.hello())
            follower = await asyncio.create_subprocess_exec(
                *COMMAND, "tail", *map(str, connection(port, address)), "--json", "--follow", stdout=subprocess.PIPE
            )
            stack.callback(end, follower)
            assert follower.stdout
            async with asyncio.timeout(PATIENCE_S):
                shown = [json.loads(await follower.stdout.readline()) for _ in range(3)]
        ledger.grow(2)
        async with gateway(port.write_config(listen=address)) as (_, again):
            await stream_all(port, again, ledger.envelopes, ledger.hello())
            async with asyncio.timeout(PATIENCE_S):
                shown += [json.loads(await follower.stdout.readline()) for _ in range(2)]
            follower.terminate()
            async with asyncio.timeout(PATIENCE_S):
                assert await follower.wait() == 0
    assert [o["seq"] for o in shown] == [1, 2, 3, 4, 5]


async def test_tail_names_what_does_not_verify(port: Port) -> None:
    config = port.write_config()
    ledger = port.ledger()
    ledger.grow(5)
    async with port.serving():
        assert port.running
        await stream_all(port, port.running.address, ledger.envelopes, ledger.hello())
    with contextlib.closing(apsw.Connection(str(port.settings().database))) as db:
        forged = ledger.envelopes[3].replace(b"camera", b"camerb")
        db.execute("UPDATE event SET envelope = ? WHERE seq = 4", (forged,))
    async with gateway(config) as (_, address):
        tail = await arun("tail", *connection(port, address), "--json", "--limit", 6)
    assert tail.returncode == 1
    *good, bad = objects(tail.stdout)
    assert [o["seq"] for o in good] == [1, 2, 3]
    assert (bad["verified"], bad["code"]) == (False, "BAD_SIGNATURE")
    verified = run("verify", config, "--json")
    assert verified.returncode == 1
    assert json.loads(verified.stdout)["fault"] == "BAD_SIGNATURE"
    assert "sequence 4" in verified.stderr


def test_two_gateways_on_one_folder_are_refused(port: Port) -> None:
    async def both() -> None:
        config = port.write_config()
        async with gateway(config):
            second = await arun("serve", config)
            assert second.returncode == 2
            assert "another gateway" in second.stderr
            assert "Traceback" not in second.stderr

    asyncio.run(both())


def test_keys_and_trust(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: object) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        out = capsys.readouterr()
        return status, out.out, out.err

    made = run("keys", "init", "--identity", "spiffe://uslrd/gateway/main", "--host", "127.0.0.1", "--out", tmp_path)
    assert made[0] == 0
    shown = json.loads(run("keys", "show", tmp_path / "main.crt", "--json")[1])
    assert shown["identity"] == "spiffe://uslrd/gateway/main"
    run("keys", "init", "--identity", "spiffe://uslrd/back-office/customs", "--out", tmp_path)
    config = tmp_path / "gateway.yaml"
    config.write_text("identity: {key: main.key, certificate: main.crt}\nlisten: 127.0.0.1:0\ndata: data\n")
    added = run("trust", "add", config, tmp_path / "customs.crt")
    assert (added[0], "registered" in added[1]) == (0, True)
    listed = objects(run("trust", "list", config, "--json")[1])
    assert [(o["identity"], o["active"]) for o in listed] == [("spiffe://uslrd/back-office/customs", True)]
    mistakes: list[tuple[object, ...]] = [
        ("trust", "add", config, tmp_path / "main.crt"),  # a gateway
        ("trust", "add", config, tmp_path / "main.key"),
        ("trust", "add", config, tmp_path / "missing.crt"),
        ("keys", "init", "--identity", "spiffe://uslrd/gateway/main", "--out", tmp_path / "n"),  # no host
        ("keys", "init", "--identity", "http://example", "--out", tmp_path / "n"),
        ("serve", tmp_path / "missing.yaml"),
        ("fetch", "abc", "--gateway", "x:1", "--gateway-certificate", "c", "--key", "k", "--certificate", "c"),
    ]
    for arguments in mistakes:
        status, _, errors = run(*arguments)
        assert (status, errors.startswith("port-gateway: ")) == (2, True), arguments
