"""A truck scale's platform: the load on it as axles roll on and off, and what its indicator makes of that.

The load is a sum of steps, one for each axle that comes or leaves; deck and load cells answer to each step as a damped
oscillator does, so the indication is a sum of step responses: a function of time alone, whoever asks, and how often.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import cos, exp, pi, sin, sqrt
from random import Random
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hardware_sim.device import WiredSettings
from hardware_sim.settings import Metres
from hardware_sim.world.lane import Lane
from hardware_sim.world.outline import axles_of
from hardware_sim.world.passage import Passage
from hardware_sim.world.stretch import Stretch
from hardware_sim.world.truck import Truck

KG_PER_LB = 0.45359237
# Shares of the gross weight on the steering axle, the tractor's tandem and the trailer's tandem.
_SHARES = (0.14, 0.20, 0.20, 0.23, 0.23)
# A step response below this share of its step is over: 10 kg of 40 t at 1/4000.
_OVER = 1 / 4000
# Motion is judged over the last second, at the indicator's ten measurements a second.
_LOOK_BACK_S = 1.0
_MEASURED_EVERY_S = 0.1
_LOOKS = range(1, round(_LOOK_BACK_S / _MEASURED_EVERY_S))


class ScaleSettings(WiredSettings):
    """A truck scale. `at_m` is where its platform begins; a truck is weighed when it stands on it with all axles."""

    at_m: Metres = Field(default=-13.0, description="where the platform begins: metres along the lane")
    length_m: Annotated[float, Field(ge=2, le=60)] = Field(default=20.0, description="length of the platform, metres")
    unit: Literal["kg", "lb"] = "kg"
    increment: Literal[1, 2, 5, 10, 20, 50, 100] = Field(default=20, description="step of the indication, in `unit`")
    capacity: Annotated[int, Field(ge=100, le=900_000)] = Field(
        default=80_000, description="more than this, and nine increments, is an overload, in `unit`"
    )
    tare: Annotated[int, Field(ge=0, le=200_000)] = Field(default=0, description="preset tare in `unit`: shown is net")
    settle_hz: Annotated[float, Field(ge=0.3, le=10)] = Field(default=1.6, description="how fast the deck oscillates")
    damping: Annotated[float, Field(ge=0.05, le=0.95)] = Field(default=0.3, description="how soon that dies away")
    noise_kg: Annotated[float, Field(ge=0, le=100)] = Field(default=1.5, description="unrest by wind, at rest")

    @model_validator(mode="after")
    def _fits(self) -> "ScaleSettings":
        if self.capacity < 10 * self.increment:
            raise ValueError("the capacity is at least ten increments")
        return self


@dataclass(frozen=True, slots=True)
class Indication:
    """What the indicator shows: `value` in the scale's unit, rounded to its increment, tare taken off. `under`: so far
    below zero that it is no weight, as when a truck leaves that was there when the scale was zeroed."""

    value: int
    gross: int
    motion: bool
    over: bool
    under: bool
    at_zero: bool


@dataclass(frozen=True, slots=True)
class _Step:
    at: float
    kg: float


class Platform:
    """The platform and indicator of one scale. Asked for moments that never go back by more than a second."""

    def __init__(self, settings: ScaleSettings, lane: Lane, seed: int) -> None:
        self.tare = settings.tare
        self.stuck_motion = False  # a fault: it never settles
        self._settings = settings
        self._unit_kg = KG_PER_LB if settings.unit == "lb" else 1.0
        self._omega = 2 * pi * settings.settle_hz
        # The oscillation's envelope falls to _OVER after this long.
        self.settles_s = 8.3 / (settings.damping * self._omega)
        self._stretch = Stretch(
            lane, settings.at_m, settings.at_m + settings.length_m, self.settles_s + 2 * _LOOK_BACK_S
        )
        self._seed = seed
        self._zero_kg = 0.0
        self._unsettled: set[int] = set()  # trucks of which a fault let it show no stable weight
        random = Random(f"scale/{seed}")
        self._phases = [(random.uniform(0, 2 * pi), hz) for hz in (0.37, 1.13, 2.71)]
        # Each step is computed once a truck, and kept only while trucks are near.
        self._steps = lru_cache(maxsize=8)(self._steps_of)

    def shown(self, at: float) -> Indication:
        """The indication at `at`."""
        now = self._kg(at)
        here = self._stretch.touched_by(at)
        if self.stuck_motion:
            motion = True
            self._unsettled |= {passage.truck.index for passage in here}
        else:
            motion = bool(here) and self._moves([now, *(self._kg(at - k * _MEASURED_EVERY_S) for k in _LOOKS)])
        return self._indication(now, motion)

    def _moves(self, kgs: Iterable[float]) -> bool:
        """Whether the last second's measurements lie further apart than an increment."""
        kgs = list(kgs)
        return max(kgs) - min(kgs) > self._settings.increment * self._unit_kg

    def _indication(self, kg: float, motion: bool) -> Indication:
        step = self._settings.increment
        gross = round((kg - self._zero_kg) / self._unit_kg / step) * step
        return Indication(
            value=gross - self.tare,
            gross=gross,
            motion=motion,
            over=gross > self._settings.capacity + 9 * step,
            under=gross < -5 * step,
            at_zero=gross == 0,
        )

    def zero(self, at: float) -> bool:
        """Take what lies on it for nothing, as on the indicator's key; refused in motion and above 2 % of capacity."""
        shown = self.shown(at)
        if shown.motion or abs(shown.gross) > 0.02 * self._settings.capacity:
            return False
        self._zero_kg += self._kg(at)
        return True

    def take_tare(self, at: float) -> bool:
        """Take what lies on it for the tare; refused in motion, and for nothing or less."""
        shown = self.shown(at)
        if shown.motion or shown.gross <= 0 or shown.over:
            return False
        self.tare = shown.gross
        return True

    def leaves(self, passage: Passage) -> float:
        """When the truck is off it and its indication at rest again."""
        return self._stretch.leaves(passage) + self.settles_s + _LOOK_BACK_S

    def settled_of(self, passage: Passage) -> dict[str, object]:
        """What the indicator shows of a truck that has all axles on it: the gross indication without motion that it
        shows longest, in kilograms and as shown, and for how many seconds it is without motion; None where it never
        is."""
        s = self._settings
        axles = axles_of(passage.truck)
        whole, off = passage.reaches(s.at_m + axles[-1]), passage.reaches(s.at_m + s.length_m + axles[0])
        stuck = passage.truck.index in self._unsettled
        self._unsettled.discard(passage.truck.index)
        alone = Platform(s, _Alone(passage), self._seed)
        last: deque[float] = deque(maxlen=len(_LOOKS) + 1)
        settled: Counter[int] = Counter()
        for step in range(0 if stuck else int((off - whole) / _MEASURED_EVERY_S)):
            last.append(alone._kg(whole + step * _MEASURED_EVERY_S))
            if len(last) == last.maxlen and not self._moves(last):
                settled[self._indication(last[-1], motion=False).gross] += 1
        gross = settled.most_common(1)[0][0] if settled else None
        over = gross is not None and gross > s.capacity + 9 * s.increment
        return {
            "gross_kg": None if gross is None or over else round(gross * self._unit_kg, 1),
            "shown": gross,
            "unit": s.unit,
            "over": over,
            "settled_s": round(settled.total() * _MEASURED_EVERY_S, 1),
        }

    def _kg(self, at: float) -> float:
        """The load that the load cells report, before rounding."""
        kg = self._settings.noise_kg * self._unrest(at)
        for passage in self._stretch.touched_by(at):
            on = 0.0
            for step in self._steps(passage):
                if step.at < at:
                    kg += step.kg * self._response(at - step.at)
                    on += step.kg
            kg += (
                0.006 * on * passage.speed(at) * self._unrest(3 * at)
            )  # a rolling truck pitches: it never weighs the same
        return kg

    def _steps_of(self, passage: Passage) -> tuple[_Step, ...]:
        s, truck = self._settings, passage.truck
        steps = []
        start = passage.position(passage.arrives)
        for axle, kg in zip(axles_of(truck), axle_loads(truck), strict=True):
            begin, end = s.at_m + axle, s.at_m + s.length_m + axle
            if begin < start < end:
                steps.append(_Step(passage.arrives, kg))
            steps += [_Step(c.at, kg if c.forward else -kg) for c in passage.crossings(begin)]
            steps += [_Step(c.at, -kg if c.forward else kg) for c in passage.crossings(end)]
        return tuple(sorted(steps, key=lambda step: step.at))

    def _response(self, after: float) -> float:
        """Step response of a damped oscillator, 0 to 1 with overshoot."""
        zeta, omega = self._settings.damping, self._omega
        if after > self.settles_s:
            return 1.0
        root = sqrt(1 - zeta * zeta)
        turning = omega * root * after
        return 1 - exp(-zeta * omega * after) * (cos(turning) + zeta / root * sin(turning))

    def _unrest(self, at: float) -> float:
        """Between about -1 and 1: wind and traffic, the same for whoever asks."""
        return sum(sin(2 * pi * hz * at + phase) for phase, hz in self._phases) / 2


class _Alone(Lane):
    """A lane on which only one truck ever was."""

    def __init__(self, passage: Passage) -> None:
        super().__init__((), passage.layout)
        self.passages = [passage]


def axle_loads(truck: Truck) -> tuple[float, ...]:
    """Kilograms on each of `axles_of`; they add up to the gross weight."""
    return tuple(truck.gross_kg * share for share in _SHARES)
