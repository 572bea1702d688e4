"""What faults do to a scan on its way out of the scanner. What a line's message is to a portal, a whole file is here.

scanner ──► HandingOn: put(scan, data, now) ──► lost? damaged? late? ──► due(now) ──► folder, HTTP, DICOM
"""

from collections import deque
from collections.abc import Callable, Iterator
from math import floor

import numpy as np

from hardware_sim.devices.scan_files import Scan
from hardware_sim.faults import Delay, Drop, FaultSettings, Garble, Merge, Silence, Split, WrongChecksum

# Scans that a fault holds back; a picture is about a megabyte. The oldest gives way.
_MOST_HELD = 16
# The check value of a PNG's picture (its last IDAT chunk) ends where the empty IEND chunk of 12 bytes begins.
_PNG_CHECK = -13

Handed = tuple[Scan, bytes]
# A scan of which `share` of the bytes are wrong.
Damage = Callable[[Scan, bytes, float, np.random.Generator], Handed]


def damaged(data: bytes, share: float, random: np.random.Generator) -> bytes:
    """`share` of the bytes with some of their bits turned over."""
    found = np.frombuffer(data, np.uint8).copy()
    hit = random.random(found.size) < share
    found[hit] ^= random.integers(1, 256, int(hit.sum()), dtype=np.uint8)
    return found.tobytes()


class HandingOn:
    """Scans between their being taken and their being handed on; order is kept whatever happens."""

    def __init__(self, damage: Damage, random: np.random.Generator) -> None:
        self._damage = damage
        self._random = random
        self._active: list[FaultSettings] = []
        self._held: deque[tuple[float, Handed]] = deque(maxlen=_MOST_HELD)
        self._now = 0.0

    def fault(self, settings: FaultSettings, active: bool) -> None:
        """One begins or ends. Nothing is held back any more by one that is over."""
        if active:
            self._active.append(settings)
        elif settings in self._active:
            self._active.remove(settings)
            if isinstance(settings, Delay | Merge):
                self._held = deque(((self._now, handed) for _, handed in self._held), maxlen=_MOST_HELD)

    @property
    def split(self) -> Split | None:
        """In what pieces files are carried now."""
        return next((settings for settings in self._active if isinstance(settings, Split)), None)

    def put(self, scan: Scan, data: bytes, now: float) -> None:
        """A scan is to be handed on at `now`."""
        self._now, due, handed = now, now, (scan, data)
        for settings in self._active:
            match settings:
                case Silence():
                    return
                case Drop(share=share) if self._random.random() < share:
                    return
                case Delay(delay_s=(least, most)):
                    due += float(self._random.uniform(least, most))
                case Merge(every_s=every):
                    due = (floor(due / every) + 1) * every
                case Garble(share=share):
                    handed = self._damage(*handed, share, self._random)
                case WrongChecksum(share=share) if self._random.random() < share:
                    whole = handed[1]
                    spoilt = whole[:_PNG_CHECK] + bytes([whole[_PNG_CHECK] ^ 1]) + whole[_PNG_CHECK + 1 :]
                    handed = handed[0], spoilt
                case _:
                    pass
        self._held.append((max(due, self._held[-1][0]) if self._held else due, handed))

    def next_due(self) -> float | None:
        """When the next scan is handed on."""
        return self._held[0][0] if self._held else None

    def due(self, now: float) -> Iterator[Handed]:
        """What is handed on up to `now`."""
        self._now = now
        while self._held and self._held[0][0] <= now:
            yield self._held.popleft()[1]
