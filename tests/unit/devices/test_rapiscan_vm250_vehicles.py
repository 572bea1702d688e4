"""Vehicles, alarms and faults. The captures are written from the protocol's description, not recorded."""

import math

import pytest

from edge_agent.devices.drivers.rapiscan_vm250 import Settings
from edge_agent.domain.observation import (
    Channel,
    DeviceFault,
    FaultKind,
    Malformed,
    Opaque,
    Presence,
    RadiationAlarm,
    RadiationOccupancy,
    RadiationSample,
    Reading,
)
from tests.unit.devices.rapiscan_portal import (
    BACKGROUND,
    GAMMA,
    HIGH,
    LOW,
    NEUTRON,
    Portal,
    empty_portal,
    gamma,
    lines,
    occupancy,
)


def test_one_vehicle_without_alarm() -> None:
    portal = Portal()
    assert portal.says("NB,000003,000000,000002,000000", BACKGROUND) == [
        Reading(Presence(False), 100.0),
        Reading(
            RadiationSample(NEUTRON, Channel.BACKGROUND, (3, 0, 2, 0), 1.0),
            100.0,
            lines("NB,000003,000000,000002,000000"),
        ),
        Reading(gamma(400, 400, 400, 400, channel=Channel.BACKGROUND), 100.0, lines(BACKGROUND)),
    ]
    neutron = "NS,000002,000000,000002,000000"
    assert portal.says(neutron, after=5) == [
        Reading(Presence(True), 105.0),
        Reading(RadiationSample(NEUTRON, Channel.OCCUPIED, (2, 0, 2, 0), 1.0), 105.0, lines(neutron)),
    ]
    burst = portal.says(*["GS,000080,000080,000080,000080"] * 5, after=0.25)
    assert [reading.body for reading in burst] == [gamma(80, 80, 80, 80)] * 5
    assert [reading.at for reading in burst] == pytest.approx([104.45, 104.65, 104.85, 105.05, 105.25])
    assert portal.says("SP,0.1336,05.103,008.21,000000", "SP,0.0042,99.999,160.93,000000")[0].body == Opaque(
        "SP", ("0.1336", "05.103", "008.21", "000000")
    )
    assert [r.at for r in portal.says("GS,000100,000100,000100,000100", after=0.2)] == [portal.now]
    end = "GX,000017,006683,000000,000000"
    assert portal.says(end, after=1) == [
        Reading(
            RadiationOccupancy(
                number=17,
                duration_s=2.0,
                gamma_alarm=False,
                neutron_alarm=False,
                cross_check_sigma=(4 * 320 + 400 - 1600) / 40,
                cross_check_alarm=False,
                gamma_background=(400, 400, 400, 400),
                neutron_background_milli=6683,
                gamma_samples=6,
                speed_kmh=8.21,
                suppression=0.0,
            ),
            portal.now,
            lines(end),
        ),
        Reading(Presence(False), portal.now),
    ]
    assert portal.bodies(BACKGROUND, after=5) == [gamma(400, 400, 400, 400, channel=Channel.BACKGROUND)]


def test_an_alarm_is_told_once_for_each_kind_and_occupancy_with_its_line() -> None:
    portal = empty_portal()
    for _ in range(2):
        assert portal.bodies("GS,000080,000080,000080,000080")[0] == Presence(True)
        first = portal.says("GA,000500,000500,000500,000500", after=0.2)
        assert [(type(r.body), r.raw) for r in first] == [
            (RadiationAlarm, lines("GA,000500,000500,000500,000500")),
            (RadiationSample, b""),
        ]
        assert first[0].body == RadiationAlarm(GAMMA, (500, 500, 500, 500))
        assert portal.bodies("GA,000600,000500,000500,000500") == [gamma(600, 500, 500, 500, in_alarm=True)]
        assert portal.bodies("NA,000009,000009,000009,000009") == [
            RadiationAlarm(NEUTRON, (9, 9, 9, 9)),
            RadiationSample(NEUTRON, Channel.OCCUPIED, (9, 9, 9, 9), 1.0, True),
        ]
        assert portal.bodies("NA,000009,000009,000009,000009") == [
            RadiationSample(NEUTRON, Channel.OCCUPIED, (9, 9, 9, 9), 1.0, True)
        ]
        left = occupancy(portal.bodies("GX,000001,006683,000000,000000"))
        assert left.gamma_alarm
        assert left.neutron_alarm


