"""Two light barriers wired as dry contacts to the modem-control lines of a serial port.

A vehicle that drives forward breaks the first barrier before the second, and frees it before; so the order tells the
direction. No byte is ever sent: only an RFC 2217 link carries lines, a pseudo-terminal and raw TCP have none.
"""

from collections import deque
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from hardware_sim.device import Site, WiredSettings
from hardware_sim.faults import Delay, Drop, FaultSettings, Silence
from hardware_sim.links.lines import Lines
from hardware_sim.world.outline import BARRIER_M, blocked_at
from hardware_sim.world.passage import Passage
from hardware_sim.world.stretch import Stretch

Line = Literal["cts", "dsr", "ri", "cd"]
# Contacts of a light barrier switch within some milliseconds.
_LOOK_EVERY_S = 0.01
# Changes that a fault holds back; a truck makes a dozen.
_MOST_LATE = 1000


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
    own_faults = frozenset({"silence", "drop", "delay"})

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
        self._random = np.random.default_rng(site.random_key(name))
        self._active: list[FaultSettings] = []
        self._late: deque[tuple[float, frozenset[str]]] = deque(maxlen=_MOST_LATE)
        self._shown: frozenset[str] = frozenset()
        self._reports: dict[int, int] = {}

    def control_lines(self) -> Lines:
        """The levels now."""
        free = not self._settings.blocked_is
        used = {line for line, _ in self._places}
        return Lines(**{n: (n in self._shown) != free if n in used else False for n in Lines._fields})

    def connected(self) -> bytes:
        return b""

    def received(self, data: bytes, now: float) -> bytes:
        return b""

    def fault(self, settings: FaultSettings, active: bool) -> None:
        """Its contacts stick, miss changes, or switch late; afterwards they are what the barriers are."""
        if active:
            self._active.append(settings)
        elif settings in self._active:
            self._active.remove(settings)
            self._late.clear()
            self._shown = self._blocked

    def _switch(self, now: float) -> None:
        due = now
        for settings in self._active:
            match settings:
                case Silence():
                    return
                case Drop(share=share) if self._random.random() < share:
                    return
                case Delay(delay_s=(least, most)):
                    due += float(self._random.uniform(least, most))
                case _:
                    pass
        self._late.append((max(due, self._late[-1][0]) if self._late else due, self._blocked))

    def next_wake(self) -> float | None:
        moments = (self._stretch.touched_from(self._looked + _LOOK_EVERY_S), self._late[0][0] if self._late else None)
        return min((moment for moment in moments if moment is not None), default=None)

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
            self._switch(now)
            for passage in self._stretch.touched_by(now):
                self._reports[passage.truck.index] = self._reports.get(passage.truck.index, 0) + 1
        while self._late and self._late[0][0] <= now:
            self._shown = self._late.popleft()[1]
        return b""

    def done_with(self, passage: Passage) -> float:
        return self._stretch.leaves(passage) + 3 * _LOOK_EVERY_S

    def said_of(self, passage: Passage) -> dict[str, object] | None:
        if (changes := self._reports.pop(passage.truck.index, 0)) == 0:
            return None
        direction = "forward" if self._settings.second is not None else None
        return {"present": True, "direction": direction, "changes": changes}
