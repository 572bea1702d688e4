"""What the line asks of a recogniser, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from edge_agent.domain.errors import RecogniserBroken
from edge_agent.domain.observation import ContainerCodeRead, PlateRead
from edge_agent.vision.frame import Frame, Image

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
    """The frame's picture. Raises RecogniserBroken if nothing could be seen in it, whatever the lane holds."""
    image = frame.image
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype.name != "uint8" or min(image.shape[:2]) < 1:
        raise RecogniserBroken(f"a frame of {image.dtype.name} {image.shape} is no colour picture of 8 bits")
    if not _has_tones(image):
        low, high, _, _ = cv2.minMaxLoc(image.reshape(image.shape[0], -1))
        what = "black" if high < TONES_MIN else "white" if low > 255 - TONES_MIN else "of one tone"
        raise RecogniserBroken(f"the picture is {what} all over: nothing can be seen in it")
    return image


def _has_tones(image: Image) -> bool:
    """Whether any colour differs between two places of the picture; almost every picture shows it on a coarse grid."""
    coarse = image[:: max(1, image.shape[0] // 16), :: max(1, image.shape[1] // 16)]
    return any(bool(np.ptp(part, axis=(0, 1)).max() >= TONES_MIN) for part in (coarse, image))
