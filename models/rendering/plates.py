"""Whole plates of the series of `formats`, frontal, ready to be worn, warped and photographed."""

from functools import lru_cache

import cv2
import numpy as np

from models.rendering.art import emblem, scenery, stamp
from models.rendering.drawn import Colour, Drawn, Line, Mask, Picture, box_quad, chance, pick
from models.rendering.fixtures import bolts, corners, frame, rim, sticker
from models.rendering.formats import GROUPS, REGIONS
from models.rendering.letters import pick_face
from models.rendering.series import Item, Series, colour, serial, text_of
from models.rendering.setting import Box, Row, Spacing, paint, put_word, set_row

_INKS = ("202a60", "181818", "901828", "1f5038", "203a88", "402060", "603018")
_BLUE: Colour = (150, 60, 20)


def draw_plate(rng: np.random.Generator, region: str | None = None, pixels_per_mm: float = 1.05) -> Drawn:
    """A plate at random: of a region ("us-TX", "eu-DE"), of a part of the world (us, ca, mx, eu, br), or any.

    At 1.05 pixels a millimetre a US plate is 320 x 160. Raises ValueError for a region that no series has.
    """
    series = pick_series(rng, region)
    rows = serial(rng, series)
    wide, high = round(series.size[0] * pixels_per_mm), round(series.size[1] * pixels_per_mm)
    image = ground(rng, series, wide, high)
    draw = {"american": _american, "european": _european, "brazilian": _brazilian, "mercosul": _mercosul}[series.layout]
    lines = draw(rng, series, rows, image)
    shift_x = shift_y = 0
    if chance(rng, {"american": 0.3, "european": 0.3, "brazilian": 0.12, "mercosul": 0.12}[series.layout]):
        image, shift_x, shift_y = frame(rng, image)
    texts = [text_of([row]) for row in rows]
    found = tuple(
        Line(text, box_quad(left + shift_x, top + shift_y, right + shift_x, bottom + shift_y))
        for text, (left, top, right, bottom) in zip(texts, (line.ink for line in lines), strict=True)
    )
    return Drawn(image, "".join(texts), found, "plate", series.region)


def pick_series(rng: np.random.Generator, region: str | None) -> Series:
    """One series by weight, of the region, the part of the world or all."""
    if region is None:
        region = pick(rng, list(GROUPS), [share for share, _ in GROUPS.values()])
    choices = GROUPS[region][1] if region in GROUPS else _of_region(region)
    if not choices:
        raise ValueError(f"no series of region {region!r} is drawn; regions are {', '.join((*GROUPS, *REGIONS))}")
    return pick(rng, choices, [series.weight for series in choices])


@lru_cache(maxsize=256)
def _of_region(region: str) -> tuple[Series, ...]:
    return tuple(series for _, group in GROUPS.values() for series in group if series.region == region)


def ground(rng: np.random.Generator, series: Series, wide: int, high: int) -> Picture:
    """The plate before anything is on it, its colours a little off."""
    kind, _, codes = series.ground.partition(":")
    colours = [np.array(colour(code), np.float32) for code in codes.split(",")]
    off = (rng.normal(0, 9) + rng.normal(0, 4, 3)).astype(np.float32)
    if kind == "plain":
        row = np.broadcast_to(colours[0], (high, 3))
    elif kind == "fade":
        at = np.linspace(0, 1, len(colours))
        row = np.stack([np.interp(np.linspace(0, 1, high), at, [c[k] for c in colours]) for k in range(3)], 1).astype(
            np.float32
        )
    elif kind == "bands":
        top, bottom = round(high * rng.uniform(0.17, 0.24)), round(high * rng.uniform(0.8, 0.88))
        row = np.repeat(np.stack(colours), [top, bottom - top, high - bottom], 0)
    else:
        raise ValueError(f"series {series.region}: no ground {series.ground!r}")
    row = np.clip(row + off, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[:, None], (high, wide, 3)))


