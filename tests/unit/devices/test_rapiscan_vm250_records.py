"""Set-up, other records, rubbish and stamps. The captures are written from the description, not recorded."""

import math

import pytest

from edge_agent.devices.drivers.rapiscan_vm250 import LINE_LIMIT, UNFINISHED_S, RapiscanVm250, Settings
from edge_agent.domain.observation import DeviceFault, DeviceSetup, FaultKind, Malformed, Opaque, Reading
from tests.unit.devices.rapiscan_portal import BACKGROUND, Portal, lines, occupancy

# --- set-up -----------------------------------------------------------------------------------------------------------


def test_the_set_up_is_told_when_it_is_first_said_and_when_it_changes() -> None:
    portal = Portal()
    first, again, changed, same = (
        portal.says("SG1,002000,000068,05,10,05.0,P")[0],
        portal.says("SG1,002000,000068,05,10,05.0,P")[0],
        portal.says("SG1,002000,000068,05,12,09.9,P")[0],
        portal.says("SG1,002000,000068,05,12,09.9,P")[0],
    )
    values = (
        ("gamma_high_background_fault", "002000"),
        ("gamma_low_background_fault", "000068"),
        ("gamma_intervals", "05"),
        ("occupancy_hold_in", "10"),
        ("gamma_n_sigma", "05.0"),
        ("gamma_pad", "P"),
    )
    assert first == Reading(DeviceSetup(values), 100.0, lines("SG1,002000,000068,05,10,05.0,P"))
    assert again == Reading(
        Opaque("SG1", ("002000", "000068", "05", "10", "05.0", "P")), 100.0, lines("SG1,002000,000068,05,10,05.0,P")
    )
    assert isinstance(changed.body, DeviceSetup)
    assert changed.body.changed == ("occupancy_hold_in", "gamma_n_sigma")
    assert dict(changed.body.values)["gamma_n_sigma"] == "09.9"
    assert isinstance(same.body, Opaque)


@pytest.mark.parametrize(
    ("record", "some"),
    [
        ("SG2,1111,0.069,0.455,01,1010,A", {"detector_mask": "1111", "software_version": "A"}),
        ("SG3,0.069,0.455,020,000,1.10.1", {"gamma_background_time": "020", "firmware_version": "1.10.1"}),
        (
            "SN1,000050,03,0004,1200,01,120",
            {"neutron_high_background_fault": "000050", "neutron_background_time": "120"},
        ),
        ("SN2,0.504,5.040,0.504,5.040,PP", {"neutron_upper_level_discriminator": "5.040", "neutron_pad": "PP"}),
    ],
)
def test_every_set_up_record_has_its_names(record: str, some: dict[str, str]) -> None:
    (body,) = Portal().bodies(record)
    assert isinstance(body, DeviceSetup)
    assert some.items() <= dict(body.values).items()
    assert len(body.values) == record.count(",")


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        ("AX,  0.2758, -0.1417", ("  0.2758", " -0.1417")),
        ("AB1,408.55001800,582.75006000", ("408.55001800", "582.75006000")),
        ("SG2,1111,0.069,0.455,01,1010", ("1111", "0.069", "0.455", "01", "1010")),  # one field is missing
        ("SG4,1111", ("1111",)),
        ("SP,not,a,speed", ("not", "a", "speed")),
        ("SP,0.1336,05.103,008.21,000000", ("0.1336", "05.103", "008.21", "000000")),
        ("QQ", ()),
        ("QQ,", ("",)),
    ],
)
def test_other_records_are_kept_as_they_are(record: str, fields: tuple[str, ...]) -> None:
    tag = record.split(",")[0]
    assert Portal().says(record) == [Reading(Opaque(tag, fields), 100.0, lines(record))]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"GS,00077,000077,000067,000069\r\n", "GS has four counts of six digits"),
        (b"NB,000077,000077,000067\r\n", "NB has four counts of six digits"),
        (b"GX,1,2,3,4\r\n", "GX has four numbers of six digits"),
        (b"hello\r\n", "not a record: a tag of two letters, then fields"),
        (b"\r\n", "not a record: a tag of two letters, then fields"),
        (b"GS,\xff\r\n", "bytes that are not ASCII"),
        (
            b"GB,000379,000371,000407,000371,2016-05-31 09:30:00.974 -07\r\n",
            "ends with a time stamp: a recording is read with `format: stamped`",
        ),
    ],
)
def test_what_is_no_record_is_kept_with_what_is_wrong(line: bytes, why: str) -> None:
    portal = Portal()
    assert list(portal.dialogue.received(line, 100.0)) == [Reading(Malformed(why), 100.0, line)]


