"""An Aspect portal over Modbus TCP: 21 holding registers from 100, low word first in values of 32 bits.

+0,1 time; +2 inputs: bits 0 to 3 occupancy sensors, 6 and 7 direction (forward, backward), 8 power failure, 9 low
battery, 10 housing open, 11 error; +3 gamma status: 0x01 and 0x02 alarm of the first and second level, 0x10 low and
0x20 high background, 0x80 ready; +4,5 counts of the last second; +6,7 background and +8,9 its variance, as floats;
+10 to +16 the same for neutrons; +17 object counter; +18 mark; +19 speed in km/h; +20 outputs. Unit ids are 1 to 32.
"""

import struct
from collections import deque
from math import sqrt
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from hardware_sim.device import DeviceSettings, Site
from hardware_sim.faults import Background, FaultSettings
from hardware_sim.links.address import unserved
from hardware_sim.links.relay import Relay
from hardware_sim.links.settings import LOCAL
from hardware_sim.settings import Host, Port
from hardware_sim.world import radiation
from hardware_sim.world.outline import BARRIER_M, blocked_at
from hardware_sim.world.passage import Passage
from hardware_sim.world.stretch import Stretch

FIRST_REGISTER, REGISTERS = 100, 21
FORWARD, TAMPER = 1 << 6, 1 << 10
ALARM_1, ALARM_2, LOW, HIGH, READY = 0x01, 0x02, 0x10, 0x20, 0x80
_SLICE_S, _PER_SECOND = 0.2, 5
_SENSORS_M = (0.0, 0.6)
_MEASURED_M = 2.0
_TELLING = (2, 3, 10, 17, 19)  # inputs, both statuses, objects, speed


class Settings(DeviceSettings):
    """An Aspect portal over Modbus TCP; backgrounds are counts per second of the whole portal."""

    kind: Literal["aspect_modbus"]
    host: Host = "127.0.0.1"
    port: Port = 0
    unit: Annotated[int, Field(ge=1, le=32)] = 1
    gamma_background: Annotated[float, Field(ge=1, le=100_000)] = 1800.0
    neutron_background: Annotated[float, Field(ge=0, le=1000)] = 4.0
    gamma_limits: tuple[float, float] = Field(default=(200.0, 8000.0), description="background is low or high outside")
    n_sigma: Annotated[float, Field(ge=1, le=50)] = 5.0
    hold_s: Annotated[float, Field(ge=0.2, le=20)] = 2.0

    @property
    def holds_s(self) -> float:
        return self.hold_s


class _Counter:
    """One kind of radiation: counts of the last second, background, alarm."""

    def __init__(self, background: float) -> None:
        self.background = background
        self.slices: deque[int] = deque(maxlen=_PER_SECOND)
        self.alarm = 0

    @property
    def count(self) -> int:
        return sum(self.slices)

    def counted(self, n: int) -> None:
        self.slices.append(n)

    def judge(self, n_sigma: float) -> float:
        """Compare the last second with the background; an alarm holds until the occupancy's end."""
        if len(self.slices) < _PER_SECOND or self.background <= 0:
            return 0.0
        sigma = (self.count - self.background) / sqrt(self.background)
        self.alarm |= (ALARM_1 if sigma > n_sigma else 0) | (ALARM_2 if sigma > 2 * n_sigma else 0)
        return sigma


