"""Writing that is neither plate nor code: road signs, shops, bills, time stamps burnt into the picture."""

import cv2
import numpy as np

from models.rendering.drawn import Colour, Picture, chance, pick
from models.rendering.fittings import made_up_name, mark
from models.rendering.lettering import Style, face, row
from models.rendering.surfaces import Field, Rng, blend, noise
from models.rendering.vehicles import CutOut, phone, slogan

_SHOPS_LIST = """
BAR CAFE MARKET AUTO FARMACIA HOTEL TIRES PIZZA BANK CASH DINER GARAGE MOTEL SUPERMERCADO PARTS
RENTAL SALON LAUNDRY
"""
_SHOPS = tuple(_SHOPS_LIST.split())

_ROADS: tuple[Colour, ...] = ((110, 70, 10), (70, 100, 10), (235, 235, 235), (30, 170, 235), (40, 90, 160))


def sign(rng: Rng, width: int) -> CutOut:
    """A board with writing, `width` pixels wide."""
    kind = pick(rng, (_road_sign, _shop, _bill, _number_board, _round_sign), (3, 2, 2, 3, 2))
    image, cover = kind(rng, width)
    image *= 0.9 + 0.2 * noise(rng, image.shape[0], image.shape[1], max(4.0, width / 5))[..., None]
    return CutOut(image, cover, float(rng.uniform(0.5, 3.5)))


def _board(width: int, tall: int, ground: Colour) -> tuple[Field, Field]:
    image = np.empty((max(6, tall), width, 3), np.float32)
    image[:] = ground
    return image, np.ones(image.shape[:2], np.float32)


def _ink(ground: Colour) -> Colour:
    return (30, 28, 28) if sum(ground) > 380 else (240, 240, 240)


def _write(
    rng: Rng, image: Field, text: str, middle: float, y: float, cap: float, colour: Colour, room: float = 0.92
) -> float:
    """One line around `middle`, narrower if it would not fit; returns the foot of its capitals, all in pixels."""
    style = Style(face(rng), float(rng.uniform(0.75, 1.1)), float(rng.uniform(0.05, 0.2)))
    painted = row(text, style, max(3.0, cap))
    x0, y0, x1, y1 = painted.ink()
    limit = image.shape[1] * room
    if x1 - x0 > limit:
        cap *= limit / (x1 - x0)
        painted = row(text, style, max(3.0, cap))
        x0, y0, x1, y1 = painted.ink()
    blend(image, painted.mask, middle - (x0 + x1) / 2, y - y0, colour, 1.0)
    return y + (y1 - y0)


