"""A scan as a picture for people, 8 bits, its long side at most 1,600 pixels. Only here do sources decode pictures.

A header is believed before anything is decoded: what it states would fill the memory is not decoded at all.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agent.devices.sources.dicom_file import Pixels

LONG_SIDE = 1600
# 120 MB at 16 bits. A scan of a 20 m truck with pixels of 4 mm has 5 million.
PIXELS_MAX = 60_000_000
# Of a progressive JPEG: encoders make up to 20. Each may be some bytes, and is a walk over the whole picture.
SCANS_MAX = 100
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
# What is shown of 16 bits: from the value below which 0.5 % of the pixels lie to the one above which 0.5 % do.
WINDOW_PERCENT = (0.5, 99.5)
JPEG_QUALITY = 90
MEDIA_TYPE = "image/jpeg"

Picture = NDArray[Any]


class NotDrawn(ValueError):
    """There is no quick look, for the reason in the message."""


@dataclass(frozen=True, slots=True)
class QuickLook:
    """`jpeg` shows the scan; `width` and `height` are the scan's own, in pixels."""

    jpeg: bytes
    width: int
    height: int


def of_picture(data: bytes) -> QuickLook:
    """Of a PNG, TIFF (its first page) or JPEG. Raises NotDrawn."""
    width, height = _stated(data)
    _bearable(width, height)
    if data.startswith(b"\x89PNG") and not _png_whole(data):
        raise NotDrawn("it ends before its picture does")
    if data.startswith(b"\xff\xd8") and data.find(b"\xff\xd9", _jpeg_frame(data)) < 0:
        raise NotDrawn("it ends before its picture does")
    return _look(_decode(data))


def of_pixels(data: bytes, pixels: Pixels) -> QuickLook:
    """Of one frame of a DICOM file. Raises NotDrawn."""
    picture = frame(data, pixels)
    return _look(np.invert(picture) if pixels.inverted else picture)


def frame(data: bytes, pixels: Pixels) -> Picture:
    """Its values as they are stored, rows first; colours blue, green, red. Raises NotDrawn."""
    _bearable(pixels.width, pixels.height)
    content = memoryview(data)[pixels.at : pixels.end]
    if pixels.coding == "raw":
        return _arranged(np.frombuffer(content, _kind(pixels, pixels.order)), pixels)
    if pixels.coding == "rle":
        return _arranged(_run_lengths(bytes(content), pixels), replace(pixels, planar=True))
    coded = bytes(content)
    stated = _jpeg_2000_size(coded) if pixels.coding == "jpeg2000" else _stated(coded)
    if stated != (pixels.width, pixels.height):
        raise NotDrawn(f"its pixels are {stated[0]} × {stated[1]}, not the {pixels.width} × {pixels.height} stated")
    return _decode(coded)


def _bearable(width: int, height: int) -> None:
    if width < 1 or height < 1 or width * height > PIXELS_MAX:
        raise NotDrawn(f"{width} × {height} pixels: between 1 and {PIXELS_MAX // 1_000_000} million are drawn")


def _decode(data: bytes) -> Picture:
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise NotDrawn(f"it does not decode: {error.err}") from error
    if picture is None:
        raise NotDrawn("it does not decode")
    _bearable(picture.shape[1], picture.shape[0])
    return np.asarray(picture)


def _kind(pixels: Pixels, order: str) -> np.dtype[Any]:
    return np.dtype(f"{order}{'i' if pixels.signed else 'u'}{pixels.bits // 8}")