class AspectModbus:
    """The portal on the world's clock; `open` serves its registers."""

    kind = "aspect_modbus"
    own_faults = frozenset({"tamper", "background"})

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        self.name = name
        self.registers = [0] * REGISTERS
        self._settings = settings
        self._lane = site.lane
        self._started = site.started
        self._random = np.random.default_rng(site.random_key(name))
        self._stretch = Stretch(site.lane, settings.at_m, settings.at_m + _SENSORS_M[-1], settings.hold_s)
        self._woke = site.started - _SLICE_S
        self._slices = 0
        self._gamma = _Counter(settings.gamma_background)
        self._neutron = _Counter(settings.neutron_background)
        self._factors = (1.0, 1.0)
        self._tamper = False
        self._here: Passage | None = None
        self._objects = 0
        self._speed_kmh = 0
        self._reports: dict[int, dict[str, object]] = {}
        self._server: Any = None
        self._port = settings.port
        self.relay: Relay | None = None  # faults reach what goes through it

    # --- the world -----------------------------------------------------------------------------------------------

    def fault(self, settings: FaultSettings, active: bool) -> None:
        """Its housing is opened, or its detectors count more or less than they should."""
        if isinstance(settings, Background):
            self._factors = (settings.gamma, settings.neutron) if active else (1.0, 1.0)
        else:
            self._tamper = active

    def next_wake(self) -> float | None:
        return self._woke + _SLICE_S

    def woke(self, now: float) -> bytes:
        """Counts one slice; returns the registers, big-endian, every second and when more than a count has changed."""
        self._woke = now
        s = self._settings
        here = self._stretch.touched_by(now)
        passage = here[0] if here else None
        gamma_rate, neutron_rate = s.gamma_background * self._factors[0], s.neutron_background * self._factors[1]
        gamma, neutron = gamma_rate, neutron_rate
        for each in self._lane.passages[-2:]:  # a load is felt before the truck breaks the first sensor
            near = radiation.closeness(each, s.at_m, now)
            gamma += each.truck.cargo.gamma_out * near - gamma_rate * radiation.dip(each, s.at_m, now)
            neutron += each.truck.cargo.neutron_out * near
        self._gamma.counted(int(self._random.poisson(max(0.0, gamma) * _SLICE_S)))
        self._neutron.counted(int(self._random.poisson(neutron * _SLICE_S)))
        if passage is not self._here:
            self._changed(passage)
        if passage is not None:
            self._judge(passage, now)
        else:
            self._average()
        before, self.registers = self.registers, self._encoded(here, now)
        self._slices += 1
        told = self._slices % _PER_SECOND and all(before[i] == self.registers[i] for i in _TELLING)
        return b"" if told else struct.pack(f">{REGISTERS}H", *self.registers)

    def _changed(self, passage: Passage | None) -> None:
        self._here = passage
        self._gamma.alarm = self._neutron.alarm = 0
        if passage is None:
            return
        self._objects = self._objects % 0xFFFF + 1
        self._reports[passage.truck.index] = {
            "occupancy": self._objects,
            "gamma_alarm": False,
            "neutron_alarm": False,
            "gamma_peak_sigma": 0.0,
        }

    def _judge(self, passage: Passage, now: float) -> None:
        sigma = self._gamma.judge(self._settings.n_sigma)
        self._neutron.judge(self._settings.n_sigma)
        report = self._reports[passage.truck.index]
        report["gamma_alarm"] = bool(report["gamma_alarm"]) or self._gamma.alarm > 0
        report["neutron_alarm"] = bool(report["neutron_alarm"]) or self._neutron.alarm > 0
        report["gamma_peak_sigma"] = max(float(str(report["gamma_peak_sigma"])), round(sigma, 2))
        begins, measured = (passage.reaches(self._settings.at_m + m) for m in (0.0, _MEASURED_M))
        if now >= measured:
            self._speed_kmh = round(_MEASURED_M / (measured - begins) * 3.6)

    def _average(self) -> None:
        """The background follows the counts of the empty lane, slowly."""
        for counter in (self._gamma, self._neutron):
            if len(counter.slices) == _PER_SECOND:
                counter.background += 0.02 * (counter.count - counter.background)

    def _encoded(self, here: list[Passage], now: float) -> list[int]:
        s = self._settings
        inputs = TAMPER * self._tamper
        for passage in here:
            for bit, behind in enumerate(_SENSORS_M):
                spans = blocked_at(passage.truck, passage.position(now) - s.at_m - behind)
                inputs |= any(low <= BARRIER_M <= high for low, high in spans) << bit
        if self._here is not None:
            inputs |= FORWARD
        low, high = s.gamma_limits
        background = self._gamma.background
        status = READY | self._gamma.alarm | (LOW if background < low else HIGH if background > high else 0)
        words = [*_words(struct.pack(">I", int(now - self._started) & 0xFFFFFFFF)), inputs]
        for counter, value in ((self._gamma, status), (self._neutron, READY | self._neutron.alarm)):
            words += [value, *_words(struct.pack(">I", counter.count))]
            words += [*_words(struct.pack(">f", counter.background)), *_words(struct.pack(">f", counter.background))]
        alarm = (self._gamma.alarm > 0) << 0 | (self._neutron.alarm > 0) << 1
        return [*words, self._objects, 0, self._speed_kmh, alarm]

    def done_with(self, passage: Passage) -> float:
        return self._stretch.leaves(passage) + self._settings.hold_s + 2 * _SLICE_S

    def said_of(self, passage: Passage) -> dict[str, object] | None:
        return self._reports.pop(passage.truck.index, None)

    # --- the service ---------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"modbus://{self._settings.host}:{self._port}/{self._settings.unit}"

    @staticmethod
    def message_length(data: bytes) -> int:
        """By the MBAP header: six bytes, of which the last two say how many follow."""
        return 6 + int.from_bytes(data[4:6]) if len(data) >= 6 else 0

    async def open(self) -> None:
        from pymodbus.server import ModbusTcpServer
        from pymodbus.simulator import DataType, SimData, SimDevice

        async def current(
            function: int,
            start: int,
            address: int,
            count: int,
            registers: list[int],
            written: list[int] | list[bool] | None,
        ) -> None:
            registers[:REGISTERS] = self.registers

        block = SimData(FIRST_REGISTER, values=list(self.registers), datatype=DataType.REGISTERS, readonly=True)
        device = SimDevice(self._settings.unit, simdata=[block], action=current)
        own = (LOCAL, 0) if self.relay is not None else (self._settings.host, self._port)
        server: Any = ModbusTcpServer(device, address=own)
        try:
            await server.serve_forever(background=True)
        except RuntimeError:
            await server.shutdown()
            raise unserved(self.url, self._settings.host, self._port) from None
        self._server = server
        port = server.transport.sockets[0].getsockname()[1]
        try:
            self._port = port if self.relay is None else await self.relay.open(self._settings.host, self._port, port)
        except OSError as error:
            await self.close()
            raise unserved(self.url, self._settings.host, self._port, error.strerror) from None

    async def run(self) -> None:
        """pymodbus serves by itself."""

    async def close(self) -> None:
        if self.relay is not None:
            await self.relay.close()
        if self._server is not None:
            await self._server.shutdown()
            self._server = None


def _words(value: bytes) -> tuple[int, int]:
    """Four bytes as two registers, the low word first."""
    high, low = struct.unpack(">HH", value)
    return low, high
