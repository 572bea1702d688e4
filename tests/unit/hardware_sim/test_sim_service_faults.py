"""Faults of devices that protocol libraries carry: scans that are lost, late or damaged, contacts that stick."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from hardware_sim.devices import imaging_dicom, imaging_folder, modem_lines
from hardware_sim.devices.catalogue import AnyDevice
from hardware_sim.devices.imaging import ImagingScanner
from hardware_sim.fault_targets import device_kinds
from hardware_sim.faults import ALL_KINDS, AnyFault, FaultSettings
from hardware_sim.misfit import misfit
from tests.unit.hardware_sim.roads import lane_of, site_of, truck

DEVICE: TypeAdapter[Any] = TypeAdapter(AnyDevice)


def fault(kind: str, **parameters: Any) -> FaultSettings:
    return AnyFault.validate_python({"target": "x", "kind": kind, **parameters})


def scanner(tmp_path: Path, format: str = "png", trucks: int = 1) -> ImagingScanner:
    settings = imaging_folder.Settings(kind="imaging_folder", format=format)  # type: ignore[arg-type]
    return imaging_folder.ImagingFolder(
        "xray", settings, site_of(lane_of([truck(k + 1) for k in range(trucks)]), folder=tmp_path)
    )


def play(device: Any, until: float = 1e6) -> list[tuple[float, int]]:
    """When which number of scans came to wait."""
    found: list[tuple[float, int]] = []
    while (due := device.next_wake()) is not None and due <= until:
        device.woke(due)
        if len(device.waiting) > (found[-1][1] if found else 0):
            found.append((due, len(device.waiting)))
    return found


@pytest.mark.parametrize("kind", ["silence", "drop"])
def test_a_scan_is_lost(tmp_path: Path, kind: str) -> None:
    device = scanner(tmp_path, trucks=2)
    lost = fault(kind, **({"share": 1.0} if kind == "drop" else {}))
    device.fault(lost, active=True)
    first = device.next_wake()
    assert first is not None
    assert device.woke(first)  # for the record: what was to be handed on
    assert not device.waiting
    device.fault(lost, active=False)
    assert [count for _, count in play(device)] == [1]


def test_scans_come_late_in_order_and_at_once_when_it_is_over(tmp_path: Path) -> None:
    plain = play(scanner(tmp_path, trucks=2))
    device = scanner(tmp_path, trucks=2)
    device.fault(fault("delay", delay_s=500), active=True)
    assert [at for at, _ in play(device)] == [at + 500 for at, _ in plain]
    device = scanner(tmp_path, trucks=2)
    late = fault("delay", delay_s=500)
    device.fault(late, active=True)
    assert play(device, plain[1][0]) == []
    device.fault(late, active=False)
    due = device.next_wake()
    assert due == plain[1][0]
    device.woke(due)
    assert [scan.scan_id for scan, _ in device.waiting] == ["xray-000001", "xray-000002"]


def test_scans_are_gathered_and_come_together(tmp_path: Path) -> None:
    device = scanner(tmp_path, trucks=2)
    device.fault(fault("merge", every_s=600), active=True)
    assert play(device) == [(600.0, 2)]


def test_bytes_of_a_file_or_pixels_of_an_object_are_wrong(tmp_path: Path) -> None:
    whole, device = scanner(tmp_path), scanner(tmp_path)
    play(whole)
    device.fault(fault("garble", share=0.01), active=True)
    play(device)
    (scan, data), (_, wrong) = whole.waiting[0], device.waiting[0]
    differ = sum(a != b for a, b in zip(data, wrong, strict=True))
    assert 0.005 < differ / len(data) < 0.02
    lane = lane_of([truck()])
    dicom = imaging_dicom.ImagingDicom("xray", imaging_dicom.Settings(kind="imaging_dicom"), site_of(lane))
    dicom.fault(fault("garble", share=0.01), active=True)
    play(dicom)
    pixels = dicom.waiting[0][0].picture
    assert pixels.shape == scan.picture.shape
    assert 0.005 < (pixels != scan.picture).mean() < 0.04
    again = scanner(tmp_path)
    again.fault(fault("garble", share=0.01), active=True)
    play(again)
    assert again.waiting[0][1] == wrong, "the same seed spoils the same bytes"


def test_a_pictures_check_value_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    import zlib

    whole, device = scanner(tmp_path), scanner(tmp_path)
    play(whole)
    device.fault(fault("wrong_checksum"), active=True)
    play(device)
    data, wrong = whole.waiting[0][1], device.waiting[0][1]
    (at,) = [index for index, (a, b) in enumerate(zip(data, wrong, strict=True)) if a != b]
    assert (data[at] ^ wrong[at], data[at + 1 : at + 9]) == (1, b"\0\0\0\0IEND")
    body = data[data.rindex(b"IDAT") : at - 3]
    assert zlib.crc32(body) == int.from_bytes(data[at - 3 : at + 1])


def test_contacts_stick_miss_changes_and_switch_late() -> None:
    def barriers() -> tuple[modem_lines.ModemLines, float]:
        lane = lane_of([truck()])
        settings = modem_lines.Settings(kind="modem_lines", links=[{"kind": "rfc2217"}])  # type: ignore[list-item]
        return modem_lines.ModemLines("x", settings, site_of(lane)), lane.passages[0].reaches(0.0)

    def until(device: modem_lines.ModemLines, end: float) -> bool:
        while (due := device.next_wake()) is not None and due <= end:
            device.woke(due)
        return device.control_lines().cts

    device, there = barriers()
    assert until(device, there + 0.2)
    for kind, parameters in (("silence", {}), ("drop", {"share": 1.0})):
        device, _ = barriers()
        stuck = fault(kind, **parameters)
        device.fault(stuck, active=True)
        assert not until(device, there + 0.2)
        device.fault(stuck, active=False)
        assert device.control_lines().cts
    device, _ = barriers()
    device.fault(fault("delay", delay_s=0.5), active=True)
    assert not until(device, there + 0.3)
    assert until(device, there + 0.6)


@pytest.mark.parametrize(
    ("settings", "can", "cannot"),
    [
        ({"kind": "aspect_modbus"}, "delay drop silence garble split merge tamper", "wrong_checksum wrong_baud"),
        ({"kind": "llrp_reader"}, "delay drop silence garble split merge", "wrong_checksum wrong_baud tamper"),
        ({"kind": "imaging_folder"}, "delay drop silence garble split merge wrong_checksum", "wrong_baud"),
        ({"kind": "imaging_folder", "format": "tiff"}, "garble", "wrong_checksum"),
        ({"kind": "imaging_http", "to": "http://h/"}, "delay drop silence garble split merge wrong_checksum", "frozen"),
        ({"kind": "imaging_dicom"}, "delay drop silence garble merge", "split wrong_checksum"),
        (
            {"kind": "modem_lines", "links": [{"kind": "rfc2217"}]},
            "delay drop silence",
            "garble split merge wrong_baud",
        ),
    ],
)
def test_what_makes_no_sense_says_so_by_name(settings: dict[str, Any], can: str, cannot: str) -> None:
    kinds = {"x": device_kinds(settings["kind"], DEVICE.validate_python(settings))}
    assert {*can.split(), "hang_up", "re_plug"} <= kinds["x"]
    for kind in cannot.split():
        wrong = misfit("x", kind, kinds)
        assert wrong is not None
        assert wrong.wrong.startswith(f"{kind} cannot happen to x: it needs ")
    for kind in ALL_KINDS:
        misfit("x", kind, {"x": frozenset()})  # every kind has its words
