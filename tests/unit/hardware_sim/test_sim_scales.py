"""What each scale says, byte by byte, against its manual."""

from typing import Any

import pytest
from pydantic import ValidationError

from hardware_sim.devices import mt_sics, nci_scp01, rice_lake_iq355, toledo_continuous
from hardware_sim.world.lane import Lane
from tests.unit.hardware_sim.roads import TCP, lane_of, said_by, site_of, standing, truck


def lane() -> Lane:
    return lane_of([truck(gross_kg=31_240)])


def toledo(lane: Lane, **more: Any) -> toledo_continuous.ToledoContinuous:
    settings = toledo_continuous.Settings(kind="toledo_continuous", links=TCP, **more)  # type: ignore[arg-type]
    return toledo_continuous.ToledoContinuous("scale", settings, site_of(lane))


def nci(lane: Lane, **more: Any) -> nci_scp01.NciScp01:
    return nci_scp01.NciScp01("scale", nci_scp01.Settings(kind="nci_scp01", links=TCP, **more), site_of(lane))  # type: ignore[arg-type]


def sics(lane: Lane, **more: Any) -> mt_sics.MtSics:
    return mt_sics.MtSics("scale", mt_sics.Settings(kind="mt_sics", links=TCP, **more), site_of(lane))  # type: ignore[arg-type]


def at_rest(scale: toledo_continuous.ToledoContinuous, at: float) -> bytes:
    return scale.frame(scale.platform.shown(at))


# --- Toledo ------------------------------------------------------------------------------------------------------


def test_toledo_frame_is_that_of_the_manuals_table() -> None:
    one = lane()
    frame = at_rest(toledo(one), standing(one.passages[0]))
    assert len(frame) == 18
    # STX; x10 with increment 2 (steps of 20); kg, no motion; SWC; 3124 tens of kilograms; no tare; CR; check sum.
    assert frame[:-1] == b"\x02\x31\x30\x20  3124000000\r"
    assert sum(frame) & 0x7F == 0


def test_toledo_without_check_sum_and_with_all_digits() -> None:
    one = lane()
    frame = at_rest(toledo(one, checksum=False, fixed_zero=False), standing(one.passages[0]))
    assert frame == b"\x02\x32\x30\x20 31240000000\r"


def test_toledo_says_motion_net_negative_pounds_and_overload_in_its_status() -> None:
    one = lane()
    passage = one.passages[0]
    moving = at_rest(toledo(one), passage.arrives + 2.0)
    assert moving[2] & 0x08
    net = at_rest(toledo(one, tare=14_000), standing(passage))
    assert net[2] & 0x01
    assert net[4:16] == b"  1724001400"
    empty = at_rest(toledo(one, tare=14_000), passage.arrives - 5)
    assert empty[2] & 0x03 == 0x03
    assert empty[4:10] == b"  1400"
    over = at_rest(toledo(one, capacity=30_000), standing(passage))
    assert over[2] & 0x04
    assert not at_rest(toledo(one, unit="lb", capacity=90_000), standing(passage))[2] & 0x10


def test_toledo_comes_seven_times_a_second_without_drift() -> None:
    one = lane()
    said = said_by(toledo(one), 100.0)
    assert len(said) == 701
    assert [at for at, _ in said][::70] == pytest.approx([10.0 * k for k in range(11)])
    assert all(len(data) == 18 and sum(data) & 0x7F == 0 for _, data in said)


def test_toledo_keys_are_obeyed_and_not_answered() -> None:
    one = lane()
    scale, at = toledo(one), standing(one.passages[0])
    assert scale.received(b"P", at) == b""
    assert said_by(scale, at)[0][1][3] & 0x08  # print was asked for
    assert scale.received(b"T\r\n", at) == b""
    assert at_rest(scale, at)[4:16] == b"     0003124"
    scale.received(b"C", at)
    assert at_rest(scale, at)[4:16] == b"  3124000000"


