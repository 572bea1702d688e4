from collections.abc import Callable
from pathlib import Path
from textwrap import indent

import pytest

from hardware_sim.player import Departed, Player, Said
from hardware_sim.run import build_players
from hardware_sim.scenario import Scenario, load_scenario
from tests.unit.hardware_sim.scores import Files

BASE = """\
title: A test
seed: 7
lanes:
  "1":
    drive:
      speed_mps: [2.2, 2.6]
      slow_from_m: 2.4
      slow_to_m: 5.4
    devices:
      portal:
        kind: rapiscan_vm250
        links: [{kind: tcp}]
      seal-scanner:
        kind: barcode_scanner
        links: [{kind: pty, path: seal.tty}]
"""


def with_base(more: str) -> str:
    """A scenario's text: BASE with more YAML in its lane; traffic in flow style keeps the test's distances."""
    return BASE + indent(more.replace("traffic: {", "traffic: {gap_s: [9.0, 11.0], first_truck_s: 11.0, "), "    ")


class Played:
    """Everything that a stepped world said, to its end."""

    def __init__(self, player: Player, open_at: float = 0.0) -> None:
        player.lane.open(open_at)
        self.player = player
        self.said: list[Said] = []
        self.departed: list[Departed] = []
        while (due := player.next_due()) is not None and not player.finished:
            for what in player.step(due):
                (self.said if isinstance(what, Said) else self.departed).append(what)  # type: ignore[arg-type]

    def data(self, device: str) -> bytes:
        return b"".join(s.data for s in self.said if s.device == device)

    def lines(self, device: str = "portal") -> list[tuple[float, str]]:
        """Each line with the moment at which it was sent."""
        return [(s.at, line) for s in self.said if s.device == device for line in s.data.decode().split("\r\n") if line]


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[[str], Scenario]:
    """A scenario of BASE with more YAML after it."""

    def make(more: str) -> Scenario:
        path = tmp_path / "scenario.yaml"
        path.write_text(with_base(more))
        return load_scenario(str(path))

    return make


@pytest.fixture
def played(scenario: Callable[[str], Scenario]) -> Callable[..., Played]:
    """A stepped world of BASE with more YAML after it."""

    def make(more: str, seed: int = 7) -> Played:
        return Played(build_players(scenario(more), seed)["1"])

    return make


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Of a score: truth, faults and what was received."""
    return Files(tmp_path)
