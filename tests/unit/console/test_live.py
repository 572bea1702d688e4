from dataclasses import dataclass

import pytest

from edge_agent.console.live import ALARM_S, MAX_READS, KnownDevice, KnownLane, Live
from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.event import AlarmRaised, Draft, InspectionClosed, InspectionOpened
from edge_agent.domain.inspection import Complete, Inspection
from edge_agent.domain.observation import (
    Body,
    DeviceFault,
    DeviceState,
    DeviceStatus,
    FaultKind,
    Observation,
    RadiationKind,
    SealRead,
    Weight,
)
from hardware_sim.stepped import START_UTC

START = Instant(START_UTC, 0, ClockState.SYNCHRONISED)


@dataclass
class Open:
    id: str
    opened: Instant


class Lane:
    """A lane whose time is set, and what the page is told of it."""

    def __init__(self, portal: str = "a portal") -> None:
        self.at = START
        self.open: list[Open] = []
        devices = (KnownDevice("portal", portal), KnownDevice("scanner", "a scanner"))
        self.live = Live("spiffe://uslrd/booth/lane-1", "0", [KnownLane("1", devices)], self)
        self.live.look_at("1", lambda: self.open)

    def now(self) -> Instant:
        return self.at

    def monotonic(self) -> float:
        return self.at.monotonic

    def says(self, device: str, body: Body, after: float = 1.0) -> None:
        self.at = self.at.shifted(after)
        self.live.observed(Observation("id", device, "1", self.at, body))

    def comes(self, vehicle: str) -> None:
        self.open.append(Open(vehicle, self.at))
        self.live.recorded(Draft(InspectionOpened(vehicle, "1", "plate"), self.at))

    def leaves(self, vehicle: str) -> None:
        left = next(one for one in self.open if one.id == vehicle)
        self.open.remove(left)
        closed = Inspection(vehicle, "1", left.opened, self.at, Complete())
        self.live.recorded(Draft(InspectionClosed(closed), self.at))

    def alarms(self, vehicle: str) -> None:
        self.live.recorded(Draft(AlarmRaised(vehicle, "1", "portal", RadiationKind.GAMMA, (900,), b""), self.at))

    @property
    def shown(self) -> dict[str, list[dict[str, object]]]:
        lane: dict[str, list[dict[str, object]]] = self.live.snapshot(7)["lanes"][0]
        return lane

    @property
    def reads(self) -> list[object]:
        return [read["text"] for read in self.shown["reads"]]


def test_what_was_read_goes_with_its_vehicle() -> None:
    lane = Lane()
    lane.says("scanner", SealRead("OLD"))
    lane.says("scanner", SealRead("ONE"))
    lane.comes("a")
    assert lane.reads == ["ONE"]  # what opened it is its own
    lane.says("scanner", SealRead("TWO"))
    lane.comes("b")
    lane.says("scanner", SealRead("THREE"))
    lane.leaves("a")
    assert lane.reads == ["TWO", "THREE"]  # from when the one that is left came
    lane.leaves("b")
    assert lane.reads == []


def test_an_alarm_stays_until_the_next_vehicle_or_for_a_time() -> None:
    lane = Lane()
    lane.comes("a")
    lane.alarms("a")
    lane.leaves("a")
    assert len(lane.shown["alarms"]) == 1
    lane.comes("b")
    assert lane.shown["alarms"] == []
    lane.alarms("b")
    lane.at = lane.at.shifted(ALARM_S - 1)
    assert len(lane.shown["alarms"]) == 1
    lane.at = lane.at.shifted(1)
    assert lane.shown["alarms"] == []


def test_a_device_says_its_state_its_faults_and_no_more_than_a_screen_holds() -> None:
    lane = Lane()
    lane.says("portal", DeviceStatus(DeviceState.ONLINE, ""))
    since = lane.shown["devices"][0]["since"]
    lane.says("portal", DeviceStatus(DeviceState.ONLINE, "again"))
    lane.says("portal", DeviceFault(FaultKind.TAMPER, True, "x" * 5000))
    [portal, scanner] = lane.shown["devices"]
    assert (portal["since"], scanner["state"]) == (since, "")
    assert portal["faults"] == [{"fault": "tamper", "detail": "x" * 200}]
    lane.says("portal", DeviceFault(FaultKind.TAMPER, False))
    assert lane.shown["devices"][0]["faults"] == []
    for number in range(100):
        lane.says("scanner", SealRead(f"{number} {'x' * 5000}"))
    lane.says("scale", Weight(100.0, True, "100", "kg"))
    lane.says("scale", Weight(200.0, True, "200", "kg"))
    assert len(lane.reads) == MAX_READS
    assert lane.reads[-1] == "200 kg"  # a scale shows its last
    assert max(len(str(text)) for text in lane.reads) <= 80


def test_a_fault_in_here_is_no_fault_of_the_lane(caplog: pytest.LogCaptureFixture) -> None:
    lane = Lane()
    lane.says("scanner", SealRead(None))  # type: ignore[arg-type]
    assert lane.live.snapshot(0)["failed"]
    lane.says("scanner", SealRead("ONE"))
    assert caplog.text.count("can no longer say") == 1
