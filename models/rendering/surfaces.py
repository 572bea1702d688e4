"""What text stands on and in front of: noise, painted and rusted metal, corrugation, real photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.rendering.drawn import Mask, Picture, Quad

Field = NDArray[np.float32]  # height × width
Colour = tuple[float, float, float]  # blue, green, red, 0..255
Rng = np.random.Generator

PHOTO_BOX_GROW = 0.35  # how far around a labelled plate is painted over, in its heights


@dataclass(frozen=True, eq=False)
class Photo:
    """A real photo, blue-green-red, and the corners of the plates in it (4 × 2 pixels each, from the top left).

    `unsure` are places of which nobody knows whether a plate is there: they are painted over.
    """

    image: Picture
    plates: tuple[Quad, ...]
    unsure: tuple[Quad, ...] = ()


def paint_over(image: Picture, quad: Quad) -> None:
    """Fills the quadrilateral and a little around it with the colours beside it, in place."""
    low, high = quad.min(axis=0), quad.max(axis=0)
    grow = PHOTO_BOX_GROW * (high[1] - low[1])
    x0, y0 = np.maximum(np.floor(low - 3 * grow - 4), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(high + 3 * grow + 4).astype(int), image.shape[1::-1])
    if x1 - x0 < 4 or y1 - y0 < 4:
        return
    window = image[y0:y1, x0:x1]
    hole = np.zeros(window.shape[:2], np.uint8)
    a, b = (low - grow - (x0, y0)).astype(int), (high + grow - (x0, y0)).astype(int)
    cv2.rectangle(hole, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), 255, -1)
    # Filled small and enlarged: cheap, and as smooth as a bumper.
    factor = max(1, round(window.shape[0] / 24))
    small = max(4, window.shape[1] // factor), max(4, window.shape[0] // factor)
    coarse = cv2.resize(window, small, interpolation=cv2.INTER_AREA)
    coarse_hole = (cv2.resize(hole, small, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    filled = cv2.inpaint(coarse, coarse_hole, 3, cv2.INPAINT_TELEA)
    full = cv2.resize(filled, (window.shape[1], window.shape[0]), interpolation=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(hole, (0, 0), max(0.8, grow / 3)).astype(np.float32)[..., None] / 255
    window[:] = (full * soft + window * (1 - soft)).astype(np.uint8)


def noise(rng: Rng, height: int, width: int, cell: float, cell_x: float = 0.0) -> Field:
    """Smooth noise 0..1 whose blobs are `cell` pixels high and `cell_x` wide (as wide as high if 0)."""
    rows = max(2, round(height / max(1.0, cell)) + 2)
    columns = max(2, round(width / max(1.0, cell_x or cell)) + 2)
    coarse = rng.random((rows, columns), dtype=np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)


def rough(rng: Rng, height: int, width: int, cell: float) -> Field:
    """Noise of three sizes, from `cell` to a sixth of it, 0..1 around 0.5."""
    out = noise(rng, height, width, cell) * 0.5
    out += noise(rng, height, width, cell / 2.5) * 0.3
    out += noise(rng, height, width, max(1.0, cell / 6)) * 0.2
    return out


PAINTS: tuple[tuple[Colour, float], ...] = (
    ((45, 45, 120), 3), ((35, 50, 140), 2), ((30, 35, 90), 2), ((60, 70, 100), 1),  # oxide reds and browns
    ((120, 70, 25), 3), ((95, 50, 20), 2), ((160, 110, 50), 1), ((70, 40, 20), 1),  # blues
    ((175, 175, 172), 2), ((150, 150, 148), 2), ((215, 215, 212), 3), ((235, 235, 235), 2),  # greys and whites
    ((70, 95, 40), 2), ((55, 75, 30), 1), ((110, 120, 50), 1),  # greens, teal
    ((30, 100, 205), 2), ((40, 130, 225), 1), ((55, 175, 225), 1),  # oranges, yellow
    ((60, 60, 62), 1), ((35, 35, 38), 1), ((150, 60, 150), 0.4),  # greys, black, the one magenta line
)  # fmt: skip


def paint(rng: Rng) -> Colour:
    """A colour in which containers are painted."""
    weights = np.array([w for _, w in PAINTS])
    colour, _ = PAINTS[int(rng.choice(len(PAINTS), p=weights / weights.sum()))]
    faded = rng.uniform(0, 0.35)
    b, g, r = (float(np.clip(c * (1 - faded) + 165 * faded + rng.normal(0, 8), 8, 245)) for c in colour)
    return b, g, r


def brightness(colour: Sequence[float]) -> float:
    """Luma, 0..255."""
    return 0.114 * colour[0] + 0.587 * colour[1] + 0.299 * colour[2]


def ink_for(rng: Rng, ground: Sequence[float]) -> Colour:
    """A colour for letters that differs from the ground."""
    level = brightness(ground)
    if level > 150 or (level > 110 and rng.random() < 0.35):
        dark: tuple[Colour, ...] = ((25, 22, 20), (30, 25, 25), (90, 40, 20), (40, 35, 120), (60, 60, 58))
        return dark[int(rng.choice(len(dark), p=[0.45, 0.2, 0.2, 0.07, 0.08]))]
    light: tuple[Colour, ...] = ((240, 240, 240), (225, 228, 228), (205, 215, 220), (70, 200, 235))
    return light[int(rng.choice(len(light), p=[0.5, 0.25, 0.17, 0.08]))]


def metal(rng: Rng, height: int, width: int, colour: Colour, scale: float) -> Field:
    """Painted metal, height × width × 3: blotches, chalking, fine grain; `scale` is pixels per metre."""
    tone = 1 + (rough(rng, height, width, 0.5 * scale) - 0.5)[..., None] * float(rng.uniform(0.05, 0.3))
    out = np.asarray(colour, np.float32) * tone
    chalk = noise(rng, height, width, 0.8 * scale)[..., None] * float(rng.uniform(0, 0.25))
    out += (200 - out) * chalk
    return out.astype(np.float32, copy=False)


def corrode(rng: Rng, image: Field, scale: float, amount: float) -> None:
    """Rust spots with streaks that run down from them, in place; `amount` 0..1."""
    height, width = image.shape[:2]
    spots = rough(rng, height, width, max(2.0, 0.06 * scale))
    where = noise(rng, height, width, 0.6 * scale)
    limit = 0.93 - 0.3 * amount
    strength = np.clip((spots * 0.72 + where * 0.4 - limit) * 9, 0, 1).astype(np.float32)
    length = max(3, round(0.5 * scale * float(rng.uniform(0.3, 1))))
    runs = cv2.blur(strength, (1, length), anchor=(0, length - 1), borderType=cv2.BORDER_CONSTANT)
    runs = np.clip(runs * 2.2, 0, 0.55).astype(np.float32)
    brown = np.array([25, 48, 96], np.float32) * float(rng.uniform(0.7, 1.3))
    dark = brown * (0.55 + 0.9 * spots[..., None])
    image += (np.array([40, 75, 130], np.float32) - image) * runs[..., None] * float(rng.uniform(0.3, 0.9))
    image += (dark - image) * strength[..., None] * float(rng.uniform(0.6, 1))


def soil(rng: Rng, image: Field, scale: float, amount: float) -> None:
    """Dirt that rain has drawn into vertical streaks, and dust, in place; `amount` 0..1."""
    height, width = image.shape[:2]
    streaks = noise(rng, height, width, 1.2 * scale, max(1.5, float(rng.uniform(0.008, 0.03)) * scale))
    streaks *= noise(rng, height, width, 0.5 * scale, 0.2 * scale) ** 1.5
    dirt = np.array([70, 78, 84], np.float32) * float(rng.uniform(0.4, 1.2))
    image += (dirt - image) * np.clip(streaks * 1.5 * amount, 0, 0.75)[..., None]
    rise = np.linspace(0, 1, height, dtype=np.float32)[:, None] ** 3 * noise(rng, height, width, 0.4 * scale)
    image += (dirt * 0.8 - image) * (rise * 0.5 * amount)[..., None]


@dataclass(frozen=True, eq=False)
class Corrugation:
    """For every column of pixels: the light that its slope takes, and how far the view shifts it, in pixels."""

    shade: Field
    shift: Field


def corrugation(rng: Rng, width: int, scale: float, flat: bool = False) -> Corrugation:
    """A trapezoidal wall seen from one side: 36 mm deep, four parts of about 70 mm (ISO containers' side walls).

    `flat` gives a door's or a reefer's shallow ribs.
    """
    pitch = scale * float(rng.uniform(0.25, 0.3) if not flat else rng.uniform(0.3, 0.6))
    depth = scale * (0.036 if not flat else float(rng.uniform(0, 0.008)))
    slope = 0.24 if not flat else 0.06
    phase = (np.arange(width, dtype=np.float32) / pitch + float(rng.random())) % 1
    # 0 outer flat, falling slope, inner flat, rising slope
    flat_part = 0.5 - slope
    profile = np.interp(phase, [0, flat_part, 0.5, 0.5 + flat_part, 1], [0, 0, 1, 1, 0]).astype(np.float32)
    fall = np.where((phase > flat_part) & (phase < 0.5), 1.0, 0.0) - np.where(phase > 0.5 + flat_part, 1.0, 0.0)
    steep = (fall * depth / max(1e-3, slope * pitch)).astype(np.float32)
    light = float(rng.uniform(-0.9, 0.9))
    normal = 1 / np.sqrt(1 + steep**2)
    lit = np.clip(normal * (1 + light * steep), 0.15, None)
    cover = 1 - float(rng.uniform(0.0, 0.25)) * profile  # inner flats see less sky
    ambient = float(rng.uniform(0.25, 0.8))
    shade = ((ambient + (1 - ambient) * lit) * cover).astype(np.float32)
    blur = max(0.4, 0.008 * scale)
    shade = cv2.GaussianBlur(shade[None], (0, 0), blur)[0].astype(np.float32)
    shift = (profile - 0.5) * depth * float(rng.uniform(-0.5, 0.5))
    return Corrugation(shade, shift.astype(np.float32))


def corrugated(image: Field, wall: Corrugation) -> Field:
    """The flat drawing, height × width × 3, laid over the wall."""
    height, width = image.shape[:2]
    xs = np.arange(width, dtype=np.float32) + wall.shift
    map_x = np.broadcast_to(xs, (height, width)).astype(np.float32)
    map_y = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], (height, width)).astype(np.float32)
    bent = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return (bent * wall.shade[None, :, None]).astype(np.float32)


def blend(image: Field, mask: Mask, x: float, y: float, colour: Sequence[float], alpha: float) -> None:
    """Paints `colour` through a mask 0..255 whose top left lies at (x, y), in place; what lies outside is cut off."""
    x0, y0 = round(x), round(y)
    left, top = max(0, -x0), max(0, -y0)
    right = min(mask.shape[1], image.shape[1] - x0)
    foot = min(mask.shape[0], image.shape[0] - y0)
    if right <= left or foot <= top:
        return
    cover = mask[top:foot, left:right, None].astype(np.float32) * (alpha / 255)
    window = image[y0 + top : y0 + foot, x0 + left : x0 + right]
    window += (np.asarray(colour, np.float32) - window) * cover


def as_image(field: Field) -> Picture:
    """Rounded and cut to 0..255."""
    return np.clip(field, 0, 255).astype(np.uint8)
