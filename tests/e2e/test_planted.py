"""Planted discrepancies are found, all of them and nothing else, where the reads were right."""

from pathlib import Path

import pytest

from tests.e2e.planted import PLANTED, played


@pytest.mark.parametrize(
    "trucks", [pytest.param(30, id="an hour"), pytest.param(150, id="a day", marks=pytest.mark.proof)]
)
@pytest.mark.timeout(300)
def test_what_was_planted_is_found_and_nothing_else(trucks: int, tmp_path: Path) -> None:
    found = played(11, trucks, tmp_path)
    assert (found.precision, found.recall, found.details) == (1.0, 1.0, [])
    assert (found.vehicles, found.left_out) == (trucks, 0)
    if trucks >= 150:
        assert set(found.right) == set().union(*PLANTED.values())
