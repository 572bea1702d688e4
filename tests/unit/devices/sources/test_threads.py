"""A call that blocks, and a task that is cancelled meanwhile."""

import asyncio
import threading

import pytest

from edge_agent.devices.sources import threads
from edge_agent.devices.sources.threads import in_thread


def running(name: str) -> bool:
    return any(thread.name == name for thread in threading.enumerate())


async def test_what_it_returns_and_raises() -> None:
    assert await in_thread(lambda: 7, "seven") == 7

    def fails() -> None:
        raise OSError("the disk said no")

    with pytest.raises(OSError, match="the disk said no"):
        await in_thread(fails, "fails")
    assert not running("fails")


async def test_cancelled_it_ends_once_the_call_has() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        go_on.wait(30)
        raise OSError("nobody listens any more")

    async with asyncio.TaskGroup() as group:
        task = group.create_task(in_thread(call, "held"))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.1)
        assert not task.done(), "its thread still runs"
        go_on.set()
    assert task.cancelled()
    assert not running("held")


async def test_a_call_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "CLOSE_S", 0.05)
    go_on = threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await in_thread(lambda: go_on.wait(30), "hung")
    assert running("hung")
    go_on.set()
    while running("hung"):
        await asyncio.sleep(0.01)
