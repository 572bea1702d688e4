"""A row of characters set into a box, and the paint and relief that it gets."""

from dataclasses import dataclass

import cv2
import numpy as np

from models.rendering.drawn import Colour, Mask, Picture, blend, chance
from models.rendering.letters import Face, glyph, pick_word_font, word
from models.rendering.series import Item
from models.rendering.strokes import CAP

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Spacing:
    """How a row is set; lengths in heights of a capital."""

    stretch: float = 1.0
    tracking: float = 0.09
    gap: float = 0.3
    pitch: float = 0.0
    """Every character in a cell so wide; 0 sets proportionally."""
    jitter: float = 0.0
    """Standard deviation of each character's place."""


@dataclass(frozen=True)
class Row:
    """Where a row came to stand: the box of its characters, and of each sign between them. Pixels."""

    ink: Box
    signs: tuple[tuple[Item, Box], ...]


def set_row(
    rng: np.random.Generator,
    canvas: Mask,
    items: list[Item],
    face: Face,
    box: Box,
    spacing: Spacing,
    align: float = 0.5,
) -> Row:
    """Paint `items` into `canvas` as high as `box`, narrower if they would leave it; `align` 0 is flush left."""
    left, top, right, bottom = box
    high = bottom - top
    signs = {
        "gap": spacing.gap,
        "dash": spacing.gap * 0.9,
        "dot": spacing.gap * 0.7,
        "decal": float(rng.uniform(0.5, 0.8)),
        "seal": 0.42,
        "stack": float(rng.uniform(0.28, 0.5)),
    }
    widths = []
    for kind, value in items:
        if kind == "character":
            own = glyph(face, value).shape[1] / CAP * spacing.stretch
            widths.append(max(own, spacing.pitch) * high if spacing.pitch else own * high)
        else:
            widths.append(signs[kind] * high)
    track = spacing.tracking * high
    total = sum(widths) + track * (len(items) - 1)
    squeeze = min(1.0, (right - left) / max(1.0, total))
    x = left + (right - left - total * squeeze) * align
    found: list[tuple[Item, Box]] = []
    ink = [np.inf, np.inf, -np.inf, -np.inf]
    for item, wide in zip(items, widths, strict=True):
        kind, value = item
        wide *= squeeze
        if kind == "character":
            mask = glyph(face, value)
            drawn_wide = mask.shape[1] / CAP * spacing.stretch * high * squeeze
            shift = rng.normal(0, spacing.jitter * high, 2) if spacing.jitter else np.zeros(2)
            x0, y0 = x + (wide - drawn_wide) / 2 + shift[0], top + shift[1]
            _paste(canvas, mask, x0, y0, drawn_wide, high)
            ink = [min(ink[0], x0), min(ink[1], y0), max(ink[2], x0 + drawn_wide), max(ink[3], y0 + high)]
        else:
            found.append((item, (x, top, x + wide, bottom)))
            if kind == "stack":
                step = high / len(value)
                for i, sign in enumerate(value):
                    mask = glyph(face, sign)
                    share = min(wide, mask.shape[1] / CAP * step * 1.15)
                    _paste(canvas, mask, x + (wide - share) / 2, top + (i + 0.05) * step, share, step * 0.86)
            if kind == "dash":
                y, half = (top + bottom) / 2, max(1.0, high * 0.055)
                inset = wide * 0.12
                cv2.rectangle(
                    canvas, (round(x + inset), round(y - half)), (round(x + wide - inset), round(y + half)), 255, -1
                )
            elif kind == "dot":
                cv2.circle(
                    canvas, (round(x + wide / 2), round((top + bottom) / 2)), max(1, round(high * 0.075)), 255, -1
                )
        x += wide + track * squeeze
    return Row((ink[0], ink[1], ink[2], ink[3]), tuple(found))


