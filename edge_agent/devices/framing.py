"""Cuts a device's bytes into frames and what lies between them; losing none, holding a bounded number."""

import math
from collections.abc import Callable, Iterator

# How long the frame is that these bytes begin with; 0 if they begin with none; None if more bytes are needed to tell.
# It is given `longest` bytes at most, and must tell by then. What it told of some bytes it must tell of more of them.
Measure = Callable[[bytes], int | None]


class Framer:
    """Finds frames that begin with `start` (b"": with any byte) and have `longest` bytes at most.

    What is no frame comes out in one piece before the next frame, or every `longest` bytes; at most 2 · `longest`
    bytes are held. What is held is overdue when no byte comes for `unfinished_s`. `when` dates it: the last time
    that was given to `opened` or `feed`.
    """

    def __init__(self, measure: Measure, start: bytes, longest: int, unfinished_s: float) -> None:
        self._measure = measure
        self._start = start
        self._longest = longest
        self._unfinished_s = unfinished_s
        self._buffer = bytearray()
        self._between = 0  # bytes at the buffer's beginning that belong to no frame
        self.when = math.nan

    def opened(self, now: float) -> None:
        """The connection is up."""
        self.when = now

    def feed(self, data: bytes, now: float) -> Iterator[tuple[bytes, bool]]:
        """Pieces in their order, each with whether it is a frame."""
        self.when = now
        self._buffer += data
        while self._between < len(self._buffer):
            window = bytes(self._buffer[self._between : self._between + self._longest])
            length = self._measure(window) if window.startswith(self._start) else 0
            if length is None:
                return
            if length and self._between:
                yield self._take(self._between), False
                continue  # measured anew: what lay before may have changed what a frame is
            if length:
                yield self._take(length), True
                continue
            found = self._buffer.find(self._start, self._between + 1)
            self._between = found if found >= 0 else len(self._buffer)
            if self._between >= self._longest:
                yield self._take(self._longest), False

    def next_wake(self) -> float | None:
        """When what is held is overdue; None if nothing is."""
        return self.when + self._unfinished_s if self._buffer else None

    def overdue(self, now: float) -> bytes:
        """What is held, if its rest has not come in time (or `now` is infinite, or the time is not known)."""
        return b"" if now < self.when + self._unfinished_s else self._take(len(self._buffer))

    def _take(self, length: int) -> bytes:
        piece = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._between = 0
        return piece


def line(longest: int) -> Measure:
    """Measures lines that end with LF; `longest` bytes without one are a frame too, for the driver to refuse."""

    def measure(window: bytes) -> int | None:
        end = window.find(b"\n") + 1
        return end or (longest if len(window) == longest else None)

    return measure


def why_not_a_frame(piece: bytes, expected: str) -> str:
    """What to say of bytes between frames, of a device that sends ASCII only."""
    if any(byte > 0x7F for byte in piece):
        return f"no frame ({expected}), and bytes above 127: check baud, bytesize and parity of the link"
    return f"no frame ({expected})"
