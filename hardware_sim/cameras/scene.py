"""What each camera of the lane sees: the views by name, and what a sensor adds to them.

Each truck is drawn once (`front.py`, `rear.py`, `side.py`) and then only placed, since two cameras at several frames a
second must leave the processor to the software under test.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from hardware_sim.cameras.container_view import ContainerView
from hardware_sim.cameras.geometry import HEIGHT, WIDTH
from hardware_sim.cameras.plate_view import PlateView
from hardware_sim.cameras.rear_view import RearView
from hardware_sim.cameras.view import View
from hardware_sim.world.lane import Lane

VIEWS: Mapping[str, Callable[[Lane, int], View]] = {
    "plate": PlateView,
    "rear": RearView,
    "container": ContainerView,
}
_DAY_NOISE, _NIGHT_NOISE = 2.5, 5.0
# The grain is drawn once, larger than a frame, and every frame has a place of its own in it.
_SHIFTS = 61


class Noise:
    """What a sensor adds. Frames of one number have the same noise, those of close numbers never."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng([seed, 77])
        size = (HEIGHT + _SHIFTS, WIDTH + _SHIFTS)
        # Drawing millions of normal numbers takes a second of a start: the colours share one grain.
        grain = random.standard_normal((*size, 1), np.float32)
        colours = [np.roll(grain, shift, (0, 1)) for shift in ((97, 31), (41, 173), (211, 307))]
        sheet = grain + np.concatenate(colours, axis=2) * np.float32(1 / 3)
        self._sheets = {
            night: _noise_image(sheet, sigma) for night, sigma in ((False, _DAY_NOISE), (True, _NIGHT_NOISE))
        }
        self._grey = self._sheets[True].getchannel("G")
        self._places = random.permutation(_SHIFTS**2)

    def add(self, frame: Image.Image, number: int, *, night: bool) -> Image.Image:
        """The frame with noise as RGB; a grey sensor's is grey."""
        top, left = divmod(int(self._places[number % _SHIFTS**2]), _SHIFTS)
        box = (left, top, left + frame.width, top + frame.height)
        if frame.mode == "L":
            grey = ImageChops.add(frame, self._grey.crop(box), 1, -128)
            return Image.merge("RGB", (grey, grey, grey))
        return ImageChops.add(frame, self._sheets[night].crop(box), 1, -128)


def _noise_image(grain: NDArray[np.floating], sigma: float) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(128 + sigma * grain), 0, 255).astype(np.uint8))


__all__ = ["HEIGHT", "VIEWS", "WIDTH", "ContainerView", "Noise", "PlateView", "RearView", "View"]
