"""Rapiscan VM-250 vehicle portal, ASCII protocol: what it counts and what it says, from its manual.

One record a line, `tag,f1,f2,f3,f4` CR LF; counts have six digits, one for each of four panels. Unoccupied: NB and GB
every 5 s. At an occupancy's start NS, then at once the five gamma lines of the pre-trigger buffer; then GS every
200 ms and NS every second, GA and NA in their place while in alarm; SP once the speed is measured; GX at the end with
the occupancy's number and the neutron background times 1000. TT when the housing is opened, TC when it is closed. GH,
GL or NH in the place of a background that is out of bounds. Alarm: (FG - BG) / sqrt(BG) above N, where FG is the sum
of the last five gamma lines over the panels and BG that of the last background line.
"""

from collections import deque
from dataclasses import dataclass
from math import sqrt
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hardware_sim.device import Site, WiredSettings
from hardware_sim.faults import Background, FaultSettings, Misjudge
from hardware_sim.world import radiation
from hardware_sim.world.passage import Passage

Counts = NDArray[np.int64]
Rates = NDArray[np.float64]

INTERVAL_S = 0.2
PER_SECOND = 5
PRE_TRIGGER = 5
BACKGROUND_EVERY_S = 5.0
BACKGROUND_TIME_S = 20.0  # SG3, fourth field: the time over which the background is averaged
GAMMA_HIGH, GAMMA_LOW, NEUTRON_HIGH = 2000, 68, 50  # SG1 and SN1: faults, counts per second of one panel
_MAX = 999_999  # six digits
_EPSILON = 1e-9
_MEASURED_M = 2.0  # between the light barriers that measure the speed


class Settings(WiredSettings):
    """A Rapiscan VM-250. Backgrounds are counts per second for each of the four panels."""

    kind: Literal["rapiscan_vm250"]
    gamma_background: list[Annotated[float, Field(ge=0, le=50_000)]] = Field(
        default_factory=lambda: [380.0, 376.0, 408.0, 366.0], min_length=4, max_length=4
    )
    neutron_background: list[Annotated[float, Field(ge=0, le=1000)]] = Field(
        default_factory=lambda: [3.9, 0.0, 2.6, 0.0], min_length=4, max_length=4
    )
    n_sigma: Annotated[float, Field(ge=1, le=50)] = 5.0
    hold_in: Annotated[int, Field(ge=1, le=99)] = 10
    setup_on_connect: bool = True
    first_occupancy: Annotated[int, Field(ge=1, le=900_000)] = 1

    @property
    def holds_s(self) -> float:
        """How long the portal still holds itself occupied after the vehicle has left; counted in 200 ms intervals."""
        return self.hold_in * INTERVAL_S


@dataclass(frozen=True, slots=True)
class OccupancyReport:
    """What the portal said of one truck: the truth of its own lines, for the record."""

    occupancy: int
    gamma_alarm: bool
    neutron_alarm: bool
    gamma_lines: int
    gamma_peak_sigma: float | None


class Physics:
    """Mean count rates at the panels while a truck is at a place."""

    def __init__(self, gamma_background: Rates, neutron_background: Rates, at_m: float) -> None:
        self.gamma_background = gamma_background
        self.neutron_background = neutron_background
        self._at_m = at_m

    def gamma(self, passage: Passage | None, at: float) -> Rates:
        """Counts per second of each panel."""
        if passage is None:
            return self.gamma_background
        kept = 1 - radiation.dip(passage, self._at_m, at)
        arrives = passage.truck.cargo.gamma_out * radiation.closeness(passage, self._at_m, at)
        return self.gamma_background * kept + np.array(radiation.shares(passage, 4)) * arrives

    def neutron(self, passage: Passage | None, at: float) -> Rates:
        """Counts per second of each panel; the truck's mass is no obstacle worth modelling to neutrons."""
        if passage is None or not passage.truck.cargo.neutron_out:
            return self.neutron_background
        added = passage.truck.cargo.neutron_out * radiation.closeness(passage, self._at_m, at)
        with_tubes = self.neutron_background > 0
        share = with_tubes / max(1, int(with_tubes.sum()))
        return self.neutron_background + share * added

    def expected_peak_sigma(self, passage: Passage, hold_in: int) -> float:
        """The largest sigma that the alarm rule would see if counts were at their mean."""
        last = deque([float(self.gamma_background.sum()) * INTERVAL_S] * PRE_TRIGGER, maxlen=PER_SECOND)
        background = float(self.gamma_background.sum())
        peak, at = _sigma(sum(last), background), passage.reaches(self._at_m)
        while at < passage.leaves(self._at_m) + hold_in * INTERVAL_S:
            at += INTERVAL_S
            last.append(float(self.gamma(passage, at - INTERVAL_S / 2).sum()) * INTERVAL_S)
            peak = max(peak, _sigma(sum(last), background))
        return peak


