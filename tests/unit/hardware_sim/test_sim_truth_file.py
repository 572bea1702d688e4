"""The truth's file belongs to one run at a time."""

from pathlib import Path

import pytest

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.world.truth import TruthFile


def test_a_second_run_does_not_take_the_truth_of_the_first(tmp_path: Path) -> None:
    first = TruthFile(tmp_path / "truth.jsonl")
    first.write({"id": "1-0001"})
    with pytest.raises(SettingsInvalid, match="another run that still goes on"):
        TruthFile(tmp_path / "truth.jsonl")
    assert (tmp_path / "truth.jsonl").read_text() == '{"id": "1-0001"}\n'
    first.close()
    again = TruthFile(tmp_path / "truth.jsonl")
    again.begin()
    assert (tmp_path / "truth.jsonl").read_text() == "", "an earlier run's is replaced"
    again.write({"id": "1-0001"})
    again.close()


def test_a_full_disk_is_told_in_words() -> None:
    truth = TruthFile(Path("/dev/full"))
    with pytest.raises(SettingsInvalid, match="/dev/full: the truth cannot be written: No space left on device"):
        truth.write({"id": "1-0001"})
    truth.close()
