"""The score: every identifier of every vehicle, right, wrong, missed or invented, with counts and their intervals."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from math import sqrt

from edge_agent.domain.identifiers import fold_plate, normalise_plate
from hardware_sim.score.join import WINDOW, Joined, join
from hardware_sim.score.received import Alarm, Inbox, Received
from hardware_sim.score.truth import IDENTIFIERS, Truth

WEIGHT, GAMMA, NEUTRON = "weight", "gamma verdict", "neutron verdict"
ROWS = (*IDENTIFIERS, WEIGHT, GAMMA, NEUTRON)
_Z95 = 1.959964  # of the standard normal distribution, both sides 2.5 %
_PLAIN = "-"


class Verdict(StrEnum):
    """Of one value."""

    RIGHT = "right"
    FOLDED = "folded"  # right but for O and 0, I and 1
    WRONG = "wrong"  # something else was received
    MISSED = "missed"  # nothing was received
    EXTRA = "extra"  # received, and there was none
    NONE = "none"  # there was none, and none was received


@dataclass(frozen=True, slots=True)
class Check:
    """One value of one vehicle: what it was, what was received."""

    what: str
    truth: str | None
    received: str | None
    verdict: Verdict

    @property
    def good(self) -> bool:
        return self.verdict in (Verdict.RIGHT, Verdict.NONE)


@dataclass(slots=True)
class Tally:
    """Counts of one row: `there` values were to be learnt. `extra` were received where there was none."""

    there: int = 0
    right: int = 0
    folded: int = 0
    wrong: int = 0
    missed: int = 0
    extra: int = 0

    @property
    def share(self) -> float | None:
        return self.right / self.there if self.there else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.right, self.there)

    def add(self, verdict: Verdict) -> None:
        if verdict is Verdict.NONE:
            return
        self.there += verdict is not Verdict.EXTRA
        setattr(self, verdict.value, getattr(self, verdict.value) + 1)


def wilson(right: int, there: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927): right also near 0 and 1, and for few."""
    if not there:
        return 0.0, 1.0
    share, square = right / there, _Z95**2
    middle = (share + square / (2 * there)) / (1 + square / there)
    half = _Z95 * sqrt(share * (1 - share) / there + square / (4 * there**2)) / (1 + square / there)
    low = 0.0 if right == 0 else middle - half
    return low, 1.0 if right == there else middle + half


@dataclass(slots=True)
class Judged:
    """One vehicle, judged. `alarm_after_s`: from the front at the portal to the first alarm of it, None without."""

    joined: Joined
    checks: list[Check]
    alarms: list[Alarm] = field(default_factory=list)

    @property
    def wholly_right(self) -> bool:
        return self.joined.one_to_one and all(check.good for check in self.checks)

    @property
    def misses(self) -> list[Check]:
        return [check for check in self.checks if not check.good]

    @property
    def closed_after_s(self) -> float | None:
        """From the rear leaving the portal to the inspection's close, on the two clocks."""
        record = self.joined.record
        return (record.closed - self.joined.truck.left).total_seconds() if record else None

    @property
    def alarm_after_s(self) -> float | None:
        entered = self.joined.truck.entered
        return min(((a.at - entered).total_seconds() for a in self.alarms), default=None)

    @property
    def alarm_received(self) -> bool:
        """By itself or in the inspection, gamma or neutron."""
        record = self.joined.record
        return bool(self.alarms) or (record is not None and bool(record.gamma_alarm or record.neutron_alarm))


@dataclass(slots=True)
class Score:
    """Everything that a report shows."""

    vehicles: list[Judged]
    spurious: list[Received]
    rows: dict[str, Tally]
    whole: Tally
    one_to_one: Tally
    received: int
    alarms: int
    stray_alarms: int
    unverified: int
    truth: Truth

    def fate(self, fate: str) -> list[Judged]:
        return [v for v in self.vehicles if v.joined.fate == fate]

    @property
    def alarms_due(self) -> list[Judged]:
        """Vehicles whose load should alarm."""
        return [v for v in self.vehicles if v.joined.truck.load_alarm]

    @property
    def alarms_missed(self) -> list[Judged]:
        return [v for v in self.alarms_due if not v.alarm_received]

    @property
    def alarms_false(self) -> list[Judged]:
        return [v for v in self.vehicles if v.joined.truck.load_alarm is False and v.alarm_received]

    def figures(self) -> dict[str, float]:
        """By name what `--require` can ask for: shares 0..1 for rows, `vehicles` and `whole`, counts for the rest."""
        shares = {name.replace(" ", "_"): t.share for name, t in self.rows.items()}
        shares |= {"vehicles": self.one_to_one.share, "whole": self.whole.share}
        counts = {f: len(self.fate(f)) for f in ("missed", "merged", "split")} | {
            "spurious": len(self.spurious),
            "alarms_missed": len(self.alarms_missed),
            "alarms_false": len(self.alarms_false),
            "unverified": self.unverified,
        }
        return {name: share for name, share in shares.items() if share is not None} | counts


