"""Licence plates as they look: pattern, colours and lettering of registration regions.

The patterns are simplified from what is commonly seen on vehicles of each issuer, those of trucks where they differ and
are known, and for the Mexican forms from NOM-001-SCT-2-2016. They give a plate its looks; they are no table to validate
plates with. Letters that are easily taken for digits (I, O, Q) are left out, as most issuers do.
"""

from dataclasses import dataclass
from random import Random

_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_DIGITS = "0123456789"
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Region:
    """How one issuer's plates look. In a pattern A is any letter, 9 any digit, and the rest stands for itself.
    `trailer` is the pattern of trailers, '' where it is the same."""

    code: str
    pattern: str
    heading: str
    ground: Colour
    ink: Colour
    heading_ink: Colour
    band: Colour | None = None
    trailer: str = ""


_WHITE, _BLACK, _NAVY = (240, 240, 236), (22, 22, 24), (24, 36, 96)
_RED, _GREEN, _BLUE = (176, 28, 36), (0, 104, 71), (20, 66, 150)
_YELLOW = (240, 196, 70)


def _state(code: str, pattern: str, heading: str, ink: Colour = _NAVY, trailer: str = "") -> Region:
    return Region(code, pattern, heading, _WHITE, ink, ink, trailer=trailer)


def _mexican(code: str, heading: str, ink: Colour, pattern: str = "AA-99-999") -> Region:
    return Region(code, pattern, heading, _WHITE, _BLACK, ink, ink)


def _european(code: str, pattern: str, heading: str, trailer: str = "") -> Region:
    return Region(code, pattern, heading, _WHITE, _BLACK, _BLUE, _BLUE, trailer)


