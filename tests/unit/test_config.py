"""Every mistake of a booth's settings file is reported in one go, with what to do."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.cli import main
from edge_agent.config import read_config
from edge_agent.domain.errors import SettingsInvalid
from edge_agent.domain.inspection import Expected
from edge_agent.wire.identity import Role, SpiffeId, create_identity

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = """\
identity: {key: keys/booth.key, certificate: keys/booth.crt}
ledger: {directory: ledger}
uplink: {gateway: "localhost:7443", gateway_certificate: keys/gateway.crt}
lanes:
  - id: 1
    expects: [plate, container_code, seal, radiation]
    devices:
      - {id: portal, driver: rapiscan_vm250, link: {url: "socket://127.0.0.1:1600"}}
      - {id: scanner, driver: barcode_scanner, link: {url: /dev/serial/by-id/usb-scanner}}
    cameras:
      - {id: front, source: "rtsp://admin:secret@192.0.2.20/stream", role: plate}
      - {id: side, source: clips/side.mp4, role: container}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_identity(tmp_path / "keys", "booth", SpiffeId("uslrd", Role.BOOTH, "lane-1"), NOW)
    create_identity(tmp_path / "keys", "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), NOW, ("localhost",))
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "booth.yaml"
    path.write_text(text)
    return path


def mistakes(folder: Path, text: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        read_config(written(folder, text))
    return str(caught.value)


def test_a_good_file(folder: Path) -> None:
    setup = read_config(written(folder, GOOD))
    assert str(setup.booth) == "spiffe://uslrd/booth/lane-1"
    assert setup.ledger == folder / "ledger"
    [lane] = setup.lanes
    assert lane.rules.lane_id == "1"
    gives = {provider.device_id: provider.gives for provider in lane.providers}
    assert gives["portal"] == {Expected.RADIATION}
    assert gives["side"] == {Expected.CONTAINER_CODE}
    assert lane.cameras[1].source == str(folder / "clips/side.mp4")


def test_check_says_what_was_understood(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(written(folder, GOOD))]) == 0
    said = capsys.readouterr().out
    assert "no mistakes" in said
    assert "rtsp://192.0.2.20" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("change", "to", "expected"),
    [
        (
            "rapiscan_vm250",
            "rapiscan_vm25",
            "booth.yaml:8: lanes.0.devices.0.driver: there is no driver 'rapiscan_vm25'\n  → did you mean rapis",
        ),
        ("id: scanner", "id: portal", "booth.yaml:9: lanes.0.devices.1.id: 'portal' stands here a second time"),
        (
            "side.mp4, role: container",
            "side.mp4, role: plate",
            "booth.yaml:6: lanes.0.expects.1: the lane expects container_code",
        ),
        ("socket://127.0.0.1:1600", "tcp://127.0.0.1:1600", "booth.yaml:8: lanes.0.devices.0.link.url"),
        (
            "settle_s",
            "settle_s",
            "booth.yaml:8: lanes.0.devices.0.settings.formt: no such setting\n  → did you mean format?",
        ),
        ("keys/booth.key", "keys/gateway.key", "do not belong together"),
        ("keys/gateway.crt", "keys/absent.crt", "uplink.gateway_certificate"),
        ("localhost:7443", "localhost:70000", "booth.yaml:3: uplink.gateway: a port is at most 65535"),
        ('localhost:7443"', 'localhost:7443", keepalive_s: .inf', "booth.yaml:3: uplink.keepalive_s"),
        (
            "keys/booth.key, certificate: keys/booth.crt",
            "keys/gateway.key, certificate: keys/gateway.crt",
            "is no booth",
        ),
        ("expects: [plate,", "expects: [plates,", "booth.yaml:6: lanes.0.expects.0"),
        ("expects: [plate,", "expects: [plate: ,", "booth.yaml:6: lanes.0.expects.0"),
        ('link: {url: "socket://127.0.0.1:1600"}', "link: ", "booth.yaml:8: lanes.0.devices.0: the driver rapiscan_vm"),
        ("id: scanner", "id: 'a b'", "booth.yaml:9: lanes.0.devices.1.id: an id has letters of A to Z, digits,"),
        ("localhost:7443", "https://localhost:7443", "booth.yaml:3: uplink.gateway: must be host:port, with nothing"),
        ("keys/gateway.crt", "5", "booth.yaml:3: uplink.gateway_certificate: must be the path of a file or folder"),
        ("lanes:", "lane:", "booth.yaml:4: lane: no such setting"),
        ("rtsp://", "rtsp:/", "booth.yaml:11: lanes.0.cameras.0.source: an address begins with rtsp://"),
        pytest.param(
            "secret@",
            "sec/ret@",
            "booth.yaml:11: lanes.0.cameras.0.source: no address with a port; in a password / is",
            id="a slash in a password",
        ),
        ("keys/gateway.crt", "absent", "No such file or directory\n  → check the path, or ask the port's operator"),
        ("booth.crt}", "booth.crt, session_h: 0.5}", "booth.yaml:1: identity.session_h: must be at least 1"),
        ("booth.crt}", "booth.crt, session_h: 200}", "booth.yaml:1: identity.session_h: must be at most 168"),
        ("booth.crt}", "booth.crt, session_h: .nan}", "booth.yaml:1: identity.session_h: "),
        ("booth.crt}", "booth.crt, session_h: never}", "booth.yaml:1: identity.session_h: "),
        ("keys/booth.key", "keys/booth.crt", "keys/booth.crt: a certificate, and no key\n  → give the .key file"),
    ],
)
def test_a_mistake(folder: Path, change: str, to: str, expected: str) -> None:
    text = GOOD.replace(change, to, 1)
    if "formt" in expected:
        text = GOOD.replace('1600"}}', '1600"}, settings: {formt: wire}}')
    said = mistakes(folder, text)
    assert expected in said
    assert "secret" not in said


