"""One picture of one camera."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge_agent.domain.observation import Box

Image = npt.NDArray[np.uint8]
Role = Literal["plate", "container", "both"]
CROP_MARGIN = 0.35  # around a plate or code, in heights of its box, so that a person sees where it hangs


@dataclass(frozen=True)
class Frame:
    """`image` is height × width × 3, blue-green-red, 8 bits; `at` is the arrival in monotonic seconds.

    `sequence` counts the frames that the camera delivered, from 0, including those that were dropped. `role` is what is
    wanted of it: a recogniser may leave the rest unread.
    """

    image: Image
    camera_id: str = ""
    at: float = 0.0
    sequence: int = 0
    role: Role = "both"

    @property
    def width(self) -> int:
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        return int(self.image.shape[0])


def cut(image: Image, box: Box) -> Image:
    """The part of the picture around a box, with a margin, as a copy."""
    margin = round(CROP_MARGIN * min(box.w, box.h))
    x, y = max(0, box.x - margin), max(0, box.y - margin)
    return image[y : box.y + box.h + margin, x : box.x + box.w + margin].copy()
