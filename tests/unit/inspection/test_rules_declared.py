"""Rules on what was announced of a vehicle beside what was seen of it."""

from dataclasses import replace
from typing import Any

import pytest

from edge_agent.domain.expected import ArrivalTiming, ExpectationMatch, Loading, MatchOutcome
from edge_agent.domain.finding import Identifier, Recommendation
from edge_agent.domain.inspection import Abandoned, Expected, Inspection, Weighed
from edge_agent.domain.observation import SealCondition, Weight
from edge_agent.domain.sentences import say
from edge_agent.inspection.findings import judge
from edge_agent.inspection.rules import TABLE, Rules
from tests.unit.inspection.facts import (
    ALL,
    CAPTURE,
    CODE,
    CROP,
    OTHER_CODE,
    facts,
    found,
    limited,
    matched,
    record,
)
from tests.unit.inspection.script import instant

PLATE, CONTAINER, SEAL = "plate", "container_code", "seal"


def test_everything_as_declared() -> None:
    match = matched((PLATE, "ABC123", "ABC123", "same"), (CONTAINER, CODE, CODE, "same"), (SEAL, "ML1", "ML1", "same"))
    assert found(facts(record(CODE, plate="ABC123", seals=("ML-1",)), match)) == []


def test_another_container() -> None:
    judged = judge(Rules(), facts(record(CODE), matched((CONTAINER, OTHER_CODE, CODE, "other"))))
    [one] = judged.findings
    assert say(one) == f"The container {CODE} was read; {OTHER_CODE} is declared."
    assert one.identifiers == (Identifier(CONTAINER, CODE), Identifier(CONTAINER, OTHER_CODE))
    assert (one.devices, one.evidence, judged.recommendation) == (("side",), (CROP,), Recommendation.HOLD)


@pytest.mark.parametrize(
    ("compared", "keys"),
    [
        ((CONTAINER, "", CODE, "undeclared"), ["container_other.undeclared"]),
        ((CONTAINER, CODE, "", "not_read"), ["not_read.container_code"]),
        ((CONTAINER, CODE, CODE[:10], "without_check_digit"), []),
        ((CONTAINER, CODE, "CSQU3054388", "one_character_off"), ["one_character"]),
        ((PLATE, "ABC123", "XYZ999", "other"), ["plate_other"]),
        ((PLATE, "ABC123", "", "not_read"), ["not_read.plate"]),
        ((PLATE, "", "XYZ999", "undeclared"), []),
        ((PLATE, "ABC120", "ABC12O", "looks_alike"), []),
        ((SEAL, "ML1", "HS2", "other"), ["seal_other.declared"]),
        ((SEAL, "", "HS2", "undeclared"), ["seal_other.undeclared"]),
        ((SEAL, "ML1", "", "not_read"), ["seal_missing.declared"]),
    ],
)
def test_one_identifier(compared: tuple[str, str, str, str], keys: list[str]) -> None:
    assert found(facts(record(), matched(compared))) == keys


def test_a_seal_in_the_place_of_the_declared_one() -> None:
    match = matched((SEAL, "ML1", "", "not_read"), (SEAL, "ML2", "", "not_read"), (SEAL, "", "HS9", "undeclared"))
    judged = judge(Rules(), facts(record(seals=("HS-9",)), match))
    assert [(one.key, dict(one.parameters)) for one in judged.findings] == [
        ("seal_other.declared", {"seal": "HS9", "declared": "ML1"}),
        ("seal_missing.declared", {"declared": "ML2"}),
    ]
    assert (judged.findings[0].devices, judged.findings[0].evidence) == (("scanner",), (CAPTURE,))


def test_what_could_not_be_looked_for_is_not_missing() -> None:
    match = matched((SEAL, "ML1", "", "not_read"), (PLATE, "ABC123", "", "not_read"), programmes=("FAST",))
    assert found(facts(record(), match, looked=ALL - {Expected.SEAL, Expected.PLATE})) == []


