"""Which text most evidence supports, over the frames and cameras of one inspection.

Support is the sum, over the looks that read exactly this text, of their confidence (for a plate, times how much the
thing that was read looks like a plate: lettering is read just as well). Nothing is corrected: a text that no
frame showed is never the result, and what other frames read stays beside it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge_agent.domain.evidence import Evidence
from edge_agent.domain.identifiers import check_digit_ok
from edge_agent.domain.inspection import Voted, VotedCode
from edge_agent.domain.observation import CharacterRead, ContainerCodeRead

# A lane sees a handful of texts a vehicle; a camera that hallucinates must not fill the memory.
MAX_TEXTS = 64
# A right check digit is passed by one random code in eleven, so it speaks for a code, and does not prove it.
CHECK_DIGIT_WEIGHT = 3.0
# Two codes that differ in so few characters are one code read in two ways, unless both carry their check digit.
SAME_CODE_DISTANCE = 3


@dataclass(slots=True)
class Ballot:
    """All reads of one text: their number, summed confidence and support, and the best of them."""

    text: str
    reads: int = 0
    confidence: float = 0.0
    support: float = 0.0
    best: float = -1.0
    characters: tuple[CharacterRead, ...] = ()
    device_id: str = ""
    evidence: tuple[Evidence, ...] = ()
    size_types: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        confidence: float,
        characters: tuple[CharacterRead, ...],
        device_id: str,
        evidence: tuple[Evidence, ...],
        likeness: float,
        looks: int,
    ) -> None:
        self.reads += looks
        self.confidence += confidence * looks
        self.support += confidence * likeness * looks
        if confidence * likeness > self.best:
            self.best, self.characters = confidence * likeness, characters
            self.device_id, self.evidence = device_id, evidence


class Ballots:
    """The reads of one kind of identifier over one inspection. Bounded: the least supported text gives way."""

    def __init__(self) -> None:
        self._by_text: dict[str, Ballot] = {}

    def add(
        self,
        text: str,
        confidence: float,
        characters: tuple[CharacterRead, ...],
        device_id: str,
        evidence: tuple[Evidence, ...],
        likeness: float = 1.0,
        looks: int = 1,
    ) -> Ballot:
        """`looks`: how many looks the read stands for."""
        if text not in self._by_text and len(self._by_text) >= MAX_TEXTS:
            del self._by_text[min(self._by_text.values(), key=lambda ballot: ballot.support).text]
        ballot = self._by_text.setdefault(text, Ballot(text))
        ballot.add(confidence, characters, device_id, evidence, likeness, looks)
        return ballot

    def add_code(self, read: ContainerCodeRead, device_id: str, evidence: tuple[Evidence, ...]) -> None:
        ballot = self.add(read.code, read.confidence, read.characters, device_id, evidence, looks=read.looks)
        if read.size_type:
            ballot.size_types[read.size_type] = ballot.size_types.get(read.size_type, 0) + 1

    def ranked(self, weight: Callable[[Ballot], float] = lambda ballot: ballot.support) -> list[Ballot]:
        """Most supported first; a tie goes to the most confident single read."""
        return sorted(self._by_text.values(), key=lambda ballot: (weight(ballot), ballot.best), reverse=True)


def vote_plate(ballots: Ballots) -> tuple[Voted, Ballot] | None:
    """The vehicle's plate and the ballot it won with; None if no plate was read."""
    ranked = ballots.ranked()
    return (_voted(ranked[0], ranked[1:]), ranked[0]) if ranked else None


def vote_codes(ballots: Ballots) -> list[tuple[VotedCode, Ballot]]:
    """The vehicle's container codes, most supported first: readings of one code are one candidate."""
    ranked = ballots.ranked(_code_weight)
    found: list[tuple[Ballot, list[Ballot]]] = []
    for ballot in ranked:
        for winner, others in found:
            if _same_code(winner.text, ballot.text):
                others.append(ballot)
                break
        else:
            found.append((ballot, []))
    codes = []
    for winner, others in found:
        types = [size_type for b in (winner, *others) for size_type in b.size_types]
        size_type = max(types, key=lambda t: sum(b.size_types.get(t, 0) for b in (winner, *others)), default="")
        codes.append((VotedCode(_voted(winner, others), check_digit_ok(winner.text), size_type), winner))
    return codes


def _code_weight(ballot: Ballot) -> float:
    return ballot.support * (CHECK_DIGIT_WEIGHT if check_digit_ok(ballot.text) else 1.0)


def _same_code(one: str, other: str) -> bool:
    if check_digit_ok(one) and check_digit_ok(other):
        return one == other
    length = min(len(one), len(other))
    differing = sum(a != b for a, b in zip(one, other, strict=False))
    return length >= 10 and differing <= SAME_CODE_DISTANCE


def _voted(winner: Ballot, others: Sequence[Ballot]) -> Voted:
    return Voted(
        text=winner.text,
        confidence=winner.confidence / winner.reads,
        characters=winner.characters,
        reads=winner.reads,
        reads_other=sum(ballot.reads for ballot in others),
        others=tuple(ballot.text for ballot in others),
        device_id=winner.device_id,
    )
