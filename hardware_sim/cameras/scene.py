"""What each camera of the lane sees at a moment: the empty lane, and the trucks where they are.

Each truck is drawn once (`front.py`, `side.py`) and then only placed, since two cameras at several frames a second
must leave the processor to the software under test.
"""

import threading
from collections.abc import Callable
from math import atan2, radians, tan
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from hardware_sim.cameras import front, side
from hardware_sim.cameras.front import Front, draw_front, shade
from hardware_sim.cameras.side import Side, draw_side
from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Passage
from hardware_sim.world.truck import Truck

Drawn = TypeVar("Drawn")

WIDTH, HEIGHT = 1280, 720
_NOISE_IMAGES = 6
# Trucks in sight at once: one that leaves, one that comes, and one to spare.
_SPRITES_KEPT = 3
_DAY_NOISE, _NIGHT_NOISE = 2.5, 5.0
# The light of a lane changes this long before a truck of the other kind comes.
_DUSK_S = 1.2


class View(Protocol):
    """One camera's view of the lane."""

    def draw(self, at: float) -> Image.Image | None:
        """The frame at `at` without sensor noise; None while the lane before the camera is empty."""
        ...

    def empty(self, at: float) -> Image.Image:
        """The empty lane, by day or by night."""
        ...

    def night(self, at: float) -> bool: ...


class _Sprites(Generic[Drawn]):
    """The last few trucks' drawings."""

    def __init__(self, draw: Callable[[Truck], Drawn]) -> None:
        self._draw = draw
        self._kept: dict[int, Drawn] = {}
        self._lock = threading.Lock()

    def of(self, truck: Truck) -> Drawn:
        with self._lock:
            if truck.index not in self._kept:
                while len(self._kept) >= _SPRITES_KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[truck.index] = self._draw(truck)
            return self._kept[truck.index]


def is_night(lane: Lane, at: float) -> bool:
    """By day or by night goes with the truck that is there or comes next."""
    here = lane.last_within(at + _DUSK_S)
    return here is not None and here.night


