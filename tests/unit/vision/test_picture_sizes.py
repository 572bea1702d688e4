"""The size that a file states, against the size that it decodes to, and what is refused before it is decoded."""

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow

from edge_agent.domain.errors import ImageUnreadable
from edge_agent.vision.picture_sizes import stated_size
from edge_agent.vision.pictures import read_picture

WIDTH, HEIGHT = 37, 23
IMAGE = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
HUGE = 70_000


def pillow(kind: str, mode: str = "RGB", **how: object) -> bytes:
    out = io.BytesIO()
    Pillow.fromarray(IMAGE).convert(mode).save(out, kind, **how)
    return out.getvalue()


def opencv(suffix: str, image: npt.NDArray[Any] = IMAGE) -> bytes:
    ok, data = cv2.imencode(suffix, image)
    assert ok
    return data.tobytes()


def big_endian_tiff() -> bytes:
    pixels = np.ascontiguousarray(IMAGE[:, :, 1]).tobytes()
    tags = [
        (256, 3, WIDTH << 16), (257, 3, HEIGHT << 16), (258, 3, 8 << 16), (259, 3, 1 << 16), (262, 3, 1 << 16),
        (273, 4, 8), (277, 3, 1 << 16), (278, 3, HEIGHT << 16), (279, 4, len(pixels)),
    ]  # fmt: skip
    entries = b"".join(struct.pack(">HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return struct.pack(">2sHI", b"MM", 42, 8 + len(pixels)) + pixels + struct.pack(">H", len(tags)) + entries + bytes(4)


def os2_bitmap() -> bytes:
    rows = IMAGE[::-1].tobytes()
    stride = (WIDTH * 3 + 3) // 4 * 4
    padded = b"".join(rows[y * WIDTH * 3 : (y + 1) * WIDTH * 3].ljust(stride, b"\0") for y in range(HEIGHT))
    return (
        struct.pack("<2sIII", b"BM", 26 + len(padded), 0, 26) + struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 24) + padded
    )


FILES = {
    "jpeg": opencv(".jpg"),
    "progressive jpeg": pillow("JPEG", progressive=True),
    "cmyk jpeg": pillow("JPEG", "CMYK"),
    "png": opencv(".png"),
    "palette png": pillow("PNG", "P"),
    "gif": pillow("GIF"),
    "bmp": opencv(".bmp"),
    "os/2 bmp": os2_bitmap(),
    "webp": pillow("WEBP"),
    "lossless webp": pillow("WEBP", lossless=True),
    "webp with alpha": pillow("WEBP", "RGBA", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
    "tiff": opencv(".tiff"),
    "cmyk tiff": pillow("TIFF", "CMYK"),
    "big-endian tiff": big_endian_tiff(),
    "big tiff": pillow("TIFF", big_tiff=True),
    "jpeg 2000": pillow("JPEG2000"),
    "jpeg 2000 without boxes": pillow("JPEG2000", no_jp2=True),
    "avif": pillow("AVIF"),
    "ppm": opencv(".ppm"),
    "pgm with a comment": b"P5\n# a lane\n37 23\n255\n" + bytes(range(37)) * 23,
    "pbm": pillow("PPM", "1"),
    "pam": opencv(".pam"),
    "pfm": opencv(".pfm", IMAGE.astype(np.float32)),
    "sun raster": opencv(".ras"),
    "radiance": opencv(".hdr", IMAGE.astype(np.float32) / 255),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_stated_size_is_the_decoded_one(kind: str, tmp_path: Path) -> None:
    assert stated_size(FILES[kind]) == (WIDTH, HEIGHT)
    (tmp_path / "photo").write_bytes(FILES[kind])
    assert read_picture(tmp_path / "photo").shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_cut_short_is_an_error_and_no_grey_picture(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "photo"
    data = FILES[kind]
    for length in [*range(1, 80), *range(80, len(data) * 9 // 10, max(1, len(data) // 40))]:
        path.write_bytes(data[:length])
        with pytest.raises(ImageUnreadable, match=r"not a picture that can be decoded|ends before|cannot be decoded"):
            read_picture(path)


def larger(data: bytes, kind: str) -> bytes:
    """The same file, whose header states HUGE × HUGE pixels."""
    old: list[tuple[bytes, bytes]] = {
        "png": [(struct.pack(">II", WIDTH, HEIGHT), struct.pack(">II", HUGE, HUGE))],
        "bmp": [(struct.pack("<ii", WIDTH, HEIGHT), struct.pack("<ii", HUGE, -HUGE))],
        "jpeg 2000": [(struct.pack(">II", WIDTH, HEIGHT), struct.pack(">II", HUGE, HUGE))],
        "avif": [(struct.pack(">II", WIDTH, HEIGHT), struct.pack(">II", HUGE, HUGE))],
        "ppm": [(b"37 23", b"70000 70000")],
        "pbm": [(b"37 23", b"70000 70000")],
        "pam": [(b"WIDTH 37", b"WIDTH 70000"), (b"HEIGHT 23", b"HEIGHT 70000")],
        "pfm": [(b"37 23", b"70000 70000")],
        "sun raster": [(struct.pack(">II", WIDTH, HEIGHT), struct.pack(">II", HUGE, HUGE))],
        "radiance": [(b"-Y 23 +X 37", b"-Y 70000 +X 70000")],
    }[kind]
    for before, after in old:
        assert before in data
        data = data.replace(before, after)
    return data


@pytest.mark.parametrize(
    "kind", ["png", "bmp", "jpeg 2000", "avif", "ppm", "pbm", "pam", "pfm", "sun raster", "radiance"]
)
def test_a_huge_picture_is_refused_by_its_header(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    (tmp_path / "photo").write_bytes(larger(FILES[kind], kind))
    with pytest.raises(ImageUnreadable, match="photo has 70000 × 70000 pixels, more than 100 million"):
        read_picture(tmp_path / "photo")


def test_what_states_no_size_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    (tmp_path / "photo").write_bytes(b"v/1\x01" + bytes(4000))  # OpenEXR, which a lane does not send
    with pytest.raises(ImageUnreadable, match="not a picture that can be decoded"):
        read_picture(tmp_path / "photo")


@pytest.mark.parametrize("at", [0, 15, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_directory_that_lies_nowhere_states_no_size(at: int) -> None:
    assert stated_size(struct.pack("<2sHHHQ", b"II", 43, 8, 0, at)) is None


def test_whatever_a_header_holds_gives_a_size_or_none() -> None:
    rng = np.random.default_rng(3)
    for data in FILES.values():
        for _ in range(60):
            head = bytearray(data[:400])
            for at in rng.integers(0, len(head), 4):
                head[at] = int(rng.choice([0, 255, int(rng.integers(256))]))
            size = stated_size(bytes(head))
            assert size is None or len(size) == 2


def disguised(jpeg: bytes) -> bytes:
    """The picture behind a marker without length: who takes two bytes for its length reads 16 × 16 far behind.

    Decoders pass over such a marker (ITU-T T.81, B.1.1.3) and decode the picture itself.
    """
    other = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, 16, 16, 3) + bytes(9) + b"\xff\xda\x00\x0c" + bytes(10)
    first = b"\xff\xfe" + struct.pack(">H", 60_000) + bytes(59_998)
    second = bytearray(b"\xff\xfe" + struct.pack(">H", 8000) + bytes(7998))
    at = 4 + 0xFFFE - len(b"\xff\xd8\xff\x01" + first)
    second[at : at + len(other)] = other
    return b"\xff\xd8\xff\x01" + first + bytes(second) + jpeg[2:]


def test_a_header_that_a_decoder_reads_otherwise_states_no_size() -> None:
    data = disguised(FILES["jpeg"])
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape[:2] == (HEIGHT, WIDTH), "it is the picture behind the marker that is decoded"
    assert stated_size(data) is None


def tiff(*fields: tuple[int, int, int]) -> bytes:
    """A TIFF's first directory with these fields, each a LONG: tag, count, value."""
    entries = b"".join(struct.pack("<HHII", tag, 4, count, value) for tag, count, value in fields)
    return b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4)


@pytest.mark.parametrize(
    "fields",
    [
        [(256, 1, 24_000), (257, 1, 24_000), (256, 1, 100), (257, 1, 100)],
        [(256, 1, 100), (257, 1, 100), (322, 1, 60_000), (323, 1, 60_000)],
        [(256, 2, 100), (257, 1, 100)],
        [*((300 + n, 1, 0) for n in range(101)), (257, 1, 24_000)],
    ],
    ids=["twice", "tiles", "a list", "one side"],
)
def test_a_tiff_that_readers_read_differently_states_no_size(fields: list[tuple[int, int, int]]) -> None:
    assert stated_size(tiff((256, 1, 37), (257, 1, 23))) == (37, 23)
    assert stated_size(tiff(*fields)) is None


def in_scans(jpeg: bytes, more: int) -> bytes:
    """The progressive JPEG with its last scan so many times again."""
    return jpeg[:-2] + more * jpeg[jpeg.rindex(b"\xff\xda") : -2] + jpeg[-2:]


def chunk_of_gigabytes() -> bytes:
    data = FILES["png"]
    return data[:33] + struct.pack(">I", 0x7FFFFF00) + b"tEXt" + b"a\0b" + bytes(4) + data[33:]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(disguised(FILES["jpeg"]), "ends before its picture does", id="another header"),
        pytest.param(in_scans(FILES["progressive jpeg"], 200), r"in 2\d\d scans, more than 100", id="scans"),
        pytest.param(chunk_of_gigabytes(), "ends before its picture does", id="a chunk of gigabytes"),
    ],
)
def test_what_would_fill_the_memory_or_take_hours_is_not_decoded(
    data: bytes, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    (tmp_path / "photo").write_bytes(data)
    with pytest.raises(ImageUnreadable, match=why):
        read_picture(tmp_path / "photo")


def test_a_progressive_picture_in_some_scans_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(in_scans(FILES["progressive jpeg"], 20))
    assert read_picture(tmp_path / "photo").shape == (HEIGHT, WIDTH, 3)
