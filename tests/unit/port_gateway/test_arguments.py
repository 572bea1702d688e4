"""What the commands say of an argument that they do not take."""

from pathlib import Path

import pytest

from edge_agent.wire.identity import SpiffeId, create_identity
from port_gateway.cli import main
from tests.unit.port_gateway.signing import NOW

TAIL = ["tail", "--gateway", "h:1", "--gateway-certificate", "g", "--key", "k", "--certificate", "c"]
WATCH = ["watchlist", "add", "g.yaml", "plate", "AB1", "--tell", "x"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["decide", "g.yaml", "ID", "maybe", "--officer", "a", "--reason", "b"], "'release', 'refer', 'hold'"),
        ([*WATCH, "--severity", "x"], "'notice', 'warning', 'alarm'"),
        ([*WATCH, "--recommends", "x"], "'release', 'refer', 'hold'"),
        (["expect", "add", "g.yaml", "A", "--plate", "AB1", "--loading", "half"], "'laden', 'empty'"),
        ([*TAIL, "--wait", "nan"], "nan: give seconds, more than 0"),
        ([*TAIL, "--wait", "-1"], "-1: give seconds, more than 0"),
        ([*TAIL[:2], "localhost", *TAIL[3:]], "'localhost' is no host:port, like gateway.example:7443"),
        ([*TAIL, "--wait", "soon"], "soon: give seconds, more than 0"),
    ],
)
def test_what_is_taken_is_said_in_plain_words(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert said in capsys.readouterr().err


def test_a_key_of_another_certificate_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TLS would say that no handshaker can be made."""
    for name in ("a", "b"):
        create_identity(tmp_path, name, SpiffeId.parse(f"spiffe://uslrd/back-office/{name}"), NOW)
    gateway = create_identity(tmp_path, "g", SpiffeId.parse("spiffe://uslrd/gateway/main"), NOW, ("localhost",))[1]
    key, certificate = tmp_path / "a.key", tmp_path / "b.crt"
    where = ["--gateway", "localhost:1", "--gateway-certificate", str(gateway)]
    assert main(["tail", *where, "--key", str(key), "--certificate", str(certificate)]) == 2
    assert f"{key} does not belong to {certificate}\n  → give the pair of one" in capsys.readouterr().err