def judge(
    truth: Truth,
    inbox: Inbox,
    *,
    weight_tolerance: float = 0.01,
    window: timedelta = WINDOW,
    undisturbed: bool = False,
    only: Collection[str] = ROWS,
) -> Score:
    """Join and compare. `weight_tolerance` is a share of the true weight. With `undisturbed` vehicles that met a fault
    of a device are joined, so that they take nobody's record, and not counted. `only`: the rows that are judged."""
    joined, spurious = join(truth.trucks, inbox.vehicles, window)
    alarms, stray = _alarms(joined, inbox.alarms)
    vehicles = [
        Judged(one, [c for c in _checks(one, weight_tolerance) if c.what in only], alarms.get(n, []))
        for n, one in enumerate(joined)
        if not (undisturbed and one.truck.disturbed)
    ]
    rows = {name: Tally() for name in ROWS}
    for vehicle in vehicles:
        for check in vehicle.checks:
            rows[check.what].add(check.verdict)
    rows = {name: tally for name, tally in rows.items() if tally.there or tally.extra}
    return Score(
        vehicles=vehicles,
        spurious=spurious,
        rows=rows,
        whole=_of(v.wholly_right for v in vehicles),
        one_to_one=_of(v.joined.one_to_one for v in vehicles),
        received=len(inbox.vehicles),
        alarms=len(inbox.alarms),
        stray_alarms=stray,
        unverified=inbox.unverified,
        truth=truth,
    )


def _of(right: Iterator[bool]) -> Tally:
    tally = Tally()
    for good in right:
        tally.add(Verdict.RIGHT if good else Verdict.MISSED)
    return tally


def _alarms(joined: Sequence[Joined], alarms: Sequence[Alarm]) -> tuple[dict[int, list[Alarm]], int]:
    """Alarms by the vehicle's number: by the inspection that they name, else by time; and how many fit none."""
    by_inspection = {r.id: n for n, one in enumerate(joined) for r in (one.record, *one.parts) if r and r.id}
    lanes = {one.truck.lane for one in joined}
    found: dict[int, list[Alarm]] = {}
    stray = 0
    for alarm in alarms:
        number = by_inspection.get(alarm.inspection) if alarm.inspection else None
        if number is None:
            number = next((
                n for n, one in enumerate(joined)
                if one.truck.arrived <= alarm.at <= one.truck.departed
                and (alarm.lane == one.truck.lane or len(lanes) == 1 or alarm.lane not in lanes)
            ), None)  # fmt: skip
        if number is None:
            stray += 1
        else:
            found.setdefault(number, []).append(alarm)
    return found, stray


def _checks(one: Joined, weight_tolerance: float) -> Iterator[Check]:
    truck, record = one.truck, one.record
    for what in IDENTIFIERS:
        if (there := truck.values.get(what)) is not None:
            yield from _compare(what, there, _received(what, record, truck.tag_texts))
    if truck.gross_kg is not None:
        yield _weight(truck.gross_kg, record, weight_tolerance)
    measured = record is not None and record.radiation_known
    for what, true, got in (
        (GAMMA, truck.gamma_alarm, record.gamma_alarm if record else None),
        (NEUTRON, truck.neutron_alarm, record.neutron_alarm if record else None),
    ):
        if true is None:
            continue
        words = {True: "alarm", False: "no alarm"}
        if not measured:
            yield Check(what, words[true], None, Verdict.MISSED)
        else:
            yield Check(what, words[true], words[bool(got)], Verdict.RIGHT if bool(got) == true else Verdict.WRONG)


def _received(what: str, record: Received | None, tag_texts: Mapping[str, str]) -> list[str]:
    if record is None:
        return []
    match what:
        case "plate":
            return [record.plate] if record.plate else []
        case "trailer plate":
            return record.trailer_plates
        case "container":
            return record.container_codes
        case "seal":
            return record.seals
        case "seal state":
            return record.seal_conditions
        case "tag":
            return [tag_texts.get(tag.upper(), tag) for tag in record.tags]
        case _:
            return record.scans


def _compare(what: str, there: Sequence[str], received: Sequence[str]) -> Iterator[Check]:
    """Each true value against its own; what is left of both is paired by likeness."""
    same = {w: normalise_plate(w) if what != "scan" else w for w in (*there, *received)}
    # The same seal scanned twice is one; two seals in the same condition are two.
    left = list(received) if what == "seal state" else list(dict.fromkeys(received))
    lost: list[str] = []
    for value in there:
        if (own := next((r for r in left if same[r] == same[value]), None)) is not None:
            left.remove(own)
            yield Check(what, value, own, Verdict.RIGHT)
        else:
            lost.append(value)
    for value in lost:
        if not left:
            yield Check(what, value, None, Verdict.MISSED)
            continue
        best = max(left, key=lambda r: _alike(same[value], same[r]))
        left.remove(best)
        folded = "plate" in what and fold_plate(best) == fold_plate(value)
        yield Check(what, value, best, Verdict.FOLDED if folded else Verdict.WRONG)
    for value in left:
        yield Check(what, None, value, Verdict.EXTRA)
    if not there and not received:
        yield Check(what, None, None, Verdict.NONE)


def _alike(one: str, other: str) -> int:
    return sum(a == b for a, b in zip(one, other, strict=False)) - abs(len(one) - len(other))


def _weight(true_kg: float, record: Received | None, tolerance: float) -> Check:
    truth = f"{true_kg:.0f} kg"
    if record is None or not record.weights_kg:
        return Check(WEIGHT, truth, None, Verdict.MISSED)
    best = min(record.weights_kg, key=lambda kg: abs(kg - true_kg))
    good = abs(best - true_kg) <= tolerance * true_kg
    return Check(WEIGHT, truth, f"{best:.0f} kg", Verdict.RIGHT if good else Verdict.WRONG)
