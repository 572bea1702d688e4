"""Time that passes only while everybody waits, and a port in this process on it."""

import asyncio
import re
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from edge_agent.domain.errors import LinkDown
from hardware_sim.links.memory import MemoryLink
from hardware_sim.player import Said
from hardware_sim.run import PortSim, build_players
from hardware_sim.scenario import Scenario
from hardware_sim.stepped import START_S, NothingHappens, SteppedClock, SteppedLoop
from hardware_sim.world.truth import Record

DAY_S = 86_400.0

TWO_LANES = {
    "title": "Two lanes",
    "seed": 11,
    "lanes": {
        lane: {
            "devices": {
                f"portal-{lane}": {"kind": "rapiscan_vm250", "links": [{"kind": "tcp"}]},
                f"scanner-{lane}": {"kind": "barcode_scanner", "links": [{"kind": "tcp"}]},
            },
            "traffic": {"count": 6},
        }
        for lane in ("north", "south")
    },
}


def stepped(run: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        return runner.run(run)


def clock() -> SteppedClock:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    return SteppedClock(loop)


def test_a_day_of_sleeping_takes_no_time_and_keeps_its_order() -> None:
    woke: list[tuple[str, float]] = []

    async def sleeper(name: str, every: float, times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(every)
            woke.append((name, asyncio.get_running_loop().time() - START_S))

    async def run() -> float:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sleeper("hourly", 3600.0, 24))
            tasks.create_task(sleeper("odd", 5000.0, 17))
        return clock().monotonic()

    began = time.monotonic()
    assert stepped(run()) == pytest.approx(START_S + DAY_S)
    assert time.monotonic() - began < 20
    assert [at for _, at in woke] == sorted(at for _, at in woke)
    assert [at for name, at in woke if name == "hourly"] == pytest.approx([3600.0 * n for n in range(1, 25)])


def test_wall_time_goes_with_the_loops() -> None:
    async def run() -> tuple[float, float]:
        before = clock().now()
        await asyncio.sleep(DAY_S)
        after = clock().now()
        return (after.utc - before.utc).total_seconds(), after.monotonic - before.monotonic

    assert stepped(run()) == pytest.approx((DAY_S, DAY_S))


def test_time_stands_still_while_threads_work() -> None:
    """A timer that is due in a minute must not go off because a thread takes a few real milliseconds."""
    proceed = threading.Event()

    async def run() -> list[str]:
        said: list[str] = []
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)

        async def timer() -> None:
            await asyncio.sleep(60)
            said.append("a minute later")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(timer())
            threading.Timer(0.05, proceed.set).start()
            await asyncio.to_thread(proceed.wait)
            said.append(f"pool {loop.time() - START_S:.3f}")
            done = asyncio.Event()
            with loop.working():
                threading.Timer(0.05, lambda: loop.call_soon_threadsafe(done.set)).start()
                await done.wait()
            said.append(f"thread {loop.time() - START_S:.3f}")
        return said

    assert stepped(run()) == ["pool 0.000", "thread 0.000", "a minute later"]


def test_waiting_for_nobody_is_a_clear_error() -> None:
    async def run() -> None:
        await asyncio.Event().wait()

    with pytest.raises(NothingHappens, match=r"everybody waits, and no timer is set.*working\(\)"):
        stepped(run())


def test_sockets_are_served_before_time_passes() -> None:
    async def run() -> tuple[bytes, float]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline()).upper())
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server, asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            got = await reader.readline()
            writer.close()
        return got, asyncio.get_running_loop().time()

    got, at = stepped(run())
    assert got == b"HELLO\n"
    assert at - START_S < 5


def test_two_lanes_in_memory_say_what_their_players_say(tmp_path: Path) -> None:
    """The port as a program reads it, stepped, against the same lanes played without links."""
    scenario = Scenario.model_validate(TWO_LANES)
    heard: dict[str, bytes] = {}
    records: list[Record] = []

    async def read(link: MemoryLink) -> None:
        async with link.attach() as end:
            try:
                while True:
                    chunk = await end.receive(timeout=None)
                    assert chunk is not None
                    data, at = chunk
                    assert at == clock().monotonic()
                    heard[link.url] = heard.get(link.url, b"") + data
            except LinkDown:
                return

    async def run() -> float:
        sim = PortSim(scenario, 11, tmp_path, clock(), in_memory=True)
        sim.subscribe(records.append)
        await sim.open()
        async with asyncio.TaskGroup() as tasks:
            for link in sim.memory_links.values():
                tasks.create_task(read(link))
            await asyncio.sleep(0)
            await sim.run()
            await sim.close()
        return clock().monotonic()

    assert stepped(run()) > START_S + 60
    expected: dict[str, bytes] = {}
    for player in build_players(scenario, 11, started=START_S).values():
        player.lane.open(START_S)
        while (due := player.next_due()) is not None and not player.finished:
            for what in player.step(due):
                if isinstance(what, Said):
                    url = f"/memory/{what.device}"
                    expected[url] = expected.get(url, b"") + what.data
    setup = b"SG1,"
    assert set(heard) == set(expected)
    for url, data in heard.items():
        said = data[data.index(b"NB,") :] if data.startswith(setup) else data
        assert said == expected[url]
    assert sorted((r["lane"], r["index"]) for r in records) == [
        (lane, n) for lane in ("north", "south") for n in range(1, 7)
    ]
    assert len({r["plate"] for r in records}) == 12  # each lane has trucks of its own
    assert len((tmp_path / "truth.jsonl").read_text().splitlines()) == 12


def test_the_documents_example_runs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text()
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "SteppedLoop" in block]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(example)], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert done.stderr == ""
    assert done.stdout.count("'id': '1-000") == 3
