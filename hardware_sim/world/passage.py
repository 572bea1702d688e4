"""One truck's drive through the lane, exact: pieces of even acceleration, settled when the truck comes into it.

Positions are metres along the lane, the origin at 0, driving direction positive; a truck's position is that of its
front. Times are seconds on the world's clock.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import NamedTuple

from hardware_sim.world.truck import Truck

# How a driver goes backwards, and how long the gears take.
_BACK_MPS = 1.0
_TURN_S = 1.5
# The two light barriers that measure the speed.
_SPEED_TRAP_M = 2.0
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Layout:
    """How trucks drive. `slow_from_m`..`slow_to_m` is where the driver goes at walking pace (the front, in metres past
    the origin); with `stop_s` the truck also stands at the end of it."""

    slow_from_m: float
    slow_to_m: float
    slow_mps: float
    stop_s: float
    clears_m: float
    brake_mps2: float = 2.4
    approach_m: float = 14.0
    leaves_mps: float = 5.0


class Crossing(NamedTuple):
    """The front comes by a place."""

    at: float
    forward: bool


@dataclass(frozen=True, slots=True)
class _Leg:
    """Even acceleration from `at` on, for `lasts` seconds."""

    at: float
    position: float
    speed: float
    acceleration: float
    lasts: float

    def where(self, at: float) -> float:
        dt = at - self.at
        return self.position + self.speed * dt + self.acceleration * dt * dt / 2

    def when(self, position: float) -> float:
        """When the front is at `position`, which lies in this leg: a leg never turns round."""
        ahead, v, a = position - self.position, self.speed, self.acceleration
        root = sqrt(max(0.0, v * v + 2 * a * ahead))
        whole = v + (root if (v or a) > 0 else -root)
        return self.at + (min(self.lasts, max(0.0, 2 * ahead / whole)) if whole else 0.0)


class _Driver:
    """Puts a drive together, piece by piece."""

    def __init__(self, position: float, speed: float, brake: float) -> None:
        self.at = 0.0
        self.position = position
        self.speed = speed
        self.legs: list[_Leg] = []
        self._brake = brake

    def go(self, to: float, limit: float, end: float) -> None:
        """Forward to `to`, at `limit` at most, and there at `end`, as far as there is room to speed up."""
        way, v, a = to - self.position, self.speed, self._brake
        if way <= _TINY:
            return
        end = min(end, sqrt(v * v + 2 * a * way))
        if v > end and (v * v - end * end) / (2 * a) > way:  # seen late: brakes harder
            self._leg((end * end - v * v) / (2 * way), 2 * way / (v + end), to, end)
            return
        peak = max(v, end, min(limit, sqrt(a * way + (v * v + end * end) / 2)))
        up, down = (peak**2 - v**2) / (2 * a), (peak**2 - end**2) / (2 * a)
        if peak > v:
            self._leg(a, (peak - v) / a, self.position + up, peak)
        self._leg(0.0, (way - up - down) / peak, to - down, peak)
        self._leg(-a, (peak - end) / a, to, end)

    def stand(self, seconds: float) -> None:
        self._leg(0.0, seconds, self.position, 0.0)

    def back(self, way: float) -> None:
        """Backwards from a stand, to a stand."""
        a = self._brake
        peak = min(_BACK_MPS, sqrt(a * way))
        ramp = peak**2 / (2 * a)
        start = self.position
        self._leg(-a, peak / a, start - ramp, -peak)
        self._leg(0.0, (way - 2 * ramp) / peak, start - way + ramp, -peak)
        self._leg(a, peak / a, start - way, 0.0)

    def end(self, speed: float) -> None:
        """Speed up to `speed`, and on for ever."""
        if speed > self.speed:
            way = (speed**2 - self.speed**2) / (2 * self._brake)
            self._leg(self._brake, (speed - self.speed) / self._brake, self.position + way, speed)
        self.legs.append(_Leg(self.at, self.position, self.speed, 0.0, float("inf")))

    def _leg(self, acceleration: float, lasts: float, to: float, speed: float) -> None:
        if lasts > _TINY:
            self.legs.append(_Leg(self.at, self.position, self.speed, acceleration, lasts))
            self.at += lasts
        self.position, self.speed = to, speed


class Passage:
    """One truck's drive through the lane. Its front reaches the origin first at `enters` seconds."""

    def __init__(self, truck: Truck, layout: Layout, enters: float) -> None:
        self.truck = truck
        self.layout = layout
        self.stands_from: float | None = None
        self._crossings: dict[float, list[Crossing]] = {}
        self._covers: dict[float, list[tuple[float, float]]] = {}
        self._legs = self._drive()
        offset = enters - self.crossings(0.0)[0].at
        self._legs = [_Leg(g.at + offset, g.position, g.speed, g.acceleration, g.lasts) for g in self._legs]
        self._crossings.clear()
        self._starts = [leg.at for leg in self._legs]
        if self.stands_from is not None:
            self.stands_from += offset

    @classmethod
    def arriving(cls, truck: Truck, layout: Layout, at: float) -> "Passage":
        """The drive of a truck that comes into the lane at `at`."""
        return cls(truck, layout, at - cls(truck, layout, 0.0).arrives)

    def _drive(self) -> list[_Leg]:
        layout, truck = self.layout, self.truck
        cruise, slow = truck.speed_mps, min(layout.slow_mps, truck.speed_mps)
        driver = _Driver(-layout.approach_m, cruise, layout.brake_mps2)
        stop_s = self.stop_s
        stretches = [
            (layout.slow_from_m, cruise, slow),
            (layout.slow_to_m, slow, 0.0 if stop_s > 0 else slow),
            (truck.length_m, cruise, cruise),
        ]
        reverse, turns = truck.reverse, truck.turns_back_m
        for number, (to, limit, end) in enumerate(stretches):
            if turns is not None and turns <= to:
                driver.go(turns, limit, 0.0)
                driver.stand(_TURN_S)
                driver.back(driver.position + layout.approach_m + truck.length_m)
                driver.end(0.0)
                return driver.legs
            if reverse is not None and driver.position < reverse.at_m <= to:
                driver.go(reverse.at_m, limit, 0.0)
                driver.stand(_TURN_S)
                driver.back(reverse.back_m)
                driver.stand(_TURN_S)
                reverse = None
            driver.go(to, limit, end)
            if number == 1 and stop_s > 0:
                self.stands_from = driver.at
                driver.stand(stop_s)
        driver.end(max(layout.leaves_mps, cruise))
        return driver.legs

    @property
    def stop_s(self) -> float:
        """For how long the truck stands where trucks stop."""
        return self.layout.stop_s if self.truck.stop_s is None else self.truck.stop_s

    def position(self, at: float) -> float:
        """Where the front is; before the truck came into the lane, where it would have driven up from."""
        return self._legs[max(0, bisect_right(self._starts, at) - 1)].where(at)

    def speed(self, at: float) -> float:
        """Metres per second, negative backwards."""
        leg = self._legs[max(0, bisect_right(self._starts, at) - 1)]
        return leg.speed + leg.acceleration * (at - leg.at)

    @property
    def starts(self) -> list[float]:
        """When the truck changes how it drives: between two of these moments its acceleration is even."""
        return self._starts

    def crossings(self, position: float) -> list[Crossing]:
        """Every time that the front comes by a place, in order; none where it never comes."""
        if position not in self._crossings:
            found: list[Crossing] = []
            for leg, following in zip(self._legs, [*self._legs[1:], None], strict=True):
                begin = leg.position
                end = following.position if following else begin + (float("inf") if leg.speed else 0.0)
                if begin <= position < end or begin >= position > end:
                    found.append(Crossing(leg.when(position), end > begin))
                elif begin == end == position and following and not found:
                    found.append(Crossing(leg.at, forward=True))  # stops right there
            self._crossings[position] = [c for i, c in enumerate(found) if not i or c.forward != found[i - 1].forward]
        return self._crossings[position]

    def covers(self, position: float) -> list[tuple[float, float]]:
        """From when to when some part of the truck is at a place; several times for one that reverses over it."""
        if position in self._covers:
            return self._covers[position]
        start = self._legs[0].position
        begins = start - self.truck.length_m < position < start  # it is there as it comes into the lane
        changes = [(c.at, c.forward) for c in self.crossings(position)]
        changes += [(c.at, not c.forward) for c in self.crossings(position + self.truck.length_m)]
        spans: list[tuple[float, float]] = []
        since = self.arrives if begins else None
        for at, there in sorted(changes):
            if there and since is None:
                since = at
            elif not there and since is not None:
                spans.append((since, at))
                since = None
        if since is not None:
            spans.append((since, self.departs))
        self._covers[position] = spans
        return spans

    def reaches(self, position: float) -> float:
        """When the front first is at `position`: as it comes into the lane, for one before that; as it leaves the lane,
        for one to which it never comes."""
        if position <= self._legs[0].position:
            return self.arrives
        crossings = self.crossings(position)
        return crossings[0].at if crossings else self.departs

    def leaves(self, position: float) -> float:
        """When the truck has left `position` for good; as it leaves the lane, if it never is there."""
        covers = self.covers(position)
        return covers[-1][1] if covers else self.departs

    def scanned(self, at_m: float) -> float | None:
        """When an officer who stands at `at_m` reaches the rear doors: while the truck stands, or as they come by. None
        for a truck that turns back before."""
        if self.stands_from is not None:
            return self.stands_from + 0.7 * self.stop_s
        crossings = self.crossings(at_m + self.truck.length_m)
        return crossings[0].at if crossings else None

    @property
    def arrives(self) -> float:
        """The truck comes into the lane."""
        return self._legs[0].at

    @cached_property
    def enters(self) -> float:
        """The front reaches the origin."""
        return self.reaches(0.0)

    @cached_property
    def clears(self) -> float:
        """The truck has left the origin for good."""
        return self.leaves(0.0)

    @cached_property
    def departs(self) -> float:
        """The truck is out of the lane and out of every camera's sight."""
        if self.truck.turns_back_m is not None:
            return self._legs[-1].at
        return self.crossings(self.truck.length_m + self.layout.clears_m)[-1].at

    def speed_at_portal(self) -> float:
        """Mean speed of the first two metres, as a pair of light barriers measures it; metres per second."""
        return _SPEED_TRAP_M / (self.reaches(_SPEED_TRAP_M) - self.reaches(0.0))

    def delayed(self, seconds: float) -> "Passage":
        """The same drive, later."""
        return Passage(self.truck, self.layout, self.enters + seconds)


def least_distance(before: Passage, after: Passage) -> tuple[float, float]:
    """The least distance from the rear of one truck to the front of the one that follows, while both are in the lane,
    and when that is. Exact: between two changes the distance is a parabola."""
    begin, end = after.arrives, before.departs
    moments = [begin, *sorted(t for t in (*before.starts, *after.starts) if begin < t < end), end]
    best = (float("inf"), begin)

    def distance(at: float) -> float:
        return before.position(at) - before.truck.length_m - after.position(at)

    for i in range(len(moments) - 1):
        a, b = moments[i], moments[i + 1]
        fa, fm, fb = distance(a), distance((a + b) / 2), distance(b)
        looked = [(fa, a), (fb, b)]
        curve = fa - 2 * fm + fb
        if curve > 0:  # the vertex of the parabola through three points
            at = a + (b - a) * max(0.0, min(1.0, (3 * fa - 4 * fm + fb) / (4 * curve)))
            looked.append((distance(at), at))
        best = min(best, *looked)
    return best
