"""What goes wrong inside a device: tampering, background, motion that never ends, clocks; and trucks that turn back."""

import xml.etree.ElementTree as ET
from datetime import datetime, timedelta
from typing import Any

import pytest

from hardware_sim.devices import aspect_modbus, rapiscan_vm250, rice_lake_iq355, spectroscopic_n42
from hardware_sim.devices.imaging import ImagingScanner, ImagingSettings
from hardware_sim.faults import Background, ClockSkew, Misjudge, StuckMotion, Tamper
from hardware_sim.world.truck import Cargo, CargoKind
from tests.unit.hardware_sim.roads import TCP, lane_of, said_by, site_of, standing, truck

TAMPER = Tamper(kind="tamper", target="portal")
HOT = Background(kind="background", target="portal", gamma=8.0, neutron=20.0)
LATE = ClockSkew(kind="clock_skew", target="portal", by_s=7200.0)


def vm250(lane: Any, **more: Any) -> rapiscan_vm250.RapiscanVm250:
    settings = rapiscan_vm250.Settings(kind="rapiscan_vm250", links=TCP, **more)  # type: ignore[arg-type]
    return rapiscan_vm250.RapiscanVm250("portal", settings, site_of(lane))


def tags(said: list[tuple[float, bytes]]) -> list[str]:
    return [line.split(",")[0] for _, data in said for line in data.decode().split("\r\n") if line]


def test_opened_housing_is_told_once_and_closed_again_once() -> None:
    portal = vm250(lane_of([]))
    said_by(portal, 7.0)
    portal.fault(TAMPER, active=True)
    due = portal.next_wake()
    assert due is not None
    assert due <= 7.0
    assert portal.woke(7.0) == b"TT,000000,000000,000000,000000\r\n"
    assert set(tags(said_by(portal, 30.0))) == {"NB", "GB"}
    portal.fault(TAMPER, active=False)
    assert portal.woke(31.0) == b"TC,000000,000000,000000,000000\r\n"
    assert set(tags(said_by(portal, 60.0))) == {"NB", "GB"}


def test_background_out_of_bounds_has_its_own_tags_until_it_is_back() -> None:
    portal = vm250(lane_of([]))
    portal.fault(HOT, active=True)
    assert set(tags(said_by(portal, 20.0))) == {"NH", "GH"}
    portal.fault(HOT, active=False)
    assert set(tags(said_by(portal, 40.0))) == {"NB", "GB"}
    portal.fault(Background(kind="background", target="portal", gamma=0.1), active=True)
    assert set(tags(said_by(portal, 60.0))) == {"NB", "GL"}


@pytest.mark.parametrize(("n_sigma", "alarms"), [(1e6, False), (-1e6, True)])
def test_a_portal_that_judges_otherwise_than_it_states(n_sigma: float, alarms: bool) -> None:
    lane = lane_of([truck() if alarms else truck(cargo=Cargo(CargoKind.SOURCE, 3000.0, 0.0, 0.0, "Cs-137"))])
    portal = vm250(lane)
    portal.fault(Misjudge(kind="misjudge", target="portal", n_sigma=n_sigma), active=True)
    passage = lane.passages[0]
    assert b"05.0" in portal.connected()
    assert ("GA" in tags(said_by(portal, portal.done_with(passage)))) is alarms
    said = portal.said_of(passage)
    assert said is not None
    assert (said["gamma_alarm"], said["expected_gamma_alarm"]) == (alarms, not alarms)


def test_aspect_shows_tampering_and_high_background_in_its_bits() -> None:
    device = aspect_modbus.AspectModbus("aspect", aspect_modbus.Settings(kind="aspect_modbus"), site_of(lane_of([])))
    device.fault(TAMPER, active=True)
    device.fault(HOT, active=True)
    said_by(device, 120.0)
    assert device.registers[2] == 1 << 10
    assert device.registers[3] == 0x80 | 0x20
    device.fault(TAMPER, active=False)
    device.fault(HOT, active=False)
    said_by(device, 300.0)
    assert (device.registers[2], device.registers[3]) == (0, 0x80)


def test_scale_that_never_settles_says_so_in_every_frame() -> None:
    lane = lane_of([truck()])
    settings = rice_lake_iq355.Settings(kind="rice_lake_iq355", links=TCP)  # type: ignore[arg-type]
    scale = rice_lake_iq355.RiceLakeIq355("scale", settings, site_of(lane))
    scale.fault(StuckMotion(kind="stuck_motion", target="scale"), active=True)
    said = said_by(scale, standing(lane.passages[0]))
    assert {data[-3:-2] for _, data in said} == {b"M"}
    assert (scale.said_of(lane.passages[0]) or {})["gross_kg"] is None


@pytest.mark.parametrize("skewed", [False, True])
def test_wrong_clocks_are_in_what_is_dated(skewed: bool) -> None:
    lane = lane_of([truck()])
    late = timedelta(hours=2 if skewed else 0)
    settings = spectroscopic_n42.Settings(kind="spectroscopic_n42", links=TCP)  # type: ignore[arg-type]
    portal = spectroscopic_n42.SpectroscopicN42("spectro", settings, site_of(lane))
    scanner = ImagingScanner("xray", ImagingSettings(format="tiff"), site_of(lane))
    if skewed:
        portal.fault(LATE, active=True)
        scanner.fault(LATE, active=True)
    ((_, framed),) = said_by(portal, 1e6)
    dates = [e.text or "" for e in ET.fromstring(framed[1:-1]).iter() if e.tag.endswith("StartDateTime")]  # noqa: S314
    true = site_of(lane).utc(lane.passages[0].reaches(0.0)) + late
    assert abs(datetime.fromisoformat(dates[1]) - true) < timedelta(milliseconds=2)
    said_by(scanner, 1e6)
    assert scanner.waiting[0][0].taken == site_of(lane).utc(lane.passages[0].leaves(2.0)) + late


def test_truck_that_turns_back_before_a_device_is_nothing_to_it() -> None:
    lane = lane_of([truck(turns_back_m=2.0), truck(2)])
    turned, through = lane.passages
    portal = vm250(lane, at_m=4.0)
    said = tags(said_by(portal, through.departs + 10))
    assert said.count("GX") == 1
    assert portal.said_of(turned) is None
    assert (portal.said_of(through) or {})["occupancy"] == 1
    settings = spectroscopic_n42.Settings(kind="spectroscopic_n42", at_m=4.0, links=TCP)  # type: ignore[arg-type]
    spectro = spectroscopic_n42.SpectroscopicN42("spectro", settings, site_of(lane))
    assert len(said_by(spectro, 1e6)) == 1
    scanner = ImagingScanner("xray", ImagingSettings(format="tiff", at_m=4.0), site_of(lane))
    assert len(said_by(scanner, 1e6)) == 1
    assert scanner.said_of(turned) is None


def test_portal_that_stands_elsewhere_sees_the_truck_there() -> None:
    lane = lane_of([truck()], stop_s=0.0)
    passage = lane.passages[0]
    for at_m in (-4.0, 0.0, 6.0):
        said = said_by(vm250(lane, at_m=at_m), passage.departs + 60)
        begins = next(at for at, data in said if b"NS," in data)
        ends = next(at for at, data in said if b"GX," in data)
        assert begins == pytest.approx(passage.reaches(at_m))
        assert ends == pytest.approx(passage.leaves(at_m) + 2.0, abs=0.21)
