"""What holds for every test: nobody leaves a task behind, and where skips are not accepted a skip fails the run."""

import asyncio
import functools
import inspect
import os
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

ENDING_TURNS = 300

_Test = Callable[..., Coroutine[Any, Any, None]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _leaving_no_task(item.obj)


def _leaving_no_task(test: _Test) -> _Test:
    @functools.wraps(test)
    async def checked(*arguments: Any, **fixtures: Any) -> None:
        before = asyncio.all_tasks()
        await test(*arguments, **fixtures)
        for _ in range(ENDING_TURNS):  # what was cancelled needs some turns to end; a server sees it over its socket
            left = [task for task in asyncio.all_tasks() - before if not task.done() and not _of_grpc(task)]
            if not left:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"the test left tasks behind: {left}")

    return checked


def _of_grpc(task: asyncio.Task[Any]) -> bool:
    """gRPC's own tasks live as long as the server, which a fixture may hold longer than the test."""
    name = getattr(task.get_coro(), "__qualname__", "")
    return name.startswith("AioServer.") or name in {"_schedule_rpc_coro", "_handle_exceptions"}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped and os.environ.get("EDGE_AGENT_NO_SKIPS"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"{len(skipped)} tests were skipped, which is not accepted here", red=True)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests that need the machine for themselves are looked for in one folder alone (Makefile)."""
    if item.get_closest_marker("alone") and "tests/e2e/" not in item.nodeid:
        raise pytest.UsageError(f"{item.nodeid} is marked alone, and would never run: put it into tests/e2e")
