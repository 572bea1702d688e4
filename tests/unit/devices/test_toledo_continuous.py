"""Frames of Toledo continuous output in, readings out."""

import math

import pytest

from edge_agent.devices import weighing
from edge_agent.devices.drivers.toledo_continuous import Settings, ToledoContinuous
from edge_agent.domain.observation import Body, DeviceFault, FaultKind, Malformed, Opaque, Reading, Weight
from tests.unit.devices.scales import toledo


@pytest.fixture(autouse=True)
def _out_of_range_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "OUT_OF_RANGE_S", 0.0)  # these frames have no time between them


def opened(**settings: object) -> ToledoContinuous:
    scale = ToledoContinuous(Settings.model_validate(settings))
    scale.opened(10.0)
    return scale


def read(*frames: bytes, **settings: object) -> list[Reading]:
    return list(opened(**settings).received(b"".join(frames), 10.0))


def bodies(*frames: bytes, **settings: object) -> list[Body]:
    return [reading.body for reading in read(*frames, **settings)]


def weight(*frames: bytes, **settings: object) -> Weight:
    body = bodies(*frames, **settings)[-1]
    assert isinstance(body, Weight), body
    return body


@pytest.mark.parametrize(
    ("frame", "kg", "shown"),
    [
        (toledo(12340), 12340.0, "12340"),
        (toledo(123, places=-2), 12300.0, "12300"),  # x100
        (toledo(1234, places=-1), 12340.0, "12340"),  # x10
        (toledo(123405, places=1), 12340.5, "12340.5"),
        (toledo(123456, places=5), 1.23456, "1.23456"),
        (toledo(20, negative=True), -20.0, "-20"),
        (toledo(0, negative=True), 0.0, "0"),
        (toledo("000020"), 20.0, "20"),
    ],
)
def test_the_decimal_point(frame: bytes, kg: float, shown: str) -> None:
    assert read(frame) == [Reading(Weight(kg, False, shown, "kg", True, 0.0), 10.0, frame)]


def test_net_and_tare_have_the_same_places() -> None:
    assert weight(toledo("   000", 1733, places=2, net=True, kg=False, checksum=False), checksum="without") == Weight(
        0.0, False, "0.00", "lb", False, 7.8607557721
    )
    assert weight(toledo(5, "      ")).tare_kg is None
    assert weight(toledo(5, short=True), tare=False).tare_kg is None


@pytest.mark.parametrize(
    ("frame", "settings", "unit", "kg"),
    [
        (toledo(10, kg=False), {}, "lb", 4.5359237),
        (toledo(10, unit=1), {}, "g", 0.01),
        (toledo(10, unit=2, kg=False), {}, "t", 10000.0),
        (toledo(16, unit=3), {}, "oz", 0.45359237),
        (toledo(1, unit=6), {}, "ton", 907.18474),
        (toledo(10, kg=True), {"unit": "lb"}, "lb", 4.5359237),  # Toledo TI400: bit 4 is always 1
        (toledo(10, unit=7), {"unit": "kg"}, "kg", 10.0),
    ],
)
def test_units(frame: bytes, settings: dict[str, object], unit: str, kg: float) -> None:
    found = weight(frame, **settings)
    assert (found.unit, found.kg) == (unit, kg)


def test_a_unit_that_no_table_names_is_refused() -> None:
    assert bodies(toledo(unit=4)) == [Malformed("the unit's code 4 is not known: set `unit`")]


def test_constant_bits_decide_nothing() -> None:
    plain = toledo(checksum=False)
    for byte, bit in ((1, 0x20), (1, 0x40), (2, 0x20), (3, 0x20), (3, 0x40), (1, 0x80), (2, 0x80), (3, 0x80), (3, 8)):
        other = bytearray(plain)
        other[byte] ^= bit
        assert bodies(bytes(other), checksum="without") == bodies(plain, checksum="without"), (byte, bit)


# --- settling ----------------------------------------------------------------------------------------------------


def settled(*frames: bytes, **settings: object) -> list[bool]:
    return [isinstance(body, Weight) and body.settled for body in bodies(*frames, **settings)]


def test_a_truck_drives_on_and_settles() -> None:
    moving = [toledo(n, motion=True) for n in (400, 5200, 12100, 12360)]
    assert settled(*moving, *[toledo(12340, increment=2)] * 4) == [False] * 6 + [True, True]
    assert settled(toledo(), toledo(), stable_frames=2) == [False, True]


