"""The commands that the README and the operator's page tell people to type exist."""

import re
from pathlib import Path

import pytest

import edge_agent.cli
import hardware_sim.cli
import port_gateway.cli

ROOT = Path(__file__).parents[2]
MAINS = {
    "edge-agent": edge_agent.cli.main,
    "port-gateway": port_gateway.cli.main,
    "hardware-sim": hardware_sim.cli.main,
}
MENTION = re.compile(r"(?<![\w'/-])(edge-agent|port-gateway|hardware-sim)((?: [a-z]+)+)")
GROUPS = {"keys", "trust", "ledger", "devices", "camera"}


def mentioned() -> set[tuple[str, ...]]:
    found = set()
    for page in ("README.md", "docs/operate.md", "docs/simulator.md", "docs/benchmarks.md"):
        for code in re.findall(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", (ROOT / page).read_text(), re.DOTALL):
            for program, words in MENTION.findall("".join(code)):
                command = words.split()
                found.add((program, *command[: 2 if command[0] in GROUPS else 1]))
    return found


def test_something_is_mentioned() -> None:
    assert {("edge-agent", "run"), ("port-gateway", "trust", "add"), ("hardware-sim", "run")} <= mentioned()


@pytest.mark.parametrize("command", sorted(mentioned()), ids=" ".join)
def test_the_command_exists(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        MAINS[command[0]]([*command[1:], "--help"])
    assert ended.value.code == 0, f"{' '.join(command)} is in the documents, and the program does not know it"
    assert "usage:" in capsys.readouterr().out
