"""What delivers a camera's pictures: OpenCV with FFmpeg or Video4Linux, or our own reader of MJPEG over HTTP."""

import http.client
import os
import urllib.error
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import cv2
import numpy as np

from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.frame import Image
from edge_agent.vision.mjpeg import NotMjpeg, open_mjpeg
from edge_agent.vision.picture_sizes import FRAME_PIXELS_MAX
from edge_agent.vision.pictures import too_large

_ACCELERATORS = {1: "hardware", 2: "hardware (D3D11)", 3: "hardware (VA-API)", 4: "hardware (QSV)", 5: "hardware (DRM)"}


class NotOpened(Exception):
    """A source gives no stream; the text goes on after the source's name."""


class Stream(Protocol):
    """An open source. `grab` takes the next picture, `retrieve` decodes it, where the source allows to part them."""

    decoder: str  # what decodes, for people
    fps: float  # 0 where it does not say
    why: str  # after a `grab` that failed: what is known, '' if only that it ended

    def grab(self) -> bool: ...
    def retrieve(self) -> Image | None: ...
    def release(self) -> None: ...


class OpenCvStream:
    """A stream that OpenCV reads."""

    def __init__(self, capture: cv2.VideoCapture, software: str) -> None:
        """`software` says that, and why, if no hardware decodes."""
        self.why = ""
        self._capture = capture
        self.fps = float(capture.get(cv2.CAP_PROP_FPS))
        self.decoder = _ACCELERATORS.get(int(capture.get(cv2.CAP_PROP_HW_ACCELERATION)), software)

    def grab(self) -> bool:
        return self._capture.grab()

    def retrieve(self) -> Image | None:
        """The picture as blue-green-red with 8 bits; None if it cannot be decoded."""
        ok, image = self._capture.retrieve()
        if not ok or image is None:
            self.why = "sends what cannot be decoded"
            return None
        return three_channels(np.asarray(image, dtype=np.uint8))

    def release(self) -> None:
        self._capture.release()


def open_stream(settings: CameraSettings, stopped: Callable[[], bool]) -> Stream:
    """Opens a camera's source. Raises NotOpened. `stopped` ends the waiting for a picture that is under way."""
    if settings.is_file and not os.path.exists(settings.source):
        raise NotOpened("does not exist")
    if settings.source.lower().startswith("http://"):
        with suppress(NotMjpeg):
            return _mjpeg(settings, stopped)
    stream = _opencv(settings)
    if stream is None:
        raise NotOpened("cannot be opened")
    return stream


def _mjpeg(settings: CameraSettings, stopped: Callable[[], bool]) -> Stream:
    silent_s = 2 * settings.silent_after_s
    try:
        return open_mjpeg(settings.source, settings.open_timeout_s, silent_s, FRAME_PIXELS_MAX, stopped)
    except urllib.error.HTTPError as error:
        error.close()
        why = "it refuses user and password" if error.code in (401, 403) else f"it answers {error.code} {error.reason}"
        raise NotOpened(f"cannot be opened: {why}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotOpened("cannot be opened") from error


def _opencv(settings: CameraSettings) -> OpenCvStream | None:
    """The backend is named: trying all of them prints the address, password and all, to standard error."""
    if settings.is_device:
        source = int(settings.source) if settings.source.isdigit() else settings.source
        return _opened(source, cv2.CAP_V4L2, [], "software")
    parameters = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(settings.open_timeout_s * 1000),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(settings.silent_after_s * 2000),
    ]  # fmt: skip
    if not settings.hardware_decode:
        return _opened(settings.source, cv2.CAP_FFMPEG, parameters, "software, as hardware_decode says")
    # Where none fits, FFmpeg decodes in software; a driver that fails in between is left out by the second try.
    hardware = [*parameters, cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_ANY]
    stream = _opened(settings.source, cv2.CAP_FFMPEG, hardware, "software: no hardware decoder is offered")
    if stream is not None or not _has_hardware():
        return stream
    return _opened(settings.source, cv2.CAP_FFMPEG, parameters, "software: the hardware decoder does not open")


def _has_hardware() -> bool:
    return os.path.isdir("/dev/dri")


def _opened(source: str | int, backend: int, parameters: list[int], software: str) -> OpenCvStream | None:
    """None if it cannot be opened. Raises NotOpened if its pictures are too large."""
    capture = cv2.VideoCapture()
    try:
        opened = capture.open(source, backend, parameters)
    except cv2.error:
        opened = False
    large = too_large(capture) if opened else None
    if opened and large is None:
        return OpenCvStream(capture, software)
    capture.release()
    if large is not None:
        raise NotOpened(f"sends {large}")
    return None


def three_channels(image: Image) -> Image:
    """Blue-green-red with 8 bits, whatever the driver delivers."""
    if image.ndim == 2 or image.shape[2] == 1:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)  # type: ignore[return-value]
    if image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)  # type: ignore[return-value]
    return image
