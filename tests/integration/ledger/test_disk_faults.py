"""A disk that is full, fails or is read-only, under a ledger that is being written."""

import asyncio
import gc
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge_agent.agent import Told
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import StoreFailed, StoreFull
from edge_agent.ledger import database, store
from edge_agent.ledger.batch import Recorded
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.recorder import open_ledger
from edge_agent.ledger.signer import open_signer
from edge_agent.ledger.store import DATABASE
from edge_agent.wire.chain import Head
from tests.integration.ledger.conftest import Booth, alarm, largest_file, picture
from tests.integration.ledger.failing_disk import FailingDisk


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    disk = FailingDisk("failing-disk")
    yield disk
    disk.unregister()


def _tap_connections(monkeypatch: pytest.MonkeyPatch) -> list[apsw.Connection]:
    """The writer's own connections, as they are opened."""
    connections: list[apsw.Connection] = []
    real = database.opened

    def tapped(connection: apsw.Connection, path: Path, booth_id: str, begun: bool) -> Head:
        connections.append(connection)
        return real(connection, path, booth_id, begun)

    monkeypatch.setattr(store, "opened", tapped)
    return connections


async def test_each_lane_is_told_at_once_and_told_when_events_are_kept_again(
    booth: Booth, disk: FailingDisk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        told = Told(["1", "2"], str(tmp_path / "notify"))
        opening = open_ledger(
            booth.directory,
            booth.booth_id,
            open_signer(f"file:{booth.keys}/{booth.name}.key"),
            SystemClock(),
            "1.0",
            told.room,
            full_retry_s=0.02,
            vfs=disk.name,
        )
        async with opening as ledger, asyncio.TaskGroup() as group:
            disk.full = True
            waiting = group.create_task(ledger.recorder.record(alarm(1)))
            said = await asyncio.to_thread(systemd.recv, 1000)
            assert said.startswith(b"STATUS=NOTHING IS BEING RECORDED: ")
            assert b"\n" not in said
            assert not waiting.done()
            disk.full = False
            assert await asyncio.to_thread(systemd.recv, 1000) == b"STATUS=recording"
            await waiting
    for lane in ("1", "2"):
        assert caplog.text.count(f"lane {lane}: NOTHING IS BEING RECORDED") == 1
        assert caplog.text.count(f"lane {lane}: EVENTS ARE KEPT AGAIN") == 1
    told.room(False, "nobody listens any more")  # says so in the log all the same


async def test_on_a_full_disk_nothing_is_accepted_the_lane_knows_at_once_and_it_goes_on(
    booth: Booth, disk: FailingDisk
) -> None:
    async with booth.open(vfs=disk.name) as ledger:
        before = await ledger.recorder.record(alarm(1))
        disk.full = True
        asked = time.monotonic()
        waiting = [asyncio.ensure_future(ledger.recorder.record(alarm(n))) for n in range(2, 6)]
        await booth.until_no_room()
        assert time.monotonic() - asked < 1.0
        await asyncio.sleep(0.2)  # several tries
        assert not any(call.done() for call in waiting)
        assert ledger.outbox.extent()[1] == before.seq == ledger.recorder.head.seq
        disk.full = False
        assert [r.seq for r in await asyncio.gather(*waiting)] == [3, 4, 5, 6]
        assert [has_room for has_room, _ in booth.room] == [False, True]
    assert verify_ledger(booth.directory, booth.device_keys).seq == 6


async def test_callers_block_when_the_places_are_taken(booth: Booth, disk: FailingDisk) -> None:
    async with booth.open(vfs=disk.name, max_waiting=4) as ledger:
        disk.full = True
        waiting = [asyncio.ensure_future(ledger.recorder.record(alarm(n))) for n in range(20)]
        await booth.until_no_room()
        for call in waiting:  # cancelled callers leave no drafts in memory beyond the places
            call.cancel()
        again = [asyncio.ensure_future(ledger.recorder.record(alarm(n))) for n in range(20)]
        await asyncio.sleep(0.1)
        assert ledger.recorder._queue.qsize() <= 4
        disk.full = False
        await asyncio.gather(*again)
    assert 20 + 2 - 1 <= verify_ledger(booth.directory, booth.device_keys).seq <= 20 + 4 + 1


async def test_closing_on_a_full_disk_tells_those_who_wait(booth: Booth, disk: FailingDisk) -> None:
    async with booth.open(vfs=disk.name, full_retry_s=30) as ledger:
        disk.full = True
        waiting = [asyncio.ensure_future(ledger.recorder.record(alarm(n))) for n in range(3)]
        await booth.until_no_room()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(r) for r in results] == [StoreFull] * 3
    disk.full = False
    assert verify_ledger(booth.directory, booth.device_keys).seq == 1


async def test_a_start_on_a_full_disk_waits_for_room(booth: Booth, disk: FailingDisk) -> None:
    disk.full = True
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(_room_after(booth, disk))
        async with booth.open(vfs=disk.name) as ledger:
            assert ledger.recorder.head.seq == 1
    assert [has_room for has_room, _ in booth.room] == [False, True]


