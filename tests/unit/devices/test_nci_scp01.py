"""A scale that is asked: questions out, answers in, and what happens when none comes."""

import math

import pytest

from edge_agent.devices import weighing
from edge_agent.devices.drivers.nci_scp01 import NciScp01, Settings
from edge_agent.domain.observation import Body, DeviceFault, FaultKind, Malformed, Opaque, Reading, Weight
from tests.unit.devices.scales import nci

OVER, UNDER = "over capacity", "under capacity"


@pytest.fixture(autouse=True)
def _out_of_range_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "OUT_OF_RANGE_S", 0.0)  # these frames have no time between them


def opened(**settings: object) -> NciScp01:
    scale = NciScp01(Settings.model_validate(settings))
    scale.opened(10.0)
    return scale


def bodies(*answers: bytes, **settings: object) -> list[Body]:
    return [reading.body for reading in opened(**settings).received(b"".join(answers), 10.0)]


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (nci("012340kg"), Weight(12340.0, False, "012340", "kg")),
        (nci(" 80000lb"), Weight(36287.3896, False, "80000", "lb")),
        (nci("-12.50KG", "10"), Weight(-12.5, False, "-12.50", "kg")),
        (nci("- 12.5kg"), Weight(-12.5, False, "-12.5", "kg")),
        (nci("_36.3t_".replace("_", " ")), Weight(36300.0, False, "36.3", "t")),
        (nci("40tn"), Weight(36287.3896, False, "40", "ton")),
        (nci(" 1000g "), Weight(1.0, False, "1000", "g")),
        (nci("16.0oz"), Weight(0.45359237, False, "16.0", "oz")),
        (nci("012340kg", "0p0"), Weight(12340.0, False, "012340", "kg", True)),
        (nci("012340kg", "0p4"), Weight(12340.0, False, "012340", "kg", False)),
        (nci(None, "10"), Opaque("status", ("10",))),
    ],
)
def test_one_answer(answer: bytes, body: Body) -> None:
    assert list(opened().received(answer, 10.0)) == [Reading(body, 10.0, answer)]


@pytest.mark.parametrize("weight", ["12lb 3.4oz", "    kg", "1-2kg", "^-^-kg"])
def test_what_is_no_decimal_weight(weight: str) -> None:
    (body,) = bodies(nci(weight))
    assert isinstance(body, Malformed)
    assert "is no number" in body.why


@pytest.mark.parametrize(
    ("answer", "faults"),
    [
        (nci("^^^^^^kg", "02"), [(FaultKind.OUT_OF_RANGE, OVER)]),
        (nci("^^^^^^kg", "00"), [(FaultKind.OUT_OF_RANGE, OVER)]),
        (nci("______kg", "01"), [(FaultKind.OUT_OF_RANGE, UNDER)]),
        (nci("______kg", "00"), [(FaultKind.OUT_OF_RANGE, UNDER)]),
        (nci("------kg", "00"), [(FaultKind.INTERNAL, "zeroing error")]),
        (nci("000020kg", "<<"), [(FaultKind.INTERNAL, "RAM error, EEPROM error, ROM error, faulty calibration")]),
        (nci("000020kg", "0p8"), [(FaultKind.INTERNAL, "initial zero error")]),
        (nci(None, "02"), [(FaultKind.OUT_OF_RANGE, OVER)]),
        (nci(None, "01"), [(FaultKind.OUT_OF_RANGE, UNDER)]),
    ],
)
def test_faults_begin_and_end_once(answer: bytes, faults: list[tuple[FaultKind, str]]) -> None:
    begun = [DeviceFault(kind, True, detail) for kind, detail in faults]
    ended = [DeviceFault(kind, False, detail) for kind, detail in faults]
    said = bodies(answer, answer, nci())
    assert [body for body in said if isinstance(body, DeviceFault)] == begun + ended
    assert not any(isinstance(body, Weight) and body.settled for body in bodies(answer, stable_frames=1))


def settled(*answers: bytes, **settings: object) -> list[bool]:
    return [isinstance(body, Weight) and body.settled for body in bodies(*answers, **settings)]


