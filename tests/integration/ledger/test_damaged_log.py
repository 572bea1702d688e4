"""A log damaged in its first frame, with accepted events behind: no open that fails takes them away."""

import asyncio
import errno
import os
import random
import shutil
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import apsw
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from edge_agent.domain.errors import IdentityInvalid, StoreCorrupt, StoreFull
from edge_agent.domain.event import AlarmRaised, Draft
from edge_agent.domain.observation import RadiationKind
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.handover import handed_over, handover
from edge_agent.ledger.identity import BoothIdentity
from edge_agent.ledger.leftover import KEPT_LOGS, keep_aside, next_place, places
from edge_agent.ledger.salvage import is_whole, salvage
from edge_agent.ledger.scan import find_in_log
from edge_agent.ledger.store import DATABASE, Store
from edge_agent.ledger.wal import FRAME, FRAME_HEADER, HEADER, surely_durable
from edge_agent.wire.checkpoint import Checkpoint, origin_of, sign_checkpoint
from edge_agent.wire.envelope import write_envelope
from edge_agent.wire.identity import SpiffeId
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from tests.integration.ledger.conftest import AT, Booth, alarm, until
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


@pytest.fixture
def origin(booth: Booth, tmp_path: Path) -> Booth:
    """As a kill leaves it, undamaged: events of some pages each, then commits without an event, then a batch."""

    async def write() -> None:
        async with booth.open() as ledger:
            for n in range(1, 11):
                await ledger.recorder.record(_long(n))
            shutil.copytree(booth.directory, tmp_path / "events")
            ledger.outbox.acked(3)
            await until(lambda: ledger.outbox.acked_through() == 3)
            ledger.outbox.acked(4)
            await until(lambda: ledger.outbox.acked_through() == 4)
            shutil.copytree(booth.directory, tmp_path / "marks")
            await asyncio.gather(*(ledger.recorder.record(_long(n)) for n in range(11, 16)))
            shutil.copytree(booth.directory, tmp_path / "batch")

    asyncio.run(write())
    return booth


def _long(n: int) -> Draft:
    return Draft(AlarmRaised("", "lane-1", "portal", RadiationKind.GAMMA, (n,), bytes([n]) * 4_096), AT)


def _left(origin: Booth, tmp_path: Path, moment: str, damaged: int) -> Booth:
    """With one bit of a page of event `damaged` + 1 changed in the log: no other page holds that part of it."""
    shutil.rmtree(origin.directory)
    (tmp_path / moment).rename(origin.directory)
    data = _log(origin).read_bytes()
    assert data.count(bytes([damaged]) * 3_000) == 1
    _flip(_log(origin), data.index(bytes([damaged]) * 3_000) + 1_500)
    return origin


@pytest.mark.parametrize(("moment", "damaged"), [("events", 4), ("marks", 10), ("batch", 10)])
def test_an_accepted_event_that_is_lost_in_the_middle_of_the_log_is_never_passed_over(
    origin: Booth, tmp_path: Path, moment: str, damaged: int
) -> None:
    booth = _left(origin, tmp_path, moment, damaged)
    before = _log(booth).read_bytes()
    for _ in range(2):
        with pytest.raises(StoreCorrupt, match=f"the chain can be followed through {damaged} only"):
            _open(booth)
        assert _log(booth).read_bytes() == before
        assert not (booth.directory / "damaged").exists()
    assert not is_whole(booth.directory, booth.booth_id, booth.device_keys)
    last = 11 if moment != "batch" else 16
    done = salvage(booth.directory, booth.booth_id, booth.device_keys)
    assert done.replaced.found == last - 1
    assert done.replaced.missing == ((damaged + 1, damaged + 1),)
    assert is_whole(booth.directory, booth.booth_id, booth.device_keys)


