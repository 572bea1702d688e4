"""What stands on a container beside its code: bars, hinges, frame, weights, plates, stickers, names, emblems."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from models.rendering.drawn import Quad, chance, pick
from models.rendering.lettering import Style, face, row
from models.rendering.surfaces import Colour, Field, Rng, blend, noise

Free = Callable[[float, float, float, float], bool]
Place = tuple[float, float]  # metres from the wall's top left

_SYLLABLES_LIST = """
MAR OCE NOR SEA VAN TRI HAN KOR PAC LIN DEL ASTR EVO GLO MER SUN STAR BAL TEX UNI CON SOL KAI POR
LUX
"""
_SYLLABLES = tuple(_SYLLABLES_LIST.split())

_TAILS = ("LINE", "SHIPPING", "LINES", "LOGISTICS", "CONTAINER", "MARINE", "SEALAND", "LEASING", "EXPRESS", "")
_WARNINGS = (
    "CAUTION",
    "WARNING",
    "HIGH VOLTAGE",
    "9'6\" HIGH",
    "SUPER HEAVY",
    "DANGER",
    "NO SMOKING",
    "FORKLIFT",
    "CU-CAP",
)


def made_up_name(rng: Rng) -> str:
    """A shipping line that does not exist."""
    return "".join(pick(rng, _SYLLABLES) for _ in range(int(rng.integers(1, 3)))) + pick(
        rng, ("", "A", "EX", "O", "IS")
    )


def bar_places(rng: Rng) -> tuple[float, ...]:
    """Where the four locking bars stand, metres from the left edge."""
    near, far = float(rng.uniform(0.3, 0.45)), float(rng.uniform(0.85, 1.0))
    return (near, far, 2.44 - far, 2.44 - near)


def weights(rng: Rng, image: Field, scale: float, at: Place, ink: Colour, free: Free) -> None:
    """The table of gross weight, tare, net weight and volume, in kilograms and pounds."""
    gross = int(pick(rng, (24000, 30480, 32500, 34000, 35000)))
    tare = int(rng.integers(1950, 4900) // 10 * 10)
    volume = float(pick(rng, (33.2, 67.7, 76.4, 28.1)))
    table: list[tuple[str, str, str]] = [
        (pick(rng, ("MAX. GROSS", "MGW", "MAX.GR.", "GROSS")), f"{gross:,} KG", f"{gross * 2.2046:,.0f} LB"),
        (pick(rng, ("TARE", "TARE WT.")), f"{tare:,} KG", f"{tare * 2.2046:,.0f} LB"),
        (pick(rng, ("NET", "PAYLOAD", "MAX. CARGO")), f"{gross - tare:,} KG", f"{(gross - tare) * 2.2046:,.0f} LB"),
        (pick(rng, ("CU. CAP.", "CUBE", "CAPACITY")), f"{volume:.1f} CU.M", f"{volume * 35.31:,.0f} CU.FT"),
    ]
    cap = float(rng.uniform(0.035, 0.055))
    style = Style(face(rng), float(rng.uniform(0.75, 1.0)), float(rng.uniform(0.1, 0.2)))
    x, y = at
    stacked = chance(rng, 0.6)
    for name, metric, pounds in table[: int(rng.integers(3, 5))]:
        for i, (shift, text) in enumerate(((0.0, name), (0.42, metric), (0.42 if stacked else 0.8, pounds))):
            if i == 2 and stacked:
                y += cap * 1.45
            if free(x + shift, y, x + shift + 0.4, y + cap):
                painted = row(text, style, cap * scale)
                blend(image, painted.mask, (x + shift) * scale, y * scale - painted.ink()[1], ink, 0.9)
        y += cap * (1.9 if stacked else 1.7)


def safety_plate(rng: Rng, image: Field, scale: float, at: Place) -> None:
    """The metal plate of the convention for safe containers: lines too small to read."""
    x, y = (round(v * scale) for v in at)
    wide, tall = round(float(rng.uniform(0.2, 0.3)) * scale), round(float(rng.uniform(0.25, 0.45)) * scale)
    plate = image[y : y + tall, x : x + wide]
    if min(plate.shape[:2]) < 8:
        return
    plate[:] = np.float32(rng.uniform(120, 210)) + (noise(rng, plate.shape[0], plate.shape[1], 6)[..., None] - 0.5) * 40
    at_y = 3
    while at_y < plate.shape[0] - 4:
        step = max(2, round(float(rng.uniform(0.014, 0.022)) * scale))
        end = round(plate.shape[1] * float(rng.uniform(0.4, 0.95)))
        grain = (noise(rng, max(1, step // 2), max(1, end - 2), 2) > 0.5).astype(np.float32)
        part = plate[at_y : at_y + grain.shape[0], 2 : 2 + grain.shape[1]]
        part -= grain[: part.shape[0], : part.shape[1], None] * float(rng.uniform(50, 110))
        at_y += step * 2
    cv2.rectangle(image, (x, y), (x + wide, y + tall), (60.0, 60.0, 60.0), 1, cv2.LINE_AA)


def sticker(rng: Rng, image: Field, scale: float, at: Place) -> None:
    """A warning triangle, a diamond, or a label with a word."""
    x, y = at[0] * scale, at[1] * scale
    side = float(rng.uniform(0.1, 0.26)) * scale
    kind = rng.random()
    colour: Colour = pick(rng, ((40, 200, 240), (240, 240, 240), (50, 50, 200), (60, 140, 240), (150, 90, 30)))
    if kind < 0.3:
        points = np.array([[x + side / 2, y], [x + side, y + side * 0.87], [x, y + side * 0.87]])
        cv2.fillPoly(image, [points.astype(np.int32)], (40.0, 205.0, 240.0), cv2.LINE_AA)
        cv2.polylines(
            image, [points.astype(np.int32)], True, (20.0, 20.0, 20.0), max(1, round(side * 0.06)), cv2.LINE_AA
        )
        cv2.line(image, (round(x + side / 2), round(y + side * 0.3)), (round(x + side / 2), round(y + side * 0.62)),
                 (20.0, 20.0, 20.0), max(1, round(side * 0.07)), cv2.LINE_AA)  # fmt: skip
        return
    if kind < 0.45:
        half = side / 2
        points = np.array([[x + half, y], [x + side, y + half], [x + half, y + side], [x, y + half]])
        cv2.fillPoly(image, [points.astype(np.int32)], colour, cv2.LINE_AA)
        text, cap = str(rng.integers(1, 10)), side * 0.2
        painted = row(text, Style(face(rng)), cap)
        blend(
            image,
            painted.mask,
            x + half - painted.mask.shape[1] / 2,
            y + side * 0.65 - painted.ink()[1],
            (20, 20, 20),
            1,
        )
        return
    text = pick(rng, _WARNINGS) if chance(rng, 0.7) else f"{made_up_name(rng)} {rng.integers(10, 9999)}"
    painted = row(text, Style(face(rng), 0.9), max(4.0, side * 0.25))
    x0, y0, x1, y1 = painted.ink()
    room = side * 0.12
    corner = (round(x), round(y)), (round(x + x1 - x0 + 2 * room), round(y + y1 - y0 + 2 * room))
    cv2.rectangle(image, *corner, colour, -1)
    blend(image, painted.mask, x + room - x0, y + room - y0, (25, 25, 25) if sum(colour) > 380 else (240, 240, 240), 1)


def mark(rng: Rng, image: Field, x: float, y: float, side: float, colour: Sequence[float]) -> None:
    """An invented emblem, `side` pixels high, its top left at (x, y) in pixels."""
    big = np.zeros((96, 96), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        kind = int(rng.integers(5))
        a, b = (int(v) for v in rng.integers(16, 80, 2))
        r = int(rng.integers(14, 44))
        if kind == 0:
            cv2.circle(big, (48, 48), r, 255, -1 if chance(rng, 0.5) else 8, cv2.LINE_AA)
        elif kind == 1:
            turn = float(rng.uniform(0, 2 * np.pi))
            corners = int(rng.integers(3, 7))
            angles = turn + np.arange(corners) * 2 * np.pi / corners
            points = 48 + r * np.stack([np.cos(angles), np.sin(angles)], 1)
            cv2.fillPoly(big, [points.astype(np.int32)], 255, cv2.LINE_AA)
        elif kind == 2:
            for i in range(int(rng.integers(2, 5))):
                cv2.ellipse(big, (48, 30 + 14 * i), (42, 10), 0, 0, 180, 255, 5, cv2.LINE_AA)
        elif kind == 3:
            cv2.line(big, (a, 4), (b, 92), 255, int(rng.integers(5, 16)), cv2.LINE_AA)
        else:
            cv2.circle(big, (a, b), r // 2, 0, -1, cv2.LINE_AA)
    mask = cv2.resize(big, (max(2, round(side)), max(2, round(side))), interpolation=cv2.INTER_AREA)
    blend(image, mask.astype(np.uint8), x, y, colour, 0.92)


def line_name(rng: Rng, image: Field, scale: float, ink: Colour, free: Free, door: bool) -> None:
    """The owner's name, and mostly an emblem, where there is room for them."""
    name, tail = made_up_name(rng), pick(rng, _TAILS)
    width = image.shape[1] / scale
    cap = float(rng.uniform(0.08, 0.2) if door else rng.uniform(0.15, 0.75))
    style = Style(face(rng), float(rng.uniform(0.7, 1.3)), float(rng.uniform(0.05, 0.3)),
                  bold=float(rng.choice([0.0, 0.05, 0.1])))  # fmt: skip
    text = f"{name} {tail}".strip() if chance(rng, 0.5) else name
    painted = row(text, style, cap * scale)
    x0, y0, x1, y1 = painted.ink()
    wide, tall = (x1 - x0) / scale, (y1 - y0) / scale
    room = 1.1 if door else width * 1.4  # a side's name may run out of the picture
    if wide > room:
        painted = row(text, style, cap * scale * room / wide)
        x0, y0, x1, y1 = painted.ink()
        wide, tall = (x1 - x0) / scale, (y1 - y0) / scale
    colour = ink if chance(rng, 0.7) else pick(rng, ((60, 60, 210), (200, 120, 40), (70, 190, 240), (90, 160, 60)))
    for _ in range(8):
        x = float(rng.uniform(0.08, max(0.09, 1.16 - wide))) if door else float(rng.uniform(-0.4, width - 0.5 * wide))
        y = float(rng.uniform(0.2, 1.3))
        if free(x, y, x + wide, y + tall):
            blend(image, painted.mask, x * scale - x0, y * scale - y0, colour, float(rng.uniform(0.8, 1)))
            side = tall * float(rng.uniform(1, 2.5))
            if chance(rng, 0.7) and free(x, y + tall + 0.08, x + side, y + tall + 0.08 + side):
                mark(rng, image, x * scale, (y + tall + 0.08) * scale, side * scale, colour)
            return


