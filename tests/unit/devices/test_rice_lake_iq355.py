"""Frames of the IQ355 stream in, readings out."""

import math

import pytest
from pydantic import ValidationError

from edge_agent.devices import weighing
from edge_agent.devices.drivers.rice_lake_iq355 import RiceLakeIq355, Settings
from edge_agent.domain.observation import Body, DeviceFault, FaultKind, Malformed, Opaque, Reading, Weight
from tests.unit.devices.scales import iq355


@pytest.fixture(autouse=True)
def _out_of_range_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "OUT_OF_RANGE_S", 0.0)  # these frames have no time between them


def opened(**settings: object) -> RiceLakeIq355:
    scale = RiceLakeIq355(Settings.model_validate(settings))
    scale.opened(10.0)
    return scale


def bodies(*frames: bytes, **settings: object) -> list[Body]:
    return [reading.body for reading in opened(**settings).received(b"".join(frames), 10.0)]


def settled(*frames: bytes, **settings: object) -> list[bool]:
    return [isinstance(body, Weight) and body.settled for body in bodies(*frames, **settings)]


@pytest.mark.parametrize(
    ("frame", "settings", "body"),
    [
        (iq355(), {}, Weight(12340.0, False, "12340", "kg", True)),
        (iq355("  80000", "L"), {}, Weight(36287.3896, False, "80000", "lb", True)),
        (iq355("   12.5", "K", "N"), {}, Weight(12.5, False, "12.5", "kg", False)),
        (iq355("    .50", "O"), {}, Weight(0.0141747615625, False, ".50", "oz", True)),
        (iq355("   500.", "G"), {}, Weight(0.5, False, "500.", "g", True)),
        (iq355("   36.3", "T"), {"tons": "metric"}, Weight(36300.0, False, "36.3", "t", True)),
        (iq355("     40", "T"), {"tons": "short"}, Weight(36287.3896, False, "40", "ton", True)),
        (iq355("     40", " "), {"blank_unit": "lb"}, Weight(18.1436948, False, "40", "lb", True)),
        (iq355("     20", polarity="-"), {}, Weight(-20.0, False, "-20", "kg", True)),
        (iq355("      0", polarity="-"), {}, Weight(0.0, False, "-0", "kg", True)),
    ],
)
def test_one_frame(frame: bytes, settings: dict[str, object], body: Body) -> None:
    assert list(opened(**settings).received(frame, 10.0)) == [Reading(body, 10.0, frame)]


def test_what_cannot_be_understood_is_refused_and_says_what_to_set() -> None:
    assert bodies(iq355("     40", "T")) == [Malformed("a weight in tons: set `tons` to short or metric")]
    assert bodies(iq355("     40", " ")) == [Malformed("a weight without a unit: set `blank_unit`")]
    assert bodies(iq355("  1 340")) == [Malformed("the weight '  1 340' is no number")]


def test_settling() -> None:
    still, moving = iq355(), iq355(status="M")
    assert settled(moving, still, still, still, still) == [False, False, False, True, True]
    assert settled(still, still, moving, still) == [False] * 4
    assert settled(iq355(status="Z"), iq355(status="Z"), stable_frames=2) == [False, True], (
        "the centre of zero is valid"
    )
    assert settled(still, iq355("  12360"), stable_frames=2) == [False, False]
    assert settled(still, iq355("  12360"), stable_frames=2, increment=20) == [False, True]
    torn = still[:5] + still[6:]
    assert settled(still, still, torn, still, stable_frames=3)[-1] is False


def test_range_and_validity_are_told_when_they_begin_and_end() -> None:
    over, invalid = iq355("-------", status="O"), iq355("  12340", status="I")
    assert bodies(over, over, invalid, iq355()) == [
        Opaque("no_weight", ("-------", "kg")),
        DeviceFault(FaultKind.OUT_OF_RANGE, True, "over or under range"),
        Opaque("no_weight", ("-------", "kg")),
        Opaque("no_weight", ("12340", "kg")),
        DeviceFault(FaultKind.INTERNAL, True, "the terminal calls its weight invalid"),
        DeviceFault(FaultKind.OUT_OF_RANGE, False, "over or under range"),
        Weight(12340.0, False, "12340", "kg", True),
        DeviceFault(FaultKind.INTERNAL, False, "the terminal calls its weight invalid"),
    ]


@pytest.mark.parametrize("cut", range(14))
def test_a_byte_lost_anywhere_costs_one_frame(cut: int) -> None:
    good, other = iq355(), iq355("  56780")
    readings = list(opened().received(good + other[:cut] + other[cut + 1 :] + good, 10.0))
    assert [r.raw for r in readings if isinstance(r.body, Weight)] == [good, good]
    assert any(isinstance(r.body, Malformed) for r in readings)


def test_the_end_as_the_terminal_is_set_up() -> None:
    cr = iq355().removesuffix(b"\n")
    scale = opened(end="cr")
    assert [r.raw for r in scale.received(cr + cr, 10.0)] == [cr, cr], "nothing is waited for"
    scale = opened()
    readings = [*scale.received(cr + cr, 10.0), *scale.woke(11.0)]
    assert [type(r.body) for r in readings] == [Malformed]
    assert "CRLF: see `end`" in str(readings[0].body)


def test_an_unfinished_frame_is_given_up() -> None:
    scale = opened()
    assert list(scale.received(iq355()[:9], 10.0)) == []
    assert scale.next_wake() == 11.0
    assert list(scale.woke(10.5)) == []
    assert [r.raw for r in scale.woke(11.0)] == [iq355()[:9]]
    assert list(scale.woke(math.inf)) == []
    assert scale.to_send() == b""


def test_an_increment_must_be_one() -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"increment": 0})
