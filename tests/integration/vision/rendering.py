"""Pictures drawn for the tests with Pillow's own scalable font."""

from collections.abc import Sequence

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from edge_agent.vision.frame import Image

Text = tuple[int, int, str, int]  # x, y, text, size


def picture(
    texts: Sequence[Text] = (), width: int = 960, height: int = 540, background: tuple[int, int, int] = (60, 70, 90)
) -> Image:
    """White texts on a plain background, blue-green-red."""
    canvas = Pillow.new("RGB", (width, height), background)
    draw = ImageDraw.Draw(canvas)
    for x, y, text, size in texts:
        draw.text((x, y), text, font=ImageFont.load_default(size), fill=(245, 245, 245))
    return np.ascontiguousarray(np.asarray(canvas)[:, :, ::-1])


def plate(text: str, x: int = 380, y: int = 380, width: int = 960, height: int = 540) -> Image:
    """A dark vehicle with a white plate and black characters on it."""
    canvas = Pillow.new("RGB", (width, height), (60, 70, 90))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((x - 200, y - 250, x + 420, y + 100), fill=(40, 40, 45))
    font = ImageFont.load_default(48)
    left, top, right, bottom = draw.textbbox((x, y), text, font=font)
    draw.rectangle((left - 12, top - 10, right + 12, bottom + 10), fill=(240, 240, 235))
    draw.text((x, y), text, font=font, fill=(15, 15, 20))
    return np.ascontiguousarray(np.asarray(canvas)[:, :, ::-1])


def noisy(image: Image, seed: int) -> Image:
    """With a sensor's noise, so that no two frames are the same."""
    noise = np.random.default_rng(seed).normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def boxed(image: Image, x: int, y: int, w: int, h: int) -> Image:
    """A frame as painted around a check digit."""
    out = image.copy()
    for inset in range(4):
        out[y + inset, x : x + w] = out[y + h - inset, x : x + w] = 245
        out[y : y + h, x + inset] = out[y : y + h, x + w - inset] = 245
    return out