class RapiscanVm250:
    """The portal on the world's clock. Each occupancy has random numbers of its own, so that what it counts does not
    depend on how long the lane stood empty before."""

    kind = "rapiscan_vm250"
    own_faults = frozenset({"tamper", "background", "misjudge"})

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        self.name = name
        self.reports: dict[int, OccupancyReport] = {}
        self._settings = settings
        self._n_sigma = settings.n_sigma  # above which it alarms
        self._lane = site.lane
        self._site = site
        self._at_m = settings.at_m
        self._physics = Physics(
            np.array(settings.gamma_background), np.array(settings.neutron_background), settings.at_m
        )
        self._idle_random = np.random.default_rng(site.random_key(name, 0))
        self._next_background = site.started
        self._background_sum = 0
        self._neutron_milli = 0
        self._next_truck = 0
        self._occupancies = 0
        self._occupancy: _Occupancy | None = None
        self._unsaid: list[str] = []  # tampering that is not reported yet
        self._woke = site.started

    def fault(self, settings: FaultSettings, active: bool) -> None:
        """Its housing is opened or closed; its detectors count more or less than they should; it judges otherwise."""
        if isinstance(settings, Misjudge):
            self._n_sigma = settings.n_sigma if active else self._settings.n_sigma
        elif isinstance(settings, Background):
            gamma, neutron = (settings.gamma, settings.neutron) if active else (1.0, 1.0)
            self._physics.gamma_background = np.array(self._settings.gamma_background) * gamma
            self._physics.neutron_background = np.array(self._settings.neutron_background) * neutron
        else:
            self._unsaid.append("TT" if active else "TC")

    def connected(self) -> bytes:
        """The set-up lines, as the portal sends them when a reader attaches."""
        if not self._settings.setup_on_connect:
            return b""
        s = self._settings
        return b"".join(
            line.encode() + b"\r\n"
            for line in (
                f"SG1,{GAMMA_HIGH:06d},{GAMMA_LOW:06d},{PER_SECOND:02d},{s.hold_in:02d},{s.n_sigma:04.1f},P",
                "SG2,1111,0.069,0.455,01,1010,A",
                f"SG3,0.069,0.455,{BACKGROUND_TIME_S:03.0f},000,1.10.1",
                f"SN1,{NEUTRON_HIGH:06d},03,0004,1200,01,120",
                "SN2,0.504,5.040,0.504,5.040,PP",
            )
        )

    def received(self, data: bytes, now: float) -> bytes:
        """It takes no commands on its line."""
        return b""

    def next_wake(self) -> float | None:
        if self._unsaid:
            return self._woke
        if self._occupancy is not None:
            return self._occupancy.next_tick
        coming = self._coming()
        return self._next_background if coming is None else min(self._next_background, coming.reaches(self._at_m))

    def _coming(self) -> Passage | None:
        """The truck that is in the portal next; one that turns back before is none."""
        passages = self._lane.passages
        while self._next_truck < len(passages) and not passages[self._next_truck].covers(self._at_m):
            self._next_truck += 1
        return passages[self._next_truck] if self._next_truck < len(passages) else None

    def woke(self, now: float) -> bytes:
        """What the portal says at the moment for which it asked to be woken."""
        self._woke = now
        if self._unsaid:
            said = b"".join(_line(tag, [0, 0, 0, 0]) for tag in self._unsaid)
            self._unsaid.clear()
            return said
        if self._occupancy is not None:
            return self._tick(self._occupancy)
        coming = self._coming()
        if coming is not None and coming.reaches(self._at_m) <= now + _EPSILON:
            return self._occupied(coming)
        return self._background_lines()

    def _background_lines(self) -> bytes:
        self._next_background += BACKGROUND_EVERY_S
        gamma, neutron = self._average_background(self._idle_random)
        self._take_background(gamma, neutron)
        per_second = np.rint(gamma).astype(np.int64)
        tag = "GH" if per_second.max() > GAMMA_HIGH else "GL" if per_second.min() < GAMMA_LOW else "GB"
        neutrons = np.rint(neutron).astype(np.int64)
        return _line("NH" if neutrons.max() > NEUTRON_HIGH else "NB", neutrons) + _line(tag, per_second)

    def _average_background(self, random: np.random.Generator) -> tuple[Rates, Rates]:
        seconds = BACKGROUND_TIME_S
        return (
            random.poisson(self._physics.gamma_background * seconds) / seconds,
            random.poisson(self._physics.neutron_background * seconds) / seconds,
        )

    def _take_background(self, gamma: Rates, neutron: Rates) -> None:
        self._background_sum = int(np.rint(gamma).astype(np.int64).sum())
        self._neutron_milli = round(float(neutron.sum()) * 1000)

    def _occupied(self, passage: Passage) -> bytes:
        number = self._settings.first_occupancy + self._occupancies
        self._occupancies += 1
        random = np.random.default_rng(self._site.random_key(self.name, 1 + self._next_truck))
        if self._background_sum == 0:  # switched on with a truck already in: it has nothing to compare with yet
            self._take_background(*self._average_background(random))
        enters = passage.reaches(self._at_m)
        occupancy = _Occupancy(number, passage, enters, random, self._background_sum)
        self._occupancy = occupancy
        said = self._neutron_line(occupancy, enters)
        for k in range(PRE_TRIGGER, 0, -1):
            rates = self._physics.gamma(None, enters - k * INTERVAL_S)
            said += occupancy.gamma_line(rates, self._n_sigma)
        return said

    def _tick(self, occupancy: "_Occupancy") -> bytes:
        at, passage = occupancy.next_tick, occupancy.passage
        occupancy.ticks += 1
        said = b""
        if occupancy.ticks % PER_SECOND == 0:
            said += self._neutron_line(occupancy, at)
        said += occupancy.gamma_line(self._physics.gamma(passage, at - INTERVAL_S / 2), self._n_sigma)
        begins, measured = passage.reaches(self._at_m), passage.reaches(self._at_m + _MEASURED_M)
        if not occupancy.speed_said and at >= measured:
            occupancy.speed_said = True
            said += _speed_line(_MEASURED_M / (measured - begins))
        if at + _EPSILON >= passage.leaves(self._at_m) + self._settings.hold_in * INTERVAL_S:
            said += _line("GX", [occupancy.number, self._neutron_milli, 0, 0])
            self.reports[passage.truck.index] = occupancy.report()
            self._occupancy = None
            self._next_truck += 1
            self._next_background = at + BACKGROUND_EVERY_S
        return said

    def _neutron_line(self, occupancy: "_Occupancy", at: float) -> bytes:
        before = occupancy.ticks == 0
        rates = self._physics.neutron(None if before else occupancy.passage, at - 0.5)
        counts = occupancy.random.poisson(rates)
        background = self._neutron_milli / 1000
        alarm = background > 0 and _sigma(float(counts.sum()), background) > self._n_sigma
        occupancy.neutron_alarm |= alarm
        return _line("NA" if alarm else "NS", counts)

    def done_with(self, passage: Passage) -> float:
        return passage.leaves(self._at_m) + self._settings.holds_s + 2 * INTERVAL_S

    def said_of(self, passage: Passage) -> dict[str, object] | None:
        """What the portal said of a truck that has left, beside what is to be expected of the truck."""
        if (report := self.reports.get(passage.truck.index)) is None:
            return None
        gamma, neutron = self.expected_alarms(passage)
        return {
            "occupancy": report.occupancy,
            "gamma_alarm": report.gamma_alarm,
            "neutron_alarm": report.neutron_alarm,
            "gamma_lines": report.gamma_lines,
            "gamma_peak_sigma": report.gamma_peak_sigma,
            "expected_gamma_alarm": gamma,
            "expected_neutron_alarm": neutron,
        }

    def expected_alarms(self, passage: Passage) -> tuple[bool, bool]:
        """Whether gamma and neutron would be in alarm if all counts were at their mean."""
        neutron = float(self._physics.neutron_background.sum())
        neutron_peak = neutron + passage.truck.cargo.neutron_out
        return (
            self._physics.expected_peak_sigma(passage, self._settings.hold_in) > self._settings.n_sigma,
            neutron > 0 and _sigma(neutron_peak, neutron) > self._settings.n_sigma,
        )


