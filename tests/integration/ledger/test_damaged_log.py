"""A log damaged in its first frame, with accepted events behind: no open that fails takes them away."""

import asyncio
import errno
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from edge_agent.domain.errors import IdentityInvalid, StoreCorrupt, StoreFull
from edge_agent.domain.event import AlarmRaised, Draft
from edge_agent.domain.observation import RadiationKind
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.salvage import is_whole, salvage
from edge_agent.ledger.store import DATABASE, Store
from tests.integration.ledger.conftest import AT, Booth, alarm
from tests.integration.ledger.failing_disk import FailingDisk

BEHIND = 31


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    disk = FailingDisk("failing-disk")
    yield disk
    disk.unregister()


@pytest.fixture
def killed(booth: Booth, tmp_path: Path) -> Booth:
    """As a kill leaves it, and then one bit of the log's first frame is another."""

    async def write() -> None:
        async with booth.open() as ledger:
            await ledger.recorder.record(alarm(0))
        async with booth.open() as ledger:
            for n in range(BEHIND - 1):
                body = AlarmRaised("", "lane-1", "portal", RadiationKind.GAMMA, (n,), bytes(6_000))  # pages of its own
                await ledger.recorder.record(Draft(body, AT))
            shutil.copytree(booth.directory, tmp_path / "killed")

    asyncio.run(write())
    shutil.rmtree(booth.directory)
    (tmp_path / "killed").rename(booth.directory)
    _flip(_log(booth), 32 + 24 + 100)
    return booth


def _log(booth: Booth) -> Path:
    return booth.directory / f"{DATABASE}-wal"


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def _open(booth: Booth, vfs: str | None = None) -> int:
    """The head's sequence."""
    store = Store.open(booth.directory, booth.booth_id, vfs, device_keys=booth.device_keys)
    try:
        return store.head().seq
    finally:
        store.close()


def _all_are_there(booth: Booth) -> None:
    assert _open(booth) == 2 + BEHIND
    assert not _log(booth).exists()  # emptied as ever when it is closed
    assert verify_ledger(booth.directory, booth.device_keys).seq == 2 + BEHIND


@pytest.mark.parametrize("write", [1, 20, 60])
def test_no_room_to_take_them_up(killed: Booth, disk: FailingDisk, write: int) -> None:
    disk.fail_at("full", write)
    for _ in range(2):
        if disk.failed:
            disk.full = True
        with pytest.raises(StoreFull):
            _open(killed, disk.name)
    disk.full = False
    assert len(list((killed.directory / "damaged").iterdir())) <= 2
    _all_are_there(killed)


def test_no_room_to_keep_the_log_aside(killed: Booth, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def full(descriptor: int) -> None:
        if "damaged/" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for _ in range(2):
            with pytest.raises(StoreFull):
                _open(killed)
    assert list((killed.directory / "damaged").iterdir()) == []
    _all_are_there(killed)


def test_the_wrong_booth_in_the_settings(killed: Booth) -> None:
    with pytest.raises(IdentityInvalid):
        Store.open(killed.directory, "spiffe://uslrd/booth/lane-9", device_keys=killed.device_keys)
    _all_are_there(killed)


def test_a_database_that_is_damaged_too_is_salvaged(killed: Booth) -> None:
    with (killed.directory / DATABASE).open("r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))
    with pytest.raises(StoreCorrupt):
        _open(killed)
    assert not is_whole(killed.directory, killed.booth_id, killed.device_keys)
    done = salvage(killed.directory, killed.booth_id, killed.device_keys)
    assert done.replaced.found >= BEHIND


def test_a_log_that_the_disk_cannot_read(killed: Booth) -> None:
    log = _log(killed)
    log.unlink()
    log.symlink_to("/proc/self/mem")  # a read at its beginning is an EIO of the kernel's own
    assert not is_whole(killed.directory, killed.booth_id, killed.device_keys)
    assert salvage(killed.directory, killed.booth_id, killed.device_keys).replaced.found == 2


def test_pages_that_the_disk_cannot_read(killed: Booth, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pread

    def pread(descriptor: int, size: int, at: int) -> bytes:
        if 40_960 <= at < 81_920:
            raise OSError(errno.EIO, "Input/output error")
        return real(descriptor, size, at)

    monkeypatch.setattr(os, "pread", pread)
    monkeypatch.setattr(Store, "open", partial(Store.open, vfs=disk.name))
    disk.fail_at("read", 4)
    assert not is_whole(killed.directory, killed.booth_id, killed.device_keys)
    assert disk.failed
    done = salvage(killed.directory, killed.booth_id, killed.device_keys)
    assert 20 <= done.replaced.found < 2 + BEHIND


def test_a_damaged_folder_that_was_removed_is_not_in_the_way(killed: Booth) -> None:
    for number in (2, 7):
        (killed.directory / "damaged" / f"{number:04}").mkdir(parents=True)
    _all_are_there(killed)
    assert (killed.directory / "damaged" / "0008").is_dir()
