"""A UHF reader that speaks LLRP (EPCglobal Low Level Reader Protocol 1.1), by llrpkit's emulator.

The tags in its field are those of the trucks that pass. What the emulator says and when is its own business: reports
come as reads do, at about `reads_per_s`, and are dated on this machine's clock.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from hardware_sim.device import DeviceSettings, Site
from hardware_sim.links.address import unserved
from hardware_sim.links.relay import Relay
from hardware_sim.links.settings import LOCAL
from hardware_sim.settings import Host, Metres, Port
from hardware_sim.world.passage import Passage
from hardware_sim.world.tags import Antennas, Heard, TagSettings

_LOOK_EVERY_S = 0.1


class Settings(DeviceSettings):
    """A UHF reader over LLRP."""

    kind: Literal["llrp_reader"]
    at_m: Metres = -2.0
    host: Host = "127.0.0.1"
    port: Port = 0
    antennas: Annotated[int, Field(ge=1, le=4)] = 2
    spacing_m: Annotated[float, Field(ge=0.1, le=20)] = Field(default=2.0, description="from antenna to antenna")
    reach_m: Annotated[float, Field(ge=0.5, le=15)] = Field(default=3.0, description="along the lane, to either side")
    reads_per_s: Annotated[float, Field(ge=1, le=500)] = 40.0
    tags: TagSettings = TagSettings()


class LlrpReader:
    """The reader: the world decides which tags are there, the emulator speaks of them."""

    kind = "llrp_reader"

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        self.name = name
        self._settings = settings
        self._seed = site.seed
        self._antennas = Antennas(
            site.lane, settings.at_m, settings.antennas, settings.spacing_m, settings.reach_m, settings.tags
        )
        self._woke = site.started
        self._heard: list[Heard] = []
        self._emulator: Any = None
        self._port = settings.port
        self.relay: Relay | None = None  # faults reach what goes through it

    def next_wake(self) -> float | None:
        if self._heard:
            return self._woke + _LOOK_EVERY_S
        return self._antennas.touched_from(self._woke + _LOOK_EVERY_S)

    def woke(self, now: float) -> bytes:
        """Looks which tags are in the field; returns their numbers, one a line, when they are others than before."""
        self._woke = now
        before = {(h.tag.epc, h.antenna) for h in self._heard}
        self._heard = self._antennas.heard(now)
        self._place()
        if before == {(h.tag.epc, h.antenna) for h in self._heard}:
            return b""
        return b"".join(f"{h.antenna} {h.tag.epc.hex().upper()}\n".encode() for h in self._heard)

    def done_with(self, passage: Passage) -> float:
        return self._antennas.leaves(passage) + _LOOK_EVERY_S

    def said_of(self, passage: Passage) -> dict[str, object] | None:
        """The truck's tags: those that a reader can have heard."""
        return self._antennas.expected(passage)

    # --- the service ---------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"llrp://{self._settings.host}:{self._port}"

    @staticmethod
    def message_length(data: bytes) -> int:
        """By the header (LLRP 1.1, 17.1.1): the third to sixth byte."""
        return max(10, int.from_bytes(data[2:6])) if len(data) >= 6 else 0

    async def open(self) -> None:
        from hardware_sim.devices.llrp_emulator import Emulator

        s = self._settings
        host, port = (LOCAL, 0) if self.relay is not None else (s.host, self._port)
        emulator = Emulator(host, port, s.antennas, s.reads_per_s, self._seed)
        try:
            await emulator.start()
            self._emulator = emulator
            port = emulator.port
            self._port = port if self.relay is None else await self.relay.open(s.host, self._port, port)
        except OSError as error:
            await self.close()
            raise unserved(self.url, s.host, self._port, error.strerror) from None
        self._place()

    def _place(self) -> None:
        if self._emulator is not None:
            self._emulator.place(self._heard)

    async def run(self) -> None:
        """The emulator serves by itself."""

    async def close(self) -> None:
        if self.relay is not None:
            await self.relay.close()
        if self._emulator is not None:
            await self._emulator.stop()
            self._emulator = None
