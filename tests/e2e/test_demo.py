"""What a newcomer runs first: everything together, rendered trucks, real recognition, judged by the demo itself."""

import asyncio
import sys
from pathlib import Path

import pytest


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
async def test_a_few_trucks(tmp_path: Path) -> None:
    status, said = await run_demo(tmp_path, "quiet")
    assert status == 0, said
    assert "✗ evidence" not in said
    [run] = tmp_path.iterdir()
    pictures = list((run / "evidence").glob("*/*.jpg"))
    assert pictures, "a back-office can open the pictures"


@pytest.mark.alone
@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_the_whole_demo(tmp_path: Path) -> None:
    status, said = await run_demo(tmp_path, "demo")
    assert status == 0, said
