"""Whose a plate is, what carries a code and where along the vehicle, and what each device read of them.

1. A plate read at the front is the tractor's. One read at the rear is the trailer's if it is another one, and the
   tractor's, read once more, if it is the same but for one character. Read at the rear alone it may be either's.
2. A device that looks at neither end speaks for the plate of an end where it read that one. Where none was read at the
   front, what else it read is a plate of unknown role.
3. A code's category identifier (ISO 6346: U, J, Z) says what carries it.
4. Of two containers the foremost is the one that a device saw first and, of those it saw, did not see last. Devices
   that contradict each other, a vehicle that drove backwards, or one look at both: their order is not known.
5. Every device's own texts stay beside the result.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import SequenceMatcher

from edge_agent.domain.identifiers import check_digit_ok, fold_plate
from edge_agent.domain.inspection import Expected, PlateSeen, SealSeen, SealStateSeen, TagSeen, VotedCode
from edge_agent.domain.joining import CodeRole, DeviceReads, PlateRole, TextRead
from edge_agent.inspection.vote import (
    Ballot,
    Ballots,
    check_digit_evidence,
    form_evidence,
    in_series,
    vote_codes,
    vote_plate,
)
from edge_agent.inspection.whereabouts import End

MAX_DEVICE_TEXTS = 8
# Of two chosen by chance one pair in some hundreds has so much in common.
ALIKE = 0.6
_CODE_ROLES = {"U": CodeRole.CONTAINER, "J": CodeRole.EQUIPMENT, "Z": CodeRole.CHASSIS}


def same_plate(one: str, other: str) -> bool:
    """But for one character, and for O and 0, I and 1."""
    one, other = fold_plate(one), fold_plate(other)
    return len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) <= 1


def alike(one: str, other: str) -> bool:
    """Two readings that can be of one plate, one of them bad: three in five of their characters in common, in order."""
    return SequenceMatcher(None, fold_plate(one), fold_plate(other), autojunk=False).ratio() >= ALIKE


def plates_of(
    by_device: Mapping[str, Ballots], sees: Mapping[str, End], series: Mapping[str, float]
) -> list[tuple[PlateSeen, Ballot]]:
    """The vehicle's plates by their roles, the tractor's first, each with the ballot it won with."""
    read: dict[End, list[Ballot]] = {end: [] for end in End}
    for device, ballots in by_device.items():
        read[sees.get(device, End.ANY)] += ballots
    front, rear = (vote_plate(Ballots.of(read[end]), series) for end in (End.FRONT, End.REAR))
    if front and rear and same_plate(front[0].text, rear[0].text):
        read[End.FRONT] += read.pop(End.REAR)
        rear = None
    ends = [(end, vote[0].text) for end, vote in ((End.FRONT, front), (End.REAR, rear)) if vote]
    for ballot in read.pop(End.ANY):
        alike = [end for end, text in ends if same_plate(ballot.text, text)]
        read.setdefault(alike[0] if alike else End.ANY, []).append(ballot)
    wanted = [End.FRONT, End.REAR] if front else [End.REAR, End.ANY]
    found = [(end, vote) for end in wanted if (vote := vote_plate(Ballots.of(read.get(end, ())), series))]
    if not front:
        found.sort(key=lambda it: it[1][1].support, reverse=True)
    return [(PlateSeen(voted, _role(end, bool(front))), ballot) for end, (voted, ballot) in found]


def _role(end: End, front: bool) -> PlateRole:
    if end is End.FRONT:
        return PlateRole.TRACTOR
    if end is End.REAR:
        return PlateRole.TRAILER if front else PlateRole.REAR
    return PlateRole.UNKNOWN


def codes_of(by_device: Mapping[str, Ballots], backward: bool) -> list[tuple[VotedCode, Ballot]]:
    """The vehicle's codes, most supported first, each with the ballot it won with."""
    voted = vote_codes(Ballots.of(ballot for ballots in by_device.values() for ballot in ballots))
    codes = [(replace(code, role=_CODE_ROLES.get(code.vote.text[3:4])), ballot) for code, ballot in voted]
    containers = [code for code, _ in codes if code.role is CodeRole.CONTAINER]
    if len(containers) != 2 or backward:
        return codes
    foremost = _foremost(containers[0], containers[1], by_device)
    if foremost is None:
        return codes
    return [
        (replace(code, place=1 if code is foremost else 2) if code.role is CodeRole.CONTAINER else code, ballot)
        for code, ballot in codes
    ]


def _foremost(one: VotedCode, other: VotedCode, by_device: Mapping[str, Ballots]) -> VotedCode | None:
    said = set()
    for ballots in by_device.values():
        mine, theirs = _seen(one, ballots), _seen(other, ballots)
        if mine is None or theirs is None:
            continue
        earlier = mine[0] < theirs[0] and mine[1] <= theirs[1]
        later = theirs[0] < mine[0] and theirs[1] <= mine[1]
        said.add(one if earlier else other if later else None)
    return said.pop() if len(said) == 1 else None


def _seen(code: VotedCode, ballots: Ballots) -> tuple[float, float] | None:
    texts = {code.vote.text, *code.vote.others}
    reads = [ballot for ballot in ballots if ballot.text in texts]
    return (min(b.first for b in reads), max(b.last for b in reads)) if reads else None


def device_reads(
    plates: Mapping[str, Ballots], codes: Mapping[str, Ballots], sees: Mapping[str, End], series: Mapping[str, float]
) -> tuple[DeviceReads, ...]:
    """What each device read, by itself."""
    reads = []
    for device, ballots in plates.items():
        ranked = ballots.ranked(lambda text: form_evidence(text, series))
        texts = tuple(_text(b, in_series(b.text, series)) for b in ranked[:MAX_DEVICE_TEXTS])
        reads.append(DeviceReads(device, Expected.PLATE.value, sees.get(device, End.ANY).value, texts))
    for device, ballots in codes.items():
        ranked = ballots.ranked(check_digit_evidence)
        texts = tuple(
            _text(b, check_digit_ok(b.text) if len(b.text) == 11 else None) for b in ranked[:MAX_DEVICE_TEXTS]
        )
        reads.append(DeviceReads(device, Expected.CONTAINER_CODE.value, sees.get(device, End.ANY).value, texts))
    return tuple(reads)


def _text(ballot: Ballot, fits: bool | None) -> TextRead:
    return TextRead(ballot.text, ballot.reads, ballot.confidence / ballot.reads, fits)


def stating(
    tags: Iterable[TagSeen],
    plates: Iterable[PlateSeen],
    codes: Iterable[VotedCode],
    seals: Iterable[SealSeen],
    seal_states: Iterable[SealStateSeen],
) -> tuple[TagSeen, ...]:
    """The tags, each with the kind of identifier of this vehicle that it states in its text."""
    numbers = {fold_plate(p.vote.text): Expected.PLATE for p in plates}
    numbers |= {fold_plate(c.vote.text): Expected.CONTAINER_CODE for c in codes}
    numbers |= {fold_plate(s.number): Expected.SEAL for s in seals}
    numbers |= {fold_plate(s.state.number): Expected.SEAL for s in seal_states}
    return tuple(replace(seen, states=numbers.get(fold_plate(seen.tag.text))) for seen in tags)
