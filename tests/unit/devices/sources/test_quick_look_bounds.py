"""A picture's header asks for memory before anything is decoded: what it asks for must be there."""

import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

from edge_agent.devices.sources.quick_look import NotDrawn, _jpeg_2000_size, _stated, of_picture


def chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
    stated = len(content) if length is None else length
    return struct.pack(">I", stated) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(length: int | None = None, *, end: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", 8, 8, 16, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + struct.pack(">8H", *range(row, row + 8)) for row in range(8)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels, length) + chunk(b"IEND", b"") + end


def test_a_whole_picture_is_drawn() -> None:
    assert (of_picture(png()).width, of_picture(png()).height) == (8, 8)
    assert of_picture(png(end=b"what some scanners append")).width == 8


@pytest.mark.parametrize("data", [png(0xF0000000), png(0x7FFFFFFF), png()[:-12], png()[:60]])
def test_a_chunk_that_reaches_beyond_the_file_is_not_decoded(data: bytes) -> None:
    with pytest.raises(NotDrawn, match="ends before its picture does"):
        of_picture(data)


def test_a_hundred_bytes_take_no_gigabytes() -> None:
    program = (
        "import sys; from edge_agent.devices.sources.quick_look import NotDrawn, of_picture\n"
        "try: of_picture(sys.stdin.buffer.read())\n"
        "except NotDrawn: pass\n"
        # Of this program alone: getrusage would count what its parent held when it was forked.
        "[line] = [line for line in open('/proc/self/status') if line.startswith('VmHWM')]\n"
        "print(line.split()[1])\n"
    )
    took = subprocess.run([sys.executable, "-c", program], input=png(0xF0000000), stdout=subprocess.PIPE, check=True)
    assert int(took.stdout) < 500_000  # kilobytes


def tiff(*fields: tuple[int, int, int, int]) -> bytes:
    """A little-endian TIFF header with these fields: tag, kind (3 SHORT, 4 LONG), count, value."""
    entries = b"".join(struct.pack("<HHII", *field) for field in fields)
    return b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4)


@pytest.mark.parametrize(
    "fields",
    [
        [(256, 4, 1, 24_000), (257, 4, 1, 24_000), (256, 4, 1, 100), (257, 4, 1, 100)],
        [(256, 4, 1, 100), (257, 4, 1, 100), (322, 1, 1, 200), (323, 4, 1, 60_000)],
        [(256, 4, 2, 100), (257, 4, 1, 100)],
    ],
    ids=["stated twice", "in another form", "of several values"],
)
def test_a_tiff_that_readers_read_differently_is_not_decoded(fields: list[tuple[int, int, int, int]]) -> None:
    with pytest.raises(NotDrawn, match="is not as a picture's"):
        of_picture(tiff(*fields))


@pytest.mark.parametrize("marker", [0x00, 0x01, 0xD0, 0xD8, 0xD9])
def test_a_jpeg_with_a_marker_that_hides_its_frame_is_not_decoded(marker: int) -> None:
    small = b"\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00"
    with pytest.raises(NotDrawn, match="is not as a picture's"):
        of_picture(b"\xff\xd8\xff" + bytes([marker]) + b"\x00\x04\x00\x00" + small)


def test_a_jpeg_of_many_scans_is_not_decoded() -> None:
    progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    whole = cv2.imencode(".jpg", np.zeros((8, 16, 3), np.uint8), progressive)[1].tobytes()
    assert of_picture(whole).width == 16
    last = whole[whole.rindex(b"\xff\xda") : -2]
    with pytest.raises(NotDrawn, match="in more than 100 scans"):
        of_picture(whole[:-2] + 100 * last + whole[-2:])


def test_a_jpegs_tables_are_no_frame() -> None:
    """DHT, JPG and DAC lie among the frames' markers; what they hold is not the picture's size."""
    whole = cv2.imencode(".jpg", np.zeros((8, 16), np.uint8))[1].tobytes()
    for marker in (0xC4, 0xC8, 0xCC):
        table = bytes([0xFF, marker]) + b"\x00\x0b\x08\x7f\xff\x7f\xff\x01\x01\x11\x00"
        assert _stated(whole[:2] + table + whole[2:]) == (16, 8)


def test_a_jpeg_2000_of_many_components_is_not_decoded() -> None:
    def size(components: int) -> bytes:
        sizes = struct.pack(">HHIIIIIIIIH", 47, 0, 16, 8, 0, 0, 16, 8, 0, 0, components)
        return b"\xff\x4f\xff\x51" + sizes

    assert _jpeg_2000_size(size(4)) == (16, 8)
    with pytest.raises(NotDrawn, match="5 components a pixel are not drawn"):
        _jpeg_2000_size(size(5))