@pytest.mark.parametrize(
    ("records", "settings", "alarm"),
    [
        ((), Settings(), True),  # 5.0 by default
        (("SG1,002000,000068,05,10,07.0,P",), Settings(), False),  # the portal's own
        (("SG1,002000,000068,05,10,07.0,P",), Settings(n_sigma=6.0), True),  # the booth's wins
        ((), Settings(n_sigma=6.6), False),
        (("SG1,002000,000068,05,10,00.0,P",), Settings(), True),  # nonsense is not taken
        (("SG1,002000",), Settings(), True),
    ],
)
def test_the_cross_check_stands_beside_the_verdict(records: tuple[str, ...], settings: Settings, alarm: bool) -> None:
    portal = empty_portal(settings, *records)
    # Five samples of 372 counts against 1,600: (1860 - 1600) / 40 = 6.5 sigma; then it falls.
    portal.says(*["GS,000093,000093,000093,000093"] * 5, *["GS,000080,000080,000080,000080"] * 9)
    left = occupancy(portal.bodies("GX,000001,006683,000000,000000"))
    assert left.cross_check_sigma == 6.5
    assert left.cross_check_alarm is alarm
    assert left.disagreement is alarm, "the portal raised no alarm"


@pytest.mark.parametrize("background", ["GB,000000,000000,000000,000000", "GH,002500,002500,002500,002500"])
def test_no_cross_check_without_a_background(background: str) -> None:
    portal = Portal()
    portal.says(background, *["GS,000093,000093,000093,000093"] * 6)
    left = occupancy(portal.bodies("GX,000001,006683,000000,000000"))
    assert left.cross_check_sigma is None
    assert left.cross_check_alarm is None
    assert not left.disagreement


@pytest.mark.parametrize(
    ("setup", "settings", "sigma"),
    [
        ("SG1,002000,000068,05,10,05.0,P", Settings(), 6.5),
        ("SG1,002000,000068,10,10,05.0,P", Settings(), (10 * 93 * 4 - 3200) / 3200**0.5),  # two seconds
        ("SG1,002000,000068,01,10,05.0,P", Settings(), (93 * 4 - 320) / 320**0.5),
        ("SG1,002000,000068,10,10,05.0,P", Settings(intervals=5), 6.5),  # the booth's wins
        ("SG1,002000,000068,00,10,05.0,P", Settings(), 6.5),  # nonsense is not taken
        ("SG1,002000,000068,51,10,05.0,P", Settings(), 6.5),
        ("SG1,002000,000068,xx,10,0x.0,P", Settings(), 6.5),
    ],
)
def test_the_cross_check_sums_as_many_lines_as_the_portal(setup: str, settings: Settings, sigma: float) -> None:
    portal = empty_portal(settings, setup)
    portal.says(*["GS,000093,000093,000093,000093"] * 10, *["GS,000080,000080,000080,000080"] * 10)
    left = occupancy(portal.bodies("GX,000001,006683,000000,000000"))
    assert left.cross_check_sigma == pytest.approx(sigma)


def test_background_suppression_is_that_of_the_deepest_second() -> None:
    portal = empty_portal()
    dip = ["GS,000060,000060,000060,000060"] * 5  # 1,200 in a second where 1,600 are usual
    portal.says(*["GS,000080,000080,000080,000080"] * 5, *dip, *["GS,000090,000090,000090,000090"] * 5)
    assert occupancy(portal.bodies("GX,000001,006683,000000,000000")).suppression == pytest.approx(0.25)
    portal.says(*["GS,000090,000090,000090,000090"] * 6)
    assert occupancy(portal.bodies("GX,000002,006683,000000,000000")).suppression == 0.0, "a source hides it"
    portal.says(*["GS,000060,000060,000060,000060"] * 4)
    assert occupancy(portal.bodies("GX,000002,006683,000000,000000")).suppression is None, "not a second"


def test_no_cross_check_with_fewer_than_five_samples() -> None:
    portal = empty_portal()
    portal.says(*["GS,000999,000999,000999,000999"] * 4)
    assert occupancy(portal.bodies("GX,000001,006683,000000,000000")).cross_check_sigma is None


def test_connected_while_a_vehicle_stands_in_the_portal() -> None:
    portal = Portal()
    middle = portal.says("GS,000080,000080,000080,000080")
    assert [(r.body, r.at) for r in middle] == [(Presence(True), 100.0), (gamma(80, 80, 80, 80), 100.0)]
    left = occupancy(portal.bodies("GX,000001,006683,000000,000000", after=3))
    assert left.duration_s is None, "its beginning was not seen"
    assert left.gamma_samples == 1