class PlateView:
    """A camera on a low pole beside the lane, past the portal, that looks back at what comes out of it.

    Geometry in metres; the lens is long, as for reading plates, so that a plate is some 130 to 210 pixels wide
    where trucks go slowly.
    """

    POLE_M, BESIDE_M, POLE_HEIGHT_M = 12.5, 3.0, 0.9
    FOCAL_PX, YAW = 5200.0, radians(19.5)
    AIM = POLE_HEIGHT_M - 0.55, 9.0  # what lies this far below the camera at this distance is halfway up the frame

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._sprites: _Sprites[Front] = _Sprites(draw_front)
        self._empty = {night: _plate_background(night) for night in (False, True)}

    def night(self, at: float) -> bool:
        return is_night(self._lane, at)

    def empty(self, at: float) -> Image.Image:
        return self._empty[self.night(at)]

    def draw(self, at: float) -> Image.Image | None:
        frame: Image.Image | None = None
        for passage in reversed(self._lane.seen(at)):  # the nearest last
            position = passage.position(at)
            near, far = self.POLE_M - position, self.POLE_M - position + passage.truck.length_m
            if far < 0.5 or self._x(near, self.BESIDE_M + 1.25) >= WIDTH:
                continue
            frame = frame or self._empty[self.night(at)].copy()
            self._draw_side(frame, passage.truck, near, far)
            if near > 2.0:
                self._draw_front(frame, passage.truck, near)
        return frame

    def _x(self, ahead: float, beside: float) -> float:
        angle = min(atan2(beside, ahead), self.YAW + radians(40))
        return WIDTH / 2 - self.FOCAL_PX * tan(angle - self.YAW)

    def _y(self, ahead: float, height: float) -> float:
        drop, distance = self.AIM
        return HEIGHT / 2 + self.FOCAL_PX * ((self.POLE_HEIGHT_M - height) / max(ahead, 0.5) - drop / distance)

    def _draw_front(self, frame: Image.Image, truck: Truck, ahead: float) -> None:
        image = self._sprites.of(truck).image
        x0, x1 = self._x(ahead, self.BESIDE_M + 1.25), self._x(ahead, self.BESIDE_M - 1.25)
        y0, y1 = self._y(ahead, front.HEIGHT_M), self._y(ahead, 0.0)
        left, top, right, bottom = max(0, round(x0)), max(0, round(y0)), min(WIDTH, round(x1)), min(HEIGHT, round(y1))
        if left >= right or top >= bottom:
            return
        sx, sy = image.width / (x1 - x0), image.height / (y1 - y0)
        seen = (
            max(0.0, (left - x0) * sx),
            max(0.0, (top - y0) * sy),
            min(float(image.width), (right - x0) * sx),
            min(float(image.height), (bottom - y0) * sy),
        )
        frame.paste(image.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=seen), (left, top))

    def _draw_side(self, frame: Image.Image, truck: Truck, near: float, far: float) -> None:
        """The side that faces the camera, in perspective: cab, gap, container, and the chassis under it."""
        draw, dim = ImageDraw.Draw(frame), 0.14 if truck.night else 0.72
        beside = self.BESIDE_M - 1.25

        def wall(begin: float, end: float, low: float, high: float, colour: tuple[int, int, int]) -> None:
            a, b = max(near + begin, 0.5), max(min(near + end, far), 0.5)
            if b <= a:
                return
            xa, xb = self._x(a, beside), self._x(b, beside)
            draw.polygon(
                [(xa, self._y(a, high)), (xb, self._y(b, high)), (xb, self._y(b, low)), (xa, self._y(a, low))],
                fill=colour,
            )

        def grey(colour: tuple[int, int, int]) -> tuple[int, int, int]:
            return (sum(colour) // 3,) * 3 if truck.night else colour

        paint, container = grey(truck.paint), grey(truck.container_paint)
        wall(0.0, far, 0.0, 1.1, shade((60, 60, 62), dim))
        wall(0.0, 4.0, 0.3, 3.3, shade(paint, dim))
        wall(0.6, 1.5, 0.0, 1.0, shade((30, 30, 30), dim))
        begin, end = truck.container_from_m, truck.container_from_m + truck.container_m
        wall(begin, end, 1.15, 3.9, shade(container, dim))
        for fold in range(round(truck.container_m / 0.56)):
            at = begin + fold * 0.56
            wall(at, at + 0.2, 1.3, 3.9, shade(container, dim * 0.86))


class ContainerView:
    """A camera across the lane, just before the portal, that sees the container's side come by."""

    CENTRE_M = -2.4
    ROAD_Y = 705

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._sprites: _Sprites[Side] = _Sprites(draw_side)
        self._lamp = _lamp()
        day = _container_background()
        self._behind = {False: day, True: _night_sky(day)}
        self._empty = {False: day, True: self._by_night(self._behind[True])}

    def night(self, at: float) -> bool:
        return is_night(self._lane, at)

    def empty(self, at: float) -> Image.Image:
        return self._empty[self.night(at)]

    def draw(self, at: float) -> Image.Image | None:
        frame: Image.Image | None = None
        night = self.night(at)
        for passage in reversed(self._lane.seen(at)):
            right = WIDTH / 2 + (passage.position(at) - self.CENTRE_M) * side.PX_PER_M
            if right <= 0 or right - passage.truck.length_m * side.PX_PER_M >= WIDTH:
                continue
            frame = frame or self._behind[night].copy()
            self._place(frame, passage, round(right))
        if frame is None:
            return None
        return self._by_night(frame) if night else frame

    def _place(self, frame: Image.Image, passage: Passage, right: int) -> None:
        sprite = self._sprites.of(passage.truck)
        left, top = right - sprite.image.width, self.ROAD_Y - sprite.image.height
        seen = (max(0, -left), max(0, -top), min(sprite.image.width, WIDTH - left), sprite.image.height)
        frame.paste(sprite.image.crop(seen), (left + seen[0], top + seen[1]), sprite.mask.crop(seen))

    def _by_night(self, frame: Image.Image) -> Image.Image:
        return ImageChops.multiply(frame, self._lamp)


class Noise:
    """What a sensor adds: a few fixed noise images, taken in turn, so that no two frames are alike."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng([seed, 77])
        # Drawing millions of normal numbers takes a second of a start: one grain is drawn and shifted about.
        grain = random.normal(0, 1, (HEIGHT, WIDTH, 1)) + random.normal(0, 1 / 3, (HEIGHT, WIDTH, 3))
        shifts = [(int(dy), int(dx)) for dy, dx in random.integers(40, 600, (_NOISE_IMAGES, 2))]
        self._images = {
            night: [_noise_image(np.roll(grain, shift, (0, 1)), sigma) for shift in shifts]
            for night, sigma in ((False, _DAY_NOISE), (True, _NIGHT_NOISE))
        }

    def add(self, frame: Image.Image, number: int, *, night: bool) -> Image.Image:
        return ImageChops.add(frame, self._images[night][number % _NOISE_IMAGES], 1, -128)


def _noise_image(grain: NDArray[np.float64], sigma: float) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(128 + sigma * grain), 0, 255).astype(np.uint8))


def _gradient(top: tuple[int, int, int], bottom: tuple[int, int, int], height: int) -> Image.Image:
    rows = np.linspace(np.array(top, float), np.array(bottom, float), max(1, height))
    return Image.fromarray(np.rint(np.repeat(rows[:, None, :], WIDTH, axis=1)).astype(np.uint8))


def _asphalt(image: Image.Image, top: int) -> None:
    """Grain on the road."""
    random = np.random.default_rng(5)
    grain = random.normal(0, 9, ((HEIGHT - top) // 3 + 1, WIDTH // 6 + 1))
    small = Image.fromarray(np.clip(128 + grain, 0, 255).astype(np.uint8)).resize(
        (WIDTH, HEIGHT - top), Image.Resampling.BICUBIC
    )
    road = image.crop((0, top, WIDTH, HEIGHT))
    image.paste(ImageChops.add(road, Image.merge("RGB", (small,) * 3), 1, -128), (0, top))


def _plate_background(night: bool) -> Image.Image:
    """Out of focus behind the trucks: yard, a portal pillar, a kerb."""
    image = Image.new("RGB", (WIDTH, HEIGHT))
    image.paste(_gradient((150, 162, 172), (176, 178, 172), 300), (0, 0))
    image.paste(_gradient((118, 116, 112), (92, 92, 92), HEIGHT - 300), (0, 300))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 120, 520, 300), fill=(128, 118, 104))
    draw.rectangle((620, 60, 980, 300), fill=(140, 146, 150))
    for x in range(640, 980, 60):
        draw.rectangle((x, 100, x + 30, 150), fill=(84, 100, 112))
    draw.rectangle((20, 0, 118, 520), fill=(206, 176, 40))  # the portal's pillar on the far side
    draw.rectangle((20, 400, 118, 430), fill=(40, 40, 40))
    draw.polygon([(0, 560), (WIDTH, 470), (WIDTH, 492), (0, 600)], fill=(188, 182, 150))
    image = image.filter(ImageFilter.GaussianBlur(7))
    _asphalt(image, 330)
    if not night:
        return image
    dark = image.convert("L").point([round(v * 0.16) for v in range(256)])
    return Image.merge("RGB", (dark, dark, dark))


def _container_background() -> Image.Image:
    """Across the lane: a wall, the yard, the road."""
    image = Image.new("RGB", (WIDTH, HEIGHT))
    image.paste(_gradient((158, 178, 200), (196, 204, 210), 430), (0, 0))
    image.paste(_gradient((128, 126, 120), (104, 103, 101), HEIGHT - 430), (0, 430))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 330, WIDTH, 470), fill=(168, 164, 156))
    for x in range(0, WIDTH, 160):
        draw.rectangle((x, 330, x + 3, 470), fill=(140, 136, 130))
    draw.rectangle((990, 0, 1034, 640), fill=(206, 176, 40))  # the portal's pillar on the far side
    image = image.filter(ImageFilter.GaussianBlur(3))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 690, WIDTH, 702), fill=(200, 196, 176))
    _asphalt(image, 470)
    return image


def _night_sky(day: Image.Image) -> Image.Image:
    """What the floodlight does not reach: the sky and the far wall."""
    fall = np.interp(np.arange(HEIGHT), [0, 330, 520], [0.16, 0.3, 1.0])[:, None, None]
    return Image.fromarray(np.rint(np.asarray(day) * fall).astype(np.uint8))


def _lamp() -> Image.Image:
    """A floodlight over the lane by night: warm in the middle, dark at the edges."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    away = ((x - WIDTH * 0.5) / (WIDTH * 0.62)) ** 2 + ((y - HEIGHT * 0.36) / (HEIGHT * 0.75)) ** 2
    light = 0.13 + 0.42 * np.exp(-away * 1.3)
    warm = light[:, :, None] * np.array([255.0, 240.0, 214.0])
    return Image.fromarray(np.clip(warm, 0, 255).astype(np.uint8))


__all__ = ["HEIGHT", "WIDTH", "ContainerView", "Noise", "PlateView", "View", "is_night"]
