"""The table of rules in a booth's settings file."""

from pathlib import Path

import pytest

from edge_agent.config import read_config
from edge_agent.config_findings import FindingsSettings
from edge_agent.domain.finding import Recommendation, Severity
from edge_agent.inspection.rules import TABLE, Limits, Rule, Rules
from tests.unit.test_config import GOOD, folder, mistakes, written

__all__ = ["folder"]


def rules(folder: Path, findings: str) -> Rules:
    setup = read_config(written(folder, f"{GOOD}\nfindings:\n{findings}"))
    return setup.lanes[0].rules.findings


def test_without_a_word_all_rules_are_on(folder: Path) -> None:
    assert read_config(written(folder, GOOD)).lanes[0].rules.findings == Rules(TABLE, Limits())
    assert list(FindingsSettings.model_fields) == list(TABLE)


def test_a_rule_can_be_off(folder: Path) -> None:
    table = rules(
        folder, "  no_expectation: off\n  seal_missing: {enabled: false}\n  seal_other: on\n  not_read: false"
    ).table
    assert TABLE.keys() - table.keys() == {"no_expectation", "seal_missing", "not_read"}


def test_a_rule_can_be_graver_and_of_some_devices(folder: Path) -> None:
    table = rules(folder, "  seal_missing: {severity: alarm, recommends: hold, devices: [scanner]}").table
    assert table["seal_missing"] == Rule(Severity.ALARM, Recommendation.HOLD, frozenset({"scanner"}))
    assert table["seal_broken"] == TABLE["seal_broken"]


def test_limits(folder: Path) -> None:
    limits = rules(
        folder,
        """  weight_off: {share: 0.08, least_kg: 300, adds_up: true}
  laden_declared_empty: {most_kg: 18000}
  empty_declared_laden: {least_kg: 9000}
  late_expectation: {within_s: 60}
  trusted_condition: {sealed: [OEA], lanes: {"1": [FAST, C-TPAT]}}""",
    ).limits
    lanes = {"1": frozenset({"FAST", "C-TPAT"})}
    assert limits == Limits(0.08, 300, True, 18000, 9000, frozenset({"OEA"}), lanes, 60)


@pytest.mark.parametrize(
    ("findings", "place", "words"),
    [
        ("  seal_mising: off", "findings.seal_mising", "no such setting\n  → did you mean seal_missing?"),
        ("  seal_missing: {limit: 3}", "findings.seal_missing.limit", "no such setting"),
        (
            "  weight_off: {devices: [scanner, scael]}",
            "findings.weight_off.devices.1",
            "there is no device or camera 'scael'",
        ),
        ("  weight_off: {share: 1.5}", "findings.weight_off.share", "must be at most 1"),
        ("  weight_off: {least_kg: true}", "findings.weight_off.least_kg", "must be a number"),
        ("  weight_off: 0.05", "findings.weight_off", "must be a mapping"),
        ("  seal_missing: {severity: grave}", "findings.seal_missing.severity", "must be 'notice', 'warning'"),
        ("  seal_missing: {recommends: stop}", "findings.seal_missing.recommends", "must be 'release', 'refer'"),
        (
            "  trusted_condition: {sealed: [FAST, FASST]}",
            "findings.trusted_condition.sealed.1",
            "there is no programme 'FASST'\n  → did you mean FAST?",
        ),
        ('  trusted_condition: {lanes: {"9": [FAST]}}', "findings.trusted_condition.lanes.9", "there is no lane '9'"),
        (
            '  trusted_condition: {lanes: {"1": [FAST, X]}}',
            "findings.trusted_condition.lanes.1.1",
            "there is no programme 'X'",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(folder: Path, findings: str, place: str, words: str) -> None:
    text = f"{GOOD}\nfindings:\n{findings}"
    said = mistakes(folder, text)
    line = text.splitlines().index(findings) + 1
    assert f":{line}: {place}: {words}" in said, said
