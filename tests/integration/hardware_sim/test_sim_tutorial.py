"""docs/simulator.md, done as it says: its programs, its commands in its order, and what they print."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import TypeAdapter

from hardware_sim.control_api import OPERATIONS
from hardware_sim.faults import AnyFault, FaultSettings
from hardware_sim.scenario import parse_scenario
from hardware_sim.score.received import Received

PAGE = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text()
TUTORIAL = PAGE.split("## Tutorial", 1)[1].split("\n## ", 1)[0]
_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def programs() -> dict[str, str]:
    """By name what is in the blocks that begin with `# name.py`."""
    code = [text for language, text in _BLOCK.findall(TUTORIAL) if language == "python"]
    return {text.split("\n", 1)[0].removeprefix("# "): text for text in code}


def commands() -> list[tuple[str, str]]:
    """Each command of the tutorial with what it is shown to print."""
    found: list[tuple[str, str]] = []
    for language, text in _BLOCK.findall(TUTORIAL):
        if language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                found.append((command, printed))
    return found


def shape(printed: str) -> list[str]:
    """Lines without what differs from run to run: numbers, places, spaces."""
    words = re.sub(r"/\S+?/lane/", "/lane/", printed)
    return [
        re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)?", "0", line)).strip() for line in words.splitlines() if line.strip()
    ]


class Terminals:
    """A shell in the tutorial's folder; what is left running is ended with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        own = str(Path(sys.executable).parent)
        repository = str(Path(__file__).parents[3])
        self._environment = os.environ | {"PATH": f"{own}:{os.environ['PATH']}", "PYTHONPATH": repository}
        self._running: list[asyncio.subprocess.Process] = []

    async def start(self, command: str, output: Path) -> None:
        with output.open("wb") as file:
            self._running.append(await asyncio.create_subprocess_shell(
                f"exec {command}", cwd=self.folder, env=self._environment, stdout=file, stdin=asyncio.subprocess.DEVNULL
            ))  # fmt: skip

    async def run(self, command: str) -> str:
        process = await asyncio.create_subprocess_shell(
            command, cwd=self.folder, env=self._environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        reading = asyncio.ensure_future(process.stdout.read())
        try:
            printed = await asyncio.wait_for(asyncio.shield(reading), 90)
        except TimeoutError:
            process.kill()
            raise AssertionError(f"{command} does not end: {(await reading).decode()}") from None
        await process.wait()
        assert process.returncode == 0, printed.decode()
        return printed.decode()

    async def end(self) -> None:
        for process in self._running:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def lines_in(path: Path, count: int) -> list[str]:
    async with asyncio.timeout(90):
        while len(lines := path.read_text().splitlines() if path.exists() else []) < count:
            await asyncio.sleep(0.05)
    return lines


@pytest.mark.timeout(240)
async def test_the_tutorial(tmp_path: Path) -> None:
    for name, text in programs().items():
        (tmp_path / name).write_text(text)
    terminals = Terminals(tmp_path)
    printed_by_run = tmp_path / "printed"
    url = ""
    trucks = 0
    done = []
    try:
        for command, expected in commands():
            done.append(command.split()[0:2])
            if command.startswith("hardware-sim run"):
                await terminals.start(command, printed_by_run)
                lines = await lines_in(printed_by_run, len(expected.splitlines()))
                assert shape("\n".join(lines)) == shape(expected)
                url = lines[0].split()[2]
                continue
            if command.startswith("python"):
                program, _, file = re.sub(r"socket://\S+", url, command).removesuffix(" &").partition(" > ")
                await terminals.start(f"python -u {program.removeprefix('python ')}", tmp_path / file)
                continue
            if (
                command.endswith("stop") or " fault " in command
            ):  # a reader of the tutorial types slower than a truck drives
                await lines_in(tmp_path / "lane" / "truth.jsonl", trucks)
            if command.endswith("state"):
                await lines_in(tmp_path / "lane" / "truth.jsonl", 1)
            printed = await terminals.run(command)
            trucks += " truck" in command
            if command.startswith("hardware-sim score"):
                _looks_like_a_score(printed, expected)
            elif command.startswith("pytest"):
                assert "2 passed" in printed
            elif not command.endswith("state"):
                assert shape(printed) == shape(expected)
            else:
                assert shape(printed)[0] == shape(expected)[0]
                assert printed.splitlines()[1].startswith("lane 1      running")
    finally:
        await terminals.end()
    assert len(done) == len(commands()) > 8
    received = [json.loads(line) for line in (tmp_path / "received.jsonl").read_text().splitlines()]
    assert received[0]["gamma_alarm"]
    assert not received[1]["gamma_alarm"]
    assert (tmp_path / "score.png").read_bytes().startswith(b"\x89PNG")
    faults = (tmp_path / "lane" / "faults.jsonl").read_text()
    assert '"garble"' in faults


def _looks_like_a_score(printed: str, expected: str) -> None:
    """What noise does to the third truck differs from run to run; the rows and the first two do not."""
    rows = [line.split("  ")[0] for line in expected.split("misses")[0].splitlines() if line]
    assert [line.split("  ")[0] for line in printed.splitlines() if line][: len(rows)] == rows
    right = next(line for line in printed.splitlines() if line.startswith("vehicles"))
    assert int(right.split()[1]) >= 2


async def test_starting_it_from_a_program(tmp_path: Path) -> None:
    (tmp_path / "start_it.py").write_text(programs()["start_it.py"])
    printed = await Terminals(tmp_path).run("python start_it.py")
    assert printed.startswith("socket://127.0.0.1:")
    assert "source" in printed


def test_every_program_of_the_tutorial_has_its_name() -> None:
    assert set(programs()) == {"my_portal.py", "test_my_portal.py", "start_it.py"}


def test_every_fault_and_parameter_stands_there() -> None:
    section = PAGE.split("\n## Faults", 1)[1].split("\n## ", 1)[0]
    quoted = re.findall(r"`([^`]+)`", _BLOCK.sub("", section)) + [text for _, text in _BLOCK.findall(section)]
    described = set(re.findall(r"\w+", " ".join(quoted)))
    for model in get_args(get_args(FaultSettings)[0]):
        (kind,) = get_args(model.model_fields["kind"].annotation)
        assert {kind, *model.model_fields} - {"kind"} <= described, kind


def test_the_examples_of_faults_are_sound() -> None:
    section = PAGE.split("\n## Faults", 1)[1].split("\n## ", 1)[0]
    blocks = [yaml.safe_load(text) for language, text in _BLOCK.findall(section) if language == "yaml"]
    assert len(blocks) == 2
    for block in blocks:
        assert [AnyFault.validate_python(fault) for fault in block["faults"]]
    lane = {"devices": {
        "portal": {"kind": "rapiscan_vm250", "links": [{"kind": "tcp"}]},
        "scale": {"kind": "mt_sics", "links": [{"kind": "tcp"}]},
    }, "traffic": {"count": 1}}  # fmt: skip
    for block in blocks:
        parse_scenario(json.dumps({"title": "t", "lanes": {"1": lane}} | block), "example")


def test_every_request_and_every_field_of_a_record_stand_there() -> None:
    section = PAGE.split("\n## Control", 1)[1].split("\n## ", 1)[0]
    for operation in OPERATIONS:
        if operation.name != "fault":
            assert f"`{operation.method.upper()} {operation.path}" in section
    example = next(t for language, t in _BLOCK.findall(PAGE.split("\n## The score", 1)[1]) if language == "json")
    shown = TypeAdapter(Received).validate_json(example)
    assert Received.model_fields.keys() - shown.model_fields_set == {"radiation_measured", "outcome", "line"}
