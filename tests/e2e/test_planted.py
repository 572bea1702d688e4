"""Planted discrepancies are found, all of them and nothing else, where the reads were right."""

from pathlib import Path

import pytest

from edge_agent.inspection.rules import TABLE
from tests.e2e.planted import PLANTED, played


@pytest.mark.parametrize(
    ("trucks", "nothing_share"),
    [
        pytest.param(len(PLANTED) - 1, 0.0, id="one of each"),
        pytest.param(60, 0.5, id="some hours", marks=pytest.mark.proof),
    ],
)
@pytest.mark.timeout(300)
def test_what_was_planted_is_found_and_nothing_else(trucks: int, nothing_share: float, tmp_path: Path) -> None:
    """All identifiers are right, the tag included that its reader hears before the portal sees the truck."""
    found = played(11, trucks, tmp_path, nothing_share=nothing_share)
    assert (found.precision, found.recall, found.details) == (1.0, 1.0, [])
    assert (found.vehicles, found.left_out) == (trucks, 0)
    assert set(found.right) == {*TABLE, "watch_list"} == set().union(*PLANTED.values())
