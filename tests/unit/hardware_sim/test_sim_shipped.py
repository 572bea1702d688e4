"""The shipped scenarios: each is sound, plays to its end, and shows what its title promises."""

import json
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from hardware_sim.devices.catalogue import DEVICES, SERVICES
from hardware_sim.player import Said
from hardware_sim.run import build_players
from hardware_sim.scenario import load_scenario, scenario_schema
from hardware_sim.shipped import shipped, titles
from hardware_sim.world.passage import least_distance
from tests.unit.hardware_sim.conftest import Played

_FOLDER = Path(__file__).parents[3] / "hardware_sim"
_OTHERWISE = {"link-down", "on-demand"}  # hours long; without trucks of its own


@cache
def played(name: str) -> dict[str, Played]:
    scenario = load_scenario(name)
    return {id: Played(player) for id, player in build_players(scenario, scenario.seed).items()}


def alarms(name: str) -> list[bool]:
    return [bool(d.said["portal"]["gamma_alarm"]) for d in played(name)["1"].departed]


def test_there_is_one_for_each_thing_an_integrator_looks_for() -> None:
    assert set(titles()) >= {
        "all-devices", "broken-seal", "convoy", "demo", "link-down", "night-and-rain", "no-plate", "norm-load", "quiet",
        "reader-unplugged", "rush-hour", "source", "swapped-container", "two-containers",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(titles()) - _OTHERWISE))
def test_every_truck_passes_and_none_runs_into_another(name: str) -> None:
    scenario = load_scenario(name)
    for id, run in played(name).items():
        expected = scenario.lanes[id].traffic
        assert len(run.departed) == (expected.count or len(expected.trucks))
        passages = run.player.lane.passages
        for before, after in pairwise(passages):
            assert after.arrives >= before.departs or least_distance(before, after)[0] >= 0.49


def test_the_schema_that_editors_use_is_the_scenarios() -> None:
    committed = json.loads((_FOLDER / "scenario.schema.json").read_text())
    assert committed == scenario_schema(), "run: hardware-sim schema > hardware_sim/scenario.schema.json"
    jsonschema.Draft202012Validator.check_schema(committed)


@pytest.mark.parametrize("name", sorted(titles()))
def test_the_schema_takes_every_shipped_scenario_and_each_names_it(name: str) -> None:
    text = shipped()[name].read_text()
    assert text.startswith("# yaml-language-server: $schema=../scenario.schema.json\n")
    judge(text)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("traffic:", "trafic:"),
        lambda text: text.replace("rapiscan_vm250", "rapiscan_vm25"),
        lambda text: text.replace("hold_in: 3", "hold_in: many"),
        lambda text: text.replace("gap_s: [2.7, 3.0]", "gap_s: [2.7]"),
        lambda text: text.replace("kind: norm", "kind: nrom"),
    ],
)
def test_the_schema_refuses_what_is_misspelt(spoil: Callable[[str], str]) -> None:
    text = shipped()["demo"].read_text()
    assert spoil(text) != text
    with pytest.raises(jsonschema.ValidationError):
        judge(spoil(text))


def test_the_schema_takes_a_number_for_a_range() -> None:
    judge(shipped()["demo"].read_text().replace("gap_s: [2.7, 3.0]", "gap_s: 3"))


def judge(text: str) -> None:
    values: Any = json.loads(json.dumps(yaml.safe_load(text)))  # as an editor sees it: every key is text
    validator().validate(values)


@cache
def validator() -> Any:
    return jsonschema.Draft202012Validator(scenario_schema())


def test_all_devices_has_every_kind() -> None:
    kinds = {device.kind for lane in load_scenario("all-devices").lanes.values() for device in lane.devices.values()}
    assert kinds == set(DEVICES) | set(SERVICES)


def test_a_load_of_norm_alarms_once_and_a_source_twice() -> None:
    assert alarms("norm-load") == [False, False, False, True, False]
    assert alarms("source") == [False, True, True, False]
    for name in ("quiet", "convoy", "night-and-rain", "no-plate", "swapped-container", "two-containers", "broken-seal"):
        assert not any(alarms(name)), name


