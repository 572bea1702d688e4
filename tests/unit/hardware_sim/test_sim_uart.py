"""A serial port that is set otherwise than its sender."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware_sim.links.uart import SerialFormat, as_heard

EVERY = bytes(range(256))


@given(st.binary(max_size=200))
def test_same_settings_change_nothing(data: bytes) -> None:
    assert as_heard(data, SerialFormat(4800), SerialFormat(4800)) == data


@given(st.binary(min_size=1, max_size=60), st.sampled_from([300, 1200, 9600, 115_200]), st.sampled_from([2400, 19_200]))
def test_other_rates_give_garbage_that_is_the_same_each_time_and_bounded(data: bytes, sent: int, heard: int) -> None:
    once = as_heard(data, SerialFormat(sent), SerialFormat(heard))
    assert once == as_heard(data, SerialFormat(sent), SerialFormat(heard))
    # A receiver cannot hear more characters than there is time for.
    assert len(once) <= len(data) * 10 * heard / sent / 9 + 2


def test_a_rate_off_by_two_percent_still_works_and_by_ten_does_not() -> None:
    assert as_heard(EVERY, SerialFormat(9600), SerialFormat(9408)) == EVERY
    assert as_heard(EVERY, SerialFormat(9600), SerialFormat(8640)) != EVERY


def test_wrong_rates_on_a_scales_frame_leave_no_frame() -> None:
    frame = b"\x02\x31\x30\x20  3124000000\r\x45"
    for heard in (1200, 2400, 4800, 19_200, 38_400):
        assert b"\x02\x31\x30\x20" not in as_heard(frame, SerialFormat(9600), SerialFormat(heard))


def test_seven_bits_even_heard_as_eight_without_parity_has_the_parity_as_its_highest_bit() -> None:
    heard = as_heard(b"ABC", SerialFormat(9600, 7, "E"), SerialFormat(9600, 8, "N"))
    assert heard == bytes([0x41, 0x42, 0xC3])  # C has three ones


def test_eight_bits_heard_as_seven_loses_the_highest() -> None:
    assert as_heard(b"\xc1\x41", SerialFormat(9600), SerialFormat(9600, 7, "N"))[:1] == b"\x41"


@pytest.mark.parametrize(("parity", "bit"), [("N", []), ("E", [0]), ("O", [1]), ("M", [1]), ("S", [0])])
def test_parity_bits_are_those_of_the_format(parity: str, bit: list[int]) -> None:
    # 0x03 with nine data bits heard: what stands where the ninth would be.
    sent, heard = SerialFormat(9600, 7, parity), SerialFormat(9600, 8, "N")
    (value,) = as_heard(b"\x03", sent, heard)
    assert value == 0x03 | (bit[0] if bit else 1) << 7  # without parity the stop bit stands there


def test_two_stop_bits_are_heard_as_rest() -> None:
    assert as_heard(EVERY, SerialFormat(9600, stopbits=2), SerialFormat(9600)) == EVERY
