"""Plates as a detector hands them to the reader."""

import cv2
import numpy as np

from models.rendering.drawn import Drawn, Picture, chance
from models.rendering.wear import bend, cloud, place, tilted, wear


def reader_crop(
    rng: np.random.Generator, drawn: Drawn, background: Picture | None = None, strength: float = 1.0
) -> tuple[Picture, str]:
    """The whole plate, cut out by an inexact detector: from 4 % too tight to 15 % too wide on each side.

    About 50 to 350 pixels wide; turned, in perspective, worn. `background` is a photo of any size, of which a
    part shows around the plate; without one it is bodywork. `strength` bounds the wear.
    Returns the picture and the text to read.
    """
    image, quads = drawn.image, [line.quad for line in drawn.lines]
    if chance(rng, 0.2):
        image, quads = bend(rng, image, quads, 0.03 * image.shape[0])
    if chance(rng, 0.04):
        image = hidden(rng, image)
    wide = float(np.exp(rng.uniform(np.log(56), np.log(320))))
    corners = tilted(rng, wide, wide * image.shape[0] / image.shape[1], float(rng.uniform(0.2, 1.2)))
    low, high = corners.min(0), corners.max(0)
    size = high - low
    before, after = (rng.uniform(-0.04, 0.15, 2) * size for _ in range(2))
    width, height = (max(8, round(v)) for v in (size + before + after))
    ground = behind(rng, width, height, background)
    place(image, (corners - low + before).astype(np.float32), ground)
    return wear(rng, ground, float(rng.uniform(0.2, 1.0)) * strength), drawn.text


def hidden(rng: np.random.Generator, image: Picture) -> Picture:
    """A tow ball, a strap or a tail-lift's edge before the plate: it covers the foot or the head of some characters."""
    high, wide = image.shape[:2]
    covered = image.copy()
    shade = tuple(int(v) for v in np.clip(rng.integers(10, 200) + rng.normal(0, 12, 3), 0, 255))
    flat = wide > 2.5 * high  # its characters reach nearer to the edge
    depth = round((rng.uniform(0.08, 0.24) if flat else rng.uniform(0.15, 0.36)) * high)
    if chance(rng, 0.6):
        x, half = rng.uniform(0.2, 0.8) * wide, rng.uniform(0.05, 0.16) * high
        cv2.rectangle(covered, (round(x - half / 2), high - depth), (round(x + half / 2), high), shade, -1)
        cv2.circle(covered, (round(x), high - depth + round(half / 2)), round(half), shade, -1, cv2.LINE_AA)
    else:
        slope, low = round(rng.normal(0, 0.05) * high), chance(rng, 0.6)
        edge, end = (high - depth, high + 5) if low else (depth, -5)
        points = np.array([[0, edge + slope], [wide, edge - slope], [wide, end], [0, end]], np.int32)
        cv2.fillPoly(covered, [points], shade, cv2.LINE_AA)
    return covered


def behind(rng: np.random.Generator, width: int, height: int, photo: Picture | None) -> Picture:
    """What shows around a plate: a part of the photo, or bodywork with a shadow and an edge or two."""
    if photo is not None:
        scale = rng.uniform(0.5, 2.5)
        part_w = min(photo.shape[1], max(2, round(width * scale)))
        part_h = min(photo.shape[0], max(2, round(height * scale)))
        x, y = int(rng.integers(photo.shape[1] - part_w + 1)), int(rng.integers(photo.shape[0] - part_h + 1))
        part = photo[y : y + part_h, x : x + part_w]
        return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    paint = np.clip(rng.integers(5, 235) + rng.normal(0, 20, 3), 0, 255)
    shade = cloud(rng, height, width, 3)[..., None] * np.float32(rng.uniform(0, 90)) - 30
    ground = np.clip(paint.astype(np.float32) + shade, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 4))):
        level = rng.uniform(0, height)
        slope = rng.normal(0, 0.1) * height
        tint = int(rng.integers(0, 255))
        cv2.line(ground, (0, round(level)), (width, round(level + slope)), (tint,) * 3, int(rng.integers(1, 5)))
    return ground
