"""What every source of the catalogue must do, whatever its protocol, with a real peer on loopback."""

import asyncio
import math
import os
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from edge_agent.devices.catalogue import SOURCES
from edge_agent.domain.errors import LinkDown, StoreFailed
from edge_agent.domain.observation import DeviceState, DeviceStatus, Reading
from tests.contracts import source_aspect_modbus, source_imaging, source_llrp, source_modem_lines
from tests.contracts.source_cases import STILL_S, Peer, Run, SourceCase, never, running, until

# Every source's cases, one module each: tests/contracts/source_<name>.py
CASES: tuple[SourceCase, ...] = (
    *source_aspect_modbus.CASES,
    *source_imaging.CASES,
    *source_llrp.CASES,
    *source_modem_lines.CASES,
)

every_case = pytest.mark.parametrize("case", CASES, ids=str)


def good(case: SourceCase, run: Run) -> list[Reading]:
    return [reading for reading in run.readings if case.good(reading)]


async def connected(run: Run) -> None:
    await until(lambda: run.up or run.over, "says that it is connected")
    assert not run.over, repr(run.ended)


async def heard(case: SourceCase, peer: Peer, run: Run) -> bytes:
    """The good message is said and read; returns what of it must be kept."""
    payload = await peer.say()
    await until(lambda: good(case, run) or run.over, f"the good message among {run.readings}")
    assert good(case, run), repr(run.ended)
    return payload


def test_every_source_is_under_contract() -> None:
    assert {case.source for case in CASES} == set(SOURCES)
    assert all(name == row.name for name, row in SOURCES.items())
    for row in SOURCES.values():
        assert row.settings.model_config.get("extra") == "forbid", f"{row.name} would overlook a misspelt setting"
        assert row.settings.model_config.get("frozen"), f"{row.name}'s settings could change while it runs"


@every_case
async def test_a_good_message_is_read_and_its_payload_kept(case: SourceCase, tmp_path: Path) -> None:
    async with case.peer(tmp_path) as peer, running(case, peer) as run:
        await connected(run)
        payload = await heard(case, peer, run)
        assert payload
        kept = [reading.raw for reading in good(case, run)]
        kept += [evidence.data for reading in good(case, run) for evidence in reading.evidence]
        assert any(payload in data for data in kept), "the device's bytes are not kept with the reading"
        assert all(math.isfinite(reading.at) for reading in run.readings)
        assert isinstance(run.readings[0].body, DeviceStatus), "what comes over a connection is told after it"
        states = [r.body.state for r in run.readings if isinstance(r.body, DeviceStatus)]
        assert states == [DeviceState.WAITING], "online, offline and failed are told by attend"


@every_case
async def test_rubbish_is_malformed_or_ends_the_link_and_what_follows_is_read(case: SourceCase, tmp_path: Path) -> None:
    async with case.peer(tmp_path) as peer:
        for rubbish in case.rubbish:
            async with running(case, peer) as run:
                await connected(run)
                await _garbled(case, peer, run, rubbish)
        async with running(case, peer) as run:
            await connected(run)
            await heard(case, peer, run)


async def _garbled(case: SourceCase, peer: Peer, run: Run, rubbish: bytes) -> None:
    await peer.garble(rubbish)
    if case.listens:
        await heard(case, peer, run)
        return
    await until(lambda: run.malformed or run.over, f"what becomes of {rubbish[:8]!r}", case.notices_s)
    if not run.over:
        await peer.say()
        await until(lambda: good(case, run) or run.over, f"a good message after {rubbish[:8]!r}")
    assert run.ended is None or isinstance(run.ended, LinkDown), repr(run.ended)


@pytest.mark.parametrize("case", [case for case in CASES if not case.listens], ids=str)
async def test_a_peer_that_is_gone_is_noticed_and_read_again_when_it_is_back(case: SourceCase, tmp_path: Path) -> None:
    async with case.peer(tmp_path) as peer:
        async with running(case, peer) as run:
            await connected(run)
            await peer.vanish()
            await until(lambda: run.over, "the loss is noticed", case.notices_s)
            assert isinstance(run.ended, LinkDown), repr(run.ended)
            assert run.ended.remedy, "it does not say what to do"
        async with running(case, peer) as run:
            await until(lambda: run.over, "nothing is there", case.notices_s)
            assert isinstance(run.ended, LinkDown), repr(run.ended)
            assert not run.up, "it said that it was connected to nothing"
        await peer.come_back()
        async with running(case, peer) as run:
            await connected(run)
            await heard(case, peer, run)


