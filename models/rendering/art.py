"""Abstract versions of what is printed behind and between a plate's characters."""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.rendering.drawn import Mask, Picture, blend, chance, pick
from models.rendering.series import colour

_HIGH = 128
Draw = Callable[[np.random.Generator, Mask], None]


def _polygon(mask: Mask, points: list[tuple[float, float]] | NDArray[np.float64], shade: int = 255) -> None:
    """Fill a polygon given in shares of the mask's size."""
    high, wide = mask.shape
    corners = np.round(np.asarray(points) * [wide, high] * 8).astype(np.int32)
    cv2.fillPoly(mask, [corners], shade, cv2.LINE_AA, 3)


def _disc(mask: Mask, x: float, y: float, radius: float, shade: int = 255, thick: int = -1) -> None:
    high, wide = mask.shape
    cv2.circle(mask, (round(x * wide), round(y * high)), max(1, round(radius * high)), shade, thick, cv2.LINE_AA)


def _around(rng: np.random.Generator, count: int, spread: float) -> NDArray[np.float64]:
    """A lumpy closed outline around (0.5, 0.5)."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radius = 0.45 * (1 - spread * rng.random(count))
    return np.stack([0.5 + radius * np.cos(angle), 0.5 + radius * np.sin(angle)], 1)


def star(rng: np.random.Generator, mask: Mask) -> None:
    """A five-pointed star."""
    angle = np.arange(10) * np.pi / 5 - np.pi / 2
    radius = np.where(np.arange(10) % 2, 0.19, 0.48)
    _polygon(mask, np.stack([0.5 + radius * np.cos(angle), 0.5 + radius * np.sin(angle)], 1))


def outline(rng: np.random.Generator, mask: Mask) -> None:
    """A state's map, more or less."""
    _polygon(mask, _around(rng, int(rng.integers(5, 14)), 0.6))


def fruit(rng: np.random.Generator, mask: Mask) -> None:
    """A round fruit with its leaves: an orange, a peach."""
    _disc(mask, 0.5, 0.58, 0.36, 200)
    _disc(mask, 0.4, 0.5, 0.14, 255)
    _polygon(mask, [(0.5, 0.24), (0.75, 0.05), (0.95, 0.2), (0.7, 0.3)])


def arch(rng: np.random.Generator, mask: Mask) -> None:
    """A rock arch."""
    _polygon(mask, [(0.05, 1), (0.1, 0.4), (0.3, 0.1), (0.7, 0.05), (0.92, 0.3), (1, 1)], 220)
    _polygon(mask, [(0.32, 1), (0.36, 0.5), (0.5, 0.3), (0.65, 0.45), (0.68, 1)], 0)


def tree(rng: np.random.Generator, mask: Mask) -> None:
    """A conifer."""
    for top in (0.0, 0.25, 0.5):
        _polygon(
            mask, [(0.5, top), (0.2 - top * 0.3, top + 0.4), (0.8 + top * 0.3, top + 0.4)], 200 + int(rng.integers(55))
        )
    _polygon(mask, [(0.45, 0.85), (0.55, 0.85), (0.55, 1), (0.45, 1)])


def palm(rng: np.random.Generator, mask: Mask) -> None:
    """A palm, its crescent beside it."""
    _polygon(mask, [(0.47, 0.35), (0.55, 0.35), (0.6, 1), (0.46, 1)])
    for angle in np.linspace(0, 2 * np.pi, 9):
        tip = (0.5 + 0.38 * np.cos(angle), 0.33 + 0.3 * np.sin(angle))
        _polygon(mask, [(0.5, 0.28), tip, (0.5, 0.38)])


def seal(rng: np.random.Generator, mask: Mask) -> None:
    """A round seal: rings, spokes and something in the middle."""
    _disc(mask, 0.5, 0.5, 0.46, 120)
    _disc(mask, 0.5, 0.5, 0.46, 255, 2)
    _disc(mask, 0.5, 0.5, 0.32, 255, 2)
    for angle in np.linspace(0, 2 * np.pi, int(rng.integers(8, 24))):
        _disc(mask, 0.5 + 0.39 * np.cos(angle), 0.5 + 0.39 * np.sin(angle), 0.03, 255)
    _polygon(mask, 0.5 + (_around(rng, 9, 0.7) - 0.5) * 0.6, 220)


def sun(rng: np.random.Generator, mask: Mask) -> None:
    """A disc with four groups of rays."""
    _disc(mask, 0.5, 0.5, 0.17, 255)
    for turn in range(4):
        for shift, long in ((-0.1, 0.38), (-0.035, 0.48), (0.035, 0.48), (0.1, 0.38)):
            ray = np.array([[shift - 0.02, 0.18], [shift + 0.02, 0.18], [shift + 0.02, long], [shift - 0.02, long]])
            angle = turn * np.pi / 2
            spin = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            _polygon(mask, ray @ spin + 0.5)


