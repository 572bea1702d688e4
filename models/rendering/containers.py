"""A freight container's end or side as seen from nearby: metal, letters, hardware, rust, and where its code stands."""

from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from models.rendering import fittings
from models.rendering.codes import Code, code_style, random_code, worn
from models.rendering.drawn import Drawn, Line, box_quad, chance, pick
from models.rendering.lettering import Painted, Style, column, row
from models.rendering.surfaces import (
    Colour,
    Corrugation,
    Field,
    Rng,
    as_image,
    blend,
    corrode,
    corrugated,
    corrugation,
    ink_for,
    metal,
    paint,
    soil,
)

Face = Literal["door", "front", "side", "panel"]
CAP = 0.1  # metres: ISO 6346, 5.1, asks for 100 mm at least
SCALES = (130.0, 420.0)  # pixels per metre: letters 13 to 42 pixels high
LINE_ROOM = 0.12  # around the ink of a line, in heights of a capital


@dataclass
class _Wall:
    """A wall that is being drawn; lengths in metres, `scale` pixels per metre."""

    rng: Rng
    scale: float
    width: float
    height: float
    ground: Colour
    ink: Colour
    image: Field
    code: Code
    style: Style
    wear: float
    lines: list[Line] = field(default_factory=list)
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def letter(self, painted: Painted, x: float, y: float, colour: Colour | None = None) -> tuple[float, float]:
        """Paints letters with the top left of their ink at (x, y); returns where the mask went, in pixels."""
        x0, y0, _, _ = painted.ink()
        at = (x * self.scale - x0, y * self.scale - y0)
        mask = worn(self.rng, painted, self.wear).mask
        blend(self.image, mask, *at, colour or self.ink, float(self.rng.uniform(0.8, 1.0)))
        return at

    def line(self, text: str, painted: Painted, at: tuple[float, float], vertical: bool = False) -> None:
        """Notes the painted line as truth."""
        x0, y0, x1, y1 = painted.ink()
        room = LINE_ROOM * painted.cap
        quad = box_quad(at[0] + x0 - room, at[1] + y0 - room, at[0] + x1 + room, at[1] + y1 + room)
        limit = np.array([self.image.shape[1], self.image.shape[0]], np.float32)
        self.lines.append(Line(text, np.clip(quad, 0, limit).astype(np.float32), vertical))
        self.take(*(float(v) / self.scale for v in (*quad[0], *quad[2])))

    def take(self, x0: float, y0: float, x1: float, y1: float) -> None:
        self.taken.append((x0, y0, x1, y1))

    def free(self, x0: float, y0: float, x1: float, y1: float, room: float = 0.06) -> bool:
        """Whether nothing noted stands there."""
        return all(x1 + room < a or c + room < x0 or y1 + room < b or d + room < y0 for a, b, c, d in self.taken)


def draw_container_side(
    rng: Rng, scale: float | None = None, face: Face | None = None, columns: float | None = None
) -> Drawn:
    """A door end, front end or part of a side with its code; `scale` is in pixels per metre (thrown if None).

    `columns` is how often the code is a column on a face that is no door; each face has a share of its own if None.

    A panel, drawn only where `face` asks for it, is smooth and bears the code and little else, as a tank's or a sign's.

    `text` is the eleven characters; `lines` holds each line of the code and the size-type code. All else that is
    written there is in no line. The quads stand around the ink with a little room, inside the picture.
    """
    faces: tuple[Face, ...] = ("door", "front", "side")
    chosen: Face = pick(rng, faces, (0.5, 0.15, 0.35)) if face is None else face
    pixels = scale or float(np.exp(rng.uniform(np.log(SCALES[0]), np.log(SCALES[1]))))
    height = float(pick(rng, (2.59, 2.9), (0.55, 0.45)))
    width = 2.44 if chosen in ("door", "front") else float(rng.uniform(2.2, 4.6))
    ground = paint(rng)
    size = round(height * pixels), round(width * pixels)
    even = chosen == "panel" and chance(rng, 0.5)
    image = np.full((*size, 3), ground, np.float32) if even else metal(rng, *size, ground, pixels)
    wall = _Wall(rng, pixels, width, height, ground, ink_for(rng, ground), image, random_code(rng),
                 code_style(rng), float(rng.random()) ** 1.5)  # fmt: skip
    bars = fittings.bar_places(rng) if chosen == "door" else ()
    match chosen:
        case "door":
            _door_code(wall, bars)
        case "front":
            _side_code(wall, 0.35 if columns is None else columns)
        case "side":
            _side_code(wall, 0.5 if columns is None else columns)
        case "panel":
            _side_code(wall, 0.25 if columns is None else columns)
    if chosen != "panel" or chance(rng, 0.3):
        _other_lettering(wall, chosen)
    if chance(rng, 0.25 if even else 0.75):
        corrode(rng, wall.image, pixels, float(rng.random()) ** 2)
    soil(rng, wall.image, pixels, float(rng.random()) ** 1.5)
    if chosen == "panel":
        _shaded(rng, wall.image)
        return Drawn(as_image(wall.image), wall.code.text, tuple(wall.lines), "container", "iso6346-panel")
    relief = corrugation(rng, size[1], pixels, flat=chosen == "door" or chance(rng, 0.12))
    if chosen == "door":
        relief = Corrugation(relief.shade, relief.shift * 0)
    wall.image = corrugated(wall.image, relief)
    keep_clear = [line.quad for line in wall.lines]
    if chosen == "door":
        fittings.door(rng, wall.image, pixels, ground, bars, keep_clear)
    fittings.frame(rng, wall.image, pixels, ground, left=chosen != "side" or chance(rng, 0.3), right=chosen != "side",
                   keep_clear=keep_clear)  # fmt: skip
    _shaded(rng, wall.image)
    return Drawn(as_image(wall.image), wall.code.text, tuple(wall.lines), "container", f"iso6346-{chosen}")


