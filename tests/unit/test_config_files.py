"""Files that a device's settings name are looked at when the file is checked, and not when the first scan comes."""

from pathlib import Path

import pytest

from edge_agent.config import read_config
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