@pytest.mark.parametrize(
    ("outcome", "keys"),
    [
        (MatchOutcome.NONE, ["no_expectation"]),
        (MatchOutcome.AMBIGUOUS, ["ambiguous_match"]),
        (MatchOutcome.COULD_NOT_LOOK, ["could_not_look.expectations"]),
        (MatchOutcome.MATCHED, []),
    ],
)
def test_how_the_match_came_out(outcome: MatchOutcome, keys: list[str]) -> None:
    assert found(facts(match=ExpectationMatch(outcome, ("x-1", "x-2")))) == keys
    assert found(facts(match=None)) == []


def test_of_a_passage_that_was_given_up_nothing_is_missing() -> None:
    given_up = record(outcome=Abandoned("stopped"))
    assert found(facts(given_up, ExpectationMatch(MatchOutcome.NONE))) == []
    assert found(facts(given_up, matched((SEAL, "ML1", "", "not_read"), (PLATE, "A1", "", "not_read")))) == []
    assert found(facts(given_up, matched((PLATE, "ABC123", "XYZ999", "other")))) == ["plate_other"]


@pytest.mark.parametrize(
    ("timing", "outside_s", "keys"),
    [
        (ArrivalTiming.EARLY, 600, ["outside_window.early"]),
        (ArrivalTiming.LATE, 5, ["outside_window.late"]),
        (ArrivalTiming.WITHIN, 0, []),
        (None, 0, []),
    ],
)
def test_the_time_of_arrival(timing: ArrivalTiming | None, outside_s: int, keys: list[str]) -> None:
    judged = judge(Rules(), facts(match=replace(matched(), timing=timing, outside_s=outside_s)))
    assert [one.key for one in judged.findings] == keys
    assert all(one.parameters == (("minutes", "10" if outside_s == 600 else "1"),) for one in judged.findings)


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kg", "declared", "rules", "keys"),
    [
        (30_000, 30_000, Rules(), []),
        (31_500, 30_000, Rules(), []),  # 5 %: at the limit is allowed
        (31_501, 30_000, Rules(), ["weight_off"]),
        (28_499, 30_000, Rules(), ["weight_off"]),
        (8_500, 8_000, Rules(), []),  # beyond the share, and no more than the least kilograms
        (8_501, 8_000, Rules(), ["weight_off"]),
        (31_501, 30_000, limited(weight_share=0.1), []),
        (None, 30_000, Rules(), []),
        (30_000, None, Rules(), []),
    ],
)
def test_the_declared_weight(kg: float | None, declared: float | None, rules: Rules, keys: list[str]) -> None:
    judged = judge(rules, facts(record(kg=kg), matched(gross_weight_kg=declared)))
    assert [one.key for one in judged.findings] == keys
    assert all((one.devices, one.evidence) == (("scale",), (CAPTURE,)) for one in judged.findings)


def test_how_far_a_weight_is_off() -> None:
    [one] = judge(Rules(), facts(record(kg=21_000), matched(gross_weight_kg=30_000.0))).findings
    assert say(one) == "It weighs 21000 kg; 30000 kg are declared, -30 % off."
    assert one.identifiers == (Identifier("weight", "21000"),)


@pytest.mark.parametrize(
    ("loading", "kg", "keys"),
    [
        (Loading.EMPTY, 20_001, ["laden_declared_empty"]),
        (Loading.EMPTY, 20_000, []),
        (Loading.LADEN, 11_999, ["empty_declared_laden"]),
        (Loading.LADEN, 12_000, []),
        (None, 40_000, []),
        (None, 9_000, []),
    ],
)
def test_laden_or_empty(loading: Loading | None, kg: float, keys: list[str]) -> None:
    assert found(facts(record(kg=kg), matched(loading=loading))) == keys


def weighed(*scales: tuple[str, Weight]) -> Inspection:
    return record(weights=tuple(Weighed(weight, device, instant(4)) for device, weight in scales))


