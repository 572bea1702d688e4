"""One plate or container code on one vehicle is one track: its looks vote, and it is said a few times, not forty.

sightings of a look ──► whose are they? (place, motion, text) ──► votes of a track ──► what is new to say

A track is said

1. at once if the first look is convincing, else with the second: a read that comes late joins no inspection;
2. again when the vote goes over to another text, and when a much better picture of the same text was taken;
3. again every second while it is seen: the lane, not the camera, knows where one inspection ends and the next begins;
4. at its end, with what was not said yet, if nothing or several texts were said; a single look at lettering never. It
   ends when looks over a second and a half did not see it.

What stands where it stood is silent after ten minutes, and after a time in which nobody looked: a parked car is said
once, also if others hide it for some minutes.
Time is given, nothing is read or written, and what is kept is bounded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from edge_agent.domain.evidence import Evidence
from edge_agent.domain.observation import Box, CharacterRead, ContainerCodeRead, PlateRead
from edge_agent.vision.alike import likeness, overlap, steps_apart, support
from edge_agent.vision.recogniser import ContainerCodeSighting, PlateSighting, Sighting

CONVINCING = 0.5  # weight of a sighting that is said at once
LETTERING = 0.05  # a single look of less weight is of no vehicle, and never said
REPEAT_S = 1.0  # well below the time after which a lane settles (3 s)
GAIN = 0.15  # of weight: a much better picture
ABSENT_S = 1.5  # of looking; a camera looks for 2 s after the last motion, so that a track of a weak look still ends
ABSENT_LOOKS = 2
# So long without a look nobody was interested: what stands there still was there before, and has been said.
UNWATCHED_S = 10.0
PARKED_S = 600.0  # the longest that a lane waits for a vehicle unless its settings say otherwise
STANDS = 0.5  # of the box's height: what shakes by less stands still
ALIKE = 0.7  # a text that may be the same one, misread
ALIKE_AT_ALL = 0.3  # another text at the very same place, if so much of it is the same
SAME_PLACE = 0.3  # overlap
REACH_STEPS = 3.0  # widths of the text that a vehicle moves between two looks, beyond what its motion foretells
MISREAD_S = 1.0  # within it, such a text is the same one misread, and motion goes on as before
CHECK_DIGIT_WEIGHT = 3.0  # a right check digit speaks for a code, and does not prove it
MAX_TRACKS = 16
MAX_FRAMES = 12  # that wait for their pictures to be made
MAX_TEXTS = 6

Read = PlateRead | ContainerCodeRead
Pictures = Callable[[Sighting], tuple[Evidence, ...]]


@dataclass(frozen=True)
class Report:
    """What is to be said of a track.

    `read` is the best read of the text that the looks voted for, `read.looks` the number of looks that read this text
    and were not said yet (0: nothing new), `evidence` the pictures of that best read. `at` and `first_at` are when the
    track was last and first seen, `seen` in how many looks, of which `votes` read this text.
    """

    track: int
    read: Read
    evidence: tuple[Evidence, ...]
    first_at: float
    at: float
    seen: int
    votes: int
    ended: bool = False


@dataclass(slots=True)
class _Votes:
    """The looks of a track that read one text."""

    best: Sighting
    weight: float  # of the best
    pictures: Pictures | None  # until they are made, which holds the frame
    evidence: tuple[Evidence, ...] = ()
    total: float = 0.0
    looks: int = 0
    said: int = 0

    def make_pictures(self) -> None:
        if self.pictures is not None:
            self.evidence, self.pictures = self.pictures(self.best), None


@dataclass(slots=True)
class _Track:
    number: int
    first_at: float
    at: float
    box: Box
    anchor: Box
    still_since: float
    votes: dict[str, _Votes] = field(default_factory=dict)
    winner: str = ""
    speed: tuple[float, float] = (0.0, 0.0)  # pixels a second
    seen: int = 0
    unseen_s: float = 0.0
    unseen_looks: int = 0
    silent: bool = False
    said_at: float | None = None
    said_text: str = ""
    said_weight: float = 0.0

    def foretold(self, at: float) -> Box:
        """Where it would be if it went on as before."""
        seconds = min(at - self.at, MISREAD_S)
        dx, dy = self.speed[0] * seconds, self.speed[1] * seconds
        return replace(self.box, x=round(self.box.x + dx), y=round(self.box.y + dy))

    def placed(self, box: Box, at: float) -> None:
        """It is seen at `box`."""
        seconds = at - self.at
        if 0 < seconds <= MISREAD_S:
            self.speed = ((box.x - self.box.x) / seconds, (box.y - self.box.y) / seconds)
        else:
            self.speed = (0.0, 0.0)
        if _moved(self.anchor, box):
            self.anchor, self.still_since, self.silent = box, at, False
        elif at - self.still_since >= PARKED_S or seconds >= UNWATCHED_S:
            self.silent = True
        self.box, self.at = box, at
        self.seen += 1
        self.unseen_s, self.unseen_looks = 0.0, 0

    def voted(self, sighting: Sighting, pictures: Pictures) -> None:
        text, weight = text_of(sighting), weight_of(sighting)
        votes = self.votes.get(text)
        if votes is None:
            if len(self.votes) >= MAX_TEXTS:
                others = [t for t in self.votes if t != self.winner]
                del self.votes[min(others, key=lambda t: self.votes[t].total)]
            votes = self.votes[text] = _Votes(sighting, weight, pictures)
        elif weight > votes.weight + GAIN / 5:
            votes.best, votes.weight, votes.pictures = sighting, weight, pictures
        votes.total += weight
        votes.looks += 1
        self.winner = max(self.votes, key=lambda t: (self._support(t), self.votes[t].weight))

    def _support(self, text: str) -> float:
        return sum(v.total * support(text, _characters(v.best)) for v in self.votes.values())

    def report(self, text: str, ended: bool = False) -> Report:
        votes = self.votes[text]
        looks = votes.looks - votes.said
        if looks:
            votes.make_pictures()
        read = replace(votes.best.read, looks=looks)
        votes.said = votes.looks
        if not ended:
            self.said_at, self.said_text, self.said_weight = self.at, text, votes.weight
        return Report(self.number, read, votes.evidence, self.first_at, self.at, self.seen, votes.looks, ended)

    def news(self) -> str | None:
        """The text that is to be said now, of a track that this look saw."""
        votes = self.votes[self.winner]
        if self.said_at is None:
            return self.winner if self.seen > 1 or votes.weight >= CONVINCING else None
        if self.silent:
            return None
        new, since = votes.looks > votes.said, self.at - self.said_at
        if new and (self.winner != self.said_text or votes.weight >= self.said_weight + GAIN or since >= REPEAT_S):
            return self.winner
        # The looks of late read something else: that is said as it is, so that the lane knows of a vehicle.
        return (
            max(self.votes, key=lambda t: self.votes[t].looks - self.votes[t].said) if since >= 2 * REPEAT_S else None
        )


class Tracks:
    """The tracks of one camera. `looked` is called after each look, also after one that saw nothing."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._count = 0
        self._last_look: float | None = None

    def looked(
        self, sightings: Sequence[Sighting], at: float, pictures: Pictures, frames_max: int = MAX_FRAMES
    ) -> list[Report]:
        """What is new to say after a look at `at` seconds.

        `pictures` makes the evidence of a sighting of this look, when its track is said: it is asked late, and only for
        the best sighting of a text; sooner if more than `frames_max` wait. What it raises comes out of here; what was
        to be said then is said later.
        """
        gap = 0.0 if self._last_look is None else at - self._last_look
        self._last_look = at
        seen = self._assigned(sightings, at)
        out = []
        for track, sighting in seen:
            track.placed(sighting.read.box, at)
            track.voted(sighting, pictures)
        for track, _ in seen:  # all votes are kept before a picture can fail
            text = track.news()
            if text is not None:
                out.append(track.report(text))
        met = {track.number for track, _ in seen}
        for track in [t for t in self._tracks if t.number not in met]:
            track.unseen_looks += 1
            track.unseen_s += min(gap, ABSENT_S / ABSENT_LOOKS)  # a pause between looks is no absence
            if track.unseen_looks >= ABSENT_LOOKS and track.unseen_s >= (PARKED_S if track.silent else ABSENT_S):
                out.append(self._end(track))
        while len(self._tracks) > MAX_TRACKS:
            out.append(self._end(min(self._tracks, key=lambda t: t.at)))
        waiting = [v for t in self._tracks for v in t.votes.values() if v.pictures]
        for votes in waiting[: max(0, len(waiting) - frames_max)]:
            votes.make_pictures()
        return out

    def close(self) -> list[Report]:
        """Ends every track, as at the end of a clip."""
        return [self._end(track) for track in list(self._tracks)]

    def _end(self, track: _Track) -> Report:
        votes = track.votes[track.winner]
        lettering = track.said_at is None and votes.weight < LETTERING
        # The last looks of the one text that was said are not: the vehicle's record may be closed, and they be late.
        # Where several texts were said they are, since the lane counts the looks of each.
        if lettering or {text for text, v in track.votes.items() if v.said} == {track.winner}:
            votes.said = votes.looks
        report = track.report(track.winner, ended=True)
        self._tracks.remove(track)
        return report

    def _assigned(self, sightings: Sequence[Sighting], at: float) -> list[tuple[_Track, Sighting]]:
        """Each sighting with its track, best fit first; a second reading of the same thing is left out."""
        fits = sorted(
            ((_fit(t, s, at), i, t) for i, s in enumerate(sightings) for t in self._tracks),
            key=lambda it: (-it[0], it[1]),
        )
        out: list[tuple[_Track, Sighting]] = []
        taken, met = set[int](), set[int]()
        for fit, i, track in fits:
            if fit > 0 and i not in taken and track.number not in met:
                taken.add(i)
                met.add(track.number)
                out.append((track, sightings[i]))
        for i, sighting in enumerate(sightings):
            if i not in taken and not any(_same_thing(sighting, other) for _, other in out):
                out.append((self._begin(sighting, at), sighting))
        return out

    def _begin(self, sighting: Sighting, at: float) -> _Track:
        self._count += 1
        box = sighting.read.box
        track = _Track(self._count, at, at, box, box, at)
        self._tracks.append(track)
        return track


