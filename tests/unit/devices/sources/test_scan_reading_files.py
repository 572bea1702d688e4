"""Files as scanners write them, and as nobody should: what is read of them, and that their bytes are always kept."""

import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.uid import JPEG2000Lossless

from edge_agent.devices.sources.quick_look import LONG_SIDE, PIXELS_MAX
from edge_agent.devices.sources.scan_file import NOTE_MAX, TEXT_MAX, Stated, clean, format_of
from edge_agent.devices.sources.scan_reading import File, scan_reading
from edge_agent.domain.observation import ScanImage
from tests.scanner import dicom_file as written
from tests.scanner import dicos, encoded, png, scan_16_bit
from tests.unit.devices.sources.scan_reads import SETTINGS, compressed, read, shown

# --- pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("extension", "kind"), [(".png", "png"), (".tiff", "tiff"), (".jpg", "jpeg")])
def test_a_picture_gives_a_quick_look(extension: str, kind: str) -> None:
    picture = scan_16_bit(60, 90) if kind != "jpeg" else np.tile(np.arange(90, dtype=np.uint8) * 2, (60, 1))
    body, reading = read(encoded(extension, picture), "named.otherwise")
    assert (body.format, body.width, body.height, body.note) == (kind, 90, 60, "")
    assert shown(reading).shape == (60, 90)
    assert body.scan_id == "named"


def test_16_bits_are_shown_between_the_values_that_they_have() -> None:
    _, reading = read(png(100, 200))
    row = shown(reading)[50].astype(int)
    assert row[2] < 15, "the darkest is not black"
    assert row[-3] > 240, "the brightest is not white"
    assert abs(row[100] - 127) < 12
    assert np.all(np.diff(row[::10]) > 0), "brighter is not brighter"


@pytest.mark.parametrize("picture", [np.full((30, 40), 700, np.uint16), np.zeros((30, 40), np.uint16)])
def test_one_value_everywhere_is_drawn(picture: NDArray[Any]) -> None:
    _, reading = read(encoded(".png", picture))
    assert np.ptp(shown(reading)) == 0


def test_a_large_scan_is_scaled_and_its_size_told() -> None:
    body, reading = read(png(300, 5000))
    assert (body.width, body.height) == (5000, 300)
    assert shown(reading).shape == (96, LONG_SIDE)


@pytest.mark.parametrize("channels", [3, 4])
def test_colours(channels: int) -> None:
    picture = np.zeros((20, 30, channels), np.uint8)
    picture[..., 2] = 250
    body, reading = read(encoded(".png", picture))
    assert shown(reading)[10, 10].tolist()[2] > 200
    assert shown(reading)[10, 10].tolist()[0] < 50
    assert body.note == ""


def test_numbers_that_are_none_are_not_drawn() -> None:
    picture = np.full((20, 30), np.nan, np.float32)
    body, reading = read(encoded(".tiff", picture))
    assert "it holds no numbers" in body.note
    assert len(reading.evidence) == 1
    picture[:, 10:] = np.linspace(0, 1, 20)
    assert shown(read(encoded(".tiff", picture))[1]).shape == (20, 30)


# --- what does not decode ---------------------------------------------------------------------------------------


def _png_of(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + b"IEND\xaeB`\x82"
    )


def _tiff_of(*tags: tuple[int, int]) -> bytes:
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4


