"""The disk fails once, at every call in turn: nothing is accepted after it, and a restart finds all that was."""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_agent.domain.errors import StoreCorrupt, StoreFailed
from edge_agent.domain.event import StorageLevel, StorageState
from edge_agent.ledger import housekeeping, store
from edge_agent.ledger.batch import Recorded
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.housekeeping import Keeping
from tests.integration.ledger.conftest import Booth, HandClock, alarm, picture
from tests.integration.ledger.failing_disk import FailingDisk

EVIDENCE = [picture(2_000, b"%d" % n) for n in range(4)]
KEEPING = Keeping(retention_s=60, ballast_bytes=0)


@pytest.fixture(autouse=True)
def small_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the log is emptied in the middle; and a disk with room, however full this machine's is."""
    monkeypatch.setattr(store, "CHECKPOINT_PAGES", 12)
    monkeypatch.setattr(housekeeping, "measure", lambda *_: StorageLevel(StorageState.NORMAL, 1, 100))


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    disk = FailingDisk("failing-disk")
    yield disk
    disk.unregister()


async def _work(booth: Booth, vfs: str | None, failed: Callable[[], bool], kept: dict[int, Recorded]) -> None:
    """Record, acknowledge, trim; notes what was accepted, and whether anything was after the fault."""
    clock = HandClock()
    async with booth.open(vfs=vfs, clock=clock, keeping=KEEPING) as ledger:
        for n, one in enumerate(EVIDENCE):
            if n == 2:
                ledger.outbox.acked(2)
                clock.forward(400)
            before = failed()
            recorded = await ledger.recorder.record(alarm(n, one))
            kept[n] = recorded
            assert not before, "accepted after the disk had failed"


async def _until_it_fails(
    booth: Booth, vfs: str | None, failed: Callable[[], bool]
) -> tuple[dict[int, Recorded], BaseException | None]:
    kept: dict[int, Recorded] = {}
    try:
        await _work(booth, vfs, failed, kept)
    except (StoreFailed, StoreCorrupt) as fault:
        assert failed()
        return kept, fault
    return kept, None


async def _fails_then_goes_on(booth: Booth, vfs: str | None, failed: Callable[[], bool]) -> None:
    kept, _ = await _until_it_fails(booth, vfs, failed)
    await _goes_on(booth, kept)


async def _goes_on(booth: Booth, kept: dict[int, Recorded]) -> None:
    """A restart on a disk that works."""
    if (booth.directory / "ledger.sqlite3").exists() and (booth.directory / "epoch").exists():
        async with booth.open() as ledger:
            for n, recorded in kept.items():
                if ledger.outbox.kept().trimmed_seq < recorded.seq:
                    assert ledger.outbox.sha256_at(recorded.seq) == recorded.sha256
                    assert ledger.outbox.read_blob(EVIDENCE[n].sha256) == EVIDENCE[n].data
            await ledger.recorder.record(alarm(9))
        verify_ledger(booth.directory, booth.device_keys)
    else:
        assert not kept


async def _every(tmp_path: Path, disk: FailingDisk, first: int, step: int) -> int:
    number = first
    while True:
        booth = Booth(tmp_path / f"{number} keys", tmp_path / f"{number}")
        disk.fail_at("any", number)
        await _fails_then_goes_on(booth, disk.name, lambda: disk.failed)
        if not disk.failed:
            return number
        number += step


async def test_every_seventeenth_of_the_databases_calls(tmp_path: Path, disk: FailingDisk) -> None:
    assert await _every(tmp_path, disk, 5, 17) > 100


@pytest.mark.proof
async def test_every_one_of_the_databases_calls(tmp_path: Path, disk: FailingDisk) -> None:
    assert await _every(tmp_path, disk, 1, 1) > 100


@dataclass
class Broken:
    """A call of the operating system that fails at its n-th time for a file of evidence."""

    real: Callable[..., Any]
    evidence: Path
    left: int
    came: bool = False

    def __call__(self, *arguments: Any, **words: Any) -> Any:
        where = Path(f"/proc/self/fd/{arguments[0]}").readlink() if isinstance(arguments[0], int) else arguments[0]
        if not self.came and str(where).startswith(str(self.evidence)):
            self.left -= 1
            if self.left == 0:
                self.came = True
                raise OSError(errno.EIO, "Input/output error")
        return self.real(*arguments, **words)


@pytest.mark.parametrize(("call", "step"), [("fsync", 3), ("rename", 1), ("open", 5)])
async def test_the_evidence_files_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, step: int) -> None:
    number = 1
    while True:
        booth = Booth(tmp_path / f"{number} keys", tmp_path / f"{number}")
        with monkeypatch.context() as patch:
            owner: Any = Path if call == "rename" else os
            broken = Broken(getattr(owner, call), booth.directory / "evidence", number)
            # A function, so that it is bound to the path it is called on.
            patch.setattr(owner, call, lambda *given, _broken=broken, **words: _broken(*given, **words))
            kept, failure = await _until_it_fails(booth, None, lambda: broken.came)  # noqa: B023 - called at once
        if not broken.came:
            assert failure is None
            break
        await _goes_on(booth, kept)
        number += step
    assert number > 3
