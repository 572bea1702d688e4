"""One camera's frames as JPEG, whoever sends them."""

from io import BytesIO

from PIL import Image

from hardware_sim.cameras.scene import Noise, View
from hardware_sim.cameras.trouble import CameraTrouble, flared

# Variants of the empty lane that are kept as JPEG; as many as there are noise images, so that neighbours differ.
_EMPTY_KEPT = 6


class Frames:
    """Draws what a camera sees at a moment, with its sensor's noise. May be called from one thread at a time."""

    def __init__(self, view: View, noise: Noise, quality: int, trouble: CameraTrouble | None = None) -> None:
        """`quality` is JPEG's, 30 to 95. `trouble` is what is wrong with the camera, asked for every frame."""
        self._trouble = trouble or CameraTrouble()
        self._last = b""
        self.drawn = 0
        self._view = view
        self._noise = noise
        self._quality = quality
        self._number = 0
        self._empty_kept: dict[tuple[bool, int], bytes] = {}

    def at(self, at: float) -> bytes:
        """The JPEG at `at`. No two are the same bytes, unless the camera is frozen: a real camera's never are."""
        if not (self._trouble.frozen and self._last):
            self._last = self._next(at)
        return self._last

    def _next(self, at: float) -> bytes:
        self._number += 1
        if self._trouble.black:
            black = Image.new("RGB", self._view.empty(at).size)
            return _numbered(self._encode(black), self._number)
        drawn = self._view.draw(at)
        night = self._view.night(at)
        if self._trouble.flare:
            seen = self._noise.add(drawn or self._view.empty(at), self._number, night=night)
            return _numbered(self._encode(flared(seen, self._trouble.flare)), self._number)
        if drawn is None:
            variant = (night, self._number % _EMPTY_KEPT)
            if variant not in self._empty_kept:
                self._empty_kept[variant] = self._encode(
                    self._noise.add(self._view.empty(at), self._number, night=night)
                )
            return _numbered(self._empty_kept[variant], self._number)
        self.drawn += 1
        return _numbered(self._encode(self._noise.add(drawn, self._number, night=night)), self._number)

    def _encode(self, image: Image.Image) -> bytes:
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=self._quality)
        return buffer.getvalue()


def _numbered(jpeg: bytes, number: int) -> bytes:
    """The JPEG with its number in a comment segment (ITU-T T.81, B.2.4.5) right after the start of image."""
    comment = f"frame {number}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]
