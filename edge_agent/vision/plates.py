"""Which lines of text are licence plates, best first. Nothing is corrected: a plate's text is what was read.

Three shapes are tried: a line by itself, two neighbours on one row (a decal or bolt parts them), and two rows of
similar width (motorcycles, trailers). What cannot be a plate is dropped; the rest is ordered by `likeness`.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.domain.identifiers import normalise_plate
from edge_agent.domain.observation import CharacterRead
from edge_agent.vision.formats import KNOWN, plate_form
from edge_agent.vision.lines import TextLine, mean_confidence, relation

LENGTH_MIN, LENGTH_MAX = 4, 9
CONFIDENCE_MIN = 0.3
# Who issues plates and prints the name on them; lettering next to one of these is a plate's.
ISSUERS = frozenset({
    "ALABAMA", "ALASKA", "ARIZONA", "ARKANSAS", "CALIFORNIA", "COLORADO", "CONNECTICUT", "DELAWARE", "FLORIDA",
    "GEORGIA", "HAWAII", "IDAHO", "ILLINOIS", "INDIANA", "IOWA", "KANSAS", "KENTUCKY", "LOUISIANA", "MAINE",
    "MARYLAND", "MASSACHUSETTS", "MICHIGAN", "MINNESOTA", "MISSISSIPPI", "MISSOURI", "MONTANA", "NEBRASKA",
    "NEVADA", "HAMPSHIRE", "JERSEY", "NEWMEXICO", "NEWYORK", "CAROLINA", "DAKOTA", "OHIO", "OKLAHOMA", "OREGON",
    "PENNSYLVANIA", "RHODEISLAND", "TENNESSEE", "TEXAS", "UTAH", "VERMONT", "VIRGINIA", "WASHINGTON",
    "WISCONSIN", "WYOMING", "ONTARIO", "QUEBEC", "ALBERTA", "MANITOBA", "SASKATCHEWAN", "COLUMBIA",
    "NOVASCOTIA", "BRASIL", "ARGENTINA", "URUGUAY", "PARAGUAY", "MERCOSUR", "CHIAPAS", "CHIHUAHUA", "COAHUILA",
    "DURANGO", "JALISCO", "NUEVOLEON", "SINALOA", "SONORA", "TAMAULIPAS", "VERACRUZ", "BAJACALIFORNIA",
})  # fmt: skip
_TIME_OR_DATE = re.compile(
    r"\d{1,2}:\d{2}|\d{1,4}/\d{1,2}/\d{1,4}|(19|20)\d\d-\d{2}|\d{2}-\d{2}-(19|20)\d\d|\d{2}\.\d{2}\.\d{2,4}"
    r"|^\D{0,2}(0\d|1[0-2])[/-]\d\d\D{0,2}$|^\D{0,2}(19|20)\d\d\D{0,2}$"
)
_TELEPHONE = re.compile(r"(?<!\d)\d{3}[.\-]\d{4}(?!\d)|\d{3}\D{1,3}\d{3}\D{1,3}\d{4}|1-?800")
# A character that the model would rather not call a letter or digit at all, between characters that it is sure of, is a
# decal, bolt or edge: of the characters of rightly read plates 99 in 100 stand above 0.93 (300 crops of US plates).
MARK_MAX, SURE_MIN = 0.75, 0.9


@dataclass(frozen=True)
class PlateCandidate:
    """Lines that may form one plate, in reading order, and how much they look like one (0..1)."""

    lines: tuple[TextLine, ...]
    characters: tuple[CharacterRead, ...]
    as_read: str
    likeness: float

    @property
    def text(self) -> str:
        return normalise_plate("".join(c.character for c in self.characters))

    @property
    def confidence(self) -> float:
        return mean_confidence(self.characters)


def without_marks(characters: Sequence[CharacterRead]) -> tuple[CharacterRead, ...]:
    """The characters without decals and bolts that were read as one; these stay in the text as read."""
    presence = [c.confidence + sum(p for _, p in c.alternatives) for c in characters]
    kept = tuple(c for c, p in zip(characters, presence, strict=True) if p >= MARK_MAX)
    return kept if kept and mean_confidence(kept) > SURE_MIN else tuple(characters)


def plate_candidates(lines: Sequence[TextLine], height: int, width: int) -> list[PlateCandidate]:
    """Every plate-like line or pair of lines of a picture of that size, best first."""
    tallest = max((line.height for line in lines if _can_be_plate(line.text, False)), default=1.0)
    groups: list[tuple[TextLine, ...]] = [(line,) for line in lines]
    groups += [(a, b) for a in lines for b in lines if a is not b and (_side_by_side(a, b) or _stacked(a, b))]
    issuers = [line for line in lines if _names_issuer(line)]
    found = [c for g in groups if (c := _candidate(g, tallest, issuers, height, width)) is not None]
    return _without_parts(sorted(found, key=lambda c: -c.likeness))


def _can_be_plate(text: str, issued: bool) -> bool:
    """`issued`: an issuer's name stands beside it; only then can letters alone be a plate and no lettering."""
    return LENGTH_MIN <= len(text) <= LENGTH_MAX and (issued or any(c.isdigit() for c in text))


