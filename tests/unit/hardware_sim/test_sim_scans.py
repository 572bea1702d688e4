"""The scan: what a transmission picture shows of a truck, and its files as others read them."""

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from uuid import UUID

import numpy as np
import pydicom
import pytest
from PIL import Image

from hardware_sim.devices.imaging import ImagingScanner, ImagingSettings
from hardware_sim.devices.scan_files import Scan, encoded, quick_look
from hardware_sim.world.outline import FLOOR_M
from hardware_sim.world.radiograph import HEIGHT_M, MM_PER_PX, areal_density, radiograph
from hardware_sim.world.truck import Cargo, CargoKind
from tests.unit.hardware_sim.roads import lane_of, said_by, site_of, truck


def scan(**more: Any) -> Scan:
    return replace(
        Scan(
            "xray-000001", "CSQU3054383", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), UUID(int=7 << 100), "xray",
            radiograph(truck(), [1]),
        ),
        **more,
    )  # fmt: skip


@pytest.mark.parametrize("index", range(1, 9))
def test_picture_weighs_what_the_truck_weighs(index: int) -> None:
    one = truck(index)
    kg = areal_density(one).sum() * (MM_PER_PX / 10) ** 2 / 1000
    assert kg == pytest.approx(one.gross_kg, rel=1e-6)
    assert areal_density(one).min() >= 0


def test_heavier_loads_are_darker_and_air_is_bright() -> None:
    def load(kg: int) -> float:
        one = truck(gross_kg=kg)
        picture = radiograph(one, [1])
        begin = round((one.container_from_m + 0.6 + 0.3) * 1000 / MM_PER_PX)
        end = round((one.container_from_m + one.container_m + 0.6 - 0.3) * 1000 / MM_PER_PX)
        rows = slice(round((HEIGHT_M - FLOOR_M - 1.0) * 1000 / MM_PER_PX), round((HEIGHT_M - FLOOR_M - 0.3) * 100))
        return float(np.median(picture[rows, begin:end]))

    picture = radiograph(truck(), [1])
    assert picture.dtype == np.uint16
    assert np.median(picture[:30]) == pytest.approx(60_000, rel=0.03)
    assert load(14_500) > load(22_000) > load(33_000)


def test_shielded_source_is_a_dark_block_in_the_load() -> None:
    one = truck()
    hot = replace(one, cargo=Cargo(CargoKind.SOURCE, 1000, 0, 0.6, "Cs-137"))
    added = areal_density(hot) - areal_density(one)
    rows, columns = np.nonzero(added > 100)
    middle = (one.container_from_m + one.container_m / 2 + 0.6) * 1000 / MM_PER_PX
    assert columns.mean() == pytest.approx(middle, abs=3)
    assert len(rows) < 3000


def test_same_truck_and_seed_same_picture() -> None:
    assert np.array_equal(radiograph(truck(), [1, 2]), radiograph(truck(), [1, 2]))
    assert not np.array_equal(radiograph(truck(), [1, 2]), radiograph(truck(), [1, 3]))


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_sixteen_bit_pictures_are_read_unchanged_by_pillow_and_opencv(format: Any) -> None:
    import cv2

    one = scan()
    data = encoded(one, format)
    assert data == encoded(one, format)
    with Image.open(BytesIO(data)) as image:
        assert image.mode in ("I;16", "I;16B", "I")
        assert np.array_equal(np.asarray(image).astype(np.uint16), one.picture)
        told = image.info.get("Description") or image.tag_v2[270]  # type: ignore[attr-defined]
        assert "vehicle=CSQU3054383" in told
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert seen is not None
    assert np.array_equal(seen, one.picture)


def test_jpeg_is_a_quick_look() -> None:
    one = scan()
    with Image.open(BytesIO(encoded(one, "jpeg"))) as image:
        assert np.abs(np.asarray(image).astype(int) - quick_look(one.picture)).mean() < 4


@pytest.mark.parametrize(
    ("format", "sop_class"),
    [("dicom", "1.2.840.10008.5.1.4.1.1.1.1"), ("dicos", "1.2.840.10008.5.1.4.1.1.501.2.1")],
)
def test_dicom_objects_are_read_by_pydicom(format: Any, sop_class: str) -> None:
    one = scan()
    data = encoded(one, format)
    assert data == encoded(one, format)
    read = pydicom.dcmread(BytesIO(data))
    assert read.SOPClassUID == read.file_meta.MediaStorageSOPClassUID == sop_class
    assert (read.PatientID, read.Modality) == ("CSQU3054383", "DX")
    assert (read.AcquisitionDate, read.AcquisitionTime) == ("20260102", "030405.000000")
    assert np.array_equal(read.pixel_array, one.picture)


def test_number_may_be_none_anywhere() -> None:
    for format in ("png", "tiff", "jpeg", "dicom", "dicos", "uff"):
        assert encoded(scan(vehicle_number=""), format)


def test_scanner_hands_one_scan_of_each_truck_on_after_its_delay() -> None:
    lane = lane_of([truck(), truck(2)])
    for states in ("container", "plate", "none"):
        settings = ImagingSettings(format="tiff", states=states, delay_s=60, at_m=2.0)
        scanner = ImagingScanner("xray", settings, site_of(lane))
        said = said_by(scanner, 1e6)
        assert [at for at, _ in said] == [pytest.approx(p.leaves(2.0) + 60) for p in lane.passages]
        for passage in lane.passages:
            plate = passage.truck.plate
            expected = {"container": passage.truck.container_code, "plate": plate and plate.text, "none": None}[states]
            told = scanner.said_of(passage)
            assert told is not None
            assert told["vehicle_number"] == expected
    assert said == said_by(ImagingScanner("xray", settings, site_of(lane)), 1e6)


def test_scans_that_nobody_takes_are_bounded() -> None:
    lane = lane_of([truck(k) for k in range(1, 21)])
    scanner = ImagingScanner("xray", ImagingSettings(format="tiff"), site_of(lane))
    assert len(said_by(scanner, 1e6)) == 20
    assert len(scanner.waiting) == 16
