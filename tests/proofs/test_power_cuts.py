"""Short and middle form of tests/proofs/power_cuts.py."""

import pytest

from tests.proofs.power_cuts import in_memory, losses, tape_a_life

FULL, NORMAL = 2, 1


def _losses(synchronous: int, cuts: int, seed: int) -> list[str]:
    with in_memory() as folder:
        return list(losses(tape_a_life(folder / "life", synchronous), cuts, seed, folder))


def test_power_cuts_lose_nothing() -> None:
    assert _losses(FULL, 2_000, 1) == []


def test_the_same_cuts_find_what_a_commit_that_is_not_synced_loses() -> None:
    assert len(_losses(NORMAL, 50, 1)) > 5


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_thousands_of_power_cuts_lose_nothing() -> None:
    assert _losses(FULL, 20_000, 2) == []