@pytest.mark.parametrize(("moment", "damaged", "head"), [("events", 10, 10), ("batch", 12, 12)])
def test_the_last_transaction_may_be_torn_by_a_power_cut(
    origin: Booth, tmp_path: Path, moment: str, damaged: int, head: int
) -> None:
    """Nothing says that it was durable: nobody was told that its events were accepted."""
    booth = _left(origin, tmp_path, moment, damaged)
    assert _open(booth) == head
    assert verify_ledger(booth.directory, booth.device_keys).seq == head


@pytest.mark.parametrize("header", [False, True], ids=["commits", "commits and header"])
def test_damaged_marks_of_commits_hide_no_loss(origin: Booth, tmp_path: Path, header: bool) -> None:
    booth = _left(origin, tmp_path, "events", 4)
    data = _log(booth).read_bytes()
    commits = [at for at in range(32, len(data), FRAME) if data[at + 4 : at + 8] != bytes(4)]
    for commit in commits:
        _flip(_log(booth), commit + 8)  # the salt of every transaction's last frame: SQLite takes none
    if header:
        _flip(_log(booth), 17)
    with pytest.raises(StoreCorrupt):
        _open(booth)
    damaged = _log(booth).read_bytes()
    assert surely_durable(damaged) == damaged[: commits[-2] + FRAME]
    assert surely_durable(damaged[: commits[0] + FRAME]) == surely_durable(damaged[:99]) == b""


async def test_what_a_device_sent_does_not_pass_for_what_was_accepted(booth: Booth, tmp_path: Path) -> None:
    """It may hold any bytes: those of a checkpoint, or of an event of this very chain."""
    async with booth.open() as ledger:
        head = ledger.recorder.head
        origin = origin_of(head.booth_id, head.epoch)
        key = ed25519.Ed25519PrivateKey.generate()
        note = sign_checkpoint(Checkpoint(origin, 999, bytes(32)), origin, key.public_key(), key.sign)
        event = wire.Event(booth_id=head.booth_id, epoch=head.epoch, seq=999, id="x", previous_sha256=bytes(32))
        forged = write_envelope(event.SerializeToString(), bytes(64), "0" * 64)
        for raw in (note, forged, b"behind"):
            await ledger.recorder.record(Draft(AlarmRaised("", "lane-1", "portal", RadiationKind.GAMMA, (1,), raw), AT))
        shutil.copytree(booth.directory, tmp_path / "killed")
    shutil.rmtree(booth.directory)
    (tmp_path / "killed").rename(booth.directory)
    assert forged in _log(booth).read_bytes()
    assert _open(booth) == 4
    assert not (booth.directory / "damaged").exists()


@pytest.mark.parametrize("last", [True, False], ids=["in the last transaction", "one more behind it"])
async def test_a_handover_is_taken_up_whose_session_was_opened_before_this_log(
    booth: Booth, tmp_path: Path, last: bool
) -> None:
    identity = BoothIdentity("lane-1.key", Path("lane-1.crt"), booth.keys)
    new = identity.prepare(SpiffeId.parse(booth.booth_id), datetime(2026, 3, 2, tzinfo=UTC))
    (old,) = booth.device_keys
    async with booth.open() as ledger:
        await ledger.recorder.record(alarm(0))
        with closing(apsw.Connection(str(booth.directory / DATABASE))) as other:
            other.execute("PRAGMA wal_checkpoint(RESTART)")
        await ledger.recorder.record(_long(1))
        await ledger.recorder.record(Draft(handover(booth.booth_id, ledger.outbox.epoch, old, new), AT))
        if not last:
            ledger.outbox.acked(1)
            await until(lambda: ledger.outbox.acked_through() == 1)
        shutil.copytree(booth.directory, tmp_path / "killed")
    shutil.rmtree(booth.directory)
    (tmp_path / "killed").rename(booth.directory)
    _flip(_log(booth), HEADER + FRAME_HEADER + 100)
    assert handed_over(booth.directory / DATABASE) is None
    assert _open(booth) == 4
    handed = handed_over(booth.directory / DATABASE)
    assert handed is not None
    assert (handed.key, set(handed.retired)) == (new.key.key_id, {old})
    assert verify_ledger(booth.directory, identity.device_keys()).seq == 4


