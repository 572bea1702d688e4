"""Whether something moves: a cheap gate before the recogniser, so that an empty lane costs nothing."""

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.vision.frame import Image

WIDTH, HEIGHT = 160, 90
PIXEL_CHANGE_MIN = 18.0  # grey levels; above sensor noise after averaging
AREA_MIN = 0.005  # share of the picture: a plate's width of a vehicle that enters at its edge
ADAPTION = 0.08  # how much of each frame enters the background: a parked vehicle becomes part of it


class MotionGate:
    """Compares each frame, in small and grey, with a background that slowly follows."""

    def __init__(self) -> None:
        self._background: npt.NDArray[np.float32] | None = None

    def moved(self, image: Image) -> bool:
        """True where the picture differs from the background; also on the first frame and after a change of size."""
        # Of each row of cells two rows of pixels: averaging all of them takes three times as long and finds no more.
        rows = image[:: max(1, image.shape[0] // (2 * HEIGHT))]
        grey = cv2.cvtColor(cv2.resize(rows, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
        small = cv2.GaussianBlur(grey, (3, 3), 0).astype(np.float32)
        if self._background is None:
            self._background = small
            return True
        difference = small - self._background
        # The whole picture grows lighter or darker with sun and exposure: that is no motion.
        difference -= float(np.median(difference[::3, ::3]))
        self._background += ADAPTION * (small - self._background)
        return float(np.mean(np.abs(difference) > PIXEL_CHANGE_MIN)) > AREA_MIN