def test_settling() -> None:
    still, moving = nci(), nci(status="10")
    assert settled(nci(status="10"), still, still, still) == [False, False, False, True], "bit 0 is motion, bit 1 zero"
    assert settled(still, still, nci(status="20"), still, still)[2] is True
    assert settled(still, still, nci(status="12"), still, still) == [False, False, False, False, False, False, False]
    assert settled(still, still, nci(None), still, still, still) == [False] * 5 + [True]
    assert settled(moving, moving, stable_frames=1) == [False, False]
    assert settled(nci("012340kg"), nci("012360kg"), stable_frames=2) == [False, False]
    assert settled(nci("012340kg"), nci("012360kg"), stable_frames=2, increment="20") == [False, True]


# --- asking ------------------------------------------------------------------------------------------------------


def test_it_asks_at_once_and_again_after_each_answer() -> None:
    scale = opened()
    assert scale.to_send() == b"W\r"
    assert scale.to_send() == b"", "handed out once"
    assert scale.next_wake() == 11.0
    list(scale.received(nci(), 10.1))
    assert scale.to_send() == b""
    assert scale.next_wake() == 10.25
    assert list(scale.woke(10.2)) == []
    assert scale.to_send() == b"", "not before its time"
    assert list(scale.woke(10.25)) == []
    assert scale.to_send() == b"W\r"


def test_no_answer_is_asked_again_for_ever() -> None:
    scale = opened(stable_frames=2)
    assert scale.to_send() == b"W\r"
    list(scale.received(nci(), 10.1))
    for now in (10.25, 11.25, 12.25):
        assert scale.next_wake() == now
        assert list(scale.woke(now)) == []
        assert scale.to_send() == b"W\r"
    readings = [*scale.received(nci(), 12.3)]
    assert [r.body for r in readings] == [Weight(12340.0, False, "012340", "kg")], "not consecutive to the one before"


def test_an_answer_after_its_time_does_not_shift_the_next_question() -> None:
    scale = opened(answer_timeout_s=2.0)
    list(scale.received(nci(), 11.5))
    assert scale.next_wake() == 10.25, "long due"
    list(scale.woke(11.5))
    assert scale.to_send() == b"W\r"
    list(scale.received(nci() + nci(), 11.6))  # one more than was asked for
    assert scale.next_wake() == 11.75


def test_half_an_answer_is_given_up_and_asked_for_again() -> None:
    scale = opened(answer_timeout_s=5.0)
    assert scale.to_send() == b"W\r"
    list(scale.received(nci()[:7], 10.1))
    assert scale.next_wake() == 11.1
    assert [r.raw for r in scale.woke(11.1)] == [nci()[:7]]
    assert scale.next_wake() == 15.0
    list(scale.woke(15.0))
    assert scale.to_send() == b"W\r"


@pytest.mark.parametrize("wrong", [b"\n?\r\x03", b"\n12.x4kg\r\n00\r\x03", b"W\r", b"\x00\xff" * 40, b"\n" * 99])
def test_a_wrong_answer_does_not_wedge_it(wrong: bytes) -> None:
    scale, now = opened(), 10.0
    said: list[Reading] = []
    for _ in range(4):
        assert scale.to_send() == b"W\r"
        said += scale.received(wrong, now)
        while not (asked := scale.to_send()):
            now = scale.next_wake() or math.nan
            said += scale.woke(now)
        assert asked == b"W\r"
        said += scale.received(nci(), now + 0.01)
        assert isinstance(said[-1].body, Weight)
        now = scale.next_wake() or math.nan
        said += scale.woke(now)
    assert sum(isinstance(reading.body, Malformed) for reading in said) >= 4


def test_a_scale_that_does_not_know_the_command_is_told_what_it_needs() -> None:
    (body,) = bodies(b"\n?\r\x03")
    assert isinstance(body, Malformed)
    assert "set it up for the NCI protocol SCP-01" in body.why


def test_nothing_is_asked_after_the_end() -> None:
    scale = opened()
    scale.to_send()
    assert list(scale.woke(math.inf)) == []
    assert scale.to_send() == b""


def test_a_lost_line_feed_leaves_the_status_only() -> None:
    readings = list(opened().received(nci()[1:] + nci(), 10.0))
    assert [type(r.body) for r in readings] == [Malformed, Opaque, Weight]
    assert b"".join(r.raw for r in readings) == nci()[1:] + nci()
