"""A port is set back to a backup and goes on: its cursors belong to other events then, and readers are told."""

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator

import grpc
import pytest

from port_gateway.cli import main
from tests.integration.port_gateway.conftest import PATIENCE_S, Port, Stream
from tests.integration.port_gateway.test_commands import COMMAND, connection, end, gateway, stream_all
from tests.integration.port_gateway.test_subscriptions import Reader, fill
from tests.unit.port_gateway.signing import Ledger, Party


async def bring(port: Port, party: Party, ledger: Ledger) -> None:
    """All of a booth's events, as far as the port has not got them."""
    async with port.ingest(party) as stub:
        stream = Stream(stub)
        welcome = await stream.hello(ledger.hello())
        await stream.send(welcome.durable_through + 1, *ledger.envelopes[welcome.durable_through :])
        await stream.acked(ledger.head.seq)


@contextlib.contextmanager
def set_back(port: Port) -> Iterator[None]:
    """The gateway's folder is afterwards what it was before; it is not to run at either end."""
    data, backup = port.settings().data, port.folder / "backup"
    shutil.copytree(data, backup)
    yield
    shutil.rmtree(data)
    shutil.copytree(backup, data)


def other_booths(port: Port, events: int) -> Ledger:
    other = Ledger(port.other_booth.identity, port.other_booth.key)
    other.grow(events - 1)
    return other


async def refusal(reader: Reader) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await (await reader.begin()).take(1)
    return f"{raised.value.code().name} {raised.value.details()}"


def told(cursor: int) -> str:
    return f"FAILED_PRECONDITION WRONG_CURSOR: cursor {cursor} was not given as you say: "


async def test_a_reader_that_names_its_place_is_told(port: Port) -> None:
    ledger, other = port.ledger(), other_booths(port, 5)
    async with port.serving():
        await fill(port, ledger, 2)
    with set_back(port):
        async with port.serving(), port.subscribe() as stub:
            await fill(port, ledger, 3)
            seen = await (await Reader(stub).begin()).take(6)
            again = await (await Reader(stub, after=4, after_place=seen[3].place).begin()).take(2)
            assert [r.place for r in again] == [r.place for r in seen[4:]]
    async with port.serving(), port.subscribe() as stub:
        await bring(port, port.other_booth, other)
        cursor = seen[-1].cursor
        # By the cursor alone it misses three events of the other booth.
        missed = await (await Reader(stub, after=cursor).begin()).take(2)
        assert len({r.cursor for r in missed}) == 2
        assert (await refusal(Reader(stub, after=cursor, after_place=seen[-1].place))).startswith(told(cursor))
        # What it had before the backup stands where it stood.
        common = Reader(stub, after=3, after_place=seen[2].place)
        assert len(await (await common.begin()).take(5)) == 5


async def test_the_same_event_at_the_same_cursor_is_told_by_when_it_came(port: Port) -> None:
    """Before the set-back two booths' events came, afterwards another's in place of the first's."""
    third = Party(port.folder / "b3", "spiffe://uslrd/booth/lane-3")
    port.trust(third)
    ledger, other, late = port.ledger(), other_booths(port, 1), Ledger(third.identity, third.key)
    async with port.serving():
        await fill(port, ledger, 2)
    ledger.grow(1)
    with set_back(port):
        async with port.serving(), port.subscribe() as stub:
            await bring(port, port.other_booth, other)
            await bring(port, port.booth, ledger)
            seen = await (await Reader(stub).begin()).take(5)
    async with port.serving(), port.subscribe() as stub:
        await bring(port, third, late)
        await bring(port, port.booth, ledger)
        await bring(port, port.other_booth, other)
        now = await (await Reader(stub).begin()).take(6)
        assert (now[4].cursor, now[4].envelope) == (seen[4].cursor, seen[4].envelope)
        assert now[3].envelope == late.envelopes[0]  # not seen yet
        assert [r.place == s.place for r, s in zip(now, seen, strict=False)] == [True, True, True, False, False]
        cursor = seen[4].cursor
        assert (await refusal(Reader(stub, after=cursor, after_place=seen[4].place))).startswith(told(cursor))


async def test_a_cursor_where_no_event_stands_has_no_place(port: Port) -> None:
    async with port.serving(), port.subscribe() as stub:
        await fill(port, port.ledger(), 2)
        assert (await refusal(Reader(stub, after=0, after_place=bytes(16)))).startswith(told(0))


async def test_a_place_is_whole_and_of_a_given_cursor(port: Port) -> None:
    async with port.serving(), port.subscribe() as stub:
        await fill(port, port.ledger(), 2)
        for wrong in (
            Reader(stub, after=1, after_place=b"x" * 15),
            Reader(stub, after_place=b"x" * 16),
            Reader(stub, name="risk", after_place=b"x" * 16),
        ):
            assert (await refusal(wrong)).startswith("INVALID_ARGUMENT PROTOCOL: `after_place`")


async def test_tail_stops_at_a_port_that_was_set_back(port: Port) -> None:
    ledger, other = port.ledger(), other_booths(port, 5)
    ledger.grow(2)
    async with contextlib.AsyncExitStack() as stack:
        async with gateway(port.write_config()) as (_, address):
            await stream_all(port, address, ledger.envelopes, ledger.hello())
        with set_back(port):
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
        async with port.serving():
            await bring(port, port.other_booth, other)
        async with gateway(port.write_config(listen=address)) as (_, address):
            async with asyncio.timeout(PATIENCE_S):
                said = (await follower.stderr.read()).decode()
                assert await follower.wait() == 2
            last = shown[-1]["cursor"]
            assert f"WRONG_CURSOR: cursor {last} was not given as you say" in said
            # The same from a script that kept the last line, and one that kept an event from before the backup.
            for kept, status in ((shown[-1], 2), (shown[2], 0)):
                place = ("--from", f"{kept['cursor']}:{kept['place']}", "--limit", "2")
                again = await asyncio.create_subprocess_exec(
                    *(*COMMAND, "tail", *map(str, connection(port, address)), "--json", *place),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                stack.callback(end, again)
                async with asyncio.timeout(PATIENCE_S):
                    assert await again.wait() == status


@pytest.mark.parametrize("wrong", ["7:", "7:abc", "7:" + "g" * 32, ":" + "a" * 32, "-1", "7:" + "a" * 33])
def test_a_place_that_is_none_is_said(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["tail", "127.0.0.1:1", f"--from={wrong}"])
    assert ended.value.code == 2
    assert "--from" in capsys.readouterr().err
