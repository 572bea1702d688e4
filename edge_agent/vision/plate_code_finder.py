"""Finds licence plates and lines of container codes: the project's own detector, as pure steps around the model.

The model gives two maps: of whole plates, and of the lines of which container codes consist. It was taught areas whose
sides lie further inside, so that neighbours stay apart; what it finds is grown back.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.vision.frame import Image
from edge_agent.vision.model_file import DEFAULT_THREADS, Model, open_model
from edge_agent.vision.text_finder import Map, Quad, TextRegion, finder_input, finder_size, ordered, region_score

MODEL = "text_finder"
PLATES, CODE_LINES = 0, 1  # the model's channels
PIXEL_MIN = 0.3  # probability from which a pixel may belong to an area
HALF = 0.4  # of an area's highest probability: from there on a pixel does belong to it
SCORE_MIN = 0.5  # mean probability from which an area is kept
INSET = 0.2  # of the shorter side: how far inside each side of the taught areas lies (models/text_finder/train)
AREA_SIDE_MIN = 2.0  # pixels at the size looked at; smaller areas are specks
AREAS_MAX = 64  # in a picture; a lane shows a handful
# Pixels at the size looked at: what is larger is searched for small plates in windows, for the memory's sake. They
# overlap by what such a plate is wide at most.
WINDOW, OVERLAP = 1024, 192
WINDOW_EDGE = 2.0  # the same: what comes so near to an edge between windows may be a part
# From this height of an area, in pixels at the size looked at, its four corners say more than a rectangle: lower ones
# are too coarse for a perspective.
CORNERS_HEIGHT_MIN = 10.0
CORNERS_BETTER = 0.03  # by how much four corners must cover an area better than a rectangle


Contour = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Finding:
    """What one picture shows, each surest first: whole plates, and lines of container codes."""

    plates: list[TextRegion]
    code_lines: list[TextRegion]


class PlateCodeFinder:
    """The detection model with its steps."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @classmethod
    def open(cls, threads: int = DEFAULT_THREADS, folder: Path | None = None) -> "PlateCodeFinder":
        """Raises ModelRefused if the model's file is not the stated one. `folder`: of another set of models."""
        return cls(open_model(MODEL, threads, folder))

    def find(self, image: Image, long_side: int, enlarge: float = 1.0, batch: Map | None = None) -> Finding:
        """Plates and code lines of a picture, looked at as text_finder.finder_size says for any short side.

        `batch`: what finder_input makes of the picture, if it was made already.
        """
        batch = finder_input(image, long_side, enlarge, short_side=0) if batch is None else batch
        maps = self._model.run(batch)[0]
        rows, columns = batch.shape[2:]
        plates, lines = (areas(maps[c], (rows, columns), image.shape[0], image.shape[1]) for c in (0, 1))
        return Finding(plates, lines)

    def find_small(self, image: Image, long_side: int, enlarge: float = 1.0) -> Finding:
        """As `find`, in windows: what is wider or higher than OVERLAP at that size may be missing."""
        size = finder_size(image.shape[0], image.shape[1], long_side, enlarge, 0)
        scales = np.array([size[1] / image.shape[1], size[0] / image.shape[0]])
        plates, lines = list[TextRegion](), list[TextRegion]()
        for down in windows(size[0]):
            for along in windows(size[1]):
                first, last = np.round(np.array([[along[0], down[0]], [along[1], down[1]]]) / scales).astype(int)
                part = np.ascontiguousarray(image[first[1] : last[1], first[0] : last[0]])
                found = self.find(part, max(along[1] - along[0], down[1] - down[0]), float(scales.max()))
                inner = np.array([[along[0] > 0, down[0] > 0], [along[1] < size[1], down[1] < size[0]]])
                edges = np.array([[along[0], down[0]], [along[1], down[1]]])
                for kept, regions in ((plates, found.plates), (lines, found.code_lines)):
                    moved = (TextRegion(r.quad + first.astype(np.float32), r.score) for r in regions)
                    kept += [r for r in moved if not _cut(r.quad * scales, edges, inner)]
        return Finding(*(_each_once(found)[:AREAS_MAX] for found in (plates, lines)))


def windows(length: int) -> list[tuple[int, int]]:
    """Where windows over a side of that length begin and end: few, even, overlapping by OVERLAP at least."""
    count = max(1, math.ceil((length - OVERLAP) / (WINDOW - OVERLAP)))
    each = math.ceil((length + (count - 1) * OVERLAP) / count)
    begins = (round(i * (length - each) / max(1, count - 1)) for i in range(count))
    return [(begin, begin + each) for begin in begins]


def _cut(quad: Quad, edges: npt.NDArray[np.int_], inner: npt.NDArray[np.bool_]) -> bool:
    """Whether something comes near one of a window's edges (left and top, right and bottom) that is `inner`."""
    near = np.stack([quad.min(axis=0) < edges[0] + WINDOW_EDGE, quad.max(axis=0) > edges[1] - WINDOW_EDGE])
    return bool((near & inner).any())