def door(
    rng: Rng, image: Field, scale: float, ground: Colour, bars: tuple[float, ...], keep_clear: Sequence[Quad]
) -> None:
    """Gap, gaskets, hinges, locking bars with cams, brackets and handles. What would cover the code is left out."""
    height, width = image.shape[:2]
    metal = np.asarray(ground, np.float32) * float(rng.uniform(0.7, 1.05)) + float(rng.uniform(0, 25))
    if chance(rng, 0.45):
        metal = np.full(3, rng.uniform(120, 190), np.float32)  # galvanised
    middle = round(1.22 * scale)
    gasket = max(1, round(0.02 * scale))
    image[:, max(0, middle - gasket) : middle + gasket] *= 0.25
    radius = max(1.0, 0.017 * scale)
    for place in bars:
        x0, x1 = place * scale - radius, place * scale + radius
        if any(q[0, 0] - radius < x1 and x0 < q[1, 0] + radius for q in keep_clear) and chance(rng, 0.8):
            # The bar crosses the code's columns: painted behind it, as on most doors, between the groups.
            spans = _clear_spans(x0, x1, height, keep_clear)
        else:
            spans = [(0, height)] if not _covers(x0, x1, keep_clear) else _clear_spans(x0, x1, height, keep_clear)
        for top, foot in spans:
            _pipe(image, x0, x1, top, foot, metal)
        for y in np.array([0.12, 0.3, 0.52, 0.75, 0.92]) * height + rng.normal(0, 0.01, 5) * height:
            box = (x0 - 2.2 * radius, y - 2 * radius, x1 + 2.2 * radius, y + 2 * radius)
            if not _hits(box, keep_clear):
                _block(image, box, metal * 0.95)
    handle_y = height * float(rng.uniform(0.5, 0.62))
    for place in bars:
        if not chance(rng, 0.8):
            continue
        way = 1 if place < 1.22 else -1
        end = place * scale + way * 0.42 * scale
        y = handle_y + float(rng.normal(0, 0.02)) * height
        box = (min(place * scale, end), y, max(place * scale, end), y + 0.035 * scale)
        if not _hits(box, keep_clear):
            _block(image, box, metal)
    for y in np.linspace(0.1, 0.9, int(rng.integers(4, 6))) * height:
        for x in (0.03 * scale, width - 0.03 * scale):
            box = (x - 0.05 * scale, y, x + 0.05 * scale, y + 0.09 * scale)
            if not _hits(box, keep_clear):
                _block(image, box, metal)


