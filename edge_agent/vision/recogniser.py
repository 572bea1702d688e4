"""What the line asks of a recogniser, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2

from edge_agent.domain.errors import NothingVisible, RecogniserBroken
from edge_agent.domain.observation import ContainerCodeRead, PlateRead
from edge_agent.vision.frame import Frame, Image
from edge_agent.vision.picture_sizes import SIDE_MIN

TONES_MIN = 6  # of 256, between the darkest and the brightest: the noise of any camera that sees has more


@dataclass(frozen=True)
class PlateSighting:
    """A plate in one frame. `likeness` (0..1): how much it looks like a plate."""

    read: PlateRead
    crop: Image
    likeness: float


@dataclass(frozen=True)
class ContainerCodeSighting:
    """A container code in one frame."""

    read: ContainerCodeRead
    crop: Image


Sighting = PlateSighting | ContainerCodeSighting


class Recogniser(Protocol):
    """Looks at one frame. [] says that it looked and saw none; RecogniserBroken, that it could not look.

    Plates come before container codes, each best first: of several plates, the likeliest and most prominent. May be
    called from several threads.
    """

    def look(self, frame: Frame) -> Sequence[Sighting]: ...


def picture_of(frame: Frame) -> Image:
    """The frame's picture. Raises NothingVisible if nothing could be seen in it, RecogniserBroken if it is none."""
    image = frame.image
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype.name != "uint8" or min(image.shape[:2]) < 1:
        raise RecogniserBroken(f"a frame of {image.dtype.name} {image.shape} is no colour picture of 8 bits")
    if min(image.shape[:2]) < SIDE_MIN:
        raise NothingVisible(f"the picture has only {frame.width} × {frame.height} pixels: nothing in it is legible")
    if not _has_tones(image):
        low, high, _, _ = cv2.minMaxLoc(image.reshape(image.shape[0], -1))
        what = "black" if high < TONES_MIN else "white" if low > 255 - TONES_MIN else "of one tone"
        raise NothingVisible(f"the picture is {what} all over: nothing can be seen in it")
    return image


def _has_tones(image: Image) -> bool:
    """Whether any colour differs between two places of the picture; almost every picture shows it on a coarse grid."""
    coarse = image[:: max(1, image.shape[0] // 16), :: max(1, image.shape[1] // 16)]
    return _contrast(coarse) >= TONES_MIN or _contrast(image) >= TONES_MIN


def _contrast(image: Image) -> int:
    """The largest difference of one colour between two places."""
    columns = image.max(axis=0), image.min(axis=0)  # row by row: a hundred times as fast as both axes at once
    return int((columns[0].max(axis=0).astype(int) - columns[1].min(axis=0)).max())