def _road_sign(rng: Rng, width: int) -> tuple[Field, Field]:
    ground = pick(rng, _ROADS)
    lines = int(rng.integers(1, 4))
    cap = width * float(rng.uniform(0.09, 0.15))
    image, cover = _board(width, round(cap * (1.8 * lines + 0.9)), ground)
    ink = _ink(ground)
    y = cap * 0.8
    for _ in range(lines):
        town = made_up_name(rng).title() if chance(rng, 0.4) else made_up_name(rng)
        number = int(rng.integers(1, 100))
        text = pick(rng, (
            town, f"{town} {number}", f"EXIT {number}", f"A{number}", f"LANE {number}", "TRUCKS", "INSPECTION",
            f"{number} KM", "ONE WAY", "STOP",
        ))  # fmt: skip
        _write(rng, image, text, width / 2, y, cap, ink)
        y += cap * 1.8
    cv2.rectangle(image, (2, 2), (width - 3, image.shape[0] - 3), tuple(float(v) for v in ink), max(1, width // 80))
    return image, cover


def _shop(rng: Rng, width: int) -> tuple[Field, Field]:
    ground: Colour = tuple(int(v) for v in rng.integers(15, 240, 3))  # type: ignore[assignment]
    image, cover = _board(width, round(width * float(rng.uniform(0.15, 0.35))), ground)
    cap = image.shape[0] * float(rng.uniform(0.35, 0.6))
    name = pick(rng, (f"{made_up_name(rng)} {pick(rng, _SHOPS)}", pick(rng, _SHOPS), made_up_name(rng).title()))
    foot = _write(rng, image, name, width / 2, image.shape[0] * 0.15, cap, _ink(ground))
    if foot < image.shape[0] * 0.75:
        _write(rng, image, phone(rng), width / 2, foot + 2, (image.shape[0] - foot) * 0.55, _ink(ground))
    return image, cover


def _bill(rng: Rng, width: int) -> tuple[Field, Field]:
    ground: Colour = tuple(int(v) for v in rng.integers(15, 250, 3))  # type: ignore[assignment]
    image, cover = _board(width, round(width * float(rng.uniform(0.45, 0.9))), ground)
    image *= 0.6 + 0.8 * noise(rng, image.shape[0], image.shape[1], width / 3)[..., None]
    mark(
        rng,
        image,
        width * float(rng.uniform(0.05, 0.5)),
        image.shape[0] * 0.3,
        width * 0.35,
        rng.uniform(0, 255, 3).tolist(),
    )
    y = image.shape[0] * 0.07
    for _ in range(int(rng.integers(1, 5))):
        text = pick(
            rng, (made_up_name(rng), phone(rng), slogan(rng), f"{rng.integers(10, 90)}% OFF", pick(rng, _SHOPS))
        )
        y = _write(rng, image, text, width / 2, y, width * float(rng.uniform(0.05, 0.14)), _ink(ground)) + width * 0.05
    return image, cover


def _number_board(rng: Rng, width: int) -> tuple[Field, Field]:
    """What comes nearest to a plate: house and fleet numbers, parking bays, dealers' boards, limits."""
    ground: Colour = pick(
        rng, ((240, 240, 240), (60, 200, 240), (120, 60, 20), (40, 40, 160), (60, 110, 40), (35, 35, 35))
    )
    image, cover = _board(width, round(width * float(rng.uniform(0.22, 0.6))), ground)
    number = int(rng.integers(1, 9999))
    texts = (
        phone(rng), str(number), f"BAY {number % 99}", f"GATE {number % 30}", f"MAX {2 + number % 4}.{number % 10} m",
        "FOR SALE", "TAXI", f"{number % 60} t", "SE VENDE", "P", f"LANE {number % 12} OPEN", "NO PARKING",
        made_up_name(rng), f"KM {number % 900}", slogan(rng),
    )  # fmt: skip
    _write(rng, image, pick(rng, texts), width / 2, image.shape[0] * 0.25, image.shape[0] * 0.5, _ink(ground))
    if chance(rng, 0.5):
        cv2.rectangle(
            image, (1, 1), (width - 2, image.shape[0] - 2), tuple(float(v) for v in _ink(ground)), max(1, width // 50)
        )
    return image, cover


def _round_sign(rng: Rng, width: int) -> tuple[Field, Field]:
    image, _ = _board(width, width, (235, 235, 235))
    shape = np.zeros((width, width), np.uint8)
    half = width // 2
    if chance(rng, 0.3):
        angles = np.pi / 8 + np.arange(8) * np.pi / 4
        points = half + half * np.stack([np.cos(angles), np.sin(angles)], 1)
        cv2.fillPoly(shape, [points.astype(np.int32)], 255, cv2.LINE_AA)
        image[:] = (40, 30, 170)
        _write(
            rng,
            image,
            pick(rng, ("STOP", "ALTO", "PARE", "ARRET")),
            half,
            width * 0.36,
            width * 0.28,
            (240, 240, 240),
            0.8,
        )
    else:
        cv2.circle(shape, (half, half), half - 1, 255, -1, cv2.LINE_AA)
        cv2.circle(image, (half, half), round(half * 0.87), (40.0, 30.0, 190.0), max(1, width // 9), cv2.LINE_AA)
        _write(rng, image, str(rng.integers(1, 13) * 10), half, width * 0.34, width * 0.32, (25, 25, 25), 0.6)
    return image, (shape / np.float32(255)).astype(np.float32)


def burn_in(rng: Rng, image: Picture) -> None:
    """What a recorder writes over its picture: date, time, camera, speed, place, in place."""
    height, width = image.shape[:2]
    year, month, day = rng.integers(2004, 2030), rng.integers(1, 13), rng.integers(1, 32)
    hour, minute, second = rng.integers(0, 24), rng.integers(0, 60), rng.integers(0, 60)
    date = pick(rng, (
        f"{year}-{month:02}-{day:02}", f"{day:02}/{month:02}/{year}", f"{day:02}.{month:02}.{year}",
        f"{month:02}/{day:02}/{year % 100:02}",
    ))  # fmt: skip
    time = f"{hour:02}:{minute:02}:{second:02}"
    number = int(rng.integers(1, 100))
    north, west = rng.uniform(0, 90), rng.uniform(0, 180)
    where = pick(rng, (
        "", f"CAM{number}", f"CAM {number}", f"LANE {number % 12}", f"CH{number % 16:02}", "REC",
        f"{made_up_name(rng)} DASHCAM", f"{number} KM/H", f"N{north:.4f} W{west:.4f}", f"GATE {number % 9} IN",
        made_up_name(rng),
    ))  # fmt: skip
    cap = max(6.0, height * float(rng.uniform(0.014, 0.04)))
    style = Style(face(rng), float(rng.uniform(0.8, 1.1)), 0.18, float(pick(rng, (0.0, 0.75))))
    ink = pick(rng, ((250, 250, 250), (60, 240, 250), (80, 230, 80), (60, 130, 250)))
    parts = [f"{date} {time}", where] if chance(rng, 0.6) else [" ".join(v for v in (where, date, time) if v)]
    field = image.astype(np.float32)
    top, on_left, taken = chance(rng, 0.45), chance(rng, 0.7), (0.0, 0.0)
    if chance(rng, 0.3):
        band = round(cap * 2.2)
        field[: band if top else height][-band:] = 0 if chance(rng, 0.7) else 235
    for i, text in enumerate(v for v in parts if v):
        painted = row(text, style, cap)
        x0, y0, x1, _ = painted.ink()
        y = cap * 0.6 if top else height - 1.6 * cap
        x = cap if (i == 0) == on_left else width - cap - (x1 - x0)
        if i and x < taken[1] and taken[0] < x + x1 - x0:
            y += cap * (1.8 if top else -1.8)
        taken = (x, x + x1 - x0)
        if chance(rng, 0.5):
            blend(field, painted.mask, x - x0 + cap * 0.08, y - y0 + cap * 0.08, (10, 10, 10), 1)
        blend(field, painted.mask, x - x0, y - y0, ink, 1)
    image[:] = np.clip(field, 0, 255).astype(np.uint8)
