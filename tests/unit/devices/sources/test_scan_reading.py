"""Files as scanners write them, and as nobody should: what is read of them, and that their bytes are always kept."""

import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom.data
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless

from edge_agent.devices.sources import dicom_file, quick_look
from edge_agent.devices.sources.dicom_file import HEADER_MAX, read_dicom
from edge_agent.devices.sources.quick_look import LONG_SIDE, PIXELS_MAX
from edge_agent.devices.sources.scan_file import NOTE_MAX, NOTHING, TEXT_MAX, FileSettings, Stated, clean, format_of
from edge_agent.devices.sources.scan_reading import File, scan_reading
from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.observation import Reading, ScanImage
from tests.scanner import dicom_file as written
from tests.scanner import dicos, encoded, png, scan_16_bit

SETTINGS = FileSettings()
SAMPLES = Path(pydicom.data.__file__).parent / "test_files"


def read(data: bytes, name: str = "scan.bin", **settings: Any) -> tuple[ScanImage, Reading]:
    reading = scan_reading([File(name, data)], NOTHING, FileSettings(**settings), 5.0)
    assert isinstance(reading.body, ScanImage)
    assert reading.evidence[0].kind is EvidenceKind.SCAN
    assert reading.evidence[0].data == data, "the file is not kept as it came"
    assert reading.at == 5.0
    return reading.body, reading


def shown(reading: Reading) -> NDArray[Any]:
    [look] = [evidence for evidence in reading.evidence if evidence.kind is EvidenceKind.QUICK_LOOK]
    assert look.media_type == "image/jpeg"
    return np.asarray(cv2.imdecode(np.frombuffer(look.data, np.uint8), cv2.IMREAD_UNCHANGED))


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


# --- DICOM ------------------------------------------------------------------------------------------------------


def test_a_dicos_scan() -> None:
    body, reading = read(written(dicos(7)))
    assert body == ScanImage("D7", "dicos", "MSKU0383250", 40, 20)
    assert reading.device_time == "20261122010203.000000"
    assert reading.evidence[0].media_type == "application/dicom"
    assert shown(reading).shape == (20, 40)


def test_a_frame_count_that_a_dicos_toolkit_writes_as_a_number() -> None:
    volume = dicos()
    volume.add_new(0x00280008, "US", 3)
    dark, bright = np.zeros((20, 40), np.uint16), scan_16_bit(20, 40)
    volume.PixelData = dark.tobytes() + bright.tobytes() + dark.tobytes()
    body, reading = read(written(volume))
    assert body.note == ""
    assert np.ptp(shown(reading)) > 200, "not the middle frame"


def test_a_medical_file_is_dicom() -> None:
    body, reading = read((SAMPLES / "CT_small.dcm").read_bytes())
    assert (body.format, body.scan_id, body.vehicle_number) == ("dicom", "1CT1", "1CT1")
    assert reading.device_time == "19970430112936"


def test_which_tags_are_asked_is_a_setting() -> None:
    scan = dicos()
    scan.AccessionNumber, scan.PatientComments = "A-9", "TRLU1234567"
    body, _ = read(written(scan), scan_tags=("0008,0050",), vehicle_tags=("(0099,0010)", "0010,4000"))
    assert (body.scan_id, body.vehicle_number) == ("A-9", "TRLU1234567")
    del scan.StudyID
    assert read(written(scan))[0].scan_id == "A-9"
    del scan.AccessionNumber
    assert read(written(scan))[0].scan_id == "1.2.3.4.1"
    with pytest.raises(ValueError, match="is no DICOM tag"):
        FileSettings(scan_tags=("PatientID",))


def test_time_in_two_tags_and_text_of_another_alphabet() -> None:
    scan = dicos()
    del scan.AcquisitionDateTime
    scan.ContentDate, scan.ContentTime = "20261122", "235959"
    scan.SpecificCharacterSet, scan.PatientID = "ISO_IR 144", "А123ВС"
    body, reading = read(written(scan))
    assert reading.device_time == "20261122235959"
    assert body.vehicle_number == "А123ВС"


@pytest.mark.parametrize(
    "name",
    [
        "MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "CT_small.dcm",
        "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_rle.dcm", "SC_rgb_rle_16bit.dcm", "SC_rgb_rle_32bit.dcm",
        "ExplVR_BigEnd.dcm", "rtdose_1frame.dcm", "rtdose_rle_1frame.dcm",
    ],
)  # fmt: skip
def test_pixels_are_those_that_pydicom_reads(name: str) -> None:
    path = SAMPLES / name
    data = path.read_bytes()
    pixels = read_dicom(data, SETTINGS).pixels
    assert pixels is not None
    ours, theirs = quick_look.frame(data, pixels), dcmread(path).pixel_array
    assert np.array_equal(ours[..., ::-1] if ours.ndim == 3 else ours, theirs)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_orders_of_bytes(syntax: str) -> None:
    scan = dicos(syntax=syntax)
    if syntax == ExplicitVRBigEndian:
        scan.PixelData = np.frombuffer(scan.PixelData, np.uint16).astype(">u2").tobytes()
    scan["PixelData"].VR = "OW"
    body, reading = read(written(scan))
    assert (body.width, body.height, body.vehicle_number) == (40, 20, "MSKU0383250")
    assert shown(reading)[10, 2] < shown(reading)[10, 20] < shown(reading)[10, -3]


