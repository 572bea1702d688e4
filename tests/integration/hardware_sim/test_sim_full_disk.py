"""A disk that is full while the simulator plays: said in words, and the run ends."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.faults import AnyFault
from hardware_sim.lines_file import LinesFile
from tests.integration.hardware_sim.sim import lane, running

FULL = Path("/dev/full")


async def test_a_record_ends_the_run_when_its_disk_is_full(tmp_path: Path) -> None:
    full = tmp_path / "session.jsonl"
    full.symlink_to(FULL)
    told = f"^--record {full}: cannot be written: No space left on device"
    with pytest.RaisesGroup(pytest.RaisesExc(SettingsInvalid, match=told), flatten_subgroups=True):
        async with running(lane(), tmp_path / "out", record=full, speed=3.0) as sim:
            sim.send("1", None)
            await asyncio.wait_for(asyncio.Event().wait(), 30)


async def test_so_do_the_faults(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "faults.jsonl").symlink_to(FULL)
    told = "faults.jsonl: the faults cannot be written: No space left on device"
    garbled = AnyFault.validate_python({"target": "portal", "kind": "garble", "share": 0.5, "for_s": None})
    with pytest.RaisesGroup(pytest.RaisesExc(SettingsInvalid, match=told), flatten_subgroups=True):
        async with running(lane(), out, speed=3.0) as sim:
            sim.faults.begin(garbled)
            await asyncio.wait_for(asyncio.Event().wait(), 30)


def test_the_program_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "session.jsonl").symlink_to(FULL)
    command = [sys.executable, "-m", "hardware_sim", "run", "demo", "--out", str(tmp_path / "out")]
    command += ["--record", str(tmp_path / "session.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ, check=False)
    assert done.returncode != 0
    assert "session.jsonl: cannot be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_was_never_opened_is_left_alone(tmp_path: Path) -> None:
    earlier = tmp_path / "faults.jsonl"
    earlier.write_text("of an earlier run\n")
    file = LinesFile(earlier, "the faults")
    file.write("of this one")
    file.discard()
    file.close()
    assert earlier.read_text() == "of an earlier run\n"
