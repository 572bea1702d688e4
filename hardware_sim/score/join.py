"""Which received vehicle is which truck: by time and by what was read, each at most once.

trucks × received ──► candidates (together in time, or an identifier equal) ──► best pairs first
                      left over: a truck ──► merged into another's record, or missed
                                 a record ──► one of several of a truck (split), or spurious
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from edge_agent.domain.identifiers import fold_plate, normalise_plate
from hardware_sim.score.received import Received
from hardware_sim.score.truth import Truck

# A booth opens an inspection at the first sign of a vehicle and closes it some seconds after the last.
SLACK = timedelta(seconds=1)
# So far apart in time an equal identifier still joins: a booth's clock can be wrong.
WINDOW = timedelta(minutes=10)
_NUMBERS = ("plate", "trailer plate", "container", "seal", "tag", "scan")
_MOSTLY = 0.5  # so much of a passage lies within a record: the vehicle is in it


@dataclass(slots=True)
class Joined:
    """A truck with what was received of it. `record` None: nothing; `merged_into` then names the truck in whose record
    it lies. `parts` are further records of the same truck."""

    truck: Truck
    record: Received | None = None
    parts: list[Received] = field(default_factory=list)
    merged_into: str = ""
    merged_with: list[str] = field(default_factory=list)

    @property
    def one_to_one(self) -> bool:
        """One record for this truck, and no other truck in it."""
        return self.record is not None and not self.parts and not self.merged_with

    @property
    def fate(self) -> str:
        """In a word: right, missed, merged or split."""
        if self.record is None:
            return "merged" if self.merged_into else "missed"
        if self.merged_with:
            return "merged"
        return "split" if self.parts else "right"


@dataclass(frozen=True, slots=True)
class _Pair:
    score: float
    apart_s: float
    truck: int
    record: int
    equal: int
    within: float


def join(
    trucks: Sequence[Truck], received: Sequence[Received], window: timedelta = WINDOW
) -> tuple[list[Joined], list[Received]]:
    """Every truck with what was received of it, and the records that belong to none."""
    pairs = _candidates(trucks, received, window)
    joined = [Joined(truck) for truck in trucks]
    taken: dict[int, int] = {}
    for pair in sorted(pairs, key=lambda p: (-p.score, p.apart_s, p.truck, p.record)):
        if joined[pair.truck].record is None and pair.record not in taken:
            joined[pair.truck].record = received[pair.record]
            taken[pair.record] = pair.truck
    strong = sorted((p for p in pairs if p.equal or p.within >= _MOSTLY), key=lambda p: -p.score)
    for truck_number, one in enumerate(joined):
        if one.record is None and (own := next((p for p in strong if p.truck == truck_number), None)):
            owner = joined[taken[own.record]]
            one.merged_into = owner.truck.id
            owner.merged_with.append(one.truck.id)
    spurious: list[Received] = []
    split = {p.record: p.truck for p in reversed(strong)} | {p.record: p.truck for p in reversed(pairs) if p.equal}
    for number, record in enumerate(received):
        if number in taken:
            continue
        if number in split:
            joined[split[number]].parts.append(record)
        else:
            spurious.append(record)
    return joined, spurious


def _candidates(trucks: Sequence[Truck], received: Sequence[Received], window: timedelta) -> list[_Pair]:
    order = sorted(range(len(received)), key=lambda n: received[n].opened)
    opened = [received[n].opened for n in order]
    longest = max((r.closed - r.opened for r in received), default=timedelta())
    lanes = {t.lane for t in trucks}
    pairs: list[_Pair] = []
    for truck_number, truck in enumerate(trucks):
        first = bisect_left(opened, truck.arrived - window - longest)
        last = bisect_right(opened, truck.departed + window)
        for n in order[first:last]:
            record = received[n]
            if len(lanes) > 1 and record.lane in lanes and record.lane != truck.lane:
                continue
            if (pair := _pair(truck, truck_number, record, n)) is not None:
                pairs.append(pair)
    return pairs


def _pair(truck: Truck, truck_number: int, record: Received, number: int) -> _Pair | None:
    equal = equal_identifiers(truck, record)
    begin, end = max(truck.entered, record.opened - SLACK), min(truck.left, record.closed + SLACK)
    passage = max((truck.left - truck.entered).total_seconds(), 1e-3)
    within = max(0.0, (end - begin).total_seconds()) / passage
    # Apart in time it takes more than one identifier that another truck might carry as well.
    known = sum(bool(truck.values.get(what)) for what in _NUMBERS)
    if not within and equal < min(2, known or 2):
        return None
    apart = abs((record.opened - truck.entered).total_seconds())
    return _Pair(3.0 * equal + 2.0 * min(within, 1.0), apart, truck_number, number, equal, within)


def equal_identifiers(truck: Truck, record: Received) -> int:
    """How many of the truck's identifiers stand in the record. What many trucks share (a seal's state) is none."""
    plates = {fold_plate(p) for p in (record.plate, *record.trailer_plates) if p}
    found = {
        "plate": plates,
        "trailer plate": plates,
        "container": set(record.container_codes),
        "seal": {normalise_plate(s) for s in record.seals},
        "tag": {truck.tag_texts.get(t.upper(), t).upper() for t in record.tags},
        "scan": set(record.scans),
    }
    equal = 0
    for what, there in found.items():
        for value in truck.values.get(what) or ():
            folded = fold_plate(value) if "plate" in what else normalise_plate(value) if what == "seal" else value
            equal += (folded.upper() if what == "tag" else folded) in there
    return equal