def test_monochrome1_is_inverted_and_signed_values_are_signed() -> None:
    scan = dicos()
    scan.PhotometricInterpretation = "MONOCHROME1"
    row = shown(read(written(scan))[1])[10]
    assert row[2] > row[-3] + 100
    scan.PhotometricInterpretation, scan.PixelRepresentation = "MONOCHROME2", 1
    scan.PixelData = np.tile(np.linspace(-900, 900, 40), (20, 1)).astype(np.int16).tobytes()
    row = shown(read(written(scan))[1])[10].astype(int)
    assert np.all(np.diff(row[::5]) > 0)


def test_bits_above_those_stored_are_cut_off() -> None:
    scan = dicos()
    scan.BitsStored, scan.HighBit = 12, 11
    values = np.tile(np.linspace(0, 4000, 40), (20, 1)).astype(np.uint16)
    scan.PixelData = (values | 0x8000 * (np.arange(20) % 2 == 0).astype(np.uint16)[:, None]).astype(np.uint16).tobytes()
    picture = shown(read(written(scan))[1]).astype(int)
    assert np.all(np.diff(picture[9, ::5]) > 0)
    assert np.abs(picture[8] - picture[9]).max() < 20, "an overlay in the high bits is drawn"


@pytest.mark.parametrize(("extension", "syntax"), [(".jpg", JPEGBaseline8Bit), (".jp2", JPEG2000Lossless)])
def test_compressed_pixels(extension: str, syntax: str) -> None:
    scan = _compressed(extension, syntax)
    body, reading = read(written(scan))
    assert body.note == ""
    assert shown(reading).shape == (80, 120)
    scan.Columns = 41
    body, _ = read(written(scan))
    assert "not the 41 × 80 stated" in body.note


def _compressed(extension: str, syntax: str) -> Dataset:
    scan = dicos(syntax=syntax, height=80, width=120)
    coded = encoded(extension, np.tile(np.arange(120, dtype=np.uint8) * 2, (80, 1)))
    if extension == ".jp2":  # DICOM holds the code stream without its box
        coded = coded[coded.index(b"\xff\x4f\xff\x51") :]
    scan.BitsAllocated = scan.BitsStored = 8
    scan.HighBit = 7
    scan.PixelData = encapsulate([coded])
    scan["PixelData"].VR = "OB"
    scan["PixelData"].is_undefined_length = True
    return scan


def _changed(**values: Any) -> bytes:
    scan = dicos()
    for name, value in values.items():
        setattr(scan, name, value)
    return written(scan)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (_changed(Rows=65_535, Columns=65_535), "more than it holds"),
        (_changed(Rows=0), "no rows, columns or frames"),
        (_changed(NumberOfFrames=999_999_999), "more than it holds"),
        (_changed(SamplesPerPixel=2), "2 samples of 16 bits"),
        (_changed(BitsAllocated=64), "of 64 bits"),
        (_changed(PhotometricInterpretation="PALETTE COLOR"), "PALETTE COLOR"),
        (written(_compressed(".jpg", JPEGLSLossless)), "the transfer syntax 1.2.840.10008.1.2.4.80 is not decoded"),
        ((SAMPLES / "MR_truncated.dcm").read_bytes(), "more than it holds"),
        ((SAMPLES / "SC_rgb_small_odd_big_endian.dcm").read_bytes(), "bytes in big-endian words"),
        ((SAMPLES / "reportsi.dcm").read_bytes(), "it has no pixels"),
        ((SAMPLES / "image_dfl.dcm").read_bytes(), "deflated, which is not opened"),
        ((SAMPLES / "meta_missing_tsyntax.dcm").read_bytes(), "states no transfer syntax"),
        (b"\0" * 128 + b"DICM", "states no transfer syntax"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 400, "header"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_dicom_that_is_not_drawn_is_kept(data: bytes, why: str) -> None:
    body, reading = read(data, "kept.dcm")
    assert why in body.note
    assert len(reading.evidence) == 1
    assert body.scan_id


def test_a_deflated_bomb_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zlib, "decompress", lambda *a, **k: pytest.fail("inflated"))
    assert "deflated" in read((SAMPLES / "image_dfl.dcm").read_bytes())[0].note


def test_a_header_of_nothing_but_tiny_elements_is_bounded() -> None:
    head = written(dicos())
    start = head.index(b"\x08\x00\x16\x00UI")
    element = struct.pack("<HH2sH", 0x0009, 0x0001, b"LO", 0)
    many = head[:start] + element * (HEADER_MAX // len(element) + 10)
    found = read_dicom(many, SETTINGS)
    assert "more than 2 MiB before the pixels" in found.note
    fewer = read_dicom(head[:start] + element * 1000 + head[start:], SETTINGS)
    assert fewer.pixels, fewer.note


def test_run_lengths_unpack_no_more_than_was_stated() -> None:
    data = bytearray((SAMPLES / "MR_small_RLE.dcm").read_bytes())
    pixels = read_dicom(bytes(data), SETTINGS).pixels
    assert pixels
    header = struct.pack("<16I", 2, 64, 1064, *[0] * 13)
    data[pixels.at : pixels.end] = header + b"\x81\x00" * 500 + b"\x81\x00" * 5_000_000
    bomb = dicom_file.Pixels(**{**_fields(pixels), "end": len(data)})
    given = bytes(data)
    tracemalloc.start()
    try:
        assert quick_look.frame(given, bomb).shape == (64, 64)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * len(given), "all of it was unpacked"  # it would be 32 times


def _fields(pixels: dicom_file.Pixels) -> dict[str, Any]:
    return {name: getattr(pixels, name) for name in dicom_file.Pixels.__slots__}


GOOD = (
    written(dicos()),
    written(_compressed(".jp2", JPEG2000Lossless)),
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
