"""Finds lines of text in a picture: PP-OCR's detection, as pure steps before and after the model.

Method: Liao et al., Real-time Scene Text Detection with Differentiable Binarization (AAAI 2020). Constants are those
with which PP-OCRv6's small detector is published.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.vision.frame import Image
from edge_agent.vision.model_file import DEFAULT_THREADS, Model, open_model

MODEL = "text_finder_ppocrv6"
Quad = npt.NDArray[np.float32]  # 4 × 2 corners in pixels: top left, top right, bottom right, bottom left
Map = npt.NDArray[np.float32]

STRIDE = 32  # the network halves its input five times
LONG_SIDE = 960
SHORT_SIDE_MIN = 320
PIXEL_MIN = 0.3  # probability from which a pixel belongs to text
SCORE_MIN = 0.5  # mean probability from which a region is kept
EXPANSION = 1.6  # the network is taught shrunken regions
SIDE_MIN = 3.0
NORMALISED = (np.arange(256, dtype=np.float32) - np.float32(127.5)) * np.float32(1 / 127.5)
REGIONS_MAX = 300  # a picture with more is a page of print, not a lane


@dataclass(frozen=True)
class TextRegion:
    """Where a line of text stands: its corners in the picture's pixels and the mean probability inside."""

    quad: Quad
    score: float

    @property
    def width(self) -> float:
        """Length of the reading direction's side, in pixels."""
        return float(np.linalg.norm(self.quad[1] - self.quad[0]))

    @property
    def height(self) -> float:
        return float(np.linalg.norm(self.quad[3] - self.quad[0]))


def finder_size(
    height: int, width: int, long_side: int = LONG_SIDE, enlarge: float = 1.0, short_side: int = SHORT_SIDE_MIN
) -> tuple[int, int]:
    """Height and width, multiples of 32, at which the finder looks at a picture of that size.

    A picture smaller than `long_side` is enlarged by `enlarge` at most, or so far that its short side has `short_side`
    pixels.
    """
    ratio = long_side / max(height, width)
    if ratio > 1:
        ratio = min(ratio, max(enlarge, short_side / min(height, width)))
    rows, columns = (max(STRIDE, round(side * ratio / STRIDE) * STRIDE) for side in (height, width))
    return rows, columns


def finder_input(
    image: Image, long_side: int = LONG_SIDE, enlarge: float = 1.0, short_side: int = SHORT_SIDE_MIN
) -> Map:
    """The picture as 1 × 3 × H × W in -1..1, H and W multiples of 32."""
    height, width = finder_size(image.shape[0], image.shape[1], long_side, enlarge, short_side)
    shrinks = height * width < image.shape[0] * image.shape[1]
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return normalised(resized)  # type: ignore[arg-type]


def normalised(image: Image) -> Map:
    """H × W × 3 as 1 × 3 × H × W in -1..1: what cv2.dnn.blobFromImage makes, sooner (ADR 0051)."""
    batch = np.empty((1, 3, *image.shape[:2]), dtype=np.float32)
    for channel, plane in zip(cv2.split(image), batch[0], strict=True):
        cv2.LUT(channel, NORMALISED, dst=plane)
    return batch


def ordered(points: Quad) -> Quad:
    """The corners from the top left, clockwise as seen."""
    by_x = points[np.argsort(points[:, 0], kind="stable")]
    left, right = by_x[:2], by_x[2:]
    top_left, bottom_left = left[np.argsort(left[:, 1])]
    top_right, bottom_right = right[np.argsort(right[:, 1])]
    return np.array([top_left, top_right, bottom_right, bottom_left], dtype=np.float32)


def expanded(
    rect: tuple[tuple[float, float], tuple[float, float], float], ratio: float
) -> tuple[tuple[float, float], tuple[float, float], float]:
    """The rotated rectangle grown on each side by area × ratio / perimeter."""
    centre, (w, h), angle = rect
    grow = w * h * ratio / (2 * (w + h)) if w + h > 0 else 0.0
    return centre, (w + 2 * grow, h + 2 * grow), angle


def text_regions(probability: Map, height: int, width: int) -> list[TextRegion]:
    """The regions of text in an H × W map of probabilities, in pixels of a picture of `height` × `width`."""
    mask = (probability > PIXEL_MIN).astype(np.uint8)
    mask = cv2.dilate(mask, np.ones((2, 2), np.uint8))  # type: ignore[assignment]
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    scale = np.array([width / probability.shape[1], height / probability.shape[0]], dtype=np.float32)
    limit = np.array([width - 1, height - 1], dtype=np.float32)
    found = []
    for contour in contours:
        rect = cv2.minAreaRect(contour)
        if min(rect[1]) < SIDE_MIN:
            continue
        score = region_score(probability, cv2.boxPoints(rect))
        if score < SCORE_MIN:
            continue
        corners = cv2.boxPoints(expanded(rect, EXPANSION)) * scale  # type: ignore[arg-type]
        quad = ordered(np.clip(corners, 0, limit).astype(np.float32))
        region = TextRegion(quad, score)
        if region.width > SIDE_MIN and region.height > SIDE_MIN:
            found.append(region)
    return sorted(found, key=lambda r: -r.score)[:REGIONS_MAX]


def region_score(probability: Map, corners: npt.ArrayLike) -> float:
    """The mean probability inside a quadrilateral given in the map's pixels."""
    points = np.asarray(corners, dtype=np.float32)
    low = np.maximum(np.floor(points.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(points.max(axis=0)).astype(int), np.array(probability.shape[::-1]) - 1)
    if (high < low).any():
        return 0.0
    window = probability[low[1] : high[1] + 1, low[0] : high[0] + 1]
    inside = np.zeros(window.shape, dtype=np.uint8)
    cv2.fillPoly(inside, [(points - low).astype(np.int32)], 1)
    return float(cv2.mean(window, inside)[0])


class TextFinder:
    """The detection model with its steps."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @classmethod
    def open(cls, threads: int = DEFAULT_THREADS) -> "TextFinder":
        """Raises ModelRefused if the model's file is not the stated one."""
        return cls(open_model(MODEL, threads))

    def find(self, image: Image, long_side: int = LONG_SIDE, enlarge: float = 1.0) -> list[TextRegion]:
        """The picture's lines of text, surest first; it is looked at as `finder_size` says."""
        probability = self._model.run(finder_input(image, long_side, enlarge))[0, 0]
        return text_regions(probability, image.shape[0], image.shape[1])


def crop(image: Image, quad: Quad) -> Image:
    """The quadrilateral of the picture, straightened; tall ones stay tall."""
    width = max(1, math.ceil(max(np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[2] - quad[3]))))
    height = max(1, math.ceil(max(np.linalg.norm(quad[3] - quad[0]), np.linalg.norm(quad[2] - quad[1]))))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    matrix = cv2.getPerspectiveTransform(quad.astype(np.float32), target)
    return cv2.warpPerspective(  # type: ignore[return-value]
        image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