def _paste(canvas: Mask, mask: Mask, x: float, y: float, wide: float, high: float) -> None:
    """The mask, scaled, into the canvas at whole pixels; the stronger of both stays."""
    x0, y0 = round(x), round(y)
    w, h = max(1, round(wide)), max(1, round(high))
    scaled = cv2.resize(mask, (w, h), interpolation=cv2.INTER_AREA).astype(np.uint8)
    left, top = max(0, x0), max(0, y0)
    right, bottom = min(canvas.shape[1], x0 + w), min(canvas.shape[0], y0 + h)
    if right > left and bottom > top:
        part = canvas[top:bottom, left:right]
        np.maximum(part, scaled[top - y0 : bottom - y0, left - x0 : right - x0], out=part)


def put_word(
    rng: np.random.Generator,
    image: Picture,
    text: str,
    style: str,
    ink: Colour,
    box: Box,
    align: float = 0.5,
    fill: bool = False,
) -> None:
    """A name or slogan inside a box, as large as it allows; `fill` stretches it to the box's width."""
    left, top, right, bottom = box
    high, room = bottom - top, right - left
    if high < 3 or room < 3 or not text:
        return
    mask = word(pick_word_font(rng, style), text, 40)
    scale = high / mask.shape[0]
    wide = mask.shape[1] * scale
    if wide > room:
        wide = room
        high = max(high * 0.7, mask.shape[0] * room / mask.shape[1])
    elif fill:
        wide = min(room, wide * 1.6)
    w, h = max(1, round(wide)), max(1, round(high))
    x0, y0 = round(left + (room - w) * align), round((top + bottom - h) / 2)
    x0, y0 = max(0, x0), max(0, y0)
    w, h = min(w, image.shape[1] - x0), min(h, image.shape[0] - y0)
    if w > 0 and h > 0:
        scaled = cv2.resize(mask, (w, h), interpolation=cv2.INTER_AREA).astype(np.uint8)
        blend(image[y0 : y0 + h, x0 : x0 + w], scaled, ink)


def paint(rng: np.random.Generator, image: Picture, mask: Mask, ink: Colour, relief: float) -> None:
    """Paint the serial: strokes a little heavier or lighter, worn ink, and the embossing's light and dark edges."""
    x, y, wide, high = cv2.boundingRect(mask)
    x0, y0, x1, y1 = max(0, x - 6), max(0, y - 6), x + wide + 6, y + high + 6
    image, mask = image[y0:y1, x0:x1], mask[y0:y1, x0:x1]
    if chance(rng, 0.08):  # dies that lean
        lean = float(rng.uniform(-0.12, 0.12))
        matrix = np.array([[1, lean, -lean * mask.shape[0] / 2], [0, 1, 0]])
        mask = cv2.warpAffine(mask, matrix, mask.shape[::-1]).astype(np.uint8)
    if chance(rng, 0.35):
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        mask = (cv2.dilate(mask, kernel) if chance(rng, 0.5) else cv2.erode(mask, kernel)).astype(np.uint8)
    if chance(rng, 0.1):  # the roller missed the stroke's edge or its middle
        worn = rng.integers(int(rng.integers(60, 200)), 256, (5, 12), np.uint8)
        worn = cv2.resize(worn, mask.shape[::-1], interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        mask = cv2.multiply(mask, worn, scale=1 / 255).astype(np.uint8)
    edges = None
    if relief > 0:
        soft = cv2.blur(mask, (5, 5)).astype(np.int16)
        reach, side = 1 + round(relief), -1 if chance(rng, 0.2) else 1
        slope = (soft - np.roll(soft, (side * reach, side), (0, 1))) * np.float32(
            0.22 * min(1.5, relief) * rng.uniform(0.4, 1.2)
        )
        edges = cv2.merge([slope.astype(np.int16)] * 3)
        image[:] = cv2.add(image, edges, dtype=cv2.CV_8U)
    faded = chance(rng, 0.1)
    blend(image, mask, ink, float(rng.uniform(0.45, 0.82) if faded else rng.uniform(0.82, 1.0)))
    if edges is not None and relief > 0.6:
        image[:] = cv2.add(image, edges // 2, dtype=cv2.CV_8U)
