"""Views for the finder to learn from: a part of a picture, distorted, with the maps that the network is to give.

What stands in a map: each plate, and each line of a container's code, with every side moved in by INSET of the shorter
side's length. Places that are unsure, cut off or too small to tell count neither way.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.rendering.drawn import Picture, Quad, chance
from models.text_finder.train.network import CODE, PLATE, STRIDE_OUT

Floats = NDArray[np.float32]
Rng = np.random.Generator
INSET = 0.2  # undone by edge_agent.vision.plate_code_finder; little, since a far plate is to stay two places high
SHORT_SIDE_MIN = (5.0, 7.0)  # pixels in the view: smaller plates and lines of code count neither way
INSIDE_MIN = 0.75  # a plate cut off by more counts neither way
CODE_INSIDE_MIN = 0.97
WIDTHS = (26.0, 500.0)  # pixels to which a chosen plate is brought
HEIGHTS = (9.0, 90.0)  # the same for the height of a line of code
LENGTH_MAX = 0.92  # of the view's side, for a chosen plate's width or code line's length
SCALES = (0.3, 2.0)
AREA_PLAIN = 400.0  # places of a box in which each counts once


@dataclass(frozen=True, eq=False)
class Labelled:
    """A picture, its boxes (channel and corners), and the places that count neither way."""

    image: Picture
    boxes: Sequence[tuple[int, Quad]]
    unsure: Sequence[Quad] = ()


@dataclass(frozen=True, eq=False)
class View:
    """H × W × 3 of 0..255; per channel at half the size, 1 where it is to say yes, and what each place counts."""

    image: Picture
    target: NDArray[np.uint8]
    counts: Floats


Source = Callable[[Rng], Labelled]


def sides(quad: Quad) -> tuple[float, float]:
    """Mean length along the first corner's edge to the second, and across it."""
    along = (np.linalg.norm(quad[1] - quad[0]) + np.linalg.norm(quad[2] - quad[3])) / 2
    across = (np.linalg.norm(quad[3] - quad[0]) + np.linalg.norm(quad[2] - quad[1])) / 2
    return max(float(along), 1e-3), max(float(across), 1e-3)


def inset(quad: Quad, share: float = INSET) -> Quad:
    """The quadrilateral with each side moved in by `share` of its shorter side's length; out if it is below 0."""
    along, across = sides(quad)
    by = share * min(along, across)
    s, t = by / along, by / across
    found = []
    for u, v in ((s, t), (1 - s, t), (1 - s, 1 - t), (s, 1 - t)):
        top = quad[0] * (1 - u) + quad[1] * u
        bottom = quad[3] * (1 - u) + quad[2] * u
        found.append(top * (1 - v) + bottom * v)
    return np.array(found, np.float32)


def share_inside(quad: Quad, height: int, width: int) -> float:
    """How much of the quadrilateral's area lies in a view of that size."""
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    whole = abs(float(cv2.contourArea(quad)))
    area, _ = cv2.intersectConvexConvex(quad, frame)
    return float(area) / max(whole, 1e-6)


def _fill(plane: NDArray[np.uint8] | Floats, quad: Quad, value: float) -> None:
    shifted = (quad / STRIDE_OUT - 0.5) * 16  # pixel centres; four bits of fraction
    cv2.fillConvexPoly(plane, shifted.round().astype(np.int32), value, cv2.LINE_8, 4)