def test_flicker_of_one_increment_is_settled_and_of_two_is_not() -> None:
    assert settled(toledo(1230, places=-1, increment=2), toledo(1232, places=-1, increment=2), stable_frames=2)[-1]
    assert settled(toledo(1230, increment=5), toledo(1235, increment=5), stable_frames=2)[-1]
    assert not settled(toledo(1230, places=-1, increment=2), toledo(1234, places=-1, increment=2), stable_frames=2)[-1]


def test_increment_bits_that_say_nothing_mean_one() -> None:
    frame = bytearray(toledo(1230, checksum=False))
    frame[1] &= ~0x18
    assert settled(bytes(frame), bytes(frame), checksum="without", stable_frames=2) == [False, True]


def test_a_damaged_frame_breaks_the_row() -> None:
    good = toledo()
    damaged = good[:-1] + bytes([good[-1] ^ 1])
    assert settled(good, good, damaged, good, good) == [False] * 5


def test_the_expanded_display() -> None:
    frame = toledo(123405, places=0, expanded=True)
    assert [weight(frame).shown, settled(frame, stable_frames=1)] == ["123405", [False]]
    assert settled(frame, stable_frames=1, expanded="as_it_stands") == [True]
    assert weight(frame, expanded="tenth").shown == "12340.5"


# --- faults ------------------------------------------------------------------------------------------------------


def test_out_of_range_is_told_when_it_begins_and_ends() -> None:
    over = toledo("      ", "------", out_of_range=True)
    assert bodies(over, over, toledo(5)) == [
        Opaque("no_weight", ("", "kg")),
        DeviceFault(FaultKind.OUT_OF_RANGE, True, "over capacity or below zero"),
        Opaque("no_weight", ("", "kg")),
        Weight(5.0, False, "5", "kg", True, 0.0),
        DeviceFault(FaultKind.OUT_OF_RANGE, False, "over capacity or below zero"),
    ]
    assert bodies(toledo("^^^^^^", out_of_range=True, negative=True)) == [
        Opaque("no_weight", ("^^^^^^", "kg")),
        DeviceFault(FaultKind.OUT_OF_RANGE, True, "below zero"),
    ]
    assert bodies(toledo(999999, out_of_range=True))[0] == Opaque("no_weight", ("999999", "kg")), "no weight counts"


def test_blanks_in_range_are_no_weight_and_no_fault() -> None:
    assert bodies(toledo("      ")) == [Opaque("no_weight", ("", "kg"))]


def test_letters_are_no_weight() -> None:
    assert bodies(toledo("12a40 ")) == [Malformed("the weight '12a40 ' is no number")]
    assert bodies(toledo("12    ")) == [Malformed("the weight '12    ' is no number")], "where would its point be"


def test_not_zeroed_since_power_up() -> None:
    frame = toledo(5, not_zeroed=True)
    assert settled(frame, stable_frames=1) == [False, False]
    assert bodies(frame)[1] == DeviceFault(FaultKind.INTERNAL, True, "not zeroed since power-up")
    assert settled(frame, stable_frames=1, not_zeroed_bit=False) == [True]


# --- frames and checksums ----------------------------------------------------------------------------------------


def raws(data: bytes, **settings: object) -> list[tuple[str, bytes]]:
    return [(type(reading.body).__name__, reading.raw) for reading in read(data, **settings)]


@pytest.mark.parametrize("checksum", ["auto", "with"])
def test_a_checksum_is_verified(checksum: str) -> None:
    good, other = toledo(1), toledo(2)
    damaged = other.replace(b"2", b"3")
    assert raws(good + damaged + good, checksum=checksum) == [
        ("Weight", good),
        ("Malformed", damaged),
        ("Weight", good),
    ]


def test_the_first_frame_of_all_may_be_the_damaged_one() -> None:
    good = toledo(1)
    damaged = good.replace(b"1", b"7")
    assert raws(damaged + good) == [("Malformed", damaged), ("Weight", good)]
    body = bodies(damaged)[0]
    assert isinstance(body, Malformed)
    assert "see `checksum`" in body.why


