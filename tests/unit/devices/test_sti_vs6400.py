"""Reports of blocked beams in, presence and stuck beams out."""

import math

import pytest
from pydantic import ValidationError

from edge_agent.devices.drivers.sti_vs6400 import LINE_LIMIT, Settings, StiVs6400
from edge_agent.domain.observation import Body, DeviceFault, FaultKind, Malformed, Opaque, Presence, Reading

EMPTY = b"00\r\n"
# Both are the manual's own examples.
ONE = b"01 0008:0002\r\n"
TWO = b"02 0008:0002 0012:0002\r\n"


def opened(**settings: object) -> StiVs6400:
    separator = StiVs6400(Settings.model_validate(settings))
    separator.opened(0.0)
    return separator


def report(*spans: tuple[int, int]) -> bytes:
    return f"{len(spans):02X}{''.join(f' {first:04X}:{count:04X}' for first, count in spans)}\r\n".encode()


def followed(separator: StiVs6400, *said: tuple[float, bytes]) -> list[tuple[float, Body]]:
    """What is told beside the reports themselves; it is woken when it asks to be."""
    readings: list[Reading] = []
    for now, data in said:
        while (wake := separator.next_wake()) is not None and wake <= now:
            readings += separator.woke(wake)
        readings += separator.received(data, now)
    return [(r.at, r.body) for r in readings if not isinstance(r.body, Opaque)]


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (EMPTY, ()),
        (ONE, ("0008:0002",)),
        (TWO, ("0008:0002", "0012:0002")),
        (b"01 001a:00ff\n", ("001a:00ff",)),
    ],
)
def test_every_report_is_kept(line: bytes, fields: tuple[str, ...]) -> None:
    reading, *_ = opened().received(line, 1.0)
    assert reading == Reading(Opaque("beams", fields), 1.0, line)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"01\r\n", "1 object announced, 0 in the list"),
        (b"01 0008:0002 0012:0002\r\n", "1 object announced, 2 in the list"),
        (b"01 03FF:0002\r\n", "beyond the 1024 of this scanner: see `beams`"),
        (b"01 0008:FFFF\r\n", "beyond the 1024"),
        (b"ASCII QLIST\r\n", "no frame"),
        (b"00 \r\n", "no frame"),
        (b"01 0008:00B2\xb0\r\n", "check baud"),
    ],
)
def test_what_is_no_report(line: bytes, why: str) -> None:
    (reading,) = opened().received(line, 1.0)
    assert isinstance(reading.body, Malformed)
    assert why in reading.body.why


def test_a_vehicle_comes_and_goes() -> None:
    assert followed(opened(), (1.0, EMPTY), (2.0, EMPTY), (3.0, ONE), (4.0, TWO), (5.0, EMPTY), (5.5, EMPTY)) == [
        (1.0, Presence(False)),
        (3.0, Presence(True)),
        (5.0, Presence(False)),
    ]


def test_it_is_dated_when_it_began_and_told_when_it_lasted() -> None:
    separator = opened(occupied_for_s=0.1, free_for_s=0.25)
    assert followed(separator, (1.0, ONE)) == []
    assert separator.next_wake() == 1.1
    assert [(r.at, r.body) for r in separator.woke(1.1)] == [(1.0, Presence(True))]
    assert separator.next_wake() == 901.0, "the beams may be stuck"


def test_a_gap_at_the_coupling_does_not_part_a_vehicle() -> None:
    said = [(1.0, ONE), (2.0, EMPTY), (2.2, ONE), (3.0, EMPTY), (3.1, EMPTY), (3.4, EMPTY)]
    assert followed(opened(), *said) == [(1.0, Presence(True)), (3.0, Presence(False))]


def test_an_insect_is_no_vehicle() -> None:
    separator = opened(occupied_for_s=0.1)
    assert followed(separator, (0.5, EMPTY), (1.0, ONE), (1.05, EMPTY), (1.2, EMPTY)) == [(0.5, Presence(False))]


