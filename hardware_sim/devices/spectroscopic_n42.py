"""A spectroscopic portal that sends one ANSI N42.42 document for each occupancy, framed STX … ETX over TCP.

IAEA and DHS specifications for such portals (RS-350 and others) put the documents on the line that way; the inside is
`n42.py`, the counts are Poisson numbers around what `world/spectrum.py` and the geometry give.
"""

from datetime import timedelta
from math import sqrt
from typing import Annotated, Literal
from uuid import UUID

import numpy as np
from pydantic import Field

from hardware_sim.device import Site, WiredSettings
from hardware_sim.devices.n42 import OccupancyDocument, Panel
from hardware_sim.faults import Background, ClockSkew, FaultSettings
from hardware_sim.world import radiation
from hardware_sim.world.passage import Passage
from hardware_sim.world.spectrum import Spectrum, background_shape, identify, nuclide_shape

STX, ETX = b"\x02", b"\x03"
_SLICE_S = 0.2
_PER_SECOND = 5
_LIVE = 0.985  # the electronics count most of the time
_MEASURED_M = 2.0
# By how much the instrument's verdict may rest on natural radioactivity: an item of NORM is named, and alarms only by
# its gross counts.
_NATURAL = "NORM"


class Settings(WiredSettings):
    """A spectroscopic portal; backgrounds are counts per second of one panel."""

    kind: Literal["spectroscopic_n42"]
    panels: Literal[1, 2, 4] = 2
    gamma_background: Annotated[float, Field(ge=10, le=20_000)] = 1400.0
    neutron_background: Annotated[float, Field(ge=0, le=100)] = 1.6
    n_sigma: Annotated[float, Field(ge=1, le=50)] = 6.0
    hold_s: Annotated[float, Field(ge=0.2, le=20)] = Field(
        default=2.0, description="for how long an occupancy outlasts the vehicle"
    )
    analysis_s: Annotated[float, Field(ge=0, le=120)] = Field(default=1.5, description="from its end to the document")
    background_s: Annotated[float, Field(ge=10, le=3600)] = 120.0
    counted_zeroes: bool = False
    model: Annotated[str, Field(min_length=1, max_length=40)] = "SPM-2"
    serial_number: Annotated[str, Field(min_length=1, max_length=40)] = "0042"

    @property
    def holds_s(self) -> float:
        return self.hold_s


