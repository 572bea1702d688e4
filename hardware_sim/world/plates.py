"""Licence plates as they look: pattern, colours and lettering of a few registration regions.

The patterns are simplified from what is commonly seen on commercial vehicles, and for the Mexican forms from
NOM-001-SCT-2-2016. They give a plate its looks; they are no table to validate plates with. Letters that are easily
taken for digits (I, O, Q) are left out, as most issuers do.
"""

from dataclasses import dataclass
from random import Random

_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_DIGITS = "0123456789"
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Region:
    """How one issuer's plates look. In `pattern` A is any letter, 9 any digit, and the rest stands for itself."""

    code: str
    pattern: str
    heading: str
    ground: Colour
    ink: Colour
    heading_ink: Colour
    band: Colour | None = None


_WHITE, _BLACK, _NAVY = (240, 240, 236), (22, 22, 24), (24, 36, 96)
_RED, _GREEN, _BLUE = (176, 28, 36), (0, 104, 71), (20, 66, 150)

REGIONS: dict[str, Region] = {
    region.code: region
    for region in (
        Region("US-TX", "R99 9999", "TEXAS", _WHITE, _BLACK, _BLUE),
        Region("US-CA", "9A99999", "CALIFORNIA", _WHITE, _NAVY, _RED),
        Region("US-AZ", "AAA 9999", "ARIZONA", (226, 232, 224), (20, 70, 60), (120, 30, 90)),
        Region("US-NM", "999 AAA", "NEW MEXICO", (236, 200, 62), (150, 24, 30), (150, 24, 30)),
        Region("US-IL", "P 999999", "ILLINOIS", _WHITE, _NAVY, _NAVY),
        Region("US-NY", "99999 AA", "NEW YORK", (240, 196, 70), _NAVY, _NAVY),
        Region("MX-SPF", "999-A9-9", "SERVICIO PUBLICO FEDERAL", _WHITE, _BLACK, _BLACK, _GREEN),  # federal cargo
        Region("MX-TAM", "AA-99-999", "TAMAULIPAS", _WHITE, _BLACK, _RED, _RED),
        Region("MX-NLE", "AA-9999-A", "NUEVO LEON", _WHITE, _BLACK, _BLUE, _BLUE),
        Region("CA-ON", "AA 99999", "ONTARIO", _WHITE, _BLACK, _BLACK),
        Region("CA-BC", "AA 9999", "BRITISH COLUMBIA", _WHITE, _BLUE, _BLUE),
        Region("CA-QC", "L 999999", "QUEBEC", _WHITE, _BLUE, _BLUE),
    )
}


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
    """A plate of one of `regions` (keys of REGIONS)."""
    region = REGIONS[random.choice(regions)]
    signs = {"A": _LETTERS, "9": _DIGITS}
    # A fixed letter of the pattern (the R of Texas) is no placeholder: only A and 9 are drawn.
    painted = "".join(random.choice(signs[c]) if c in signs else c for c in region.pattern)
    return Plate(painted, region.code)