def test_many_mistakes_in_one_go(folder: Path) -> None:
    said = mistakes(
        folder,
        GOOD.replace("rapiscan_vm250", "x")
        .replace("keys/gateway.crt", "y")
        .replace("id: scanner", "id: portal")
        .replace("keys/booth.key, certificate: keys/booth.crt", "keys/a.key, certificate: keys/b.crt"),
    )
    assert "identity.key" in said
    assert "identity.certificate" in said
    assert "there is no driver 'x'" in said
    assert "uplink.gateway_certificate" in said
    assert "'portal' stands here a second time" in said
    assert "the lane expects" not in said  # what x would give is not known
    assert "5 mistakes to correct" in said
    for unread in (GOOD.replace("role: plate", "role: plates"), GOOD.replace("devices:", "devices: 5\n    x:")):
        said = mistakes(folder, unread)
        assert "cameras.0.role: must be" in said or "devices: must be a list" in said
        assert "the lane expects" not in said


def test_a_key_in_the_settings_place_is_not_shown(folder: Path) -> None:
    said = mistakes(folder, (folder / "keys/booth.key").read_text())
    assert "must be a mapping" in said
    assert "BEGIN" not in said


def test_the_command_ends_with_status_2_and_no_traceback(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder / "absent.yaml")]) == 2
    assert "absent.yaml: cannot be read" in capsys.readouterr().err


def test_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = str(tmp_path / "keys")
    assert main(["keys", "init", "spiffe://uslrd/booth/lane-1", "--out", keys]) == 0
    assert main(["keys", "init", "spiffe://uslrd/booth/lane-1", "--out", keys]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["keys", "init", "spiffe://uslrd/gateway/main", "--out", keys]) == 2
    assert "names a gateway" in capsys.readouterr().err
    assert main(["keys", "show", f"{keys}/booth.crt", "--json"]) == 0
    assert '"identity": "spiffe://uslrd/booth/lane-1"' in capsys.readouterr().out


def test_an_expired_certificate_is_said_and_does_not_stop_the_booth(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (folder / "keys").glob("booth.*"):
        path.unlink()
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    create_identity(folder / "keys", "booth", SpiffeId("uslrd", Role.BOOTH, "lane-1"), long_ago)
    path = written(folder, GOOD)
    assert main(["check", str(path)]) == 2
    said = capsys.readouterr()
    assert "identity.certificate: expired at 2002-04-05" in said.err
    assert "no mistakes" not in said.out
    assert str(read_config(path).booth) == "spiffe://uslrd/booth/lane-1", "it records all the same"