def frame(
    rng: Rng, image: Field, scale: float, ground: Colour, left: bool, right: bool, keep_clear: Sequence[Quad]
) -> None:
    """Corner posts, rails and corner castings."""
    height, width = image.shape[:2]
    colour = np.asarray(ground, np.float32) * float(rng.uniform(0.75, 1.05))
    post, rail = 0.055 * scale, 0.07 * scale
    parts = [(0.0, 0.0, float(width), rail), (0.0, height - 1.4 * rail, float(width), float(height))]
    if left:
        parts.append((0.0, 0.0, post, float(height)))
    if right:
        parts.append((width - post, 0.0, float(width), float(height)))
    for part in parts:
        if not _hits(part, keep_clear):
            _block(image, part, colour)
    casting = 0.16 * scale
    for x in ([0.0] if left else []) + ([width - casting] if right else []):
        for y in (0.0, height - casting * 0.75):
            box = (x, y, x + casting, y + casting * 0.75)
            if _hits(box, keep_clear):
                continue
            _block(image, box, colour * 0.9)
            middle = round(x + casting / 2), round(y + casting * 0.37)
            cv2.ellipse(image, middle, (max(1, round(casting * 0.2)), max(1, round(casting * 0.28))), 0, 0, 360,
                        (12.0, 12.0, 12.0), -1, cv2.LINE_AA)  # fmt: skip


