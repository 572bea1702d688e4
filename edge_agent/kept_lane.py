"""A lane that a restart takes up again: what it heard is kept beside the ledger, and a new agent hears it once more.

       observe ──► Lane ──► drafts ──► ledger          the lane decides without a clock or chance: the same things heard
          └──► journal (ledger/lane_journal.py)        in the same order make the same inspections, ids included

Only what the last thing heard had led to can be missing in the ledger; it is recorded then. An inspection goes on if
the agent was away no longer than the lane's `resume_s`; else it is closed as abandoned, with all that was learnt.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from edge_agent.config import LaneSetup
from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.errors import Permanent
from edge_agent.domain.event import Draft, InspectionClosed, InspectionOpened
from edge_agent.domain.evidence import Evidence, EvidenceRef
from edge_agent.domain.inspection import Abandoned
from edge_agent.domain.joining import Away
from edge_agent.domain.observation import Observation, ScanImage
from edge_agent.inspection.assemble import given_up
from edge_agent.inspection.lane import Lane, LaneKnown
from edge_agent.ledger.lane_journal import LaneJournal
from edge_agent.ledger.plain import from_plain, to_plain
from edge_agent.ledger.store import Unfinished

TICK_S = 1e-6  # a wake time goes through a float and back
LOST = "the agent ended during this passage, and what it had observed is lost"

ReadEvidence = Callable[[bytes], bytes | None]
Heard = Mapping[str, Any]
Record = Callable[[Draft], Awaitable[object]]
# A lane's draft with what the port expects of it.
Compared = Callable[[Lane, Draft], Awaitable[Draft]]

log = logging.getLogger(__name__)


def boot_id() -> str:
    """One run of the machine, within which its monotonic clock goes on; '' if the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class KeptLane(Lane):
    """A `Lane` that notes what happens. Its `stop` leaves inspections open, where they can be taken up."""

    def __init__(self, setup: LaneSetup, journal: LaneJournal, boot: str) -> None:
        super().__init__(setup.rules, setup.providers, self._new_id)
        self._journal = journal
        self._boot = boot
        self._lane_id = setup.rules.lane_id
        self._keep_s = setup.rules.memory_s
        self._begun: float | None = None
        self._turns = 0  # of an empty lane that hears nothing, until what it heard is gone
        self._ids: list[str] = []
        self._said_before: list[str] = []

    def _new_id(self) -> str:
        self._ids.append(self._said_before.pop(0) if self._said_before else str(uuid4()))
        return self._ids[-1]

    def observe(self, observation: Observation) -> list[Draft]:
        """As of a Lane."""
        if self.idle and self._is_old(observation.at.monotonic):
            self._turn(observation.at.monotonic)
        self._turns = 2
        self._ids = []
        drafts = super().observe(observation)
        self._journal.note(_noted(observation, self._ids))
        return drafts

    def woke(self, now: Instant) -> list[Draft]:
        """As of a Lane."""
        if self.idle and self._turns and self._is_old(now.monotonic):
            self._turn(now.monotonic)
            self._turns -= 1
        drafts = super().woke(now)
        self._journal.note({"woke": to_plain(now)})
        return drafts

    def next_wake(self) -> float | None:
        """As of a Lane, and when an empty one is to forget what it heard."""
        wake = super().next_wake()
        if not (self.idle and self._turns) or self._begun is None:
            return wake
        old = self._begun + self._keep_s
        return old if wake is None else min(wake, old)

    def resume(self, away: Away) -> None:
        """As of a Lane."""
        super().resume(away)
        self._begun, self._turns = away.until.monotonic, 2

    def _is_old(self, at: float) -> bool:
        return self._begun is None or at - self._begun >= self._keep_s - TICK_S

    def _turn(self, at: float) -> None:
        self._begun = at
        self._journal.turn()
        self._journal.note({"boot": self._boot, "known": to_plain(self.known)})

    def stop(self, now: Instant, why: str) -> list[Draft]:
        """The open inspections wait for the next start, if it can know of them; else they are given up."""
        if not self._journal.keeps:
            return super().stop(now, why)
        drafts = self.pause(now)
        self._journal.note({"stopped": to_plain(now)})
        self._journal.close()
        if self.inspections:
            open_ = len(self.inspections)
            log.info("lane %s: stopped with %d inspections open; a start soon takes them up", self._lane_id, open_)
        return drafts

    def give_up_all(self, now: Instant, why: str) -> list[Draft]:
        """Closes what is open, kept or not."""
        return super().stop(now, why)

    def hear_again(self, heard: Iterable[Heard], read: ReadEvidence, clock_moved_ns: int) -> list[Draft]:
        """What an earlier run heard, in order; returns what followed from the last of it.

        `clock_moved_ns`: what the monotonic clock was ahead since then. Raises what a damaged line leads to.
        """
        drafts: list[Draft] = []
        new = True
        for line in heard:
            if "boot" in line:
                if new and (known := _known(line, clock_moved_ns)):  # later it follows from what was heard since
                    self.knew(known)
                continue
            new = False
            if "said" in line:
                observation = _heard(line, read)
                self._said_before, self._ids = list(line["ids"]), []
                drafts = [] if observation is None else super().observe(_moved(observation, clock_moved_ns))
                self._said_before = []
            elif "woke" in line:
                drafts = super().woke(_instant(line["woke"], clock_moved_ns))
            elif "stopped" in line:
                drafts = self.pause(_instant(line["stopped"], clock_moved_ns))
            elif "away" in line:  # what the thing before it led to may not be recorded yet
                away = from_plain(Away, line["away"])
                self.resume(
                    replace(
                        away,
                        since=_later(away.since, clock_moved_ns),
                        until=_later(away.until, clock_moved_ns),
                    )
                )
        return drafts


