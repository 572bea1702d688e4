"""The lines of a lane's journal: what happened in the lane, as JSON says it, and what a later run makes of it.

    {"said": an observation, "ids": of the inspections that it opened, "files": of a scan}
    {"woke": a moment}  {"stopped": a moment}  {"away": an absence}  {"hears": a moment, some time after an absence}
    {"boot": the run of the machine, "known": what the lane knew when it was empty}
    {"unknown": ids of inspections that the ledger knows nothing of, "at": a moment}

Moments are on the monotonic clock of the run of the machine that the last "boot" names; `moved_ns` is what this run's
clock is ahead of that one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge_agent.domain.clock import Instant
from edge_agent.domain.evidence import Evidence, EvidenceRef
from edge_agent.domain.joining import Away
from edge_agent.domain.observation import Observation, ScanImage
from edge_agent.inspection.lane import LaneKnown
from edge_agent.ledger.plain import from_plain, to_plain

Heard = Mapping[str, Any]
ReadEvidence = Callable[[bytes], bytes | None]


@dataclass(frozen=True)
class NamedEvidence(Evidence):
    """Evidence that the ledger held, and whose bytes are gone since."""

    named: EvidenceRef

    @property
    def ref(self) -> EvidenceRef:
        return self.named


def noted(observation: Observation, ids: Iterable[str]) -> Heard:
    """What a device said, and the inspections that it opened."""
    if not isinstance(observation.body, ScanImage):
        return {"said": to_plain(observation), "ids": list(ids)}
    files = tuple(evidence.ref for evidence in observation.evidence)  # in the ledger before the scanner is answered
    return {"said": to_plain(replace(observation, evidence=())), "ids": list(ids), "files": to_plain(files)}


def heard_in(line: Heard, read: ReadEvidence, holds: Callable[[bytes], bool]) -> Observation | None:
    """None: a scan of which the ledger never held a file. The scanner was not answered, and sends it again."""
    observation = from_plain(Observation, line["said"])
    evidence = list[Evidence]()
    for said in line.get("files", ()):
        ref = from_plain(EvidenceRef, said)
        data = read(ref.sha256)
        if data is not None:
            evidence.append(Evidence(ref.kind, ref.media_type, data))
        elif holds(ref.sha256):
            evidence.append(NamedEvidence(ref.kind, ref.media_type, b"", ref))
        else:
            return None
    return replace(observation, evidence=(*observation.evidence, *evidence))


def again(heard: Iterable[Heard], away: Away, boot: str, moved_ns: int, unknown: Sequence[str] = ()) -> Iterator[Heard]:
    """The same on the clock of this run of the machine, what the ledger does not know, and the absence."""
    yield {"boot": boot}
    for line in heard:
        if not moved_ns:
            yield line
        elif "boot" in line:
            known = known_in(line, moved_ns)
            yield {"boot": boot, "known": to_plain(known)} if known else {"boot": boot}
        elif "said" in line:
            observation = from_plain(Observation, line["said"])
            yield {**line, "said": to_plain(moved(observation, moved_ns))}
        elif "unknown" in line:
            yield {**line, "at": to_plain(instant_in(line["at"], moved_ns))}
        elif "away" not in line:
            yield {key: to_plain(instant_in(value, moved_ns)) for key, value in line.items()}
        else:
            yield {"away": to_plain(away_in(line, moved_ns))}
    if unknown:
        yield {"unknown": list(unknown), "at": to_plain(away.since)}
    yield {"away": to_plain(away)}


def away_in(line: Heard, moved_ns: int) -> Away:
    """An absence before the last one."""
    away = from_plain(Away, line["away"])
    return replace(away, since=later(away.since, moved_ns), until=later(away.until, moved_ns))


@dataclass(frozen=True, slots=True)
class Overview:
    """Of what was heard: the run of the machine in which its last was noted, '' if that is not known; the inspections
    that were opened; the scans that came, by device and moment."""

    boot: str
    opened: frozenset[str]
    scans: frozenset[tuple[str, str]]


def overview(heard: Iterable[Heard]) -> Overview:
    """Raises KeyError and TypeError on a line of another version."""
    boot, opened, scans = "", set[str](), set[tuple[str, str]]()
    for line in heard:
        boot = str(line.get("boot", boot))
        opened.update(line.get("ids", ()))
        if "files" in line:
            scans.add((line["said"]["device_id"], line["said"]["at"]["utc"]))
    return Overview(boot, frozenset(opened), frozenset(scans))


def away_of(heard: Sequence[Heard], now: Instant, same_run: bool) -> tuple[Away, Instant] | None:
    """From the last thing heard until now, on this run's clock; with that last moment as it was noted.

    `same_run`: of the machine, so that its monotonic clock went on.
    """
    for line in reversed(heard):
        stopped = "stopped" in line
        if "said" in line:
            last = from_plain(Instant, line["said"]["at"])
        elif "away" in line:
            last = from_plain(Away, line["away"]).until
        elif what := next((what for what in ("stopped", "woke", "hears") if what in line), ""):
            last = instant_in(line[what], 0)
        else:
            continue
        moved = 0 if same_run else moved_ns_since(last, now)
        return Away(later(last, moved), now, stopped), last
    return None


def moved_ns_since(last: Instant, now: Instant) -> int:
    """What the monotonic clock of this run of the machine is ahead of the last one's, by the wall clock."""
    since = now.utc - last.utc
    return now.monotonic_ns - round(since.total_seconds() * 1e9) - last.monotonic_ns


def known_in(line: Heard, moved_ns: int) -> LaneKnown | None:
    """What the lane knew when it was empty; agents before this one noted only which devices were down."""
    if "known" not in line:
        return LaneKnown(down=tuple(line["down"].items())) if "down" in line else None
    known = from_plain(LaneKnown, line["known"])
    return replace(known, sensors=tuple(sensor.moved(moved_ns / 1e9) for sensor in known.sensors))


def moved(observation: Observation, moved_ns: int) -> Observation:
    """On the clock of this run of the machine."""
    return replace(observation, at=later(observation.at, moved_ns))


def instant_in(plain: Any, moved_ns: int) -> Instant:
    """A moment of the journal on that clock."""
    return later(from_plain(Instant, plain), moved_ns)


def later(instant: Instant, moved_ns: int) -> Instant:
    """The same moment on a monotonic clock that is ahead by so much."""
    return replace(instant, monotonic_ns=instant.monotonic_ns + moved_ns)
