"""What each seal and tag of a vehicle is on: the rules of inspection/belonging.py, one after the other."""

from dataclasses import replace
from typing import Any

import pytest

from edge_agent.domain.carriers import on_in_words
from edge_agent.domain.expected import ExpectationMatch
from edge_agent.domain.identifiers import check_digit_ok
from edge_agent.domain.inspection import (
    Expected,
    Inspection,
    PlateSeen,
    SealSeen,
    SealStateSeen,
    TagSeen,
    VotedCode,
)
from edge_agent.domain.joining import Belonging, CodeRole, PlateRole
from edge_agent.domain.observation import Direction, SealCondition, SealState, TagRead
from edge_agent.inspection.belonging import belonging
from edge_agent.inspection.findings import judge
from edge_agent.inspection.rules import Rules
from edge_agent.inspection.whereabouts import End
from tests.unit.inspection.facts import facts, found, matched, record, voted
from tests.unit.inspection.script import instant

A, B = "CSQU3054383", "MSKU0383250"
LOOKED = (Expected.CONTAINER_CODE,)


def codes(*texts: str, ordered: bool = True) -> tuple[VotedCode, ...]:
    """Containers, the front one first."""
    several = len(texts) > 1 and ordered
    return tuple(
        VotedCode(voted(text, "side"), check_digit_ok(text), "", CodeRole.CONTAINER, place if several else 0)
        for place, text in enumerate(texts, 1)
    )


def seals(*numbers: str, by: str = "portal", at: float = 3.0) -> tuple[SealSeen, ...]:
    """One read after the other."""
    return tuple(SealSeen(number, "", by, instant(at + n)) for n, number in enumerate(numbers))


def declares(*of: str, sealed: tuple[str, ...] = (), read: tuple[str, ...] = ()) -> ExpectationMatch:
    """The crossing that the vehicle matches: its containers, and its seals beside those that were read."""
    compared = [("seal", one, one if one in read else "", "same" if one in read else "not_read") for one in sealed]
    return matched(*compared, container_codes=of, seals=sealed)


def on(inspection: Inspection, rear: str = "", placed: tuple[str, ...] = ("portal",)) -> list[str]:
    """What each seal is on, and why, in short words."""
    sees = {"portal": End.ANY, "camera": End.ANY} | ({rear: End.REAR} if rear else {})
    known = belonging(inspection, sees, placed)
    return [in_short(one.on) for one in known.seals] + [in_short(one.on) for one in known.seal_states]


def in_short(one: Belonging | None) -> str:
    return f"{on_in_words(one.carrier, one.place, one.text)} by {one.known_by}" if one else "unknown"


@pytest.mark.parametrize(
    ("text", "is_on"),
    [
        ("TRAC70R", "on tractor TRAC7OR by text"),
        ("csqu 305438-3", "on the front container CSQU3054383 by text"),
        ("ML1", "on seal ML-1 by text"),
        ("ANAM0001", "unknown"),
        ("", "unknown"),
    ],
)
def test_rule_1_a_tag_is_on_what_it_states(text: str, is_on: str) -> None:
    plates = (PlateSeen(voted("TRAC7OR", "front"), PlateRole.TRACTOR),)
    tags = (TagSeen(TagRead("414E", text), "reader", instant(1)),)
    inspection = replace(vehicle(codes(A, B), seals("ML-1")), tags=tags, plates=plates)
    assert [in_short(one.on) for one in belonging(inspection, {}, ()).tags] == [is_on]


def vehicle(of: tuple[VotedCode, ...], sealed: tuple[SealSeen, ...], **more: Any) -> Inspection:
    return replace(record(), container_codes=of, seals=sealed, looked_for=LOOKED, **more)


def test_rule_2_what_a_device_at_the_rear_read_is_on_the_rear_container() -> None:
    two = vehicle(codes(A, B), seals("ML-1", by="doors"))
    assert on(two, rear="doors") == [f"on the rear container {B} by rear"]
    assert on(two) == ["unknown"], "it may have read it off either"
    unordered = vehicle(codes(A, B, ordered=False), seals("ML-1", by="doors"))
    assert on(unordered, rear="doors") == ["on the rear container by rear"], "which one that is, is not known"


def test_rule_3_what_is_sealed_on_a_vehicle_with_one_container_is_that_container() -> None:
    one = vehicle(codes(A), seals("ML-1", "ML-2", by="by hand"))
    assert on(one) == [f"on container {A} by only"] * 2
    assert on(replace(one, looked_for=())) == ["unknown"] * 2, "a second one may have come by a camera that was down"
    assert on(replace(one, expectation=declares(A, B))) == ["unknown"] * 2, "a second one is declared"
    assert on(replace(one, expectation=declares(A))) == [f"on container {A} by only"] * 2
    none = vehicle((), seals("ML-1"))
    assert on(none) == ["unknown"]
    assert on(replace(none, expectation=declares(A))) == [f"on container {A} by only"], "of which no code was read"


def test_rule_4_of_two_containers_with_a_declared_seal_each_the_front_ones_is_read_first() -> None:
    declared = declares(A, B, sealed=("ML1", "ML2"), read=("ML1", "ML2"))
    two = vehicle(codes(A, B), seals("ML-2", "ML-1"), expectation=declared)
    front_first = [f"on the front container {A} by order", f"on the rear container {B} by order"]
    assert on(two) == front_first
    unknown = ["unknown"] * 2
    assert on(two, placed=()) == unknown, "a scanner in a hand reads in any order"
    assert on(replace(two, direction=Direction.BACKWARD)) == unknown
    assert on(replace(two, container_codes=codes(A, B, ordered=False))) == unknown
    assert on(replace(two, expectation=None)) == unknown, "both may be on one door"
    assert on(replace(two, expectation=declares(A, B, sealed=("ML1",), read=("ML1",)))) == unknown
    by_hand = replace(two, seals=(*seals("ML-1", by="doors"), *seals("ML-2", by="by hand")))
    assert on(by_hand, rear="doors") == [f"on the rear container {B} by rear", f"on the front container {A} by order"]
    assert on(replace(two, seals=seals("ML-1", "ML-2", by="doors")), rear="doors") == unknown


def test_rule_5_two_devices_that_contradict_each_other_tell_nothing() -> None:
    declared = declares(A, B, sealed=("ML1", "ML2"), read=("ML1", "ML2"))
    both = (*seals("ML-1", "ML-2"),)
    states = tuple(
        SealStateSeen(SealState(number, SealCondition.PRESENT), "camera", instant(at))
        for number, at in (("ML-2", 5), ("ML-1", 6))
    )
    two = vehicle(codes(A, B), both, seal_states=states, expectation=declared)
    assert on(two, placed=("portal", "camera")) == ["unknown"] * 4
    assert on(two, placed=("camera",))[0] == f"on the rear container {B} by order"


def test_a_finding_of_a_seal_says_on_which_container_it_is() -> None:
    broken = (SealStateSeen(SealState("ES-1", SealCondition.BROKEN), "reader", instant(3)),)
    inspection = belonging(vehicle(codes(A), (), seal_states=broken), {}, ())
    assert found(facts(inspection)) == ["seal_broken.container"]
    [finding] = judge(Rules(), facts(inspection)).findings
    assert (("container", A) in finding.parameters, finding.identifiers[-1].text) == (True, A)
