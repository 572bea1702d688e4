"""An STI VS6400 vehicle scanner: a light curtain beside the lane that lists what stands in its beams.

VS6400 Installation and Operating Manual, Rev. E, section 6. ASCII list: the number of objects as two hexadecimal
digits; for each a space, its first blocked beam (the one closest to the cable is 0), a colon and how many beams it
blocks, four hexadecimal digits each; CR LF. With nothing in it the list is `00`. Changes must hold for three scans to
be recognised (section 5).
"""

from typing import Annotated, Literal

from pydantic import Field

from hardware_sim.device import Site, WiredSettings
from hardware_sim.world.outline import blocked_at
from hardware_sim.world.passage import Passage
from hardware_sim.world.stretch import Stretch

_SCANS_TO_BELIEVE = 3
# The curtain is narrow, yet a wheel's edge takes a few scans to leave it.
_MEMORY_S = 1.0
_MOST_OBJECTS = 0xFF
Beams = tuple[tuple[int, int], ...]


class Settings(WiredSettings):
    """STI VS6400, ASCII list."""

    kind: Literal["sti_vs6400"]
    at_m: float = Field(default=-1.0, ge=-100, le=200, description="where the curtain stands: metres along the lane")
    beams: Annotated[int, Field(ge=8, le=384)] = 96
    pitch_m: Annotated[float, Field(ge=0.006, le=0.1)] = Field(default=0.019, description="from beam to beam, metres")
    lowest_m: Annotated[float, Field(ge=0, le=3)] = Field(default=0.3, description="height of beam 0 above the road")
    scan_s: Annotated[float, Field(ge=0.005, le=1)] = 0.02
    reports: Literal["change", "scan"] = Field(
        default="change", description="a list when it changes, or one for every scan while something is there"
    )
    idle_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=0.0, description="while nothing is there a list so often; 0: none"
    )


class StiVs6400:
    """The scanner on the world's clock."""

    kind = "sti_vs6400"

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        self.name = name
        self._settings = settings
        self._stretch = Stretch(site.lane, settings.at_m, settings.at_m, _MEMORY_S)
        self._scanned = site.started
        self._said_at = site.started
        self._seen: Beams = ()
        self._same = 0
        self._believed: Beams = ()
        self._lists: dict[int, int] = {}

    def connected(self) -> bytes:
        return b""

    def received(self, data: bytes, now: float) -> bytes:
        return b""  # its set-up terminal is another mode; in this one it only reports

    def next_wake(self) -> float | None:
        scan = self._stretch.touched_from(self._scanned + self._settings.scan_s)
        if not self._settings.idle_s:
            return scan
        idle = self._said_at + self._settings.idle_s
        return idle if scan is None else min(scan, max(idle, self._scanned + self._settings.scan_s))

    def woke(self, now: float) -> bytes:
        self._scanned = now
        here = self._stretch.touched_by(now)
        beams = self._blocked(here, now)
        self._same = self._same + 1 if beams == self._seen else 1
        self._seen = beams
        changed = beams != self._believed and self._same >= _SCANS_TO_BELIEVE
        if changed:
            self._believed = beams
        idle = bool(self._settings.idle_s) and now >= self._said_at + self._settings.idle_s
        every = self._settings.reports == "scan" and bool(self._believed)
        if not (changed or every or (idle and not self._believed)):
            return b""
        self._said_at = now
        for passage in here:
            self._lists[passage.truck.index] = self._lists.get(passage.truck.index, 0) + 1
        return report(self._believed)

    def _blocked(self, here: list[Passage], now: float) -> Beams:
        """First beam and number of beams of each object, lowest first."""
        s = self._settings
        blocked = [False] * s.beams
        for passage in here:
            for low, high in blocked_at(passage.truck, passage.position(now) - s.at_m):
                first = max(0, round((low - s.lowest_m) / s.pitch_m + 0.499))
                for beam in range(first, min(s.beams, int((high - s.lowest_m) / s.pitch_m) + 1)):
                    blocked[beam] = True
        objects: list[tuple[int, int]] = []
        for beam, is_blocked in enumerate(blocked):
            if not is_blocked:
                continue
            if objects and sum(objects[-1]) == beam:
                objects[-1] = (objects[-1][0], objects[-1][1] + 1)
            else:
                objects.append((beam, 1))
        return tuple(objects[:_MOST_OBJECTS])

    def done_with(self, passage: Passage) -> float:
        return self._stretch.leaves(passage) + _MEMORY_S

    def said_of(self, passage: Passage) -> dict[str, object] | None:
        lists = self._lists.pop(passage.truck.index, 0)
        return {"present": True, "lists": lists} if lists else None


def report(beams: Beams) -> bytes:
    """The ASCII list of objects, each its first beam and how many it blocks."""
    listed = "".join(f" {first:04X}:{count:04X}" for first, count in beams)
    return f"{len(beams):02X}{listed}\r\n".encode()