class _Occupancy:
    def __init__(
        self, number: int, passage: Passage, enters: float, random: np.random.Generator, background_sum: int
    ) -> None:
        self.number = number
        self.passage = passage
        self.enters = enters
        self.random = random
        self.ticks = 0
        self.speed_said = False
        self.neutron_alarm = False
        self._background_sum = background_sum
        self._gamma_alarm = False
        self._lines = 0
        self._peak: float | None = None
        self._last: deque[int] = deque(maxlen=PER_SECOND)

    @property
    def next_tick(self) -> float:
        return self.enters + (self.ticks + 1) * INTERVAL_S

    def gamma_line(self, rates: Rates, n_sigma: float) -> bytes:
        counts = np.minimum(self.random.poisson(rates * INTERVAL_S), _MAX)
        self._last.append(int(counts.sum()))
        self._lines += 1
        alarm = False
        if len(self._last) == PER_SECOND and self._background_sum:
            sigma = _sigma(sum(self._last), self._background_sum)
            self._peak = sigma if self._peak is None else max(self._peak, sigma)
            alarm = sigma > n_sigma
        self._gamma_alarm |= alarm
        return _line("GA" if alarm else "GS", counts)

    def report(self) -> OccupancyReport:
        peak = None if self._peak is None else round(self._peak, 2)
        return OccupancyReport(self.number, self._gamma_alarm, self.neutron_alarm, self._lines, peak)


def _sigma(foreground: float, background: float) -> float:
    return (foreground - background) / sqrt(background) if background > 0 else 0.0


def _line(tag: str, fields: Counts | list[int]) -> bytes:
    return ",".join([tag, *(f"{min(int(f), _MAX):06d}" for f in fields)]).encode() + b"\r\n"


def _speed_line(mps: float) -> bytes:
    """Seconds per foot, miles per hour, kilometres per hour; the device's upper end is 99.999 mph."""
    mph = min(mps / 0.44704, 99.999)
    return f"SP,{1 / (mph * 1.46667):06.4f},{mph:06.3f},{mph * 1.609344:06.2f},000000\r\n".encode()
