"""Where one vehicle can be: bounds of its front and its rear, from the moments at which it was at a place.

Metres along the lane, the way it is driven; seconds on the observations' monotonic clock. A vehicle drives at any speed
up to the fastest, or stands; it goes back only where that was found out. So what is known of one moment bounds every
other one, earlier or later: a reading that is dated before others is judged by where the vehicle was then.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import inf

# Of one vehicle. A lane has not so many sensors; one that stands and is met again and again has more.
MAX_FACTS = 16


class End(StrEnum):
    """Which part of a vehicle a device looks at."""

    FRONT = "front"
    REAR = "rear"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Place:
    """The stretch of the lane that a device looks at: `at_m`, and `reach_m` before and behind it.

    A sensor stays occupied for `holds_s` after its vehicle has left it.
    """

    at_m: float
    reach_m: float = 1.0
    end: End = End.ANY
    holds_s: float = 0.0

    @property
    def begin(self) -> float:
        """Where the stretch begins."""
        return self.at_m - self.reach_m

    @property
    def until(self) -> float:
        """Where the stretch ends."""
        return self.at_m + self.reach_m


@dataclass(frozen=True, slots=True)
class Driving:
    """What drives through a lane. `slowest_mps` is of one that drives on: any vehicle may stop, for `stands_s`."""

    slowest_mps: float = 1.0
    fastest_mps: float = 8.0
    shortest_m: float = 4.0
    longest_m: float = 30.0
    stands_s: float = 180.0


@dataclass(frozen=True, slots=True)
class Span:
    """Metres along the lane, from `lo` to `hi`."""

    lo: float = -inf
    hi: float = inf

    def within(self, other: "Span") -> "Span":
        """What both allow; `self` where they contradict each other."""
        lo, hi = max(self.lo, other.lo), min(self.hi, other.hi)
        return Span(lo, hi) if lo <= hi else self


@dataclass(frozen=True, slots=True)
class Fact:
    """At a moment the front and the rear were in these spans."""

    at: float
    front: Span = Span()
    rear: Span = Span()


@dataclass(frozen=True, slots=True)
class Body:
    """Where a vehicle can be at one moment."""

    front: Span
    rear: Span

    def possible(self, place: Place) -> bool:
        """The part that the device looks at can be in its stretch."""
        front, rear = self._ends(place.end)
        return front.hi >= place.begin and rear.lo <= place.until

    def certain(self, place: Place) -> bool:
        """It cannot be elsewhere."""
        front, rear = self._ends(place.end)
        return front.lo >= place.begin and rear.hi <= place.until

    def _ends(self, end: End) -> tuple[Span, Span]:
        if end is End.ANY:
            return self.front, self.rear
        one = self.front if end is End.FRONT else self.rear
        return one, one


class Whereabouts:
    """What is known of one vehicle's places."""

    def __init__(self, driving: Driving) -> None:
        self._driving = driving
        self._facts: list[Fact] = []
        self._seen: Fact | None = None
        self._turned: float | None = None

    def met(self, at: float, place: Place) -> None:
        """A presence sensor began to be occupied: the front is there."""
        self._know(Fact(at, front=Span(place.begin, place.until)))

    def cleared(self, at: float, place: Place) -> None:
        """A presence sensor is free again: the rear is there."""
        self._know(Fact(at, rear=Span(place.begin, place.until)))

    def is_past(self, at: float, place: Place) -> None:
        """The next vehicle's front is there: this one's rear is not before it."""
        self._know(Fact(at, rear=Span(lo=place.begin)))

    def _know(self, fact: Fact) -> None:
        """The first and the latest are kept; without the others bounds only get wider."""
        self._facts.append(fact)
        if len(self._facts) > MAX_FACTS:
            del self._facts[1]

    def seen(self, at: float, place: Place) -> None:
        """A device saw the part that it looks at. Only the first sighting and the latest are kept."""
        stretch = Span(place.begin, place.until)
        if place.end is End.FRONT:
            fact = Fact(at, front=stretch)
        elif place.end is End.REAR:
            fact = Fact(at, rear=stretch)
        else:
            fact = Fact(at, front=Span(lo=place.begin), rear=Span(hi=place.until))
        if not self._facts:
            self._facts.append(fact)
        elif self._seen is None or at >= self._seen.at:
            self._seen = fact

    def turned(self, since: float) -> None:
        """From `since` on it may drive either way."""
        self._turned = since if self._turned is None else min(since, self._turned)

    @property
    def backing(self) -> bool:
        """It was found to go back."""
        return self._turned is not None

    def at(self, moment: float, limits: Iterable[Fact] = (), least_mps: float = 0.0) -> Body:
        """Where it can be. `limits` hold at that moment: sensors that it occupies, or has not come to.

        With `least_mps`: where it can be if it drove on at that speed or faster, as far as the limits allow, and from
        the last place at which it is known to have been later than that allows.
        """
        drive = self._driving
        front, rear = Span(), Span()
        known = (*self._facts, *((self._seen,) if self._seen else ()))
        last = max((fact for fact in known if fact.at <= moment), key=lambda fact: fact.at, default=None)
        for fact in (*limits, *known):
            on, back = self._ways(fact.at, moment)
            least = 0.0 if self.backing or _stood(fact, last, least_mps) else least_mps * max(0.0, moment - fact.at)
            front = front.within(Span(fact.front.lo - back + least, fact.front.hi + on))
            rear = rear.within(Span(fact.rear.lo - back + least, fact.rear.hi + on))
        front = front.within(Span(rear.lo + drive.shortest_m, rear.hi + drive.longest_m))
        rear = rear.within(Span(front.lo - drive.longest_m, front.hi - drive.shortest_m))
        return Body(front, rear)

    def _ways(self, since: float, until: float) -> tuple[float, float]:
        """How far on, and how far back, it can have driven from one moment to another, which may be earlier."""
        fastest = self._driving.fastest_mps
        on = fastest * (until - since)
        turned = inf if self._turned is None else self._turned
        back = fastest * (max(until, turned) - max(since, turned)) if turned < inf else 0.0
        return (on, back) if on >= 0 else (-back, -on)


def _stood(since: Fact, last: Fact | None, least_mps: float) -> bool:
    """By the last of what is known it did not drive on from `since` at that speed."""
    if last is None or last.at <= since.at:
        return False
    way = least_mps * (last.at - since.at)
    return since.front.lo + way > last.front.hi or since.rear.lo + way > last.rear.hi