def _each_once(regions: Sequence[TextRegion]) -> list[TextRegion]:
    """The surest first; without those that another window saw in the same place, better."""
    kept: list[TextRegion] = []
    for region in sorted(regions, key=lambda r: -r.score):
        middle = region.quad.mean(axis=0)
        if all(np.linalg.norm(middle - other.quad.mean(axis=0)) > other.height / 2 for other in kept):
            kept.append(region)
    return kept


def areas(probability: Map, size: tuple[int, int], height: int, width: int) -> list[TextRegion]:
    """The areas of one map, grown back to what was shrunk, in pixels of a picture of `height` × `width`.

    `size` is the height and width at which the model looked; a coarser map is brought to it, so that outlines run
    between its pixels.
    """
    if probability.shape != size:
        probability = cv2.resize(probability, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    scale = np.array([width / size[1], height / size[0]], dtype=np.float32)
    found = []
    for contour in contours(probability):
        corners = outline(contour)
        if corners is None:
            continue
        score = region_score(probability, corners)
        if score >= SCORE_MIN:
            # Pixel i covers i to i + 1: its middle is what the contour gives.
            quad = ordered((grown(corners) + 0.5) * scale)
            found.append(TextRegion(quad, score))
    return sorted(found, key=lambda r: -r.score)[:AREAS_MAX]


def contours(probability: Map) -> Iterator[Contour]:
    """The outlines of a map's areas, each where the probability falls to half of the area's highest.

    An area of which the model is unsure is not larger than one of which it is sure, and neighbours that touch part.
    """
    mask = (probability > PIXEL_MIN).astype(np.uint8)
    for rough in _outer(mask):
        x, y, w, h = cv2.boundingRect(rough)
        window = probability[y : y + h, x : x + w]
        half = float(window.max()) * HALF
        if half <= PIXEL_MIN:
            yield rough
            continue
        inside = np.zeros((h, w), np.uint8)
        cv2.drawContours(inside, [rough - (x, y)], -1, 1, -1)
        inside &= window > half
        for fine in _outer(inside):
            yield fine + np.array([x, y], np.int32)


def _outer(mask: npt.NDArray[np.uint8]) -> Sequence[Contour]:
    return cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]  # type: ignore[return-value]


def outline(contour: Contour) -> Quad | None:
    """Four corners around an area: of the smallest rectangle, or its own where they fit it clearly better."""
    (x, y), (w, h), angle = cv2.minAreaRect(contour)
    w, h = w + 1, h + 1  # from the middles of the border's pixels to their outer sides
    if min(w, h) < AREA_SIDE_MIN:
        return None
    rectangle = cv2.boxPoints(((x, y), (w, h), angle)).astype(np.float32)
    if min(w, h) < CORNERS_HEIGHT_MIN:
        return rectangle
    hull = cv2.convexHull(contour)
    corners = cv2.approxPolyDP(hull, 0.25 * min(w, h), True)
    if len(corners) != 4:
        return rectangle
    quad = ordered(corners.reshape(4, 2).astype(np.float32))
    own = cv2.contourArea(hull)
    fits = cv2.intersectConvexConvex(quad, hull.astype(np.float32))[0]
    union = cv2.contourArea(quad) + own - fits
    if fits / max(union, 1.0) > own / max(w * h, 1.0) + CORNERS_BETTER:
        return quad
    return rectangle


def grown(corners: Quad) -> Quad:
    """The quadrilateral of which the given one is what INSET has left."""
    points = ordered(corners)
    w = float(np.linalg.norm(points[1] - points[0]) + np.linalg.norm(points[2] - points[3])) / 2
    h = float(np.linalg.norm(points[3] - points[0]) + np.linalg.norm(points[2] - points[1])) / 2
    return moved_out(points, min(w, h) * INSET / (1 - 2 * INSET))


def moved_out(corners: Quad, distance: float | tuple[float, float]) -> Quad:
    """Each side moved out by `distance` pixels, or the ends and the long sides by two different ones."""
    across, along = distance if isinstance(distance, tuple) else (distance, distance)
    sides = []
    for i in range(4):
        start, end = corners[i], corners[(i + 1) % 4]
        direction = (end - start) / max(1e-6, float(np.linalg.norm(end - start)))
        outwards = np.array([direction[1], -direction[0]], dtype=np.float32)  # clockwise as seen: out is to the left
        sides.append((start + outwards * (across if i % 2 else along), direction))
    return np.array([_crossing(sides[i - 1], sides[i]) for i in range(4)], dtype=np.float32)


def _crossing(first: Sequence[Quad], second: Sequence[Quad]) -> Quad:
    """Where two lines, each a point and a direction, meet; the second's point where they are nearly parallel."""
    (p, u), (q, v) = first, second
    cross = float(u[0] * v[1] - u[1] * v[0])
    if abs(cross) < 1e-3:
        return q
    t = float((q[0] - p[0]) * v[1] - (q[1] - p[1]) * v[0]) / cross
    return (p + u * t).astype(np.float32)
