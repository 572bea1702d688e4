"""What is held on one plate: the answer to a person who asks what is known of a vehicle.

Two readings of the chain: which inspections carry the plate, then every event of those. What may show or name another
vehicle is named by its digest and not handed out; a read that only resembles the plate is listed apart.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from edge_agent.domain.errors import Permanent
from edge_agent.domain.identifiers import fold_plate, normalise_plate
from edge_agent.pack.words import body_in_words, record_in_words, utc_in_words
from edge_agent.wire.standing import inspection_of
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1.expected_pb2 import ExpectedCrossing

MAX_PLATE = 16
# What shows the vehicle asked about and no other. Whole frames, scans and what devices sent may hold others.
HANDED_OUT = frozenset({"plate_crop", "container_code_crop", "radiation_profile", "n42"})
WITHHELD = "not handed out: it may show or name others; a person looks at it first"


class Match(StrEnum):
    """How what was read compares with the plate asked about."""

    SAME = "same"
    NEAR = "near"


@dataclass(frozen=True, slots=True)
class Held:
    """An event of a chain."""

    booth_id: str
    seq: int
    event: wire.Event


@dataclass(frozen=True, slots=True)
class Piece:
    """Evidence that one of the events names: `place` is its file, or why there is none."""

    kind: str
    media_type: str
    size: int
    sha256: bytes
    place: Path | str


@dataclass(slots=True)
class About:
    """What is held. `expected`, `near` and `unsearched` are in words: near ones may be of other vehicles, and in what
    is named as unsearched there may be more.
    """

    plate: str
    folded: bool
    events: list[Held] = field(default_factory=list)
    pieces: dict[bytes, Piece] = field(default_factory=dict)
    expected: list[str] = field(default_factory=list)
    near: list[str] = field(default_factory=list)
    unsearched: list[str] = field(default_factory=list)

    @property
    def inspections(self) -> list[str]:
        """Their ids, in the order of their events."""
        return list(dict.fromkeys(of for held in self.events if (of := inspection_of(held.event))))


Events = Callable[[], Iterable[Held]]
Place = Callable[[str, bytes], Path | str]
"""By booth and digest: the file, or why there is none."""


def wanted(plate: str) -> str:
    """The form in which plates are compared. Raises Permanent."""
    text = normalise_plate(plate)
    if not 2 <= len(text) <= MAX_PLATE or not text.isalnum():
        raise Permanent(
            "this is no plate", f"give 2 to {MAX_PLATE} letters and digits; blanks and hyphens do not count"
        )
    return text


def about(events: Events, place: Place, plate: str, folded: bool) -> About:
    """Everything that the chains hold on `plate`. `folded`: O counts as 0, and I as 1."""
    found = About(wanted(plate), folded)
    inspections: set[tuple[str, str]] = set()
    alone: set[tuple[str, bytes, int]] = set()
    for held in events():
        match match_of(held.event, found.plate, folded):
            case Match.SAME if of := inspection_of(held.event):
                inspections.add((held.booth_id, of))
            case Match.SAME:
                alone.add((held.booth_id, held.event.epoch, held.seq))
            case _:
                pass
    for held in events():
        of = inspection_of(held.event)
        if (held.booth_id, of) in inspections or (held.booth_id, held.event.epoch, held.seq) in alone:
            found.events.append(held)
            for ref in held.event.evidence:
                where = place(held.booth_id, ref.sha256)
                found.pieces[ref.sha256] = Piece(ref.kind, ref.media_type, ref.size, ref.sha256, where)
        elif match_of(held.event, found.plate, folded) is Match.NEAR:
            texts = ", ".join(sorted(set(_first_texts(held.event))))
            found.near.append(
                f"{held.booth_id} event {held.seq}, {utc_in_words(held.event.at)}, inspection {of or '-'}: read {texts}"
            )
    return found


def expected_in_words(crossing: ExpectedCrossing, plate: str, folded: bool) -> str:
    """What an expected crossing says, if it is of this plate; else ''."""
    texts = [normalise_plate(one.text) for one in crossing.plates]
    if plate not in texts and not (folded and fold_plate(plate) in map(fold_plate, texts)):
        return ""
    goods = ", ".join(crossing.container_codes) or "no container"
    until = utc_in_words(wire.Instant(utc_us=crossing.expires_utc_us)) if crossing.expires_utc_us else "it comes"
    return f"expected crossing {crossing.id} ({goods}), kept until {until}"


def match_of(event: wire.Event, plate: str, folded: bool) -> Match | None:
    """Whether an event carries the plate, or one that may be the same misread."""
    first = [normalise_plate(text) for text in _first_texts(event)]
    if plate in first or (folded and fold_plate(plate) in map(fold_plate, first)):
        return Match.SAME
    others = [normalise_plate(text) for text in _other_texts(event)]
    if plate in others or any(one_off(plate, text) or fold_plate(text) == fold_plate(plate) for text in first):
        return Match.NEAR
    return None


def one_off(one: str, other: str) -> bool:
    """Whether exactly one character is another one, missing or too many."""
    if len(one) == len(other):
        return sum(a != b for a, b in zip(one, other, strict=True)) == 1
    short, long = sorted((one, other), key=len)
    return len(long) - len(short) == 1 and any(long[:n] + long[n + 1 :] == short for n in range(len(long)))


def _first_texts(event: wire.Event) -> Iterator[str]:
    """What an event says a vehicle's plate is."""
    closed = event.inspection_closed.inspection
    if closed.HasField("plate"):
        yield closed.plate.text
    yield from (seen.vote.text for seen in closed.plates)
    yield from (scan.vehicle_number for scan in (*closed.scans, event.scan_received.scan) if scan.vehicle_number)
    if event.unassigned.kind == "plate":
        yield event.unassigned.text
    for finding in (*closed.findings, *event.findings_added.findings):
        yield from (one.text for one in finding.identifiers if one.kind == "plate")


