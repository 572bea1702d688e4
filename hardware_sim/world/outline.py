"""The outline of a truck from the side: what stands in a beam across the lane, at which height.

The same proportions as the drawing that the container camera shows (`cameras/side.py`); metres behind the truck's
front, and above the road.
"""

from math import sqrt

from hardware_sim.world.truck import Truck

Span = tuple[float, float]

WHEEL_M = 0.5  # radius
FLOOR_M = 1.15  # underside of the container
CONTAINER_HEIGHT_M = {"22G1": 2.59, "42G1": 2.59, "45G1": 2.90, "L5G1": 2.90}
# Height of a light barrier that a truck breaks from its front to its rear: bonnet, cab and chassis are there.
BARRIER_M = 1.0
_CAB_M = 4.0  # the back of the cab; between it and the container only the chassis is


def axles_of(truck: Truck) -> tuple[float, ...]:
    """Where its axles are: steering axle, the tractor's tandem, the trailer's tandem."""
    end = truck.container_from_m + truck.container_m
    return (0.9, 3.1, 3.9, end - 1.9, end - 0.7)


def blocked_at(truck: Truck, behind_front: float) -> list[Span]:
    """The heights that the truck takes up there, lowest first, none touching another; none before and behind it."""
    x = behind_front
    if not 0 <= x <= truck.length_m:
        return []
    spans: list[Span] = []
    for axle in axles_of(truck):
        if abs(x - axle) < WHEEL_M:
            half = sqrt(WHEEL_M**2 - (x - axle) ** 2)
            spans.append((WHEEL_M - half, WHEEL_M + half))
    spans.append((0.75, 1.95) if x < 0.9 else (0.85, FLOOR_M))
    if x < 1.5:
        spans.append((0.75, 1.95))
    if 1.4 <= x <= _CAB_M:
        spans.append((0.75, 3.3))
    if 1.7 <= x <= 3.0:
        spans.append((0.45, 0.95))  # the tank
    for container, begin in truck.placed:
        if begin <= x <= begin + container.length_m:
            spans.append((FLOOR_M, FLOOR_M + CONTAINER_HEIGHT_M[container.size_type]))
    return _joined(spans)


def _joined(spans: list[Span]) -> list[Span]:
    joined: list[Span] = []
    for low, high in sorted(spans):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined
