"""Real files in a real folder: each scan is taken over once, and put away once it is durable."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.devices.sources.watched_folder import WatchedFolder
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import StoreFailed
from edge_agent.domain.observation import Reading, ScanImage
from tests.integration.devices import folder_booth
from tests.integration.devices.conftest import until
from tests.integration.devices.folder_booth import Heard, in_folder, looks, settings, watching
from tests.scanner import dicom_file, dicos, png

folder = folder_booth.folder


# --- whole, and once ----------------------------------------------------------------------------------------------


async def test_a_scan_with_its_sidecar_and_marker_is_taken_over_and_moved(folder: Path) -> None:
    given = settings(
        folder,
        done_suffix=".done",
        sidecar={"vehicle": "cargo.number"},
        name_pattern=r"^(?P<taken>\d{8})-(?P<scan>\w+)",
    )
    sidecar = b'{"cargo": {"number": "MSKU0383250"}}'
    (folder / "20261122-S1.png").write_bytes(png(30, 40))
    (folder / "20261122-S1.uff").write_bytes(b"opaque")
    (folder / "20261122-S1.json").write_bytes(sidecar)
    async with watching(given) as heard:
        await asyncio.sleep(0.3)
        assert not heard.scans, "it has no marker"
        (folder / "20261122-S1.done").touch()
        await until(lambda: (folder / "done" / "20261122-S1.done").exists())
        assert in_folder(folder) == set()
    [reading] = [reading for reading in heard.readings if isinstance(reading.body, ScanImage)]
    assert reading.body == ScanImage("S1", "uff", "MSKU0383250")
    assert reading.device_time == "20261122"
    assert reading.raw == sidecar
    assert [evidence.data for evidence in reading.evidence[:2]] == [b"opaque", png(30, 40)]
    assert {path.name[12:] for path in (folder / "done").iterdir()} == {"png", "uff", "json", "done"}


async def test_a_file_that_is_being_written_waits(folder: Path) -> None:
    whole = dicom_file(dicos(3, 200, 300))
    async with watching(settings(folder, settle_s=0.4)) as heard:
        with (folder / "S3.dcm").open("wb", buffering=0) as file:
            for start in range(0, len(whole), 20_000):
                file.write(whole[start : start + 20_000])
                await asyncio.sleep(0.15)
                assert not heard.scans
        await until(lambda: heard.scans)
    assert heard.files == [whole]
    assert heard.scans[0] == ScanImage("D3", "dicos", "MSKU0383250", 300, 200)


async def test_write_then_rename(folder: Path) -> None:
    async with watching(settings(folder)) as heard:
        (folder / "S1.png.part").write_bytes(b"half")
        await looks(heard, folder)
        (folder / "S1.png.part").write_bytes(png(30, 40))
        (folder / "S1.png.part").rename(folder / "S1.png")
        await until(lambda: png(30, 40) in heard.files)
    assert b"half" not in heard.files


@pytest.mark.parametrize("after", ["move", "delete", "remember"])
async def test_a_restart_takes_nothing_over_twice(folder: Path, tmp_path: Path, after: str) -> None:
    given = settings(folder, after=after, **({"memory": tmp_path / "taken"} if after == "remember" else {}))
    (folder / "S1.png").write_bytes(png(30, 40))
    async with watching(given) as heard:
        await until(lambda: heard.scans)
        await looks(heard, folder)
    assert in_folder(folder) == ({"S1.png"} if after == "remember" else set())
    assert len(heard.scans) == 2
    async with watching(given) as heard:
        await looks(heard, folder)
    assert len(heard.scans) == 1, "only the one that came later"


async def test_a_file_that_stays_is_known_by_its_content(folder: Path, tmp_path: Path) -> None:
    given = settings(folder, after="remember", memory=tmp_path / "taken")
    scan = folder / "S1.png"
    scan.write_bytes(png(30, 40))
    async with watching(given) as heard:
        await until(lambda: heard.scans)
        os.utime(scan, (1, 1))
        await looks(heard, folder)
        assert len(heard.scans) == 2, "touched, it was taken over again"
        scan.write_bytes(png(30, 41))
        await until(lambda: png(30, 41) in heard.files)


async def test_a_torn_memory_costs_one_repeat_and_no_more(folder: Path, tmp_path: Path) -> None:
    memory = tmp_path / "taken"
    given = settings(folder, after="remember", memory=memory)
    for number in (1, 2):
        (folder / f"S{number}.png").write_bytes(png(30, 40 + number))
    async with watching(given) as heard:
        await until(lambda: len(memory.read_bytes().splitlines()) == 2)
    memory.write_bytes(memory.read_bytes()[:-9])
    async with watching(given) as heard:
        await looks(heard, folder)
    assert len(heard.scans) == 2
    async with watching(given) as heard:
        await looks(heard, folder)
    assert len(heard.scans) == 1
    assert all(json.loads(line) for line in memory.read_bytes().splitlines() if line.endswith(b"]"))


async def test_what_was_put_away_before_is_never_written_over(folder: Path) -> None:
    async with watching(settings(folder)) as heard:
        for number in range(3):
            (folder / "S1.png").write_bytes(png(30, 40 + number % 2))
            await until(lambda number=number: len(heard.scans) == number + 1)  # type: ignore[misc]
            await until(lambda: not (folder / "S1.png").exists())
    digest = hashlib.sha256(png(30, 41)).hexdigest()[:12]
    again = hashlib.sha256(png(30, 40)).hexdigest()[:12]
    assert in_folder(folder / "done") == {"S1.png", f"S1.{digest}.png", f"S1.{again}.png"}


async def test_a_file_written_anew_while_it_is_taken_over_is_another_scan(folder: Path) -> None:
    scan = folder / "S1.png"

    async def written_anew(reading: Reading) -> None:
        if len(heard.scans) == 0:
            fresh = folder / "S1.png.tmp"
            fresh.write_bytes(png(50, 60))
            fresh.rename(scan)

    heard = Heard(written_anew)
    scan.write_bytes(png(30, 40))
    async with watching(settings(folder), heard):
        await until(lambda: len(heard.scans) == 2 and not scan.exists())
    assert heard.files == [png(30, 40), png(50, 60)]


RUN = """
import asyncio, os, signal, sys
from pathlib import Path
from edge_agent.devices.sources.watched_folder import Settings, WatchedFolder
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.observation import ScanImage

