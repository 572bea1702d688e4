"""A disk that is really full or really read-only: levels, shedding, ballast, and a lane that is told."""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from edge_agent.domain.errors import StoreFailed
from edge_agent.domain.event import AlarmRaised, Draft, ScanReceived
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.inspection import ScanJoin, ScanSeen
from edge_agent.domain.observation import RadiationKind, ScanImage
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.housekeeping import Keeping
from edge_agent.ledger.recorder import Ledger
from edge_agent.ledger.store import EVIDENCE
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from tests.integration.ledger.conftest import AT, Booth, HandClock, alarm, picture, until
from tests.small_disk import Disk, mounted

MB = 1_000_000


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path, request.param, 24) as disk:
        yield disk


@pytest.fixture
def small(disk: Disk, tmp_path: Path) -> Booth:
    return Booth(tmp_path / "keys", disk.path / "ledger")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def opening(booth: Booth, clock: HandClock, ballast: int = MB) -> AbstractAsyncContextManager[Ledger]:
    return booth.open(clock=clock, keeping=Keeping(ballast_bytes=ballast))


def evidence(kind: EvidenceKind, number: int, size: int = MB) -> Evidence:
    return Evidence(kind, "application/octet-stream", b"%08d" % number + bytes(size - 8))


def scan(inspection_id: str, *files: Evidence) -> Draft:
    seen = ScanSeen(ScanImage("s", "dicos"), "x-ray", AT, ScanJoin.TIME, files=tuple(file.ref for file in files))
    return Draft(ScanReceived(inspection_id, "lane-1", seen), AT, files)


def said(ledger: Ledger, kind: str) -> list[wire.Event]:
    events = [wire.Event.FromString(read_envelope(e)[0]) for e in ledger.outbox.after(0, 10_000, 100 * MB)]
    return [event for event in events if event.WhichOneof("body") == kind]


def states(ledger: Ledger) -> list[str]:
    return [wire.StorageState.Name(e.storage_level.state).rpartition("_")[2] for e in said(ledger, "storage_level")]


async def send(ledger: Ledger, pieces: Sequence[Evidence]) -> None:
    for piece in pieces:
        ledger.outbox.blob_sent(piece.sha256)
    await until(lambda: ledger.outbox.blob_states().get("sent", 0) == len(pieces))


async def looked(ledger: Ledger, clock: HandClock) -> None:
    clock.forward(10)
    await ledger.recorder.record(alarm(0))
    await asyncio.sleep(0.05)


def is_kept(booth: Booth, piece: Evidence) -> bool:
    name = piece.sha256.hex()
    return (booth.directory / EVIDENCE / name[:2] / name[2:4] / name).exists()


def fill_to(disk: Disk, share: float) -> None:
    disk.fill(but=round(capacity(disk) * (1 - share)))


def capacity(disk: Disk) -> int:
    system = os.statvfs(disk.path)
    return (system.f_blocks - system.f_bfree + system.f_bavail) * system.f_frsize


async def test_evidence_is_shed_by_class_and_what_went_is_said(small: Booth, disk: Disk, clock: HandClock) -> None:
    size = capacity(disk) // 40  # 2.5 % of the disk
    looks = [evidence(EvidenceKind.QUICK_LOOK, n, size) for n in range(2)]
    frames = [evidence(EvidenceKind.FRAME, 10 + n, size) for n in range(4)]
    scans = [evidence(EvidenceKind.SCAN, 20 + n, size) for n in range(2)]
    unsent = [evidence(EvidenceKind.FRAME, 30 + n, size) for n in range(3)]
    quiet, alarming = evidence(EvidenceKind.QUICK_LOOK, 40, size), evidence(EvidenceKind.QUICK_LOOK, 41, size)
    async with opening(small, clock) as ledger:
        body = AlarmRaised("hot", "lane-1", "portal", RadiationKind.GAMMA, (9,), b"GA")
        await ledger.recorder.record(Draft(body, AT))
        await ledger.recorder.record(scan("hot", alarming))
        await ledger.recorder.record(scan("cold", quiet))
        for piece in (*looks, *frames, *scans, *unsent):
            await ledger.recorder.record(alarm(1, piece))
        await send(ledger, (*looks, *frames, *scans))
        assert states(ledger) == []

        fill_to(disk, 0.90)
        await looked(ledger, clock)
        await until(lambda: states(ledger) == ["HIGH", "FILLING"])
        assert not any(is_kept(small, piece) for piece in (*looks, *frames))
        assert all(is_kept(small, piece) for piece in (*scans, *unsent, quiet, alarming))
        named = [digest for event in said(ledger, "evidence_shed") for digest in event.evidence_shed.sha256]
        assert named[:2] == [piece.sha256 for piece in looks]
        assert set(named) == {piece.sha256 for piece in (*looks, *frames)}

        fill_to(disk, 0.985)
        await looked(ledger, clock)
        await until(lambda: states(ledger) == ["HIGH", "FILLING", "CRITICAL", "HIGH"])
        assert not is_kept(small, alarming)
        named = [digest for event in said(ledger, "evidence_shed") for digest in event.evidence_shed.sha256][6:]
        assert set(named[:2]) == {piece.sha256 for piece in scans}
        assert named[2:] == [quiet.sha256, alarming.sha256]  # the one with an alarm last
        assert all(is_kept(small, piece) for piece in unsent)
        disk.make_room()
        await looked(ledger, clock)
        await until(lambda: states(ledger)[-1] == "NORMAL")
        assert states(ledger) == ["HIGH", "FILLING", "CRITICAL", "HIGH", "NORMAL"]  # no flutter
        # The uplink found the file gone under its hands: that is no loss.
        ledger.outbox.blob_lost(quiet.sha256)
        await looked(ledger, clock)
        assert "lost" not in ledger.outbox.blob_states()
    verify_ledger(small.directory, small.device_keys)