def ink_against(rng: np.random.Generator, code: str, image: Picture, box: Box) -> Colour:
    """The colour `code` if it can be read on the box (in shares of the picture), else one that can; `?` is any such."""
    high, wide = image.shape[:2]
    left, top, right, bottom = box
    part = image[round(top * high) : round(bottom * high) : 4, round(left * wide) : round(right * wide) : 8]
    shade = float(part.mean())
    if code != "?" and abs(shade - float(np.mean(colour(code)))) > 45:
        return colour(code)
    if shade > 120:
        return colour(pick(rng, _INKS))
    return pick(rng, ((240, 240, 240), (240, 240, 240), (80, 200, 230), (200, 220, 240)))


def _rows_into(
    rng: np.random.Generator,
    series: Series,
    rows: list[list[Item]],
    image: Picture,
    box: Box,
    spacing: Spacing,
    ink: Colour,
    relief: float,
) -> list[Row]:
    """Set the rows below each other into the box and paint them."""
    face = pick_face(rng, series.faces)
    mask: Mask = np.zeros(image.shape[:2], np.uint8)
    left, top, right, bottom = box
    step = (bottom - top) / len(rows)
    high = step if len(rows) == 1 else step * 0.86
    found = []
    for i, row in enumerate(rows):
        align = 0.5 if chance(rng, 0.85) else float(rng.uniform(0, 1))
        found.append(
            set_row(rng, mask, row, face, (left, top + i * step, right, top + i * step + high), spacing, align)
        )
    for line in found:
        for (kind, _), place in line.signs:
            _sign(rng, series, image, kind, place, ink)
    paint(rng, image, mask, ink, relief)
    return found


def _sign(rng: np.random.Generator, series: Series, image: Picture, kind: str, place: Box, ink: Colour) -> None:
    """What stands between the characters, printed before them."""
    left, top, right, bottom = place
    high = bottom - top
    if kind == "decal":
        wide, tall = (right - left) * rng.uniform(0.7, 1.4), high * rng.uniform(0.45, 1.0)
        if chance(rng, 0.35):  # trees, saints and statues stand taller than the characters
            wide, tall = wide * rng.uniform(0.4, 0.9), high * rng.uniform(0.9, 1.7)
        x, y = (left + right) / 2 - wide / 2, (top + bottom) / 2 - tall * rng.uniform(0.4, 0.6)
        shape = series.decal or "any:808080"
        if shape.endswith("?") and chance(rng, 0.25):
            shape = f"any:{ink[2]:02x}{ink[1]:02x}{ink[0]:02x}"
        emblem(rng, image, shape, (x, y, x + wide, y + tall))
        if chance(rng, 0.25):
            _caption(rng, image, ink, (left, top, right, bottom))
    elif kind == "seal":
        for y in (0.27, 0.73) if chance(rng, 0.7) else (0.5,):
            at = (round((left + right) / 2), round(top + y * high))
            radius = max(2, round(high * rng.uniform(0.16, 0.22)))
            shade: Colour = pick(rng, ((200, 200, 200), (60, 140, 60), (40, 90, 220), (150, 110, 60), (60, 190, 230)))
            cv2.circle(image, at, radius, shade, -1, cv2.LINE_AA)
            cv2.circle(image, at, max(1, round(radius * 0.6)), (235, 235, 235), -1, cv2.LINE_AA)
            cv2.circle(image, at, max(1, round(radius * 0.3)), (30, 30, 30), -1, cv2.LINE_AA)


def _caption(rng: np.random.Generator, image: Picture, ink: Colour, place: Box) -> None:
    """A few letters on or under an emblem, as clubs and universities have; they are no part of the serial."""
    left, top, right, bottom = place
    signs = "".join(chr(65 + int(v)) for v in rng.integers(0, 26, int(rng.integers(2, 6))))
    tall = (bottom - top) * rng.uniform(0.16, 0.42)
    y = rng.uniform(top, bottom - tall)
    shade = ink if chance(rng, 0.4) else pick(rng, ((20, 20, 20), (240, 240, 240), (40, 40, 180), (150, 60, 20)))
    put_word(rng, image, signs, pick(rng, ("sans", "serif", "narrow")), shade, (left - 2, y, right + 2, y + tall))


