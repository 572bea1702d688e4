"""When trucks come: an even trickle, a rush hour, a convoy, or moments that the scenario states."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Annotated, NamedTuple

from pydantic import Field, model_validator

from hardware_sim.settings import Seconds, SecondsRange, SimSettings

PerHour = Annotated[float, Field(gt=0, le=2000)]
_HOUR_S = 3600.0


class Arrival(NamedTuple):
    """A truck's front is at the origin `gap` seconds after the rear of the one before left it, and not before
    `not_before` seconds of traffic have gone by."""

    gap: float
    not_before: float = 0.0


class RateSettings(SimSettings):
    """From an hour of traffic on so many trucks an hour, as they come by chance."""

    from_h: Annotated[float, Field(ge=0, le=168)]
    per_hour: PerHour


class ConvoySettings(SimSettings):
    """Trucks come in groups of `size`, those of a group `gap_s` apart."""

    size: Annotated[int, Field(ge=2, le=100)]
    gap_s: SecondsRange


class ArrivalSettings(SimSettings):
    """When trucks come. `gap_s`: from one truck's rear at the origin to the next one's front; the least of it always
    holds. `per_hour`: trucks come by chance at this rate, and queue when that is more than the lane takes."""

    first_truck_s: Seconds = 5.5
    gap_s: SecondsRange = (6.0, 12.0)
    per_hour: PerHour | tuple[RateSettings, ...] | None = None
    convoy: ConvoySettings | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "ArrivalSettings":
        wrong = []
        for name, pair in (("gap_s", self.gap_s), ("convoy.gap_s", self.convoy.gap_s if self.convoy else (0, 0))):
            if pair[0] > pair[1]:
                wrong.append(f"{name}: the first number is the smaller one")
        if isinstance(self.per_hour, tuple):
            hours = [rate.from_h for rate in self.per_hour]
            if not hours or hours[0] != 0 or hours != sorted(set(hours)):
                wrong.append("per_hour: the first rate is from_h: 0, and each begins later than the one before")
        if self.convoy is not None and self.per_hour is not None:
            wrong.append("convoy and per_hour: say one of them")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def least_gap_s(self) -> float:
        """No truck's front is at the origin sooner than this after the rear of the one before."""
        return min(self.gap_s[0], self.convoy.gap_s[0] if self.convoy else self.gap_s[0])

    def arrivals(self, random: Random, stated: Sequence[float | None]) -> Iterator[Arrival]:
        """One for each truck, without end. `stated`: the moments that the scenario states, in seconds of traffic."""
        chance = self._by_chance(random)
        index = 0
        while True:
            gap = random.uniform(*self.gap_s)
            if self.convoy is not None and index % self.convoy.size:
                gap = random.uniform(*self.convoy.gap_s)
            not_before = next(chance)
            if not_before:
                gap = self.gap_s[0]
            if index < len(stated) and (at := stated[index]) is not None:
                gap, not_before = self.least_gap_s, at
            elif index == 0 and not not_before:
                gap, not_before = 0.0, self.first_truck_s
            yield Arrival(gap, not_before)
            index += 1

    def _by_chance(self, random: Random) -> Iterator[float]:
        """Moments of a Poisson process whose rate changes with the hour; 0 for ever where no rate is given."""
        if self.per_hour is None:
            while True:
                yield 0.0
        rates = self.per_hour if isinstance(self.per_hour, tuple) else (RateSettings(from_h=0, per_hour=self.per_hour),)
        begins = [rate.from_h * _HOUR_S for rate in rates] + [float("inf")]
        at, current = self.first_truck_s, 0
        while True:
            hazard = random.expovariate(1.0)
            while (left := (begins[current + 1] - at) * rates[current].per_hour / _HOUR_S) < hazard:
                hazard, at, current = hazard - left, begins[current + 1], current + 1
            at += hazard * _HOUR_S / rates[current].per_hour
            yield at
