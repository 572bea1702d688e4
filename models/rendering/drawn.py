"""What the renderers hand out: one frontal picture of an object that carries text, and where the text stands in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""H x W x 3, BGR."""
Mask = NDArray[np.uint8]
"""H x W, 0 where nothing is, 255 where the shape covers the pixel."""
Quad = NDArray[np.float32]
"""4 x 2, pixels, clockwise from the text's own top left corner."""
Colour = tuple[int, int, int]
"""Blue, green, red, 0-255 each."""
T = TypeVar("T")
Kind = Literal["plate", "container"]


@dataclass(frozen=True)
class Line:
    """One row (or, if vertical, one column) of the text."""

    text: str
    quad: Quad
    vertical: bool = False


@dataclass(frozen=True)
class Drawn:
    """One plate or container wall, upright, seen from the front.

    `text` is what must be read, A-Z and 0-9, line after line; `region` is the issuer ("us-TX", "eu-DE", "br-mercosul").
    """

    image: Picture
    text: str
    lines: tuple[Line, ...]
    kind: Kind
    region: str


def box_quad(left: float, top: float, right: float, bottom: float) -> Quad:
    """The quad of an upright box, pixels."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def blend(image: Picture, mask: Mask, colour: Colour | Picture, alpha: float = 1.0) -> None:
    """Paint `colour` (one, or a picture of the same size) into `image` (changed) where `mask` covers it."""
    x, y, wide, high = cv2.boundingRect(mask)
    if not wide:
        return
    part = image[y : y + high, x : x + wide]
    weight = mask[y : y + high, x : x + wide].astype(np.float32) * np.float32(alpha / 255)
    if isinstance(colour, tuple):
        paint = np.full_like(part, colour)
    else:
        paint = np.ascontiguousarray(colour[y : y + high, x : x + wide])
    part[:] = cv2.blendLinear(np.ascontiguousarray(part), paint, 1 - weight, weight)


def pick(rng: np.random.Generator, choices: Sequence[T], weights: Sequence[float] | None = None) -> T:
    """One of `choices`, with the given weights (need not sum to one), else all alike."""
    if weights is None:
        return choices[int(rng.integers(len(choices)))]
    total = np.cumsum(np.asarray(weights, np.float64))
    return choices[int(np.searchsorted(total, rng.random() * total[-1], side="right").clip(0, len(choices) - 1))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True in that share of the calls."""
    return bool(rng.random() < probability)
