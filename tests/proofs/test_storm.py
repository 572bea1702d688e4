"""Short and middle form of tests/proofs/storm.py. How long it took is printed, not asserted: docs/reliability.md."""

from pathlib import Path

import pytest

from tests.proofs.storm import storm


@pytest.mark.timeout(300)
async def test_fifty_booths_reconnect_at_once(tmp_path: Path) -> None:
    print(await storm(tmp_path, 50, 1.0))


@pytest.mark.proof
@pytest.mark.timeout(600)
async def test_three_hundred_booths_reconnect_at_once(tmp_path: Path) -> None:
    print(await storm(tmp_path, 300, 3.0))


@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_a_port_that_acknowledges_before_it_commits_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ended by themselves"):
        await storm(tmp_path, 12, 0.5, "port's commit")
