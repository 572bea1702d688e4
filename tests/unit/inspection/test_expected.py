"""Which expected crossing a vehicle is: the rules of inspection/expected.py, each with what it decides."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from edge_agent.domain.expected import (
    ArrivalTiming,
    ExpectationList,
    ExpectedCrossing,
    ExpectedPlate,
    IdentifierKind,
    IdentifierVerdict,
    MatchOutcome,
)
from edge_agent.domain.identifiers import check_digit_ok
from edge_agent.domain.inspection import Complete, Inspection, PlateSeen, SealSeen, SealStateSeen, Voted, VotedCode
from edge_agent.domain.joining import PlateRole
from edge_agent.domain.observation import SealCondition, SealState
from edge_agent.inspection.expected import compared, match
from tests.unit.inspection.script import START, instant

HELD = ExpectationList(b"l" * 16, 7, 3)
SAME, OFF, OTHER = IdentifierVerdict.SAME, IdentifierVerdict.ONE_CHARACTER_OFF, IdentifierVerdict.OTHER
ALIKE, NOT_READ = IdentifierVerdict.LOOKS_ALIKE, IdentifierVerdict.NOT_READ
UNDECLARED, NO_DIGIT = IdentifierVerdict.UNDECLARED, IdentifierVerdict.WITHOUT_CHECK_DIGIT
CODE, CODE_2 = "CSQU3054383", "MSKU1234565"


def crossing(id: str = "A", *plates: str, codes: tuple[str, ...] = (), **fields: Any) -> ExpectedCrossing:
    declared = tuple(ExpectedPlate(*plate.partition(":")[::2]) for plate in plates)
    return ExpectedCrossing(id, START + timedelta(days=1), plates=declared, container_codes=codes, **fields)


def voted(text: str) -> Voted:
    return Voted(text, 0.9, (), 3)


def vehicle(*plates: str, codes: tuple[str, ...] = (), seals: tuple[str, ...] = (), at: float = 0.0) -> Inspection:
    seen = tuple(
        PlateSeen(voted(text), PlateRole(role or "unknown")) for text, _, role in (p.partition(":") for p in plates)
    )
    return Inspection(
        "i",
        "1",
        instant(at),
        instant(at + 60),
        Complete(),
        plate=seen[0].vote if seen else None,
        plates=seen,
        container_codes=tuple(VotedCode(voted(code), True) for code in codes),
        seals=tuple(SealSeen(number, "", "scanner", instant(at)) for number in seals),
    )


def verdicts(inspection: Inspection, *crossings: ExpectedCrossing) -> list[tuple[str, str, IdentifierVerdict]]:
    found = match(inspection, crossings, HELD, 5)
    assert found.outcome is MatchOutcome.MATCHED, found
    return [(one.declared, one.read, one.verdict) for one in found.identifiers]


def meant(inspection: Inspection, *crossings: ExpectedCrossing) -> tuple[str, ...]:
    return match(inspection, crossings, HELD, 5).expectation_ids


@pytest.mark.parametrize(
    ("declared", "read", "kind", "verdict"),
    [
        ("TX1234", "TX1234", "plate", SAME),
        ("TX1O34", "TX1034", "plate", ALIKE),
        ("TXI23O", "TX1230", "plate", ALIKE),
        ("TX1234", "TX1294", "plate", OFF),
        ("TX1O34", "TX1094", "plate", OFF),
        ("TX1234", "TX1299", "plate", OTHER),
        ("TX1234", "TX123", "plate", OTHER),
        ("TX1234", "XT1234", "plate", OTHER),
        (CODE, CODE[:10], "container_code", NO_DIGIT),
        (CODE, "CSQU305439", "container_code", OFF),
        (CODE, "CSQU305499", "container_code", OTHER),
        (CODE, "CSQU3054384", "container_code", OFF),
        (CODE, "CSQU3O54383", "container_code", ALIKE),
        ("JH123456", "JH123457", "seal", OFF),
    ],
)
def test_rule_2_an_identifier_compares_with_a_read(
    declared: str, read: str, kind: str, verdict: IdentifierVerdict
) -> None:
    assert compared(declared, read, IdentifierKind(kind)) is verdict


def test_rule_3_two_codes_with_their_own_check_digits_are_two_containers() -> None:
    one, two = "CSQU1000080", "CSQU1050080"
    assert check_digit_ok(one)
    assert check_digit_ok(two)
    assert compared(one, two, IdentifierKind.CONTAINER_CODE) is OTHER
    assert meant(vehicle(codes=(two,)), crossing(codes=(one,))) == ()


def test_a_record_that_fits_exactly_is_that_crossing_with_all_that_was_compared() -> None:
    expected = crossing("A", "TX1234:tractor", "55AK7:trailer", codes=(CODE,), seals=("JH123456", "JH9999"))
    found = match(vehicle("TX1234:tractor", "55AK7:trailer", codes=(CODE,), seals=("JH-123 456",)), [expected], HELD, 5)
    assert (found.outcome, found.expected, found.list, found.list_age_s) == (MatchOutcome.MATCHED, expected, HELD, 5)
    assert [(one.kind, one.declared, one.read, one.verdict, one.role) for one in found.identifiers] == [
        (IdentifierKind.PLATE, "TX1234", "TX1234", SAME, "tractor"),
        (IdentifierKind.PLATE, "55AK7", "55AK7", SAME, "trailer"),
        (IdentifierKind.CONTAINER_CODE, CODE, CODE, SAME, ""),
        (IdentifierKind.SEAL, "JH123456", "JH123456", SAME, ""),
        (IdentifierKind.SEAL, "JH9999", "", NOT_READ, ""),
    ]


def test_nothing_that_fits_is_none_and_says_in_which_list_was_looked() -> None:
    found = match(vehicle("TX9999"), [crossing("A", "TX1234")], HELD, 5)
    assert (found.outcome, found.expectation_ids, found.list, found.list_age_s) == (MatchOutcome.NONE, (), HELD, 5)


def test_rule_2_one_misread_character_fits_and_an_exact_one_fits_better() -> None:
    near, exact = crossing("near", "TX1294"), crossing("exact", "TX1234")
    assert verdicts(vehicle("TX1234"), near) == [("TX1294", "TX1234", OFF)]
    assert meant(vehicle("TX1234"), near, exact) == ("exact",)


def test_rule_4_one_character_off_is_not_enough_against_another_container() -> None:
    assert meant(vehicle("TX1234", codes=(CODE_2,)), crossing("A", "TX1294", codes=(CODE,))) == ()
    assert meant(vehicle("TX1234", codes=(CODE,)), crossing("A", "TX1294", codes=(CODE,))) == ("A",)


def test_rule_6_what_was_swapped_is_another_one_and_still_this_crossing() -> None:
    expected = crossing("A", "TX1234", codes=(CODE,), seals=("JH123456",))
    assert verdicts(vehicle("TX1234", codes=(CODE_2,), seals=("ZZ777777",)), expected) == [
        ("TX1234", "TX1234", SAME),
        (CODE, CODE_2, OTHER),
        ("JH123456", "ZZ777777", OTHER),
    ]
    assert verdicts(vehicle("XX9999", codes=(CODE,)), expected)[0] == ("TX1234", "XX9999", OTHER)


def test_rule_5_two_that_fit_alike_are_ambiguous_and_named() -> None:
    both = crossing("morning", "TX1234"), crossing("evening", "TX1234")
    found = match(vehicle("TX1234"), both, HELD, 5)
    assert (found.outcome, found.expectation_ids) == (MatchOutcome.AMBIGUOUS, ("evening", "morning"))
    assert (found.expected, found.identifiers) == (None, ())
    swapped = crossing("plate", "TX1234", codes=(CODE_2,)), crossing("code", "AB9876", codes=(CODE,))
    assert meant(vehicle("TX1234", codes=(CODE,)), *swapped) == ("code", "plate")


def test_rule_5_the_container_the_seal_or_the_window_decides_between_trips_of_one_tractor() -> None:
    first = crossing("first", "TX1234", codes=(CODE,), seals=("JH123456",))
    second = replace(first, id="second", container_codes=(CODE_2,), seals=("JH999999",))
    assert meant(vehicle("TX1234", codes=(CODE_2,)), first, second) == ("second",)
    assert meant(vehicle("TX1234", seals=("JH999999",)), first, second) == ("second",)
    now = replace(first, id="now", arrives_until=START + timedelta(hours=1))
    later = replace(first, id="later", arrives_from=START + timedelta(hours=5))
    assert meant(vehicle("TX1234"), now, later) == ("now",)
    assert meant(vehicle("TX1234", at=6 * 3600), now, later) == ("later",)


def test_rule_1_a_seal_alone_finds_nothing() -> None:
    assert meant(vehicle("XX1111", seals=("JH123456",)), crossing("A", "TX1234", seals=("JH123456",))) == ()


def test_a_crossing_for_another_lane_is_not_this_vehicle() -> None:
    assert meant(vehicle("TX1234"), crossing("A", "TX1234", lane_ids=("2",))) == ()
    assert meant(vehicle("TX1234"), crossing("A", "TX1234", lane_ids=("2", "1"))) == ("A",)


@pytest.mark.parametrize(
    ("at", "timing", "outside_s"),
    [
        (3600, ArrivalTiming.EARLY, 3600),
        (7200, ArrivalTiming.WITHIN, 0),
        (10_800, ArrivalTiming.WITHIN, 0),
        (10_920, ArrivalTiming.LATE, 120),
    ],
)
def test_rule_7_a_vehicle_outside_its_window_is_said_to_be(at: float, timing: ArrivalTiming, outside_s: int) -> None:
    window: dict[str, Any] = {"arrives_from": START + timedelta(hours=2), "arrives_until": START + timedelta(hours=3)}
    found = match(vehicle("TX1234", at=at), [crossing("A", "TX1234", **window)], HELD, 5)
    assert (found.outcome, found.timing, found.outside_s) == (MatchOutcome.MATCHED, timing, outside_s)
    assert match(vehicle("TX1234"), [crossing("A", "TX1234")], HELD, 5).timing is None


def test_rule_6_what_was_not_declared_is_compared_only_within_a_kind() -> None:
    expected = crossing("A", "TX1234:tractor", codes=(CODE,))
    read = vehicle("TX1234:tractor", "55AK7:trailer", codes=(CODE, CODE_2, "TRLZ1234560"), seals=("JH123456",))
    assert verdicts(read, expected) == [
        ("TX1234", "TX1234", SAME),
        (CODE, CODE, SAME),
        ("", CODE_2, UNDECLARED),
    ]
    assert verdicts(vehicle("TX1234", "55AK7"), crossing("A", "TX1234"))[1:] == [("", "55AK7", UNDECLARED)]


def test_rule_6_a_declared_trailer_is_not_paired_with_the_tractors_plate() -> None:
    expected = crossing("A", "TX1234:tractor", "55AK7:trailer")
    assert verdicts(vehicle("TX1234:tractor", "AB999:tractor"), expected) == [
        ("TX1234", "TX1234", SAME),
        ("55AK7", "", NOT_READ),
        ("", "AB999", UNDECLARED),
    ]


def test_a_seal_that_only_its_own_electronics_names_is_read_too() -> None:
    state = SealStateSeen(SealState("JH-123456", SealCondition.PRESENT), "reader", instant(1))
    inspection = replace(vehicle("TX1234"), seal_states=(state,))
    assert verdicts(inspection, crossing("A", "TX1234", seals=("JH123456",)))[1] == ("JH123456", "JH123456", SAME)
