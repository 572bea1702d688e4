"""Rain before a camera: streaks that fall, droplets on the glass, and less contrast behind them.

All of it follows from a seed and the moment alone, whoever looks and how often.
"""

from functools import cache
from math import floor
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from hardware_sim.cameras.geometry import HEIGHT, WIDTH

# What contrast is left behind the rain, and the grey to which the rest turns; by night nothing lights the haze.
_KEPT, _HAZE = 0.66, 118
_STREAKS = 420
_TILE = (WIDTH + 256, HEIGHT * 2)
_DROPLETS = 12
_DROPLET_S = 9.0  # for how long one hangs on the glass
_STREAK_LIGHT = {False: (206, 212, 218), True: (150, 152, 156)}


def wet(image: Image.Image) -> Image.Image:
    """What is behind rain: darker colours of wet surfaces, and then the haze over them."""
    dark = float(np.asarray(image.convert("L").resize((8, 8), Image.Resampling.BOX)).mean()) < 60
    haze = 26 if dark else _HAZE
    table = [round(v * 0.9 * _KEPT + haze * (1 - _KEPT)) for v in range(256)]
    return image.point(table * len(image.getbands()))


class Rain:
    """One camera's rain."""

    def __init__(self, seed: str) -> None:
        self._seed = seed

    def over(self, frame: Image.Image, at: float, *, night: bool) -> None:
        """Let it rain before a frame of full size at `at`, in seconds."""
        tile = _streaks()
        random = Random(f"rain/{self._seed}/{round(at * 1000)}")
        left, top = random.randrange(tile.width - WIDTH), random.randrange(tile.height - HEIGHT)
        light = _STREAK_LIGHT[night]
        frame.paste(
            light if frame.mode == "RGB" else light[0], (0, 0), tile.crop((left, top, left + WIDTH, top + HEIGHT))
        )
        for number in range(_DROPLETS):
            self._droplet(frame, number, at)

    def _droplet(self, frame: Image.Image, number: int, at: float) -> None:
        """A droplet is a small wide-angle lens: what is behind it stands in it upside down, small and soft."""
        epoch = floor(at / _DROPLET_S + number / _DROPLETS)
        random = Random(f"droplet/{self._seed}/{number}/{epoch}")
        radius = random.randint(9, 26)
        x, y = random.randrange(radius, WIDTH - radius), random.randrange(radius, HEIGHT - radius)
        around = (
            max(0, x - 4 * radius),
            max(0, y - 3 * radius),
            min(WIDTH, x + 4 * radius),
            min(HEIGHT, y + 3 * radius),
        )
        small = frame.resize((12, 12), Image.Resampling.BOX, box=around).transpose(Image.Transpose.ROTATE_180)
        frame.paste(
            small.resize((2 * radius, 2 * radius), Image.Resampling.BICUBIC), (x - radius, y - radius), _drop(radius)
        )


@cache
def _streaks() -> Image.Image:
    """A sheet of streaks as a mask: near ones long, wide and faint, far ones short and fine."""
    random = Random("streaks")
    sheet = Image.new("L", _TILE, 0)
    draw = ImageDraw.Draw(sheet)
    for number in range(_STREAKS * 4):
        near = number % 6 == 0
        length = random.uniform(60, 120) if near else random.uniform(14, 42)
        x, y = random.uniform(0, _TILE[0]), random.uniform(0, _TILE[1])
        draw.line(
            (x, y, x - length * 0.09, y + length), fill=random.randint(26, 48) if near else random.randint(40, 96),
            width=3 if near else 1,
        )  # fmt: skip
    return sheet.filter(ImageFilter.GaussianBlur(0.9))


@cache
def _drop(radius: int) -> Image.Image:
    """A droplet's mask: round, soft at its rim."""
    y, x = np.mgrid[0 : 2 * radius, 0 : 2 * radius]
    away = np.hypot(x - radius + 0.5, (y - radius + 0.5) * 0.92) / radius
    return Image.fromarray((np.clip((1.0 - away) * 4, 0, 0.92) * 255).astype(np.uint8))
