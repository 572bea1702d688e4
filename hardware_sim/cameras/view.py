"""What every view of the lane shares: its size, light and weather, the trucks' drawings, the shutter."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from PIL import Image

from hardware_sim.cameras.weather import Rain
from hardware_sim.world.lane import Lane
from hardware_sim.world.truck import Truck

Drawn = TypeVar("Drawn")
# Trucks in sight at once: one that leaves, one that comes, and one to spare.
_SPRITES_KEPT = 3
# The light of a lane changes this long before a truck of the other kind comes.
_DUSK_S = 1.2


class View(Protocol):
    """One camera's view of the lane. Every picture follows from the moment alone."""

    def draw(self, at: float) -> Image.Image | None:
        """The frame at `at` without sensor noise, RGB or L; None while the lane before the camera is empty."""
        ...

    def empty(self, at: float) -> Image.Image:
        """The empty lane at `at`."""
        ...

    def night(self, at: float) -> bool: ...

    def rain(self, at: float) -> bool: ...

    def elapsed(self, at: float) -> float:
        """Seconds of traffic: what depends on them is the same in every run."""
        ...


class Look(NamedTuple):
    """Light and weather."""

    night: bool
    rain: bool


@dataclass(frozen=True, slots=True)
class Shutter:
    """For how long it is open, in seconds: shorter in good light."""

    day: float
    night: float

    def open_s(self, look: Look) -> float:
        return self.night if look.night else self.day * (2 if look.rain else 1)


class Sprites(Generic[Drawn]):
    """The last few trucks' drawings."""

    def __init__(self, draw: Callable[[Truck], Drawn]) -> None:
        self._draw = draw
        self._kept: dict[int, Drawn] = {}
        self._lock = threading.Lock()

    def of(self, truck: Truck) -> Drawn:
        with self._lock:
            if truck.index not in self._kept:
                while len(self._kept) >= _SPRITES_KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[truck.index] = self._draw(truck)
            return self._kept[truck.index]


class LaneView:
    """The part of a View that is the same for all: light and weather go with the truck that is there or comes next."""

    SHUTTER: Shutter

    def __init__(self, lane: Lane, seed: str, background: Callable[[Look], Image.Image]) -> None:
        self._lane = lane
        self._rain = Rain(seed)
        self._background = background
        self._backgrounds: dict[Look, Image.Image] = {}

    def look(self, at: float) -> Look:
        here = self._lane.last_within(at + _DUSK_S)
        return Look(here is not None and here.night, here is not None and here.rain)

    def night(self, at: float) -> bool:
        return self.look(at).night

    def rain(self, at: float) -> bool:
        return self.look(at).rain

    def elapsed(self, at: float) -> float:
        return at if self._lane.began is None else at - self._lane.began

    def empty(self, at: float) -> Image.Image:
        look = self.look(at)
        return self._finished(self._behind(look), at, look)

    def _behind(self, look: Look) -> Image.Image:
        """The empty lane, before rain falls in front of it; not to be changed."""
        if look not in self._backgrounds:
            self._backgrounds[look] = self._background(look)
        return self._backgrounds[look]

    def _finished(self, frame: Image.Image, at: float, look: Look) -> Image.Image:
        if not look.rain:
            return frame
        frame = frame.copy()
        self._rain.over(frame, self.elapsed(at), night=look.night)
        return frame
