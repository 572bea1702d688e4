"""A lane for tests of one device: trucks that are stated, let in at once."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

from hardware_sim.device import Simulated, Site
from hardware_sim.world.arrivals import Arrival
from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Layout, Passage
from hardware_sim.world.truck import Truck, draw_truck

TCP = [{"kind": "tcp"}]


def truck(index: int = 1, **stated: Any) -> Truck:
    return replace(draw_truck(7, "1", index, ["US-TX"], (2.2, 2.6)), **stated)


def lane_of(trucks: Sequence[Truck], stop_s: float = 12.0, gap_s: float = 10.0) -> Lane:
    """The trucks one after the other; each stands with its front 5 m past the origin."""
    layout = Layout(slow_from_m=1.5, slow_to_m=5.0, slow_mps=1.6, stop_s=stop_s, clears_m=12.0)
    lane = Lane(trucks, layout, lambda: repeat(Arrival(gap_s)))
    lane.open(0.0)
    lane.advance(1e9)
    return lane


def site_of(lane: Lane, seed: int = 1, folder: Path = Path()) -> Site:
    return Site(lane, seed, 0.0, folder)


def said_by(device: Simulated, until: float) -> list[tuple[float, bytes]]:
    """What a device says by itself up to a moment, each with its own."""
    said: list[tuple[float, bytes]] = []
    while (due := device.next_wake()) is not None and due <= until:
        if data := device.woke(due):
            said.append((due, data))
    return said


def standing(passage: Passage) -> float:
    """A moment at which the truck has stood long enough for everything to be at rest."""
    assert passage.stands_from is not None
    return passage.stands_from + 0.8 * passage.stop_s
