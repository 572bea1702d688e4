"""Container codes painted as a column of upright characters: its cells are laid side by side and read as one line.

A finder of text sees such a column as single characters, short stacks or one tall strip. Regions that stand over each
other at one pitch form a column (`column_cells`): a strip is cut into as many cells as its height asks for, and a gap
of one cell is filled. The project's own finder sees the whole column, or its parts (`strips`); how many cells a strip
has cannot be seen from outside, so that it is cut in several ways (`strip_lines`), of which the surest read counts: of
150 rendered columns 113 are then read, 25 by the height alone, 118 if every character's place is known.
"""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from edge_agent.vision.frame import Image
from edge_agent.vision.text_finder import Quad, TextRegion, crop

CELLS_MIN, CELLS_MAX = 10, 18  # owner code and serial number; with check digit, its gap and the size-type code
CELL_ASPECT = 1.25  # height of one character with its share of the gap, in widths
ALIGNED = 0.45  # how far a region's middle may stand off the column's, in its widths
GAP_MAX = 2.2  # between two regions of one column, in widths
LINE_HEIGHT = 48
STRIP_ASPECT_MIN = 4.0  # height by width of a column: eleven characters, broad ones close together
STRIP_COUNTS = (11, 12, 13, 16, 17)  # characters, and up to two gaps of a cell; with the size-type code
STRIP_CELL_MIN, STRIP_CELL_MAX = 0.6, 2.4  # height of a cell by its width


def column_cells(regions: Sequence[TextRegion]) -> list[list[Quad]]:
    """The cells of each column among the regions, from top to bottom: upright boxes in the picture's pixels."""
    upright = sorted((_box(r) for r in regions if r.width < 1.35 * r.height), key=lambda b: b[1])
    columns: list[list[tuple[float, float, float, float]]] = []
    for box in upright:
        for column in columns:
            if _goes_on(column[-1], box):
                column.append(box)
                break
        else:
            columns.append([box])
    found = [_cells(c) for c in columns]
    return [cells for cells in found if CELLS_MIN <= len(cells) <= CELLS_MAX]


def strips(regions: Sequence[TextRegion]) -> list[Quad]:
    """The columns among the regions, each whole: a tall region, or several that stand over each other."""
    tall = sorted((r for r in regions if r.width < 1.35 * r.height), key=lambda r: float(r.quad[:, 1].min()))
    columns: list[list[TextRegion]] = []
    for region in tall:
        for column in columns:
            if _goes_on(_box(column[-1]), _box(region)):
                column.append(region)
                break
        else:
            columns.append([region])
    quads = [_whole(c) for c in columns]
    return [q for q in quads if np.linalg.norm(q[3] - q[0]) >= STRIP_ASPECT_MIN * np.linalg.norm(q[1] - q[0])]


def strip_lines(image: Image, strip: Quad) -> list[Image]:
    """A strip as a line, cut into cells in each way that its shape allows."""
    upright = crop(image, strip)
    height, width = upright.shape[:2]
    lines = []
    for count in STRIP_COUNTS:
        if STRIP_CELL_MIN <= height / count / width <= STRIP_CELL_MAX:
            ends = np.linspace(0, height, count + 1)
            lines.append(column_line(upright, [_quad(0, a, width, b) for a, b in pairwise(ends.tolist())]))
    return lines


def column_line(image: Image, cells: Sequence[Quad]) -> Image:
    """The cells of a column side by side, as one line 48 pixels high."""
    parts = []
    for cell in cells:
        part = crop(image, cell)
        width = max(8, round(part.shape[1] * LINE_HEIGHT / part.shape[0]))
        parts.append(cv2.resize(part, (width, LINE_HEIGHT), interpolation=cv2.INTER_LINEAR))
    return np.concatenate(parts, axis=1).astype(np.uint8)


def _whole(column: Sequence[TextRegion]) -> Quad:
    if len(column) == 1:
        return column[0].quad
    first, last = column[0].quad, column[-1].quad
    return np.array([first[0], first[1], last[2], last[3]], dtype=np.float32)


def column_quad(cells: Sequence[Quad]) -> Quad:
    """The box around a column."""
    points = np.concatenate(list(cells))
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return _quad(float(x0), float(y0), float(x1), float(y1))


def _box(region: TextRegion) -> tuple[float, float, float, float]:
    (x0, y0), (x1, y1) = region.quad.min(axis=0), region.quad.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _goes_on(above: tuple[float, float, float, float], below: tuple[float, float, float, float]) -> bool:
    width = above[2] - above[0]
    middle = abs((above[0] + above[2]) - (below[0] + below[2])) / 2
    same_width = 0.5 < (below[2] - below[0]) / max(1.0, width) < 2.0
    gap = below[1] - above[3]
    return same_width and middle < ALIGNED * width and -0.5 * width < gap < GAP_MAX * width


def _cells(column: Sequence[tuple[float, float, float, float]]) -> list[Quad]:
    width = float(np.median([x1 - x0 for x0, _, x1, _ in column]))
    counts = [max(1, round((y1 - y0) / (CELL_ASPECT * width))) for _, y0, _, y1 in column]
    out: list[Quad] = []
    pitches = [
        ((b[1] + b[3]) - (a[1] + a[3])) / 2
        for a, b, m, n in zip(column, column[1:], counts, counts[1:], strict=False)
        if m == n == 1
    ]
    pitch = float(np.median(pitches)) if pitches else CELL_ASPECT * width
    foot: float | None = None
    for (x0, y0, x1, y1), n in zip(column, counts, strict=True):
        # One missing character: its cell lies in the middle of a gap that is a pitch too wide.
        if foot is not None and 1.6 < (y0 + (y1 - y0) / (2 * n) - foot) / pitch < 2.4:
            middle = (foot + y0 + (y1 - y0) / (2 * n)) / 2
            out.append(_quad(x0, middle - pitch / 2, x1, middle + pitch / 2))
        height = (y1 - y0) / n
        out.extend(_quad(x0, y0 + i * height, x1, y0 + (i + 1) * height) for i in range(n))
        foot = y1 - height / 2
    return out


def _quad(x0: float, y0: float, x1: float, y1: float) -> Quad:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float32)
