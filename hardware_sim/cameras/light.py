"""Lamps that glare, and the sun in the lens."""

from functools import cache, lru_cache
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from hardware_sim.cameras.geometry import HEIGHT, WIDTH

_GLOW_PX = 256


@cache
def _glow(star: bool) -> Image.Image:
    """A lamp's glow as light to be added: a burnt-out core, a halo, with `star` the streaks of a lens."""
    y, x = (np.mgrid[0:_GLOW_PX, 0:_GLOW_PX] - _GLOW_PX / 2 + 0.5) / (_GLOW_PX / 2)
    away = np.hypot(x, y)
    light = 1.5 * np.exp(-((away / 0.15) ** 2)) + 0.42 * np.exp(-away / 0.20)
    if star:
        for turned in (0.12, 0.12 + np.pi / 3, 0.12 + 2 * np.pi / 3):
            along, across = x * np.cos(turned) + y * np.sin(turned), y * np.cos(turned) - x * np.sin(turned)
            light += 0.5 * np.exp(-np.abs(along) / 0.3) * np.exp(-((across / 0.018) ** 2))
    light *= np.clip((1 - away) * 3, 0, 1)
    return Image.fromarray((np.clip(light, 0, 1) * 255).astype(np.uint8))


@lru_cache(maxsize=64)
def _sized(size: tuple[int, int], share: int, star: bool) -> Image.Image:
    return _glow(star).resize(size, Image.Resampling.BILINEAR).point([round(v * share / 100) for v in range(256)])


def shine(
    frame: Image.Image,
    at: tuple[float, float],
    radius: float,
    strength: float = 1.0,
    colour: tuple[int, int, int] = (255, 255, 255),
    *,
    star: bool = True,
    tall: float = 1.0,
) -> None:
    """Add a lamp's glow around a place of the frame; `tall` draws it out, as a wet road does."""
    wide, high = max(4, round(radius / 4) * 8), max(4, round(radius * tall / 4) * 8)
    left, top = round(at[0] - wide / 2), round(at[1] - high / 2)
    mask = _sized((wide, high), round(min(1.0, strength) * 100), star)
    seen = (max(0, -left), max(0, -top), min(wide, frame.width - left), min(high, frame.height - top))
    if seen[0] < seen[2] and seen[1] < seen[3]:
        frame.paste(colour if frame.mode == "RGB" else colour[0], (left + seen[0], top + seen[1]), mask.crop(seen))


class Flare:
    """A low sun, or a lamp, that shines into one camera's lens; where it stands follows from the seed."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._veils: dict[tuple[float, bool], Image.Image] = {}

    def over(self, frame: Image.Image, strength: float, *, grey: bool = False) -> Image.Image:
        """The frame (RGB) behind the veil; `strength` 1 hides about a third of it. `grey`: an infrared camera's."""
        kind = round(strength, 2), grey
        if kind not in self._veils:
            veil = _veil(self._seed, kind[0])
            self._veils = {kind: veil.convert("L").convert("RGB") if grey else veil}
        return ImageChops.screen(frame, self._veils[kind])


def _veil(seed: str, strength: float) -> Image.Image:
    """A burnt-out disc with its halo and rays, ghosts of the lens opposite to it, and scattered light over all."""
    random = Random(f"flare/{seed}")
    sx, sy = WIDTH * random.uniform(0.28, 0.72), HEIGHT * random.uniform(0.12, 0.38)
    y, x = np.mgrid[0 : HEIGHT // 2, 0 : WIDTH // 2] * 2.0 + 1
    away = np.hypot(x - sx, y - sy)
    reach = 270.0 * strength**0.5
    light = 1.35 * np.exp(-((away / reach) ** 2)) + 0.5 * np.exp(-away / (1.6 * reach)) + 0.10
    angle = np.arctan2(y - sy, x - sx)
    light += 0.22 * np.exp(-away / (2.6 * reach)) * np.abs(np.cos(angle * 7 + random.random())) ** 24
    light = light * min(1.0, strength) if strength < 1 else light
    veil = light[:, :, None] * np.array([255.0, 246.0, 226.0])
    for share in (0.45, 0.8, 1.25, 1.6):
        gx, gy = sx + (WIDTH / 2 - sx) * 2 * share, sy + (HEIGHT / 2 - sy) * 2 * share
        radius = random.uniform(24, 80)
        tint = np.array([random.uniform(10, 60), random.uniform(30, 70), random.uniform(10, 60)])
        veil += (np.hypot(x - gx, y - gy) < radius)[:, :, None] * tint * min(1.5, strength)
    image = Image.fromarray(np.clip(veil, 0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(2)).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
