"""The faces that plates are lettered in: free fonts from Debian, and own strokes for the dies that have no font.

A missing font is an error that names its package; `make system-packages` installs them all.
"""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.rendering.drawn import Mask, pick
from models.rendering.strokes import CAP, StrokeFace, stroke_glyph

FOLDER = Path("/usr/share/fonts")
"""Where Debian puts fonts."""


def _table() -> dict[str, tuple[str, ...]]:
    """Each package's files of `fonts.csv`, from which `make system-packages` takes the packages too."""
    files: dict[str, tuple[str, ...]] = {}
    with Path(__file__).with_name("fonts.csv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter=";"):
            files[row["package"]] = (*files.get(row["package"], ()), row["file"])
    return files


_FILES = _table()
FONT_PACKAGES = tuple(_FILES)
"""Debian's packages of the fonts that are drawn with (free licences, as each package states)."""


class FontMissing(RuntimeError):
    """A font file is not installed; says which package brings it."""


@dataclass(frozen=True)
class FontFace:
    """A font file, and how it is set: `stretch` in width, `bold` in heights of a capital (below zero is thinner)."""

    file: str
    stretch: float = 1.0
    bold: float = 0.0


Face = FontFace | StrokeFace


@lru_cache(maxsize=512)
def _font(file: str, size: int) -> ImageFont.FreeTypeFont:
    path = FOLDER / file
    if not path.is_file():
        package = next(name for name, files in _FILES.items() if file in files)
        raise FontMissing(f"the font {path} is not there: install Debian's package {package} (make system-packages)")
    return ImageFont.truetype(str(path), size)


@lru_cache(maxsize=1024)
def _cap_size(file: str, high: int) -> int:
    """The point size that makes an H `high` pixels high."""
    box = _font(file, 200).getbbox("H")
    return max(4, round(200 * high / max(1, box[3] - box[1])))


@lru_cache(maxsize=8000)
def glyph(face: Face, character: str) -> Mask:
    """One of A-Z and 0-9 as a mask, CAP pixels high and as wide as its ink."""
    if isinstance(face, StrokeFace):
        return stroke_glyph(face, character)
    mask = word(face.file, character, CAP)
    if face.stretch != 1.0:
        wide = max(2, round(mask.shape[1] * face.stretch))
        mask = cv2.resize(mask, (wide, CAP), interpolation=cv2.INTER_AREA).astype(np.uint8)
    side = round(abs(face.bold) * CAP)
    if side:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side + 1, side + 1))
        if face.bold > 0:
            mask = np.pad(mask, ((side // 2, side // 2), (side // 2, side // 2)))
            mask = cv2.dilate(mask, kernel).astype(np.uint8)
            mask = cv2.resize(mask, (mask.shape[1], CAP), interpolation=cv2.INTER_AREA).astype(np.uint8)
        else:
            mask = cv2.erode(mask, kernel).astype(np.uint8)
    return mask


@lru_cache(maxsize=4000)
def word(file: str, text: str, high: int) -> Mask:
    """`text` in a font, cut to its ink, its capitals `high` pixels; a single character is stretched to that."""
    font = _font(file, _cap_size(file, high))
    left, top, right, bottom = (round(v) for v in font.getbbox(text))
    image = Image.new("L", (max(1, right - left) + 4, max(1, bottom - top) + 4))
    ImageDraw.Draw(image).text((2 - left, 2 - top), text, font=font, fill=255)
    mask = np.asarray(image, np.uint8)
    rows, columns = np.flatnonzero(mask.max(1) > 60), np.flatnonzero(mask.max(0) > 60)
    if len(rows) == 0:
        return np.zeros((high, high // 3), np.uint8)
    mask = np.ascontiguousarray(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    if len(text) == 1 and text.isalnum():
        mask = cv2.resize(mask, (mask.shape[1], high), interpolation=cv2.INTER_AREA).astype(np.uint8)
    return mask


Range = tuple[float, float]


def _dies(
    seed: int,
    count: int,
    width: Range,
    weight: Range,
    radius: Range,
    square: float = 0.0,
    forms: tuple[str, ...] = (),
    always: tuple[str, ...] = (),
) -> tuple[StrokeFace, ...]:
    """`count` faces with measures from these ranges; each of `forms` is taken by 30 % of them, `square` is a share."""
    rng = np.random.default_rng(seed)
    faces = []
    for _ in range(count):
        chosen = always + tuple(form for form in forms if rng.random() < 0.3)
        wide, heavy, bend = (round(float(rng.uniform(*limits)), 3) for limits in (width, weight, radius))
        faces.append(StrokeFace(wide, heavy, bend, bool(rng.random() < square), chosen))
    return tuple(faces)


def _fonts(*short: str, stretches: tuple[float, ...] = (1.0,), bold: float = 0.0) -> tuple[FontFace, ...]:
    files = [file for names in _FILES.values() for file in names if any(name in file for name in short)]
    return tuple(FontFace(file, stretch, bold) for file in files for stretch in stretches)


_US_FORMS = (
    "serif-1", "slab-1", "serif-i", "slab-i", "early-2", "flat-3", "hook-7", "deep-m", "straight-w", "flat-a", "slab-q",
    "short-q", "short-j", "spur-g", "bare-g", "middle-4", "round-4", "tail-y", "open", "round-a", "bent-2",
)  # fmt: skip
_BR_FORMS = (
    "serif-1", "serif-i", "early-2", "flat-3", "hook-7", "flat-a", "short-q", "slab-q", "spur-g", "middle-4", "open",
)  # fmt: skip
FACES: dict[str, tuple[tuple[float, tuple[Face, ...]], ...]] = {
    "us": (
        (4.0, _dies(1, 50, width=(0.41, 0.6), weight=(0.09, 0.15), radius=(0.14, 0.3), square=0.7, forms=_US_FORMS)),
        (2.0, _dies(8, 30, width=(0.4, 0.6), weight=(0.08, 0.14), radius=(0.06, 0.14), square=0.9, forms=_US_FORMS)),
        (0.8, _dies(2, 12, width=(0.5, 0.62), weight=(0.11, 0.17), radius=(0.1, 0.4), square=0.6, forms=_US_FORMS)),
        # An I with feet as broad as a letter is not a T: California's, South Carolina's, Virginia's.
        (
            1.5,
            _dies(
                10,
                20,
                width=(0.4, 0.58),
                weight=(0.08, 0.14),
                radius=(0.08, 0.3),
                square=0.8,
                forms=tuple(form for form in _US_FORMS if not form.endswith("-i")),
                always=("broad-i",),
            ),
        ),
        (
            0.7,
            _dies(
                3, 8, width=(0.36, 0.45), weight=(0.09, 0.12), radius=(0.2, 0.3), forms=(*_US_FORMS, "slash-0", "bar-1")
            ),
        ),
        (1.0, _fonts("routed-gothic", "osifont", stretches=(0.8, 1.0), bold=0.05)),
        (1.0, _fonts("RG2014", "NationalPark", stretches=(0.8, 1.0))),
        (0.8, _fonts("RobotoCondensed", "SansNarrow-Bold", "Bebas", "OSP-DIN", stretches=(0.85, 1.0))),
        (0.4, _fonts("Dosis", "Gemunu", "CondBold", "Cabin", "Play", "allerta_medium", stretches=(0.7, 0.85))),
    ),
    "paper": (
        (2.0, _fonts("LiberationSans-Bold.", "DejaVuSans-Bold", "SansNarrow-Bold", "OpenSans", stretches=(0.7, 0.9))),
        (1.0, _fonts("RobotoCondensed", "LiberationMono-Bold", "Bebas", stretches=(0.9, 1.0))),
    ),
    "eu": (
        (3.0, _fonts("OSP-DIN", "RG2014D", "RG2014C", stretches=(0.85, 1.0))),
        (
            2.0,
            _dies(
                4, 16, width=(0.46, 0.62), weight=(0.12, 0.16), radius=(0.2, 0.4), square=0.7, forms=("open", "serif-i")
            ),
        ),
        (1.0, _fonts("RobotoCondensed-Bold", "SansNarrow-Bold", "DejaVuSansCondensed", "Bebas", stretches=(0.9, 1.0))),
        (1.0, _fonts("LiberationSans-Bold.", "NationalPark", "B612", stretches=(0.75, 0.9))),
    ),
    "fe": (
        (4.0, _dies(5, 16, width=(0.5, 0.66), weight=(0.11, 0.15), radius=(0.2, 0.36), square=0.8, always=("fe",))),
        (0.6, _fonts("OCRB", stretches=(0.85, 1.0), bold=0.06)),
        (0.4, _fonts("OSP-DIN")),
    ),
    "gb": (
        (
            4.0,
            _dies(6, 16, width=(0.52, 0.64), weight=(0.15, 0.19), radius=(0.12, 0.3), square=0.9, forms=("serif-i",)),
        ),
        (1.0, _fonts("RG2014D", "LiberationSans-Bold.", stretches=(0.85,), bold=0.03)),
    ),
    "br": (
        (
            3.0,
            _dies(
                7,
                16,
                width=(0.46, 0.6),
                weight=(0.12, 0.17),
                radius=(0.14, 0.32),
                square=0.8,
                forms=("serif-1", "serif-i"),
            ),
        ),
        (1.5, _dies(9, 24, width=(0.4, 0.62), weight=(0.09, 0.16), radius=(0.06, 0.34), square=0.7, forms=_BR_FORMS)),
        (1.0, _dies(11, 16, width=(0.58, 0.74), weight=(0.11, 0.16), radius=(0.1, 0.34), square=0.7, forms=_BR_FORMS)),
        (1.5, _fonts("OSP-DIN", "RG2014C", "RG2014D", stretches=(0.85, 1.0))),
        (0.5, _fonts("LiberationSans-Bold.", "RobotoCondensed-Bold", stretches=(0.8, 0.95))),
    ),
}
"""Groups of faces with weights, by what they imitate."""

WORDS: dict[str, tuple[str, ...]] = {
    "sans": ("LiberationSans-Bold.", "Cabin-Bold", "DejaVuSans-Bold"),
    "narrow": ("SansNarrow-Bold", "RobotoCondensed-Bold", "Bebas", "Yanone", "CondBold"),
    "serif": ("LiberationSerif-Bold.", "DejaVuSerif-Bold"),
    "italic": ("LiberationSerif-BoldItalic", "LiberationSans-BoldItalic"),
    "script": ("lobster", "Kaushan", "LiberationSerif-BoldItalic"),
}
"""Fonts for names and slogans, by style; short file names."""


def pick_face(rng: np.random.Generator, group: str) -> Face:
    """A face of the group ("us", "eu", "fe", "gb", "br")."""
    shares = FACES[group]
    _, faces = pick(rng, shares, [share for share, _ in shares])
    return pick(rng, faces)


def pick_word_font(rng: np.random.Generator, style: str) -> str:
    """A font file for a name or slogan in a style of `WORDS`."""
    short = pick(rng, WORDS[style])
    return next(file for files in _FILES.values() for file in files if short in file)


def missing_packages() -> list[str]:
    """Those of FONT_PACKAGES whose files are not installed."""
    return [name for name, files in _FILES.items() if not all((FOLDER / file).is_file() for file in files)]
