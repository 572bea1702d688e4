"""`retention:` of a booth's settings: what it makes of them, and mistakes in words."""

from pathlib import Path

import pytest

from edge_agent.config import read_config
from edge_agent.domain.errors import SettingsInvalid
from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.retention import BOOTH_DAYS, KeptDays
from tests.unit.port_gateway.signing import Party

FILE = """\
identity: {key: b/lane-1.key, certificate: b/lane-1.crt}
ledger: {directory: ledger}
uplink: {gateway: "localhost:7443", gateway_certificate: g/main.crt}
lanes: [{id: 1, expects: []}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    Party(tmp_path / "b", "spiffe://uslrd/booth/lane-1")
    Party(tmp_path / "g", "spiffe://uslrd/gateway/main", ("localhost",))
    return tmp_path / "booth.yaml"


def test_the_defaults_keep_no_whole_frame_without_a_finding(config: Path) -> None:
    config.write_text(FILE)
    rules = read_config(config).config.retention.rules()
    assert rules.days == BOOTH_DAYS
    assert rules.waiting == {EvidenceKind.FRAME}
    assert (rules.wait_s, rules.wait_longest_s) == (900, 86_400)


def test_what_is_given_lies_over_the_defaults(config: Path) -> None:
    config.write_text(
        FILE + "retention: {wait_min: 5, days: {plate_crop: {clear: 0, finding: 2.5}, frame: {clear: 1}}}"
    )
    rules = read_config(config).config.retention.rules()
    assert rules.days[EvidenceKind.PLATE_CROP] == KeptDays(0, 2.5, None)
    assert rules.days[EvidenceKind.FRAME] == KeptDays(1, None, None)
    assert rules.days[EvidenceKind.SCAN] == BOOTH_DAYS[EvidenceKind.SCAN]
    assert rules.waiting == {EvidenceKind.PLATE_CROP}
    assert rules.wait_s == 300


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ("{days: {fram: {clear: 1}}}", "retention.days.fram"),
        ("{days: {frame: 3}}", "retention.days.frame"),
        ("{days: {frame: {clear: 9, finding: 3}}}", "`clear` is longer than `finding`"),
        ("{days: {scan: {finding: 3, clear: null}}}", "`clear` is longer than `finding`"),
        ("{days: {frame: {finding: 0}}}", "evidence of a finding is kept"),
        ("{days: {frame: {clear: -1}}}", "retention.days.frame.clear"),
        ("{days: {frame: {finding: 15}}}", "15 days, and the ledger keeps what the port acknowledged for 14"),
        ("{wait_min: soon}", "retention.wait_min"),
        ("{keep: all}", "retention.keep"),
        ("no", "retention"),
    ],
)
def test_mistakes(config: Path, given: str, wrong: str) -> None:
    config.write_text(FILE + f"retention: {given}")
    with pytest.raises(SettingsInvalid) as mistake:
        read_config(config)
    assert wrong in str(mistake.value)