def test_frames_without_checksum_are_found_out() -> None:
    frames = [toledo(n, checksum=False) for n in (1, 2, 3)]
    scale = opened()
    assert [r.raw for r in scale.received(frames[0], 10.0)] == [], "a checksum may still come"
    assert [r.raw for r in scale.received(frames[1], 10.1)] == frames[:2]
    assert [r.raw for r in scale.received(frames[2], 10.2)] == frames[2:], "found out: nothing is waited for"


def test_what_was_found_out_wrongly_is_found_out_again() -> None:
    cut, good = toledo(1, checksum=False), toledo(2)  # the checksum of the first frame was lost
    found = raws(cut + good * 3)
    assert found == [
        ("Weight", cut),
        ("Weight", good[:-1]),
        ("Malformed", good[-1:]),
        ("Weight", good),
        ("Weight", good),
    ]


def test_a_checksum_lost_later_costs_its_frame() -> None:
    good, cut = toledo(1), toledo(2, checksum=False)
    assert raws(good + cut + good + good) == [("Weight", good), ("Malformed", cut), ("Weight", good), ("Weight", good)]


def test_a_terminal_that_is_set_up_anew_is_found_out_again() -> None:
    good, plain = toledo(1), toledo(2, checksum=False)
    assert raws(good + plain * 3 + good) == [
        ("Weight", good),
        ("Malformed", plain),
        ("Weight", plain),
        ("Weight", plain),
        ("Weight", good[:-1]),
    ]


def test_a_checksum_that_is_stx() -> None:
    frame = next(frame for n in range(900_000) if (frame := toledo(n)).endswith(b"\x02"))
    other = toledo(7)
    assert raws(other + frame + frame + other) == [("Weight", raw) for raw in (other, frame, frame, other)]
    # Before it is known whether checksums come, nobody can tell it from a beginning: one byte falls between.
    assert raws(frame + other) == [("Weight", frame[:-1]), ("Malformed", b"\x02"), ("Weight", other)]


def test_another_makers_checksum() -> None:
    frame = toledo(1, checksum=False) + b"\x91"
    assert raws(frame * 2, checksum="unchecked") == [("Weight", frame)] * 2


def test_a_last_frame_without_checksum_is_whole_after_a_pause() -> None:
    frame = toledo(5, checksum=False)
    scale = opened()
    assert list(scale.received(frame, 10.0)) == []
    assert scale.next_wake() == 11.0
    assert list(scale.woke(10.9)) == []
    assert [(type(r.body), r.raw, r.at) for r in scale.woke(11.0)] == [(Weight, frame, 10.0)]
    assert scale.next_wake() is None
    assert raws(frame, checksum="with") == []
    with_checksum = opened(checksum="with")
    list(with_checksum.received(frame, 10.0))
    assert [type(r.body) for r in with_checksum.woke(math.inf)] == [Malformed]


@pytest.mark.parametrize("cut", range(1, 18))
def test_a_frame_in_two_pieces_is_one_frame(cut: int) -> None:
    frame, scale = toledo(12340), opened()
    readings = [*scale.received(frame[:cut], 10.0), *scale.received(frame[cut:], 10.5)]
    assert [(type(r.body), r.raw) for r in readings] == [(Weight, frame)]


def test_a_lost_stx_costs_one_frame() -> None:
    frames = [toledo(n) for n in (1, 2, 3)]
    assert raws(frames[0] + frames[1][1:] + frames[2]) == [
        ("Weight", frames[0]),
        ("Malformed", frames[1][1:]),
        ("Weight", frames[2]),
    ]


@pytest.mark.parametrize("cut", range(1, 17))
def test_a_byte_lost_anywhere_costs_one_frame(cut: int) -> None:
    good, other = toledo(12340), toledo(56780)
    torn = other[:cut] + other[cut + 1 :]
    kinds = raws(good + torn + good + good)
    assert [raw for kind, raw in kinds if kind == "Weight"] == [good, good, good], kinds
    assert b"".join(raw for _, raw in kinds) == good + torn + good + good


def test_parity_that_the_link_does_not_strip_is_named() -> None:
    even = bytes(byte | (bin(byte).count("1") % 2) << 7 for byte in toledo())
    scale = opened()
    readings = [*scale.received(even, 10.0), *scale.woke(11.0)]
    assert all(isinstance(r.body, Malformed) and "bytesize and parity" in r.body.why for r in readings)
    assert b"".join(r.raw for r in readings) == even


def test_it_only_listens() -> None:
    assert opened().to_send() == b""