def test_bytes_without_an_end_are_given_up_by_length_and_by_time() -> None:
    portal = Portal()
    (long,) = portal.dialogue.received(b"x" * (LINE_LIMIT + 3), 100.0)
    assert long == Reading(Malformed("256 bytes without the end of a line"), 100.0, b"x" * LINE_LIMIT)
    assert portal.dialogue.next_wake() == 100.0 + UNFINISHED_S
    assert list(portal.dialogue.woke(100.0 + UNFINISHED_S - 0.1)) == []
    assert list(portal.dialogue.woke(100.0 + UNFINISHED_S)) == [
        Reading(Malformed("a line without its end"), 100.0, b"xxx")
    ]
    assert portal.dialogue.next_wake() is None
    assert portal.dialogue.to_send() == b""


# --- the stamped form ----------------------------------------------------------------------------------------------

STAMPED = Settings(format="stamped")


def test_a_recording_is_dated_by_its_stamps() -> None:
    dialogue = RapiscanVm250(STAMPED)
    dialogue.opened(math.nan)
    readings = list(
        dialogue.received(
            lines(
                f"{BACKGROUND},1970-01-01 00:00:10.000 +00",
                *[f"GS,000080,000080,000080,000080,1970-01-01 02:00:20.00{i} +02" for i in range(5)],
                "GX,000001,006683,000000,000000,1969-12-31 19:00:29.250 -0500",
            ),
            math.nan,
        )
    )
    assert [r.at for r in readings] == pytest.approx([10, 10, 20, 19.2, 19.401, 19.602, 19.803, 20.004, 29.25, 29.25])
    assert occupancy([r.body for r in readings]).duration_s == 10.05
    assert readings[-1].device_time == "1969-12-31T19:00:29.250-05:00"


def test_in_a_recording_the_ends_of_faults_follow_its_stamps() -> None:
    dialogue = RapiscanVm250(STAMPED)
    dialogue.opened(math.nan)
    readings = list(
        dialogue.received(
            lines(
                "TT,1970-01-01 00:00:10.000 +00",
                "TC,1970-01-01 00:00:20.000 +00",
                "RW,1970-01-01 00:00:49.000 +00",
                "RW,1970-01-01 00:00:51.000 +00",
            ),
            math.nan,
        )
    )
    told = [(reading.body, reading.at) for reading in readings if isinstance(reading.body, DeviceFault)]
    assert told == [(DeviceFault(FaultKind.TAMPER, True), 10), (DeviceFault(FaultKind.TAMPER, False), 51)]


def test_without_stamps_a_recording_holds_no_fault() -> None:
    dialogue = RapiscanVm250(Settings())
    dialogue.opened(math.nan)
    bodies = [reading.body for reading in dialogue.received(lines("TT", "TC"), math.nan)]
    assert bodies == [DeviceFault(FaultKind.TAMPER, True), DeviceFault(FaultKind.TAMPER, False)]


def test_without_stamps_a_recording_has_no_time() -> None:
    dialogue = RapiscanVm250(Settings())
    dialogue.opened(math.nan)
    record = lines(BACKGROUND, "GS,000080,000080,000080,000080", "GX,000001,006683,000000,000000")
    readings = list(dialogue.received(record, math.nan))
    assert all(math.isnan(r.at) for r in readings)
    assert occupancy([r.body for r in readings]).duration_s is None


def test_on_a_live_line_stamps_are_kept_and_not_trusted() -> None:
    portal = Portal(STAMPED)
    (_, sample) = portal.says(f"{BACKGROUND},2016-05-31 09:30:00.974 +05:30")
    assert (sample.at, sample.device_time) == (100.0, "2016-05-31T09:30:00.974+05:30")


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (BACKGROUND, "no time stamp at its end: lines as the portal sends them are `format: wire`"),
        (f"{BACKGROUND},2016-13-31 09:30:00.974 -07", "its time stamp is no time"),
        (f"{BACKGROUND},2016-05-31 99:30:00.974 -07", "its time stamp is no time"),
    ],
)
def test_the_forms_are_not_guessed(record: str, why: str) -> None:
    assert Portal(STAMPED).says(record) == [Reading(Malformed(why), 100.0, lines(record))]
