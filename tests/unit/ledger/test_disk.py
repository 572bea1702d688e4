from pathlib import Path

import pytest

from edge_agent.domain.event import StorageState
from edge_agent.ledger.disk import Ballast, measure, state_at

NORMAL, FILLING, HIGH, CRITICAL = StorageState


@pytest.mark.parametrize(
    ("share", "before", "now"),
    [
        (0.69, NORMAL, NORMAL),
        (0.70, NORMAL, FILLING),
        (0.85, NORMAL, HIGH),
        (0.95, FILLING, CRITICAL),
        (1.0, CRITICAL, CRITICAL),
        (0.91, CRITICAL, CRITICAL),
        (0.89, CRITICAL, HIGH),
        (0.81, HIGH, HIGH),
        (0.79, HIGH, FILLING),
        (0.66, FILLING, FILLING),
        (0.64, FILLING, NORMAL),
        (0.10, CRITICAL, NORMAL),
    ],
)
def test_levels_rise_at_once_and_fall_late(share: float, before: StorageState, now: StorageState) -> None:
    assert state_at(share, before) is now


def test_a_share_that_flutters_changes_the_level_once() -> None:
    state, changes = NORMAL, 0
    for n in range(100):
        after = state_at(0.85 + (0.02 if n % 2 else -0.02), state)
        changes += after is not state
        state = after
    assert changes <= 2  # filling, then high
    assert state is HIGH


def test_the_fuller_of_disk_and_budget_counts(tmp_path: Path) -> None:
    disk = measure(tmp_path, 10**6, None, NORMAL)
    assert disk.capacity_bytes > disk.used_bytes > 0
    budget = measure(tmp_path, 999_999, 10**6, NORMAL)
    assert (budget.used_bytes, budget.capacity_bytes, budget.state) == (999_999, 10**6, CRITICAL)
    assert measure(tmp_path, 0, 10**6, NORMAL).capacity_bytes == disk.capacity_bytes


def test_ballast_takes_its_space_and_gives_it_back(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 1_000_000)
    assert ballast.released  # until it was looked at
    assert ballast.hold()
    assert (tmp_path / "ballast").stat().st_size == 1_000_000
    assert ballast.release()
    assert not ballast.release()
    assert ballast.released
    assert not (tmp_path / "ballast").exists()
    assert ballast.hold()
    assert not ballast.released
    (tmp_path / "ballast").write_bytes(b"")  # a part of it is none
    assert ballast.hold()
    assert (tmp_path / "ballast").stat().st_size == 1_000_000
