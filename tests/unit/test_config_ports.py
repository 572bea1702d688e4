"""A port has one owner: two devices at one port are a mistake of the settings file, whatever the port is called."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge_agent.cli import main
from edge_agent.config import _shared
from edge_agent.devices.catalogue import drivers
from edge_agent.settings_file import Place
from edge_agent.wire.identity import Role, SpiffeId, create_identity

ANY = "0.0.0.0"  # noqa: S104 - nobody listens
HEAD = """\
identity: {key: keys/booth.key, certificate: keys/booth.crt}
ledger: {directory: ledger}
uplink: {gateway: "localhost:7443", gateway_certificate: keys/gateway.crt}
lanes:
  - id: 1
    expects: []
    devices:
"""


def said_of(folder: Path, first: str, second: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    create_identity(folder / "keys", "booth", SpiffeId("uslrd", Role.BOOTH, "lane-1"), now)
    create_identity(folder / "keys", "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), now, ("localhost",))
    path = folder / "booth.yaml"
    path.write_text(
        f'{HEAD}      - {{id: a, driver: barcode_scanner, link: {{url: "{first}"}}}}\n'
        "  - id: 2\n    expects: []\n    devices:\n"
        f'      - {{id: b, driver: barcode_scanner, link: {{url: "{second}"}}}}\n'
    )
    status = main(["check", str(path)])
    return status, capsys.readouterr().err


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/dev/ttyUSB7", "/dev/ttyUSB7"),
        ("/dev/ttyUSB7", "/dev/../dev/ttyUSB7"),
        ("socket://Moxa.example:4001", "socket://moxa.example:4001"),
        ("socket://192.0.2.1:4001", "rfc2217://192.0.2.1:4001?timeout=5"),
        ("socket://[::1]:4001", "socket://[0:0:0:0:0:0:0:1]:4001"),
    ],
)
def test_one_port_for_two(tmp_path: Path, first: str, second: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = said_of(tmp_path, first, second, capsys)
    assert status == 2
    assert f"booth.yaml:12: lanes.1.devices.0.link.url: {second} is of 'a' already" in said
    assert "→ a port or folder has one owner: give each device its own" in said


def test_one_port_under_two_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    master, slave = os.openpty()
    try:
        for name in ("usb-scanner", "usb-portal"):
            (tmp_path / name).symlink_to(os.ttyname(slave))
        status, said = said_of(tmp_path, f"{tmp_path}/usb-scanner", f"{tmp_path}/usb-portal", capsys)
        assert status == 2
        assert f"usb-portal is of 'a' already: both are {os.ttyname(slave)}" in said
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/dev/ttyUSB7", "/dev/ttyUSB8"),
        ("socket://192.0.2.1:4001", "socket://192.0.2.1:4002"),
        ("socket://192.0.2.1:4001", "socket://192.0.2.2:4001"),
    ],
)
def test_ports_of_their_own(tmp_path: Path, first: str, second: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said_of(tmp_path, first, second, capsys) == (0, "")


@pytest.mark.parametrize(
    ("driver", "first", "second", "said"),
    [
        ("aspect_modbus", {"host": "192.0.2.1"}, {"host": "192.0.2.1", "port": 502}, "port: 192.0.2.1:502 is of 'a'"),
        ("aspect_modbus", {"host": "192.0.2.1"}, {"host": "192.0.2.1", "unit": 2}, ""),
        ("llrp", {"host": "reader"}, {"host": "Reader"}, "port: Reader:5084 is of 'a'"),
        ("llrp", {"host": "::1"}, {"host": "::2"}, ""),
        ("watched_folder", {"directory": "scans"}, {"directory": "./scans/"}, "directory: ./scans/ is of 'a'"),
        ("watched_folder", {"directory": "scans"}, {"directory": "scans/2"}, ""),
        ("modem_lines", {"url": "/dev/x"}, {"url": "/dev/../dev/x"}, "url: /dev/../dev/x is of 'a'"),
        ("http_push", {"host": "127.0.0.1", "port": 80}, {"host": "127.0.0.1", "port": 80}, "port: 127.0.0.1:80 is of"),
        (
            "http_push",
            {"host": ANY, "port": 80},
            {"port": 80},
            "port: 127.0.0.1:80 is of 'a' already: it listens",
        ),
        ("http_push", {"port": 80}, {"host": ANY, "port": 80}, "port: 0.0.0.0:80 is of 'a' already: it listens"),
        ("http_push", {"port": 80}, {"host": "::", "port": 80}, "port: :::80 is of 'a' already: it listens on 127"),
        ("http_push", {"host": "::1", "port": 80}, {"host": "0::0", "port": 80}, "port: 0::0:80 is of 'a'"),
        ("http_push", {"host": ANY, "port": 80}, {"host": "::", "port": 80}, "port: :::80 is of 'a'"),
        ("http_push", {"host": "192.0.2.1", "port": 80}, {"host": "192.0.2.2", "port": 80}, ""),
        ("http_push", {"host": ANY, "port": 80}, {"port": 81}, ""),
        ("http_push", {"host": ANY, "port": 0}, {"host": ANY, "port": 0}, ""),
        ("http_push", {"host": ANY, "port": 8443}, {"host": ANY, "port": "8443"}, "port: 0.0.0.0:8443 is of 'a'"),
        ("http_push", {"host": ANY, "port": 8443.0}, {"port": " 8443 ", "host": "::"}, "port: :::8443 is of 'a'"),
        ("aspect_modbus", {"host": "h", "unit": 7}, {"host": "h", "unit": "7", "port": 502.0}, "port: h:502 is of 'a'"),
        ("http_push", {"host": ANY, "port": "8443.5"}, {"host": ANY, "port": "8443.5"}, ""),  # said of itself
    ],
)
def test_devices_behind_a_library(
    tmp_path: Path, driver: str, first: dict[str, object], second: dict[str, object], said: str
) -> None:
    row = drivers()[driver]
    devices: list[tuple[Place, dict[str, object]]] = [
        (("devices", index), {"id": name, "driver": driver, "settings": settings})
        for index, (name, settings) in enumerate((("a", first), ("b", second)))
    ]
    assert {*row.settings.model_fields} > {*first}
    found = [(".".join(map(str, m.place)), m.wrong) for m in _shared(devices, tmp_path)]
    assert len(found) == bool(said)
    if said:
        assert f"{found[0][0]}: {found[0][1]}".startswith(f"devices.1.settings.{said}")


@pytest.mark.parametrize(
    ("other", "settings", "meet"),
    [
        ("dicom_store", {"host": "127.0.0.1", "port": 104}, 1),
        ("dicom_store", {"host": "127.0.0.1", "port": 105}, 0),
        ("llrp", {"host": "192.0.2.9", "port": 104}, 0),  # far away it has a port of its own
    ],
)
def test_a_listener_for_all(tmp_path: Path, other: str, settings: dict[str, object], meet: int) -> None:
    devices: list[tuple[Place, dict[str, object]]] = [
        (("a",), {"id": "a", "driver": other, "settings": settings}),
        (("b",), {"id": "b", "driver": "http_push", "settings": {"host": ANY, "port": 104}}),
    ]
    assert len([*_shared(devices, tmp_path)]) == meet


def test_what_is_no_url_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = said_of(tmp_path, "socket://host:99999", "socket://[1:4001", capsys)
    assert status == 2
    assert "2 mistakes to correct" in said


def test_a_folder_of_scans_is_nobody_elses_either(tmp_path: Path) -> None:
    def folder(name: str, **settings: object) -> tuple[Place, dict[str, object]]:
        return (name,), {"id": name, "driver": "watched_folder", "settings": settings}

    one = folder("a", directory="scans")
    for other in ({"directory": "scans/done"}, {"directory": "b", "done_directory": "scans"}, {"directory": "a\0b"}):
        said = [m.wrong for m in _shared([one, folder("b", **other)], tmp_path)]
        assert len(said) == ("\0" not in str(other["directory"])), other
    elsewhere = folder("a", directory="scans", done_directory="put-away")
    assert [*_shared([elsewhere, folder("b", directory="scans/done")], tmp_path)] == []
    kept = {"after": "remember", "memory": "seen"}
    assert len([*_shared([folder("a", directory="a", **kept), folder("b", directory="b", **kept)], tmp_path)]) == 1


def test_a_folder_is_not_its_own_done_directory(tmp_path: Path) -> None:
    settings = {"directory": "scans", "done_directory": "./scans"}
    with pytest.raises(ValidationError, match="is the folder itself"):
        drivers()["watched_folder"].settings.model_validate(settings, context={"folder": tmp_path})
