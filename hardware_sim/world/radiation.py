"""What reaches a portal's detectors while a truck is at a place: the share of background that the truck takes away, and
the share of its load's radiation that arrives. Pure geometry, the same for every make of portal."""

from math import atan, tanh

from hardware_sim.world.passage import Passage
from hardware_sim.world.truck import CargoKind

# Half the distance between the pillars, metres: how wide a panel sees a source that comes by.
HALF_WIDTH_M = 2.4
# The vehicle's own mass keeps background from the panels, the more the nearer it fills the portal.
_EDGE_M = 1.2
_DIP_EMPTY, _DIP_PER_TONNE, _DIP_MOST = 0.06, 0.0045, 0.28


def dip(passage: Passage, at_m: float, at: float) -> float:
    """The share of background that the truck shields from a portal at `at_m` (baseline suppression), 0..1."""
    truck, front = passage.truck, passage.position(at) - at_m
    most = min(_DIP_MOST, _DIP_EMPTY + _DIP_PER_TONNE * truck.gross_kg / 1000)
    return most * (tanh(front / _EDGE_M) - tanh((front - truck.length_m) / _EDGE_M)) / 2


def closeness(passage: Passage, at_m: float, at: float) -> float:
    """How much of the cargo's radiation arrives at a portal at `at_m`, 1 for a point source right in it."""
    truck = passage.truck
    begin = passage.position(at) - at_m - truck.container_from_m
    if truck.cargo.kind is CargoKind.NORM:
        # A line source over the container's length: the inverse square law, integrated.
        end = begin - truck.container_m
        return HALF_WIDTH_M * (atan(begin / HALF_WIDTH_M) - atan(end / HALF_WIDTH_M)) / truck.container_m
    middle = begin - truck.container_m / 2
    return HALF_WIDTH_M**2 / (HALF_WIDTH_M**2 + middle**2)


def shares(passage: Passage, panels: int) -> list[float]:
    """How the panels share it: the load's heavier side and height differ from truck to truck. Left ones first."""
    left = 0.5 + 0.08 * ((passage.truck.index * 7) % 5 - 2) / 2
    if panels == 1:
        return [1.0]
    if panels == 2:
        return [left, 1 - left]
    return [left * 0.54, left * 0.46, (1 - left) * 0.54, (1 - left) * 0.46]
