"""Picture and video files: told apart, checked and decoded. What is no whole picture is named, never looked at."""

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edge_agent.domain.errors import ImageUnreadable
from edge_agent.vision.frame import Frame, Image

PICTURES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jp2", ".png", ".bmp", ".dib", ".webp", ".avif", ".gif", ".tif", ".tiff",
    ".pbm", ".pgm", ".ppm", ".pnm", ".pxm", ".pam", ".sr", ".ras", ".hdr", ".pic", ".exr",
})  # fmt: skip
VIDEOS = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".ts", ".mjpeg", ".mjpg", ".mpg", ".mpeg"})
BYTES_MAX = 300 << 20
PIXELS_MAX = 100_000_000  # 300 MB decoded; no lane camera comes near
SIDE_MIN = 12  # pixels: below it no text is legible, and "nothing found" would say too much
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
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageUnreadable(f"{path} cannot be decoded: {error.err}") from error
    if image is None:
        raise ImageUnreadable(f"{path} is not a picture that can be decoded", f"known are {' '.join(sorted(PICTURES))}")
    if image.shape[0] * image.shape[1] > PIXELS_MAX:
        raise ImageUnreadable(f"{path} has more than {PIXELS_MAX // 1_000_000} million pixels", "scale it down")
    if min(image.shape[:2]) < SIDE_MIN:
        raise ImageUnreadable(f"{path} has only {image.shape[1]} × {image.shape[0]} pixels: nothing in it is legible")
    return np.asarray(image, dtype=np.uint8)


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

    JPEG: ITU-T T.81, B.1.1.2 (segments up to SOS, then EOI; FF in coded data is stuffed). PNG: ISO 15948, 5.3 (IEND).
    """
    if data.startswith(b"\xff\xd8"):
        start = _start_of_scan(data)
        return start is None or data.find(b"\xff\xd9", start) < 0
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND\xaeB`\x82" not in data[-4096:]
    return False


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and offset of each segment's content, up to the start of the first scan."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        yield marker, at + 4
        if marker == 0xDA:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _start_of_scan(data: bytes) -> int | None:
    return next((at for marker, at in _jpeg_segments(data) if marker == 0xDA), None)


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the header of a JPEG, PNG, GIF, BMP, WebP or TIFF, before anything is decoded."""
    try:
        if data.startswith(b"\xff\xd8"):
            frames = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
            at = next((at for marker, at in _jpeg_segments(data) if marker in frames), None)
            if at is None:
                return None
            height, width = struct.unpack_from(">HH", data, at + 1)
            return width, height
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return struct.unpack_from(">II", data, 16)
        if data.startswith((b"GIF87a", b"GIF89a")):
            return struct.unpack_from("<HH", data, 6)
        if data.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
            return abs(width), abs(height)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
        if data[:4] in (b"II*\0", b"MM\0*"):
            return _tiff_size(data)
    except struct.error:
        return None
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """RFC 9649: VP8X holds 24-bit sizes less one; VP8L 14-bit sizes less one; VP8 14-bit sizes."""
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if data[12:16] == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    """TIFF 6.0, section 2: tags 256 (width) and 257 (height) of the first directory, as SHORT or LONG."""
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, at)
    sides = {}
    for i in range(entries):
        tag, kind = struct.unpack_from(order + "HH", data, at + 2 + 12 * i)
        if tag in (256, 257):
            (sides[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + 10 + 12 * i)
    return (sides[256], sides[257]) if len(sides) == 2 else None


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
