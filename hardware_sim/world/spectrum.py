"""Gamma spectra as a large sodium iodide detector sees them: full-energy peaks, Compton continua, scattered background.

Line energies (keV) and yields per decay from the Decay Data Evaluation Project's tables. The detector's response is
that of a 10 x 10 x 40 cm NaI(Tl) crystal in its broad traits: resolution 7.5 % at 662 keV growing with the root of
energy, a photofraction that falls with energy, Compton edges by the kinematics.
"""

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

Spectrum = NDArray[np.float64]

CHANNELS = 1024
KEV_PER_CHANNEL = 3.0
# Mean energy of each channel.
ENERGIES: Spectrum = np.asarray((np.arange(CHANNELS) + 0.5) * KEV_PER_CHANNEL, dtype=np.float64)
_ELECTRON_KEV = 511.0
_RESOLUTION_662 = 0.075
# Below this the electronics discriminate.
_LOWEST_KEV = 35.0
# A key line weaker than this is missing.
_LEAST_LINE_SIGMA = 1.2


@dataclass(frozen=True, slots=True)
class Nuclide:
    """`name` as N42.42 writes it; `category` as an instrument groups it; `lines` are keV and yield; the `key` lines are
    those by which an instrument knows it."""

    name: str
    category: str
    lines: tuple[tuple[float, float], ...]
    key: tuple[float, ...]


_RA_226 = (
    (186.2, 0.036), (241.9, 0.073), (295.2, 0.184), (351.9, 0.356), (609.3, 0.455), (768.4, 0.049), (934.1, 0.031),
    (1120.3, 0.149), (1238.1, 0.058), (1377.7, 0.040), (1764.5, 0.153), (2204.2, 0.049),
)  # fmt: skip
_TH_232 = (
    (238.6, 0.436), (338.3, 0.113), (510.8, 0.081), (583.2, 0.304), (727.3, 0.067), (860.6, 0.045), (911.2, 0.258),
    (969.0, 0.158), (1588.2, 0.032), (2614.5, 0.358),
)  # fmt: skip
NUCLIDES: dict[str, Nuclide] = {
    n.name: n
    for n in (
        Nuclide("K-40", "NORM", ((1460.8, 0.1066),), (1460.8,)),
        Nuclide("Ra-226", "NORM", _RA_226, (351.9, 609.3)),
        Nuclide("Th-232", "NORM", _TH_232, (238.6, 583.2, 2614.5)),
        Nuclide("Cs-137", "Industrial", ((32.1, 0.057), (661.7, 0.851)), (661.7,)),
        Nuclide("Co-60", "Industrial", ((1173.2, 0.9985), (1332.5, 0.9998)), (1173.2, 1332.5)),
        Nuclide(
            "Ir-192", "Industrial",
            ((205.8, 0.033), (296.0, 0.287), (308.5, 0.297), (316.5, 0.828), (468.1, 0.478), (588.6, 0.045),
             (604.4, 0.082), (612.5, 0.053)), (316.5, 468.1),
        ),
        Nuclide(
            "Ba-133", "Industrial", ((81.0, 0.333), (276.4, 0.071), (302.9, 0.183), (356.0, 0.621), (383.8, 0.089)),
            (81.0, 356.0),
        ),
        Nuclide("Am-241", "Industrial", ((59.5, 0.359),), (59.5,)),
        Nuclide("Tc-99m", "Medical", ((140.5, 0.885),), (140.5,)),
        Nuclide("I-131", "Medical", ((80.2, 0.026), (284.3, 0.061), (364.5, 0.812), (637.0, 0.072)), (364.5,)),
        Nuclide("F-18", "Medical", ((511.0, 1.934),), (511.0,)),
        Nuclide("U-235", "SNM", ((143.8, 0.109), (163.4, 0.051), (185.7, 0.570), (205.3, 0.050)), (185.7,)),
    )
}  # fmt: skip


def resolution(kev: Spectrum | float) -> Spectrum:
    """Full width at half maximum at an energy, keV."""
    return np.asarray(_RESOLUTION_662 * 661.7 * np.sqrt(np.asarray(kev) / 661.7))


@cache
def _blur() -> NDArray[np.float64]:
    """Row by row how a deposited energy is spread over the channels."""
    sigma = resolution(ENERGIES)[:, None] / 2.3548
    spread: Spectrum = np.exp(-0.5 * ((ENERGIES[None, :] - ENERGIES[:, None]) / sigma) ** 2)
    return np.asarray(spread / spread.sum(axis=1, keepdims=True))


