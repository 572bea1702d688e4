from pathlib import Path

import pytest

from edge_agent.domain.errors import SettingsInvalid
from port_gateway import config


def example() -> str:
    """The settings file in the module's docstring."""
    assert config.__doc__
    return "\n".join(line[4:] for line in config.__doc__.split("folder of the file:")[1].splitlines())


def test_the_documented_example_is_valid_and_paths_follow_the_file(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(example())
    settings = config.read_config(path)
    assert settings.identity.key == tmp_path / "keys/gateway.key"
    assert settings.database == tmp_path / "inbox/inbox.sqlite"
    assert settings.limits.database_bytes == 500_000_000_000
    assert settings.time is not None
    assert settings.time.authority == tmp_path / "keys/tsa-root.pem"


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        "identity: {key: a}\nlisten: 10.0.0.1:99999\ndata: d\n"
        "limits:\n  heartbeat_s: 11\n  window_records: 1\n  typo: 1\n"
    )
    with pytest.raises(SettingsInvalid) as caught:
        config.read_config(path)
    for word in ("certificate", "65535", "heartbeat_s", "window_records", "typo"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ftp://tsa.example", "https://tsa.example:99999/", "http://user@tsa.example/", "http://:80/", "tsa"]
)
def test_an_address_of_a_time_stamp_authority(tmp_path: Path, url: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(example().replace("http://tsa.example/tsr", url))
    with pytest.raises(SettingsInvalid, match="url"):
        config.read_config(path)


@pytest.mark.parametrize("listen", ["localhost", ":7443", "0.0.0.0:", "a b:7443", "0.0.0.0:7443 "])
def test_an_address_is_a_host_and_a_port(tmp_path: Path, listen: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(example().replace("listen: 0.0.0.0:7443", f"listen: {listen!r}"))
    with pytest.raises(SettingsInvalid, match="listen: is no host:port, like"):
        config.read_config(path)


@pytest.mark.parametrize("place", ["listen: 0.0.0.0:7443", "listen: 0.0.0.0:7444", "admin: {}"])
def test_a_port_that_there_is_not(tmp_path: Path, place: str) -> None:
    path = tmp_path / "gateway.yaml"
    wrong = "admin: {listen: '127.0.0.1:65536'}" if place.startswith("admin") else "listen: 0.0.0.0:65536"
    assert place in example()
    path.write_text(example().replace(place, wrong))
    with pytest.raises(SettingsInvalid, match="listen: a port is at most 65535"):
        config.read_config(path)