async def test_a_full_disk_makes_room_in_the_ballasts_space_and_accepts_again(
    small: Booth, disk: Disk, clock: HandClock
) -> None:
    frames = [evidence(EvidenceKind.FRAME, n, 200_000) for n in range(20)]
    async with opening(small, clock) as ledger:
        for frame in frames:
            await ledger.recorder.record(alarm(1, frame))
        await send(ledger, frames)
        await looked(ledger, clock)
        assert (small.directory / "ballast").exists()
        disk.fill()
        newest = evidence(EvidenceKind.SCAN, 99)
        async with asyncio.timeout(20):
            recorded = await ledger.recorder.record(alarm(2, newest))
        assert small.room[0][0] is False
        assert small.room[-1] == (True, "")
        assert is_kept(small, newest)
        assert said(ledger, "evidence_shed")
        assert (small.directory / "ballast").stat().st_size == MB
        assert ledger.outbox.sha256_at(recorded.seq) == recorded.sha256
    verify_ledger(small.directory, small.device_keys)


@pytest.mark.parametrize("room", [0, 30_000, 60_000])
async def test_a_start_on_a_full_disk_opens_the_session_in_the_ballasts_space_and_then_sheds(
    small: Booth, disk: Disk, clock: HandClock, room: int
) -> None:
    frames = [evidence(EvidenceKind.FRAME, n, 200_000) for n in range(20)]
    async with opening(small, clock) as ledger:
        for frame in frames:
            await ledger.recorder.record(alarm(1, frame))
        await send(ledger, frames)
    assert (small.directory / "ballast").exists()
    disk.fill(but=room)
    async with asyncio.timeout(20), opening(small, clock) as ledger:
        await ledger.recorder.record(alarm(2))
        assert said(ledger, "evidence_shed")
        assert (small.directory / "ballast").stat().st_size == MB
    verify_ledger(small.directory, small.device_keys)


async def test_a_kill_while_room_was_made_leaves_no_ledger_without_ballast(
    small: Booth, disk: Disk, clock: HandClock
) -> None:
    async with opening(small, clock) as ledger:
        await ledger.recorder.record(alarm(1))
    (small.directory / "ballast").unlink()
    disk.fill(but=MB // 2)
    async with opening(small, clock) as ledger:
        call = asyncio.ensure_future(ledger.recorder.record(alarm(2)))
        await small.until_no_room()
        assert not call.done()
        disk.make_room()
        async with asyncio.timeout(10):
            await call
        assert (small.directory / "ballast").stat().st_size == MB
    verify_ledger(small.directory, small.device_keys)


async def test_with_nothing_to_let_go_it_is_closed_at_once_and_opens_by_itself(
    small: Booth, disk: Disk, clock: HandClock
) -> None:
    kept = [evidence(EvidenceKind.FRAME, n, 200_000) for n in range(5)]
    async with opening(small, clock) as ledger:
        for piece in kept:  # not acknowledged
            await ledger.recorder.record(alarm(1, piece))
        disk.fill()
        asked = time.monotonic()
        calls = [asyncio.ensure_future(ledger.recorder.record(alarm(n, picture(9_000)))) for n in range(500)]
        await small.until_no_room()
        assert time.monotonic() - asked < 1.0
        accepted = [call for call in calls if call.done()]
        await asyncio.sleep(0.2)
        assert [call for call in calls if call.done()] == accepted
        assert (small.directory / "ballast").stat().st_size == MB  # kept for what can make room
        disk.make_room()
        async with asyncio.timeout(10):
            await asyncio.gather(*calls)
        assert small.room[-1][0] is True
        assert all(is_kept(small, piece) for piece in kept)
        newest = ledger.recorder.head.seq
    assert verify_ledger(small.directory, small.device_keys).seq == newest >= 506


async def test_a_start_on_a_read_only_disk_is_refused_and_goes_on_when_it_is_mended(
    small: Booth, disk: Disk, clock: HandClock
) -> None:
    async with opening(small, clock) as ledger:
        accepted = await ledger.recorder.record(alarm(1, picture(1_000)))
    disk.remount("ro")
    with pytest.raises(StoreFailed, match="cannot be written"):
        async with opening(small, clock):
            pass
    disk.remount("rw")
    async with opening(small, clock) as ledger:
        assert ledger.outbox.sha256_at(accepted.seq) == accepted.sha256
        await ledger.recorder.record(alarm(2))
    verify_ledger(small.directory, small.device_keys)


@pytest.mark.parametrize("disk", ["ext4"], indirect=True)
async def test_a_disk_that_goes_away_in_the_middle_takes_nothing_accepted_with_it(
    small: Booth, disk: Disk, clock: HandClock
) -> None:
    """The file system is shut down under the agent without writing its journal: as a power cut does."""
    accepted, pictures = [], [picture(5_000 + n) for n in range(30)]
    async with opening(small, clock) as ledger:
        for n, one in enumerate(pictures):
            accepted.append(await ledger.recorder.record(alarm(n, one)))
        disk.cut_off()
        for n in range(3):
            with pytest.raises(StoreFailed):
                await ledger.recorder.record(alarm(n, picture(4_000)))
    disk.mount_again()
    async with opening(small, clock) as ledger:
        assert [ledger.outbox.sha256_at(one.seq) for one in accepted] == [one.sha256 for one in accepted]
        assert [ledger.outbox.read_blob(one.sha256) for one in pictures] == [one.data for one in pictures]
    verify_ledger(small.directory, small.device_keys)
