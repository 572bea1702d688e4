"""Every branch of every driver is run by the drivers' own examples, without what is drawn at random."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TESTS = sorted(path for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__))


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_every_branch_of_the_drivers_is_run(tmp_path: Path) -> None:
    data = {**os.environ, "COVERAGE_FILE": str(tmp_path / "coverage")}
    source = "--source=edge_agent.devices.drivers"
    run = [
        sys.executable,
        "-m",
        "coverage",
        "run",
        "--branch",
        source,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        *map(str, TESTS),
    ]
    tested = subprocess.run(run, cwd=ROOT, env=data, capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout[-4000:]
    report = [sys.executable, "-m", "coverage", "report", "--show-missing", "--skip-covered", "--fail-under=100"]
    covered = subprocess.run(report, cwd=ROOT, env=data, capture_output=True, text=True, check=False)
    assert covered.returncode == 0, covered.stdout
    assert "TOTAL" in covered.stdout
