"""Vehicles from behind and from the front as flat cut-outs, with the places where their plates hang."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from models.rendering.codes import code_style, random_code
from models.rendering.drawn import Colour, Line, Quad, box_quad, chance, pick
from models.rendering.fittings import made_up_name
from models.rendering.lettering import Style, face, row
from models.rendering.surfaces import Field, Rng, blend, noise, rough

BODY: tuple[Colour, ...] = (
    (235, 235, 235), (190, 190, 190), (150, 150, 152), (60, 60, 62), (25, 25, 27), (30, 30, 140), (40, 35, 90),
    (110, 60, 25), (140, 100, 60), (60, 80, 50), (90, 110, 130), (30, 150, 210), (120, 130, 140),
)  # fmt: skip


COARSE = 4  # soft light is drawn with so many times fewer pixels


@dataclass(eq=False)
class CutOut:
    """Something to be stood into a view: picture (height × width × 3), cover 0..1, plate places, lines of codes.

    `metres` is its width. `lamps` are the middles of its lights, `plates` the corners of free plate places, in pixels.
    """

    image: Field
    cover: Field
    metres: float
    plates: list[Quad] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    lamps: list[tuple[float, float, bool]] = field(default_factory=list)


class _Sheet:
    """Paints in units of the vehicle's width: x from 0 to 1 across, y down."""

    def __init__(self, rng: Rng, width: int, tall: float) -> None:
        self.rng = rng
        self.width = width
        self.height = round(tall * width)
        self.image = np.zeros((self.height, width, 3), np.float32)
        self.cover = np.zeros((self.height, width), np.uint8)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """Fills; the colour darkens a little towards the foot."""
        corners = (np.array(points) * self.width).round().astype(np.int32)
        low = np.clip(corners.min(0), 0, None)
        high = np.minimum(corners.max(0) + 1, (self.width, self.height))
        if (high <= low).any():
            return
        part = (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
        window = self.image[part]
        mask = np.zeros(window.shape[:2], np.uint8)
        cv2.fillPoly(mask, [corners - low], 255, cv2.LINE_AA)
        fall = np.linspace(1.08, 0.8, window.shape[0], dtype=np.float32)[:, None, None]
        weight = mask[..., None] * np.float32(1 / 255)
        window += (np.asarray(colour, np.float32) * fall - window) * weight
        np.maximum(self.cover[part], mask, out=self.cover[part])

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, round_by: float = 0.0) -> None:
        """An upright box with cut corners."""
        r = min(round_by, (x1 - x0) / 2, (y1 - y0) / 2)
        self.polygon([(x0 + r, y0), (x1 - r, y0), (x1, y0 + r), (x1, y1 - r), (x1 - r, y1), (x0 + r, y1), (x0, y1 - r),
                      (x0, y0 + r)], colour)  # fmt: skip

    def both(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """A polygon and its mirror."""
        self.polygon(points, colour)
        self.polygon([(1 - x, y) for x, y in points], colour)

    def line(self, x0: float, y0: float, x1: float, y1: float, shade: float, thick: float = 0.004) -> None:
        """A seam, upright or level, that multiplies the light by `shade`."""
        half = max(0.5, thick * self.width / 2)
        left, right = (round(v * self.width) for v in (x0, x1))
        top, foot = (round(v * self.width) for v in (y0, y1))
        across, down = (half, 0.0) if right - left < foot - top else (0.0, half)
        rows = slice(max(0, round(top - down)), max(top, round(foot + down)) + (down == 0))
        columns = slice(max(0, round(left - across)), max(left, round(right + across)) + (across == 0))
        self.image[rows, columns] *= shade

    def text(self, text: str, x: float, y: float, cap: float, colour: Colour, stretch: float = 1.0) -> float:
        """Letters with their middle at x; returns their width."""
        if cap * self.width < 3:
            return 0.0
        painted = row(text, Style(face(self.rng), stretch), cap * self.width)
        x0, y0, x1, _ = painted.ink()
        blend(self.image, painted.mask, x * self.width - (x0 + x1) / 2, y * self.width - y0, colour, 0.95)
        return (x1 - x0) / self.width

    def shine(self) -> Field:
        """Light to be added: bands along the body, and the surroundings in the paint. Drawn coarse: it is soft."""
        rng = self.rng
        height, width = max(2, self.height // COARSE), max(2, self.width // COARSE)
        light = (rough(rng, height, width, 0.4 * width) - 0.5) * float(rng.uniform(0, 60))
        for _ in range(int(rng.integers(1, 4))):
            y, thick = float(rng.uniform(0.05, 0.9)) * height, float(rng.uniform(0.01, 0.05)) * width
            slope = float(rng.normal(0, 0.02)) * np.linspace(-1, 1, width, dtype=np.float32) * width
            away = np.arange(height, dtype=np.float32)[:, None] - y - slope[None]
            light += np.exp(-((away / thick) ** 2)) * float(rng.uniform(-25, 45))
        return light.astype(np.float32)

    def ground_shadow(self) -> Field:
        """The dark between the wheels and in front of them, as cover over what is there."""
        shadow = np.zeros(self.cover.shape, np.float32)
        tall = max(2, round(self.height * 0.035))
        middle = (self.width // 2, self.height - tall)
        cv2.ellipse(shadow, middle, (round(self.width * 0.47), tall), 0, 0, 360, 0.75, -1)
        rows = slice(self.height - 3 * tall, self.height)
        shadow[rows] = cv2.GaussianBlur(shadow[rows], (0, 0), max(1.0, tall * 0.3))
        self.image[rows][(self.cover[rows] == 0) & (shadow[rows] > 0)] = 12
        return shadow

    def cut_out(self, metres: float, plates: list[tuple[float, float, float]], aspect: float) -> CutOut:
        """`plates` are middle x, middle y and width of the plate places."""
        rng = self.rng
        height, width = max(2, self.height // COARSE), max(2, self.width // COARSE)
        tone = 1 + (rough(rng, height, width, 0.25 * width) - 0.5) * float(rng.uniform(0, 0.35))
        turn = float(rng.uniform(-0.3, 0.3))  # sides turn away from the light, one more than the other
        across = np.linspace(-1, 1, width, dtype=np.float32)
        tone *= (1 - float(rng.uniform(0.1, 0.4)) * np.abs(across - turn) ** 3)[None]
        rise = np.linspace(0, 1, height, dtype=np.float32)[:, None] ** 2
        dirt = rise * noise(rng, height, width, 0.1 * width) * float(rng.random()) ** 2 * 0.8
        # (image × tone + shine) covered by dirt, as one product and one sum
        factor = (tone * (1 - dirt)).astype(np.float32)
        summand = (self.shine() * (1 - dirt) + 95 * dirt).astype(np.float32)
        size = (self.width, self.height)
        self.image *= cv2.resize(factor, size)[..., None]
        self.image += cv2.resize(summand, size)[..., None]
        cover = np.maximum(self.cover * np.float32(1 / 255), self.ground_shadow())
        quads = []
        for x, y, wide in plates:
            w, h = wide * self.width, wide * self.width / aspect
            cx, cy = x * self.width, y * self.width
            quads.append(box_quad(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
        return CutOut(self.image, cover, metres, quads)


def car(rng: Rng, width: int, aspect: float, plate_metres: float) -> CutOut:
    """A passenger car, van or pick-up, `width` pixels wide; `aspect` and `plate_metres` are the plate's."""
    metres = float(rng.uniform(1.65, 2.0))
    rear = chance(rng, 0.6)
    roof = float(rng.uniform(0.0, 0.03))
    belt = float(rng.uniform(0.28, 0.42))
    tail = belt + float(rng.uniform(0.34, 0.44))
    sheet = _Sheet(rng, width, tail + 0.1)
    body = _tinted(rng, pick(rng, BODY))
    dark: Colour = (28, 28, 30)
    glass = _tinted(rng, (70, 60, 52))
    slope = float(rng.uniform(0.06, 0.18))
    sheet.box(0.06, tail - 0.1, 0.2, tail + 0.08, (18, 18, 19), 0.02)
    sheet.box(0.8, tail - 0.1, 0.94, tail + 0.08, (18, 18, 19), 0.02)
    sheet.box(0.1, tail - 0.08, 0.9, tail + 0.02, (14, 14, 14))
    top = slope + 0.04
    sheet.polygon([(top, roof), (1 - top, roof), (0.97 - slope * 0.3, belt), (0.03 + slope * 0.3, belt)], body)
    inset = 0.045
    sheet.polygon([(top + inset, roof + 0.05), (1 - top - inset, roof + 0.05), (0.93 - slope * 0.3, belt - 0.02),
                   (0.07 + slope * 0.3, belt - 0.02)], glass)  # fmt: skip
    _reflection(rng, sheet, top + inset, roof + 0.05, 1 - top - inset, belt - 0.02)
    sheet.box(0.01, belt - 0.03, 0.99, tail, body, 0.05)
    bumper = tail - float(rng.uniform(0.13, 0.2))
    plastic = chance(rng, 0.35)
    sheet.box(0.0, bumper, 1.0, tail, dark if plastic else body, 0.04)
    sheet.line(0.02, bumper, 0.98, bumper, 0.55)
    lamp_y = belt + float(rng.uniform(0.0, 0.06))
    lamp_h = float(rng.uniform(0.06, 0.12))
    reach = float(rng.uniform(0.12, 0.24))
    lamp: Colour = (35, 30, 150) if rear else (190, 190, 185)
    sheet.both(
        [(0.02, lamp_y), (reach, lamp_y + 0.015), (reach - 0.03, lamp_y + lamp_h), (0.02, lamp_y + lamp_h)], lamp
    )
    if not rear or chance(rng, 0.5):
        sheet.both([(0.05, lamp_y + 0.02), (reach - 0.06, lamp_y + 0.025), (reach - 0.07, lamp_y + lamp_h * 0.6),
                    (0.05, lamp_y + lamp_h * 0.6)], (170, 175, 180))  # fmt: skip
    wide = plate_metres / metres
    tall = wide / aspect
    in_bumper = not rear or chance(rng, 0.35)
    if in_bumper:
        y = (bumper + tail) / 2 - 0.01
    else:
        y = lamp_y + lamp_h * 0.6 + tall / 2 + float(rng.uniform(0, 0.03))
        sheet.box(0.5 - wide * 0.62, y - tall * 0.72, 0.5 + wide * 0.62, y + tall * 0.75, _scaled(body, 0.62), 0.02)
    if not rear:
        _grille(rng, sheet, lamp_y, bumper)
    x = 0.5 if chance(rng, 0.9) else float(rng.uniform(0.25, 0.75))
    if rear:
        _badges(rng, sheet, body, lamp_y, bumper)
    cut = sheet.cut_out(metres, [(x, y, wide)], aspect)
    cut.lamps = [(v * width, (lamp_y + lamp_h / 2) * width, rear) for v in (0.09, 0.91)]
    return cut


def trailer(rng: Rng, width: int, aspect: float, plate_metres: float) -> CutOut:
    """A box trailer or lorry from behind: doors, bars, stripes, lamps, lettering."""
    metres = 2.55
    tall = float(rng.uniform(1.05, 1.5))
    sheet = _Sheet(rng, width, tall + 0.36)
    body = _tinted(
        rng, pick(rng, ((235, 235, 235), (220, 222, 225), (60, 60, 150), (120, 70, 30), (70, 110, 70), (40, 140, 220)))
    )
    sheet.box(0.08, tall + 0.05, 0.28, tall + 0.34, (16, 16, 17), 0.03)
    sheet.box(0.72, tall + 0.05, 0.92, tall + 0.34, (16, 16, 17), 0.03)
    sheet.box(0.0, 0.0, 1.0, tall, body)
    sheet.line(0.5, 0.03, 0.5, tall - 0.03, 0.35, 0.006)
    for x in (0.12, 0.38, 0.62, 0.88):
        sheet.line(x, 0.02, x, tall - 0.02, float(rng.uniform(0.55, 1.25)), 0.012)
    for y in np.linspace(0.1, tall - 0.1, 4):
        for x in (0.02, 0.96):
            sheet.box(x, float(y), x + 0.02, float(y) + 0.03, _scaled(body, 0.6))
    ink: Colour = (40, 40, 45) if sum(body) > 380 else (235, 235, 235)
    if chance(rng, 0.7):
        sheet.text(made_up_name(rng), 0.5, tall * float(rng.uniform(0.15, 0.5)), float(rng.uniform(0.04, 0.13)), ink)
    if chance(rng, 0.6):
        sheet.text(phone(rng), 0.5, tall * float(rng.uniform(0.55, 0.75)), float(rng.uniform(0.025, 0.06)), ink)
    if chance(rng, 0.5):
        sheet.text(slogan(rng), 0.5, tall * 0.85, float(rng.uniform(0.02, 0.05)), ink)
    lines = _trailer_code(rng, sheet, ink, tall) if chance(rng, 0.3) else []
    low = tall + float(rng.uniform(0.1, 0.16))
    sheet.box(0.0, tall - 0.005, 1.0, tall + 0.06, (45, 45, 48))
    sheet.box(0.02, low + 0.03, 0.98, low + 0.09, (60, 60, 62))
    for i in range(12):
        colour: Colour = (40, 40, 190) if i % 2 else (225, 225, 225)
        if chance(rng, 0.95):
            sheet.box(0.02 + i * 0.08, low + 0.045, 0.1 + i * 0.08, low + 0.075, colour)
    for x in (0.03, 0.85):
        sheet.box(x, tall + 0.005, x + 0.12, tall + 0.05, (35, 30, 150), 0.01)
    wide = plate_metres / metres
    places = (0.5, 0.24, 0.76, 0.12 + wide / 2)
    y = pick(rng, (tall + 0.08, low + 0.12, low + 0.04))
    cut = sheet.cut_out(metres, [(pick(rng, places), y, wide)], aspect)
    cut.lamps = [(v * width, (tall + 0.03) * width, True) for v in (0.09, 0.91)]
    cut.lines = lines
    return cut


def _trailer_code(rng: Rng, sheet: _Sheet, ink: Colour, tall: float) -> list[Line]:
    """An ISO 6346 code on a swap body's or trailer's door; none where it would be too small to read."""
    code = random_code(rng)
    cap = 0.1 / 2.55 * sheet.width * float(rng.uniform(0.9, 1.4))
    if cap < 8:
        return []
    painted = row(f"{code.owner} {code.serial} {code.check}", code_style(rng), cap)
    x0, y0, x1, y1 = painted.ink()
    if x1 - x0 > 0.9 * sheet.width:
        return []
    x = sheet.width * 0.95 - (x1 - x0) if chance(rng, 0.6) else sheet.width * 0.05
    y = tall * sheet.width * float(rng.uniform(0.05, 0.12))
    blend(sheet.image, painted.mask, x - x0, y - y0, ink, 0.95)
    room = 0.12 * cap
    return [Line(code.text, box_quad(x - room, y - room, x + x1 - x0 + room, y + y1 - y0 + room))]


def tractor(rng: Rng, width: int, aspect: float, plate_metres: float) -> CutOut:
    """A lorry's cab or a bus from the front."""
    metres = 2.5
    tall = float(rng.uniform(1.0, 1.35))
    sheet = _Sheet(rng, width, tall + 0.14)
    body = _tinted(rng, pick(rng, BODY))
    sheet.box(0.05, tall - 0.1, 0.25, tall + 0.12, (16, 16, 17), 0.03)
    sheet.box(0.75, tall - 0.1, 0.95, tall + 0.12, (16, 16, 17), 0.03)
    sheet.box(0.03, 0.0, 0.97, tall, body, 0.06)
    glass = _tinted(rng, (60, 52, 45))
    top, foot = tall * float(rng.uniform(0.16, 0.26)), tall * float(rng.uniform(0.5, 0.58))
    sheet.polygon([(0.08, top), (0.92, top), (0.94, foot), (0.06, foot)], glass)
    _reflection(rng, sheet, 0.08, top, 0.92, foot)
    sheet.both([(-0.0, top + 0.02), (0.035, top + 0.02), (0.035, top + 0.25), (-0.0, top + 0.25)], (22, 22, 24))
    ink: Colour = (40, 40, 45) if sum(body) > 380 else (235, 235, 235)
    if chance(rng, 0.7):
        sheet.text(made_up_name(rng), 0.5, top * 0.35, float(rng.uniform(0.04, 0.09)), ink)
    bumper = tall - float(rng.uniform(0.16, 0.24))
    _grille(rng, sheet, foot + 0.03, bumper, bars=int(rng.integers(3, 9)))
    sheet.box(0.02, bumper, 0.98, tall, _scaled(body, 0.8) if chance(rng, 0.5) else (40, 40, 42), 0.03)
    sheet.both(
        [(0.05, bumper + 0.03), (0.2, bumper + 0.03), (0.2, bumper + 0.1), (0.05, bumper + 0.1)], (195, 195, 190)
    )
    if chance(rng, 0.6):
        sheet.text(made_up_name(rng), 0.5, foot + 0.035, 0.035, (190, 190, 192))
    wide = plate_metres / metres
    y = pick(rng, (bumper + 0.07, bumper + 0.12, tall - 0.02))
    cut = sheet.cut_out(metres, [(0.5 if chance(rng, 0.8) else 0.3, y, wide)], aspect)
    cut.lamps = [(v * width, (bumper + 0.065) * width, False) for v in (0.125, 0.875)]
    return cut


def under_container(rng: Rng, width: int, aspect: float, plate_metres: float) -> CutOut:
    """A chassis' rear beam, lamps, wheels and plate place: what stands under a container's door end (2.44 m)."""
    sheet = _Sheet(rng, width, 0.42)
    steel = _tinted(rng, pick(rng, ((45, 45, 48), (60, 60, 110), (90, 80, 60), (110, 110, 110))))
    sheet.box(0.06, 0.1, 0.28, 0.41, (16, 16, 17), 0.03)
    sheet.box(0.72, 0.1, 0.94, 0.41, (16, 16, 17), 0.03)
    sheet.box(0.0, 0.0, 1.0, 0.09, steel)
    sheet.box(0.03, 0.17, 0.97, 0.23, steel)
    for x in (0.05, 0.83):
        sheet.box(x, 0.02, x + 0.12, 0.07, (35, 30, 150), 0.01)
    for i in range(0, 12, 2):
        sheet.box(0.04 + i * 0.077, 0.185, 0.11 + i * 0.077, 0.215, (45, 45, 190))
    wide = plate_metres / 2.44
    cut = sheet.cut_out(2.44, [(pick(rng, (0.5, 0.25, 0.75)), pick(rng, (0.05, 0.13, 0.3)), wide)], aspect)
    cut.lamps = [(v * width, 0.045 * width, True) for v in (0.11, 0.89)]
    return cut


def phone(rng: Rng) -> str:
    """A telephone number as painted on vehicles and signs."""
    d = "".join(str(v) for v in rng.integers(0, 10, 10))
    return pick(rng, (
        f"1-800-{d[:3]}-{d[3:7]}", f"({d[:3]}) {d[3:6]}-{d[6:]}", f"{d[:3]}-{d[3:7]}", f"0{d[:3]} / {d[3:9]}",
        f"+{d[:2]} {d[2:4]} {d[4:7]} {d[7:]}", f"TEL. {d[:2]} {d[2:5]} {d[5:8]}",
    ))  # fmt: skip


def slogan(rng: Rng) -> str:
    """What else is written on vehicles."""
    number = int(rng.integers(10, 9999))
    return pick(rng, (
        "LONG VEHICLE", "KEEP DISTANCE", "WIDE TURNS", f"USDOT {rng.integers(100000, 3999999)}", "AIR RIDE", "FRAGILE",
        "HOW'S MY DRIVING?", "TAXI", "4X4", f"www.{made_up_name(rng).lower()}.com", f"UNIT {number}", "NO RIDERS",
        f"MC {rng.integers(100000, 999999)}", "80", f"FLEET {number}",
    ))  # fmt: skip


def _grille(rng: Rng, sheet: _Sheet, top: float, foot: float, bars: int = 5) -> None:
    half = float(rng.uniform(0.14, 0.3))
    sheet.box(0.5 - half, top, 0.5 + half, foot - 0.01, (22, 22, 23), 0.03)
    for y in np.linspace(top + 0.015, foot - 0.03, bars):
        sheet.line(0.5 - half + 0.01, float(y), 0.5 + half - 0.01, float(y), float(rng.uniform(2.0, 5.0)), 0.006)
    middle = round(0.5 * sheet.width), round((top + 0.06) * sheet.width)
    size = max(1, round(0.025 * sheet.width))
    cv2.ellipse(sheet.image, middle, (size, round(size * 0.8) or 1), 0, 0, 360, (180.0, 180.0, 182.0), -1, cv2.LINE_AA)


def _badges(rng: Rng, sheet: _Sheet, body: Colour, top: float, bumper: float) -> None:
    """Maker's emblem, model letters and bumper stickers."""
    chrome: Colour = (185, 185, 188)
    middle = round(0.5 * sheet.width), round((top - 0.01) * sheet.width)
    cv2.circle(sheet.image, middle, max(1, round(0.022 * sheet.width)), (175.0, 175.0, 178.0), -1, cv2.LINE_AA)
    for x in (0.3, 0.7):
        if chance(rng, 0.6):
            number = int(rng.integers(100, 900))
            word = pick(
                rng, (made_up_name(rng), f"{number / 100:.1f} TDI", "GLX", "4WD", "SPORT", f"{number}i", "HYBRID")
            )
            sheet.text(word, x, top + float(rng.uniform(0.005, 0.05)), float(rng.uniform(0.012, 0.022)), chrome)
    if chance(rng, 0.35):
        for _ in range(int(rng.integers(1, 4))):
            x, wide = float(rng.uniform(0.1, 0.75)), float(rng.uniform(0.08, 0.18))
            y = bumper + 0.03 if chance(rng, 0.6) else top - 0.12
            ground: Colour = pick(rng, ((240, 240, 240), (40, 40, 180), (30, 30, 30), (60, 200, 240), (150, 70, 30)))
            sheet.box(x, y, x + wide, y + wide * 0.35, ground)
            ink: Colour = (30, 30, 30) if sum(ground) > 380 else (240, 240, 240)
            name, number = made_up_name(rng), int(rng.integers(10, 999))
            word = pick(rng, (name, f"VOTE {2008 + number % 20}", "BABY ON BOARD", f"I LOVE {name[:3]}", str(number)))
            sheet.text(word, x + wide / 2, y + wide * 0.1, min(wide * 0.18, wide / len(word)), ink, 0.8)


def _reflection(rng: Rng, sheet: _Sheet, x0: float, y0: float, x1: float, y1: float) -> None:
    part = sheet.image[
        round(y0 * sheet.width) : round(y1 * sheet.width), round(x0 * sheet.width) : round(x1 * sheet.width)
    ]
    if min(part.shape[:2]) < 4:
        return
    sky = np.linspace(float(rng.uniform(0.5, 1.8)), 0.5, part.shape[0], dtype=np.float32)[:, None]
    grain = rough(rng, part.shape[0], part.shape[1], max(3.0, part.shape[0] * 0.5))
    dark = part.sum(axis=2) < 320
    part *= np.where(dark[..., None], (sky * (0.5 + grain))[..., None], 1).astype(np.float32)


def _scaled(colour: Colour, by: float) -> Colour:
    return round(colour[0] * by), round(colour[1] * by), round(colour[2] * by)


def _tinted(rng: Rng, colour: Colour) -> Colour:
    b, g, r = (int(np.clip(c * rng.uniform(0.8, 1.15) + rng.normal(0, 6), 5, 245)) for c in colour)
    return b, g, r
