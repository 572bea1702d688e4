"""Rules on what was seen of a vehicle, whatever was announced of it."""

from dataclasses import replace

import pytest

from edge_agent.domain.evidence import EvidenceKind, EvidenceRef
from edge_agent.domain.finding import Identifier, Recommendation, Severity
from edge_agent.domain.inspection import (
    Abandoned,
    Expected,
    Incomplete,
    Missing,
    MissingReason,
    ScanJoin,
    ScanSeen,
    SpectrumSeen,
)
from edge_agent.domain.observation import RadiationKind, SealCondition
from edge_agent.domain.sentences import say
from edge_agent.inspection.findings import judge
from edge_agent.inspection.rules import MAX_FINDINGS, TABLE, Rule, Rules
from tests.unit.inspection.facts import CAPTURE, CODE, CROP, PROFILE, facts, found, record
from tests.unit.inspection.script import instant, occupancy, scan, spectrum


def test_a_vehicle_of_which_nothing_is_to_be_said_may_go() -> None:
    judged = judge(Rules(), facts(record(CODE, plate="ABC123", seals=("ML-1",))))
    assert (judged.findings, judged.recommendation) == ((), Recommendation.RELEASE)


def test_the_portal_s_verdict() -> None:
    alarmed = replace(occupancy(1, gamma_alarm=True), cross_check_alarm=True, cross_check_sigma=7.04)
    judged = judge(Rules(), facts(occupancies=(("portal", alarmed),)))
    assert [say(one) for one in judged.findings] == [
        "The device portal raised a gamma alarm.",
        "The counts of portal rose 7.0 sigma above the background: an alarm by the agent's own reckoning.",
    ]
    first = judged.findings[0]
    assert (first.rule, first.severity, first.devices) == ("radiation_alarm", Severity.ALARM, ("portal",))
    assert first.evidence == (PROFILE,)
    assert judged.recommendation is Recommendation.HOLD


def test_an_alarm_whose_occupancy_was_never_told_is_one_all_the_same() -> None:
    assert found(facts(alarms=(("portal", RadiationKind.NEUTRON),))) == ["radiation_alarm.neutron"]


def test_of_one_portal_each_kind_is_told_once() -> None:
    alarmed = replace(occupancy(1, gamma_alarm=True), neutron_alarm=True, cross_check_alarm=None)
    alarms = (("portal", RadiationKind.GAMMA), ("portal", RadiationKind.GAMMA))
    keys = found(facts(occupancies=(("portal", alarmed),), alarms=alarms))
    assert keys == ["radiation_alarm.gamma", "radiation_alarm.neutron"]


@pytest.mark.parametrize(
    ("device", "counts", "keys"),
    [
        (False, False, []),
        (True, True, ["radiation_alarm.gamma", "radiation_cross_check"]),
        (True, False, ["radiation_alarm.gamma", "radiation_disagreement.device"]),
        (False, True, ["radiation_cross_check", "radiation_disagreement.counts"]),
        (True, None, ["radiation_alarm.gamma"]),
    ],
)
def test_the_portal_and_our_reckoning(device: bool, counts: bool | None, keys: list[str]) -> None:
    one = replace(occupancy(1, gamma_alarm=device), cross_check_alarm=counts)
    assert found(facts(occupancies=(("portal", one),))) == keys
    unreckoned = replace(one, cross_check_sigma=None)
    assert found(facts(occupancies=(("portal", unreckoned),))) == keys


def test_a_spectrum() -> None:
    def seen(*nuclides: str, alarm: bool, neutron: bool = False) -> list[str]:
        measured = replace(spectrum(*nuclides, gamma_alarm=alarm), neutron_alarm=neutron)
        return found(facts(record(spectra=(SpectrumSeen(measured, "n42", instant(3)),))))

    assert seen("Cs-137", alarm=True) == ["radiation_alarm.nuclides"]
    assert seen(alarm=True, neutron=True) == ["radiation_alarm.gamma", "radiation_alarm.neutron"]
    assert seen("K-40", alarm=False) == []


def test_seals_by_their_own_electronics() -> None:
    states = (
        ("ES-1", SealCondition.PRESENT),
        ("ES-2", SealCondition.BROKEN),
        ("ES-3", SealCondition.OTHER_NUMBER),
    )
    judged = judge(Rules(), facts(record(states=states)))
    assert [(one.key, one.identifiers) for one in judged.findings] == [
        ("seal_broken", (Identifier("seal", "ES-2"),)),
        ("seal_other.electronics", (Identifier("seal", "ES-3"),)),
    ]
    assert judged.findings[0].evidence == (CAPTURE,)


def test_a_seal_that_the_lane_wants() -> None:
    def missing(reason: MissingReason) -> list[str]:
        return found(facts(record(outcome=Incomplete((Missing(Expected.SEAL, reason),)))))

    assert missing(MissingReason.NOT_SEEN) == ["seal_missing.lane"]
    assert missing(MissingReason.COULD_NOT_LOOK) == []


