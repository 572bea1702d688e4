"""One camera's frames as JPEG, whoever sends them."""

import random
import re
import threading
from io import BytesIO

from PIL import Image

from hardware_sim.cameras.light import Flare
from hardware_sim.cameras.scene import HEIGHT, WIDTH, Noise, View
from hardware_sim.cameras.trouble import CameraTrouble

# Variants of the empty lane that are kept as JPEG.
_EMPTY_KEPT = 4
# Restart markers (ITU-T T.81, B.2.1): what lies between two of them is decoded by itself.
_AFTER_RESTART = re.compile(rb"(?<=\xff[\xd0-\xd7])")


class Frames:
    """Draws what a camera sees at a moment, with its sensor's noise.

    A frame's bytes follow from the seed and the moment, in milliseconds of traffic, alone: not from who else looks, nor
    from what was asked before. Only a frozen picture is what it last was.
    """

    def __init__(
        self,
        view: View,
        noise: Noise,
        quality: int,
        trouble: CameraTrouble | None = None,
        seed: str = "",
    ) -> None:
        """`quality` is JPEG's, 30 to 95; the flare's place follows from `seed`."""
        self.drawn = 0
        self._view = view
        self._noise = noise
        self._quality = quality
        self._trouble = trouble or CameraTrouble()
        self._flare = Flare(seed)
        self._last: bytes | None = None
        self._kept: dict[tuple[str, bool], list[tuple[bytes, ...]]] = {}
        self._lock = threading.Lock()

    def at(self, at: float) -> bytes:
        """The JPEG at `at`. No two milliseconds have the same bytes, and frames that follow each other, however late or
        early, not the same noise, as with a real camera; unless it is frozen."""
        with self._lock:
            if not self._trouble.frozen or self._last is None:
                self._last = self._drawn_at(at)
            return self._last

    def _drawn_at(self, at: float) -> bytes:
        number = round(self._view.elapsed(at) * 1000)
        flare = self._trouble.flare
        if self._trouble.black:
            return _numbered(self._once("black", number, at), number)
        drawn = self._view.draw(at)
        night = self._view.night(at)
        if drawn is None and not flare and not self._view.rain(at):
            return _numbered(self._once("empty", number, at), number)
        if drawn is not None:
            self.drawn += 1
        seen = drawn or self._view.empty(at)
        image = self._noise.add(seen, number, night=night)
        if flare:
            image = self._flare.over(image, flare, grey=seen.mode == "L")
        return _numbered(self._encode(image), number)

    def _once(self, what: str, number: int, at: float) -> bytes:
        """What is the same all the time, but for noise: a few variants are encoded, once each, and every row of blocks
        is taken from any of them."""
        night = what == "empty" and self._view.night(at)
        if (what, night) not in self._kept:
            image = self._view.empty(at) if what == "empty" else Image.new("RGB", (WIDTH, HEIGHT))
            noisy = (self._noise.add(image, variant, night=night) for variant in range(_EMPTY_KEPT))
            variants = [_AFTER_RESTART.split(self._encode(one)) for one in noisy]
            self._kept[what, night] = list(zip(*variants, strict=True))
        return b"".join(map(random.Random(number).choice, self._kept[what, night]))

    def _encode(self, image: Image.Image) -> bytes:
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=self._quality, restart_marker_rows=1)
        return buffer.getvalue()


def _numbered(jpeg: bytes, number: int) -> bytes:
    """The JPEG with its number in a comment segment (ITU-T T.81, B.2.4.5) right after the start of image."""
    comment = f"frame {number}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]
