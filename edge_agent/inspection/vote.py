"""Which text most evidence supports, over the frames and cameras of one inspection.

Every look speaks on every text, character by character: with its confidence where it read the same, and where it read
another, with what it gave that character among its alternatives. So five looks that each misread another character vote
for the one text that all of them nearly read. A look counts as much as what was read looks like a plate (lettering is
read just as well), and speaks against no text by more than `OTHER_THING`: it may have read another thing.

Nothing is corrected: a text that no frame showed is never the result, and what other frames read stays beside it. A
right check digit is evidence for a code, of a stated weight; so is, for a plate, how common its form is in the region.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, log
from types import MappingProxyType

from edge_agent.domain.evidence import Evidence
from edge_agent.domain.identifiers import check_digit_ok, plate_form
from edge_agent.domain.inspection import Voted, VotedCode
from edge_agent.domain.observation import CharacterRead, ContainerCodeRead, PlateRead

# A lane sees a handful of texts a vehicle; a camera that hallucinates must not fill the memory.
MAX_TEXTS = 64
# A misread code passes its check digit once in eleven; a code as painted fails it once in a thousand. As evidence in
# favour of one that passes over one that fails; about as much as one clear look, or two.
CHECK_DIGIT_EVIDENCE = log(0.999 / (1 / 11)) + log((10 / 11) / 0.001)
# How often a look reads something else than this identifier: the most that it says against a text.
OTHER_THING = log(0.001)
# No reader is surer of a character than this, nor surer that it is not another.
LEAST = 1e-4
SIGNS = 36  # A to Z, 0 to 9
# A code's check digit that one look read and another text lacks: they leave it out, or do not find it in its box.
LEFT_OUT = log(0.2)
# Plates of no listed series, spread over all forms of their length: a plate that somebody chose loses to one that fits
# a common series by about as much as one clear look says, never more.
UNLISTED = 0.5
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
    weight: float = 0.0
    signs: list[dict[str, float]] = field(default_factory=list)  # by place: what is said for each sign, over `others`
    others: list[float] = field(default_factory=list)  # by place: what is said for a sign that was not named
    first: float = inf  # when it was read first and last, on the observations' monotonic clock
    last: float = -inf

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
        self._weigh(characters, confidence, likeness * looks)
        if confidence * likeness > self.best:
            self.best, self.characters = confidence * likeness, characters
            self.device_id, self.evidence = device_id, evidence

    def _weigh(self, characters: tuple[CharacterRead, ...], confidence: float, weight: float) -> None:
        if len(characters) != len(self.text):
            characters = tuple(CharacterRead(sign, confidence) for sign in self.text)
        self.weight += weight
        if not self.signs:
            self.signs, self.others = [{} for _ in self.text], [0.0] * len(self.text)
        for place, read in enumerate(characters):
            named = {sign: p for sign, p in ((read.character, read.confidence), *read.alternatives) if p > LEAST}
            rest = max(LEAST, (1 - sum(named.values())) / max(1, SIGNS - len(named)))
            self.others[place] += weight * log(rest)
            for sign, p in named.items():
                said = self.signs[place].get(sign, 0.0)
                self.signs[place][sign] = said + weight * (log(min(1.0, p)) - log(rest))

    def take(self, other: "Ballot") -> None:
        """What another device read of the same text counts here, too."""
        if not self.signs:
            self.signs, self.others = [{} for _ in self.text], [0.0] * len(self.text)
        self.reads += other.reads
        self.confidence += other.confidence
        self.support += other.support
        self.weight += other.weight
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        for place, said in enumerate(other.others):
            self.others[place] += said
        for mine, theirs in zip(self.signs, other.signs, strict=False):
            for sign, said in theirs.items():
                mine[sign] = mine.get(sign, 0.0) + said
        for size_type, reads in other.size_types.items():
            self.size_types[size_type] = self.size_types.get(size_type, 0) + reads
        if other.best > self.best:
            self.best, self.characters = other.best, other.characters
            self.device_id, self.evidence = other.device_id, other.evidence

    def speaks_for(self, text: str) -> float:
        """The evidence of these reads for a text, as a logarithm, 0 at most."""
        shorter = min(len(text), len(self.text))
        said = sum(self.others[i] + self.signs[i].get(text[i], 0.0) for i in range(shorter))
        if len(text) != len(self.text):
            check_digit_only = {len(text), len(self.text)} == {10, 11}
            said = said + self.weight * LEFT_OUT if check_digit_only else self.weight * OTHER_THING
        return max(said, self.weight * OTHER_THING)


class Ballots:
    """The reads of one kind of identifier over one inspection. Bounded: the least supported text gives way."""

    def __init__(self) -> None:
        self._by_text: dict[str, Ballot] = {}

    @classmethod
    def of(cls, ballots: Iterable[Ballot]) -> "Ballots":
        """Those of several devices, as one; the best supported texts, if there are too many."""
        joint = cls()
        for ballot in sorted(ballots, key=lambda one: one.support, reverse=True):
            if ballot.text in joint._by_text or len(joint._by_text) < MAX_TEXTS:
                joint._by_text.setdefault(ballot.text, Ballot(ballot.text)).take(ballot)
        return joint

    def __iter__(self) -> Iterator[Ballot]:
        return iter(self._by_text.values())

    def texts(self) -> tuple[str, ...]:
        """All that were read, in the order in which they were first."""
        return tuple(self._by_text)

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

    def add_plate(self, read: PlateRead, device_id: str, evidence: tuple[Evidence, ...], at: float = 0.0) -> None:
        ballot = self.add(read.text, read.confidence, read.characters, device_id, evidence, read.likeness, read.looks)
        ballot.first, ballot.last = min(ballot.first, at), max(ballot.last, at)

    def add_code(
        self, read: ContainerCodeRead, device_id: str, evidence: tuple[Evidence, ...], at: float = 0.0
    ) -> None:
        ballot = self.add(read.code, read.confidence, read.characters, device_id, evidence, looks=read.looks)
        ballot.first, ballot.last = min(ballot.first, at), max(ballot.last, at)
        if read.size_type:
            ballot.size_types[read.size_type] = ballot.size_types.get(read.size_type, 0) + 1

    def ranked(self, prior: Callable[[str], float] = lambda text: 0.0) -> list[Ballot]:
        """Most evidence first; a tie goes to the most confident single read. `prior`: evidence besides the reads."""
        ballots = list(self._by_text.values())
        evidence = {b.text: prior(b.text) + sum(other.speaks_for(b.text) for other in ballots) for b in ballots}
        return sorted(ballots, key=lambda ballot: (evidence[ballot.text], ballot.best), reverse=True)


def form_evidence(text: str, series: Mapping[str, float]) -> float:
    """What the form of a plate (letters and digits in their order) says for it: a logarithm, 0 at most.

    `series`: forms as in "AAA0000", with their shares (0..1) of the region's plates; without any it says nothing.
    """
    if not series:
        return 0.0
    return log((1 - UNLISTED) * series.get(plate_form(text), 0.0) + UNLISTED / 2 ** len(text))


def check_digit_evidence(text: str) -> float:
    """What the check digit says for a code."""
    return CHECK_DIGIT_EVIDENCE if check_digit_ok(text) else 0.0


def vote_plate(ballots: Ballots, series: Mapping[str, float] = MappingProxyType({})) -> tuple[Voted, Ballot] | None:
    """The vehicle's plate and the ballot it won with; None if no plate was read."""
    ranked = ballots.ranked(lambda text: form_evidence(text, series))
    if not ranked:
        return None
    return replace(_voted(ranked[0], ranked[1:]), in_series=in_series(ranked[0].text, series)), ranked[0]


def in_series(text: str, series: Mapping[str, float]) -> bool | None:
    """Whether a plate has the form of one of these series; None if there are none."""
    return plate_form(text) in series if series else None


def vote_codes(ballots: Ballots) -> list[tuple[VotedCode, Ballot]]:
    """The vehicle's container codes, most supported first: readings of one code are one candidate."""
    ranked = ballots.ranked(check_digit_evidence)
    found: list[tuple[Ballot, list[Ballot]]] = []
    for ballot in ranked:
        for winner, others in found:
            if same_code(winner.text, ballot.text):
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


def same_code(one: str, other: str) -> bool:
    """Two readings of one code, unless both carry their check digit."""
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