def test_same_seed_same_bytes_and_another_seed_other_noise() -> None:
    one = lane()
    settings = toledo_continuous.Settings(kind="toledo_continuous", links=TCP, increment=1)  # type: ignore[arg-type]
    runs = [
        said_by(toledo_continuous.ToledoContinuous("scale", settings, site_of(one, seed)), 60.0) for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


# --- Rice Lake ---------------------------------------------------------------------------------------------------


def test_iq355_streams_its_own_form() -> None:
    one = lane()
    passage = one.passages[0]

    def frame(at: float, **more: Any) -> bytes:
        settings = rice_lake_iq355.Settings(kind="rice_lake_iq355", links=TCP, **more)  # type: ignore[arg-type]
        scale = rice_lake_iq355.RiceLakeIq355("scale", settings, site_of(one))
        return scale.frame(scale.platform.shown(at))

    assert frame(standing(passage)) == b"\x02   31240KG \r\n"
    assert frame(standing(passage), unit="lb", capacity=90_000) == b"\x02   68880LG \r\n"
    assert frame(standing(passage), tare=14_000) == b"\x02   17240KN \r\n"
    assert frame(passage.arrives - 5, tare=14_000) == b"\x02-  14000KN \r\n"
    assert frame(passage.arrives - 5) == b"\x02       0KG \r\n"
    assert frame(passage.arrives - 5, says_zero=True) == b"\x02       0KGZ\r\n"
    assert frame(passage.arrives + 2).endswith(b"KGM\r\n")
    assert frame(standing(passage), capacity=30_000).endswith(b"KGO\r\n")


# --- NCI SCP-01 --------------------------------------------------------------------------------------------------


def test_nci_answers_weight_status_and_zero_and_refuses_the_rest() -> None:
    one = lane()
    scale, passage = nci(one), one.passages[0]
    assert said_by(scale, 1e6) == []
    before, at, after = passage.arrives - 5, standing(passage), scale.platform.leaves(passage) + 1
    assert scale.received(b"W\r", before) == b"\n      0kg\r\n20\r\x03"
    assert scale.received(b"X\r", before) == b"\n?\r\x03"
    assert scale.received(b"S\r", passage.arrives + 2) == b"\n10\r\x03"
    assert scale.received(b"W\r", at) == b"\n  31240kg\r\n00\r\x03"
    assert scale.received(b"H\r", at) == b"\n31240.0kg\r\n00\r\x03"
    assert scale.received(b"Z\r", after) == b"\n20\r\x03"


def test_nci_commands_may_come_in_pieces_and_together() -> None:
    one = lane()
    scale, at = nci(one), standing(one.passages[0])
    assert scale.received(b"W", at) == b""
    assert scale.received(b"\rS\r", at) == b"\n  31240kg\r\n00\r\x03\n00\r\x03"


def test_nci_says_over_capacity_and_gives_no_weight_then() -> None:
    one = lane()
    assert nci(one, capacity=30_000).received(b"W\r", standing(one.passages[0])) == b"\n02\r\x03"
    moving = one.passages[0].arrives + 2
    assert nci(one, weight_in_motion=False).received(b"W\r", moving) == b"\n10\r\x03"
    assert nci(one, status_bytes=3, tare=2000).received(b"S\r", standing(one.passages[0])) == b"\n0p4\r\x03"


def test_commands_without_end_are_bounded_and_the_next_one_is_heard() -> None:
    one = lane()
    scale = nci(one)
    for _ in range(100):
        assert scale.received(b"W" * 1000, 0.0) == b""
        assert len(scale._lines._kept) <= 256
    assert scale.received(b"\r", 0.0) == b"\n?\r\x03"
    assert scale.received(b"S\r", 0.0) == b"\n20\r\x03"


# --- MT-SICS -----------------------------------------------------------------------------------------------------


def test_sics_immediate_weight_says_stable_or_dynamic() -> None:
    one = lane()
    scale, passage = sics(one), one.passages[0]
    assert scale.received(b"SI\r\n", passage.arrives - 5) == b"S S          0 kg\r\n"
    assert scale.received(b"SI\r\n", passage.arrives + 2).startswith(b"S D ")
    assert scale.received(b"SI\r\n", standing(passage)) == b"S S      31240 kg\r\n"


def test_sics_stable_weight_is_waited_for() -> None:
    one = lane()
    scale, passage = sics(one, waits_s=30), one.passages[0]
    assert passage.stands_from is not None
    asked = passage.stands_from - 1
    assert scale.received(b"S\r\n", asked) == b""
    ((at, answer),) = said_by(scale, asked + 30)
    assert answer == b"S S      31240 kg\r\n"
    assert passage.stands_from < at < passage.stands_from + 4
    assert scale.next_wake() is None


def test_sics_gives_up_waiting_with_not_executable() -> None:
    one = lane_of([truck()], stop_s=0.0)
    scale = sics(one, waits_s=2)
    asked = one.passages[0].arrives + 1.5
    scale.received(b"S\r\n", asked)
    ((at, answer),) = said_by(scale, asked + 10)
    assert answer == b"S I\r\n"
    assert at == pytest.approx(asked + 2.0, abs=0.11)


def test_sics_repeats_until_told_otherwise() -> None:
    one = lane()
    scale = sics(one)
    assert scale.received(b"SIR\r\n", 0.0) == b"S S          0 kg\r\n"
    assert len(said_by(scale, 5.001)) == 50
    assert scale.received(b"@\r\n", 5.0) == b'I4 A "B021002593"\r\n'
    assert scale.next_wake() is None


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"XYZ", b"ES\r\n"),
        (b"si", b"ES\r\n"),
        (b"SI 5", b"EL\r\n"),
        (b"I2", b'I2 A "IND Standard 80000 kg"\r\n'),
        (b"I4", b'I4 A "B021002593"\r\n'),
        (b"TA 5000 kg", b"TA A       5000 kg\r\n"),
        (b"TA 5000 lb", b"EL\r\n"),
        (b"TA abc kg", b"EL\r\n"),
        (b"TA 99999 kg", b"TA +\r\n"),
        (b"TAC", b"TAC A\r\n"),
        (b"Z", b"Z A\r\n"),
        (b"ZI", b"ZI S\r\n"),
        (b"T", b"T -\r\n"),
    ],
)
def test_sics_answers_as_its_reference_says(command: bytes, answer: bytes) -> None:
    assert sics(lane()).received(command + b"\r\n", 0.0) == answer


def test_sics_lists_its_commands() -> None:
    lines = sics(lane()).received(b"I0\r\n", 0.0).decode().splitlines()
    assert lines[0] == 'I0 B 0 "@"'
    assert all(line.startswith("I0 B ") for line in lines[:-1])
    assert lines[-1].startswith("I0 A ")


def test_sics_tares_and_says_overload() -> None:
    one = lane()
    at = standing(one.passages[0])
    scale = sics(one)
    assert scale.received(b"T\r\n", at) == b"T S      31240 kg\r\n"
    assert scale.received(b"SI\r\n", at) == b"S S          0 kg\r\n"
    assert sics(one, capacity=30_000).received(b"S\r\n", at) == b"S +\r\n"


def test_capacity_below_ten_increments_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="at least ten increments"):
        sics(lane(), capacity=100)
