"""The empty lane as each camera sees it: yard, portal, road; by day, by night, wet."""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from hardware_sim.cameras.geometry import HEIGHT, WIDTH
from hardware_sim.cameras.view import Look
from hardware_sim.cameras.weather import wet
from hardware_sim.world.plates import Colour

_PILLAR: Colour = (206, 176, 40)
_INFRARED = 0.16  # of the light by day


def plate_background(look: Look) -> Image.Image:
    """Out of focus behind the trucks: yard, a portal pillar, a kerb."""
    image = _ground((150, 162, 172), (176, 178, 172), (118, 116, 112), (92, 92, 92), 300)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 120, 520, 300), fill=(128, 118, 104))
    draw.rectangle((620, 60, 980, 300), fill=(140, 146, 150))
    for x in range(640, 980, 60):
        draw.rectangle((x, 100, x + 30, 150), fill=(84, 100, 112))
    draw.rectangle((20, 0, 118, 520), fill=_PILLAR)  # the portal's pillar on the far side
    draw.rectangle((20, 400, 118, 430), fill=(40, 40, 40))
    draw.polygon([(0, 560), (WIDTH, 470), (WIDTH, 492), (0, 600)], fill=(188, 182, 150))
    image = image.filter(ImageFilter.GaussianBlur(7))
    if look.rain:
        _mirror(image, 330, 0.5)
    _asphalt(image, 330)
    return _infrared(image, look)


def rear_background(look: Look) -> Image.Image:
    """Along the lane: the exit with its booth and barrier, a fence, trees; a low camera sees much sky."""
    horizon = 606
    image = _ground((142, 166, 194), (206, 212, 216), (126, 124, 120), (96, 95, 94), horizon)
    draw = ImageDraw.Draw(image)
    random = np.random.default_rng(9)
    for x in range(-40, WIDTH + 60, 46):
        top = horizon - int(random.integers(60, 130))
        draw.ellipse((x - 50, top, x + 50, horizon + 30), fill=(78 + int(random.integers(0, 24)), 98, 76))
    for x in range(0, WIDTH, 24):
        draw.line((x, horizon - 46, x, horizon), fill=(150, 152, 154), width=2)
    draw.rectangle((0, horizon, WIDTH, horizon + 20), fill=(126, 124, 120))
    draw.rectangle((1060, 360, 1230, horizon + 20), fill=(176, 172, 164))  # the exit's booth
    draw.rectangle((1080, 400, 1210, 490), fill=(70, 84, 96))
    draw.rectangle((960, 250, 990, horizon + 20), fill=_PILLAR)
    draw.polygon([(0, 668), (330, horizon + 14), (346, horizon + 14), (60, 690)], fill=(204, 198, 168))
    image = image.filter(ImageFilter.GaussianBlur(4))
    if look.rain:
        _mirror(image, horizon, 0.55)
    _asphalt(image, horizon)
    return _infrared(image, look)


def container_background(look: Look) -> Image.Image:
    """Across the lane: a wall, the yard, the road; by night not yet under the lamp."""
    image = _ground((158, 178, 200), (196, 204, 210), (128, 126, 120), (104, 103, 101), 430)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 330, WIDTH, 470), fill=(168, 164, 156))
    for x in range(0, WIDTH, 160):
        draw.rectangle((x, 330, x + 3, 470), fill=(140, 136, 130))
    draw.rectangle((990, 0, 1034, 640), fill=_PILLAR)  # the portal's pillar on the far side
    image = image.filter(ImageFilter.GaussianBlur(3))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 690, WIDTH, 702), fill=(200, 196, 176))
    if look.rain:
        _mirror(image, 470, 0.5)
    _asphalt(image, 470)
    if look.night:  # what the floodlight does not reach: the sky and the far wall
        fall = np.interp(np.arange(HEIGHT), [0, 330, 520], [0.16, 0.3, 1.0])[:, None, None]
        image = Image.fromarray(np.rint(np.asarray(image) * fall).astype(np.uint8))
    return wet(image) if look.rain else image


def lamp() -> Image.Image:
    """A floodlight over the lane by night: warm in the middle, dark at the edges."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    away = ((x - WIDTH * 0.5) / (WIDTH * 0.62)) ** 2 + ((y - HEIGHT * 0.36) / (HEIGHT * 0.75)) ** 2
    light = 0.13 + 0.42 * np.exp(-away * 1.3)
    warm = light[:, :, None] * np.array([255.0, 240.0, 214.0])
    return Image.fromarray(np.clip(warm, 0, 255).astype(np.uint8))


def _infrared(image: Image.Image, look: Look) -> Image.Image:
    if look.night:
        image = image.convert("L").point([round(v * _INFRARED) for v in range(256)])
    return wet(image) if look.rain else image


def _gradient(top: Colour, bottom: Colour, height: int) -> Image.Image:
    rows = np.linspace(np.array(top, float), np.array(bottom, float), max(1, height))
    return Image.fromarray(np.rint(np.repeat(rows[:, None, :], WIDTH, axis=1)).astype(np.uint8))


def _ground(sky: Colour, low: Colour, far: Colour, near: Colour, horizon: int) -> Image.Image:
    image = Image.new("RGB", (WIDTH, HEIGHT))
    image.paste(_gradient(sky, low, horizon), (0, 0))
    image.paste(_gradient(far, near, HEIGHT - horizon), (0, horizon))
    return image


def _asphalt(image: Image.Image, top: int) -> None:
    """Grain on the road."""
    random = np.random.default_rng(5)
    grain = random.normal(0, 9, ((HEIGHT - top) // 3 + 1, WIDTH // 6 + 1))
    small = Image.fromarray(np.clip(128 + grain, 0, 255).astype(np.uint8)).resize(
        (WIDTH, HEIGHT - top), Image.Resampling.BICUBIC
    )
    road = image.crop((0, top, WIDTH, HEIGHT))
    image.paste(ImageChops.add(road, Image.merge("RGB", (small,) * 3), 1, -128), (0, top))


def _mirror(image: Image.Image, horizon: int, share: float) -> None:
    """A wet road: what stands above the horizon lies in it, upside down and drawn out."""
    high = HEIGHT - horizon
    above = image.crop((0, max(0, horizon - high), WIDTH, horizon)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    above = (
        above.resize((WIDTH, high)).filter(ImageFilter.BoxBlur((3, 16))).point([round(v * 0.9) for v in range(256)] * 3)
    )
    road = image.crop((0, horizon, WIDTH, HEIGHT)).point([round(v * 0.62) for v in range(256)] * 3)
    image.paste(Image.blend(road, above, share), (0, horizon))