@every_case
@pytest.mark.parametrize("spoken", [False, True], ids=["before a message", "after a message"])
async def test_cancelled_it_lets_go_of_everything(case: SourceCase, tmp_path: Path, spoken: bool) -> None:
    async with case.peer(tmp_path) as peer:
        async with running(case, peer) as run:  # what a library makes once and keeps is made here
            await connected(run)
        before = await settled()
        for _ in range(2):
            async with running(case, peer) as run:
                await connected(run)
                if spoken:
                    await heard(case, peer, run)
                assert not run.over, repr(run.ended)
            # A peer needs a moment to see that its client is gone.
            await until(lambda: not asyncio.all_tasks() - before[0], "no task is left")
            await until(lambda: not _threads() - before[1], "no thread is left")
            await until(lambda: not _open() - before[2], "no file and no socket is left open")


@every_case
async def test_it_can_be_cancelled_while_it_emits(case: SourceCase, tmp_path: Path) -> None:
    async def held(reading: Reading) -> None:
        if case.good(reading):
            await asyncio.Event().wait()

    async with case.peer(tmp_path) as peer, asyncio.TaskGroup() as group:
        async with running(case, peer, held) as run:
            await connected(run)
            said = group.create_task(_said(peer), name="peer says")
            await until(lambda: good(case, run) or run.over, "emits the message")
            assert not run.over, repr(run.ended)
        said.cancel()
        assert not peer.acknowledged, "it was acknowledged, and is not in the ledger"


@pytest.mark.parametrize("case", [case for case in CASES if case.acknowledges], ids=str)
async def test_nothing_is_acknowledged_before_it_is_in_the_ledger(case: SourceCase, tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def held(reading: Reading) -> None:
        if case.good(reading):
            await gate.wait()

    async with case.peer(tmp_path) as peer, running(case, peer, held) as run, asyncio.TaskGroup() as group:
        await connected(run)
        group.create_task(_said(peer), name="peer says")
        await until(lambda: good(case, run) or run.over, "emits the message")
        await never(lambda: peer.acknowledged, "it was acknowledged before `emit` returned")
        gate.set()
        await until(lambda: peer.acknowledged == 1, "it is acknowledged once it is in the ledger")


@every_case
async def test_a_ledger_that_refuses_is_told_upwards_and_nothing_is_acknowledged(
    case: SourceCase, tmp_path: Path
) -> None:
    async def refusing(reading: Reading) -> None:
        if case.good(reading):
            raise StoreFailed("the disk said no")

    async with case.peer(tmp_path) as peer, asyncio.TaskGroup() as group:
        async with running(case, peer, refusing) as run:
            # A device that shows its state as soon as it is connected meets the refusal then.
            await until(lambda: run.up or run.over, "says that it is connected")
            said = group.create_task(_said(peer), name="peer says")
            await until(lambda: run.over, "ends with the ledger's error")
            assert isinstance(run.ended, StoreFailed), repr(run.ended)
        said.cancel()
        assert not peer.acknowledged, "it was acknowledged, and is not in the ledger"


async def _said(peer: Peer) -> None:
    with suppress(asyncio.CancelledError):
        await peer.say()


async def settled() -> tuple[set[asyncio.Task[object]], set[threading.Thread], Counter[str]]:
    """The tasks, threads and files that are there once nothing ends any more."""
    while True:
        before = asyncio.all_tasks(), _threads(), _open()
        await asyncio.sleep(STILL_S)
        if before == (asyncio.all_tasks(), _threads(), _open()):
            return before


def _threads() -> set[threading.Thread]:
    """The loop's own pool stays, by its nature."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


def _open() -> Counter[str]:
    """How many of each kind (socket, pipe, a file by its path) this process holds open."""
    held: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            held[os.readlink(f"/proc/self/fd/{number}").split(":")[0]] += 1
    return held
