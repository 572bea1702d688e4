"""ISO 6346 codes: what is written, how it is painted, and the lines of it that a finder hands to the reader."""

from dataclasses import dataclass

import cv2
import numpy as np

from edge_agent.domain.identifiers import container_check_digit
from models.rendering.drawn import Picture, chance, pick
from models.rendering.lettering import Painted, Style, column, face, row
from models.rendering.surfaces import (
    Colour,
    Field,
    Rng,
    as_image,
    blend,
    corrode,
    corrugated,
    corrugation,
    ink_for,
    metal,
    noise,
    paint,
    soil,
)
from models.rendering.wear import file as as_file
from models.rendering.wear import lens, light, sensor

# Owner codes seen on many containers (the BIC's public register), beside as many made up.
_OWNERS_LIST = """
MSKU MRKU MAEU SUDU HASU MSCU MEDU TCLU TCNU TGHU TGBU TEMU TRHU TTNU TLLU CMAU CGMU ECMU APZU HLXU
HLBU UACU CPSU OOLU OOCU EGHU EISU EMCU EITU COSU CBHU CSNU CCLU YMLU YMMU ONEU NYKU MOTU KKTU HMMU
HDMU ZIMU ZCSU FCIU FSCU GESU CAIU CAXU CRSU DFSU DRYU BMOU BEAU SEGU SZLU SEKU TRIU XINU GLDU INKU
IPXU AMFU WHLU WHSU PCIU MWCU MNBU PONU UETU SMCU RALU TWCU NONU WFHU UTCU EXFU STNU JBHU EMHU UMXU
PACU CSXU NSPZ TSFZ APMZ DCLZ TRLZ FLXZ HDMZ
"""
OWNERS = tuple(_OWNERS_LIST.split())
# Length, height and width, type group and detail (ISO 6346:2022, annexes D and E); the most frequent first.
_SIZE_TYPES_LIST = """
22G1 42G1 45G1 45R1 22G0 42G0 45G0 L5G1 22R1 45R0 22T1 22T6 22U1 42U1 45U1 42P3 22P3 42P1 22K2 22T0
22V1 25G1 45B3 L5R1 20G1 40G1 4EG1 LEG1 2EG1 22H0 22S1 45U6 42R1 22B0 42V0 12G1 M5G1 45P8 22K8 25R1
"""
SIZE_TYPES = tuple(_SIZE_TYPES_LIST.split())
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OWNER = 4


@dataclass(frozen=True)
class Code:
    """Owner code with category letter, serial number, check digit and size-type code."""

    owner: str
    serial: str
    check: str
    size_type: str

    @property
    def text(self) -> str:
        """The eleven characters."""
        return self.owner + self.serial + self.check


def random_code(rng: Rng) -> Code:
    """A code with its own check digit."""
    if chance(rng, 0.5):
        owner = pick(rng, OWNERS)
    else:
        letters = "".join(pick(rng, _LETTERS) for _ in range(3))
        owner = letters + pick(rng, "UJZ", (0.88, 0.05, 0.07))
    serial = "".join(str(d) for d in rng.integers(0, 10, 6))
    weights = 1 / (1 + np.arange(len(SIZE_TYPES)) / 4)
    return Code(owner, serial, str(container_check_digit(owner + serial)), pick(rng, SIZE_TYPES, weights.tolist()))


def code_style(rng: Rng, boxed: bool | None = None) -> Style:
    """How one container's code is painted; the check digit's box is thrown for if `boxed` is None."""
    fixed = chance(rng, 0.3)
    stencil = chance(rng, 0.08)
    return Style(
        face=face(rng),
        stretch=float(rng.uniform(0.72, 1.15)),
        gap=float(rng.uniform(0.06, 0.3)),
        pitch=float(rng.uniform(0.66, 0.95)) if fixed else 0.0,
        word=float(rng.uniform(0.25, 1.1)),
        bold=float(rng.choice([0.0, 0.0, 0.0, 0.03, 0.05])),
        stencil=stencil,
        box=float(rng.uniform(0.035, 0.12)) if (chance(rng, 0.7) if boxed is None else boxed) else 0.0,
        box_room=float(rng.uniform(0.1, 0.34)),
    )


def worn(rng: Rng, painted: Painted, amount: float) -> Painted:
    """Letters chipped, rubbed thin and scratched; `amount` 0..1."""
    mask = painted.mask
    height, width = mask.shape
    keep = np.ones((height, width), np.float32)
    if chance(rng, 0.6 * amount + 0.1):
        chips = noise(rng, height, width, painted.cap * float(rng.uniform(0.06, 0.25)))
        where = noise(rng, height, width, painted.cap * 1.5)
        keep *= 1 - np.clip((chips + 0.6 * where - 1.45 + 0.45 * amount) * 8, 0, 1)
    if chance(rng, 0.4 * amount):
        keep *= 1 - float(rng.uniform(0.2, 0.6)) * noise(rng, height, width, painted.cap * 0.8)
    return Painted((mask * keep).astype(np.uint8), painted.cap, painted.boxes)