def test_a_check_digit() -> None:
    wrong = "CSQU3054384"
    judged = judge(Rules(), facts(record(wrong, CODE, "CSQU305438"), pictures={("container_code", wrong): (CROP,)}))
    [one] = judged.findings
    assert (one.key, one.devices, one.evidence) == ("check_digit", ("side",), (CROP,))
    assert one.identifiers == (Identifier("container_code", wrong),)


def test_devices_that_could_not_look() -> None:
    judged = judge(Rules(), facts(blind={"portal": "offline: no route", "front": "has not connected"}))
    assert [say(one) for one in judged.findings] == [
        "portal could not look: offline: no route.",
        "front could not look: has not connected.",
    ]


@pytest.mark.parametrize(
    ("number", "how", "keys"),
    [
        ("XYZ999", ScanJoin.TIME, ["scan_other"]),
        ("ABC123", ScanJoin.TIME, []),
        ("ABC128", ScanJoin.TIME, []),  # one character: a misread one
        ("AB-C123", ScanJoin.TIME, []),
        ("", ScanJoin.TIME, []),
        ("XYZ999", ScanJoin.NUMBER, []),
    ],
)
def test_a_scanner_that_states_another_number(number: str, how: ScanJoin, keys: list[str]) -> None:
    ref = EvidenceRef(EvidenceKind.SCAN, "image/png", b"s" * 32, 9)
    seen = ScanSeen(scan("s1", number), "x-ray", instant(3), how, (ref,))
    judged = judge(Rules(), facts(record(CODE, plate="ABC123", scans=(seen,))))
    assert [one.key for one in judged.findings] == keys
    assert all(one.evidence == (b"s" * 32,) for one in judged.findings)
    assert found(facts(record(scans=(seen,)))) == []  # nothing was read to compare it with


def test_a_passage_that_was_given_up() -> None:
    alarmed = occupancy(1, gamma_alarm=True)
    keys = found(facts(record(outcome=Abandoned("stopped")), occupancies=(("portal", alarmed),)))
    assert keys == ["radiation_alarm.gamma", "radiation_disagreement.device"]


def test_only_the_devices_that_a_rule_names() -> None:
    def only(rule: str, device: str) -> Rules:
        return Rules({rule: replace(TABLE[rule], devices=frozenset({device}))})

    on = replace(occupancy(1, gamma_alarm=True), cross_check_alarm=True)
    off = replace(occupancy(1, gamma_alarm=True), cross_check_alarm=False)
    measured = SpectrumSeen(spectrum("Cs-137", gamma_alarm=True), "n42", instant(3))
    seen = ScanSeen(scan("s1", "XYZ999"), "x-ray", instant(3), ScanJoin.TIME)
    whole = facts(
        record(
            "CSQU3054384", plate="ABC123", spectra=(measured,), scans=(seen,), states=(("ES-2", SealCondition.BROKEN),)
        ),
        occupancies=(("portal", on), ("other", off)),
        blind={"portal": "offline"},
    )
    for rule, device, keys in (
        ("radiation_alarm", "portal", ["radiation_alarm.gamma"]),
        ("radiation_alarm", "n42", ["radiation_alarm.nuclides"]),
        ("radiation_cross_check", "portal", ["radiation_cross_check"]),
        ("radiation_cross_check", "other", []),
        ("radiation_disagreement", "other", ["radiation_disagreement.device"]),
        ("radiation_disagreement", "portal", []),
        ("seal_broken", "reader", ["seal_broken"]),
        ("seal_broken", "scanner", []),
        ("check_digit", "side", ["check_digit"]),
        ("check_digit", "front", []),
        ("could_not_look", "portal", ["could_not_look"]),
        ("could_not_look", "front", []),
        ("scan_other", "x-ray", ["scan_other"]),
        ("scan_other", "portal", []),
    ):
        assert found(whole, only(rule, device)) == keys, (rule, device)


def test_the_table_says_how_grave_it_is_and_what_follows() -> None:
    mild = Rules({"could_not_look": Rule(Severity.NOTICE, Recommendation.RELEASE)})
    judged = judge(mild, facts(record("CSQU3054384"), blind={"portal": "offline"}))
    [one] = judged.findings
    assert (one.severity, one.recommends) == (Severity.NOTICE, Recommendation.RELEASE)
    assert judged.recommendation is Recommendation.RELEASE


def test_findings_are_bounded_and_each_is_told_once() -> None:
    many = {f"device-{n}": "offline" for n in range(100)}
    broken = (("ES-2", SealCondition.BROKEN), ("ES-2", SealCondition.BROKEN))
    findings = judge(Rules(), facts(record(states=broken), blind=many)).findings
    assert len(findings) == MAX_FINDINGS
    assert [one.rule for one in findings[:2]] == ["seal_broken", "could_not_look"]
