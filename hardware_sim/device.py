"""What a simulated device is to the world: woken at its moments, it says what it has to say.

    Device    speaks in bytes; links carry them to its reader and bring what the reader sends
    Service   speaks through a protocol library, which owns its sockets, files or requests

Both follow from the trucks of one lane alone, and from random numbers of their own: the same seed, the same bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from zlib import crc32

from pydantic import Field

from hardware_sim.links.settings import ByteLinks
from hardware_sim.settings import Metres, SimSettings
from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Passage


class DeviceSettings(SimSettings):
    """A device of a scenario. Each kind adds `kind: Literal[...]`, and what it can be told."""

    at_m: Metres = Field(default=0.0, description="where it stands: metres along the lane, the origin at 0")

    @property
    def holds_s(self) -> float:
        """For how long after a vehicle it takes a following one for the same."""
        return 0.0


class WiredSettings(DeviceSettings):
    """A device that speaks in bytes, over one or several links; each carries the same."""

    links: ByteLinks


def _after_new_year(at: float) -> datetime:
    """Wall time where nobody says it: the same in every run."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=at)


@dataclass(frozen=True, slots=True)
class Site:
    """What a device finds where it is put up: the lane that it looks at; the run's seed; `started`, when it is switched
    on (seconds on the world's clock); the run's folder, in which relative paths lie; and what a device's own clock
    shows at a moment."""

    lane: Lane
    seed: int
    started: float
    folder: Path
    utc: Callable[[float], datetime] = _after_new_year

    def random_key(self, name: str, *more: int) -> list[int]:
        """The seed of random numbers that belong to one device: for `numpy.random.default_rng`."""
        return [self.seed, crc32(name.encode()), *more]


class Simulated(Protocol):
    """A part of the world that decides by itself when it next has something to do."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    def next_wake(self) -> float | None:
        """When it wants to be woken, in seconds on the world's clock; None: not by what it knows now."""
        ...

    def woke(self, now: float) -> bytes:
        """What it says at `now`, the moment for which it asked; may be nothing. One message, or several whole ones."""
        ...

    def done_with(self, passage: Passage) -> float:
        """From when on it says nothing more of this truck: the truth of the truck is written after that."""
        ...

    def said_of(self, passage: Passage) -> dict[str, object] | None:
        """What it has said of a truck that it is done with, for the truth; None: nothing."""
        ...


class Device(Simulated, Protocol):
    """A device that speaks in bytes. What `woke` returns goes out on all of its links."""

    def connected(self) -> bytes:
        """What it sends when a reader attaches."""
        ...

    def received(self, data: bytes, now: float) -> bytes:
        """The answer to what a reader sent, cut anywhere: keep what is incomplete, within bounds. It goes back on the
        link on which the question came. A device that only talks returns b"". An answer that takes its time comes from
        `woke`: after this call `next_wake` is asked again."""
        ...


class Service(Simulated, Protocol):
    """A device that speaks through a protocol library. What `woke` returns is no line's bytes but the payload that it
    now offers or sends (registers, a file, a report), for the record; `run` carries it out."""

    @property
    def url(self) -> str:
        """Where it is reached, or where it sends to; known once it is open."""
        ...

    async def open(self) -> None:
        """Begin to serve. Raises SettingsInvalid when that cannot be."""
        ...

    async def run(self) -> None:
        """Carry out what `woke` decided: serve, send, write. Runs until cancelled. Its peer's faults are not its own:
        it goes on."""
        ...

    async def close(self) -> None:
        """Break every connection and serve no more; `open` may follow. Also after an `open` that failed."""
        ...
