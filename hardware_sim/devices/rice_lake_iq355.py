"""A Rice Lake IQ plus 355 that streams.

Rice Lake's stream format (380/381 Synergy manual, 10.3.1; the IQ plus 355 has the same):
`STX polarity weight(7) unit G|N status CR LF`. Weight right-justified, leading zeros as spaces; status space valid, I
invalid, M motion, O over or under range, and by newer indicators Z at the centre of zero.
"""

from typing import Annotated, Literal

from pydantic import Field

from hardware_sim.device import Site
from hardware_sim.devices.scale import Pace, Scale
from hardware_sim.world.weighing import Indication, ScaleSettings

_UNITS = {"kg": "K", "lb": "L"}


class Settings(ScaleSettings):
    """Rice Lake IQ plus 355, stream format."""

    kind: Literal["rice_lake_iq355"]
    frames_per_s: Annotated[float, Field(ge=0.5, le=30)] = 5.0
    says_zero: bool = Field(default=False, description="status Z at the centre of zero, as newer indicators say")


class RiceLakeIq355(Scale):
    """Streams whether or not somebody reads; takes no commands on this port."""

    kind = "rice_lake_iq355"

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        super().__init__(name, settings, site)
        self._settings = settings
        self._pace = Pace(site.started, settings.frames_per_s)

    def next_wake(self) -> float | None:
        return self._pace.due

    def woke(self, now: float) -> bytes:
        self._pace.next_after(now)
        return self.frame(self.platform.shown(now))

    def received(self, data: bytes, now: float) -> bytes:
        return b""

    def frame(self, shown: Indication) -> bytes:
        """One line of the indication."""
        polarity = "-" if shown.value < 0 else " "
        mode = "N" if self.platform.tare else "G"
        zero = "Z" if self._settings.says_zero and shown.at_zero else " "
        status = "O" if shown.over or shown.under else "M" if shown.motion else zero
        return f"\x02{polarity}{abs(shown.value):7d}{_UNITS[self._settings.unit]}{mode}{status}\r\n".encode()