def test_connected_in_the_last_moment_of_an_occupancy() -> None:
    portal = Portal()
    end = "GX,000001,006683,000000,000000"
    assert portal.says(end) == [
        Reading(Opaque("GX", ("000001", "006683", "000000", "000000")), 100.0, lines(end)),
        Reading(Presence(False), 100.0),
    ]
    assert portal.bodies(end) == [Opaque("GX", ("000001", "006683", "000000", "000000"))]


@pytest.mark.parametrize("background", [BACKGROUND, "NB,000003,000000,000002,000000", "GL,000001,000001,000001,000001"])
def test_an_occupancy_whose_end_was_lost_is_ended_by_a_background(background: str) -> None:
    portal = empty_portal()
    portal.says("GA,000500,000500,000500,000500")
    assert isinstance(portal.bodies("GX,000001,0066")[0], Malformed)
    readings = portal.says(background, after=5)
    assert [type(r.body) for r in readings][:2] == [RadiationOccupancy, Presence]
    left = occupancy([r.body for r in readings])
    assert left.number == 0, "the portal never gave its number"
    assert left.gamma_alarm
    assert readings[1].body == Presence(False)
    assert readings[0].raw == lines(background)


def test_faults_begin_once_and_end() -> None:
    portal = empty_portal(Settings(fault_hold_s=0))
    high, low = "GH,002000,002000,002000,002000", "GL,000001,000001,000001,000001"
    neutron_high = "NH,000900,000900,000900,000900"

    def faults(*records: str) -> list[tuple[FaultKind, bool]]:
        return [(b.fault, b.active) for b in portal.bodies(*records) if isinstance(b, DeviceFault)]

    assert faults(high) == [(HIGH, True)]
    assert faults(high) == []
    assert faults("NB,000003,000000,000002,000000") == [], "neutrons say nothing of gamma"
    assert faults(low) == [(HIGH, False), (LOW, True)]
    assert faults(neutron_high) == [(FaultKind.NEUTRON_HIGH_BACKGROUND, True)]
    assert faults(BACKGROUND) == [(LOW, False)]
    assert faults(BACKGROUND) == []
    assert faults("NB,000003,000000,000002,000000") == [(FaultKind.NEUTRON_HIGH_BACKGROUND, False)]
    assert portal.bodies(high)[0] == DeviceFault(HIGH, True, "background 002000,002000,002000,002000 counts/s")
    assert faults("TT,000000,000000,000000,000000") == [(FaultKind.TAMPER, True)]
    assert portal.bodies("TT") == [Opaque("TT", ())]
    assert faults("TC") == [(FaultKind.TAMPER, False)]
    assert Portal().bodies("TC") == [DeviceFault(FaultKind.TAMPER, False)], "after a connection lost in tamper"


def test_a_fault_that_comes_and_goes_is_one_fault() -> None:
    portal = empty_portal()

    def said(*records: str, after: float = 0.0) -> list[tuple[FaultKind, bool]]:
        bodies = portal.bodies(*records, after=after)
        bodies += [r.body for r in portal.dialogue.woke(portal.now)]
        return [(body.fault, body.active) for body in bodies if isinstance(body, DeviceFault)]

    assert said("TT") == [(FaultKind.TAMPER, True)], "at once"
    for _ in range(100):
        assert said("TC", after=1) == []
        assert said("TT", after=1) == []
    assert said("TC", after=1) == []
    assert portal.dialogue.next_wake() == portal.now + 30
    assert said(after=29.9) == []
    over = portal.now + 0.1
    assert [(r.body, r.at, r.raw) for r in portal.dialogue.woke(over)] == [
        (DeviceFault(FaultKind.TAMPER, False), over, b"")
    ]
    assert portal.dialogue.next_wake() is None
    assert said("TC", after=1) == []
    assert said("GH,002000,002000,002000,002000") == [(HIGH, True)]
    assert said(BACKGROUND, after=5) == []
    assert said(BACKGROUND, after=25) == []
    assert said(BACKGROUND, after=5) == [(HIGH, False)], "30 s after the first line without it"


def test_a_held_end_is_told_when_the_connection_ends() -> None:
    portal = empty_portal()
    portal.says("TT", "TC")
    portal.dialogue.received(b"G", 101.0)
    assert list(portal.dialogue.woke(math.inf)) == [
        Reading(DeviceFault(FaultKind.TAMPER, False), 101.0),
        Reading(Malformed("a line without its end"), 101.0, b"G"),
    ]
    assert list(portal.dialogue.woke(math.inf)) == []


def test_a_portal_without_a_pretrigger_buffer() -> None:
    portal = empty_portal(Settings(pretrigger_lines=0))
    readings = portal.says("GS,000080,000080,000080,000080")
    assert {reading.at for reading in readings} == {portal.now}