REGIONS: dict[str, Region] = {
    region.code: region
    for region in (
        # United States. Apportioned (IRP) plates, which trucks across state lines carry: TX, IL, NY, and CA-IRP.
        Region("US-TX", "R99 9999", "TEXAS", _WHITE, _BLACK, _BLUE, trailer="999B999"),
        Region("US-CA", "9A99999", "CALIFORNIA", _WHITE, _NAVY, _RED, trailer="4AA9999"),
        Region("US-AZ", "AAA 9999", "ARIZONA", (226, 232, 224), (20, 70, 60), (120, 30, 90)),
        Region("US-NM", "999 AAA", "NEW MEXICO", (236, 200, 62), (150, 24, 30), (150, 24, 30)),
        Region("US-IL", "P 999999", "ILLINOIS", _WHITE, _NAVY, _NAVY, trailer="999999 ST"),
        Region("US-NY", "99999 AA", "NEW YORK", _YELLOW, _NAVY, _NAVY, trailer="AA 99999"),
        Region("US-CA-IRP", "WP 99999", "CALIFORNIA APPORTIONED", _WHITE, _NAVY, _RED, trailer="4AA9999"),
        _state("US-AL", "9A9999A", "ALABAMA", _RED),
        _state("US-AR", "AAA 99A", "ARKANSAS", _BLACK),
        _state("US-CO", "AAA-A99", "COLORADO", _GREEN),
        _state("US-FL", "AAA A99", "FLORIDA", _GREEN),
        _state("US-GA", "AAA9999", "GEORGIA", _BLACK),
        _state("US-IN", "999AAA", "INDIANA"),
        _state("US-KS", "999 AAA", "KANSAS"),
        _state("US-LA", "999 AAA", "LOUISIANA"),
        _state("US-ME", "9999 AA", "MAINE", _GREEN, trailer="9999-999"),
        _state("US-MI", "AAA 9999", "MICHIGAN", _BLUE),
        _state("US-MN", "AAA-999", "MINNESOTA", _BLUE),
        _state("US-MO", "AA9 A9A", "MISSOURI", _BLACK),
        _state("US-MS", "AAA 9999", "MISSISSIPPI", _BLUE),
        _state("US-MT", "9-99999A", "MONTANA", _BLUE),
        _state("US-NC", "AAA-9999", "NORTH CAROLINA", _BLUE),
        _state("US-ND", "999 AAA", "NORTH DAKOTA", _BLACK),
        _state("US-NE", "AAA 999", "NEBRASKA", _BLACK),
        _state("US-NJ", "A99-AAA", "NEW JERSEY", _BLACK),
        _state("US-NV", "999-A99", "NEVADA"),
        _state("US-OH", "AAA 9999", "OHIO"),
        _state("US-OK", "AAA-999", "OKLAHOMA", _BLUE),
        _state("US-OR", "999 AAA", "OREGON"),
        _state("US-PA", "AAA-9999", "PENNSYLVANIA"),
        _state("US-TN", "AAA-9999", "TENNESSEE"),
        _state("US-UT", "A99 9AA", "UTAH", _RED),
        _state("US-VA", "AAA-9999", "VIRGINIA"),
        _state("US-VT", "AAA 999", "VERMONT", _GREEN),
        _state("US-WA", "AAA9999", "WASHINGTON"),
        _state("US-WI", "AAA-9999", "WISCONSIN", _BLACK),
        # Mexico: federal cargo, and the trucks of states along the border; private cars: CMX.
        Region("MX-SPF", "999-A9-9", "SERVICIO PUBLICO FEDERAL", _WHITE, _BLACK, _BLACK, _GREEN, "99-AA-9A"),
        Region("MX-TAM", "AA-99-999", "TAMAULIPAS", _WHITE, _BLACK, _RED, _RED),
        Region("MX-NLE", "AA-9999-A", "NUEVO LEON", _WHITE, _BLACK, _BLUE, _BLUE),
        _mexican("MX-BCN", "BAJA CALIFORNIA", _GREEN),
        _mexican("MX-SON", "SONORA", _BLUE),
        _mexican("MX-CHH", "CHIHUAHUA", _RED),
        _mexican("MX-COA", "COAHUILA", _BLUE),
        _mexican("MX-JAL", "JALISCO", _BLUE, "AAA-99-99"),
        _mexican("MX-CMX", "CIUDAD DE MEXICO", _RED, "A99-AAA"),
        # Canada.
        Region("CA-ON", "AA 99999", "ONTARIO", _WHITE, _BLACK, _BLACK, trailer="A99 99A"),
        Region("CA-BC", "AA 9999", "BRITISH COLUMBIA", _WHITE, _BLUE, _BLUE),
        Region("CA-QC", "L 999999", "QUEBEC", _WHITE, _BLUE, _BLUE, trailer="RA 9999A"),
        _state("CA-AB", "AAA-9999", "ALBERTA", _RED),
        _state("CA-MB", "AAA 999", "MANITOBA", _BLACK),
        _state("CA-NB", "AAA 999", "NEW BRUNSWICK", _RED),
        _state("CA-NS", "AAA 999", "NOVA SCOTIA", _BLUE),
        _state("CA-SK", "999 AAA", "SASKATCHEWAN", _GREEN),
        # European Union.
        _european("EU-AT", "W 99999A", "A"),
        _european("EU-BE", "1-AAA-999", "B", trailer="Q-AAA-999"),
        _european("EU-BG", "AA 9999 AA", "BG"),
        _european("EU-CZ", "9A9 9999", "CZ"),
        _european("EU-DE", "AA AA 9999", "D"),
        _european("EU-ES", "9999 AAA", "E", trailer="R 9999 AAA"),
        _european("EU-FR", "AA-999-AA", "F"),
        _european("EU-HU", "AAA-999", "H"),
        _european("EU-IT", "AA 999AA", "I"),
        _european("EU-LT", "AAA 999", "LT", trailer="AA 999"),
        _european("EU-NL", "99-BAA-9", "NL", trailer="99-WA-AA"),
        _european("EU-PL", "AA 99999", "PL"),
        _european("EU-PT", "AA-99-AA", "P"),
        _european("EU-RO", "AA 99 AAA", "RO"),
        # Brazil, Mercosur's form.
        Region("BR", "AAA9A99", "BRASIL", _WHITE, _BLACK, _BLUE, _BLUE),
    )
}
# What comes to a land border of the United States, unless the scenario says otherwise.
USUAL = [
    "US-TX", "US-CA", "US-AZ", "US-NM", "US-IL", "US-NY", "MX-SPF", "MX-TAM", "MX-NLE", "CA-ON", "CA-BC", "CA-QC",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plate:
    """A plate: the text as it is painted, with its separators, and the region that issued it."""

    painted: str
    region: str

    @property
    def text(self) -> str:
        """Letters and digits only, the form in which plates are compared."""
        return "".join(c for c in self.painted if c.isalnum())


def draw_plate(random: Random, regions: list[str]) -> Plate:
    """A tractor's plate of one of `regions` (keys of REGIONS)."""
    region = REGIONS[random.choice(regions)]
    return Plate(_painted(random, region.pattern), region.code)


def draw_trailer_plate(random: Random, region: str) -> Plate:
    """A trailer's plate of the same issuer."""
    known = REGIONS[region]
    return Plate(_painted(random, known.trailer or known.pattern), region)


def _painted(random: Random, pattern: str) -> str:
    # A fixed letter of the pattern (the R of Texas) is no placeholder: only A and 9 are drawn.
    signs = {"A": _LETTERS, "9": _DIGITS}
    return "".join(random.choice(signs[c]) if c in signs else c for c in pattern)