def _american(rng: np.random.Generator, series: Series, rows: list[list[Item]], image: Picture) -> list[Row]:
    """Name above, legend below, stickers in the corners, holes above and below, a raised rim."""
    high, wide = image.shape[:2]
    plain = image.copy()
    for spec in series.art.split():
        scenery(rng, image, spec, float(rng.uniform(0.25, 0.9)))
    ink = ink_against(rng, series.ink, plain, (0.1, 0.3, 0.9, 0.7))
    middle = image[round(high * 0.3) : round(high * 0.7) : 2, ::2].mean(2)
    if float((np.abs(middle - np.mean(ink)) < 55).mean()) > 0.1:  # an issuer would print it fainter
        cv2.addWeighted(plain, 0.75, image, 0.25, 0, dst=image)
    name_ink = ink_against(rng, series.name_ink, image, (0.3, 0.05, 0.7, 0.2))
    legend_ink = ink_against(rng, series.slogan_ink, image, (0.3, 0.83, 0.7, 0.95))
    name = pick(rng, series.name.split("|"))
    if chance(rng, 0.95):
        share = rng.uniform(0.3, 0.6)
        style = series.name_style if chance(rng, 0.8) else pick(rng, ("sans", "serif", "narrow", "script", "italic"))
        box = (
            wide * (0.5 - share / 2),
            high * rng.uniform(0.03, 0.06),
            wide * (0.5 + share / 2),
            high * rng.uniform(0.17, 0.22),
        )
        put_word(
            rng,
            image,
            name,
            style,
            name_ink,
            box,
            fill=chance(rng, 0.4),
        )
    if chance(rng, 0.85):
        legend = pick(rng, series.slogan.split("|")).strip()
        style = pick(rng, ("sans", "serif", "narrow", "italic", "script"))
        share = rng.uniform(0.35, 0.7)
        box = (
            wide * (0.5 - share / 2),
            high * rng.uniform(0.82, 0.87),
            wide * (0.5 + share / 2),
            high * rng.uniform(0.94, 0.97),
        )
        put_word(rng, image, legend, style, legend_ink, box)
    top, bottom = high * rng.uniform(0.225, 0.3), high * rng.uniform(0.72, 0.8)
    side = wide * rng.uniform(0.03, 0.07)
    spacing = Spacing(
        stretch=float(rng.uniform(0.85, 1.12)),
        tracking=float(rng.uniform(0.05, 0.16)),
        gap=float(rng.uniform(0.16, 0.5)),
        pitch=float(rng.uniform(0.42, 0.5)) if chance(rng, 0.6) else 0.0,
        jitter=0.008 if chance(rng, 0.3) else 0.0,
    )
    lines = _rows_into(
        rng,
        series,
        rows,
        image,
        (side, top, wide - side, bottom),
        spacing,
        ink,
        float(rng.uniform(0, 1.6)) if chance(rng, 0.75) else 0,
    )
    _stickers(rng, image)
    if chance(rng, 0.8):
        x, y = wide * rng.uniform(0.2, 0.24), high * rng.uniform(0.07, 0.12)
        low = high - y
        places = [(x, y), (wide - x, y)] + ([(x, low), (wide - x, low)] if chance(rng, 0.65) else [])
        bolts(rng, image, places, high * 0.03)
    if chance(rng, 0.6):
        blue, green, red = (int(v) for v in np.clip(image[2, 2].astype(int) + rng.integers(-70, 40), 0, 255))
        shade = ink if chance(rng, 0.3) else (blue, green, red)
        rim(rng, image, shade, high * rng.uniform(0.01, 0.035), 1 + int(chance(rng, 0.4)), high * 0.07)
    corners(rng, image, high * rng.uniform(0.03, 0.09))
    return lines


