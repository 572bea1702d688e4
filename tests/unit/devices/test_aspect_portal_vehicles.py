"""Registers in, vehicles out, one poll after another; no socket and no clock."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.devices.sources.aspect_portal import (
    SETTLED_S,
    ChannelState,
    NotAPortalError,
    Portal,
    RegisterSettings,
    State,
    block,
    decode,
)
from edge_agent.domain.observation import Body, Channel, DeviceFault, Direction, FaultKind, Presence, RadiationOccupancy
from tests.unit.devices.aspect_polls import QUIET, Polls, faults, registers, sample

# --- one poll ---------------------------------------------------------------------------------------------------------


def test_the_registers_of_a_portal() -> None:
    # Written out from the table, low word first: 0x0001_E240 s, 100,000 counts, 412.5, 0.25.
    words = [0xE240, 0x0001, 0x0041, 0x0081, 0x86A0, 0x0001, 0x4000, 0x43CE, 0x0000, 0x3E80]
    words += [0x0090, 3, 0, 0x0000, 0x4020, 0x0000, 0x4020, 513, 9, 12, 5]
    assert decode(words) == State(
        time=123456,
        inputs=0x41,
        gamma=ChannelState(0x81, 100_000, 412.5, 0.25),
        neutron=ChannelState(0x90, 3, 2.5, 2.5),
        counter=513,
        mark=9,
        speed=12,
        outputs=5,
    )
    assert block(words[:3]) == bytes.fromhex("e24000010041")


def test_a_state_comes_through_its_registers() -> None:
    assert decode(registers(QUIET)) == QUIET


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "0 registers where there are 21"),
        ([0] * 20, "20 registers where there are 21"),
        ([0] * 22, "22 registers where there are 21"),
        ([0] * 20 + [65536], "more than 16 bits"),
        ([0] * 20 + [-1], "more than 16 bits"),
        (registers(replace(QUIET, gamma=replace(QUIET.gamma, background=math.nan))), "a gamma background of nan"),
        (registers(replace(QUIET, neutron=replace(QUIET.neutron, background=math.inf))), "a neutron background of inf"),
        (registers(replace(QUIET, gamma=replace(QUIET.gamma, background=-1.0))), "a gamma background of -1"),
        (registers(replace(QUIET, gamma=replace(QUIET.gamma, background=4_000_001.0))), "a gamma background of 4e"),
        (registers(replace(QUIET, gamma=replace(QUIET.gamma, variance=math.nan))), "a gamma variance of nan"),
        (registers(replace(QUIET, neutron=replace(QUIET.neutron, variance=-0.5))), "a neutron variance of -0.5"),
    ],
)
def test_registers_that_no_portal_sends(words: list[int], why: str) -> None:
    with pytest.raises(NotAPortalError, match=why):
        decode(words)


@given(st.lists(st.lists(st.integers(0, 0xFFFF), min_size=21, max_size=21), max_size=6), st.booleans())
def test_no_registers_make_it_raise_anything_else(polls: list[list[int]], poisson: bool) -> None:
    portal = Portal(RegisterSettings(spread="poisson" if poisson else "variance"))
    for number, words in enumerate(polls):
        try:
            state = decode(words)
        except NotAPortalError:
            continue
        for body in portal.polled(state, float(number)):
            if isinstance(body, RadiationOccupancy):
                assert body.cross_check_sigma is None or math.isfinite(body.cross_check_sigma)
                assert body.neutron_background_milli < 2**32


# --- one vehicle ------------------------------------------------------------------------------------------------------


def test_one_vehicle() -> None:
    polls = Polls()
    assert polls.shows() == [Presence(False), *sample(400, where=Channel.BACKGROUND)]
    assert polls.shows(410) == [], "an empty lane's counts are told every 5 s"
    assert polls.shows(after=6.0, time=polls.state.time) == [], "the same measurement, however long after"
    assert polls.shows(405) == sample(405, where=Channel.BACKGROUND)
    assert polls.shows(380, inputs=0x1) == [Presence(True), *sample(380)]
    assert polls.shows(300, inputs=0x43) == [Presence(True, Direction.FORWARD), *sample(300)]
    assert polls.shows(410, inputs=0x42) == sample(410)
    assert polls.shows(time=polls.state.time) == [], "the same measurement, polled again"
    assert polls.shows(400, inputs=0x40, speed=9, counter=8) == [
        RadiationOccupancy(
            number=8,
            duration_s=0.8,
            gamma_alarm=False,
            neutron_alarm=False,
            cross_check_sigma=0.5,
            cross_check_alarm=False,
            gamma_background=(400,),
            neutron_background_milli=2500,
            gamma_samples=3,
            speed_kmh=9.0,
            suppression=0.25,
            direction=Direction.FORWARD,
        ),
        Presence(False),
    ]


def test_connected_while_a_vehicle_stands_in_the_portal() -> None:
    polls = Polls()
    assert polls.shows(inputs=0x2)[0] == Presence(True)
    assert polls.passes(400).duration_s is None


@pytest.mark.parametrize(
    ("settings", "inputs", "occupied"),
    [
        ({}, 0b1000, True),
        ({}, 0b110000, False),  # inputs 4 and 5 are other things
        ({"occupancy_inputs": 0b0011}, 0b0100, False),
        ({"occupancy_inputs": 0b0011}, 0b0110, True),
    ],
)
def test_which_inputs_say_that_a_vehicle_is_in(settings: dict[str, Any], inputs: int, occupied: bool) -> None:
    assert Polls(**settings).shows(inputs=inputs)[0] == Presence(occupied)


@pytest.mark.parametrize(
    ("settings", "inputs", "direction"),
    [
        ({}, 0x41, Direction.FORWARD),
        ({}, 0x81, Direction.BACKWARD),
        ({}, 0xC1, None),  # both at once say nothing
        ({"forward_input": 7}, 0x41, Direction.BACKWARD),
        ({"forward_input": 7}, 0x81, Direction.FORWARD),
    ],
)
def test_direction(settings: dict[str, Any], inputs: int, direction: Direction | None) -> None:
    polls = Polls(**settings)
    assert polls.shows(inputs=inputs)[0] == Presence(True, direction)
    assert polls.shows(inputs=0)[0].direction is direction  # type: ignore[union-attr]


def test_the_speed_is_the_last_one_that_is_not_zero() -> None:
    polls = Polls(kmh_per_unit=0.1)
    polls.shows()
    polls.shows(inputs=1, speed=50)
    polls.shows(inputs=1, speed=83)
    polls.shows(inputs=1, speed=0)
    assert polls.passes(400, speed=0).speed_kmh == 8.3
    assert polls.passes(400).speed_kmh is None


# --- vehicles that no poll saw ----------------------------------------------------------------------------------------


def settled(polls: Polls, **changes: Any) -> list[Body]:
    polls.shows(inputs=0, **changes)
    return [body for body in polls.shows(after=SETTLED_S) if isinstance(body, DeviceFault)]


def test_vehicles_that_were_counted_and_not_seen_are_reported() -> None:
    polls = Polls()
    assert settled(polls) == [], "nothing is known of those before the connection"
    assert settled(polls, counter=10) == [
        DeviceFault(FaultKind.MISSED, True, "3 counted by the portal and seen by no poll")
    ]
    assert settled(polls) == [], "told once"
    polls.shows(inputs=1)
    assert faults(polls.shows(inputs=0, counter=11)) == [(FaultKind.MISSED, False)]
    polls.shows(inputs=1)
    assert faults(polls.shows(inputs=0, counter=12)) == [], "over once"
    polls.passes(400)
    assert settled(polls, counter=14) == [
        DeviceFault(FaultKind.MISSED, True, "1 counted by the portal and seen by no poll")
    ]


@pytest.mark.parametrize("counted", ["as it comes", "as it leaves", "a second after"])
def test_whenever_the_portal_counts_a_vehicle_that_was_seen_is_not_missed(counted: str) -> None:
    polls = Polls()
    settled(polls)
    polls.shows(inputs=1, counter=8 if counted == "as it comes" else 7)
    polls.shows(inputs=0, counter=7 if counted == "a second after" else 8)
    polls.shows(after=1.0, counter=8)
    assert settled(polls) == []


def test_a_counter_that_starts_over_misses_nobody() -> None:
    polls = Polls()
    polls.state = replace(QUIET, counter=65535)
    settled(polls)
    polls.passes(400, counter=0)
    assert settled(polls) == [], "it ran over"
    polls.passes(400)
    assert settled(polls) == []
    assert settled(polls, counter=0) == [], "it was set back"


def test_a_vehicle_that_is_counted_just_before_it_shows_is_not_missed() -> None:
    polls = Polls()
    settled(polls)
    assert faults(polls.shows(after=60.0, counter=8)) == []
    polls.shows(inputs=1)
    assert settled(polls) == []
