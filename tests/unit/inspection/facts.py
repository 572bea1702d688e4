"""Facts of one vehicle for tests of the rules, and what they find in short words."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.expected import (
    ExpectationMatch,
    ExpectedCrossing,
    IdentifierComparison,
    IdentifierKind,
    IdentifierVerdict,
    MatchOutcome,
)
from edge_agent.domain.identifiers import check_digit_ok
from edge_agent.domain.inspection import (
    Complete,
    Expected,
    Inspection,
    PlateSeen,
    SealSeen,
    SealStateSeen,
    Voted,
    VotedCode,
    Weighed,
)
from edge_agent.domain.observation import SealCondition, SealState
from edge_agent.domain.sentences import SENTENCES
from edge_agent.inspection.findings import judge
from edge_agent.inspection.rules import Facts, Rules
from tests.unit.inspection.script import instant, weight

CODE, OTHER_CODE = "CSQU3054383", "MSKU0383250"
PROFILE, CAPTURE, CROP = b"p" * 32, b"c" * 32, b"k" * 32
ALL = frozenset(Expected)


def voted(text: str, device: str) -> Voted:
    return Voted(text, 0.9, (), 3, device_id=device)


def record(
    *codes: str,
    plate: str = "",
    seals: tuple[str, ...] = (),
    kg: float | None = None,
    states: tuple[tuple[str, SealCondition], ...] = (),
    **more: Any,
) -> Inspection:
    if kg is not None:
        more["weights"] = (Weighed(weight(kg), "scale", instant(4)),)
    return Inspection(
        "i",
        "1",
        instant(1),
        instant(9),
        more.pop("outcome", Complete()),
        plate=voted(plate, "front") if plate else None,
        plates=(PlateSeen(voted(plate, "front")),) if plate else (),
        container_codes=tuple(VotedCode(voted(code, "side"), check_digit_ok(code)) for code in codes),
        seals=tuple(SealSeen(number, "", "scanner", instant(3)) for number in seals),
        seal_states=tuple(SealStateSeen(SealState(n, how), "reader", instant(3)) for n, how in states),
        **more,
    )


def facts(inspection: Inspection | None = None, match: ExpectationMatch | None = None, **more: Any) -> Facts:
    files = {EvidenceKind.RADIATION_PROFILE: (PROFILE,), EvidenceKind.RAW_CAPTURE: (CAPTURE,)}
    return Facts(
        inspection or record(),
        match,
        **{"looked": ALL, "files": files, "pictures": {("container_code", CODE): (CROP,)}, **more},
    )


def matched(*compared: tuple[str, str, str, str], **declared: Any) -> ExpectationMatch:
    """`compared`: kind, declared, read, verdict."""
    crossing = ExpectedCrossing("x-1", datetime(2026, 2, 1, tzinfo=UTC), **declared)
    comparisons = tuple(
        IdentifierComparison(IdentifierKind(kind), was, read, IdentifierVerdict(verdict))
        for kind, was, read, verdict in compared
    )
    return ExpectationMatch(MatchOutcome.MATCHED, ("x-1",), crossing, comparisons)


def found(known: Facts, rules: Rules | None = None) -> list[str]:
    """The sentences' keys, the gravest first; that each sentence has all its words is checked."""
    findings = judge(rules or Rules(), known).findings
    for one in findings:
        for text in SENTENCES[one.key]:
            text.format(**dict(one.parameters))
    return [one.key for one in findings]


def limited(**limits: Any) -> Rules:
    return replace(Rules(), limits=replace(Rules().limits, **limits))