def maps(
    boxes: Sequence[tuple[int, Quad]], unsure: Sequence[Quad], height: int, width: int
) -> tuple[NDArray[np.uint8], Floats]:
    """Target and how much each place counts, 2 × height/2 × width/2, for corners in the view's pixels.

    A place in a small box counts more than one in a large box: both boxes are to matter.
    """
    size = (2, height // STRIDE_OUT, width // STRIDE_OUT)
    target = np.zeros(size, np.uint8)
    counts = np.ones(size, np.float32)
    for quad in unsure:
        for plane in counts:
            _fill(plane, quad, 0)
    for channel, quad in boxes:
        share = share_inside(quad, height, width)
        if share < 0.02:
            continue
        enough = INSIDE_MIN if channel == PLATE else CODE_INSIDE_MIN
        if share < enough or min(sides(quad)) < SHORT_SIDE_MIN[channel]:
            _fill(counts[channel], inset(quad, -0.1), 0)
            continue
        core = inset(np.clip(quad, 0, [width, height]).astype(np.float32))
        _fill(target[channel], core, 1)
        area = max(1.0, abs(float(cv2.contourArea(core))) / STRIDE_OUT**2)
        _fill(counts[channel], core, float(np.clip(np.sqrt(AREA_PLAIN / area), 0.5, 3.0)))
    return target, counts


def placing(rng: Rng, picture: Labelled, side: int) -> Floats:
    """The 3 × 3 matrix from the picture to a view in which one of its boxes has a size drawn from all sizes."""
    height, width = picture.image.shape[:2]
    least = 0.85 * side / max(height, width)
    scale = float(np.exp(rng.uniform(np.log(max(least, SCALES[0])), np.log(1.5))))
    middle = np.array([rng.uniform(0, width), rng.uniform(0, height)])
    if picture.boxes and chance(rng, 0.85):
        channel, quad = picture.boxes[int(rng.integers(len(picture.boxes)))]
        along, across = sides(quad)
        if channel == CODE:
            low, high, size = *HEIGHTS, min(along, across)
        else:
            low, high, size = *WIDTHS, along
        high = max(low, min(high, LENGTH_MAX * side * size / max(along, across)))
        scale = float(np.clip(np.exp(rng.uniform(np.log(low), np.log(high))) / size, max(least, SCALES[0]), SCALES[1]))
        reach = np.maximum(side / scale - (quad.max(0) - quad.min(0)), 0.2 * side / scale)
        middle = quad.mean(0) + rng.uniform(-0.5, 0.5, 2) * reach
    if chance(rng, 0.85):  # mostly inside the picture
        room = np.array([width, height]) - side / scale
        middle = np.clip(middle, np.where(room > 0, side / scale / 2, np.array([width, height]) / 2),
                         np.where(room > 0, room + side / scale / 2, np.array([width, height]) / 2))  # fmt: skip
    angle, shear = rng.normal(0, 0.05), rng.normal(0, 0.04)
    stretch = float(np.exp(rng.normal(0, 0.06)))
    turn = np.array([[np.cos(angle), -np.sin(angle) + shear], [np.sin(angle), np.cos(angle)]])
    linear = scale * turn @ np.diag([stretch, 1 / stretch])
    matrix = np.eye(3, dtype=np.float32)
    matrix[:2, :2] = linear
    matrix[:2, 2] = side / 2 - linear @ middle
    return matrix


def cut(image: Picture, matrix: Floats, side: int) -> Picture:
    """The view that the matrix describes; a picture that is made smaller is averaged first."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    matrix = matrix[:2].copy()
    if scale < 0.75:
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        matrix[:, 0] /= small.shape[1] / image.shape[1]
        matrix[:, 1] /= small.shape[0] / image.shape[0]
        image = np.asarray(small, np.uint8)
    return np.asarray(
        cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_CONSTANT, borderValue=(114,) * 3), np.uint8
    )


def weathered(rng: Rng, image: Picture) -> Picture:
    """Another light and another camera: contrast, cast, grey, blur, noise, JPEG."""
    out = image.astype(np.float32)
    if chance(rng, 0.7):
        lit = 255 * (np.clip(out, 0, 255) / 255) ** np.float32(np.exp(rng.normal(0, 0.3)))
        out = lit.astype(np.float32)
        out = (out - 128) * np.float32(rng.uniform(0.6, 1.25)) + np.float32(128 + rng.normal(0, 18))
    if chance(rng, 0.5):
        out *= np.exp(rng.normal(0, 0.12, 3)).astype(np.float32)
    if chance(rng, 0.25):
        out = np.repeat(out @ np.array([[0.11], [0.59], [0.3]], np.float32), 3, 2)
    if chance(rng, 0.3):
        size = int(rng.integers(1, 4)) * 2 + 1
        if chance(rng, 0.5):
            out = cv2.GaussianBlur(out, (size, size), 0).astype(np.float32)
        else:
            kernel = np.zeros((size, size), np.float32)
            reach = np.array([np.cos(t := rng.uniform(0, np.pi)), np.sin(t)]) * (size // 2)
            ends = [tuple(int(v) for v in (size // 2 + sign * reach).round()) for sign in (-1, 1)]
            cv2.line(kernel, ends[0], ends[1], 1.0)
            out = cv2.filter2D(out, -1, kernel / kernel.sum()).astype(np.float32)
    if chance(rng, 0.3):
        out += rng.standard_normal(out.shape, np.float32) * np.float32(rng.uniform(1, 12))
    picture = np.clip(out, 0, 255).astype(np.uint8)
    if chance(rng, 0.4):
        _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        picture = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return picture


def view(rng: Rng, picture: Labelled, side: int) -> View:
    """One distorted part of the picture with its maps."""
    matrix = placing(rng, picture, side)

    def seen(quad: Quad) -> Quad:
        return (quad @ matrix[:2, :2].T + matrix[:2, 2]).astype(np.float32)

    target, counts = maps([(c, seen(q)) for c, q in picture.boxes], [seen(q) for q in picture.unsure], side, side)
    return View(weathered(rng, cut(picture.image, matrix, side)), target, counts)


def batches(
    seed: int,
    first: int,
    sources: Sequence[tuple[Source, float]],
    size: int,
    sides: Sequence[int],
    part: Callable[[Rng, Labelled, int], View] = view,
) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Endless batches from number `first` on: N × 3 × side × side, -1..1; target, counts: N × 2 × side/2 × side/2.

    Each batch has one of the sides, all alike often; one of a larger side than the first has as many fewer views as it
    takes for about as many pixels.
    """
    weights = np.array([weight for _, weight in sources])
    number = first
    while True:
        rng = np.random.default_rng([seed, number])
        side = int(rng.choice(sides))
        count = max(1, round(size * (sides[0] / side) ** 2))
        chosen = rng.choice(len(sources), count, p=weights / weights.sum())
        views = [part(rng, sources[k][0](rng), side) for k in chosen]
        x = np.stack([v.image for v in views]).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        yield x, np.stack([v.target for v in views]).astype(np.float32), np.stack([v.counts for v in views])
        number += 1