def _run_lengths(content: bytes, pixels: Pixels) -> Picture:
    """PS3.5 G: a segment for each byte of each sample, the most significant first. No more is unpacked than stated."""
    size, planes = pixels.width * pixels.height, pixels.samples * (pixels.bits // 8)
    try:
        count, *offsets = struct.unpack_from("<16I", content)
    except struct.error:
        raise NotDrawn("it ends within its header") from None
    if count != planes:
        raise NotDrawn(f"it has {count} run-length segments, not {planes}")
    ends = [*offsets[1:count], len(content)]
    segments = [_unpacked(content[at:end], size) for at, end in zip(offsets[:count], ends, strict=True)]
    joined = np.stack([np.frombuffer(segment, np.uint8) for segment in segments])
    samples = joined.reshape(pixels.samples, pixels.bits // 8, size).transpose(0, 2, 1)
    return np.ascontiguousarray(samples).reshape(-1).view(_kind(pixels, ">"))


def _unpacked(segment: bytes, size: int) -> bytes:
    unpacked, at = bytearray(), 0
    while at < len(segment) and len(unpacked) < size:
        head = segment[at]
        if head < 128:
            unpacked += segment[at + 1 : at + 2 + head]
            at += 2 + head
        else:
            unpacked += segment[at + 1 : at + 2] * (257 - head) if head > 128 else b""
            at += 2 if head > 128 else 1
    if len(unpacked) < size:
        raise NotDrawn("it ends before its picture does")
    return bytes(unpacked[:size])


def _arranged(flat: Picture, pixels: Pixels) -> Picture:
    """As rows and columns. Unused high bits are cut off: overlays were kept there once (PS3.5 8.1.1)."""
    if pixels.planar and pixels.samples == 3:
        picture = flat.reshape(3, pixels.height, pixels.width).transpose(1, 2, 0)
    else:
        picture = flat.reshape(pixels.height, pixels.width, *([3] if pixels.samples == 3 else []))
    picture = picture.astype(flat.dtype.newbyteorder("="))
    spare = pixels.bits - pixels.stored
    if spare:
        picture = (picture << spare) >> spare
    return np.asarray(picture[..., ::-1] if pixels.samples == 3 else picture)


def _look(picture: Picture) -> QuickLook:
    height, width = picture.shape[:2]
    if picture.ndim == 3 and picture.shape[2] not in (1, 3):
        picture = picture[..., :3] if picture.shape[2] == 4 else picture[..., 0]
    if picture.dtype not in (np.uint8, np.uint16, np.int16, np.float32):  # what OpenCV can scale
        picture = picture.astype(np.float32)
    scale = LONG_SIDE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)
    if picture.dtype != np.uint8:
        picture = _window(picture)
    ok, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(picture), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise NotDrawn("it cannot be written as a JPEG")
    return QuickLook(jpeg.tobytes(), width, height)


def _window(picture: Picture) -> Picture:
    values = picture.astype(np.float32)
    known = values[np.isfinite(values)]
    if not known.size:
        raise NotDrawn("it holds no numbers")
    low, high = np.percentile(known, WINDOW_PERCENT)
    if high <= low:
        low, high = known.min(), known.max()
    span = max(float(high) - float(low), 1e-12)
    shown = np.clip((np.nan_to_num(values, nan=float(low)) - low) / span, 0, 1) * 255
    return np.asarray(shown, np.uint8)


# --- what headers state ---------------------------------------------------------------------------------------------


def _stated(data: bytes) -> tuple[int, int]:
    """Width and height. Raises NotDrawn when the header does not say, or asks for more than it should."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):  # ISO 15948 11.2.2
            return struct.unpack_from(">II", data, 16)
        if data.startswith(b"\xff\xd8"):
            at = _jpeg_frame(data)
            height, width = struct.unpack_from(">HH", data, at + 5)
            if data[at + 1] in _PROGRESSIVE and data.count(b"\xff\xda") > SCANS_MAX:
                raise NotDrawn(f"it has its picture in more than {SCANS_MAX} scans")
            return width, height
        if data[:4] in (b"II*\0", b"MM\0*"):
            return _tiff_size(data)
    except struct.error:
        raise NotDrawn("it ends within its header") from None
    raise NotDrawn("its header does not state its size")


def _png_whole(data: bytes) -> bool:
    """Whether every chunk ends within the file, the last one too (ISO 15948 5.3).

    OpenCV fills what is missing, and makes room for what a chunk says of its length: gigabytes.
    """
    at = 8
    while at + 12 <= len(data):
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return False


def _jpeg_frame(data: bytes) -> int:
    """Where the frame header (SOF0 to SOF15 without DHT, JPG and DAC) begins. ITU-T T.81 B.2.2."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD9:  # these have no length, and none comes before the frame
            raise NotDrawn("its header is not as a picture's")
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return at
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise NotDrawn("it has no frame header")


def _jpeg_2000_size(data: bytes) -> tuple[int, int]:
    """ISO 15444-1 A.5.1: SOC, then SIZ."""
    if data[:4] != b"\xff\x4f\xff\x51":
        raise NotDrawn("it is no JPEG 2000 code stream")
    try:
        right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
        (components,) = struct.unpack_from(">H", data, 40)
    except struct.error:
        raise NotDrawn("it ends within its header") from None
    if components > 4:
        raise NotDrawn(f"{components} components a pixel are not drawn")
    return right - left, bottom - top


# Width, length, samples a pixel, tile width and tile length.
_TIFF_SIZES = frozenset({256, 257, 277, 322, 323})


def _tiff_entries(data: bytes) -> Iterator[tuple[int, int]]:
    """TIFF 6.0, section 2: tag and value of the first directory's fields that say how large it is.

    A field that stands twice, or in another form than the standard's, is read differently by different readers.
    """
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, at)
    seen: set[int] = set()
    for i in range(entries):
        tag, kind, count = struct.unpack_from(order + "HHI", data, at + 2 + 12 * i)
        if tag not in _TIFF_SIZES:
            continue
        if tag in seen or count != 1 or kind not in (3, 4):
            raise NotDrawn(f"its field {tag} is not as a picture's")
        seen.add(tag)
        yield tag, struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + 10 + 12 * i)[0]


def _tiff_size(data: bytes) -> tuple[int, int]:
    """Tags 256 and 257; a tile (322, 323) is allocated whole, and more than 4 samples a pixel (277) are no picture."""
    tags = dict(_tiff_entries(data))
    if 256 not in tags or 257 not in tags:
        raise NotDrawn("its header does not state its size")
    if tags.get(277, 1) > 4 or tags.get(322, 1) * tags.get(323, 1) > PIXELS_MAX:
        raise NotDrawn("its samples or tiles are larger than a picture's")
    return tags[256], tags[257]