def text_of(sighting: Sighting) -> str:
    """The plate's text or the container's code."""
    return sighting.read.text if isinstance(sighting, PlateSighting) else sighting.read.code


def weight_of(sighting: Sighting) -> float:
    """What a sighting counts in the vote: confidence, times likeness to a plate, or thrice with a right check digit."""
    if isinstance(sighting, ContainerCodeSighting):
        return sighting.read.confidence * (1.0 if sighting.read.check_digit_ok else 1 / CHECK_DIGIT_WEIGHT)
    return sighting.read.confidence * sighting.likeness


def _characters(sighting: Sighting) -> tuple[CharacterRead, ...]:
    read, text = sighting.read, text_of(sighting)
    if len(read.characters) == len(text):
        return read.characters
    return tuple(CharacterRead(c, read.confidence) for c in text)


def _fit(track: _Track, sighting: Sighting, at: float) -> float:
    """How well a sighting continues a track; 0: it does not."""
    if not _may_be(track, sighting):
        return 0.0
    text, box, seconds = text_of(sighting), sighting.read.box, at - track.at
    foretold = track.foretold(at)
    near = max(overlap(foretold, box), overlap(track.box, box))
    alike = max(likeness(text, known) for known in track.votes)
    if seconds - track.unseen_s >= UNWATCHED_S:  # nobody looked: the same again at the same place, or another
        return alike + near if alike >= ALIKE and near >= SAME_PLACE else 0.0
    if alike == 1.0:
        return 2.0 + near
    apart = min(steps_apart(foretold, box), steps_apart(track.box, box))
    if alike >= ALIKE and apart <= min(REACH_STEPS, 1.0 + 4.0 * seconds):
        return alike + near
    misread = alike >= ALIKE_AT_ALL and near >= SAME_PLACE and seconds <= MISREAD_S
    return near / 2 if misread else 0.0


def _may_be(track: _Track, sighting: Sighting) -> bool:
    """Plates are no codes, and two codes with right check digits are two codes."""
    known = track.votes[track.winner].best
    if isinstance(sighting, PlateSighting) or isinstance(known, PlateSighting):
        return type(sighting) is type(known)
    both = sighting.read.check_digit_ok and known.read.check_digit_ok
    return not both or sighting.read.code == known.read.code


def _same_thing(one: Sighting, other: Sighting) -> bool:
    if type(one) is not type(other):
        return False
    if text_of(one) == text_of(other):
        return True
    return overlap(one.read.box, other.read.box) >= SAME_PLACE


def _moved(anchor: Box, box: Box) -> bool:
    """By more than a shaking camera or a box drawn anew would make of it."""
    height = min(anchor.w, anchor.h)
    dx = abs(box.x + box.w / 2 - anchor.x - anchor.w / 2)
    dy = abs(box.y + box.h / 2 - anchor.y - anchor.h / 2)
    return max(dx, dy) > STANDS * height
