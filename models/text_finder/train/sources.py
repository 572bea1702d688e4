"""Where the trainer's pictures come from: a cache of rendered scenes, or the dashcam photos as they are."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from models.rendering.drawn import Quad
from models.text_finder.train.data import Labelled, Rng, Source
from models.text_finder.train.network import PLATE
from models.text_finder.train.photos import Dashcam
from models.text_finder.train.render import UNSURE, cached


def opened(path: Path, boxes: Sequence[tuple[int, Quad]]) -> Labelled:
    """A picture of a cache. Raises ValueError if it cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} is no picture that OpenCV can read: delete its chunk and render again")
    known = [(channel, quad) for channel, quad in boxes if channel != UNSURE]
    return Labelled(np.asarray(image, np.uint8), known, [quad for channel, quad in boxes if channel == UNSURE])


def scenes(folder: Path) -> Source:
    """Rendered scenes, all alike often."""
    listed = cached(folder)

    @lru_cache(maxsize=1500)
    def scene(n: int) -> Labelled:
        return opened(*listed[n])

    def take(rng: Rng) -> Labelled:
        return scene(int(rng.integers(len(listed))))

    return take


def photos(dashcam: Dashcam) -> Source:
    """Dashcam photos, all alike often."""

    def take(rng: Rng) -> Labelled:
        photo = dashcam.photo(int(rng.integers(len(dashcam))))
        return Labelled(photo.image, [(PLATE, quad) for quad in photo.plates], photo.unsure)

    return take


def open_source(text: str) -> tuple[Source, float]:
    """`FOLDER=WEIGHT`: dashcam photos if the folder holds labels.csv, otherwise a cache of scenes."""
    name, _, weight = text.partition("=")
    folder = Path(name)
    source = photos(Dashcam(folder, "learn")) if (folder / "labels.csv").is_file() else scenes(folder)
    return source, float(weight or 1)