def test_one_seal_among_three_was_opened_and_its_tag_says_so() -> None:
    departed = played("broken-seal")["1"].departed
    assert [d.passage.truck.seal_opened for d in departed] == [False, True, False]
    states = [[t["opened"] for t in d.said["tag-reader"]["tags"] if "opened" in t] for d in departed]  # type: ignore[attr-defined]
    assert states == [[False], [True], [False]]
    assert [d.said["seal-scanner"]["seal"] for d in departed] == ["HS1000001", "HS1000002", "HS1000003"]


def test_what_was_announced_differs_where_the_scenario_says() -> None:
    trucks = [d.passage.truck for d in played("swapped-container")["1"].departed]
    assert [t.declared.container_codes for t in trucks] == [None, ("HLXU2008419",), None]
    assert [t.declared.gross_kg for t in trucks] == [None, None, 21000]
    assert trucks[1].container_code == "TCNU7200794"


def test_a_convoy_is_close_and_far_between_groups() -> None:
    passages = played("convoy")["1"].player.lane.passages
    gaps = [b.enters - a.clears for a, b in pairwise(passages)]
    assert [gap > 20 for gap in gaps] == [False, False, False, True, False, False, False]
    assert max(gaps[:3]) < 2.5


def test_rush_hour_queues() -> None:
    for id, run in played("rush-hour").items():
        gaps = [b.enters - a.clears for a, b in pairwise(run.player.lane.passages)]
        assert min(gaps) == pytest.approx(4.0), id  # the least that is allowed: somebody waited
        assert sum(gap < 4.01 for gap in gaps) > len(gaps) / 4


def test_trucks_out_of_the_ordinary_are_there() -> None:
    trucks = [d.passage.truck for d in played("no-plate")["1"].departed]
    assert [t.plate is None for t in trucks] == [False, True, False, False, False]
    assert [t.seal is None for t in trucks] == [False, False, True, False, False]
    assert "seal-scanner" not in played("no-plate")["1"].departed[3].said  # it turned back before
    wet = [d.passage.truck for d in played("night-and-rain")["1"].departed]
    assert all(t.night and t.rain for t in wet)
    loads = [len(d.passage.truck.containers) for d in played("two-containers")["1"].departed]
    assert loads == [1, 2, 1, 2, 1]
    said = played("two-containers")["1"].departed[1].said["seal-scanner"]
    assert said["seals"] == ["HS3000001", "HS3000002"]


def test_faults_are_planned_where_their_scenarios_say() -> None:
    (unplugged,) = load_scenario("reader-unplugged").faults
    assert (unplugged.kind, unplugged.target, unplugged.truck) == ("re_plug", "tag-reader", 2)
    down = [f for f in load_scenario("link-down").faults if f.kind == "down"]
    assert [f.for_s for f in down] == [10800.0]


def test_trucks_come_all_through_the_hours_in_which_the_link_is_down() -> None:
    scenario = load_scenario("link-down")
    lane = scenario.build_lanes(scenario.seed)["1"]
    lane.open(0.0)
    lane.advance(float("inf"))
    inside = [p for p in lane.passages if 600 < p.enters < 11400]
    assert len(inside) > 25
    assert lane.passages[-1].enters > 11700  # and after it


def two_trucks(seed: int) -> list[Said]:
    scenario = load_scenario("all-devices")
    lane = scenario.lanes["1"]
    traffic = lane.traffic.model_copy(update={"trucks": lane.traffic.trucks[2:]})  # the source, and two containers
    scenario = scenario.model_copy(update={"lanes": {"1": lane.model_copy(update={"traffic": traffic})}})
    return Played(build_players(scenario, seed)["1"]).said


def test_the_same_seed_gives_the_same_bytes_of_every_device_and_another_one_others() -> None:
    one, again, other = two_trucks(5), two_trucks(5), two_trucks(6)
    assert [(s.at, s.device) for s in one] == [(s.at, s.device) for s in again]
    speaking = {s.device for s in one}
    settings = load_scenario("all-devices").lanes["1"].devices
    # Scales that answer, and readers that are polled, say nothing by themselves; barriers only move lines.
    polled = {"nci_scp01", "mt_sics", "uhfreader18", "uhfreader288", "modem_lines"}
    assert speaking == {name for name, device in settings.items() if device.kind not in polled}
    for device in speaking:
        streams = [[(s.at, s.data) for s in run if s.device == device] for run in (one, again, other)]
        assert streams[0] == streams[1], device
        assert streams[0] != streams[2], device