def _stickers(rng: np.random.Generator, image: Picture) -> None:
    high, wide = image.shape[:2]
    across, down = wide * rng.uniform(0.09, 0.13), high * rng.uniform(0.11, 0.17)
    inset_x, inset_y = wide * rng.uniform(0.015, 0.05), high * rng.uniform(0.02, 0.05)
    for right in (False, True):
        for low in (False, True):
            if chance(rng, 0.3):
                x = wide - inset_x - across if right else inset_x
                y = high - inset_y - down if low else inset_y
                sticker(rng, image, (x, y, x + across, y + down))


def _european(rng: np.random.Generator, series: Series, rows: list[list[Item]], image: Picture) -> list[Row]:
    """A band with the country's letters at the left, one or two rows of large characters, a thin rim."""
    high, wide = image.shape[:2]
    ink = colour(series.ink)
    if chance(rng, 0.8):
        rim(rng, image, ink, high * 0.03, 1 + int(chance(rng, 0.5)), high * 0.06)
    left = high * 0.08
    row_high = high if len(rows) == 1 else high / 2
    if series.band and chance(rng, 0.93):
        left = row_high * rng.uniform(0.34, 0.42)
        _band(rng, image, series.band, left, row_high)
    inset = row_high * rng.uniform(0.12, 0.18)
    right = wide - high * rng.uniform(0.06, 0.12)
    if series.band and series.region in ("eu-FR", "eu-IT") and chance(rng, 0.85):
        right = wide - row_high * 0.38
        cv2.rectangle(image, (round(right), 2), (wide - 2, round(row_high) - 2), _BLUE, -1)
        number = f"{int(rng.integers(1, 96)):02d}"
        put_word(rng, image, number, "sans", (240, 240, 240), (right + 3, row_high * 0.62, wide - 5, row_high * 0.88))
    spacing = Spacing(
        stretch=float(rng.uniform(0.85, 1.1)),
        tracking=float(rng.uniform(0.09, 0.2)),
        gap=float(rng.uniform(0.25, 0.7)),
        jitter=0.006 if chance(rng, 0.2) else 0.0,
    )
    box = (left + row_high * 0.07, inset, right - row_high * 0.05, high - inset)
    lines = _rows_into(
        rng, series, rows, image, box, spacing, ink, float(rng.uniform(0, 1.0)) if chance(rng, 0.6) else 0
    )
    if chance(rng, 0.15):
        at = high * rng.uniform(0.4, 0.6)
        bolts(rng, image, [(wide * 0.09, at), (wide * 0.91, at)], high * 0.04)
    corners(rng, image, high * rng.uniform(0.03, 0.08))
    return lines


def _band(rng: np.random.Generator, image: Picture, code: str, wide: float, high: float) -> None:
    """The blue band: a ring of stars above the country's letters."""
    shade = tuple(int(v) for v in np.clip(np.array(_BLUE) + rng.normal(0, 15, 3), 0, 255))
    cv2.rectangle(image, (1, 1), (round(wide), round(high) - 2), shade, -1)
    for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        at = (round(wide * (0.52 + 0.28 * np.cos(angle))), round(high * 0.32 + wide * 0.28 * np.sin(angle)))
        cv2.circle(image, at, max(1, round(high * 0.022)), (40, 210, 240), -1)
    put_word(rng, image, code, "sans", (240, 240, 240), (wide * 0.15, high * 0.62, wide * 0.9, high * 0.88))