def _covers(x0: float, x1: float, quads: Sequence[Quad]) -> bool:
    return any(q[0, 0] < x1 and x0 < q[1, 0] for q in quads)


def _hits(box: tuple[float, float, float, float], quads: Sequence[Quad]) -> bool:
    return any(q[0, 0] < box[2] and box[0] < q[1, 0] and q[0, 1] < box[3] and box[1] < q[2, 1] for q in quads)


def _clear_spans(x0: float, x1: float, height: int, quads: Sequence[Quad]) -> list[tuple[int, int]]:
    """The parts of a bar's height in which it covers no quad."""
    spans, top = [], 0
    for quad in sorted((q for q in quads if _covers(x0, x1, [q])), key=lambda q: float(q[0, 1])):
        if quad[0, 1] > top:
            spans.append((top, int(quad[0, 1])))
        top = max(top, int(quad[2, 1]) + 1)
    return [*spans, (top, height)]


def _pipe(
    image: Field, x0: float, x1: float, top: int, foot: int, colour: np.ndarray[tuple[int], np.dtype[np.float32]]
) -> None:
    a, b = max(0, round(x0)), min(image.shape[1], max(round(x0) + 2, round(x1)))
    if b <= a or foot <= top:
        return
    shadow = image[top:foot, b : b + max(1, (b - a) // 2)]
    shadow *= 0.55
    across = np.linspace(-1, 1, b - a, dtype=np.float32)
    light = (0.55 + 0.6 * np.sqrt(1 - (across * 0.95) ** 2)) * (1 - 0.25 * across)
    image[top:foot, a:b] = colour[None, None, :] * light[None, :, None]


def _block(
    image: Field, box: tuple[float, float, float, float], colour: np.ndarray[tuple[int], np.dtype[np.float32]]
) -> None:
    x0, y0, x1, y1 = (max(0, round(v)) for v in box)
    if x1 <= x0 or y1 <= y0:
        return
    side = max(1, round(min(x1 - x0, y1 - y0) * 0.15))
    image[y1 : y1 + side, x0:x1] *= 0.55
    part = image[y0:y1, x0:x1]
    part += (colour - part) * 0.93
    image[y0 : y0 + side, x0:x1] *= 1.18
    image[max(y0, y1 - side) : y1, x0:x1] *= 0.75
