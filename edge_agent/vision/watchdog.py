"""Says from the frames that arrive, and those that do not, what state a camera is in. Pure: time is given."""

import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from edge_agent.domain.observation import DeviceState
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.frame import Image

DARK_MEAN = 10.0  # of 255
FINGERPRINT_ROWS = 8  # every eighth row: noise repeats in none of them
UNIFORM_DEVIATION = 3.0  # a covered lens shows no contrast at all


@dataclass(frozen=True)
class CameraChange:
    """A change of a camera's state, `at` monotonic seconds."""

    state: DeviceState
    detail: str
    at: float


class CameraWatchdog:
    """Silent, frozen, dark or well. Each method returns the change that it causes, or None."""

    def __init__(self, settings: CameraSettings) -> None:
        self._settings = settings
        self._current: tuple[DeviceState, str] | None = None
        self._last_frame: float | None = None
        self._print = 0
        self._differs_since = 0.0
        self._dark_since: float | None = None

    @property
    def well(self) -> bool:
        """Frames arrive, and they show something that lives."""
        return self._current is not None and self._current[0] is DeviceState.ONLINE

    def connected(self, now: float) -> CameraChange | None:
        self._last_frame = now
        self._differs_since = now
        self._print = 0
        return self._become(DeviceState.WAITING, "connected, no picture yet", now)

    def lost(self, why: str, now: float) -> CameraChange | None:
        self._last_frame = None
        return self._become(DeviceState.OFFLINE, why, now)

    def failed(self, why: str, now: float) -> CameraChange | None:
        self._last_frame = None
        return self._become(DeviceState.FAILED, why, now)

    def delivered(self, image: Image, now: float) -> CameraChange | None:
        """A frame has arrived."""
        self._last_frame = now
        fingerprint = zlib.crc32(np.ascontiguousarray(image[::FINGERPRINT_ROWS]).data)
        if fingerprint != self._print:
            self._print = fingerprint
            self._differs_since = now
        if is_dark(image):
            self._dark_since = now if self._dark_since is None else self._dark_since
        else:
            self._dark_since = None
        frozen_after = self._settings.frozen_after_s
        if frozen_after is not None and now - self._differs_since >= frozen_after:
            return self._become(DeviceState.WAITING, "frozen: sends the same picture again and again", now)
        if self._dark_since is not None and now - self._dark_since >= self._settings.dark_after_s:
            return self._become(DeviceState.WAITING, "the picture is black or covered", now)
        return self._become(DeviceState.ONLINE, "", now)

    def checked(self, now: float) -> CameraChange | None:
        """Time has passed without a frame."""
        if self._last_frame is None or now - self._last_frame < self._settings.silent_after_s:
            return None
        return self._become(DeviceState.WAITING, f"no picture for {self._settings.silent_after_s:g} s", now)

    def _become(self, state: DeviceState, detail: str, now: float) -> CameraChange | None:
        if self._current == (state, detail):
            return None
        self._current = (state, detail)
        return CameraChange(state, detail, now)


def is_dark(image: Image) -> bool:
    """Whether a picture is black or shows one even tone, as behind a cover."""
    sample = image[:: max(1, image.shape[0] // 90), :: max(1, image.shape[1] // 160)]
    mean, deviation = cv2.meanStdDev(sample)
    return float(np.mean(mean)) < DARK_MEAN or float(np.max(deviation)) < UNIFORM_DEVIATION
