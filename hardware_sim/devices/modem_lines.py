"""Two light barriers wired as dry contacts to the modem-control lines of a serial port.

A vehicle that drives forward breaks the first barrier before the second, and frees it before; so the order tells the
direction. No byte is ever sent: only an RFC 2217 link carries lines, a pseudo-terminal and raw TCP have none.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hardware_sim.device import Site, WiredSettings
from hardware_sim.links.lines import Lines
from hardware_sim.world.outline import BARRIER_M, blocked_at
from hardware_sim.world.passage import Passage
from hardware_sim.world.stretch import Stretch

Line = Literal["cts", "dsr", "ri", "cd"]
# Contacts of a light barrier switch within some milliseconds.
_LOOK_EVERY_S = 0.01


class Settings(WiredSettings):
    """Two light barriers on modem-control lines."""

    kind: Literal["modem_lines"]
    spacing_m: Annotated[float, Field(ge=0.1, le=10)] = Field(
        default=0.6, description="from the first barrier, at `at_m`, to the second"
    )
    first: Line = "cts"
    second: Line | None = "dsr"
    blocked_is: bool = Field(default=True, description="the line's level while something stands in the barrier")

    @model_validator(mode="after")
    def _apart(self) -> "Settings":
        if self.first == self.second:
            raise ValueError("two barriers need two lines: name another for `second`, or null for one barrier alone")
        if any(link.kind != "rfc2217" for link in self.links):
            raise ValueError("modem-control lines come only over RFC 2217: use `links: [{kind: rfc2217}]`")
        return self


class ModemLines:
    """The barriers on the world's clock; `control_lines` is what they say now."""

    kind = "modem_lines"

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        self.name = name
        self._settings = settings
        second_m = settings.at_m + settings.spacing_m
        self._places = [(settings.first, settings.at_m)]
        if settings.second is not None:
            self._places.append((settings.second, second_m))
        self._stretch = Stretch(site.lane, settings.at_m, self._places[-1][1], 3 * _LOOK_EVERY_S)
        self._looked = site.started
        self._blocked: frozenset[str] = frozenset()
        self._reports: dict[int, int] = {}

    def control_lines(self) -> Lines:
        """The levels now."""
        free = not self._settings.blocked_is
        used = {line for line, _ in self._places}
        return Lines(**{n: (n in self._blocked) != free if n in used else False for n in Lines._fields})

    def connected(self) -> bytes:
        return b""

    def received(self, data: bytes, now: float) -> bytes:
        return b""

    def next_wake(self) -> float | None:
        return self._stretch.touched_from(self._looked + _LOOK_EVERY_S)

    def woke(self, now: float) -> bytes:
        self._looked = now
        blocked: set[str] = set()
        for passage in self._stretch.touched_by(now):
            for line, at_m in self._places:
                spans = blocked_at(passage.truck, passage.position(now) - at_m)
                if any(low <= BARRIER_M <= high for low, high in spans):
                    blocked.add(line)
        if blocked != self._blocked:
            self._blocked = frozenset(blocked)
            for passage in self._stretch.touched_by(now):
                self._reports[passage.truck.index] = self._reports.get(passage.truck.index, 0) + 1
        return b""

    def done_with(self, passage: Passage) -> float:
        return self._stretch.leaves(passage) + 3 * _LOOK_EVERY_S

    def said_of(self, passage: Passage) -> dict[str, object] | None:
        if (changes := self._reports.pop(passage.truck.index, 0)) == 0:
            return None
        direction = "forward" if self._settings.second is not None else None
        return {"present": True, "direction": direction, "changes": changes}
