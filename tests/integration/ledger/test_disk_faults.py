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
from edge_agent.domain.errors import StoreCorrupt, StoreFailed, StoreFull
from edge_agent.ledger import database, store
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.recorder import Recorded, open_ledger
from edge_agent.ledger.signer import open_signer
from edge_agent.ledger.store import DATABASE
from edge_agent.wire.chain import Head
from edge_agent.wire.refused import Refused
from tests.integration.ledger.conftest import Booth, alarm, largest_file, opened, picture
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


async def _filled(booth: Booth, events: int) -> None:
    async with booth.open() as ledger:
        await asyncio.gather(*(ledger.recorder.record(alarm(n)) for n in range(events)))


def _execute(booth: Booth, *statements: str) -> None:
    database = apsw.Connection(str(booth.directory / DATABASE))
    for statement in statements:
        database.execute(statement)
    database.close()


def _flip(booth: Booth, find: bytes) -> None:
    path = booth.directory / DATABASE
    data = bytearray(path.read_bytes())
    at = data.find(find)
    assert at > 0
    data[at + 3] ^= 0x20
    path.write_bytes(data)


async def test_one_changed_byte_within_an_event_is_found_and_named(booth: Booth) -> None:
    await _filled(booth, 50)
    _flip(booth, b"GA,000020")
    with pytest.raises(Refused) as refused:
        verify_ledger(booth.directory, booth.device_keys)
    assert refused.value.seq == 22
    assert refused.value.code.name == "BAD_SIGNATURE"


async def test_a_changed_last_event_is_found_at_the_start(booth: Booth) -> None:
    await _filled(booth, 50)
    _flip(booth, b"GA,000049")
    with pytest.raises(StoreCorrupt, match="last event, sequence 51") as error:
        async with booth.open():
            pass
    assert "copy the whole directory away" in error.value.remedy


async def test_a_changed_page_is_found_at_the_start(booth: Booth) -> None:
    await _filled(booth, 200)
    path = booth.directory / DATABASE
    data = bytearray(path.read_bytes())
    data[4096 * 10 : 4096 * 10 + 64] = bytes(range(64))
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt):
        async with booth.open():
            pass


async def test_a_missing_event_is_found_at_the_start(booth: Booth) -> None:
    await _filled(booth, 50)
    _execute(booth, "DELETE FROM event WHERE seq = 20")
    with pytest.raises(StoreCorrupt, match="holds 50 events between sequence 1 and 51"):
        async with booth.open():
            pass
    with pytest.raises(Refused, match="GAP at sequence 21"):
        verify_ledger(booth.directory, booth.device_keys)


async def test_an_event_put_in_place_of_another_breaks_the_chain(booth: Booth) -> None:
    await _filled(booth, 50)
    _execute(
        booth,
        "UPDATE event SET (envelope, sha256) = (SELECT envelope, sha256 FROM event WHERE seq = 19) WHERE seq = 20",
    )
    with pytest.raises(Refused, match="REPLAYED at sequence 20"):
        verify_ledger(booth.directory, booth.device_keys)


@pytest.mark.parametrize(
    "left", [b"", None, b"this is no database at all, and long enough to be read as a header" * 20]
)
async def test_a_database_that_is_gone_is_never_begun_anew(booth: Booth, left: bytes | None) -> None:
    await _filled(booth, 5)
    path = booth.directory / DATABASE
    path.unlink()
    if left is not None:
        path.write_bytes(left)
    with pytest.raises(StoreCorrupt) as error:
        async with booth.open():
            pass
    assert "do not delete it" in error.value.remedy
    assert not path.exists() or path.read_bytes() == left


async def test_a_database_of_another_life_is_refused(booth: Booth) -> None:
    await _filled(booth, 5)
    (booth.directory / "epoch").write_text("00" * 16 + "\n")
    with pytest.raises(StoreCorrupt, match="the rest of 0000"):
        async with booth.open():
            pass


async def test_a_database_of_another_program_is_refused(booth: Booth) -> None:
    booth.directory.mkdir()
    _execute(booth, "CREATE TABLE theirs (x)")
    with pytest.raises(StoreCorrupt, match="another program"):
        async with booth.open():
            pass


async def test_a_newer_schema_is_refused(booth: Booth) -> None:
    await _filled(booth, 5)
    _execute(booth, "PRAGMA user_version = 99")
    with pytest.raises(StoreFailed, match="newer edge-agent"):
        async with booth.open():
            pass


async def test_a_database_that_no_longer_says_whose_it_is(booth: Booth) -> None:
    await _filled(booth, 5)
    _execute(booth, "DELETE FROM meta WHERE key = 'epoch'")
    with pytest.raises(StoreCorrupt, match="whose ledger"):
        async with booth.open():
            pass
    with pytest.raises(StoreCorrupt, match="whose ledger"):
        verify_ledger(booth.directory, booth.device_keys)


async def test_a_last_event_that_does_not_follow_is_found_at_the_start(booth: Booth) -> None:
    await _filled(booth, 5)
    _execute(
        booth, "UPDATE event SET (envelope, sha256) = (SELECT envelope, sha256 FROM event WHERE seq = 5) WHERE seq = 6"
    )
    with pytest.raises(StoreCorrupt, match="does not follow"):
        async with booth.open():
            pass


async def test_a_hash_that_is_not_its_events_is_found(booth: Booth) -> None:
    await _filled(booth, 5)
    _execute(booth, "UPDATE event SET sha256 = zeroblob(32) WHERE seq = 3")
    with pytest.raises(Refused, match="BROKEN_CHAIN at sequence 3"):
        verify_ledger(booth.directory, booth.device_keys)


async def test_the_ledger_of_a_booth_whose_key_is_unknown_does_not_verify(booth: Booth) -> None:
    await _filled(booth, 5)
    with pytest.raises(Refused, match="UNKNOWN_KEY at sequence 1"):
        verify_ledger(booth.directory, {})


async def test_an_unreadable_event_of_an_open_inspection_is_a_corrupt_store(booth: Booth) -> None:
    async with booth.open() as ledger:
        await ledger.recorder.record(opened("a"))
        await ledger.recorder.record(alarm(1))
    _execute(booth, "UPDATE event SET envelope = zeroblob(90) WHERE seq = 2")
    with pytest.raises(StoreCorrupt, match="sequence 2 is not what was written"):
        async with booth.open():
            pass