def _other_texts(event: wire.Event) -> Iterator[str]:
    """What single frames or devices read, and was outvoted."""
    closed = event.inspection_closed.inspection
    for vote in (closed.plate, *(seen.vote for seen in closed.plates)):
        yield from vote.others
    for device in closed.device_reads:
        yield from (read.text for read in device.texts if device.what == "plate")


def shown(held: Held) -> list[tuple[str, str]]:
    """An event for the person who asked: without other readings, which may be of other vehicles."""
    event = wire.Event()
    event.CopyFrom(held.event)
    closed = event.inspection_closed.inspection
    if event.WhichOneof("body") != "inspection_closed":
        return [("What", body_in_words(event))]
    if closed.HasField("plate"):
        closed.plate.ClearField("others")
    for seen in closed.plates:
        seen.vote.ClearField("others")
    closed.ClearField("device_reads")
    return record_in_words(closed)


def as_json(found: About, handed_out: bool) -> dict[str, Any]:
    """For programs. `handed_out`: without what may be of other vehicles."""
    facts: dict[str, Any] = {
        "plate": found.plate,
        "folded": found.folded,
        "inspections": found.inspections,
        "events": [
            {
                "booth_id": held.booth_id,
                "seq": held.seq,
                "at": utc_in_words(held.event.at),
                "inspection": inspection_of(held.event),
                "says": [list(row) for row in shown(held)],
            }
            for held in found.events
        ],
        "evidence": [
            {
                "sha256": piece.sha256.hex(),
                "kind": piece.kind,
                "size": piece.size,
                "held": isinstance(piece.place, Path),
                "why": piece.place if isinstance(piece.place, str) else "" if piece.kind in HANDED_OUT else WITHHELD,
            }
            for piece in found.pieces.values()
        ],
        "expected": found.expected,
        "unsearched": found.unsearched,
    }
    return facts if handed_out else facts | {"near": found.near}