@dataclass(frozen=True, slots=True)
class TakenUp:
    """A lane to go on with, and what is to be recorded before it hears anything new.

    `heard_by` is the lane that made these drafts. Once they are durable, `begin` lets go of what they came from.
    """

    lane: KeptLane
    drafts: tuple[Draft, ...]
    heard_by: KeptLane
    begin: Callable[[], None]

    async def settle(self, record: Record, compared: Compared) -> None:
        """Records the drafts as the lane's own are. A kill in the middle leaves the rest to the next start."""
        for draft in self.drafts:
            body = draft.body
            lost = isinstance(body, InspectionClosed) and body.inspection.outcome == Abandoned(LOST)
            try:
                await record(draft if lost else await compared(self.heard_by, draft))
            except (Permanent, ValueError, TypeError):  # it ended the last run: it must not end every start
                log.exception("what an earlier run heard last leads to what cannot be an event")
                if isinstance(body, InspectionClosed):
                    was = body.inspection
                    await record(given_up(was.id, was.lane_id, was.opened, was.closed, LOST))
        self.begin()


def take_up(
    setup: LaneSetup,
    journal: LaneJournal,
    unfinished: Sequence[Unfinished],
    now: Instant,
    boot: str,
    read: ReadEvidence,
    recorded: Callable[[Draft], bool],
) -> TakenUp:
    """The lane as the last run left it, or an empty one.

    `unfinished` are the ledger's open inspections of this lane; `recorded` tells whether the ledger holds a draft.
    """
    try:
        heard = journal.take()
    except OSError as error:
        log.warning("lane %s: what it heard before cannot be read: %s", setup.rules.lane_id, error)
        heard = []
    lane = KeptLane(setup, journal, boot)
    try:
        away = _away(heard, now, boot)
        if away is None:
            return _afresh(setup, journal, unfinished, now, boot)
        moved_ns = 0 if _boot(heard) == boot != "" else _moved_ns(away[1], now)
        last = [draft for draft in lane.hear_again(heard, read, moved_ns) if not recorded(draft)]
    except Exception:
        log.exception("lane %s: what it heard before cannot be taken up", setup.rules.lane_id)
        return _afresh(setup, journal, unfinished, now, boot)
    known = {one.inspection_id for one in unfinished}
    known |= {d.body.inspection_id for d in last if isinstance(d.body, InspectionOpened)}
    last = [d for d in last if not isinstance(d.body, InspectionClosed) or d.body.inspection.id in known]
    known -= {d.body.inspection.id for d in last if isinstance(d.body, InspectionClosed)}
    there = {one.id for one in lane.inspections}
    if there - known:
        log.error("lane %s: its ledger knows nothing of an inspection that it heard of", setup.rules.lane_id)
        return _afresh(setup, journal, unfinished, now, boot)
    lost = [one for one in unfinished if one.inspection_id in known - there]
    drafts = [*last, *(given_up(one.inspection_id, one.lane_id, one.opened, now, LOST) for one in lost)]
    lane.resume(away[0])
    if why := _too_late(setup, away, moved_ns, now):
        drafts += lane.give_up_all(now, why)
        empty = _afresh(setup, journal, (), now, boot)
        return replace(empty, drafts=tuple(drafts), heard_by=lane)
    if there:
        log.warning("lane %s: %d inspections go on after %.0f s", setup.rules.lane_id, len(there), away[0].seconds)
    journal.survived()
    begin = partial(journal.begin, _again(heard, away[0], boot, moved_ns))
    return TakenUp(lane, tuple(drafts), lane, begin)