def _deposited(kev: float, scatter: float) -> Spectrum:
    """Energy deposited by photons of one energy, before resolution: peak, Compton continuum, backscatter, and what was
    scattered in the load before it came (`scatter`, as a multiple of what comes straight). Adds up to 1 + scatter."""
    deposited = np.zeros(CHANNELS)
    photofraction = 1 / (1 + (kev / 900) ** 1.1)
    index = min(CHANNELS - 1, int(kev / KEV_PER_CHANNEL))
    deposited[index] += photofraction
    edge = kev / (1 + _ELECTRON_KEV / (2 * kev))
    below = edge > ENERGIES
    if below.any():
        # Klein and Nishina's electrons crowd at the edge.
        continuum = np.where(below, 1 + 1.2 * (ENERGIES / max(edge, 1)) ** 4, 0.0)
        # Those that scatter twice fill the valley between edge and peak.
        continuum += np.where((edge <= ENERGIES) & (kev > ENERGIES), 0.8 * (kev - ENERGIES) / max(kev - edge, 1), 0.0)
        deposited += 0.93 * (1 - photofraction) * continuum / continuum.sum()
    backscatter = kev / (1 + 2 * kev / _ELECTRON_KEV)
    width = 18.0
    hump = np.exp(-0.5 * ((ENERGIES - backscatter - width) / width) ** 2)
    deposited += (0.07 * (1 - photofraction) if below.any() else 1 - photofraction) * hump / hump.sum()
    if scatter:
        scattered = np.where(kev > ENERGIES, np.exp(-ENERGIES / 190) * (1 - np.exp(-((ENERGIES / 85) ** 2.5))), 0.0)
        total = scattered.sum()
        if total > 0:
            deposited += scatter * scattered / total
    return deposited


@lru_cache(maxsize=64)
def nuclide_shape(name: str, shielding: float) -> Spectrum:
    """How the counts of a nuclide are spread over the channels; adds up to 1. `shielding` (0..1) is the share that is
    held back at 662 keV: it takes lower energies more, and scatters the more."""
    thickness = -np.log(max(1e-3, 1 - min(shielding, 0.999)))
    total = np.zeros(CHANNELS)
    for kev, share in NUCLIDES[name].lines:
        passes = float(np.exp(-thickness * (661.7 / kev) ** 0.6))
        efficiency = (1 - np.exp(-((kev / 45) ** 2))) / (1 + kev / 5000)
        total += share * efficiency * passes * _deposited(kev, scatter=0.8 + 2.2 * thickness)
    return _finished(total)


@cache
def background_shape() -> Spectrum:
    """Natural background outdoors over concrete: skyshine, potassium, radium and thorium; adds up to 1."""
    skyshine = np.exp(-ENERGIES / 170) * (1 - np.exp(-((ENERGIES / 75) ** 3)))
    total = 0.52 * _blurred(skyshine / skyshine.sum())
    for name, share in (("K-40", 0.20), ("Ra-226", 0.14), ("Th-232", 0.14)):
        total = total + share * nuclide_shape(name, 0.25)
    cosmic = np.exp(-ENERGIES / 4000)
    return _finished_blurred(total + 0.012 * cosmic / cosmic.sum())


def _blurred(deposited: Spectrum) -> Spectrum:
    return np.asarray(deposited @ _blur())


def _finished(deposited: Spectrum) -> Spectrum:
    return _finished_blurred(_blurred(deposited))


def _finished_blurred(spectrum: Spectrum) -> Spectrum:
    passed = spectrum / (1 + np.exp(-(ENERGIES - _LOWEST_KEV) / 4))
    passed[-1] = 0.0
    return np.asarray(passed / passed.sum())


@dataclass(frozen=True, slots=True)
class Found:
    """A nuclide that an instrument has identified; `sigma` is that of its key lines together, `confidence` 0..1."""

    nuclide: Nuclide
    sigma: float
    confidence: float


def identify(foreground: Spectrum, background: Spectrum, scale: float, least_sigma: float = 4.0) -> list[Found]:
    """The nuclides whose key lines stand out of `foreground`, against `background` times `scale`; strongest first.

    A key line counts as it stands above the straight line between its two sides; together they must reach
    `least_sigma`, and none may be missing. Lines that a stronger find explains are not taken for another nuclide.
    """
    found: list[Found] = []
    for nuclide in NUCLIDES.values():
        lines = [_stands_out(foreground, background, scale, kev) for kev in nuclide.key]
        together = sum(lines) / len(lines) ** 0.5
        if together >= least_sigma and min(lines) >= _LEAST_LINE_SIGMA:
            found.append(Found(nuclide, round(together, 2), round(float(1 - np.exp(-together / 6)), 3)))
    found.sort(key=lambda f: -f.sigma)
    kept: list[Found] = []
    for each in found:
        explained = [line for other in kept for line, _ in other.nuclide.lines]
        own = [
            _stands_out(foreground, background, scale, kev)
            for kev in each.nuclide.key
            if all(abs(kev - line) >= 0.7 * resolution(kev) for line in explained)
        ]
        if own and sum(own) / len(own) ** 0.5 >= least_sigma:
            kept.append(each)
    return kept


def _stands_out(foreground: Spectrum, background: Spectrum, scale: float, kev: float) -> float:
    """How many standard deviations the line's net counts lie above those of the background."""
    width = float(resolution(kev))
    peak = np.abs(ENERGIES - kev) <= 0.6 * width
    sides = (np.abs(ENERGIES - kev) > 0.9 * width) & (np.abs(ENERGIES - kev) <= 1.6 * width)
    ratio = peak.sum() / sides.sum()

    def net(counts: Spectrum) -> tuple[float, float]:
        inside, beside = counts[peak].sum(), counts[sides].sum() * ratio
        return float(inside - beside), float(inside + beside * ratio)

    here, variance = net(foreground)
    always, variance_always = net(background)
    spread = np.sqrt(variance + scale**2 * variance_always)
    return float((here - scale * always) / spread) if spread > 0 else 0.0
