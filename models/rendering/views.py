"""Where vehicles stand, and what lies between them and the file: a street, night, rain, lamps, the camera."""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from models.rendering.drawn import Colour, Picture, chance, pick
from models.rendering.surfaces import Field, Rng, as_image, noise, rough
from models.rendering.wear import streak

Lamp = tuple[float, float, float, bool]
"""Middle x and y and radius in pixels; whether it is red."""


Hour = Literal["day", "dusk", "night", "infrared"]


def street(rng: Rng, height: int, width: int) -> Field:
    """A place without writing: sky, horizon, houses or sheds, trees, ground with lines; height × width × 3."""
    image = np.empty((height, width, 3), np.float32)
    horizon = round(height * float(rng.uniform(0.1, 0.5)))
    skies: tuple[Colour, ...] = ((225, 205, 185), (220, 220, 220), (235, 215, 160), (190, 170, 160))
    sky = np.array(pick(rng, skies), np.float32)
    image[:] = sky * (1 + 0.1 * (rough(rng, height, width, height * 0.5) - 0.5))[..., None]
    for _ in range(int(rng.integers(1, 9))):
        _backdrop(rng, image, horizon)
    tone = float(rng.uniform(70, 160))
    ground = np.array([tone, tone, tone], np.float32) * rng.uniform(0.9, 1.08, 3).astype(np.float32)
    floor = image[horizon:]
    floor[:] = ground
    floor *= (0.75 + 0.5 * rough(rng, floor.shape[0], floor.shape[1], height * 0.3))[..., None]
    floor += (rng.standard_normal(floor.shape[:2], np.float32) * float(rng.uniform(1, 9)))[..., None]
    vanish = np.array([width * float(rng.uniform(0.1, 0.9)), horizon])
    for _ in range(int(rng.integers(0, 5))):
        foot = np.array([width * float(rng.uniform(-0.8, 1.8)), height * 1.1])
        near = vanish + (foot - vanish) * float(rng.uniform(0.05, 0.4))
        shade = float(rng.uniform(30, 235))
        cv2.line(image, _point(near), _point(foot), (shade, shade, shade), int(rng.integers(1, 9)), cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 4))):
        x, thick = float(rng.uniform(0, width)), max(2, round(width * float(rng.uniform(0.004, 0.03))))
        shade = float(rng.uniform(30, 200))
        foot_y = round(horizon + (height - horizon) * float(rng.uniform(0, 0.9)))
        cv2.line(image, (round(x), 0), (round(x), foot_y), (shade, shade, shade), thick)
        if chance(rng, 0.3):  # a bollard or barrier, striped
            for i in range(6):
                part = image[foot_y - 12 * (i + 1) : foot_y - 12 * i, max(0, round(x) - thick) : round(x) + thick]
                part[:] = (40, 40, 200) if i % 2 else (230, 230, 230)
    return image


