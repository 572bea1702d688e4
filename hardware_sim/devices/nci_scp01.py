"""A scale that speaks NCI SCP-01 (Weigh-Tronix, Brecknell, Fairbanks and others).

Avery Weigh-Tronix 7821 User Instructions, 6.3: a command ends with CR. `W` → `LF weight unit CR LF status CR ETX`,
`S` → `LF status CR ETX`, `Z` zeroes and gives the status, `H` as `W` ten times finer; anything else → `LF ? CR ETX`.
Status bytes as in the Ohaus Aviator 7000 service manual, page 49.
"""

from typing import Annotated, Literal

from pydantic import Field

from hardware_sim.device import Site
from hardware_sim.devices.scale import CommandLines, Scale
from hardware_sim.world.weighing import Indication, ScaleSettings

_ALWAYS = 0x30  # bits 4 and 5 of every status byte
_MORE_FOLLOW = 0x40
_UNKNOWN = b"\n?\r\x03"


class Settings(ScaleSettings):
    """NCI SCP-01, asked by its reader."""

    kind: Literal["nci_scp01"]
    status_bytes: Literal[2, 3] = 2
    weight_in_motion: bool = Field(
        default=True, description="answers W in motion with weight and status; else with the status alone"
    )
    digits: Annotated[int, Field(ge=5, le=9)] = Field(default=7, description="width of the weight in an answer")


class NciScp01(Scale):
    """Says nothing unless asked."""

    kind = "nci_scp01"

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        super().__init__(name, settings, site)
        self._settings = settings
        self._lines = CommandLines()

    def next_wake(self) -> float | None:
        return None

    def woke(self, now: float) -> bytes:
        return b""

    def received(self, data: bytes, now: float) -> bytes:
        return b"".join(self._answer(line, now) for line in self._lines.take(data))

    def _answer(self, command: bytes, now: float) -> bytes:
        match command:
            case b"W" | b"H":
                shown = self.platform.shown(now)
                silent = shown.over or shown.under or (shown.motion and not self._settings.weight_in_motion)
                fine = f"{shown.value}.0" if command == b"H" else f"{shown.value}"
                weight = b"" if silent else f"\n{fine:>{self._settings.digits}}{self._settings.unit}\r".encode()
                return weight + self._status(shown)
            case b"S":
                return self._status(self.platform.shown(now))
            case b"Z":
                self.platform.zero(now)
                return self._status(self.platform.shown(now))
            case _:
                return _UNKNOWN

    def _status(self, shown: Indication) -> bytes:
        first = _ALWAYS | shown.motion << 0 | shown.at_zero << 1
        second = _ALWAYS | shown.under << 0 | shown.over << 1
        status = [first, second]
        if self._settings.status_bytes == 3:
            status[1] |= _MORE_FOLLOW
            status.append(_ALWAYS | (self.platform.tare > 0) << 2)
        return b"\n" + bytes(status) + b"\r\x03"
