"""One picture of one camera."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """`image` is height × width × 3, blue-green-red, 8 bits; `at` is the arrival in monotonic seconds.

    `sequence` counts the frames that the camera delivered, from 0, including those that were dropped.
    """

    image: Image
    camera_id: str = ""
    at: float = 0.0
    sequence: int = 0

    @property
    def width(self) -> int:
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        return int(self.image.shape[0])
