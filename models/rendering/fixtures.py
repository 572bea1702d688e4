"""What sits on and around a plate: stickers, bolts, seals, frames, the rim, the rounded corners."""

import cv2
import numpy as np

from models.rendering.drawn import Colour, Picture, chance, pick
from models.rendering.setting import Box, put_word

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
STICKERS: tuple[Colour, ...] = (
    (40, 40, 200), (60, 170, 60), (200, 120, 30), (40, 200, 230),
    (30, 130, 240), (240, 240, 240), (150, 60, 160), (60, 60, 60),
)  # fmt: skip
DEALERS = [
    "AUTO PLAZA",
    "MOTORS",
    "TOYOTA OF SPRINGFIELD",
    "FORD LINCOLN",
    "HONDA CITY",
    "ALUMNI",
    "UNIVERSITY",
    "CHEVROLET BUICK GMC",
    "WWW.AUTOMALL.COM",
    "FREIGHT LINES",
    "TRUCK CENTER",
    "MY OTHER RIDE",
    "DODGE JEEP RAM",
    "LEASING",
    "NISSAN WEST",
    "SINCE 1954",
    "GO TIGERS",
    "LOGISTICS INC",
]


def sticker(rng: np.random.Generator, image: Picture, box: Box) -> None:
    """A month, year or weight sticker."""
    left, top, right, bottom = (round(v) for v in box)
    ground = pick(rng, STICKERS)
    cv2.rectangle(image, (left, top), (right, bottom), ground, -1)
    ink: Colour = (20, 20, 20) if sum(ground) > 300 else (240, 240, 240)
    kind = rng.random()
    if kind < 0.35:
        text = pick(rng, MONTHS)
    elif kind < 0.8:
        text = f"{int(rng.integers(0, 30)):02d}" if chance(rng, 0.7) else str(int(rng.integers(1998, 2027)))
    else:
        text = f"{int(rng.integers(1, 13))}-{int(rng.integers(0, 30)):02d}"
    inset = (bottom - top) * 0.15
    small = chance(rng, 0.4)
    low = bottom - (bottom - top) * 0.3 if small else bottom - inset
    put_word(rng, image, text, "narrow", ink, (left + 2, top + inset, right - 2, low))
    if small:
        number = str(7654321 + 104729 * int(rng.integers(20)))
        put_word(rng, image, number, "sans", ink, (left + 2, low + 1, right - 2, bottom - 1))


def bolts(rng: np.random.Generator, image: Picture, places: list[tuple[float, float]], radius: float) -> None:
    """Bolts or empty holes at places in pixels."""
    empty = chance(rng, 0.3)
    shade = int(rng.integers(10, 60)) if empty else int(rng.integers(60, 220))
    radius *= rng.uniform(0.6, 1.4)
    slot = empty and chance(rng, 0.5)
    for x, y in places:
        if slot:
            cv2.ellipse(
                image,
                (round(x), round(y)),
                (round(radius * 1.8), max(1, round(radius * 0.7))),
                0,
                0,
                360,
                (shade,) * 3,
                -1,
            )
            continue
        at = (round(x + rng.normal(0, 1)), round(y + rng.normal(0, 1)))
        cv2.circle(image, at, max(1, round(radius)), (shade,) * 3, -1, cv2.LINE_AA)
        if not empty:
            cv2.circle(
                image, (at[0] - 1, at[1] - 1), max(1, round(radius * 0.5)), (min(255, shade + 50),) * 3, -1, cv2.LINE_AA
            )
            cv2.ellipse(
                image, at, (round(radius) + 1, round(radius) + 1), 0, 10, 150, (max(0, shade - 60),) * 3, 1, cv2.LINE_AA
            )


def rim(rng: np.random.Generator, image: Picture, ink: Colour, inset: float, thick: int, radius: float) -> None:
    """The line around the plate, `inset` pixels from its edge."""
    high, wide = image.shape[:2]
    cv2.polylines(
        image, [rounded_box(inset, inset, wide - 1 - inset, high - 1 - inset, radius)], True, ink, thick, cv2.LINE_AA
    )


def rounded_box(
    left: float, top: float, right: float, bottom: float, radius: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """The outline of a box with rounded corners, as integer points."""
    angle = np.linspace(0, np.pi / 2, 6)
    arc = np.stack([np.cos(angle), np.sin(angle)], 1) * radius
    corners = []
    for turn, (x, y) in enumerate(
        (
            (right - radius, bottom - radius),
            (left + radius, bottom - radius),
            (left + radius, top + radius),
            (right - radius, top + radius),
        )
    ):
        c, s = (1, 0, -1, 0)[turn], (0, 1, 0, -1)[turn]
        corners.append(np.stack([x + arc[:, 0] * c - arc[:, 1] * s, y + arc[:, 0] * s + arc[:, 1] * c], 1))
    return np.round(np.concatenate(corners)).astype(np.int32)


def corners(rng: np.random.Generator, image: Picture, radius: float) -> None:
    """What is behind the plate's rounded corners, dark mostly."""
    high, wide = image.shape[:2]
    side = max(1, round(radius))
    y, x = np.ogrid[:side, :side]
    outside = (side - x - 0.5) ** 2 + (side - y - 0.5) ** 2 > radius**2
    shade = int(rng.integers(10, 110))
    for rows in (slice(0, side), slice(high - 1, high - side - 1, -1)):
        for columns in (slice(0, side), slice(wide - 1, wide - side - 1, -1)):
            image[rows, columns][outside] = shade


def frame(rng: np.random.Generator, image: Picture) -> tuple[Picture, int, int]:
    """A holder around the plate: covers its edge, often with a dealer's lettering below or above. The picture grows.

    Returns it with the shift right and down of what it shows.
    """
    high, wide = image.shape[:2]
    shade = int(rng.choice([15, 25, 40, 160, 200])) + int(rng.integers(-10, 10))
    colour: Colour = (shade, shade, shade)
    top, bottom = rng.uniform(0.02, 0.09), rng.uniform(0.03, 0.14)
    over_top, over_bottom, over_side = rng.uniform(0, 0.06), rng.uniform(0, 0.11), rng.uniform(0, 0.02)
    above, below, side = round(top * high), round(bottom * high), round(rng.uniform(0.02, 0.06) * high)
    grown = np.full((high + above + below, wide + 2 * side, 3), colour, np.uint8)
    grown[above : above + high, side : side + wide] = image
    hidden = (round(over_top * high), round(over_bottom * high), round(over_side * wide))
    grown[: above + hidden[0]] = colour
    grown[above + high - hidden[1] :] = colour
    grown[:, : side + hidden[2]] = colour
    grown[:, side + wide - hidden[2] :] = colour
    ink: Colour = (230, 230, 230) if shade < 100 else (20, 20, 20)
    if chance(rng, 0.5):
        ink = pick(rng, STICKERS)
    for start, stop in ((0, above + hidden[0]), (above + high - hidden[1], grown.shape[0])):
        if stop - start > 7 and chance(rng, 0.6):
            style = pick(rng, ("sans", "narrow", "script", "serif"))
            box = (wide * 0.12, start + 1.5, wide * 0.88, stop - 1.5)
            put_word(rng, grown, pick(rng, DEALERS), style, ink, box, fill=chance(rng, 0.3))
    cv2.rectangle(grown, (0, 0), (grown.shape[1] - 1, grown.shape[0] - 1), (max(0, shade - 15),) * 3, 1)
    return grown, side, above