class SpectroscopicN42:
    """The portal on the world's clock; each occupancy has random numbers of its own."""

    kind = "spectroscopic_n42"
    own_faults = frozenset({"background", "clock_skew"})

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        self.name = name
        self._settings = settings
        self._site = site
        self._next = 0
        self._skew_s = 0.0
        self._times_gamma = self._times_neutron = 1.0
        self._reports: dict[int, dict[str, object]] = {}

    def fault(self, settings: FaultSettings, active: bool) -> None:
        """Its clock is wrong, or its detectors count more or less than they should."""
        if isinstance(settings, ClockSkew):
            self._skew_s = settings.by_s if active else 0.0
        elif isinstance(settings, Background):
            self._times_gamma, self._times_neutron = (settings.gamma, settings.neutron) if active else (1.0, 1.0)

    def connected(self) -> bytes:
        return b""

    def received(self, data: bytes, now: float) -> bytes:
        return b""

    def _said_at(self, passage: Passage) -> float:
        return passage.leaves(self._settings.at_m) + self._settings.hold_s + self._settings.analysis_s

    def next_wake(self) -> float | None:
        passages = self._site.lane.passages
        while self._next < len(passages) and not passages[self._next].covers(self._settings.at_m):
            self._next += 1  # a truck that turns back before
        return self._said_at(passages[self._next]) if self._next < len(passages) else None

    def woke(self, now: float) -> bytes:
        """The document of the occupancy whose analysis is done."""
        passage = self._site.lane.passages[self._next]
        self._next += 1
        return STX + self._document(passage).to_xml(self._settings.counted_zeroes) + ETX

    def _document(self, passage: Passage) -> OccupancyDocument:
        s = self._settings
        random = np.random.default_rng(self._site.random_key(self.name, passage.truck.index))
        begins, ends = passage.reaches(s.at_m), passage.leaves(s.at_m) + s.hold_s
        moments = np.arange(begins + _SLICE_S / 2, ends, _SLICE_S)
        kept = np.array([1 - radiation.dip(passage, s.at_m, at) for at in moments])
        near = np.array([radiation.closeness(passage, s.at_m, at) for at in moments])
        cargo = passage.truck.cargo
        shape = _load_shape(cargo.nuclide, cargo.shielding)
        background = s.gamma_background * self._times_gamma * _LIVE
        neutron_background = s.neutron_background * self._times_neutron
        slices = np.zeros(len(moments))
        panels: list[Panel] = []
        for name, share in zip(_NAMES[s.panels], radiation.shares(passage, s.panels), strict=True):
            own = background * kept * _SLICE_S
            load = cargo.gamma_out * share * near * _SLICE_S * _LIVE if shape is not None else np.zeros(len(moments))
            counts = random.poisson(own + load)
            slices += counts
            mixed = own.sum() * background_shape() + (load.sum() * shape if shape is not None else 0.0)
            neutrons = neutron_background * len(moments) * _SLICE_S + cargo.neutron_out * share * near.sum() * _SLICE_S
            panels.append(
                Panel(
                    name,
                    random.multinomial(int(counts.sum()), mixed / mixed.sum()),
                    random.poisson(background * s.background_s * background_shape()),
                    int(random.poisson(neutrons)),
                    int(random.poisson(neutron_background * s.background_s)),
                )
            )
        real_s = len(moments) * _SLICE_S
        foreground = np.sum([p.foreground for p in panels], axis=0)
        before = np.sum([p.background for p in panels], axis=0)
        found = identify(foreground, before, float(kept.mean()) * real_s / s.background_s)
        rate = before.sum() / s.background_s
        by_second = np.convolve(slices, np.ones(_PER_SECOND), "valid") if len(slices) >= _PER_SECOND else slices
        peak = float((by_second.max() - rate) / sqrt(rate)) if rate else 0.0
        neutrons, expected = sum(p.neutrons for p in panels), neutron_background * s.panels * real_s
        gamma_alarm = peak > s.n_sigma or any(f.nuclide.category != _NATURAL for f in found)
        neutron_alarm = expected > 0 and (neutrons - expected) / sqrt(expected) > s.n_sigma
        self._reports[passage.truck.index] = {
            "gamma_alarm": gamma_alarm,
            "neutron_alarm": neutron_alarm,
            "gamma_peak_sigma": round(peak, 2),
            "nuclides": [f.nuclide.name for f in found],
            "gamma_counts": int(foreground.sum()),
            "neutron_counts": neutrons,
        }
        began = self._site.utc(begins) + timedelta(seconds=self._skew_s)
        return OccupancyDocument(
            uuid=UUID(bytes=random.bytes(16), version=4),
            manufacturer="Simulated",
            model=s.model,
            identifier=s.serial_number,
            version="1.0",
            occupancy=passage.truck.index,
            panels=panels,
            background_began=began - timedelta(seconds=s.background_s + 1),
            background_s=s.background_s,
            began=began,
            real_s=real_s,
            live=_LIVE,
            speed_mps=_MEASURED_M / (passage.reaches(s.at_m + _MEASURED_M) - begins),
            gamma_alarm=gamma_alarm,
            neutron_alarm=neutron_alarm,
            found=found,
        )

    def done_with(self, passage: Passage) -> float:
        return self._said_at(passage)

    def said_of(self, passage: Passage) -> dict[str, object] | None:
        """The verdict of the document that was sent, whoever took it."""
        return self._reports.pop(passage.truck.index, None)


# Left column first; A and B are the columns, a is lower and b upper (ANSI N42.42's naming of portal detectors).
_NAMES = {1: ("Aa1",), 2: ("Aa1", "Ba1"), 4: ("Aa1", "Ab1", "Ba1", "Bb1")}


def _load_shape(nuclide: str | None, shielding: float) -> Spectrum | None:
    return None if nuclide is None else nuclide_shape(nuclide, round(shielding, 3))
