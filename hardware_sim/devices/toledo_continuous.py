"""A Mettler Toledo indicator in continuous output.

METTLER TOLEDO Wildcat Technical Manual (12/00), appendix 2, tables 6-8 to 6-11: as the display is updated, about seven
times a second, `STX SWA SWB SWC weight(6) tare(6) CR [CHK]`; CHK is the two's complement of the low seven bits of the
sum of everything before it. IND445 User Manual 22013194B, 5.2.1: the commands P, T, Z and C, which are not answered.
"""

from typing import Annotated, Literal

from pydantic import Field

from hardware_sim.device import Site
from hardware_sim.devices.scale import Pace, Scale
from hardware_sim.world.weighing import Indication, ScaleSettings

STX, CR = 0x02, 0x0D
# SWA bits 0-2: where the decimal point is; 0 = two fixed zeros, 1 = one, 2 = none. Bits 3-4: increment 1, 2 or 5.
_PLACES = {1: 2, 2: 2, 5: 2, 10: 1, 20: 1, 50: 1, 100: 0}
_INCREMENT = {1: 0b01, 2: 0b10, 5: 0b11}
_ALWAYS = 0x20  # bit 5 of each status word; other makers' manuals have it otherwise
_SIX_DIGITS = 999_999


class Settings(ScaleSettings):
    """Mettler Toledo continuous output."""

    kind: Literal["toledo_continuous"]
    checksum: bool = Field(default=True, description="18 bytes with a check sum, else 17")
    frames_per_s: Annotated[float, Field(ge=0.5, le=30)] = 7.0
    fixed_zero: bool = Field(
        default=True,
        description="for increments of 10 and more: the last zeros stand in the status word and are not among the six "
        "digits; else all digits are sent",
    )


class ToledoContinuous(Scale):
    """Sends frames whether or not somebody reads them."""

    kind = "toledo_continuous"

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        super().__init__(name, settings, site)
        self._settings = settings
        self._pace = Pace(site.started, settings.frames_per_s)
        self._print_wanted = False
        self._keyed_tare = settings.tare > 0

    def next_wake(self) -> float | None:
        return self._pace.due

    def woke(self, now: float) -> bytes:
        self._pace.next_after(now)
        frame = self.frame(self.platform.shown(now))
        self._print_wanted = False
        return frame

    def received(self, data: bytes, now: float) -> bytes:
        for command in data:
            match command:
                case 0x50:  # P
                    self._print_wanted = True
                case 0x54:  # T
                    self._keyed_tare &= not self.platform.take_tare(now)
                case 0x5A:  # Z
                    self.platform.zero(now)
                case 0x43:  # C
                    self.platform.tare, self._keyed_tare = 0, False
                case _:
                    pass  # line ends, and what is no command
        return b""

    def frame(self, shown: Indication) -> bytes:
        """One frame of the indication."""
        increment = self._settings.increment
        place, unit = (_PLACES[increment], 10 ** (2 - _PLACES[increment])) if self._settings.fixed_zero else (2, 1)
        step = int(str(increment)[0])
        net = self.platform.tare > 0
        swa = _ALWAYS | place | _INCREMENT[step] << 3
        swb = (
            _ALWAYS
            | net << 0
            | (shown.value < 0) << 1
            | (shown.over or shown.under) << 2
            | shown.motion << 3
            | (self._settings.unit == "kg") << 4
        )
        swc = _ALWAYS | self._print_wanted << 3 | self._keyed_tare << 6
        weight, tare = (min(abs(v) // unit, _SIX_DIGITS) for v in (shown.value, self.platform.tare))
        frame = bytes((STX, swa, swb, swc)) + f"{weight:6d}{tare:06d}".encode() + bytes((CR,))
        return frame + bytes((checksum(frame),)) if self._settings.checksum else frame


def checksum(frame: bytes) -> int:
    """Two's complement of the low seven bits of the sum of all bytes, STX and CR among them."""
    return -sum(frame) & 0x7F
