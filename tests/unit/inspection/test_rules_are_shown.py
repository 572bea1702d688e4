"""Every numbered rule by which an observation gets to its vehicle is shown by a script that carries its number."""

import re
from pathlib import Path
from types import ModuleType

import pytest

from edge_agent.inspection import belonging, expected, lane, recount, roles, row, statistics

HERE = Path(__file__).parent
# Where the scripts of each module's rules are.
SHOWN = {
    lane: ("test_lane*.py", "test_scans.py", "test_strays.py", "../test_kept_lane*.py"),
    row: ("test_row*.py",),
    roles: ("test_roles.py",),
    belonging: ("test_belonging.py",),
    expected: ("test_expected.py",),
    statistics: ("test_statistics.py", "../test_recount.py"),
    recount: ("../test_recount.py",),
}


@pytest.mark.parametrize("module", SHOWN, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_rule_has_its_script(module: ModuleType) -> None:
    rules = [number.lower() for number in re.findall(r"^(P?\d+)\. ", module.__doc__ or "", re.MULTILINE)]
    assert len(rules) >= 4
    assert len(set(rules)) == len(rules)
    scripts = [path.read_text() for pattern in SHOWN[module] for path in HERE.glob(pattern)]
    shown = re.findall(r"def test_rules?_(p?\d+)(?:_and_(p?\d+))?_", "".join(scripts))
    assert set(rules) == {number for numbers in shown for number in numbers if number}
