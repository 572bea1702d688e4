"""What a newcomer runs first: everything together, rendered trucks, real recognition, judged by the demo itself."""

import asyncio
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
    assert "1 of 1 vehicles wholly right" in said
    assert "✗ evidence" not in said
    [run] = (tmp_path / "out").iterdir()
    pictures = list((run / "evidence").glob("*/*.jpg"))
    assert pictures, "a back-office can open the pictures"


@pytest.mark.alone
@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_the_whole_demo(tmp_path: Path) -> None:
    status, said = await run_demo(tmp_path, "demo")
    assert status == 0, said