def _afresh(
    setup: LaneSetup, journal: LaneJournal, unfinished: Sequence[Unfinished], now: Instant, boot: str
) -> TakenUp:
    journal.survived()
    lane = KeptLane(setup, journal, boot)
    lost = (given_up(one.inspection_id, one.lane_id, one.opened, now, LOST) for one in unfinished)
    return TakenUp(lane, tuple(lost), lane, partial(journal.begin, [{"boot": boot}]))


def _too_late(setup: LaneSetup, away: tuple[Away, Instant], moved_ns: int, now: Instant) -> str:
    """Why an inspection cannot go on; '' if it can."""
    absence, last = away
    unsure = [i for i in (last, now) if i.clock_state is not ClockState.SYNCHRONISED]
    if (moved_ns and unsure) or absence.seconds < 0:
        return "the machine was started anew during this passage, and its clock cannot tell how long it was away"
    if absence.seconds > setup.rules.resume_s:
        how = "stopped" if absence.stopped else "not running"
        return f"the agent was {how} for {absence.seconds:.0f} s of this passage, over {setup.rules.resume_s:g} s"
    return ""


# --- lines of the journal -------------------------------------------------------------------------------------------


def _noted(observation: Observation, ids: list[str]) -> dict[str, Any]:
    if not isinstance(observation.body, ScanImage):
        return {"said": to_plain(observation), "ids": list(ids)}
    files = tuple(evidence.ref for evidence in observation.evidence)  # in the ledger before the scanner is answered
    return {"said": to_plain(replace(observation, evidence=())), "ids": list(ids), "files": to_plain(files)}


def _heard(line: Heard, read: ReadEvidence) -> Observation | None:
    """None: a scan of which the ledger has no file. The scanner was not answered, and sends it again."""
    observation = from_plain(Observation, line["said"])
    evidence = []
    for said in line.get("files", ()):
        ref = from_plain(EvidenceRef, said)
        data = read(ref.sha256)
        if data is None:
            return None
        evidence.append(Evidence(ref.kind, ref.media_type, data))
    return replace(observation, evidence=(*observation.evidence, *evidence))


def _again(heard: Iterable[Heard], away: Away, boot: str, moved_ns: int) -> Iterator[Heard]:
    """The same on the clock of this run of the machine, and the absence."""
    yield {"boot": boot}
    for line in heard:
        if "boot" in line:
            known = _known(line, moved_ns)
            yield {"boot": boot, "known": to_plain(known)} if known else {"boot": boot}
        elif "said" in line:
            observation = from_plain(Observation, line["said"])
            yield {**line, "said": to_plain(_moved(observation, moved_ns))}
        elif "away" not in line:
            yield {key: to_plain(_instant(value, moved_ns)) for key, value in line.items()}
        else:
            before = from_plain(Away, line["away"])
            before = replace(before, since=_later(before.since, moved_ns), until=_later(before.until, moved_ns))
            yield {"away": to_plain(before)}
    yield {"away": to_plain(away)}


def _away(heard: Sequence[Heard], now: Instant, boot: str) -> tuple[Away, Instant] | None:
    """From the last thing heard until now, on this run's clock; with that last moment as it was noted."""
    for line in reversed(heard):
        stopped = "stopped" in line
        if "said" in line:
            last = from_plain(Instant, line["said"]["at"])
        elif "away" in line:
            last = from_plain(Away, line["away"]).until
        elif stopped or "woke" in line:
            last = _instant(line["stopped" if stopped else "woke"], 0)
        else:
            continue
        moved = 0 if _boot(heard) == boot != "" else _moved_ns(last, now)
        return Away(_later(last, moved), now, stopped), last
    return None


def _boot(heard: Sequence[Heard]) -> str:
    return next((str(line["boot"]) for line in reversed(heard) if "boot" in line), "")


def _moved_ns(last: Instant, now: Instant) -> int:
    """What the monotonic clock of this run of the machine is ahead of the last one's, by the wall clock."""
    since = now.utc - last.utc
    return now.monotonic_ns - round(since.total_seconds() * 1e9) - last.monotonic_ns


def _known(line: Heard, moved_ns: int) -> LaneKnown | None:
    """What the lane knew when it was empty; agents before this one noted only which devices were down."""
    if "known" not in line:
        return LaneKnown(down=tuple(line["down"].items())) if "down" in line else None
    known = from_plain(LaneKnown, line["known"])
    return replace(known, sensors=tuple(sensor.moved(moved_ns / 1e9) for sensor in known.sensors))


def _moved(observation: Observation, moved_ns: int) -> Observation:
    return replace(observation, at=_later(observation.at, moved_ns))


def _instant(plain: Any, moved_ns: int) -> Instant:
    return _later(from_plain(Instant, plain), moved_ns)


def _later(instant: Instant, moved_ns: int) -> Instant:
    return replace(instant, monotonic_ns=instant.monotonic_ns + moved_ns)
