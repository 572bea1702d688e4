"""Files that a device's settings name are looked at when the file is checked, and not when the first scan comes."""

import os
from pathlib import Path

import pytest
from pydantic import BaseModel

from edge_agent.config import Device, DeviceConfig, read_config
from edge_agent.devices.catalogue import SourceDriver
from edge_agent.domain.errors import SettingsInvalid
from tests.certificates import certificates
from tests.unit import test_config_ports
from tests.unit.test_config import folder

HEAD = test_config_ports.HEAD
__all__ = ["folder"]


def mistakes(folder: Path, settings: str, driver: str = "http_push") -> str:
    path = folder / "booth.yaml"
    path.write_text(f"{HEAD}      - {{id: a, driver: {driver}, settings: {{{settings}}}}}\n")
    try:
        read_config(path)
    except SettingsInvalid as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (None, "token cannot be read: No such file or directory: write the token into it, on one line"),
        ("short", "is not 16 or more printable characters on one line: make one: `openssl rand -hex 32`"),
        ("f3b1c8de9a7744c0a1d2\n", ""),
    ],
)
def test_the_token(folder: Path, token: str | None, why: str) -> None:
    if token is not None:
        (folder / "token").write_text(token)
    said = mistakes(folder, "port: 8080, token_file: token")
    assert why in said
    assert said.startswith(f"{folder}/booth.yaml:8: lanes.0.devices.0.settings.token_file: ") is bool(why)


def test_certificates(folder: Path) -> None:
    (folder / "token").write_text("f3b1c8de9a7744c0a1d2")
    made = certificates(folder)
    head, whole = "port: 8080, token_file: token", f"certificate: {made.server}, key: {made.server_key}"
    assert mistakes(folder, f"{head}, tls: {{{whole}}}") == ""
    said = mistakes(folder, f"{head}, tls: {{certificate: absent, key: {made.server_key}}}")
    assert f"booth.yaml:8: lanes.0.devices.0.settings.tls: the certificate {folder}/absent with the key" in said
    assert "cannot be used: No such file or directory: give both" in said
    said = mistakes(folder, f"{head}, tls: {{certificate: {made.server}, key: {folder}/keys/booth.key}}")
    assert "cannot be used: key values mismatch: give both" in said
    said = mistakes(folder, f"port: 104, calling_ae_titles: [X], tls: {{{whole}, client_ca: no}}", "dicom_store")
    assert f"settings.tls: the clients' authorities {folder}/no cannot be used" in said


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("host: h, antennas: 1", "antennas: must be a list\n  → put [ ] around it"),
        ("host: h, antenas: [1]", "antenas: no such setting\n  → did you mean antennas? there are: "),
        (
            "port: 1",
            "8: lanes.0.devices.0.settings.host: this setting is missing\n  → add it (see docs/devices/llrp.md)",
        ),
        (
            "host: h, port: many",
            "port: must be a whole number\n  → it is 'many': correct it (see docs/devices/llrp.md)",
        ),
        (
            "host: h, seals: {tamper: {bank: USER, word: 0, bit: 0}}",
            "bank: must be 'epc', 'tid' or 'user'\n  → did you",
        ),
    ],
)
def test_a_drivers_settings_are_judged_in_the_same_words(folder: Path, settings: str, expected: str) -> None:
    said = mistakes(folder, settings, "llrp")
    assert expected in said
    assert "1 mistake to correct" in said


def test_settings_that_are_no_mapping_are_one_mistake(folder: Path) -> None:
    (folder / "booth.yaml").write_text(f"{HEAD}      - {{id: a, driver: llrp, settings: 192.0.2.31}}\n")
    with pytest.raises(SettingsInvalid, match=r"settings: must be a mapping") as caught:
        read_config(folder / "booth.yaml")
    assert "1 mistake to correct" in str(caught.value)