def _brazilian(rng: np.random.Generator, series: Series, rows: list[list[Item]], image: Picture) -> list[Row]:
    """A riveted strip with state and city above large characters."""
    high, wide = image.shape[:2]
    ink = colour(series.ink)
    strip_bottom = high * rng.uniform(0.2, 0.25)
    strip = image[round(high * 0.04) : round(strip_bottom), round(wide * 0.2) : round(wide * 0.8)]
    strip[:] = np.clip(strip.astype(np.int16) + int(rng.integers(-15, 25)), 0, 255).astype(np.uint8)
    city = pick(rng, series.name.split("|"))
    put_word(rng, image, city, "sans", ink, (wide * 0.22, high * 0.07, wide * 0.78, strip_bottom - high * 0.02))
    if chance(rng, 0.7):
        rim(rng, image, ink, high * 0.025, 1 + int(chance(rng, 0.4)), high * 0.05)
    spacing = Spacing(
        stretch=float(rng.uniform(0.85, 1.1)), tracking=float(rng.uniform(0.1, 0.22)), gap=float(rng.uniform(0.25, 0.5))
    )
    box = (wide * 0.03, high * rng.uniform(0.27, 0.31), wide * 0.97, high * rng.uniform(0.86, 0.93))
    lines = _rows_into(
        rng, series, rows, image, box, spacing, ink, float(rng.uniform(0, 1.2)) if chance(rng, 0.7) else 0
    )
    if chance(rng, 0.5):
        bolts(rng, image, [(wide * 0.24, high * 0.14), (wide * 0.76, high * 0.14)], high * 0.025)
    if chance(rng, 0.3):  # the wire and lead of the seal
        cv2.circle(
            image,
            (round(wide * rng.uniform(0.43, 0.5)), round(high * rng.uniform(0.5, 0.6))),
            max(2, round(high * 0.035)),
            (60,) * 3,
            -1,
        )
    corners(rng, image, high * rng.uniform(0.02, 0.06))
    return lines


def _mercosul(rng: np.random.Generator, series: Series, rows: list[list[Item]], image: Picture) -> list[Row]:
    """A blue band with the country's name along the top, the sign and the code at the left, characters below."""
    high, wide = image.shape[:2]
    ink = colour(series.ink)
    band = high * rng.uniform(0.2, 0.25)
    shade = tuple(int(v) for v in np.clip(np.array([160, 60, 10]) + rng.normal(0, 15, 3), 0, 255))
    cv2.rectangle(image, (0, 0), (wide, round(band)), shade, -1)
    put_word(rng, image, series.name, "sans", (240, 240, 240), (wide * 0.3, band * 0.2, wide * 0.7, band * 0.85))
    cv2.ellipse(
        image,
        (round(wide * 0.07), round(band / 2)),
        (round(band * 0.4), round(band * 0.25)),
        0,
        0,
        360,
        (90, 190, 120),
        -1,
    )
    stamp(rng, image, "flag:40a040", (wide * 0.88, band * 0.15, wide * 0.96, band * 0.85))
    left = 0.03
    if len(rows) == 1 and chance(rng, 0.85):
        left = 0.09
        put_word(
            rng, image, series.region[:2].upper(), "sans", ink, (wide * 0.02, high * 0.8, wide * 0.07, high * 0.92)
        )
        stamp(rng, image, "seal:606060", (wide * 0.02, band + high * 0.04, wide * 0.07, band + high * 0.22))
    if chance(rng, 0.7):
        rim(rng, image, ink if chance(rng, 0.4) else (60, 60, 60), high * 0.02, 1, high * 0.05)
    spacing = Spacing(stretch=float(rng.uniform(0.85, 1.1)), tracking=float(rng.uniform(0.1, 0.22)), gap=0.3)
    box = (wide * left, high * rng.uniform(0.31, 0.36), wide * 0.97, high * rng.uniform(0.88, 0.94))
    lines = _rows_into(
        rng, series, rows, image, box, spacing, ink, float(rng.uniform(0, 0.8)) if chance(rng, 0.5) else 0
    )
    corners(rng, image, high * rng.uniform(0.03, 0.07))
    return lines
