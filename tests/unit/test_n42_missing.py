"""A booth without SpecUtils is told so when its settings are read, not when the first vehicle comes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.config import read_config
from edge_agent.devices.drivers import spectroscopic_n42
from edge_agent.domain.errors import SettingsInvalid
from edge_agent.replay import replay
from edge_agent.wire.identity import Role, SpiffeId, create_identity

BOOTH = """\
identity: {key: keys/booth.key, certificate: keys/booth.crt}
ledger: {directory: ledger}
uplink: {gateway: "localhost:7443", gateway_certificate: keys/gateway.crt}
lanes:
  - id: 1
    expects: [radiation]
    devices:
      - id: spectrum
        driver: spectroscopic_n42
        link: {url: "socket://127.0.0.1:10001"}
        settings: {document_limit: 1000000}
"""


@pytest.fixture
def booth(tmp_path: Path) -> Path:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    create_identity(tmp_path / "keys", "booth", SpiffeId("uslrd", Role.BOOTH, "lane-1"), now)
    create_identity(tmp_path / "keys", "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), now, ("localhost",))
    path = tmp_path / "booth.yaml"
    path.write_text(BOOTH)
    return path


def test_the_settings_file_names_what_to_install(booth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_config(booth).lanes[0].devices[0].driver.name == "spectroscopic_n42"
    monkeypatch.setattr(spectroscopic_n42, "installed", lambda: False)
    with pytest.raises(
        SettingsInvalid, match=r"booth.yaml:11: .*settings: reading N42 documents needs SandiaSpecUtils"
    ):
        read_config(booth)


def test_a_replay_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectroscopic_n42, "installed", lambda: False)
    capture = tmp_path / "portal.capture"
    capture.write_bytes(b"\x02<RadInstrumentData/>\x03")
    with pytest.raises(SettingsInvalid, match=r"pip install 'edge-agent\[n42\]'"):
        tuple(replay("spectroscopic_n42", capture))
