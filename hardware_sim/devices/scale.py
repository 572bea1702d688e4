"""What truck scales of every protocol have in common: a platform, a truth, and frames at an even pace."""

from hardware_sim.device import Site
from hardware_sim.faults import FaultSettings
from hardware_sim.world.passage import Passage
from hardware_sim.world.weighing import Platform, ScaleSettings


class Scale:
    """A scale on the world's clock; each protocol adds what it says."""

    kind = ""
    own_faults = frozenset({"stuck_motion"})

    def __init__(self, name: str, settings: ScaleSettings, site: Site) -> None:
        self.name = name
        self.platform = Platform(settings, site.lane, site.random_key(name)[1] ^ site.seed)

    def fault(self, settings: FaultSettings, active: bool) -> None:
        """It never settles while that lasts."""
        self.platform.stuck_motion = active

    def connected(self) -> bytes:
        """A scale does not greet."""
        return b""

    def done_with(self, passage: Passage) -> float:
        return self.platform.leaves(passage)

    def said_of(self, passage: Passage) -> dict[str, object] | None:
        """What the indicator showed of the truck, whoever asked for it."""
        return self.platform.settled_of(passage)


class Pace:
    """Frames at an even pace from `started` on, free of drift."""

    def __init__(self, started: float, per_second: float) -> None:
        self._started = started
        self._every = 1 / per_second
        self._count = 0

    @property
    def due(self) -> float:
        return self._started + self._count * self._every

    def next_after(self, now: float) -> None:
        """The frame of `now` is done; those that a late wake missed are not made up for."""
        self._count = max(self._count + 1, int((now - self._started) / self._every))


class CommandLines:
    """Commands that end with a terminator, cut anywhere: what is incomplete is kept, within bounds."""

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._kept = bytearray()

    def take(self, data: bytes) -> list[bytes]:
        """The commands that are complete now, without CR and LF; a line that is too long comes as b"\\x00"."""
        lines: list[bytes] = []
        for byte in data:
            if byte in (0x0A, 0x0D):
                if self._kept:
                    lines.append(bytes(self._kept))
                self._kept.clear()
            elif len(self._kept) < self._most:
                self._kept.append(byte)
            else:
                self._kept[:] = b"\x00"  # no command: the end of the line is waited for
        return lines
