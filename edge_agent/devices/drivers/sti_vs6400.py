"""STI VS6400 vehicle separators (a light curtain across the lane) that report their objects in ASCII.

    objects(2) { " " first(4) ":" count(4) } CR LF          hexadecimal: `01 0008:0002` is one object, beams 8 and 9

`first` is the object's beam closest to the cable, counted from zero; `00` is an empty lane. VS6400 Series Installation
and Operating Manual, rev. E, page 9. The scanner's own relay switches at two beams.
"""

import math
import re
from collections.abc import Iterable
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_agent.devices.framing import Framer, line, why_not_a_frame
from edge_agent.domain.counted import counted
from edge_agent.domain.observation import DeviceFault, FaultKind, Malformed, Opaque, Presence, Reading

# The number of objects has two hexadecimal digits, and each object takes ten bytes.
LINE_LIMIT = 2 + 255 * 10 + 2
BUFFER_LIMIT = 2 * LINE_LIMIT
UNFINISHED_S = 1.0

_REPORT = re.compile(rb"([0-9A-Fa-f]{2})((?: [0-9A-Fa-f]{4}:[0-9A-Fa-f]{4})*)\r?\n")


class Settings(BaseModel):
    """How this separator is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    beams: int = Field(default=1024, ge=1, le=4096, description="how many beams the scanner has, or more")
    occupied_beams: int = Field(default=2, ge=1, description="blocked beams from which on a vehicle is there")
    free_beams: int = Field(default=1, ge=0, description="blocked beams up to which the lane is free")
    occupied_for_s: float = Field(default=0.0, ge=0, le=10, description="how long a vehicle must be seen to count")
    free_for_s: float = Field(
        default=0.25, ge=0, le=10, description="how long the lane must be free to count: spans a gap at the coupling"
    )
    stuck_after_s: float = Field(default=900.0, gt=0, description="a beam blocked for longer is stuck")
    stuck_ignored: int = Field(
        default=8, ge=0, description="up to so many stuck beams do not count as a vehicle; more are one that stands"
    )

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.free_beams >= self.occupied_beams:
            raise ValueError("free_beams must be less than occupied_beams, or the lane would be both")
        return self


class StiVs6400:
    """The dialogue: it only listens. A report's reading is Opaque("beams"); what follows from it carries no bytes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._framer = Framer(line(LINE_LIMIT), b"", LINE_LIMIT, UNFINISHED_S)
        self._occupied: bool | None = None  # as told; None: not told yet
        self._turning: tuple[bool, float] | None = None  # what the lane has been, since when, that is not told yet
        self._blocked: dict[int, float] = {}  # beams, since when
        self._stuck = False  # as told

    def opened(self, now: float) -> None:
        self._framer.opened(now)

    def to_send(self) -> bytes:
        return b""

    def next_wake(self) -> float | None:
        wakes = [wake for wake in (self._framer.next_wake(), self._turns_at()) if wake is not None]
        if not self._stuck and self._blocked:
            wakes.append(min(self._blocked.values()) + self._settings.stuck_after_s)
        return min(wakes, default=None)

    def received(self, data: bytes, now: float) -> Iterable[Reading]:
        return [reading for raw, _ in self._framer.feed(data, now) for reading in self._line(raw, now)]

    def woke(self, now: float) -> Iterable[Reading]:
        """Gives up a line whose end does not come; tells what has lasted long enough."""
        piece = self._framer.overdue(now)
        readings = self._malformed(piece, "a line without its end") if piece else []
        if now == math.inf:  # that the line was lost says nothing of the lane
            return readings
        return [*readings, *self._stuck_beams(now), *self._turned(now)]

    def _malformed(self, raw: bytes, why: str) -> list[Reading]:
        return [Reading(Malformed(why), self._framer.when, raw)]

    def _line(self, raw: bytes, now: float) -> list[Reading]:
        found = _REPORT.fullmatch(raw)
        if not found:
            return self._malformed(raw, why_not_a_frame(raw, "the objects' number, then first:count of each"))
        objects = found[2].decode("ascii").split()
        if int(found[1], 16) != len(objects):
            return self._malformed(raw, f"{counted(int(found[1], 16), 'object')} announced, {len(objects)} in the list")
        spans = [(int(first, 16), int(count, 16)) for first, _, count in (each.partition(":") for each in objects)]
        if any(first + count > self._settings.beams for first, count in spans):
            return self._malformed(raw, f"a beam beyond the {self._settings.beams} of this scanner: see `beams`")
        blocked = {beam for first, count in spans for beam in range(first, first + count)}
        self._blocked = {beam: self._blocked.get(beam, now) for beam in blocked}
        readings = [Reading(Opaque("beams", tuple(objects)), now, raw), *self._stuck_beams(now)]
        self._seen(now)
        return [*readings, *self._turned(now)]

    # --- a vehicle or none -------------------------------------------------------------------------------------

    def _seen(self, now: float) -> None:
        """Between the two thresholds the lane is what it was."""
        stuck = self._long_blocked(now)
        count = len(self._blocked) - (stuck if stuck <= self._settings.stuck_ignored else 0)
        if self._settings.free_beams < count < self._settings.occupied_beams:
            return
        occupied = count >= self._settings.occupied_beams
        if occupied == self._occupied:
            self._turning = None
        elif self._turning is None or self._turning[0] != occupied:
            self._turning = (occupied, now)

    def _turns_at(self) -> float | None:
        if self._turning is None:
            return None
        occupied, since = self._turning
        return since + (self._settings.occupied_for_s if occupied else self._settings.free_for_s)

    def _turned(self, now: float) -> list[Reading]:
        at = self._turns_at()
        if self._turning is None or at is None or now < at:
            return []
        (self._occupied, since), self._turning = self._turning, None
        return [Reading(Presence(self._occupied), since)]

    # --- beams that are stuck ----------------------------------------------------------------------------------

    def _long_blocked(self, now: float) -> int:
        return sum(now >= since + self._settings.stuck_after_s for since in self._blocked.values())

    def _stuck_beams(self, now: float) -> list[Reading]:
        """Told when the first beam is stuck and when none is any more."""
        count = self._long_blocked(now)
        if bool(count) == self._stuck:
            return []
        self._stuck = bool(count)
        if self._stuck:
            self._seen(now)
        first = min(self._blocked, key=lambda beam: self._blocked[beam], default=0)
        beams = counted(count, "beam") + (f", one of them {first:04X}," if count > 1 else f", {first:04X},")
        detail = f"{beams} blocked for {self._settings.stuck_after_s:g} s" if count else ""
        return [Reading(DeviceFault(FaultKind.STUCK, self._stuck, detail), now)]
