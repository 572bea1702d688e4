"""Short and middle form of tests/proofs/kills.py, and that it fails where a protection is taken away."""

from pathlib import Path

import pytest

from tests.proofs.ends import Lost
from tests.proofs.faults import FAULTS
from tests.proofs.kills import total


@pytest.mark.timeout(600)
async def test_sixty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    figures = await total(tmp_path, "1", 60)
    assert figures.under_load > 30, figures


@pytest.mark.proof
@pytest.mark.timeout(1200)
async def test_three_hundred_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    figures = await total(tmp_path, "2", 300)
    assert figures.under_load > 150, figures


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("without", "found"),
    [
        ("booth's commit", "accepted and not in the ledger"),
        ("port's commit", "the port acknowledged"),
        ("port's cursor", "REPLAYED"),
    ],
)
async def test_kills_find_what_is_missing(tmp_path: Path, without: str, found: str) -> None:
    assert without in FAULTS
    with pytest.raises(Lost, match=found):  # mostly by the first twenty; a kill must fall between answer and commit
        await total(tmp_path, "3", 200, without)
