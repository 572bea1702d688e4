"""A port is set back to a backup and goes on: its cursors belong to other events then, and readers are told."""

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator

import grpc
import pytest

from edge_agent.wire.envelope import envelope_sha256
from port_gateway.cli import main
from tests.integration.port_gateway.conftest import PATIENCE_S, Port, Stream
from tests.integration.port_gateway.test_commands import COMMAND, connection, end, gateway, stream_all
from tests.integration.port_gateway.test_subscriptions import Reader, fill
from tests.unit.port_gateway.signing import Ledger


async def fill_other(port: Port, other: Ledger) -> None:
    async with port.ingest(port.other_booth) as stub:
        stream = Stream(stub)
        await stream.hello(other.hello())
        await stream.send(1, *other.envelopes)
        await stream.acked(other.head.seq)


@contextlib.asynccontextmanager
async def gone_on(port: Port, ledger: Ledger, other: Ledger) -> AsyncIterator[int]:
    """The port runs from a backup after the first three events, with the other booth's in place of the later ones.

    Gives the cursor at which the reader had the sixth event.
    """
    async with port.serving():
        await fill(port, ledger, 2)
    data, backup = port.settings().data, port.folder / "backup"
    shutil.copytree(data, backup)
    async with port.serving(), port.subscribe() as stub:
        await fill(port, ledger, 3)
        cursor = (await (await Reader(stub).begin()).take(6))[-1].cursor
    shutil.rmtree(data)
    shutil.copytree(backup, data)
    async with port.serving():
        await fill_other(port, other)
        yield cursor


def other_booths(port: Port, events: int) -> Ledger:
    other = Ledger(port.other_booth.identity, port.other_booth.key)
    other.grow(events - 1)
    return other


async def refusal(reader: Reader) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await (await reader.begin()).take(1)
    return f"{raised.value.code().name} {raised.value.details()}"


async def test_a_reader_that_names_its_last_event_is_told(port: Port) -> None:
    ledger = port.ledger()
    async with gone_on(port, ledger, other_booths(port, 5)) as cursor, port.subscribe() as stub:
        # By the cursor alone it misses three events of the other booth.
        missed = await (await Reader(stub, after=cursor).begin()).take(2)
        assert len({r.cursor for r in missed}) == 2
        told = await refusal(Reader(stub, after=cursor, after_sha256=envelope_sha256(ledger.envelopes[5])))
        assert told.startswith(
            f"FAILED_PRECONDITION WRONG_CURSOR: another event than you name stands at cursor {cursor}: "
        )
        # What it had before the backup stands where it stood.
        common = Reader(stub, after=3, after_sha256=envelope_sha256(ledger.envelopes[2]))
        assert len(await (await common.begin()).take(5)) == 5


async def test_a_cursor_where_no_event_stands_is_no_events(port: Port) -> None:
    ledger = port.ledger()
    async with port.serving(), port.subscribe() as stub:
        await fill(port, ledger, 2)
        told = await refusal(Reader(stub, after=0, after_sha256=bytes(32)))
        assert "WRONG_CURSOR: another event than you name stands at cursor 0" in told


async def test_a_digest_is_whole_and_of_a_given_cursor(port: Port) -> None:
    async with port.serving(), port.subscribe() as stub:
        await fill(port, port.ledger(), 2)
        for wrong in (
            Reader(stub, after=1, after_sha256=b"x" * 31),
            Reader(stub, after_sha256=b"x" * 32),
            Reader(stub, name="risk", after_sha256=b"x" * 32),
        ):
            assert (await refusal(wrong)).startswith("INVALID_ARGUMENT PROTOCOL: `after_sha256`")


async def test_tail_stops_at_a_port_that_was_set_back(port: Port) -> None:
    ledger, other = port.ledger(), other_booths(port, 5)
    ledger.grow(2)
    data, backup = port.settings().data, port.folder / "backup"
    async with contextlib.AsyncExitStack() as stack:
        async with gateway(port.write_config()) as (_, address):
            await stream_all(port, address, ledger.envelopes, ledger.hello())
        shutil.copytree(data, backup)
        ledger.grow(3)
        async with gateway(port.write_config(listen=address)) as (_, address):
            await stream_all(port, address, ledger.envelopes, ledger.hello())
            follower = await asyncio.create_subprocess_exec(
                *(*COMMAND, "tail", *map(str, connection(port, address)), "--json", "--follow", "--from", "0"),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            stack.callback(end, follower)
            assert follower.stdout
            assert follower.stderr
            async with asyncio.timeout(PATIENCE_S):
                shown = [json.loads(await follower.stdout.readline()) for _ in range(6)]
        shutil.rmtree(data)
        shutil.copytree(backup, data)
        async with port.serving():
            await fill_other(port, other)
        async with gateway(port.write_config(listen=address)) as (_, address):
            async with asyncio.timeout(PATIENCE_S):
                said = (await follower.stderr.read()).decode()
                assert await follower.wait() == 2
            last = shown[-1]["cursor"]
            assert f"WRONG_CURSOR: another event than you name stands at cursor {last}" in said
            # The same from a script that kept the last line, and one that kept an event from before the backup.
            for kept, status in ((shown[-1], 2), (shown[2], 0)):
                place = ("--from", f"{kept['cursor']}:{kept['sha256']}", "--limit", "2")
                again = await asyncio.create_subprocess_exec(
                    *(*COMMAND, "tail", *map(str, connection(port, address)), "--json", *place),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                stack.callback(end, again)
                async with asyncio.timeout(PATIENCE_S):
                    assert await again.wait() == status


@pytest.mark.parametrize("wrong", ["7:", "7:abc", "7:" + "g" * 64, ":" + "a" * 64, "-1", "7:" + "a" * 65])
def test_a_place_that_is_none_is_said(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["tail", "127.0.0.1:1", f"--from={wrong}"])
    assert ended.value.code == 2
    assert "--from" in capsys.readouterr().err
