"""Rows and columns of painted characters as masks: even or proportional pitch, gaps, boxes, stencil bridges."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from models.rendering.drawn import Mask, pick
from models.rendering.letters import FOLDER, FontMissing, missing_packages

CAP = 64  # height of a capital in the master drawing, pixels
MARGIN = 44  # around the master drawing: room for a box and for strokes below the line


@dataclass(frozen=True)
class Style:
    """How characters are painted; lengths are in heights of a capital.

    `pitch` 0 sets proportionally with `gap` between the characters, otherwise every character has a cell so wide.
    """

    face: str
    stretch: float = 1.0
    gap: float = 0.16
    pitch: float = 0.0
    word: float = 0.55
    bold: float = 0.0
    stencil: bool = False
    box: float = 0.0  # thickness of the frame around the last character, 0 for none
    box_room: float = 0.2


@dataclass(frozen=True)
class Painted:
    """A mask 0..255 and, for each character but the spaces, its ink as x0, y0, x1, y1 in pixels of the mask."""

    mask: Mask
    cap: float
    boxes: tuple[tuple[float, float, float, float], ...]

    def ink(self, start: int = 0, end: int | None = None) -> tuple[float, float, float, float]:
        """The box around the characters from `start` to `end`."""
        part = np.array(self.boxes[start:end])
        return float(part[:, 0].min()), float(part[:, 1].min()), float(part[:, 2].max()), float(part[:, 3].max())


FACES = (
    ("truetype/liberation/LiberationSans-Bold.ttf", 4.0),
    ("truetype/liberation/LiberationSansNarrow-Bold.ttf", 2.0),
    ("truetype/dejavu/DejaVuSans-Bold.ttf", 1.0),
    ("truetype/dejavu/DejaVuSansCondensed-Bold.ttf", 1.0),
    ("truetype/roadgeek/RG2014B.ttf", 0.7),
    ("truetype/roadgeek/RG2014C.ttf", 1.0),
    ("truetype/roadgeek/RG2014D.ttf", 1.5),
    ("truetype/opendin/OSP-DIN.ttf", 1.5),
    ("opentype/bebas-neue/BebasNeue-Bold.otf", 0.8),
    ("truetype/roboto/unhinted/RobotoCondensed-Bold.ttf", 1.5),
    ("truetype/roboto/unhinted/RobotoCondensed-Regular.ttf", 0.7),
    ("opentype/national-park/NationalPark-Regular.otf", 0.7),
    ("opentype/national-park/NationalPark-Heavy.otf", 0.7),
    ("opentype/allerta/allerta_medium.otf", 0.6),
    ("opentype/allerta/allerta_stencil.otf", 0.4),
    ("opentype/cabin/Cabin-Bold.otf", 0.6),
    ("truetype/open-sans/OpenSans-CondBold.ttf", 0.8),
    ("opentype/b612/B612-Bold.otf", 0.5),
)
"""Faces of codes and of what else is painted, with weights: all come with the packages that letters.py names."""


def face(rng: np.random.Generator) -> str:
    """A face for painted letters: its file under letters.FOLDER."""
    return pick(rng, [name for name, _ in FACES], [weight for _, weight in FACES])


@lru_cache(maxsize=64)
def _font(face: str) -> tuple[ImageFont.FreeTypeFont, int]:
    """The face at the size that makes a capital CAP pixels high, and its foot below the anchor."""
    path = FOLDER / face
    if not path.is_file():
        missing = ", ".join(missing_packages())
        raise FontMissing(f"the font {path} is not there: install Debian's packages {missing} (make system-packages)")
    trial = ImageFont.truetype(str(path), 200).getbbox("H")
    font = ImageFont.truetype(str(path), 200 * CAP / (trial[3] - trial[1]))
    return font, round(font.getbbox("H")[3])


@lru_cache(maxsize=8192)
def _glyph(face: str, character: str) -> Mask:
    """One character, its ink flush with the mask's sides, its capital line at MARGIN and its foot at MARGIN + CAP."""
    font, foot = _font(face)
    x0, _, x1, _ = font.getbbox(character)
    width = max(1, round(x1 - x0))
    canvas = PilImage.new("L", (width + 8, CAP + 2 * MARGIN))
    ImageDraw.Draw(canvas).text((4 - x0, MARGIN + CAP - foot), character, font=font, fill=255)
    mask = np.asarray(canvas)
    used = np.flatnonzero(mask.max(axis=0) > 40)
    return mask if len(used) == 0 else np.ascontiguousarray(mask[:, used[0] : used[-1] + 1])