def _code_rows(code: Code, rng: Rng, two: bool) -> list[tuple[str, str]]:
    """What is painted and what it reads, row by row."""
    before = " " if chance(rng, 0.7) else ""
    number = f"{code.serial}{before}{code.check}"
    if two:
        return [(code.owner, code.owner), (number, code.serial + code.check)]
    return [(f"{code.owner} {number}" if chance(rng, 0.9) else code.owner + number, code.text)]


def _put_rows(wall: _Wall, x: float, y: float, room: float, two: bool, right: bool) -> None:
    """Code rows and size-type code from (x, y) down, inside `room` metres; `right` sets them flush right."""
    rng = wall.rng
    rows = _code_rows(wall.code, rng, two)
    cap = CAP * wall.scale * float(rng.uniform(0.95, 1.25))
    masks = [(row(text, _boxed_last(wall.style, read, wall.code), cap), read) for text, read in rows]
    widest = max(p.ink()[2] - p.ink()[0] for p, _ in masks)
    if widest > room * wall.scale:
        cap *= room * wall.scale / widest
        masks = [(row(text, _boxed_last(wall.style, read, wall.code), cap), read) for text, read in rows]
    step = cap / wall.scale * (1 + float(rng.uniform(0.35, 0.9)))
    size = row(wall.code.size_type, _boxed_last(wall.style, "", wall.code), cap * float(rng.uniform(0.8, 1.05)))
    below = chance(rng, 0.85)
    if chance(rng, 0.12):
        _repainted(wall, x, y, widest / wall.scale, step * (len(rows) + below))
    for painted, read in masks:
        wide = (painted.ink()[2] - painted.ink()[0]) / wall.scale
        wall.line(read, painted, wall.letter(painted, x + room - wide if right else x, y))
        y += step
    wide = (size.ink()[2] - size.ink()[0]) / wall.scale
    if below and chance(rng, 0.93):
        shift = room - wide if right else (float(rng.uniform(0, max(0.0, room - wide))) if chance(rng, 0.2) else 0.0)
        wall.line(wall.code.size_type, size, wall.letter(size, x + shift, y))


def _boxed_last(style: Style, read: str, code: Code) -> Style:
    """The style, with a box only where the line ends with the check digit."""
    if read.endswith(code.serial + code.check):
        return style
    return Style(style.face, style.stretch, style.gap, style.pitch, style.word, style.bold, style.stencil)


def _door_code(wall: _Wall, bars: tuple[float, ...]) -> None:
    """On the right door: over both bars in one row, or between the middle and a bar in two."""
    rng = wall.rng
    y = float(rng.uniform(0.2, 0.55))
    two = chance(rng, 0.4)
    if two:
        left = bars[2] + 0.06 if chance(rng, 0.6) else 1.22 + 0.06
        right = (bars[3] - 0.05) if left > bars[2] else bars[2] - 0.05
        if right - left < 0.3:
            left, right = 1.28, 2.3
        _put_rows(wall, left, y, right - left, True, chance(rng, 0.2))
    else:
        _put_rows(wall, 1.3 + float(rng.uniform(0, 0.1)), y, 0.95, False, chance(rng, 0.4))


def _side_code(wall: _Wall, columns: float) -> None:
    rng = wall.rng
    if chance(rng, columns):
        _put_column(wall)
        return
    room = float(rng.uniform(0.9, 1.5))
    right = chance(rng, 0.8)
    x = wall.width - room - float(rng.uniform(0.12, 0.35)) if right else float(rng.uniform(0.15, 0.5))
    _put_rows(wall, x, float(rng.uniform(0.18, 0.5)), room, chance(rng, 0.3), right and chance(rng, 0.6))