def test_so_many_logs_stay_aside_and_every_database(booth: Booth) -> None:
    booth.directory.mkdir()
    whole = next_place(booth.directory)
    (whole / DATABASE).write_bytes(b"x")
    for n in range(KEPT_LOGS + 3):
        keep_aside(booth.directory, bytes([n]))
    assert keep_aside(booth.directory, bytes([5])).name == "0007"  # the same once however often
    names = [place.name for place in places(booth.directory)]
    assert names == ["0001", *(f"{n:04}" for n in range(5, KEPT_LOGS + 5))]


def test_a_long_log_is_looked_through_in_the_time_that_its_length_takes() -> None:
    """Each of its pages holds the beginning of a record that goes on in a page that is not there."""
    page = bytearray(4096)
    page[100:110] = b"\x08\x00\x55\x0d\x0d\x4c\xca\x00\x00\x00"
    frames = b"".join(struct.pack(">IIQQ", n + 2, 1, 0, 0) + page for n in range(8_000))
    began = time.process_time()
    assert list(find_in_log(bytes(32) + frames)) == []
    assert time.process_time() - began < 1.5


async def test_two_power_cuts_in_one_log_are_no_damage(booth: Booth, tmp_path: Path) -> None:
    """What the first left behind its torn end lies in the log, under the same salt, when the second comes."""
    async with booth.open() as ledger:
        await ledger.recorder.record(alarm(0))
        accepted = _log(booth).stat().st_size
        await asyncio.gather(*(ledger.recorder.record(_long(n)) for n in range(1, 9)))
        shutil.copytree(booth.directory, tmp_path / "first")
    data = bytearray((tmp_path / "first" / _log(booth).name).read_bytes())
    half = accepted + (len(data) - accepted) // 2 // FRAME * FRAME
    for at in range(accepted, half, FRAME):
        data[at + FRAME_HEADER : at + FRAME] = bytes(FRAME - FRAME_HEADER)  # none of these events is whole
    shutil.rmtree(booth.directory)
    shutil.copytree(tmp_path / "first", booth.directory)
    _log(booth).write_bytes(data)
    async with booth.open() as ledger:
        head, end = ledger.recorder.head.seq, _end_of_last_commit(_log(booth))
        await asyncio.gather(*(ledger.recorder.record(alarm(n)) for n in range(2)))
        shutil.copytree(booth.directory, tmp_path / "second")
    assert _end_of_last_commit(tmp_path / "second" / _log(booth).name) < half
    for case in range(12):
        shutil.rmtree(booth.directory)
        shutil.copytree(tmp_path / "second", booth.directory)
        _tear(_log(booth), end, random.Random(case))
        assert _open(booth) >= head, case


def _tear(log: Path, behind: int, rng: random.Random) -> None:
    """Some sectors of what was not synced were never written."""
    data = bytearray(log.read_bytes())
    for at in range(behind, len(data), 512):
        if rng.random() < 0.2:
            data[at : at + 512] = bytes(len(data[at : at + 512]))
    log.write_bytes(data)


def _end_of_last_commit(log: Path) -> int:
    """Where what SQLite takes of this log ends."""
    data = log.read_bytes()
    salt, (end, sums) = data[16:24], (HEADER, struct.unpack(">II", data[24:32]))
    order = ">" if data[3] & 1 else "<"
    for at in range(HEADER, len(data) - FRAME + 1, FRAME):
        for one, other in struct.iter_unpack(f"{order}II", data[at : at + 8] + data[at + FRAME_HEADER : at + FRAME]):
            first = (sums[0] + one + sums[1]) & 0xFFFFFFFF
            sums = (first, (sums[1] + other + first) & 0xFFFFFFFF)
        if data[at + 8 : at + 16] != salt or struct.pack(">II", *sums) != data[at + 16 : at + 24]:
            break
        end = at + FRAME if data[at + 4 : at + 8] != bytes(4) else end
    return end
