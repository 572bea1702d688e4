"""What the commands say of an argument that they do not take."""

import pytest

from port_gateway.cli import main

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
        ([*TAIL, "--wait", "soon"], "soon: give seconds, more than 0"),
    ],
)
def test_what_is_taken_is_said_in_plain_words(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert said in capsys.readouterr().err
