"""What a newcomer runs first: everything together, rendered trucks, real recognition, judged by the demo itself."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from hardware_sim.shipped import shipped


async def run_demo(folder: Path, scenario: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_agent", "demo", "--out", str(folder), "--scenario", scenario),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return await process.wait(), output.decode()


@pytest.mark.alone
@pytest.mark.timeout(300)
async def test_one_truck(tmp_path: Path) -> None:
    scenario = tmp_path / "one.yaml"
    scenario.write_text(shipped()["quiet"].read_text().replace("count: 3", "count: 1"))
    status, said = await run_demo(tmp_path / "out", str(scenario))
    assert status == 0, said
    assert "1 of 1 vehicle wholly right" in said
    assert "✗ evidence" not in said
    [run] = (tmp_path / "out").iterdir()
    pictures = list((run / "evidence").glob("*/*.jpg"))
    assert pictures, "a back-office can open the pictures"
    await try_what_is_next(said[said.index("What next?") :])


async def try_what_is_next(said: str) -> None:
    """The commands that the demo ends with do what stands beside them, in a plain shell and another folder."""
    *first, check, status, ledger, score, _lane, export, serve, tail = re.findall(r"^  (.*?)(?:  +#.*)?$", said, re.M)
    go = " && ".join(["cd /", *first, ""])
    assert "no mistakes" in await shell(go + check)
    assert "acknowledged_through" in await shell(go + status)
    assert "events verified" in await shell(go + ledger)
    assert "wholly right          1     1" in await shell(go + score)
    assert "VERIFIED: " in await shell(go + export)
    port = await asyncio.create_subprocess_shell(f"{go} exec {serve}", stdout=asyncio.subprocess.PIPE)
    try:
        assert port.stdout is not None
        assert b"ready on" in await port.stdout.readline()
        assert "vehicle arrived" in await shell(go + tail)
    finally:
        port.terminate()
        await port.wait()


async def shell(command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-ec", command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | ({"PATH": os.defpath} if "export PATH=" in command else {}),
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, f"{command}\n{output.decode()}"
    return output.decode()


@pytest.mark.alone
@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_the_whole_demo(tmp_path: Path) -> None:
    status, said = await run_demo(tmp_path, "demo")
    assert status == 0, said
