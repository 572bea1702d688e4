"""When a weight is settled, in which unit, and what is told of faults."""

import math
from decimal import Decimal

import pytest

from edge_agent.devices.weighing import KG_PER, Indication, Weigher, last_place
from edge_agent.domain.observation import DeviceFault, FaultKind, Opaque, Weight

OVER = {FaultKind.OUT_OF_RANGE: "over capacity"}


FAULTY = Indication("100", "kg", Decimal(100), gross=True, faults=OVER)


def shown(
    value: str, *, steady: bool = True, unit: str = "kg", gross: bool | None = True, step: str = "10"
) -> Indication:
    return Indication(value, unit, Decimal(value), Decimal(step), steady, gross)


def settled(weigher: Weigher, *indications: Indication) -> list[bool]:
    bodies = [weigher.told(indication, 1.0, b"x")[0].body for indication in indications]
    return [isinstance(body, Weight) and body.settled for body in bodies]


@pytest.mark.parametrize(
    ("indications", "expected"),
    [
        ([shown("100"), shown("100"), shown("100"), shown("100")], [False, False, True, True]),
        ([shown("100"), shown("110"), shown("100")], [False, False, True]),  # within one increment
        ([shown("100"), shown("110"), shown("120"), shown("120")], [False, False, False, True]),  # creeps
        ([shown("100"), shown("100"), shown("100", steady=False), shown("100")], [False] * 4),
        ([shown("100"), shown("100"), shown("100", unit="lb")], [False] * 3),
        ([shown("100"), shown("100"), shown("100", gross=False)], [False] * 3),
        ([shown("100"), shown("100"), shown("500"), shown("500"), shown("500")], [False] * 4 + [True]),
        ([shown("100"), shown("100"), Indication("", "kg", None), shown("100"), shown("100")], [False] * 5),
        ([shown("100"), shown("100"), FAULTY, shown("100")], [False] * 4),
    ],
)
def test_settling_with_three_frames(indications: list[Indication], expected: list[bool]) -> None:
    assert settled(Weigher(3), *indications) == expected


def test_one_frame_may_be_enough() -> None:
    assert settled(Weigher(1), shown("100"), shown("100", steady=False)) == [True, False]


def test_what_was_missed_breaks_the_row() -> None:
    weigher = Weigher(2)
    assert settled(weigher, shown("100")) == [False]
    weigher.missed()
    assert settled(weigher, shown("100"), shown("100")) == [False, True]


@pytest.mark.parametrize(
    ("value", "unit", "kg"),
    [
        ("80000", "lb", 36287.3896),  # 80,000 lb, the United States' limit, by the exact pound
        ("36.3", "t", 36300.0),
        ("40", "ton", 36287.3896),
        ("1000", "g", 1.0),
        ("16", "oz", 0.45359237),
        ("12340", "kg", 12340.0),
    ],
)
def test_units(value: str, unit: str, kg: float) -> None:
    body = Weigher(3).told(Indication(value, unit, Decimal(value), tare=Decimal(value)), 1.0, b"")[0].body
    assert body == Weight(kg, False, value, unit, None, kg)


def test_a_pound_is_sixteen_ounces_and_a_ton_two_thousand_pounds() -> None:
    assert KG_PER["oz"] * 16 == KG_PER["lb"]
    assert KG_PER["lb"] * 2000 == KG_PER["ton"]


def test_faults_are_told_when_they_begin_change_and_end() -> None:
    weigher = Weigher(3)
    over = Indication(" ^^^ ", "kg", None, faults=OVER)
    assert [type(reading.body) for reading in weigher.told(over, -2.0, b"")] == [Opaque], "not yet"
    first = weigher.told(over, 1.0, b"a")
    assert [(reading.body, reading.raw) for reading in first] == [
        (Opaque("no_weight", ("^^^", "kg")), b"a"),
        (DeviceFault(FaultKind.OUT_OF_RANGE, True, "over capacity"), b""),
    ]
    assert len(weigher.told(over, 2.0, b"b")) == 1
    changed = Indication("", "kg", None, faults={FaultKind.INTERNAL: "RAM error"})
    assert [reading.body for reading in weigher.told(changed, 3.0, b"c")[1:]] == [
        DeviceFault(FaultKind.INTERNAL, True, "RAM error"),
        DeviceFault(FaultKind.OUT_OF_RANGE, False, "over capacity"),
    ]
    assert [reading.body for reading in weigher.faults({FaultKind.INTERNAL: "ROM error"}, 4.0)] == [
        DeviceFault(FaultKind.INTERNAL, True, "ROM error")
    ]
    assert [reading.body for reading in weigher.told(shown("1"), 5.0, b"d")[1:]] == [
        DeviceFault(FaultKind.INTERNAL, False, "ROM error")
    ]


def test_a_deck_that_swings_below_zero_for_a_moment_is_no_fault() -> None:
    weigher = Weigher(3)
    under = Indication("", "kg", None, faults={FaultKind.OUT_OF_RANGE: "below zero"})
    heard = [r.body for at in range(20) for r in weigher.told(under if at % 3 else shown("0"), float(at), b"")]
    assert not [body for body in heard if isinstance(body, DeviceFault)]


def test_without_a_clock_it_is_told_at_once() -> None:
    under = Indication("", "kg", None, faults=OVER)
    assert len(Weigher(3).told(under, math.nan, b"")) == 2


def test_last_place() -> None:
    assert last_place("12340") == 1
    assert last_place("12.34") == Decimal("0.01")
    assert last_place("-.5") == Decimal("0.1")
