"""The portals' drivers against the simulated portals, which were written from the manuals without them."""

import math
import struct

import pytest

from edge_agent.devices.drivers import rapiscan_vm250, spectroscopic_n42
from edge_agent.devices.sources.aspect_portal import Portal, RegisterSettings, decode
from edge_agent.domain.observation import (
    Body,
    DeviceFault,
    DeviceSetup,
    Direction,
    FaultKind,
    Malformed,
    Presence,
    RadiationAlarm,
    RadiationKind,
    RadiationOccupancy,
    SpectroscopicMeasurement,
)
from hardware_sim.device import Device
from hardware_sim.devices import aspect_modbus as aspect_sim
from hardware_sim.devices import rapiscan_vm250 as rapiscan_sim
from hardware_sim.devices import spectroscopic_n42 as spectroscopic_sim
from hardware_sim.faults import Tamper
from hardware_sim.world.lane import Lane
from hardware_sim.world.truck import Cargo, CargoKind
from tests.unit.hardware_sim.roads import TCP, lane_of, said_by, site_of, truck

GAMMA, NEUTRON = RadiationKind.GAMMA, RadiationKind.NEUTRON
SOURCE = Cargo(CargoKind.SOURCE, gamma_cps=4000.0, neutron_cps=80.0, nuclide="Cs-137")
UNTIL = 300.0


@pytest.fixture
def lane() -> Lane:
    """Two trucks, one empty and one with a source."""
    return lane_of([truck(1, cargo=Cargo()), truck(2, cargo=SOURCE)])


def of(kind: type, bodies: list[Body]) -> list[Body]:
    return [body for body in bodies if isinstance(body, kind)]


def verdicts(bodies: list[Body]) -> list[tuple[bool, bool, bool | None]]:
    return [
        (body.gamma_alarm, body.neutron_alarm, body.cross_check_alarm)
        for body in bodies
        if isinstance(body, RadiationOccupancy)
    ]


def heard(device: Device, driver: rapiscan_vm250.RapiscanVm250 | spectroscopic_n42.SpectroscopicN42) -> list[Body]:
    driver.opened(0.0)
    readings = [*driver.received(device.connected(), 0.0)]
    for at, data in said_by(device, UNTIL):
        readings += driver.received(data, at)
    return [reading.body for reading in (*readings, *driver.woke(math.inf))]


def test_the_rapiscan_portal(lane: Lane) -> None:
    settings = rapiscan_sim.Settings.model_validate({"kind": "rapiscan_vm250", "links": TCP})
    device = rapiscan_sim.RapiscanVm250("portal", settings, site_of(lane))
    bodies = heard(device, rapiscan_vm250.RapiscanVm250(rapiscan_vm250.Settings()))
    assert not of(Malformed, bodies)
    assert len(of(DeviceSetup, bodies)) == 5
    assert verdicts(bodies) == [(False, False, False), (True, True, True)]
    empty = of(RadiationOccupancy, bodies)[0]
    assert isinstance(empty, RadiationOccupancy)
    assert empty.suppression is not None
    assert 0.1 < empty.suppression < 0.5, "a truck shields the ground"
    assert empty.speed_kmh is not None


def test_the_aspect_portal(lane: Lane) -> None:
    settings = aspect_sim.Settings(kind="aspect_modbus")
    device = aspect_sim.AspectModbus("portal", settings, site_of(lane))
    portal = Portal(RegisterSettings(fault_hold_s=0))
    bodies: list[Body] = []
    while (at := device.next_wake()) is not None and at <= UNTIL:
        device.fault(Tamper(target="portal", kind="tamper"), 100 <= at < 110)
        device.woke(at)
        block = struct.pack(">21H", *device.registers)
        bodies += portal.polled(decode(struct.unpack(">21H", block)), at)
    assert verdicts(bodies) == [(False, False, False), (True, True, True)]
    first, second = of(RadiationOccupancy, bodies)
    assert isinstance(first, RadiationOccupancy)
    assert isinstance(second, RadiationOccupancy)
    assert (first.number, second.number) == (1, 2)
    assert first.direction is second.direction is Direction.FORWARD
    assert first.speed_kmh
    assert first.suppression is not None
    assert first.suppression > 0.1
    assert [body for body in bodies if isinstance(body, DeviceFault)] == [
        DeviceFault(FaultKind.TAMPER, True, "open"),
        DeviceFault(FaultKind.TAMPER, False),
    ]
    assert [body.kind for body in bodies if isinstance(body, RadiationAlarm)] == [GAMMA, NEUTRON]
    assert not [body for body in bodies if isinstance(body, Presence) and body.direction is Direction.BACKWARD]


@pytest.mark.parametrize("counted_zeroes", [False, True])
def test_the_spectroscopic_portal(lane: Lane, counted_zeroes: bool) -> None:
    settings = spectroscopic_sim.Settings.model_validate(
        {"kind": "spectroscopic_n42", "links": TCP, "counted_zeroes": counted_zeroes}
    )
    device = spectroscopic_sim.SpectroscopicN42("spectrum", settings, site_of(lane))
    bodies = heard(device, spectroscopic_n42.SpectroscopicN42(spectroscopic_n42.Settings()))
    assert not of(Malformed, bodies)
    empty, source = of(SpectroscopicMeasurement, bodies)
    assert isinstance(empty, SpectroscopicMeasurement)
    assert isinstance(source, SpectroscopicMeasurement)
    assert empty.instrument == "Simulated SPM-2 0042"
    assert (empty.gamma_alarm, empty.neutron_alarm) == (False, False)
    assert (source.gamma_alarm, source.neutron_alarm) == (True, True)
    assert "Cs-137" in [nuclide.name for nuclide in source.nuclides]
    for measurement, passage in zip((empty, source), lane.passages, strict=True):
        said = device.said_of(passage)
        assert said is not None
        assert measurement.gamma_counts == said["gamma_counts"]
        assert measurement.neutron_counts == said["neutron_counts"]
        assert measurement.speed_kmh
        assert 0.9 * measurement.real_s < measurement.live_s < measurement.real_s
    assert [body.kind for body in bodies if isinstance(body, RadiationAlarm)] == [GAMMA, NEUTRON]