def _put_column(wall: _Wall) -> None:
    """The code as a column near an edge; the size-type code as a second column, under it, or as a row."""
    rng, code = wall.rng, wall.code
    gap = " " if chance(rng, 0.7) else ""
    before = " " if chance(rng, 0.6) else ""
    pitch = float(rng.uniform(1.15, 1.5))
    cap = CAP * wall.scale * float(rng.uniform(0.95, 1.15))
    painted = column(f"{code.owner}{gap}{code.serial}{before}{code.check}", wall.style, cap, pitch)
    x0, y0, x1, y1 = painted.ink()
    tall, wide = (y1 - y0) / wall.scale, (x1 - x0) / wall.scale
    y = float(rng.uniform(0.15, max(0.16, min(0.5, wall.height - tall - 0.25))))
    near = float(rng.uniform(0.18, 0.5))
    on_right = chance(rng, 0.65)
    x = wall.width - near - wide if on_right else near
    wall.line(code.text, painted, wall.letter(painted, x, y), vertical=True)
    plain = _boxed_last(wall.style, "", code)
    if chance(rng, 0.6):
        size = column(code.size_type, plain, cap, pitch)
        aside = x - 0.1 - wide if on_right else x + wide + 0.1
        foot = (size.ink()[3] - size.ink()[1]) / wall.scale
        down = y + float(rng.choice([0.0, max(0.0, tall - foot)]))
        wall.line(code.size_type, size, wall.letter(size, aside, down), vertical=True)
    elif chance(rng, 0.5):
        size = row(code.size_type, plain, cap * 0.8)
        over = (size.ink()[2] - size.ink()[0]) / wall.scale
        down = y + tall + 0.1
        if down + 0.2 < wall.height:
            wall.line(code.size_type, size, wall.letter(size, min(x, wall.width - over - 0.1), down))


def _repainted(wall: _Wall, x: float, y: float, wide: float, tall: float) -> None:
    """A patch of fresher paint under a code that was changed."""
    rng, s = wall.rng, wall.scale
    grow = float(rng.uniform(0.03, 0.1))
    a, b = round((x - grow) * s), round((y - grow) * s)
    c, d = round((x + wide + grow) * s), round((y + tall) * s)
    patch = wall.image[max(0, b) : d, max(0, a) : c]
    patch *= rng.uniform(0.8, 1.2, 3).astype(np.float32)


def _other_lettering(wall: _Wall, face: Face) -> None:
    """Weights, marks, stickers, names: everything that is no code."""
    rng = wall.rng
    if face == "door":
        fittings.weights(wall.rng, wall.image, wall.scale, (1.32, float(rng.uniform(0.95, 1.15))), wall.ink, wall.free)
        if chance(rng, 0.8):
            fittings.safety_plate(rng, wall.image, wall.scale, (float(rng.uniform(0.1, 0.4)), wall.height - 0.95))
        for _ in range(int(rng.integers(0, 5))):
            place = (float(rng.uniform(0.1, 2.1)), float(rng.uniform(0.6, wall.height - 0.5)))
            if wall.free(place[0], place[1], place[0] + 0.25, place[1] + 0.25):
                fittings.sticker(rng, wall.image, wall.scale, place)
    if chance(rng, 0.75):
        fittings.line_name(rng, wall.image, wall.scale, wall.ink, wall.free, face == "door")
    if face != "door" and chance(rng, 0.4):
        place = (float(rng.uniform(0.2, wall.width - 0.6)), float(rng.uniform(1.4, wall.height - 0.5)))
        if wall.free(place[0], place[1], place[0] + 0.4, place[1] + 0.4):
            fittings.sticker(rng, wall.image, wall.scale, place)


def _shaded(rng: Rng, image: Field) -> None:
    """Light from above, and at times the edge of a shadow."""
    height, width = image.shape[:2]
    fall = np.linspace(1.0, float(rng.uniform(0.75, 1.1)), height, dtype=np.float32)[:, None, None]
    image *= fall
    if chance(rng, 0.25):
        shade = np.ones((height, width), np.float32)
        edge = rng.uniform(-0.2, 1.2, 2) * height
        points = np.array([[0, edge[0]], [width, edge[1]], [width, height * 2], [0, height * 2]], np.int32)
        cv2.fillPoly(shade, [points], float(rng.uniform(0.4, 0.75)))
        image *= cv2.GaussianBlur(shade, (0, 0), max(1.0, float(rng.uniform(0.002, 0.02)) * width))[..., None]