def code_crop(rng: Rng, background: Picture | None = None) -> tuple[Picture, str]:
    """One line of a container's code as a finder hands it to the reader: the picture, straightened, and its text.

    The text is A-Z and 0-9 only: a whole code, a part of one, or a size-type code; never empty. A column comes as a
    row of its upright characters. With `background`, the wall takes that photo's light and grain.
    """
    code = random_code(rng)
    if chance(rng, 0.2):
        picture, text = _column_crop(rng, code, background)
    else:
        picture, text = _row_crop(rng, code, background)
    return _seen(rng, picture), text


_ROWS: tuple[tuple[str, float], ...] = (
    ("whole", 40), ("owner", 9), ("number", 20), ("serial", 8), ("size", 11), ("without check", 6), ("with size", 3),
    ("check", 3),
)  # fmt: skip


def _row_text(rng: Rng, what: str, code: Code) -> str:
    """What the line says; spaces are where the painter left room."""
    gap = " " if chance(rng, 0.75) else ""
    before = " " if chance(rng, 0.55) else ""
    serial = code.serial if chance(rng, 0.9) else f"{code.serial[:3]} {code.serial[3:]}"
    match what:
        case "whole":
            owner = code.owner if chance(rng, 0.9) else f"{code.owner[:3]} {code.owner[3]}"
            return f"{owner}{gap}{serial}{before}{code.check}"
        case "owner":
            return code.owner
        case "number":
            return f"{serial}{before}{code.check}"
        case "serial":
            return serial
        case "without check":
            return f"{code.owner}{gap}{serial}"
        case "with size":
            return f"{code.owner}{gap}{serial}{before}{code.check}  {code.size_type}"
        case "check":
            return code.check
        case _:
            return code.size_type


def _row_crop(rng: Rng, code: Code, background: Picture | None) -> tuple[Picture, str]:
    what = pick(rng, [w for w, _ in _ROWS], [p for _, p in _ROWS])
    text = _row_text(rng, what, code)
    boxed = what in ("whole", "number", "check") and chance(rng, 0.75)
    cap = float(rng.uniform(26, 44))
    painted = row(text, code_style(rng, boxed), cap)
    x0, y0, x1, y1 = painted.ink()
    if what == "check":  # read alone, without the sides of its box
        margin = cap * rng.uniform(0.02, 0.25, 4)
    else:
        margin = cap * np.array([*rng.uniform(0.02, 0.55, 2), *rng.uniform(0.02, 0.4, 2)])
    left, right, top, foot = (float(m) for m in margin)
    height, width = round(y1 - y0 + top + foot), round(x1 - x0 + left + right)
    wall, ink = _wall(rng, height, width, cap / 0.1, background)
    alpha = float(rng.uniform(0.65, 1.0))
    if what not in ("whole", "with size", "check") and chance(rng, 0.6):
        _neighbours(rng, wall, painted, code, ink, (left, top, height, width))
    blend(wall, worn(rng, painted, float(rng.random())).mask, left - x0, top - y0, ink, alpha)
    return _finished(rng, wall, cap / 0.1), text.replace(" ", "")


def _neighbours(
    rng: Rng, wall: Field, painted: Painted, code: Code, ink: Colour, place: tuple[float, float, int, int]
) -> None:
    """Edges of the other rows of the code, above or under the line."""
    left, top, height, _ = place
    other = row(pick(rng, (code.owner, code.serial, code.size_type)), code_style(rng, False), painted.cap)
    x0, y0, _, y1 = other.ink()
    gap = painted.cap * float(rng.uniform(0.25, 0.6))
    y = top - gap - (y1 - y0) if chance(rng, 0.5) else top + painted.cap + gap
    if -painted.cap < y < height:
        blend(wall, other.mask, left - x0, y - y0, ink, 0.9)