async def emit(reading):
    if not isinstance(reading.body, ScanImage):
        return
    if {durable}:
        with open({journal!r}, "a") as journal:
            journal.write(reading.evidence[0].sha256.hex() + "\\n")
            journal.flush()
            os.fsync(journal.fileno())
    os.kill(os.getpid(), signal.SIGKILL)

settings = Settings(directory=Path({folder!r}), settle_s=0.1, poll_s=0.05, min_free_mb=0, {more})
asyncio.run(WatchedFolder(settings, SystemClock()).run(emit))
"""


@pytest.mark.parametrize(
    ("after", "durable"), [("move", False), ("move", True), ("delete", True), ("remember", True)], ids=str
)
async def test_killed_it_loses_nothing(folder: Path, tmp_path: Path, durable: bool, after: str) -> None:
    journal, scan = tmp_path / "journal", png(30, 40)
    journal.touch()
    memory = tmp_path / "taken"
    (folder / "S1.png").write_bytes(scan)
    more = f"after={after!r}," + (f"memory=Path({str(memory)!r})" if after == "remember" else "")
    code = RUN.format(durable=durable, journal=str(journal), folder=str(folder), more=more)
    killed = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert (folder / "S1.png").read_bytes() == scan, "put away before it was durable"
    digest = hashlib.sha256(scan).hexdigest()
    assert journal.read_text().split() == ([digest] if durable else [])
    given = settings(folder, after=after, **({"memory": memory} if after == "remember" else {}))
    async with watching(given) as heard:
        await until(lambda: heard.scans)
        await looks(heard, folder)
    assert heard.files.count(scan) == 1
    assert heard.readings[1].evidence[0].sha256.hex() == digest, "the repeat cannot be told as one"


async def test_the_ledgers_refusal_ends_it_and_the_file_stays(folder: Path) -> None:
    async def refuses(reading: Reading) -> None:
        raise StoreFailed("the disk said no")

    (folder / "S1.png").write_bytes(png(30, 40))
    with pytest.raises(StoreFailed):
        await asyncio.wait_for(WatchedFolder(settings(folder), SystemClock()).run(Heard(refuses).emit), 20)
    assert in_folder(folder) == {"S1.png"}