def flower(rng: np.random.Generator, mask: Mask) -> None:
    """Petals around a middle, leaves below."""
    petals = int(rng.integers(4, 9))
    for angle in np.linspace(0, 2 * np.pi, petals, endpoint=False):
        _disc(mask, 0.5 + 0.2 * np.cos(angle), 0.42 + 0.2 * np.sin(angle), 0.16, 170 + int(rng.integers(80)))
    _disc(mask, 0.5, 0.42, 0.1, 255)
    _polygon(mask, [(0.48, 0.6), (0.15, 0.95), (0.5, 0.85), (0.9, 0.95), (0.52, 0.6)], 200)


def figure(rng: np.random.Generator, mask: Mask) -> None:
    """An animal or a figure: a few joined lumps on legs."""
    for _ in range(4):
        x, y = rng.uniform(0.25, 0.75, 2)
        _polygon(
            mask,
            np.array([x, y]) + (_around(rng, 8, 0.5) - 0.5) * rng.uniform(0.3, 0.7, 2),
            int(rng.integers(150, 255)),
        )
    for x in rng.uniform(0.2, 0.8, 3):
        _polygon(mask, [(x, 0.5), (x + 0.09, 0.5), (x + rng.normal(0, 0.1), 0.98)])


def keystone(rng: np.random.Generator, mask: Mask) -> None:
    """A keystone."""
    _polygon(
        mask,
        [(0.12, 0.05), (0.88, 0.05), (0.95, 0.3), (0.85, 0.32), (0.75, 0.95), (0.25, 0.95), (0.15, 0.32), (0.05, 0.3)],
    )


def diamond(rng: np.random.Generator, mask: Mask) -> None:
    """A cut stone."""
    _polygon(mask, [(0.2, 0.1), (0.8, 0.1), (1, 0.35), (0.5, 0.95), (0, 0.35)], 180)
    for x in (0.2, 0.5, 0.8):
        _polygon(mask, [(x - 0.1, 0.12), (x + 0.1, 0.12), (0.5, 0.9)], int(rng.integers(120, 255)))


def flag(rng: np.random.Generator, mask: Mask) -> None:
    """Stripes and a field."""
    for i in range(0, 7, 2):
        _polygon(mask, [(0, i / 7), (1, i / 7), (1, (i + 1) / 7), (0, (i + 1) / 7)])
    _polygon(mask, [(0, 0), (0.45, 0), (0.45, 4 / 7), (0, 4 / 7)], 200)