def test_between_the_thresholds_the_lane_is_what_it_was() -> None:
    separator = opened(occupied_beams=4, free_beams=1, free_for_s=0)
    few, some, many = report((3, 1)), report((3, 3)), report((3, 4))
    said = [(1.0, some), (2.0, few), (3.0, some), (4.0, many), (5.0, some), (6.0, few)]
    assert followed(separator, *said) == [(2.0, Presence(False)), (4.0, Presence(True)), (6.0, Presence(False))]


def test_objects_add_up() -> None:
    separator = opened(occupied_beams=4, free_beams=1)
    assert followed(separator, (1.0, TWO)) == [(1.0, Presence(True))]
    assert followed(opened(occupied_beams=4), (1.0, report((8, 2), (8, 2)))) == [], "the same beams are blocked once"


def test_thresholds_that_meet_are_refused() -> None:
    with pytest.raises(ValidationError, match="the lane would be both"):
        Settings(occupied_beams=2, free_beams=2)


# --- stuck beams -------------------------------------------------------------------------------------------------


def test_a_stuck_beam_is_told_and_does_not_count_as_a_vehicle() -> None:
    separator = opened(stuck_after_s=100)
    dirty, vehicle = report((5, 2)), report((5, 2), (20, 9))
    said = [
        (1.0, dirty),
        (50.0, vehicle),
        (60.0, dirty),
        (101.5, dirty),
        (102.0, vehicle),
        (110.0, dirty),
        (120.0, EMPTY),
    ]
    told = followed(separator, *said)
    assert told == [
        (1.0, Presence(True)),
        (101.0, DeviceFault(FaultKind.STUCK, True, "2 beams, one of them 0005, blocked for 100 s")),
        (101.0, Presence(False)),
        (102.0, Presence(True)),
        (110.0, Presence(False)),
        (120.0, DeviceFault(FaultKind.STUCK, False)),
    ]


def test_a_vehicle_that_stands_stays_a_vehicle() -> None:
    separator = opened(stuck_after_s=100, stuck_ignored=8)
    standing = report((10, 40))
    told = followed(separator, (1.0, standing), (102.0, standing), (103.0, EMPTY), (104.0, EMPTY))
    assert [body for _, body in told] == [
        Presence(True),
        DeviceFault(FaultKind.STUCK, True, "40 beams, one of them 000A, blocked for 100 s"),
        DeviceFault(FaultKind.STUCK, False),
        Presence(False),
    ]


def test_a_beam_that_clears_in_between_is_not_stuck() -> None:
    said = [(1.0, ONE), (90.0, EMPTY), (91.0, ONE), (150.0, ONE), (189.0, EMPTY)]
    assert not any(isinstance(body, DeviceFault) for _, body in followed(opened(stuck_after_s=100), *said))


# --- times -------------------------------------------------------------------------------------------------------


def test_that_the_line_is_lost_says_nothing_of_the_lane() -> None:
    separator = opened()
    assert followed(separator, (1.0, ONE), (2.0, EMPTY)) == [(1.0, Presence(True))]
    assert list(separator.woke(math.inf)) == []


def test_a_recording_without_a_clock_tells_at_once() -> None:
    separator = opened()
    separator.opened(math.nan)
    readings = list(separator.received(EMPTY + ONE + EMPTY, math.nan))
    assert [r.body for r in readings if isinstance(r.body, Presence)] == [
        Presence(False),
        Presence(True),
        Presence(False),
    ]


def test_a_line_that_does_not_end_is_given_up() -> None:
    separator = opened()
    assert list(separator.received(b"01 00", 1.0)) == []
    assert separator.next_wake() == 2.0
    assert list(separator.woke(1.5)) == []
    assert [(r.body, r.raw) for r in separator.woke(2.0)] == [(Malformed("a line without its end"), b"01 00")]
    (long,) = separator.received(b"0" * LINE_LIMIT, 3.0)
    assert isinstance(long.body, Malformed)
    assert separator.next_wake() is None
    assert separator.to_send() == b""
