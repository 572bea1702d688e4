"""How letters (A) and digits (0) follow each other on the plates of each country, and about how often.

Sources: the issuing states' own descriptions of their series and sizes. The shares are coarse: they say which series is
common, not how many plates carry it. A series that is not listed is still read; it is only not expected.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

# Country by ISO 3166-1 alpha-2 in lower case; series with the parts of a hundred that it makes up there.
SERIES: Mapping[str, Mapping[str, int]] = {
    "us": {
        "AAA0000": 20, "0AAA000": 9, "AAA000": 8, "000AAA": 9, "AA00000": 6, "AAA00A": 3, "A00AAA": 3, "AA0000": 4,
        "0000AA": 2, "A000000": 3, "00AAA0": 2, "0AAA00": 2, "AA000A": 1, "A000AA": 1, "AAA0A00": 1, "0AA0000": 2,
        "00AAAA": 1, "A00000": 2, "00A0000": 1, "0A0000A": 1, "000A000": 1, "0000AAA": 2, "AAA000A": 1, "000000": 3,
        "0000000": 3, "00000A": 1, "0A00000": 1, "AA0A000": 1, "00AA00": 1, "000AA0": 1, "AA000": 1, "0AA000": 1,
        "A0000": 1, "00000": 1,
    },
    "ca": {
        "AAAA000": 36, "A00AAA": 22, "AA000A": 10, "AAA0000": 12, "AAA000": 12, "000AAA": 5, "AA00000": 2, "A000AAA": 1,
    },
    "mx": {
        "AAA000A": 38, "AAA0000": 22, "A00AAA": 8, "AA00000": 12, "AAA000": 5, "00AA0A": 4, "000AA0": 4, "A000AAA": 3,
        "AA0000A": 4,
    },
    "br": {"AAA0000": 45, "AAA0A00": 55},
    "ar": {"AA000AA": 60, "AAA000": 40},
    "uy": {"AAA0000": 100},
    "py": {"AAAA000": 60, "AAA000": 40},
    "cl": {"AAAA00": 75, "AA0000": 25},
    "co": {"AAA000": 100},
    "pe": {"A0A000": 80, "AAA000": 20},
    "de": {
        "AA00": 2, "AA000": 10, "AA0000": 12, "AAA00": 4, "AAA000": 16, "AAA0000": 18, "AAAA00": 5, "AAAA000": 16,
        "AAAA0000": 6, "AAAAA00": 4, "AAAAA000": 6, "AAA0": 1,
    },
    "gb": {"AA00AAA": 88, "A000AAA": 6, "AAA000A": 4, "A00AAA": 2},
    "fr": {"AA000AA": 82, "0000AA00": 10, "000AAA00": 8},
    "it": {"AA000AA": 100},
    "es": {"0000AAA": 92, "A0000AA": 8},
    "pt": {"AA00AA": 25, "00AA00": 45, "0000AA": 20, "AA0000": 10},
    "nl": {
        "00AAA0": 16, "0AAA00": 14, "AA000A": 16, "A000AA": 12, "00AAAA": 16, "AAAA00": 8, "AAA00A": 10, "AA00AA": 8,
    },
    "be": {"0AAA000": 80, "AAA000": 20},
    "lu": {"AA0000": 90, "00000": 10},
    "at": {"A00000A": 15, "AA000AA": 25, "A0000AA": 15, "AA0000A": 10, "AA00000": 10, "AA000A": 15, "A000AAA": 10},
    "ch": {"AA000000": 55, "AA00000": 35, "AA0000": 10},
    "pl": {"AA00000": 35, "AAA0000": 10, "AA0000A": 15, "AAA00AA": 20, "AAA000A": 10, "AAA0A00": 10},
    "cz": {"0A00000": 75, "0AA0000": 25},
    "sk": {"AA000AA": 100},
    "hu": {"AAA000": 60, "AAAA000": 40},
    "ro": {"AA00AAA": 60, "A00AAA": 15, "A000AAA": 25},
    "bg": {"A0000AA": 50, "AA0000AA": 50},
    "si": {"AA00AAA": 10, "AA000AA": 40, "AAA000A": 10, "AAAA000": 40},
    "hr": {"AA000AA": 40, "AA0000AA": 30, "AA000A": 20, "AA0000A": 10},
    "rs": {"AA000AA": 60, "AA0000AA": 40},
    "gr": {"AAA0000": 100},
    "ie": {"000A00000": 20, "000A0000": 25, "000A000": 15, "00A00000": 15, "00A0000": 15, "000AA0000": 10},
    "dk": {"AA00000": 100},
    "se": {"AAA000": 65, "AAA00A": 35},
    "no": {"AA00000": 100},
    "fi": {"AAA000": 100},
    "ee": {"000AAA": 100},
    "lv": {"AA0000": 90, "AA000": 10},
    "lt": {"AAA000": 100},
    "ua": {"AA0000AA": 100},
    "tr": {"00AAA000": 30, "00AA000": 20, "00AAA00": 25, "00AA0000": 15, "00A0000": 10},
}  # fmt: skip
COUNTRIES = tuple(SERIES)
KNOWN = frozenset(form for forms in SERIES.values() for form in forms)
# Registered vehicles, millions (national statistics, about 2022): where no country is named, so likely is each.
VEHICLES: Mapping[str, float] = {
    "us": 290, "ca": 26, "mx": 55, "br": 115, "ar": 16, "uy": 2.5, "py": 2.7, "cl": 6.5, "co": 18, "pe": 3.5,
    "de": 60, "gb": 41, "fr": 47, "it": 52, "es": 35, "pt": 7, "nl": 11, "be": 7.5, "lu": 0.6, "at": 7, "ch": 6.5,
    "pl": 35, "cz": 8.5, "sk": 3.3, "hu": 5.5, "ro": 9.5, "bg": 3.6, "si": 1.6, "hr": 2.4, "rs": 3, "gr": 9, "ie": 3,
    "dk": 3.7, "se": 6.5, "no": 4.2, "fi": 4.5, "ee": 1, "lv": 1, "lt": 2, "ua": 14, "tr": 29,
}  # fmt: skip
# Width by height of a plate of one row: 305 × 152 mm in North America, 400 × 130 by Mercosul's and Brazil's older rule,
# 520 × 115 elsewhere.
ASPECTS: Mapping[str, float] = {
    "us": 2.0, "ca": 2.0, "mx": 2.0, "co": 2.0, "pe": 2.0, "cl": 2.8, "br": 3.1, "ar": 3.1, "uy": 3.1, "py": 3.1,
    "ch": 3.8, "fi": 3.8,
}  # fmt: skip
ASPECT_ELSEWHERE = 4.5
ASPECT_OFF = 0.25  # how far the logarithm of what is seen of it strays: angle, margins (one standard deviation)
OTHER_SHAPE = 0.1  # of the plates: two rows, another country's holder


def plate_form(text: str) -> str:
    """The text with every letter as A and every digit as 0."""
    return "".join("0" if c.isdigit() else "A" for c in text)


@lru_cache(maxsize=256)
def shares(countries: Sequence[str] = COUNTRIES, aspect: float | None = None) -> Mapping[str, float]:
    """The share (0..1) of each series over these countries; all of them count by their vehicles, some alike.

    `aspect`, the plate's width by its height in one decimal, makes countries with plates of that shape likelier.
    """
    weights = {c: (VEHICLES[c] if countries == COUNTRIES else 1.0) * _shaped(c, aspect) for c in countries}
    out: dict[str, float] = {}
    for country, weight in weights.items():
        total = sum(SERIES[country].values()) * sum(weights.values())
        for form, parts in SERIES[country].items():
            out[form] = out.get(form, 0.0) + weight * parts / total
    return out


def _shaped(country: str, aspect: float | None) -> float:
    """How likely the country's plates look that wide, by the likeliest shape: 0..1."""
    if aspect is None:
        return 1.0
    off = math.log(aspect / ASPECTS.get(country, ASPECT_ELSEWHERE)) / ASPECT_OFF
    return (1 - OTHER_SHAPE) * math.exp(-off * off / 2) + OTHER_SHAPE
