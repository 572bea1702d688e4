"""Lines of text with their place in the picture, and how two of them stand to each other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_agent.domain.observation import Box, CharacterRead
from edge_agent.vision.ctc import LETTERS_AND_DIGITS, LineRead
from edge_agent.vision.text_finder import Quad

SEPARATORS = frozenset(" -–—·.•:'’‘*,|/_~°\"“”=+")


@dataclass(frozen=True, eq=False)
class TextLine:
    """One line, equal to itself only: what it reads, and its corners in pixels (as text_finder.Quad orders them)."""

    quad: Quad
    read: LineRead

    @property
    def origin(self) -> Quad:
        """Top left."""
        return np.asarray(self.quad[0], dtype=np.float32)

    @property
    def centre(self) -> Quad:
        return self.quad.mean(axis=0)  # type: ignore[no-any-return]

    @property
    def width(self) -> float:
        return float(np.linalg.norm(self.quad[1] - self.quad[0]))

    @property
    def height(self) -> float:
        return float(np.linalg.norm(self.quad[3] - self.quad[0]))

    @property
    def along(self) -> Quad:
        """The reading direction, of length one."""
        return (self.quad[1] - self.quad[0]) / max(1e-6, self.width)  # type: ignore[no-any-return]

    @property
    def across(self) -> Quad:
        """From the top of the line to its foot, of length one."""
        return (self.quad[3] - self.quad[0]) / max(1e-6, self.height)  # type: ignore[no-any-return]

    @property
    def characters(self) -> tuple[CharacterRead, ...]:
        """Letters and digits only."""
        return tuple(c for c in self.read.characters if c.character in LETTERS_AND_DIGITS)

    @property
    def text(self) -> str:
        return "".join(c.character for c in self.characters)

    @property
    def foreign(self) -> int:
        """How many characters are neither letters, digits nor separators."""
        return sum(
            c.character not in LETTERS_AND_DIGITS and c.character not in SEPARATORS for c in self.read.characters
        )


@dataclass(frozen=True)
class Relation:
    """Where a second line stands, in heights of the first: gaps are negative where they overlap."""

    gap_along: float
    gap_across: float
    shift_along: float  # between the left ends
    shift_across: float  # between the centres, positive when the second is lower
    height_ratio: float
    overlap_along: float  # share of the shorter line that lies over or under the other


def relation(first: TextLine, second: TextLine) -> Relation:
    """Measures `second` in the frame of `first`."""
    height = max(1.0, first.height)
    along = (second.quad - first.origin) @ first.along
    across = (second.quad - first.origin) @ first.across
    low, high = float(along.min()), float(along.max())
    top, foot = float(across.min()), float(across.max())
    common = min(high, first.width) - max(low, 0.0)
    shorter = max(1.0, min(high - low, first.width))
    return Relation(
        gap_along=max(low - first.width, -high) / height,
        gap_across=max(top - first.height, -foot) / height,
        shift_along=low / height,
        shift_across=float((second.centre - first.centre) @ first.across) / height,
        height_ratio=second.height / height,
        overlap_along=max(0.0, common) / shorter,
    )


def bounding_box(quads: Iterable[Quad], height: int, width: int) -> Box:
    """The upright box around quadrilaterals, inside a picture of that size."""
    points = np.concatenate(list(quads))
    x0, y0 = np.floor(points.min(axis=0)).astype(int)
    x1, y1 = np.ceil(points.max(axis=0)).astype(int)
    x0, y0 = max(0, int(x0)), max(0, int(y0))
    return Box(x0, y0, max(1, min(width, int(x1)) - x0), max(1, min(height, int(y1)) - y0))


def mean_confidence(characters: Sequence[CharacterRead]) -> float:
    """The geometric mean: one doubtful character makes the text doubtful."""
    if not characters:
        return 0.0
    logs = [np.log(max(c.confidence, 1e-3)) for c in characters]
    return round(float(np.exp(np.mean(logs))), 4)
