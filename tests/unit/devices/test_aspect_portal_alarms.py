"""Registers in, alarms and faults out, one poll after another; no socket and no clock."""

from dataclasses import replace
from typing import Any

import pytest

from edge_agent.devices.sources.aspect_portal import ChannelState
from edge_agent.domain.observation import Body, Channel, DeviceFault, FaultKind, RadiationAlarm, RadiationSample
from tests.unit.devices.aspect_polls import GAMMA, NEUTRON, QUIET, READY, Polls, alarms, faults

# --- alarms and the cross-check ---------------------------------------------------------------------------------------


def test_an_alarm_is_told_once_for_each_kind_and_occupancy() -> None:
    polls = Polls()
    polls.shows()
    for alarm_bit in (1, 2):
        gamma, quiet = replace(QUIET.gamma, status=READY | alarm_bit, count=900), QUIET.gamma
        assert alarms(polls.shows(inputs=1)) == []
        first = polls.portal.polled(replace(polls.state, gamma=gamma, time=polls.state.time + 1), polls.now + 0.1)
        assert first[0] == RadiationAlarm(GAMMA, (900,))
        assert first[1] == RadiationSample(GAMMA, Channel.OCCUPIED, (900,), 1.0, in_alarm=True)
        polls.state = replace(polls.state, gamma=gamma)
        assert alarms(polls.shows()) == [], "still the same alarm"
        polls.state = replace(polls.state, gamma=quiet)
        polls.shows()
        polls.state = replace(polls.state, gamma=gamma)
        assert alarms(polls.shows()) == [], "again, of the same vehicle"
        neutron = replace(QUIET.neutron, status=READY | 1, count=40)
        assert alarms(polls.shows(neutron=neutron)) == [RadiationAlarm(NEUTRON, (40,))]
        polls.state = replace(polls.state, gamma=quiet, neutron=QUIET.neutron)
        record = polls.passes(400)
        assert (record.gamma_alarm, record.neutron_alarm) == (True, True)


def test_an_alarm_that_outlasts_its_vehicle_is_not_told_again_and_one_without_a_vehicle_is() -> None:
    polls = Polls()
    alarmed = replace(QUIET.neutron, status=READY | 1, count=40)
    polls.shows()
    assert len(alarms(polls.shows(inputs=1, neutron=alarmed))) == 1
    assert alarms(polls.shows(inputs=0)) == []
    polls.shows(neutron=QUIET.neutron)
    assert alarms(polls.shows(neutron=alarmed)) == [RadiationAlarm(NEUTRON, (40,))]
    assert alarms(polls.shows()) == []
    assert alarms(Polls().shows(neutron=alarmed)) == [RadiationAlarm(NEUTRON, (40,))], "at the first poll too"


@pytest.mark.parametrize(
    ("settings", "variance", "sigma", "alarm"),
    [
        ({}, 400.0, 5.5, True),
        ({"n_sigma": 5.5}, 400.0, 5.5, False),
        ({}, 1600.0, 2.75, False),  # the portal's own variance
        ({"spread": "poisson"}, 1600.0, 5.5, True),
        ({}, 0.0, None, None),
    ],
)
def test_the_cross_check_stands_beside_the_verdict(
    settings: dict[str, Any], variance: float, sigma: float | None, alarm: bool | None
) -> None:
    polls = Polls(**settings)
    polls.shows()
    polls.state = replace(polls.state, gamma=replace(QUIET.gamma, variance=variance))
    record = polls.passes(420, 510, 400)
    assert (record.cross_check_sigma, record.cross_check_alarm) == (sigma, alarm)
    assert record.disagreement is bool(alarm)
    assert record.suppression == 0.0


@pytest.mark.parametrize("gamma", [replace(QUIET.gamma, status=0), replace(QUIET.gamma, background=0.0)])
def test_without_a_background_there_is_no_cross_check(gamma: ChannelState) -> None:
    polls = Polls()
    polls.state = replace(polls.state, gamma=gamma)
    record = polls.passes(500)
    assert (record.cross_check_sigma, record.gamma_background, record.suppression) == (None, None, None)


def test_the_background_is_the_one_before_the_vehicle() -> None:
    polls = Polls()
    polls.shows()
    polls.shows(inputs=1)
    polls.state = replace(polls.state, gamma=replace(QUIET.gamma, background=200.0))  # the portal lets it sink
    assert polls.passes(400).gamma_background == (400,)


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "fault", "detail"),
    [
        ({"inputs": 1 << 8}, FaultKind.POWER, "power fail"),
        ({"inputs": 1 << 9}, FaultKind.BATTERY, "battery low"),
        ({"inputs": 1 << 10}, FaultKind.TAMPER, "open"),
        ({"inputs": 1 << 11}, FaultKind.INTERNAL, "error input"),
        ({"gamma": replace(QUIET.gamma, status=READY | 0x10)}, FaultKind.GAMMA_LOW_BACKGROUND, "background 400"),
        ({"gamma": replace(QUIET.gamma, status=READY | 0x20)}, FaultKind.GAMMA_HIGH_BACKGROUND, "background 400"),
        ({"neutron": replace(QUIET.neutron, status=READY | 0x10)}, FaultKind.NEUTRON_LOW_BACKGROUND, "background 2.5"),
        ({"neutron": replace(QUIET.neutron, status=READY | 0x20)}, FaultKind.NEUTRON_HIGH_BACKGROUND, "background 2.5"),
        ({"neutron": replace(QUIET.neutron, status=0)}, FaultKind.INTERNAL, "neutron not ready (status 0x0)"),
    ],
)
def test_a_fault_is_told_when_it_begins_and_when_it_ends(
    changes: dict[str, Any], fault: FaultKind, detail: str
) -> None:
    polls = Polls(fault_hold_s=0)
    assert faults(polls.shows()) == []

    def shown(**now: Any) -> list[Body]:
        polls.state = replace(polls.state, **now)
        return [body for body in polls.shows() if isinstance(body, DeviceFault)]

    assert shown(**changes) == [DeviceFault(fault, True, detail)]
    assert shown() == []
    assert shown(**{name: getattr(QUIET, name) for name in changes}) == [DeviceFault(fault, False)]
    assert shown() == []


def test_a_fault_that_comes_and_goes_is_one_fault() -> None:
    polls = Polls()
    polls.shows()
    assert faults(polls.shows(inputs=1 << 10)) == [(FaultKind.TAMPER, True)]
    for _ in range(50):
        assert faults(polls.shows(inputs=0)) == []
        assert faults(polls.shows(inputs=1 << 10)) == []
    assert faults(polls.shows(inputs=0)) == []
    assert faults(polls.shows(after=29.9)) == []
    assert faults(polls.shows(after=0.2)) == [(FaultKind.TAMPER, False)]


def test_a_portal_without_ready_bits() -> None:
    polls = Polls(ready_bit=False)
    polls.state = replace(QUIET, gamma=replace(QUIET.gamma, status=0), neutron=replace(QUIET.neutron, status=0))
    assert faults(polls.shows()) == []
    assert polls.passes(400).gamma_background == (400,)
