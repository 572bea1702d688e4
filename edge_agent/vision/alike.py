"""How alike two readings of one text, and two places in a picture, are. Pure."""

from collections.abc import Sequence

from edge_agent.domain.observation import Box, CharacterRead

# Characters that readers take for each other, on plates and on containers: their strokes are nearly the same.
_TAKEN_FOR_EACH_OTHER = (
    "O0DQ",
    "I1LTJ",
    "B8",
    "S5",
    "Z27",
    "G6C",
    "A4",
    "UV",
    "MNHW",
    "EF",
    "PRF",
    "38",
    "VY",
    "69",
    "KX",
)
CONFUSED = 0.4  # what it costs to take one of them for the other; any other character costs 1
AT_AN_END = 0.5  # a character missing at an end: a plate cut by the picture's edge, its last sign in the shade
INSIDE = 1.0
LACKING = 0.5
_PAIRS = frozenset((a, b) for group in _TAKEN_FOR_EACH_OTHER for a in group for b in group)


def distance(one: str, other: str) -> float:
    """Edit distance in which a confusable character costs less, and so does one that is missing at an end."""
    row = [AT_AN_END * j for j in range(len(other) + 1)]
    for i, a in enumerate(one, 1):
        last, row = row, [AT_AN_END * i]
        for j, b in enumerate(other, 1):
            change = last[j - 1] + (0.0 if a == b else CONFUSED if (a, b) in _PAIRS else 1.0)
            # Leaving out a character of `one` is at an end if nothing of `other` is before or after it.
            drop = last[j] + (AT_AN_END if j == len(other) else INSIDE)
            put = row[j - 1] + (AT_AN_END if i == len(one) else INSIDE)
            row.append(min(change, drop, put))
    return row[-1]


def likeness(one: str, other: str) -> float:
    """1 for the same text, 0 for texts that share nothing."""
    longest = max(len(one), len(other))
    return max(0.0, 1.0 - distance(one, other) / longest) if longest else 1.0


def support(text: str, characters: Sequence[CharacterRead]) -> float:
    """How much a reading (its characters with their confidence and alternatives) speaks for `text`, 0..1.

    The confidence that the reading gives to each character of `text` at its place, over the reading's length; they are
    laid beside each other so that most agree. Characters that the reading lacks count half: a plate in the shade or at
    the picture's edge loses some, and a reader seldom invents any.
    """
    best = [0.0] * (len(characters) + 1)
    for sign in text:
        last, best = best, [0.0]
        for j, read in enumerate(characters, 1):
            best.append(max(last[j], best[j - 1], last[j - 1] + _said(read, sign)))
    length = len(characters) + max(0, len(text) - len(characters)) * LACKING
    return best[-1] / length if length else 0.0


def _said(read: CharacterRead, sign: str) -> float:
    if read.character == sign:
        return read.confidence
    return next((confidence for other, confidence in read.alternatives if other == sign), 0.0)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    w = min(one.x + one.w, other.x + other.w) - max(one.x, other.x)
    h = min(one.y + one.h, other.y + other.h) - max(one.y, other.y)
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / (one.w * one.h + other.w * other.h - w * h)


def steps_apart(one: Box, other: Box) -> float:
    """Distance of the centres, in mean widths of the two boxes (heights, where they are higher than wide)."""
    dx = one.x + one.w / 2 - other.x - other.w / 2
    dy = one.y + one.h / 2 - other.y - other.h / 2
    size = (max(one.w, one.h) + max(other.w, other.h)) / 2
    return float((dx * dx + dy * dy) ** 0.5 / size) if size else 0.0
