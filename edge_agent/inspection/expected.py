"""Which expected crossing a vehicle is, and how what was read of it compares with what was declared. Pure.

The rules, each shown by tests that carry its number in tests/unit/inspection/test_expected.py:

1. A plate or a container code finds the crossing; seals are compared, and decide between crossings that fit alike.
2. It fits if it is the same, or the same but for O and 0 or I and 1, or as long with one character that differs. A
   container code may also lack its check digit. The record says which of these it was; nothing is corrected.
3. Two complete container codes that both carry their own check digit are two containers: no single misread character
   turns one into the other (ISO 6346, annex A).
4. One character off is not enough where another plate or code of the vehicle says that it is another one.
5. Of several crossings the one of which more fits, and fits better, is meant; then the one whose seals fit; then the
   one whose window holds the arrival. If several are left, that is ambiguous, and they are named.
6. Each declared identifier is compared with the one that it fits best; what is left over on both sides of a kind is
   another one; on one side, it was not read, or not declared. Of a kind that was not declared nothing is said; nor of
   plates with another role than those declared, nor of the code of a chassis where only containers are.
7. It came before or after its window by the booth's clock at the moment when its inspection was opened.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edge_agent.domain.clock import Instant
from edge_agent.domain.expected import (
    MAX_AMBIGUOUS,
    ArrivalTiming,
    ExpectationList,
    ExpectationMatch,
    ExpectedCrossing,
    IdentifierComparison,
    IdentifierKind,
    IdentifierVerdict,
    MatchOutcome,
)
from edge_agent.domain.identifiers import check_digit_ok, fold_plate, is_container_code, normalise_plate
from edge_agent.domain.inspection import Inspection
from edge_agent.domain.joining import PlateRole

_SAME, _ALIKE = IdentifierVerdict.SAME, IdentifierVerdict.LOOKS_ALIKE
_ONE_OFF, _NO_DIGIT = IdentifierVerdict.ONE_CHARACTER_OFF, IdentifierVerdict.WITHOUT_CHECK_DIGIT
_OTHER, _NOT_READ, _UNDECLARED = IdentifierVerdict.OTHER, IdentifierVerdict.NOT_READ, IdentifierVerdict.UNDECLARED
_WEIGHTS = {_SAME: 8, _ALIKE: 7, _NO_DIGIT: 7, _ONE_OFF: 4}
_CODE_WITHOUT_DIGIT = 10
_FINDING_KINDS = (IdentifierKind.PLATE, IdentifierKind.CONTAINER_CODE)


@dataclass(frozen=True, slots=True)
class ReadText:
    """An identifier as it was read, upper case and without separators; `role` is whose it is, '' if that is unknown."""

    kind: IdentifierKind
    text: str
    role: str = ""


def texts_read(inspection: Inspection) -> tuple[ReadText, ...]:
    """What was read of a vehicle, each text of a kind once."""
    found: dict[tuple[IdentifierKind, str], ReadText] = {}

    def take(kind: IdentifierKind, text: str, role: str = "") -> None:
        if text := normalise_plate(text):
            found.setdefault((kind, text), ReadText(kind, text, role))

    for plate in inspection.plates:
        take(IdentifierKind.PLATE, plate.vote.text, _ROLES.get(plate.role, ""))
    if inspection.plate is not None:
        take(IdentifierKind.PLATE, inspection.plate.text)
    for code in inspection.container_codes:
        take(IdentifierKind.CONTAINER_CODE, code.vote.text, _carrier(code.vote.text))
    for seal in inspection.seals:
        take(IdentifierKind.SEAL, seal.number)
    for state in inspection.seal_states:
        take(IdentifierKind.SEAL, state.state.number)
    return tuple(found.values())


_ROLES = {PlateRole.TRACTOR: "tractor", PlateRole.TRAILER: "trailer"}


def _carrier(code: str) -> str:
    """What carries a code, by its category identifier."""
    return {"J": "equipment", "Z": "chassis"}.get(code[3:4], "container")


def compared(declared: str, read: str, kind: IdentifierKind) -> IdentifierVerdict:
    """How a declared identifier compares with one that was read: never NOT_READ or UNDECLARED."""
    if declared == read:
        return _SAME
    if kind is IdentifierKind.CONTAINER_CODE:
        if len(read) == _CODE_WITHOUT_DIGIT and len(declared) > len(read):
            without = compared(declared[:_CODE_WITHOUT_DIGIT], read, IdentifierKind.PLATE)
            return _NO_DIGIT if without is _SAME else without
        if is_container_code(read) and check_digit_ok(declared) and check_digit_ok(read):
            return _OTHER
    if fold_plate(declared) == fold_plate(read):
        return _ALIKE
    if len(declared) == len(read):
        pairs = zip(fold_plate(declared), fold_plate(read), strict=True)
        if sum(a != b for a, b in pairs) == 1:
            return _ONE_OFF
    return _OTHER


def match(
    inspection: Inspection,
    candidates: Iterable[ExpectedCrossing],
    held: ExpectationList | None,
    list_age_s: int | None,
) -> ExpectationMatch:
    """The crossing that this vehicle is, of those that share something with what was read of it."""
    texts = texts_read(inspection)
    fitting = []
    for crossing in candidates:
        if crossing.lane_ids and inspection.lane_id not in crossing.lane_ids:
            continue
        comparisons = tuple(_comparisons(crossing, texts))
        score = _score(comparisons)
        if score > 0:
            timing, outside_s = _timing(crossing, inspection.opened)
            seals = sum(_WEIGHTS.get(one.verdict, 0) for one in comparisons if one.kind is IdentifierKind.SEAL)
            within = timing in (None, ArrivalTiming.WITHIN)
            fitting.append(((score, seals, within), crossing, comparisons, timing, outside_s))
    if not fitting:
        return ExpectationMatch(MatchOutcome.NONE, list=held, list_age_s=list_age_s)
    best = max(rank for rank, *_ in fitting)
    meant = [one for one in fitting if one[0] == best]
    if len(meant) > 1:
        names = tuple(sorted(one[1].id for one in meant)[:MAX_AMBIGUOUS])
        return ExpectationMatch(MatchOutcome.AMBIGUOUS, names, list=held, list_age_s=list_age_s)
    _, crossing, comparisons, timing, outside_s = meant[0]
    return ExpectationMatch(
        MatchOutcome.MATCHED, (crossing.id,), crossing, comparisons, timing, outside_s, held, list_age_s
    )


def _score(comparisons: Sequence[IdentifierComparison]) -> int:
    """How much of what finds a crossing fits; 0: not this one."""
    finding = [one for one in comparisons if one.kind in _FINDING_KINDS]
    fits = [one.verdict for one in finding if one.verdict in _WEIGHTS]
    if all(verdict is _ONE_OFF for verdict in fits) and any(one.verdict is _OTHER for one in finding):
        return 0
    return sum(_WEIGHTS[verdict] for verdict in fits)


def _comparisons(crossing: ExpectedCrossing, texts: Sequence[ReadText]) -> Iterator[IdentifierComparison]:
    declared = {
        IdentifierKind.PLATE: [(plate.text, plate.role) for plate in crossing.plates],
        IdentifierKind.CONTAINER_CODE: [(code, _carrier(code)) for code in crossing.container_codes],
        IdentifierKind.SEAL: [(seal, "") for seal in crossing.seals],
    }
    for kind, those in declared.items():
        if those:
            yield from _compare(kind, those, [one for one in texts if one.kind is kind])


def _compare(
    kind: IdentifierKind, declared: list[tuple[str, str]], texts: list[ReadText]
) -> Iterator[IdentifierComparison]:
    """The best fits first; what is left over is paired where the roles allow it."""
    left_declared, left_read = dict(enumerate(declared)), dict(enumerate(texts))
    found: dict[int, IdentifierComparison] = {}

    def pair(of: int, read: int, verdict: IdentifierVerdict) -> None:
        text, role = left_declared.pop(of)
        found[of] = IdentifierComparison(kind, text, left_read.pop(read).text, verdict, shown(role))

    def shown(role: str) -> str:
        return role if kind is IdentifierKind.PLATE else ""

    fits = [
        (-_WEIGHTS[verdict], role != one.role, of, read, verdict)
        for of, (text, role) in enumerate(declared)
        for read, one in enumerate(texts)
        if (verdict := compared(text, one.text, kind)) in _WEIGHTS
    ]
    for _, _, of, read, verdict in sorted(fits, key=lambda fit: fit[:4]):
        if of in left_declared and read in left_read:
            pair(of, read, verdict)
    for of, (_, role) in list(left_declared.items()):
        other = next((n for n, one in left_read.items() if not role or not one.role or role == one.role), None)
        if other is not None:
            pair(of, other, _OTHER)
    for of, (text, role) in left_declared.items():
        found[of] = IdentifierComparison(kind, text, "", _NOT_READ, shown(role))
    yield from (found[of] for of in sorted(found))
    roles = {role for _, role in declared}
    for one in left_read.values():
        if "" in roles or one.role in ("", *roles):
            yield IdentifierComparison(kind, "", one.text, _UNDECLARED)


def _timing(crossing: ExpectedCrossing, came: Instant) -> tuple[ArrivalTiming | None, int]:
    begins, ends = crossing.arrives_from, crossing.arrives_until
    if begins is not None and came.utc < begins:
        return ArrivalTiming.EARLY, round((begins - came.utc).total_seconds())
    if ends is not None and came.utc > ends:
        return ArrivalTiming.LATE, round((came.utc - ends).total_seconds())
    return (None if begins is None and ends is None else ArrivalTiming.WITHIN), 0