JPEG_OF_65535 = b"\xff\xd8\xff\xe0\x00\x04\x00\x00\xff\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00\xff\xd9"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (_png_of(60_000, 60_000), "60000 × 60000 pixels"),
        (_png_of(0, 10), "0 × 10 pixels"),
        (_png_of(PIXELS_MAX, 2), "pixels"),
        (JPEG_OF_65535, "65535 × 65535 pixels"),
        (_tiff_of((256, 60_000), (257, 60_000)), "60000 × 60000 pixels"),
        (_tiff_of((256, 100), (257, 100), (277, 30_000)), "samples or tiles"),
        (_tiff_of((256, 100), (257, 100), (322, 50_000), (323, 50_000)), "samples or tiles"),
        (_tiff_of((256, 100)), "does not state its size"),
        (b"II+\0" + b"\0" * 60, "does not state its size"),
        (b"II*\0\xff\xff\xff\x00", "ends within its header"),
        (b"\x89PNG\r\n\x1a\n\0\0", "ends within its header"),
        (b"\xff\xd8\xff\xd9", "has no frame header"),
        (png(50, 60)[:-20], "ends before its picture does"),
        (encoded(".jpg", np.zeros((90, 90), np.uint8))[:-30], "ends before its picture does"),
    ],
)
def test_a_header_that_cannot_be_is_not_decoded(data: bytes, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*arguments: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", decode)
    body, reading = read(data)
    assert why in body.note
    assert body.note.startswith("no quick look: ")
    assert len(reading.evidence) == 1


def test_a_picture_that_does_not_decode() -> None:
    whole = bytearray(png(50, 60))
    whole[60:70] = b"\0" * 10
    body, _ = read(bytes(whole))
    assert body.note in ("no quick look: it does not decode", "")  # libpng may draw what came before
    body, _ = read(_tiff_of((256, 10), (257, 10)))
    assert "it does not decode" in body.note


@pytest.mark.parametrize(
    ("name", "settings_", "kind", "note"),
    [
        ("L1-0042.uff", {}, "uff", ""),
        ("L1-0042.UFF", {}, "uff", ""),
        ("L1-0042.hcv", {"formats": {".hcv": "uff"}}, "uff", ""),
        ("L1-0042.uff", {"formats": {".hcv": "uff"}}, "uff", ""),
        ("L1-0042.hcv", {}, "other", "no quick look: its format is not known"),
        ("L1-0042", {}, "other", "no quick look: its format is not known"),
    ],
)
def test_an_opaque_file_is_carried(name: str, settings_: dict[str, Any], kind: str, note: str) -> None:
    body, reading = read(b"anything at all", name, **settings_)
    assert body == ScanImage("L1-0042", kind, note=note)
    assert reading.evidence[0].media_type == "application/octet-stream"


def test_the_content_goes_before_the_name() -> None:
    assert format_of(png(20, 20), "a.uff", SETTINGS.formats) == "png"


def test_of_several_files_the_scanners_own_is_the_scan() -> None:
    files = [
        File("S1.jpg", encoded(".jpg", np.zeros((20, 30), np.uint8))),
        File("S1.uff", b"opaque"),
        File("S1.x", b"?"),
    ]
    reading = scan_reading(files, Stated(vehicle_number="MSKU0383250"), SETTINGS, 0.0, "a note", b"raw")
    assert reading.body == ScanImage(
        "S1", "uff", "MSKU0383250", note="a note; S1.x: no quick look: its format is not known"
    )
    assert [evidence.kind.value for evidence in reading.evidence] == ["scan", "scan", "scan", "quick_look"]
    assert reading.evidence[0].data == b"opaque"
    assert reading.raw == b"raw"


def test_text_is_one_bounded_printable_line() -> None:
    assert clean("a\x00b\n\tc\u2028d  e", 99) == "a b c d e"
    assert clean(b"caf\xe9.png".decode("utf-8", "surrogateescape"), 99) == "caf?.png"
    assert clean("x" * 500, TEXT_MAX) == "x" * (TEXT_MAX - 1) + "…"
    clean("\udcff" * 200, TEXT_MAX).encode()
    assert Stated(scan_id=" S\n1 ").scan_id == "S 1"


GOOD = (
    written(dicos()),
    written(compressed(".jp2", JPEG2000Lossless)),
    png(20, 30),
    encoded(".tiff", scan_16_bit(20, 30)),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(GOOD), st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6)), max_size=6), st.floats(0, 1))
def test_whatever_happens_to_a_file_it_is_kept(data: bytes, changes: list[tuple[float, bytes]], end: float) -> None:
    changed = bytearray(data)
    for place, value in changes:
        at = int(place * len(changed))
        changed[at : at + len(value)] = value
    body, reading = read(bytes(changed[: int(len(changed) * max(end, 0.2))]), "x.dcm")
    assert len(body.note) <= NOTE_MAX
    assert len(body.vehicle_number) <= TEXT_MAX
    for text in (body.scan_id, body.vehicle_number, body.note, reading.device_time):
        text.encode()
