from pathlib import Path

import pytest
import yaml

from edge_agent.config_console import read_console
from edge_agent.domain.errors import SettingsInvalid


def read(folder: Path, **console: object) -> str:
    path = folder / "booth.yaml"
    path.write_text(yaml.safe_dump({"ledger": {"directory": "ledger"}, "console": console}))
    try:
        read_console(path)
    except SettingsInvalid as invalid:
        return str(invalid)
    return ""


def test_the_page_of_this_computer_needs_nothing(tmp_path: Path) -> None:
    assert read(tmp_path) == ""
    assert read(tmp_path, listen="[::1]:8780", time_zone="America/Chicago") == ""


@pytest.mark.parametrize(
    ("console", "wrong"),
    [
        ({"listen": "192.0.2.5:8780", "password_file": "p"}, "there is no TLS"),
        ({"listen": "192.0.2.5:8780", "certificate": "c", "key": "k"}, "anybody may look"),
        ({"listen": "0.0.0.0:8780", "certificate": "c", "key": "k", "clients": "a"}, "no address that a browser calls"),
        ({"certificate": "c"}, "certificate and key go together"),
        ({"clients": "a"}, "over TLS only"),
        ({"certificate": "c", "key": "k"}, "is not there"),
        ({"password_file": "p"}, "console set-password"),
        ({"listen": "booth-7:8780"}, "ADDRESS:PORT"),
        ({"listen": "127.0.0.1:99999"}, "ADDRESS:PORT"),
        ({"names": ["https://booth-7"]}, "without scheme"),
        ({"time_zone": "../../etc/passwd"}, "time zone"),
        ({"password": "secret"}, "password"),
    ],
)
def test_a_door_that_is_open_by_mistake_is_named(tmp_path: Path, console: dict[str, object], wrong: str) -> None:
    assert wrong in read(tmp_path, **console)


def test_a_booth_without_the_section_has_no_page(tmp_path: Path) -> None:
    path = tmp_path / "booth.yaml"
    path.write_text("ledger: {directory: ledger}\n")
    with pytest.raises(SettingsInvalid, match="this booth has no page"):
        read_console(path)


def test_a_socket_that_no_path_can_name_is_said_before_it_is_made(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    assert "longer than 107 bytes" in read(folder)