async def test_a_first_start_on_a_full_disk_can_be_given_up_and_leaves_nothing_in_the_way(
    booth: Booth, disk: FailingDisk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.full = True

    async def start() -> None:
        async with booth.open(vfs=disk.name, full_retry_s=30):
            pass

    starting = asyncio.ensure_future(start())
    await booth.until_no_room()
    starting.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([starting])
    assert starting.cancelled()
    gc.collect()
    assert not caplog.records, "no traceback of what nobody asked for"
    disk.full = False
    async with booth.open(vfs=disk.name) as ledger:
        assert ledger.recorder.head.seq == 1


async def _room_after(booth: Booth, disk: FailingDisk) -> None:
    await booth.until_no_room()
    disk.full = False


async def test_a_database_at_its_limit_is_a_full_disk(booth: Booth, monkeypatch: pytest.MonkeyPatch) -> None:
    tapped = _tap_connections(monkeypatch)
    async with booth.open() as ledger:
        pages: Any = tapped[0].execute("PRAGMA page_count").fetchall()[0][0]
        tapped[0].execute(f"PRAGMA max_page_count = {pages + 20}").fetchall()
        recorded: list[Recorded] = []

        async def fill() -> None:
            while True:
                recorded.append(await ledger.recorder.record(alarm(1)))

        filling = asyncio.ensure_future(fill())
        await booth.until_no_room()
        filling.cancel()
        assert ledger.outbox.extent()[1] == recorded[-1].seq
        tapped[0].execute("PRAGMA max_page_count = 100000").fetchall()
        last = await ledger.recorder.record(alarm(2))
        assert last.seq == recorded[-1].seq + 2  # the one that was cancelled is accepted when there was room
    assert verify_ledger(booth.directory, booth.device_keys).seq == last.seq


async def test_evidence_without_room_waits_and_leaves_nothing_half_written(booth: Booth) -> None:
    async with booth.open() as ledger:
        evidence = picture(2_000_000)
        with largest_file(1_000_000):
            call = asyncio.ensure_future(ledger.recorder.record(alarm(1, evidence)))
            await booth.until_no_room()
            assert list((booth.directory / "evidence" / "unfinished").iterdir()) == []
            assert ledger.outbox.extent()[1] == 1
        assert (await call).seq == 2
        assert ledger.outbox.read_blob(evidence.sha256) == evidence.data


@pytest.mark.parametrize("where", ["-wal", DATABASE])
async def test_a_sync_that_fails_is_fatal(
    booth: Booth, disk: FailingDisk, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CHECKPOINT_PAGES", 20)
    accepted: list[Recorded] = []
    async with booth.open(vfs=disk.name) as ledger:
        watching = asyncio.ensure_future(ledger.recorder.watch())
        accepted.append(await ledger.recorder.record(alarm(1)))
        disk.broken_sync = lambda name: name.endswith(where)

        async def record_on() -> None:
            for n in range(10_000):
                accepted.append(await ledger.recorder.record(alarm(n)))

        with pytest.raises(StoreFailed, match="the disk failed"):
            await record_on()
        with pytest.raises(StoreFailed):
            await watching
        disk.broken_sync = lambda _: False
        for _ in range(3):  # the disk seems to work again; nobody may believe it before a restart
            with pytest.raises(StoreFailed):
                await ledger.recorder.record(alarm(2))
    verify_ledger(booth.directory, booth.device_keys)
    async with booth.open() as ledger:
        for event in accepted:
            assert ledger.outbox.sha256_at(event.seq) == event.sha256


async def test_the_log_is_emptied_by_us_since_sqlite_alone_would_ignore_a_failed_sync(
    booth: Booth, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CHECKPOINT_PAGES", 20)
    tapped = _tap_connections(monkeypatch)
    async with booth.open(vfs=disk.name) as ledger:
        for n in range(200):
            await ledger.recorder.record(alarm(n))
        assert tapped[0].execute("PRAGMA wal_autocheckpoint").fetchall() == [(0,)]
        log = booth.directory / (DATABASE + "-wal")
        assert log.stat().st_size < 60 * 4200, "about 6 pages an event: without checkpoints far more"


async def test_every_waiter_learns_of_a_fatal_fault(booth: Booth, disk: FailingDisk) -> None:
    async with booth.open(vfs=disk.name, max_waiting=8) as ledger:
        disk.broken_sync = lambda _: True
        results = await asyncio.gather(*(ledger.recorder.record(alarm(n)) for n in range(50)), return_exceptions=True)
        assert [type(r) for r in results] == [StoreFailed] * 50


async def test_every_commit_is_synced(booth: Booth, disk: FailingDisk) -> None:
    async with booth.open(vfs=disk.name) as ledger:
        before = disk.syncs
        for n in range(10):
            await ledger.recorder.record(alarm(n))
        assert disk.syncs - before >= 10


async def test_a_disk_that_became_read_only_is_fatal_and_says_so(booth: Booth, disk: FailingDisk) -> None:
    async with booth.open(vfs=disk.name) as ledger:
        disk.read_only = True
        with pytest.raises(StoreFailed, match="cannot be written") as error:
            await ledger.recorder.record(alarm(1))
        assert "writable" in error.value.remedy
        disk.read_only = False


async def test_a_directory_that_cannot_be_made_is_a_clear_error(booth: Booth) -> None:
    booth.directory.write_text("a file where the directory should be")
    with pytest.raises(StoreFailed, match=r"cannot be written|disk failed"):
        async with booth.open():
            pass