def _column_crop(rng: Rng, code: Code, background: Picture | None) -> tuple[Picture, str]:
    """A column's cells side by side, each resized to one height, as edge_agent.vision.columns lays them."""
    gap = " " if chance(rng, 0.6) else ""
    text = f"{code.owner}{gap}{code.serial}{' ' if chance(rng, 0.5) else ''}{code.check}"
    if chance(rng, 0.12):
        text += f" {code.size_type}"
    cap = float(rng.uniform(22, 40))
    style = code_style(rng, boxed=chance(rng, 0.5) and len(text.replace(" ", "")) == 11)
    painted = column(text, style, cap, float(rng.uniform(1.1, 1.6)))
    x0, y0, x1, y1 = painted.ink()
    side = cap * rng.uniform(0.05, 0.35, 2)
    wall, ink = _wall(rng, round(y1 - y0 + 1.2 * cap), round(x1 - x0 + side.sum()), cap / 0.1, background)
    dx, dy = float(side[0]) - x0, 0.6 * cap - y0
    blend(wall, worn(rng, painted, float(rng.random())).mask, dx, dy, ink, float(rng.uniform(0.65, 1.0)))
    picture = _finished(rng, wall, cap / 0.1)
    middles = [(b + d) / 2 + dy for _, b, _, d in painted.boxes]
    pitch = float(np.median(np.diff(middles)))
    reach = np.minimum(pitch, cap * 1.5) / 2 * float(rng.uniform(0.88, 1.05))
    drift = rng.normal(0, 0.035 * cap, len(middles))
    cells = []
    for middle in np.asarray(middles) + drift:
        top, foot = max(0, round(middle - reach)), min(picture.shape[0], round(middle + reach))
        part = picture[top:foot]
        width = max(8, round(part.shape[1] * 48 / part.shape[0]))
        cells.append(cv2.resize(part, (width, 48), interpolation=cv2.INTER_LINEAR))
    return np.concatenate(cells, axis=1).astype(np.uint8), text.replace(" ", "")


def _wall(rng: Rng, height: int, width: int, scale: float, background: Picture | None) -> tuple[Field, Colour]:
    """The wall before the letters, and the colour of these."""
    ground = paint(rng)
    wall = metal(rng, height, width, ground, scale)
    if background is not None and chance(rng, 0.5):
        photo = background
        y = int(rng.integers(max(1, photo.shape[0] - height)))
        x = int(rng.integers(max(1, photo.shape[1] - width)))
        grain = photo[y : y + height, x : x + width].astype(np.float32)
        level = max(20.0, float(grain.mean()))
        fitted = cv2.resize(grain, (width, height)) / level
        wall *= 1 + (np.clip(fitted, 0.3, 2.5) - 1) * float(rng.uniform(0.1, 0.45))
    if chance(rng, 0.3):  # an older inscription under the paint
        ghost = row(random_code(rng).text, code_style(rng), 0.1 * scale * float(rng.uniform(0.8, 1.3)))
        shade = tuple(float(c) * float(rng.uniform(0.8, 1.2)) for c in ground)
        blend(
            wall, ghost.mask, float(rng.uniform(-0.6, 0.3)) * width, float(rng.uniform(-0.6, 0.5)) * height, shade, 0.5
        )
    return wall, ink_for(rng, ground)


def _finished(rng: Rng, wall: Field, scale: float) -> Picture:
    """Rust, dirt and the wall's relief over paint and letters."""
    if chance(rng, 0.45):
        corrode(rng, wall, scale, float(rng.random()) ** 1.5)
    if chance(rng, 0.6):
        soil(rng, wall, scale, float(rng.random()) ** 1.5)
    relief = rng.random()
    if relief < 0.75:
        wall = corrugated(wall, corrugation(rng, wall.shape[1], scale, flat=bool(relief > 0.5)))
    if chance(rng, 0.15):  # a locking bar's or a hinge's edge beside the line
        side = round(float(rng.uniform(0.0, 0.12)) * wall.shape[0])
        if side:
            edge = slice(0, side) if chance(rng, 0.5) else slice(wall.shape[1] - side, None)
            wall[:, edge] *= float(rng.uniform(0.3, 1.3))
    return as_image(wall)


def _seen(rng: Rng, picture: Picture) -> Picture:
    """What is left of turning and of the camera: a residual tilt, light, blur, noise, JPEG, at the size it was seen."""
    height, width = picture.shape[:2]
    if chance(rng, 0.6):
        lean = rng.normal(0, 0.03, 4) * height
        shear = float(rng.normal(0, 0.05)) * height
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        to = corners + np.stack([np.array([shear, shear, 0, 0]), lean], 1).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(corners, to.astype(np.float32))
        picture = np.asarray(
            cv2.warpPerspective(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8
        )
    strength = float(rng.random())
    seen = float(np.clip(np.exp(rng.normal(3.35, 0.45)), 11, 64))  # height of the line in the camera's picture
    size = max(6, round(width * seen / height)), max(6, round(seen))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if seen < height else cv2.INTER_LINEAR)  # type: ignore[assignment]
    field = light(rng, picture.astype(np.float32), strength)
    field = sensor(rng, lens(rng, field, strength), strength)
    return as_file(rng, as_image(field), strength)
