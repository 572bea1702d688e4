"""DICOM files as scanners write them, and as nobody should: what is read and drawn of them."""

import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless

from edge_agent.devices.sources import dicom_file, quick_look
from edge_agent.devices.sources.dicom_file import HEADER_MAX, read_dicom
from edge_agent.devices.sources.scan_file import FileSettings
from edge_agent.domain.observation import ScanImage
from tests.scanner import dicom_file as written
from tests.scanner import dicos, scan_16_bit
from tests.unit.devices.sources.scan_reads import SETTINGS, compressed, read, shown

SAMPLES = Path(pydicom.data.__file__).parent / "test_files"


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
    scan = compressed(extension, syntax)
    body, reading = read(written(scan))
    assert body.note == ""
    assert shown(reading).shape == (80, 120)
    scan.Columns = 41
    body, _ = read(written(scan))
    assert "not the 41 × 80 stated" in body.note


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
        (written(compressed(".jpg", JPEGLSLossless)), "the transfer syntax 1.2.840.10008.1.2.4.80 is not decoded"),
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
