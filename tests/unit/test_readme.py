"""The commands that the README and the pages tell people to type exist, and take what is typed there."""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
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
BLOCK = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MENTION = re.compile(r"(?<![\w'/-])(edge-agent|port-gateway|hardware-sim)((?: [a-z][a-z-]*)+)")
GROUPS = {"keys", "trust", "ledger", "devices", "camera", "console", "expected", "expect", "watchlist", "quarantine"}
GROUPS |= {"retention", "witness", "ca"}
PARSERS: dict[str, Callable[[Sequence[str]], object]] = {
    "edge-agent": edge_agent.cli._parser().parse_args,
    "port-gateway": port_gateway.cli._parser().parse_args,
    "hardware-sim": lambda arguments: hardware_sim.cli._parsed(list(arguments)),
}
PAGES = sorted({"README.md", *(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))})


def mentioned() -> set[tuple[str, ...]]:
    found = set()
    for page in PAGES:
        for code in re.findall(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", (ROOT / page).read_text(), re.DOTALL):
            for program, words in MENTION.findall("".join(code)):
                command = words.split()
                if command[0] == "evidence":  # the first words of a pack's manifest
                    continue
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


def words_of(line: str) -> list[str]:
    """As a shell takes them apart; what joins two commands is a word of its own."""
    found = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
    found.whitespace_split = True
    return list(found)


def typed() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Page and words of every command of ours in a block of code."""
    for page in PAGES:
        for kind, block in BLOCK.findall((ROOT / page).read_text()):
            for line in () if kind not in ("", "console") else block.replace("\\\n", " ").splitlines():
                if not re.match(r"\s*(\$ )?(systemctl .*|runuser .*)?(edge-agent|port-gateway|hardware-sim) ", line):
                    continue
                command: list[str] = []
                for word in [*words_of(line), ";"]:
                    if word in ("$", "--"):  # the prompt; after `runuser -u edge-agent --` stands the command
                        command = []
                    elif word.strip("&|;<>"):
                        command.append(word)
                    elif command:
                        if command[0] in PARSERS:
                            yield page, tuple(command)
                        command = []


def test_every_page_of_commands_is_looked_at() -> None:
    assert {"README.md", "docs/operate.md", "docs/simulator.md", "docs/evidence-pack.md"} <= {
        page for page, _ in typed()
    }


@pytest.mark.parametrize(("page", "command"), sorted(set(typed())), ids=" ".join)
def test_the_program_takes_what_a_page_types(page: str, command: tuple[str, ...]) -> None:
    PARSERS[command[0]](command[1:])  # argparse ends the program where it does not
