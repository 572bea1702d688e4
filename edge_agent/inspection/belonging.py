"""What each seal and tag of a vehicle is on. Pure; where nothing tells, nothing is said.

The rules, each with its test in tests/unit/inspection/test_belonging.py:

1. A tag whose text is a plate, a code or a seal's number that was read of the same vehicle is on what carries that.
2. Of two containers, what a device that looks at the rear end read is on the rear one.
3. A vehicle has one container if one was read and its readers could look all the time, or none was read and the
   crossing that it matches declares one; not if that crossing declares more. Its seals are on that container.
4. Of two containers whose order is known, with a seal each as declared, both read as declared: one device that stands
   in a known place read the front one's first while the vehicle drove forward. If one of the two is known to be on
   the rear container, the other is on the front one.
5. What two devices contradict each other about is not known.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from edge_agent.domain.clock import Instant
from edge_agent.domain.expected import ExpectationMatch, ExpectedCrossing, IdentifierKind
from edge_agent.domain.identifiers import fold_plate
from edge_agent.domain.inspection import Expected, Inspection, VotedCode
from edge_agent.domain.joining import Belonging, Carrier, CodeRole, KnownBy, PlateRole
from edge_agent.domain.observation import Direction
from edge_agent.inspection.rules_declared import FITS
from edge_agent.inspection.whereabouts import End

_PLATES = {PlateRole.TRACTOR: Carrier.TRACTOR, PlateRole.TRAILER: Carrier.TRAILER}
_CODES = {
    CodeRole.CONTAINER: Carrier.CONTAINER,
    CodeRole.CHASSIS: Carrier.CHASSIS,
    CodeRole.EQUIPMENT: Carrier.EQUIPMENT,
}
_Read = tuple[str, str, Instant]  # a seal's number, the device, and when it was first read


def belonging(inspection: Inspection, sees: Mapping[str, End], placed: Collection[str]) -> Inspection:
    """The record, with what its seals and tags are on.

    `sees`: which end of a vehicle each device looks at; `placed`: devices that stand in a known place.
    """
    match = inspection.expectation
    reads = [(s.number, s.device_id, s.at) for s in inspection.seals]
    reads += [(s.state.number, s.device_id, s.at) for s in inspection.seal_states]
    on = _seals(inspection, match, reads, sees, placed)
    stated = _stated(inspection)
    return replace(
        inspection,
        seals=tuple(replace(s, on=on.get(fold_plate(s.number))) for s in inspection.seals),
        seal_states=tuple(replace(s, on=on.get(fold_plate(s.state.number))) for s in inspection.seal_states),
        tags=tuple(replace(t, on=stated.get(fold_plate(t.tag.text)) if t.tag.text else None) for t in inspection.tags),
    )


def _stated(inspection: Inspection) -> dict[str, Belonging]:
    """By what a tag may state (rule 1)."""
    numbers = [s.number for s in inspection.seals] + [s.state.number for s in inspection.seal_states]
    stated = {fold_plate(number): Belonging(Carrier.SEAL, number, KnownBy.TEXT) for number in numbers}
    for code in inspection.container_codes:
        if carrier := _CODES.get(code.role) if code.role else None:
            stated[fold_plate(code.vote.text)] = Belonging(carrier, code.vote.text, KnownBy.TEXT, code.place)
    for plate in inspection.plates:
        if carrier := _PLATES.get(plate.role):
            stated[fold_plate(plate.vote.text)] = Belonging(carrier, plate.vote.text, KnownBy.TEXT)
    return stated


def _seals(
    inspection: Inspection,
    match: ExpectationMatch | None,
    reads: list[_Read],
    sees: Mapping[str, End],
    placed: Collection[str],
) -> dict[str, Belonging]:
    """By number (rules 2 to 5)."""
    containers = [code for code in inspection.container_codes if code.role is CodeRole.CONTAINER]
    if only := _only(inspection, containers, match):
        on_it = Belonging(Carrier.CONTAINER, only, KnownBy.ONLY)
        return {fold_plate(number): on_it for number, *_ in reads}
    if len(containers) != 2:
        return {}
    order = {code.place: code.vote.text for code in containers}
    front, rear = (Belonging(Carrier.CONTAINER, order.get(place, ""), KnownBy.REAR, place) for place in (1, 2))
    on = {fold_plate(number): rear for number, device, _ in reads if sees.get(device) is End.REAR}
    one_each = _one_each(match, reads)
    if len(one_each) != 2:
        return on
    if len(on) == 1:
        [other] = one_each - on.keys()
        return on | {other: replace(front, known_by=KnownBy.ORDER)}
    if on or not order.keys() >= {1, 2} or inspection.direction is Direction.BACKWARD:
        return {}  # both at the rear: then they are not one each
    first = _first(one_each, reads, placed)
    if first is None:
        return {}
    [second] = one_each - {first}
    return {first: replace(front, known_by=KnownBy.ORDER), second: replace(rear, known_by=KnownBy.ORDER)}


def _only(inspection: Inspection, containers: list[VotedCode], match: ExpectationMatch | None) -> str:
    """The vehicle's only container, '' if it has none or more, or may have (rule 3)."""
    crossing = match.expected if match else None
    declared = _declared(crossing)
    if not containers and len(declared) == 1:
        return declared[0]
    if len(containers) != 1 or len(declared) > 1 or Expected.CONTAINER_CODE not in inspection.looked_for:
        return ""
    return containers[0].vote.text


def _one_each(match: ExpectationMatch | None, reads: list[_Read]) -> set[str]:
    """The numbers of two seals that were read as they are declared, for two declared containers; else none (rule 4)."""
    crossing = match.expected if match else None
    if match is None or crossing is None or len(_declared(crossing)) != 2 or len(crossing.seals) != 2:
        return set()
    fit = {fold_plate(one.read) for one in match.identifiers if one.kind is IdentifierKind.SEAL and one.verdict in FITS}
    read = {fold_plate(number) for number, *_ in reads}
    return fit if fit == read and len(fit) == 2 else set()


def _declared(crossing: ExpectedCrossing | None) -> list[str]:
    """The containers among the declared codes."""
    return [code for code in crossing.container_codes if code[3:4] == "U"] if crossing else []


def _first(numbers: set[str], reads: list[_Read], placed: Collection[str]) -> str | None:
    """The one that each device in a known place, of those that read both, read first; None if they differ (rule 5)."""
    said = set()
    for device in placed:
        at = {fold_plate(number): when.monotonic for number, by, when in reversed(reads) if by == device}
        if at.keys() == numbers:
            one, other = sorted(numbers, key=lambda number: at[number])
            said.add(one if at[one] < at[other] else None)
    return said.pop() if len(said) == 1 else None
