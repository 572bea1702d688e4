"""Mistakes in a scenario are named with their line, and all at once."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.run import build_players
from hardware_sim.scenario import Scenario, load_scenario
from hardware_sim.shipped import titles
from tests.unit.hardware_sim.conftest import BASE, Played, with_base

Make = Callable[[str], Scenario]
_FIRST_LINE_AFTER_BASE = BASE.count("\n") + 1


def test_shipped_scenarios_are_sound() -> None:
    shipped = titles()
    assert {"demo", "quiet", "source"} <= set(shipped)
    for name in shipped:
        scenario = load_scenario(name)
        assert scenario.title == shipped[name]
        assert all(lane.trucks or lane.on_demand for lane in scenario.build_lanes(0).values())


def test_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(SettingsInvalid, match=r"(?s)no shipped scenario 'rush'.*demo, .*quiet, .*rush-hour, source"):
        load_scenario("rush")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"none\.yaml: cannot be read"):
        load_scenario(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    ("more", "line", "says"),
    [
        ("traffic:\n  count: 3\n  colour: red\n", 2, "no such setting"),
        ("traffic:\n  count: -1\n", 1, "must be at least 0"),
        ("traffic: {}\n", 0, "say how many trucks come"),
        ("traffic:\n  count: 1\n  trucks: [{}, {}]\n", 0, "the list has 2 trucks"),
        ("traffic:\n  count: 1\n  regions: [US-TX, XX]\n", 2, "no such region: XX"),
        ("traffic:\n  trucks:\n    - {}\n    - container_code: MSKU0383251\n", 3, "check digit of MSKU0383251"),
        ("traffic:\n  trucks:\n    - container_code: MSKA038325\n", 2, "three letters, U, J or Z"),
        ("traffic:\n  trucks:\n    - seal: '??'\n", 2, "a seal number has"),
        ("traffic:\n  trucks:\n    - plate: {text: abc, region: US-TX}\n", 2, "pattern"),
        ("traffic:\n  trucks:\n    - plate: {text: ABC1234, region: US-ZZ}\n", 2, "no such region"),
        ("traffic:\n  trucks:\n    - cargo: {kind: uranium}\n", 2, "must be 'none', 'norm' or 'source'"),
        ("traffic: {count: 1}\ncameras:\n  cam: {view: roof}\n", 2, "'plate', 'container' or 'rear'"),
        ("traffic: {count: 1}\ncameras:\n  cam: {view: plate, port: 70000}\n", 2, "must be at most 65535"),
    ],
)
def test_mistake_is_reported_with_its_line(scenario: Make, more: str, line: int, says: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        scenario(more)
    assert f"scenario.yaml:{_FIRST_LINE_AFTER_BASE + line}: " in str(caught.value)
    assert says in str(caught.value)


def test_every_mistake_in_one_go(scenario: Make) -> None:
    with pytest.raises(SettingsInvalid, match="3 mistakes to correct"):
        scenario("traffic:\n  count: -1\n  trucks:\n    - {speed_mps: 99}\n    - {wheels: 18}\n")


def test_trucks_so_close_that_the_portal_sees_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "close.yaml"
    path.write_text(with_base("traffic:\n  count: 2\n  gap_s: [2.5, 11.0]\n"))
    with pytest.raises(
        SettingsInvalid, match=r"(?s)holds an occupancy for 2\.0 s.*make gap_s longer or hold_in smaller"
    ):
        load_scenario(str(path))


def test_names_and_paths_that_clash_are_refused(scenario: Make, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="two devices or cameras are called portal"):
        scenario("traffic: {count: 1}\ncameras: {portal: {view: plate}}\n")
    path = tmp_path / "twice.yaml"
    path.write_text(with_base("traffic: {count: 1}\n").replace("[{kind: tcp}]", "[{kind: pty, path: seal.tty}]"))
    with pytest.raises(SettingsInvalid, match=r"two pseudo-terminals have the path seal\.tty"):
        load_scenario(str(path))


def test_scanner_is_programmed_by_the_scenario(tmp_path: Path) -> None:
    for keys, label in (
        ("aim: false, suffix: cr", b"HS0000001\r"),
        ("prefix: '~', suffix: lf", b"~]C0HS0000001\n"),
        ("suffix: none", b"]C0HS0000001"),
    ):
        path = tmp_path / "scanner.yaml"
        text = with_base("traffic: {trucks: [{seal: HS0000001}]}\n").replace(
            "kind: barcode_scanner", f"kind: barcode_scanner\n        {keys.replace(', ', chr(10) + '        ')}"
        )
        path.write_text(text)
        assert Played(build_players(load_scenario(str(path)), 1)["1"]).data("seal-scanner") == label


def test_the_documents_example_is_a_sound_scenario(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "simulator.md"
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    (example,) = [block for block in blocks if block.startswith("title: Two trucks")]
    path = tmp_path / "example.yaml"
    path.write_text(example)
    scenario = load_scenario(str(path))
    assert scenario.build_lanes(1)["1"].trucks[1].container_code == "CSQU3054383"
    keys = {key for model in _models(scenario) for key in type(model).model_fields}
    shown = {line.split(":")[0].strip(" -#{") for line in example.replace("{", "\n").replace(", ", "\n").splitlines()}
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    described = {word for quoted in re.findall(r"`([^`]+)`", prose) for word in re.findall(r"\w+", quoted)}
    assert keys - shown - described == set()


def _models(value: object) -> list[BaseModel]:
    """A scenario's models, all the way down."""
    if isinstance(value, BaseModel):
        return [value, *(m for name in type(value).model_fields for m in _models(getattr(value, name)))]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [m for child in children for m in _models(child)]