def cactus(rng: np.random.Generator, mask: Mask) -> None:
    """A saguaro."""
    high, wide = mask.shape
    thick = max(2, wide // 7)
    for path in (
        [(0.5, 0.05), (0.5, 1)],
        [(0.15, 0.3), (0.15, 0.6), (0.5, 0.65)],
        [(0.85, 0.2), (0.85, 0.5), (0.5, 0.55)],
    ):
        cv2.polylines(mask, [np.round(np.array(path) * [wide, high]).astype(np.int32)], False, 255, thick, cv2.LINE_AA)


def wheelchair(rng: np.random.Generator, mask: Mask) -> None:
    """The sign of access."""
    high, wide = mask.shape
    _disc(mask, 0.38, 0.1, 0.07)
    for path in ([(0.4, 0.2), (0.42, 0.6), (0.7, 0.6), (0.82, 0.9), (0.92, 0.86)], [(0.41, 0.36), (0.65, 0.36)]):
        cv2.polylines(
            mask, [np.round(np.array(path) * [wide, high]).astype(np.int32)], False, 255, wide // 14, cv2.LINE_AA
        )
    cv2.ellipse(
        mask, (int(0.4 * wide), int(0.66 * high)), (wide // 4, high // 4), 0, 20, 240, 255, wide // 16, cv2.LINE_AA
    )


def letters(rng: np.random.Generator, mask: Mask) -> None:
    """A monogram, as a club's or a university's."""
    high = mask.shape[0]
    signs = "".join(chr(65 + int(v)) for v in rng.integers(0, 26, int(rng.integers(1, 3))))
    cv2.putText(mask, signs, (4, int(high * 0.75)), cv2.FONT_HERSHEY_DUPLEX, 3.4 / len(signs), 255, 12, cv2.LINE_AA)


SHAPES: dict[str, Draw] = {
    shape.__name__: shape
    for shape in (
        star,
        wheelchair,
        outline,
        fruit,
        arch,
        tree,
        palm,
        seal,
        sun,
        flower,
        figure,
        keystone,
        diamond,
        flag,
        cactus,
        letters,
    )
}


@lru_cache(maxsize=600)
def shape(name: str, seed: int) -> Mask:
    """A shape of `SHAPES`, 128 x 128."""
    mask = np.zeros((_HIGH, _HIGH), np.uint8)
    SHAPES[name](np.random.default_rng(seed), mask)
    return mask


def stamp(
    rng: np.random.Generator, image: Picture, spec: str, box: tuple[float, float, float, float], alpha: float = 1.0
) -> None:
    """Draw the shape `name:rrggbb` (`any` is any shape) into a box in pixels (left, top, right, bottom)."""
    name, _, code = spec.partition(":")
    if name == "any":
        name = list(SHAPES)[int(rng.integers(len(SHAPES)))]
    left, top, right, bottom = (round(v) for v in box)
    if right - left < 3 or bottom - top < 3:
        return
    mask = shape(name, int(rng.integers(48)))
    if chance(rng, 0.3):
        mask = mask[:, ::-1]
    mask = cv2.resize(mask, (right - left, bottom - top), interpolation=cv2.INTER_AREA).astype(np.uint8)
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(image.shape[1], right), min(image.shape[0], bottom)
    if x1 > x0 and y1 > y0:
        blend(image[y0:y1, x0:x1], mask[y0 - top : y1 - top, x0 - left : x1 - left], colour(code or "808080"), alpha)


def emblem(rng: np.random.Generator, image: Picture, spec: str, box: tuple[float, float, float, float]) -> None:
    """A shape as `stamp` draws it, often with a rim and with more shapes in other colours on it."""
    left, top, right, bottom = box
    alpha = float(rng.uniform(0.6, 1))
    name, _, code = spec.partition(":")
    if name == "any":
        name = list(SHAPES)[int(rng.integers(len(SHAPES)))]
    if code == "?":
        code = _any_colour(rng)
    if chance(rng, 0.25):
        rim = (right - left) * 0.06
        dark = pick(rng, ("202020", "f0f0f0", "203060"))
        stamp(rng, image, f"{name}:{dark}", (left - rim, top - rim, right + rim, bottom + rim), alpha)
    stamp(rng, image, f"{name}:{code}", box, alpha)
    for _ in range(int(rng.integers(0, 4)) if chance(rng, 0.6) else 0):
        wide, high = (right - left) * rng.uniform(0.2, 0.6), (bottom - top) * rng.uniform(0.2, 0.6)
        x, y = rng.uniform(left, right - wide), rng.uniform(top, bottom - high)
        stamp(rng, image, f"any:{_any_colour(rng)}", (x, y, x + wide, y + high), alpha)


def _any_colour(rng: np.random.Generator) -> str:
    return f"{int(rng.integers(0x1000000)):06x}"


def scenery(rng: np.random.Generator, image: Picture, spec: str, alpha: float) -> None:
    """Draw `mountains`, `hills`, `waves`, `skyline`, `rays`, a `photo` or a shape (`name:rrggbb`) across the plate."""
    name, _, code = spec.partition(":")
    high, wide = image.shape[:2]
    if name == "photo":  # something colourful, faded and out of focus
        cells = int(rng.integers(3, 9))
        patches = rng.integers(0, 256, (cells, 2 * cells, 3), np.uint8)
        blurred = cv2.resize(patches, (wide, high), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        reach = np.clip(np.linspace(rng.uniform(-1, 2), rng.uniform(-1, 2), high), 0, 1) * 255
        blend(image, np.repeat(reach.astype(np.uint8)[:, None], wide, 1), blurred, alpha * 0.6)
        return
    mask = np.zeros((high, wide), np.uint8)
    base = rng.uniform(0.35, 0.8)
    steps = {"mountains": 9, "hills": 5, "waves": 24, "skyline": 22}.get(name)
    if steps is not None:
        x = np.linspace(-0.02, 1.02, steps)
        y = base + rng.normal(0, {"mountains": 0.13, "hills": 0.07, "waves": 0.02, "skyline": 0.05}[name], steps)
        if name == "skyline":
            x, y = np.repeat(x, 2)[1:-1], np.repeat(y, 2)[: 2 * steps - 2]
        elif name != "mountains":
            x_fine = np.linspace(0, 1, 60)
            x, y = x_fine, np.interp(x_fine, x, y)
            y = np.convolve(np.pad(y, 4, mode="edge"), np.ones(9) / 9, "valid")
        bottom = 1.0 if rng.random() < 0.7 else base + 0.2
        points = np.concatenate([np.stack([x, y], 1), [[1.02, bottom], [-0.02, bottom]]])
        _polygon(mask, points)
        blend(image, mask, colour(code), alpha)
    elif name == "rays":
        for angle in np.linspace(np.pi, 2 * np.pi, 14):
            tip = np.array([0.5 + 1.2 * np.cos(angle), 0.7 + 1.2 * np.sin(angle)])
            _polygon(mask, np.stack([np.array([0.5, 0.7]), tip, tip + np.array([0.09, 0])]))
        blend(image, mask, colour(code), alpha)
    else:
        side = high * rng.uniform(0.5, 1.0)
        x, y = rng.uniform(-0.05, 0.8) * wide, rng.uniform(0, 0.4) * high
        stamp(rng, image, spec, (x, y, x + side, y + side), alpha)