def _names_issuer(line: TextLine) -> bool:
    return any(name in line.text for name in ISSUERS)


def _issued(group: Sequence[TextLine], issuers: Sequence[TextLine]) -> bool:
    """Whether an issuer's name stands right over or under the first line, in smaller letters."""
    for name in issuers:
        r = relation(group[0], name)
        if name not in group and r.gap_across < 0.8 and r.overlap_along > 0.5 and r.height_ratio < 0.8:
            return True
    return False


def _candidate(
    group: tuple[TextLine, ...], tallest: float, issuers: Sequence[TextLine], height: int, width: int
) -> PlateCandidate | None:
    characters = without_marks([c for line in group for c in line.characters])
    text = "".join(c.character for c in characters)
    as_read = " ".join(line.read.as_read for line in group)
    issued = _issued(group, issuers)
    if not _can_be_plate(text, issued) or sum(line.foreign for line in group) > 1 or _names_issuer(group[0]):
        return None
    if mean_confidence(characters) < CONFIDENCE_MIN or _TIME_OR_DATE.search(as_read) or _TELEPHONE.search(as_read):
        return None
    return PlateCandidate(group, characters, as_read, likeness(group, characters, tallest, issued, height, width))


def likeness(
    group: Sequence[TextLine],
    characters: Sequence[CharacterRead],
    tallest: float,
    issued: bool,
    height: int,
    width: int,
) -> float:
    """How much a group of lines looks like a plate, 0..1; weights were chosen on dashcam photos and US crops."""
    line = group[0]
    text = "".join(c.character for c in characters)
    confidence = mean_confidence(characters)
    form = plate_form(text)
    pitch = sum(g.width / max(1.0, g.height) for g in group) / len(text)
    score = 1.0
    score += 2.0 * math.log(max(confidence, 0.05))
    score += 1.0 if form in KNOWN else 0.0
    score += {4: -1.5, 5: -0.5, 6: 0.3, 7: 0.5, 8: -0.2, 9: -1.0}[len(text)]
    score -= 1.5 if text.isdigit() else 0.0
    score -= 1.0 if sum(c.isdigit() for c in text) < 2 else 0.0
    score -= 0.5 * abs(form.count("A0") + form.count("0A") - 1)
    score += 1.5 * math.log(max(line.height / tallest, 0.05))
    score -= 4.0 * max(0.0, abs(math.log(max(pitch, 0.05) / 0.62)) - 0.25)
    middle = sum(float(g.centre[1]) for g in group) / len(group) / height
    score -= 1.5 if middle < 0.06 or middle > 0.94 else 0.0  # where cameras burn in their time
    score -= 0.7 * (len(group) - 1)
    score -= 1.0 * sum(g.foreign for g in group)
    score += 1.0 if issued else 0.0
    score -= 1.5 if text.isalpha() else 0.0
    return round(1 / (1 + math.exp(-score)), 4)


def _side_by_side(a: TextLine, b: TextLine) -> bool:
    """Whether `b` goes on where `a` ends: same row, same size, parted by no more than a decal."""
    if not (1 <= len(a.text) <= 5 and 1 <= len(b.text) <= 5):
        return False
    r = relation(a, b)
    return (
        r.shift_along > 0
        and -0.4 < r.gap_along < 1.2
        and abs(r.shift_across) < 0.3
        and 0.7 < r.height_ratio < 1.4
        and float(a.along @ b.along) > 0.97
    )


def _stacked(a: TextLine, b: TextLine) -> bool:
    """Whether `b` is the second row of a plate that begins with `a`."""
    if not (2 <= len(a.text) <= 4 and 2 <= len(b.text) <= 5):
        return False
    r = relation(a, b)
    return (
        r.shift_across > 0
        and -0.4 < r.gap_across < 0.5
        and r.overlap_along > 0.7
        and 0.7 < r.height_ratio < 1.5
        and 0.5 < b.width / max(1.0, a.width) < 2.0
        and float(a.along @ b.along) > 0.97
    )


def _without_parts(ordered: Sequence[PlateCandidate]) -> list[PlateCandidate]:
    """Leaves out what is made of lines that a better candidate already uses."""
    used: set[TextLine] = set()
    kept = []
    for candidate in ordered:
        own = set(candidate.lines)
        if own & used:
            continue
        used |= own
        kept.append(candidate)
    return kept
