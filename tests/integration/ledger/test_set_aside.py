"""What was set aside goes when its time is over, and nothing that the port lacks."""

import asyncio
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from edge_agent.domain.clock import ClockState, Instant, SystemClock
from edge_agent.ledger.salvage import salvage
from edge_agent.ledger.salvaged import open_salvaged
from edge_agent.ledger.set_aside import remove_over, tend
from edge_agent.ledger.store import DATABASE
from tests.integration.ledger.conftest import Booth, alarm


@dataclass
class Clock:
    """Days after now."""

    days: float = 0.0
    state: ClockState = ClockState.SYNCHRONISED

    def now(self) -> Instant:
        return Instant(SystemClock().now().utc + timedelta(days=self.days), 0, self.state)

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
async def booth(tmp_path: Path) -> Booth:
    """Its ledger was damaged and salvaged."""
    booth = Booth(tmp_path / "keys", tmp_path / "ledger")
    async with booth.open() as ledger:
        for n in range(5):
            await ledger.recorder.record(alarm(n))
    os.truncate(booth.directory / DATABASE, (booth.directory / DATABASE).stat().st_size - 4096)
    salvage(booth.directory, booth.booth_id, booth.device_keys)
    return booth


def held(booth: Booth, short: int = 0, refused: str = "") -> None:
    [ledger] = open_salvaged(booth.directory)
    ledger.note(ledger.extent().newest - short, b"receipt", refused)
    ledger.close()


def left(booth: Booth) -> list[str]:
    return sorted(
        path.parent.name for path in booth.directory.glob("*/*") if path.parent.name in ("damaged", "salvaged")
    )


def test_each_goes_when_its_time_is_over(booth: Booth, tmp_path: Path) -> None:
    copy = tmp_path / "damaged.sqlite3"
    copy.write_bytes(b"a copy of the list")
    clock = Clock(days=29)
    held(booth)
    assert remove_over(booth.directory, 30, [copy, tmp_path / "none"], clock) == []
    clock.days, clock.state = 31, ClockState.UNSYNCHRONISED
    assert remove_over(booth.directory, 30, [copy], clock) == []
    clock.state = ClockState.SYNCHRONISED
    assert len(remove_over(booth.directory, 30, [copy], clock)) == 3
    assert left(booth) == []
    assert not copy.exists()
    assert open_salvaged(booth.directory) == []


@pytest.mark.parametrize(("short", "refused"), [(1, ""), (0, "FORK: other events"), (None, "")])
def test_what_the_port_lacks_or_refuses_stays(booth: Booth, short: int | None, refused: str) -> None:
    if short is not None:
        held(booth, short, refused)
    remove_over(booth.directory, 30, [], Clock(days=400))
    assert left(booth) == ["salvaged"]


def test_the_ports_same_word_again_begins_no_new_time(booth: Booth) -> None:
    held(booth)
    [note] = booth.directory.glob("salvaged/*/port.json")
    os.utime(note, (1, 1))
    held(booth)
    assert note.stat().st_mtime == 1
    held(booth, short=1)
    assert note.stat().st_mtime > 1


def test_what_a_kill_left_of_a_removal_goes(booth: Booth) -> None:
    [place] = booth.directory.glob("damaged/*")
    place.rename(place.with_name(f"{place.name}.removed"))
    remove_over(booth.directory, 30, [], Clock())
    assert left(booth) == ["salvaged"]


async def test_the_agent_looks_by_itself_and_for_ever_means_for_ever(booth: Booth) -> None:
    held(booth)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(tend(booth.directory, None, [], Clock(days=4000)), 0.2)
    assert left(booth) == ["damaged", "salvaged"]
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        looking = group.create_task(tend(booth.directory, 30.0, [], Clock(days=31)))
        while left(booth):
            await asyncio.sleep(0.01)
        looking.cancel()
