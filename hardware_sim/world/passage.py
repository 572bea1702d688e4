"""One truck's drive through the lane, exact: pieces of even acceleration, settled when the truck comes into it.

Positions are metres along the lane, the origin at 0, driving direction positive; a truck's position is that of its
front. Times are seconds on the world's clock.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from hardware_sim.world.truck import Truck


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things stand and how trucks drive. `slow_from_m`..`slow_to_m` is where the driver goes at walking pace
    (the front, in metres past the portal); with `stop_s` the truck also stands at the end of it."""

    slow_from_m: float
    slow_to_m: float
    slow_mps: float
    stop_s: float
    clears_m: float
    brake_mps2: float = 2.4
    approach_m: float = 14.0
    leaves_mps: float = 5.0


@dataclass(frozen=True, slots=True)
class _Leg:
    """Even acceleration from `at`."""

    at: float
    position: float
    speed: float
    acceleration: float

    def where(self, at: float) -> float:
        dt = at - self.at
        return self.position + self.speed * dt + self.acceleration * dt * dt / 2


class Passage:
    """One truck's drive through the lane. Its front reaches the portal at `enters` seconds."""

    def __init__(self, truck: Truck, layout: Layout, enters: float) -> None:
        self.truck = truck
        self.layout = layout
        self._legs: list[_Leg] = []
        self._stands_from: float | None = None
        self._drive(-layout.approach_m)
        offset = enters - self._reaches(0.0)
        self._legs = [_Leg(leg.at + offset, leg.position, leg.speed, leg.acceleration) for leg in self._legs]
        self._starts = [leg.at for leg in self._legs]
        if self._stands_from is not None:
            self._stands_from += offset

    @classmethod
    def arriving(cls, truck: Truck, layout: Layout, at: float) -> "Passage":
        """The drive of a truck that comes into the lane at `at`."""
        return cls(truck, layout, at - cls(truck, layout, 0.0).arrives)

    def _drive(self, start: float) -> None:
        layout, cruise = self.layout, self.truck.speed_mps
        slow, brake = min(layout.slow_mps, cruise), layout.brake_mps2
        at, position = 0.0, start

        def leg(speed: float, acceleration: float, duration: float) -> None:
            nonlocal at, position
            this = _Leg(at, position, speed, acceleration)
            self._legs.append(this)
            at, position = at + duration, this.where(at + duration)

        braking = (cruise**2 - slow**2) / (2 * brake)
        leg(cruise, 0.0, max(0.0, layout.slow_from_m - braking - start) / cruise)
        leg(cruise, -brake, (cruise - slow) / brake)
        if layout.stop_s > 0:
            stopping = slow**2 / (2 * brake)
            leg(slow, 0.0, max(0.0, layout.slow_to_m - stopping - position) / slow)
            leg(slow, -brake, slow / brake)
            self._stands_from = at
            leg(0.0, 0.0, layout.stop_s)
            leg(0.0, brake, cruise / brake)
        else:
            leg(slow, 0.0, max(0.0, layout.slow_to_m - position) / slow)
            leg(slow, brake, (cruise - slow) / brake)
        leg(cruise, 0.0, max(0.0, self.truck.length_m - position) / cruise)
        leaves = max(layout.leaves_mps, cruise)
        leg(cruise, brake, (leaves - cruise) / brake)
        self._legs.append(_Leg(at, position, leaves, 0.0))

    def _reaches(self, position: float) -> float:
        """When the front first is at `position`."""
        for leg, following in zip(self._legs, [*self._legs[1:], None], strict=True):
            if following is not None and following.position < position:
                continue
            ahead = max(0.0, position - leg.position)
            root = (leg.speed**2 + 2 * leg.acceleration * ahead) ** 0.5
            return leg.at if ahead == 0 else leg.at + 2 * ahead / (leg.speed + root)
        raise AssertionError("the last leg has no end")

    def position(self, at: float) -> float:
        """Where the front is; before the truck came into the lane, where it would have driven up from."""
        return self._legs[max(0, bisect_right(self._starts, at) - 1)].where(at)

    def reaches(self, position: float) -> float:
        """When the front first is at `position`."""
        return self._reaches(position)

    def leaves(self, position: float) -> float:
        """When the rear first is at `position`."""
        return self._reaches(position + self.truck.length_m)

    @property
    def arrives(self) -> float:
        """The truck comes into the lane."""
        return self._legs[0].at

    @cached_property
    def enters(self) -> float:
        """The front reaches the portal."""
        return self.reaches(0.0)

    @cached_property
    def clears(self) -> float:
        """The rear leaves the portal."""
        return self.reaches(self.truck.length_m)

    def scanned(self, at_m: float) -> float:
        """When an officer who stands at `at_m` reaches the rear doors: while the truck stands, or as they come by."""
        if self._stands_from is not None:
            return self._stands_from + 0.7 * self.layout.stop_s
        return self.leaves(at_m)

    @cached_property
    def departs(self) -> float:
        """The rear is out of the lane and out of every camera's sight."""
        return self.reaches(self.truck.length_m + self.layout.clears_m)

    def speed_at_portal(self) -> float:
        """Mean speed of the first two metres, as a pair of light barriers measures it; metres per second."""
        return 2.0 / (self.reaches(2.0) - self.reaches(0.0))