def test_several_scales() -> None:
    axles = weighed(("a", Weight(12_000, True, "", "kg", True)), ("b", Weight(18_000, True, "", "kg", True)))
    match = matched(gross_weight_kg=30_000.0)
    assert found(facts(axles, match), limited(weight_adds_up=True)) == []
    assert found(facts(axles, match)) == ["weight_off", "weight_off"]
    of_b = Rules({"weight_off": replace(TABLE["weight_off"], devices=frozenset({"b"}))})
    [one] = judge(of_b, facts(axles, match)).findings
    assert one.devices == ("b",)
    assert found(facts(record(), match), limited(weight_adds_up=True)) == []


def test_a_net_weight_counts_with_its_tare() -> None:
    match = matched(gross_weight_kg=30_000.0)
    assert found(facts(weighed(("a", Weight(29_900, True, "", "kg", False, 100.0))), match)) == []
    assert found(facts(weighed(("a", Weight(1_000, True, "", "kg", False))), match)) == []
    assert found(facts(weighed(("a", Weight(30_000, True, "", "kg"))), match)) == []


# --- trusted traders --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inspection", "compared", "keys"),
    [
        (record(seals=("ML-1",)), [(SEAL, "ML1", "ML1", "same")], []),
        (record(seals=("ML-1",)), [(SEAL, "ML1", "ML7", "one_character_off")], ["one_character"]),
        (record(seals=("HS-9",)), [(SEAL, "ML1", "HS9", "other")], ["seal_other.declared", "trusted_condition.seal"]),
        (record(), [], ["trusted_condition.seal"]),
        (record(seals=("ML-1",)), [], []),
        (record(states=(("ES-1", SealCondition.PRESENT),)), [], []),
        (record(states=(("ES-1", SealCondition.BROKEN),)), [], ["seal_broken", "trusted_condition.seal"]),
    ],
)
def test_a_programme_asks_for_a_seal(
    inspection: Inspection, compared: list[tuple[str, str, str, str]], keys: list[str]
) -> None:
    assert found(facts(inspection, matched(*compared, programmes=("FAST",)))) == keys


def test_a_programme_does_not_ask_for_a_seal() -> None:
    assert found(facts(match=matched(programmes=("FAST",), loading=Loading.EMPTY))) == []
    assert found(facts(match=matched(programmes=("PIP",)))) == []
    assert found(facts(match=matched(programmes=("PIP",))), limited(sealed_programmes=frozenset({"PIP"}))) == [
        "trusted_condition.seal"
    ]


@pytest.mark.parametrize(
    ("match", "keys"),
    [
        (matched(programmes=("OEA",)), []),
        (matched(), ["trusted_condition.lane"]),
        (ExpectationMatch(MatchOutcome.NONE), ["trusted_condition.lane", "no_expectation"]),
        (ExpectationMatch(MatchOutcome.COULD_NOT_LOOK), ["could_not_look.expectations"]),
        (None, []),
    ],
)
def test_a_lane_for_programmes(match: ExpectationMatch | None, keys: list[str]) -> None:
    rules = limited(trusted_lanes={"1": frozenset({"FAST", "OEA"})})
    assert found(facts(match=match), rules) == keys
    assert "trusted_condition.lane" not in found(facts(match=match), limited(trusted_lanes={"2": frozenset({"FAST"})}))


@pytest.mark.parametrize("rule", ["container_other", "plate_other", "seal_other"])
def test_only_the_devices_that_a_rule_names(rule: str) -> None:
    match = matched(
        (CONTAINER, OTHER_CODE, CODE, "other"), (PLATE, "ABC123", "XYZ999", "other"), (SEAL, "ML1", "ES9", "other")
    )
    whole = facts(record(CODE, plate="XYZ999", states=(("ES-9", SealCondition.PRESENT),)), match)
    devices = {"container_other": "side", "plate_other": "front", "seal_other": "reader"}

    def only(**named: Any) -> Rules:
        return Rules({rule: replace(TABLE[rule], **named)})

    assert len(found(whole, only(devices=frozenset({devices[rule]})))) == 1
    assert found(whole, only(devices=frozenset({"another"}))) == []
