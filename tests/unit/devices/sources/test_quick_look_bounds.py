"""A picture's header asks for memory before anything is decoded: what it asks for must be there."""

import struct
import subprocess
import sys
import zlib

import pytest

from edge_agent.devices.sources.quick_look import NotDrawn, of_picture


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
