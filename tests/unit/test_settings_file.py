from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from edge_agent.domain.errors import SettingsInvalid
from edge_agent.settings_file import MAX_BYTES, parse_settings, read_settings


class Device(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    url: str = Field(default="", pattern="^(socket|rfc2217)://")
    baud: int = Field(default=9600, gt=0)


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    booth: str
    devices: list[Device] = []


def mistakes(text: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        parse_settings(text, Settings, "booth.yaml")
    return str(caught.value)


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "booth.yaml"
    path.write_text("booth: lane-1\ndevices:\n  - {id: rpm, baud: 4800}\n")
    settings = read_settings(path, Settings)
    assert settings.devices[0].baud == 4800


def test_every_mistake_in_one_go_each_with_its_line() -> None:
    said = mistakes("boot: lane-1\ndevices:\n  - id: rpm\n    baud: fast\n  - baud: -1\n    bawd: 3\n")
    assert "booth.yaml:1: booth: this setting is missing\n  → add it" in said
    assert "booth.yaml:1: boot: no such setting" in said
    assert "booth.yaml:4: devices.0.baud:" in said
    assert "it is 'fast'" in said
    assert "booth.yaml:5: devices.1.id: this setting is missing" in said
    assert "booth.yaml:5: devices.1.baud:" in said
    assert "booth.yaml:6: devices.1.bawd: no such setting" in said
    assert "6 mistakes to correct in booth.yaml" in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty"),
        ("booth: [", "booth.yaml:1: not YAML"),
        ("booth: a\nbooth: b\n", "booth.yaml:2: 'booth' stands here a second time"),
        ("booth: &a x\ndevices: [*a]\n", "booth.yaml:2: not YAML: aliases"),
        ("- 1\n", "booth.yaml:1: the file:"),
        ("booth: !!python/object/apply:os.system [ls]\n", "booth.yaml:1: not YAML"),
        ("booth: \x00\n", "not YAML"),
        ("? [booth]\n: a\n", "booth.yaml:1: not YAML"),
        ("? {booth: a}\n: a\n", "booth.yaml:1: not YAML"),
        ("[" * 5000, "nested too deep"),
    ],
)
def test_what_is_no_settings_file(text: str, expected: str) -> None:
    assert expected in mistakes(text)


@pytest.mark.parametrize("password", ["secret", "sec/secret", "at@secret", "secret#?&"])
@pytest.mark.parametrize("where", ["{id: cam, url: 'URL'}", "'URL'", "{id: cam, rl: 'URL'}", "{id: cam, 'URL': 1}"])
def test_a_password_in_a_url_is_not_repeated(password: str, where: str) -> None:
    url = f"rtsp://admin:{password}@10.0.0.1/"
    said = mistakes(f"booth: a\ndevices:\n  - {where.replace('URL', url)}\n")
    assert "devices.0" in said
    assert "secret" not in said


@pytest.mark.parametrize("written", ["010", "07", "0x1F", "1:30"])
def test_a_number_is_what_is_written(written: str) -> None:
    assert parse_settings(f"booth: {written}\n", Settings, "booth.yaml").booth == written


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for content, expected in ((b"\xff\xfe", "not UTF-8"), (b"#" * (MAX_BYTES + 1), "larger than")):
        path = tmp_path / "booth.yaml"
        path.write_bytes(content)
        with pytest.raises(SettingsInvalid, match=expected):
            read_settings(path, Settings)
    with pytest.raises(SettingsInvalid, match="No such file"):
        read_settings(tmp_path / "absent.yaml", Settings)