def _point(p: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[int, int]:
    return round(float(p[0])), round(float(p[1]))


def _backdrop(rng: Rng, image: Field, horizon: int) -> None:
    """A house with windows, a shed with ribs, or trees."""
    height, width = image.shape[:2]
    wide, tall = round(width * float(rng.uniform(0.1, 0.6))), round(height * float(rng.uniform(0.08, 0.5)))
    x, foot = round(float(rng.uniform(-0.2, 1)) * width), horizon + round(height * float(rng.uniform(0, 0.12)))
    top = max(0, foot - tall)
    part = image[top:foot, max(0, x) : x + wide]
    if min(part.shape[:2]) < 6:
        return
    if chance(rng, 0.35):
        leaf = np.array([45, 75, 60], np.float32) * float(rng.uniform(0.5, 1.5))
        grain = rough(rng, part.shape[0], part.shape[1], max(4.0, tall / 4))
        upper = np.linspace(-0.25, 0.4, part.shape[0], dtype=np.float32)[:, None]
        aside = 0.6 * np.abs(np.linspace(-1, 1, part.shape[1], dtype=np.float32))[None] ** 3
        edge = np.clip((grain + upper - aside - 0.35) * 12, 0, 1)
        part += (leaf * (0.4 + 1.2 * grain[..., None]) - part) * edge[..., None]
        return
    part[:] = rng.uniform(50, 215, 3).astype(np.float32) * 0.5 + float(rng.uniform(25, 100))
    part *= (0.85 + 0.3 * rough(rng, part.shape[0], part.shape[1], tall / 2))[..., None]
    step = max(6, round(tall / float(rng.uniform(2, 7))))
    if chance(rng, 0.65):
        shade = float(rng.uniform(0.3, 1.4))
        for y in range(step // 3, part.shape[0] - step // 2, step):
            for left in range(step // 3, part.shape[1] - step // 2, step):
                part[y : y + step // 2, left : left + step // 2] *= shade * float(rng.uniform(0.8, 1.1))
    else:
        ribs = 1 + 0.12 * np.sin(np.arange(part.shape[1], dtype=np.float32) * 2 * np.pi / max(4, step // 3))
        part *= ribs[None, :, None]


def hour(rng: Rng) -> Hour:
    """Day mostly."""
    hours: tuple[Hour, ...] = ("day", "dusk", "night", "infrared")
    return pick(rng, hours, (0.67, 0.12, 0.12, 0.09))


def weather(rng: Rng, image: Field, lamps: Sequence[Lamp], kind: Hour) -> Field:
    """Light and weather over the whole view at that hour; lit lamps with glare; rain, haze."""
    height, width = image.shape[:2]
    if kind == "day":
        image = image * float(np.exp(rng.normal(0, 0.2))) * rng.normal(1, 0.05, 3).astype(np.float32)
        if chance(rng, 0.25):
            image = _shadow(rng, image)
    elif kind == "infrared":
        grey = image @ rng.dirichlet([1, 2, 3]).astype(np.float32)
        image = np.repeat(grey[..., None], 3, 2)
        x, y = float(rng.uniform(0.2, 0.8)) * width, float(rng.uniform(0.3, 0.8)) * height
        image = image * (0.12 + float(rng.uniform(0.7, 1.3)) * _spot(height, width, x, y, 0.45 * width))[..., None]
    else:
        level = float(rng.uniform(0.3, 0.6) if kind == "dusk" else rng.uniform(0.12, 0.35))
        image = image * level * rng.uniform(0.75, 1.2, 3).astype(np.float32)
        x, y = float(rng.uniform(0.2, 0.8)) * width, float(rng.uniform(0.4, 0.9)) * height
        own = _spot(height, width, x, y, float(rng.uniform(0.3, 0.7)) * width)[..., None]
        image = image * (1 + own * float(rng.uniform(0.5, 2.5)))
    lit = kind in ("dusk", "night") or (kind == "infrared" and chance(rng, 0.6)) or chance(rng, 0.12)
    if lit:
        _glow(rng, image, lamps, dark=kind != "day")
    if chance(rng, 0.1):
        image = _rain(rng, image)
    if chance(rng, 0.1):
        fog = float(rng.uniform(0.1, 0.5))
        image = image * (1 - fog) + fog * float(rng.uniform(90, 200) if kind == "day" else rng.uniform(20, 80))
    return image.astype(np.float32, copy=False)


def camera(rng: Rng, image: Field) -> Picture:
    """Defocus, motion, gain, noise, grey cameras, gamma."""
    height = image.shape[0]
    if chance(rng, 0.35):
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.3)) * height / 640).astype(np.float32)
    if chance(rng, 0.12):
        length = int(rng.integers(3, 12)) | 1
        image = cv2.filter2D(image, -1, streak(length, float(rng.normal(0, 0.4)))).astype(np.float32)
    if chance(rng, 0.25):
        soft = cv2.GaussianBlur(image, (0, 0), 1.2)
        image = image + (image - soft) * float(rng.uniform(0.3, 1.3))
    if chance(rng, 0.5):
        image = np.power(np.clip(image, 0, 400) / 255, float(np.exp(rng.normal(0, 0.2))), dtype=np.float32) * 255
    if chance(rng, 0.07):
        image = np.repeat(image.mean(2, keepdims=True), 3, 2)
    if chance(rng, 0.6):
        grain = rng.standard_normal(image.shape[:2], np.float32) * abs(float(rng.normal(0, 6)))
        image = image + grain[..., None]
    return as_image(image)


def as_jpeg(rng: Rng, image: Picture) -> Picture:
    """As a camera's file comes back."""
    if chance(rng, 0.25):
        return image
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 96))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _spot(height: int, width: int, x: float, y: float, radius: float) -> Field:
    across = ((np.arange(width, dtype=np.float32) - x) / radius) ** 2
    down = ((np.arange(height, dtype=np.float32) - y) / radius) ** 2
    return np.exp(-across[None] - down[:, None]).astype(np.float32)


def _shadow(rng: Rng, image: Field) -> Field:
    height, width = image.shape[:2]
    shade = np.ones((height, width), np.float32)
    points = rng.uniform(-0.3, 1.3, (4, 2)) * [width, height]
    cv2.fillPoly(shade, [cv2.convexHull(points.astype(np.int32))], float(rng.uniform(0.4, 0.75)))
    return (image * cv2.GaussianBlur(shade, (0, 0), float(rng.uniform(1, 8)))[..., None]).astype(np.float32)


def _glow(rng: Rng, image: Field, lamps: Sequence[Lamp], dark: bool) -> None:
    height, width = image.shape[:2]
    for x, y, radius, red in lamps:
        if not chance(rng, 0.75):
            continue
        colour = np.array((40, 30, 255) if red else (235, 245, 255), np.float32)
        reach = max(3.0, radius * float(rng.uniform(1.2, 4 if dark else 2)))
        around = round(reach * 3)
        x0, y0, x1, y1 = (round(v) for v in (x - around, y - around, x + around, y + around))
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
        if x1 <= x0 or y1 <= y0:
            continue
        glow = _spot(y1 - y0, x1 - x0, x - x0, y - y0, reach)
        core = _spot(y1 - y0, x1 - x0, x - x0, y - y0, max(1.5, radius * 0.6))
        strength = float(rng.uniform(0.3, 1.0))
        image[y0:y1, x0:x1] += glow[..., None] * colour * strength + core[..., None] * 260 * strength


def _rain(rng: Rng, image: Field) -> Field:
    height, width = image.shape[:2]
    drops = (rng.random((height, width), np.float32) > 0.997).astype(np.float32)
    length = int(rng.integers(7, 25)) | 1
    lines = cv2.filter2D(drops, -1, streak(length, np.pi / 2 + float(rng.normal(0, 0.15)))) * length * 0.35
    image = image + (np.clip(lines, 0, 1) * float(rng.uniform(20, 90)))[..., None]
    if chance(rng, 0.5):  # drops on the glass
        for _ in range(int(rng.integers(3, 25))):
            r = round(height * float(rng.uniform(0.006, 0.03)))
            x, y = int(rng.integers(r, max(r + 1, width - r))), int(rng.integers(r, max(r + 1, height - r)))
            part = image[max(0, y - r) : y + r, max(0, x - r) : x + r]
            if min(part.shape[:2]) < 4:
                continue
            weight = np.zeros(part.shape[:2], np.float32)
            cv2.circle(
                weight, (part.shape[1] // 2, part.shape[0] // 2), r, float(rng.uniform(0.4, 0.9)), -1, cv2.LINE_AA
            )
            soft = cv2.GaussianBlur(part[::-1], (0, 0), max(1.0, r / 3)) * 1.1
            part += (soft - part) * weight[..., None]
    lift = noise(rng, height, width, height / 2) * float(rng.uniform(0, 40))
    return (image * 0.9 + lift[..., None]).astype(np.float32)
