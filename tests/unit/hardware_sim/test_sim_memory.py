"""A link in memory is a line: one reader, bytes for nobody are lost, answers come back, a hang-up is the end."""

import asyncio

import pytest

from edge_agent.domain.clock import Instant, SystemClock
from edge_agent.domain.errors import LinkDown
from hardware_sim.links.memory import MemoryLink


class At:
    """A clock that shows what it is told."""

    def __init__(self) -> None:
        self.seconds = 5.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> Instant:
        return SystemClock().now()


def link(clock: At) -> MemoryLink:
    return MemoryLink("scale", clock, lambda: b"HELLO", lambda data: data.upper())


async def test_a_reader_gets_what_is_said_while_it_is_there_and_when() -> None:
    clock = At()
    line = link(clock)
    await line.open()
    line.write(b"before")
    async with line.attach() as end:
        assert line.attached
        assert await end.receive(1) == (b"HELLO", 5.0)
        clock.seconds = 7.0
        line.write(b"one")
        clock.seconds = 8.0
        line.write(b"two")
        assert [await end.receive(1), await end.receive(1)] == [(b"one", 7.0), (b"two", 8.0)]
        assert await end.receive(0.001) is None
    assert not line.attached
    line.write(b"after")
    assert line.lost_bytes == len(b"before") + len(b"after")


async def test_what_a_reader_sends_is_answered() -> None:
    line = link(At())
    await line.open()
    async with line.attach() as end:
        end.send(b"si\r\n")
        assert [(await end.receive(1) or (b"", 0.0))[0] for _ in range(2)] == [b"HELLO", b"SI\r\n"]


async def test_a_hang_up_ends_after_what_was_said_before() -> None:
    line = link(At())
    await line.open()
    async with line.attach() as end:
        line.write(b"last")
        line.hang_up()
        assert (await end.receive(1), await end.receive(1)) == ((b"HELLO", 5.0), (b"last", 5.0))
        with pytest.raises(LinkDown, match="the device hung up"):
            await end.receive(1)
        with pytest.raises(LinkDown):
            end.send(b"?")
    async with line.attach() as again:
        assert await again.receive(1) == (b"HELLO", 5.0)


async def test_a_waiting_reader_is_woken_by_bytes_and_by_the_end() -> None:
    line = link(At())
    await line.open()
    async with line.attach() as end, asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        await end.receive(1)
        waiting = tasks.create_task(end.receive(None))
        await asyncio.sleep(0)
        line.write(b"there")
        assert await waiting == (b"there", 5.0)
        ended = tasks.create_task(raises_link_down(end.receive(None)))
        await asyncio.sleep(0)
        await line.close()
        assert await ended


async def raises_link_down(receiving: object) -> bool:
    try:
        await receiving  # type: ignore[misc]
    except LinkDown:
        return True
    return False


async def test_a_device_that_is_away_cannot_be_opened() -> None:
    line = link(At())
    with pytest.raises(LinkDown, match="cannot be opened: the device is away"):
        async with line.attach():
            pass


async def test_the_newest_reader_takes_the_line() -> None:
    line = link(At())
    await line.open()
    async with line.attach() as old, line.attach() as new:
        line.write(b"mine")
        await old.receive(1)
        with pytest.raises(LinkDown):
            await old.receive(1)
        assert [await new.receive(1), await new.receive(1)] == [(b"HELLO", 5.0), (b"mine", 5.0)]


async def test_a_reader_that_does_not_read_loses_bytes() -> None:
    line = link(At())
    await line.open()
    async with line.attach() as end:
        for _ in range(100):
            line.write(b"x" * 1000)
        assert 30_000 < line.lost_bytes < 40_000
        got = 0
        while (chunk := await end.receive(0)) is not None:
            got += len(chunk[0])
        assert got + line.lost_bytes == 100_000 + len(b"HELLO")
        line.write(b"y" * 50_000)  # there is room again
        assert await end.receive(0) == (b"y" * 50_000, 5.0)