def test_the_memory_of_a_folder(folder: Path) -> None:
    settings = "directory: scans, after: remember, memory: {}"
    assert mistakes(folder, settings.format("seen"), "watched_folder") == ""
    said = mistakes(folder, settings.format("absent/seen"), "watched_folder")
    assert f"settings.memory: the folder {folder}/absent is not there: make it, on a local disk" in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("keys/booth.key", "keys\\0/booth.key", "1: identity.key: "),
        ("keys/booth.key", "file:keys/booth.key?passphrase-file=a\\0b", "1: identity.key: "),
        ("keys/booth.crt", "keys\\0/booth.crt", "1: identity.certificate: "),
        ("keys/gateway.crt", "\\0", "3: uplink.gateway_certificate: "),
        ("directory: ledger", 'directory: "led\\0ger"', "2: ledger.directory: "),
        ("port: 8080", 'port: 8080, token_file: "\\0"', "8: lanes.0.devices.0.settings.token_file: "),
        ("port: 8080", 'port: 8080, host: "a\\0b"', "8: lanes.0.devices.0.settings.host: "),
    ],
)
def test_a_nul_character_is_told_with_its_line(folder: Path, old: str, new: str, said: str) -> None:
    (folder / "token").write_text("f3b1c8de9a7744c0a1d2")
    path, text = folder / "booth.yaml", HEAD.replace("key: keys", 'key: "keys').replace("key, cert", 'key", cert')
    text = text.replace("certificate: keys/booth.crt", 'certificate: "keys/booth.crt"')
    text = text.replace("keys/gateway.crt", '"keys/gateway.crt"')
    text += "      - {id: a, driver: http_push, settings: {port: 8080, token_file: token}}\n"
    path.write_text(text)
    read_config(path)
    path.write_text(
        text.replace(", token_file: token", "").replace(old, new) if "token" in new else text.replace(old, new)
    )
    with pytest.raises(SettingsInvalid) as caught:
        read_config(path)
    assert f"booth.yaml:{said}a NUL character stands in it\n  → write it without \\0\n" in str(caught.value)
    assert str(caught.value).count(f"booth.yaml:{said}") == 1


def test_a_scanners_prefix_may_hold_one(folder: Path) -> None:
    path = folder / "booth.yaml"
    path.write_text(
        HEAD + '      - {id: a, driver: barcode_scanner, link: {url: /dev/x}, settings: {prefix: ["\\0", "\\x02"]}}\n'
    )
    assert read_config(path).lanes[0].devices[0].where == "/dev/x"


@pytest.mark.parametrize(
    ("driver", "settings", "where"),
    [
        ("aspect_modbus", "host: h", "host h, port 502"),
        ("llrp", "host: h, port: 5085", "host h, port 5085"),
        ("http_push", "port: 8080, token_file: token", "host 127.0.0.1, port 8080"),
        ("watched_folder", "directory: scans", "directory scans"),
        ("modem_lines", "url: /dev/x, lines: {cts: {sensor: loop}}", "url /dev/x"),
    ],
)
def test_where_a_device_is_stands_in_its_settings_or_its_drivers_defaults(
    folder: Path, driver: str, settings: str, where: str
) -> None:
    (folder / "token").write_text("f3b1c8de9a7744c0a1d2")
    path = folder / "booth.yaml"
    path.write_text(f"{HEAD}      - {{id: a, driver: {driver}, settings: {{{settings}}}}}\n")
    assert read_config(path).lanes[0].devices[0].where == where


def test_a_device_whose_settings_name_no_place_says_so() -> None:
    class Settings(BaseModel):
        host: str = ""

    driver = SourceDriver("x", "x", "x", frozenset(), Settings, lambda settings, clock: NotImplemented)
    assert Device(DeviceConfig(id="a", driver="x"), driver, Settings()).where == "not stated"


@pytest.mark.parametrize(
    ("directory", "why"),
    [
        ("ledger", ""),
        ("a/b/ledger", ""),
        ("booth.yaml", "booth.yaml is no folder"),
        ("booth.yaml/ledger", "booth.yaml is no folder"),
        ("gone/ledger", "gone leads nowhere"),
    ],
)
def test_where_no_ledger_can_lie(folder: Path, directory: str, why: str) -> None:
    (folder / "gone").symlink_to("nowhere")
    path = folder / "booth.yaml"
    path.write_text(f"{HEAD.replace('directory: ledger', f'directory: {directory}')}      []\n")
    if not why:
        read_config(path)
        return
    with pytest.raises(SettingsInvalid, match=f"booth.yaml:2: ledger.directory: .*{why}"):
        read_config(path, files=False)


def test_a_ledger_on_a_disk_that_is_mounted_read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "booth.yaml"
    path.write_text(f"{HEAD}      []\n")
    read_config(path, files=False)
    asked: list[Path] = []

    def read_only(there: Path) -> os.statvfs_result:  # a mount needs rights that a test does not have
        asked.append(there)
        return os.statvfs_result((4096, 4096, 10, 5, 5, 10, 5, 5, os.ST_RDONLY, 255))

    monkeypatch.setattr(os, "statvfs", read_only)
    with pytest.raises(SettingsInvalid, match=f"booth.yaml:2: ledger.directory: {folder} is on a disk .* read-only"):
        read_config(path, files=False)
    (folder / "ledger").mkdir()
    with pytest.raises(SettingsInvalid, match=f"{folder}/ledger is on a disk that is mounted read-only"):
        read_config(path, files=False)
    assert asked == [folder, folder / "ledger"]
