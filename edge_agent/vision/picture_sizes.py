"""How large a picture says it is, before anything of it is decoded: what cannot be told is not decoded at all."""

import re
import struct
from collections.abc import Iterator

PIXELS_MAX = 100_000_000  # of a photo: 300 MB decoded; no lane camera comes near
FRAME_PIXELS_MAX = 50_000_000  # of a camera or a video, which decodes one picture after the other
SIDE_MIN = 12  # pixels: below it no text is legible, and "nothing found" would say too much
SCANS_MAX = 100  # of a progressive JPEG: encoders make up to 20; each is some bytes and a walk over the whole picture
PNG, GIF, TIFF = b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
CODESTREAM = b"\xff\x4f\xff\x51"  # JPEG 2000: the start, then the segment SIZ
_PNM = re.compile(rb"P[1-6Ff]\s(?:\s|#[^\n]*\n)*(\d{1,10})\s(?:\s|#[^\n]*\n)*(\d{1,10})\s")
_PAM = re.compile(rb"^(WIDTH|HEIGHT)\s+(\d{1,10})\s*$", re.MULTILINE)
_HDR = re.compile(rb"\n\n[+-]Y (\d{1,10}) [+-]X (\d{1,10})\n")
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_TEXT_MAX = 4096  # bytes of a header that is text
_TIFF_TYPES = {3: "H", 4: "I", 16: "Q"}


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from a file's header, None if it is of no known format or has no whole header.

    Known are JPEG, JPEG 2000, PNG, GIF, BMP, WebP, AVIF, TIFF, PNM, PAM, PFM, Sun raster and Radiance HDR.
    """
    try:
        return _stated_size(data)
    except (struct.error, IndexError, OverflowError):  # it ends within its header, or points out of the file
        return None


def _stated_size(data: bytes) -> tuple[int, int] | None:
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    if data.startswith(PNG):
        return struct.unpack_from(">II", data, 16)
    if data.startswith(GIF):
        return struct.unpack_from("<HH", data, 6)
    if data.startswith(b"BM"):
        width, height = struct.unpack_from("<HH" if data[14] == 12 else "<ii", data, 18)  # 12: OS/2's short header
        return abs(width), abs(height)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_size(data)
    if data.startswith(TIFF):
        return _tiff_size(data)
    if data[4:8] == b"jP  " or data.startswith(CODESTREAM):
        return _jpeg2000_size(data)
    if data[4:8] == b"ftyp":
        return _avif_size(data)
    if data.startswith(b"\x59\xa6\x6a\x95"):  # Sun raster
        return struct.unpack_from(">II", data, 4)
    return _size_in_text(data[:_TEXT_MAX])


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and offset of each segment's content, up to the start of the first scan (ITU-T T.81, B.1.1.4).

    It ends at a marker without content (TEM, RST, SOI, EOI): none stands there in a picture, and a decoder that goes on
    after it would see other segments than these.
    """
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker <= 0x01 or 0xD0 <= marker <= 0xD9:
            return
        yield marker, at + 4
        if marker == 0xDA:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    frames = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
    at = next((at for marker, at in jpeg_segments(data) if marker in frames), None)
    if at is None:
        return None
    height, width = struct.unpack_from(">HH", data, at + 1)
    return width, height


def scans(data: bytes) -> int:
    """In how many scans a progressive JPEG has its picture; 0 for any other file (ITU-T T.81, table B.1)."""
    if not data.startswith(b"\xff\xd8") or all(marker not in _PROGRESSIVE for marker, _ in jpeg_segments(data)):
        return 0
    return data.count(b"\xff\xda")


def _jpeg2000_size(data: bytes) -> tuple[int, int] | None:
    """ITU-T T.800, A.5.1: the reference grid less the picture's offset on it. The codestream rules, not the boxes."""
    at = data.find(CODESTREAM)
    if at < 0:
        return None
    right, foot, left, top = struct.unpack_from(">IIII", data, at + 8)
    return right - left, foot - top


def _avif_size(data: bytes) -> tuple[int, int] | None:
    """ISO/IEC 23008-12, 6.5.3: the largest of the sizes (`ispe`); a grid's tiles have sizes of their own."""
    sizes = [struct.unpack_from(">II", data, found.end() + 4) for found in re.finditer(b"ispe", data[:65536])]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


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
    """TIFF 6.0, section 2, and BigTIFF: tags 256 (width) and 257 (height) of the first directory.

    None where readers would differ (a size that stands twice, or is a list), or where tiles (322, 323), which are
    decoded whole, are larger than a picture.
    """
    order, big = "<" if data[:2] == b"II" else ">", 43 in data[2:4]
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
    first, each, value = (at + 8, 20, 12) if big else (at + 2, 12, 8)
    sides = dict[int, int]()
    for entry in range(first, first + each * min(entries, 0xFFFF), each):
        tag, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, entry)
        if tag not in (256, 257, 322, 323):
            continue
        if tag in sides or count != 1 or kind not in _TIFF_TYPES:
            return None
        (sides[tag],) = struct.unpack_from(order + _TIFF_TYPES[kind], data, entry + value)
    if not {256, 257} <= sides.keys() or sides.get(322, 0) * sides.get(323, 0) > PIXELS_MAX:
        return None
    return sides[256], sides[257]


def _size_in_text(head: bytes) -> tuple[int, int] | None:
    if (found := _PNM.match(head)) is not None:
        return int(found[1]), int(found[2])
    if head.startswith(b"P7\n"):
        sides = {name: int(side) for name, side in _PAM.findall(head)}
        return (sides[b"WIDTH"], sides[b"HEIGHT"]) if len(sides) == 2 else None
    if head.startswith(b"#?") and (found := _HDR.search(head)) is not None:
        return int(found[2]), int(found[1])
    return None
