"""Picture and video files: told apart, checked and decoded. What is no whole picture is named, never looked at."""

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edge_agent.domain.errors import ImageUnreadable
from edge_agent.vision.frame import Frame, Image
from edge_agent.vision.picture_sizes import (
    FRAME_PIXELS_MAX,
    PIXELS_MAX,
    PNG,
    SCANS_MAX,
    SIDE_MIN,
    jpeg_segments,
    scans,
    stated_size,
)

PICTURES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jp2", ".png", ".bmp", ".dib", ".webp", ".avif", ".gif", ".tif", ".tiff",
    ".pbm", ".pgm", ".ppm", ".pnm", ".pxm", ".pam", ".pfm", ".sr", ".ras", ".hdr", ".pic",
})  # fmt: skip
VIDEOS = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".ts", ".mjpeg", ".mjpg", ".mpg", ".mpeg"})
BYTES_MAX = 300 << 20
SAMPLES_PER_S = 5.0


def is_video(path: Path) -> bool:
    """By its name: a picture's bytes are not asked."""
    return path.suffix.lower() in VIDEOS


def read_picture(path: Path) -> Image:
    """The picture as blue-green-red with 8 bits, turned as its EXIF orientation says. Raises ImageUnreadable."""
    data = _bytes(path)
    size = stated_size(data)
    if size is not None and size[0] * size[1] > PIXELS_MAX:
        raise ImageUnreadable(
            f"{path} has {size[0]} × {size[1]} pixels, more than {PIXELS_MAX // 1_000_000} million", "scale it down"
        )
    if is_cut_short(data):
        raise ImageUnreadable(f"{path} ends before its picture does", "copy the file again")
    if size is None:
        raise _no_picture(path)
    if (count := scans(data)) > SCANS_MAX:
        raise ImageUnreadable(f"{path} has its picture in {count} scans, more than {SCANS_MAX}", "save it anew")
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageUnreadable(f"{path} cannot be decoded: {error.err}") from error
    if image is None:
        raise _no_picture(path)
    if image.shape[0] * image.shape[1] > PIXELS_MAX:
        raise ImageUnreadable(f"{path} has more than {PIXELS_MAX // 1_000_000} million pixels", "scale it down")
    if min(image.shape[:2]) < SIDE_MIN:
        raise ImageUnreadable(f"{path} has only {image.shape[1]} × {image.shape[0]} pixels: nothing in it is legible")
    return np.asarray(image, dtype=np.uint8)


def _no_picture(path: Path) -> ImageUnreadable:
    return ImageUnreadable(f"{path} is not a picture that can be decoded", f"known are {' '.join(sorted(PICTURES))}")


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ImageUnreadable(f"{path} is not a file" if path.exists() else f"{path} does not exist")
        if path.stat().st_size > BYTES_MAX:
            raise ImageUnreadable(f"{path} is larger than {BYTES_MAX >> 20} MB", "is it a picture?")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise ImageUnreadable(f"{path} cannot be read: {error}") from error
    if not data:
        raise ImageUnreadable(f"{path} is empty", "copy the file again")
    return data


def is_cut_short(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end; OpenCV fills what is missing with grey and says nothing.

    JPEG: ITU-T T.81, B.1.1.2 (segments up to SOS, then EOI; FF in coded data is stuffed). PNG: ISO 15948, 5.3 (each
    chunk up to IEND lies within the file: OpenCV makes room for what a chunk says of its length, gigabytes).
    """
    if data.startswith(b"\xff\xd8"):
        start = _start_of_scan(data)
        return start is None or data.find(b"\xff\xd9", start) < 0
    if data.startswith(PNG):
        return not _reaches_its_end(data)
    return False


def _reaches_its_end(png: bytes) -> bool:
    at = len(PNG)
    while at + 12 <= len(png):
        if png[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int.from_bytes(png[at : at + 4], "big")
    return False


def _start_of_scan(data: bytes) -> int | None:
    return next((at for marker, at in jpeg_segments(data) if marker == 0xDA), None)


def too_large(capture: cv2.VideoCapture) -> str | None:
    """What is wrong with the pictures of a source that was opened, before one is decoded; None if nothing is.

    OpenCV scales pictures whose size changes later to the size at the beginning.
    """
    width, height = (round(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height <= FRAME_PIXELS_MAX:
        return None
    return f"pictures of {width} × {height} pixels, more than {FRAME_PIXELS_MAX // 1_000_000} million"


def video_frames(path: Path, samples_per_s: float = SAMPLES_PER_S) -> Iterator[Frame]:
    """Frames of a video file, about `samples_per_s` a second of its time. Raises ImageUnreadable.

    Each frame's `at` is its time in the video, in seconds.
    """
    if not path.is_file():
        raise ImageUnreadable(f"{path} is not a file" if path.exists() else f"{path} does not exist")
    capture = cv2.VideoCapture()
    try:
        try:
            opened = capture.open(str(path), cv2.CAP_FFMPEG)
        except cv2.error:
            opened = False
        if not opened:
            raise ImageUnreadable(f"{path} is not a video that can be decoded")
        if (large := too_large(capture)) is not None:
            raise ImageUnreadable(f"{path} holds {large}", "scale it down")
        fps = capture.get(cv2.CAP_PROP_FPS)
        fps = fps if 0 < fps <= 1000 else 25.0
        step = max(1, math.ceil(fps / samples_per_s))
        index = 0
        while capture.grab():
            if index % step == 0:
                ok, image = capture.retrieve()
                if ok and image is not None:
                    yield Frame(np.asarray(image, dtype=np.uint8), str(path), index / fps, index)
            index += 1
        if index == 0:
            raise ImageUnreadable(f"{path} holds no frame that can be decoded", "copy the file again")
    finally:
        capture.release()