def _cut(face: str, character: str, style: Style) -> Mask:
    glyph = _glyph(face, character)
    if style.stretch != 1.0:
        width = max(2, round(glyph.shape[1] * style.stretch))
        glyph = cv2.resize(glyph, (width, glyph.shape[0]), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    if style.bold > 0:
        side = 1 + 2 * round(style.bold * CAP / 2)
        glyph = cv2.copyMakeBorder(glyph, 0, 0, side // 2, side // 2, cv2.BORDER_CONSTANT)  # type: ignore[assignment]
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        glyph = cv2.dilate(glyph, kernel)  # type: ignore[assignment]
    if style.stencil and character.isalnum():
        middle, half = glyph.shape[1] // 2, max(2, round(0.035 * CAP))
        glyph = glyph.copy()
        glyph[:, middle - half : middle + half] = 0
    return glyph


def row(text: str, style: Style, cap: float) -> Painted:
    """The text on one line, capitals `cap` pixels high; a space leaves `style.word`."""
    glyphs: list[tuple[int, Mask]] = []
    at, first = float(MARGIN), True
    last = len(text.rstrip()) - 1
    for i, character in enumerate(text):
        if character == " ":
            at += style.word * CAP
            continue
        glyph = _cut(style.face, character, style)
        if style.box and i == last:
            at += (style.box + style.box_room) * CAP * (0 if first else 1)
        cell = max(style.pitch * CAP, glyph.shape[1]) if style.pitch else glyph.shape[1]
        glyphs.append((round(at + (cell - glyph.shape[1]) / 2), glyph))
        at += cell + style.gap * CAP
        first = False
    canvas = np.zeros((CAP + 2 * MARGIN, round(at) + MARGIN), np.uint8)
    boxes = []
    for x, glyph in glyphs:
        np.maximum(canvas[:, x : x + glyph.shape[1]], glyph, out=canvas[:, x : x + glyph.shape[1]])
        boxes.append((x, MARGIN, x + glyph.shape[1], MARGIN + CAP))
    if style.box and boxes:
        _frame(canvas, boxes[-1], style)
    return _scaled(canvas, boxes, cap)


def column(text: str, style: Style, cap: float, pitch: float = 1.3) -> Painted:
    """The text from top to bottom in upright characters, `pitch` capitals apart; a space leaves `style.word`."""
    glyphs: list[tuple[int, Mask]] = []
    at = float(MARGIN)
    width = 0
    last = len(text.rstrip()) - 1
    for i, character in enumerate(text):
        if character == " ":
            at += style.word * CAP
            continue
        glyph = _cut(style.face, character, style)
        if style.box and i == last:
            at += max(0.0, style.box + style.box_room - (pitch - 1) / 2) * CAP
        width = max(width, glyph.shape[1])
        glyphs.append((round(at), glyph[MARGIN : MARGIN + CAP]))
        at += pitch * CAP
    canvas = np.zeros((round(at) + MARGIN, width + 2 * MARGIN), np.uint8)
    boxes = []
    for y, glyph in glyphs:
        x = (canvas.shape[1] - glyph.shape[1]) // 2
        canvas[y : y + CAP, x : x + glyph.shape[1]] = glyph
        boxes.append((x, y, x + glyph.shape[1], y + CAP))
    if style.box and boxes:
        _frame(canvas, boxes[-1], style)
    return _scaled(canvas, boxes, cap)


def _frame(canvas: Mask, box: tuple[int, int, int, int], style: Style) -> None:
    x0, y0, x1, y1 = box
    room, line = round(style.box_room * CAP), max(1, round(style.box * CAP))
    least = round(0.62 * CAP)  # around a 1 too the frame is as wide as around another digit
    spare = max(0, least - (x1 - x0)) // 2
    outer = (x0 - spare - room - line // 2, y0 - room - line // 2, x1 + spare + room + line // 2, y1 + room + line // 2)
    cv2.rectangle(canvas, outer[:2], outer[2:], 255, line)


def _scaled(canvas: Mask, boxes: Sequence[tuple[int, int, int, int]], cap: float) -> Painted:
    scale = cap / CAP
    size = max(1, round(canvas.shape[1] * scale)), max(1, round(canvas.shape[0] * scale))
    mask = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    sx, sy = size[0] / canvas.shape[1], size[1] / canvas.shape[0]
    scaled = tuple((x0 * sx, y0 * sy, x1 * sx, y1 * sy) for x0, y0, x1, y1 in boxes)
    return Painted(mask.astype(np.uint8, copy=False), cap, scaled)
