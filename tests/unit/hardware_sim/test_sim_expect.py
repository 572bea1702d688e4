"""What a scenario declares goes into the port's list, and what it planted is what the booth finds."""

import csv
import io
import json

import pytest

from edge_agent.domain.expected import IdentifierKind, IdentifierVerdict
from edge_agent.inspection.expected import compared
from hardware_sim.cli import main
from hardware_sim.scenario import load_scenario
from hardware_sim.shipped import shipped
from port_gateway.expect_command.given import crossing_of
from tests.unit.port_gateway.test_expect_files import TERMS


@pytest.mark.parametrize("name", sorted(shipped()))
def test_the_port_takes_what_every_shipped_scenario_declares(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["expect", name, "--format", "json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    for entry in entries:
        _, mistakes = crossing_of(entry, TERMS)
        assert mistakes == [], entry
    assert len({entry["id"] for entry in entries}) == len(entries)
    assert main(["expect", name]) == 0
    assert len(list(csv.DictReader(io.StringIO(capsys.readouterr().out)))) == len(entries)


def test_a_planted_discrepancy_is_declared_and_nothing_else_differs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["expect", "swapped-container", "--format", "json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    (lane,) = load_scenario("swapped-container").build_lanes(load_scenario("swapped-container").seed).values()
    differing = []
    for entry, truck in zip(entries, lane.trucks, strict=True):
        assert truck.plate is not None
        assert entry["plates"][0] == f"{truck.plate.text}:tractor"
        for declared, real in zip(entry["container_codes"], truck.containers, strict=True):
            if compared(declared, real.code, IdentifierKind.CONTAINER_CODE) is IdentifierVerdict.OTHER:
                differing.append((truck.index, declared))
        if entry["gross_weight_kg"] != truck.gross_kg:
            differing.append((truck.index, entry["gross_weight_kg"]))
    assert [what for _, what in differing] == ["HLXU2008419", 21000]


def test_the_trucks_are_those_of_the_seed(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for seed in ("1", "1", "2"):
        assert main(["expect", "demo", "--seed", seed]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2]
