"""A lane that a restart takes up again: what it heard is kept beside the ledger, and a new agent hears it once more.

       observe ──► Lane ──► drafts ──► ledger          the lane decides without a clock or chance: the same things heard
          └──► journal (ledger/lane_journal.py)        in the same order make the same inspections, ids included

Only what the last thing heard had led to can be missing in the ledger; it is recorded then. An inspection goes on if
the agent was away no longer than the lane's `resume_s`; else it is closed as abandoned, with all that was learnt.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from uuid import uuid4

from edge_agent.config import LaneSetup
from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.counted import counted
from edge_agent.domain.errors import Permanent
from edge_agent.domain.event import Draft, InspectionClosed, InspectionOpened
from edge_agent.domain.inspection import Abandoned, Inspection
from edge_agent.domain.joining import Away
from edge_agent.domain.observation import Observation
from edge_agent.heard import (
    Heard,
    NamedEvidence,
    Overview,
    ReadEvidence,
    again,
    away_in,
    away_of,
    heard_in,
    instant_in,
    known_in,
    later,
    moved,
    moved_ns_since,
    noted,
    overview,
)
from edge_agent.inspection.assemble import given_up
from edge_agent.inspection.lane import Lane
from edge_agent.inspection.rules import Facts
from edge_agent.ledger.lane_journal import LaneJournal, Lines
from edge_agent.ledger.lately import Lately
from edge_agent.ledger.plain import to_plain
from edge_agent.ledger.store import Unfinished

# What a wall clock is set meanwhile, within one run of the machine.
SAME_CLOCK_NS = 5_000_000_000
TICK_S = 1e-6  # a wake time goes through a float and back
LOST = "the agent ended during this passage, and what it had observed is lost"

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
        self._journal.note(noted(observation, self._ids))
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

    def hears(self, now: Instant) -> None:
        """As of a Lane."""
        if not self.idle:
            super().hears(now)
            self._journal.note({"hears": to_plain(now)})

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
            open_ = counted(len(self.inspections), "inspection")
            log.info("lane %s: stopped with %s open; a start soon takes up what is open", self._lane_id, open_)
        return drafts

    def give_up_all(self, now: Instant, why: str) -> list[Draft]:
        """Closes what is open, kept or not."""
        return super().stop(now, why)

    def gives_up_unknown(self, ids: Collection[str], at: Instant) -> None:
        """The ledger knows nothing of these inspections: they end without a record."""
        for inspection in self.inspections:
            if inspection.id in ids:
                self.give_up(inspection, at, LOST)

    def hear_again(
        self,
        heard: Iterable[Heard],
        read: ReadEvidence,
        clock_moved_ns: int,
        holds: Callable[[bytes], bool] = lambda _: False,
    ) -> list[Draft]:
        """What an earlier run heard, in order; returns what followed from the last of it.

        `clock_moved_ns`: what the monotonic clock was ahead since then. Raises what a damaged line leads to.
        """
        drafts: list[Draft] = []
        new = True
        for line in heard:
            if "boot" in line:
                if new and (known := known_in(line, clock_moved_ns)):  # later it follows from what was heard since
                    self.knew(known)
                continue
            new = False
            if "said" in line:
                observation = heard_in(line, read, holds)
                self._said_before, self._ids = list(line["ids"]), []
                drafts = [] if observation is None else super().observe(moved(observation, clock_moved_ns))
                self._said_before = []
            elif "woke" in line:
                drafts = super().woke(instant_in(line["woke"], clock_moved_ns))
            elif "hears" in line:
                super().hears(instant_in(line["hears"], clock_moved_ns))
            elif "stopped" in line:
                drafts = self.pause(instant_in(line["stopped"], clock_moved_ns))
            elif "unknown" in line:
                self.gives_up_unknown(line["unknown"], instant_in(line["at"], clock_moved_ns))
            elif "away" in line:  # what the thing before it led to may not be recorded yet
                self.resume(away_in(line, clock_moved_ns))
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
        await asyncio.to_thread(self.begin)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the ledger holds of a lane.

    `unfinished`: its open inspections; `recorded`: whether a draft is held; `read`: a piece of evidence by its digest,
    None if it is not there; `holds`: whether it was, though its bytes may be gone; `lately`: vehicles that left.
    """

    unfinished: Sequence[Unfinished]
    recorded: Callable[[Draft], bool]
    read: ReadEvidence
    holds: Callable[[bytes], bool]
    lately: Lately = field(default_factory=Lately)


def take_up(setup: LaneSetup, journal: LaneJournal, kept: Kept, now: Instant, boot: str) -> TakenUp:
    """The lane as the last run left it, or an empty one."""
    unfinished = kept.unfinished
    try:
        heard = journal.take()
    except OSError as error:
        log.warning("lane %s: what it heard before cannot be read: %s", setup.rules.lane_id, error)
        heard = Lines()
    lane = KeptLane(setup, journal, boot)
    try:
        before = overview(heard)
        same_run = before.boot == boot != ""
        away = away_of(heard, now, same_run)
        if away is None:
            return _afresh(setup, journal, kept, now, boot)
        moved_ns = 0 if same_run else moved_ns_since(away[1], now)
        remember(lane, kept.lately, before, now)
        last = lane.hear_again(heard, kept.read, moved_ns, kept.holds)
        last = [_without_gone(draft) for draft in last if not kept.recorded(draft)]
    except Exception:
        log.exception("lane %s: what it heard before cannot be taken up", setup.rules.lane_id)
        return _afresh(setup, journal, kept, now, boot)
    known = {one.inspection_id for one in unfinished}
    known |= {d.body.inspection_id for d in last if isinstance(d.body, InspectionOpened)}
    last = [d for d in last if not isinstance(d.body, InspectionClosed) or d.body.inspection.id in known]
    known -= {d.body.inspection.id for d in last if isinstance(d.body, InspectionClosed)}
    unknown = sorted({one.id for one in lane.inspections} - known)
    if unknown:
        log.error(
            "lane %s: its ledger knows nothing of %s that it heard of",
            setup.rules.lane_id,
            counted(len(unknown), "inspection"),
        )
        lane.gives_up_unknown(unknown, away[0].since)
    there = {one.id for one in lane.inspections}
    lost = [one for one in unfinished if one.inspection_id in known - there]
    drafts = [*last, *(given_up(one.inspection_id, one.lane_id, one.opened, now, LOST) for one in lost)]
    lane.resume(away[0])
    if why := _too_late(setup, away, moved_ns, now):
        drafts += [draft for draft in lane.give_up_all(now, why) if not kept.recorded(draft)]
        empty = _afresh(setup, journal, replace(kept, unfinished=()), now, boot)
        return replace(empty, drafts=tuple(drafts), heard_by=lane)
    if there:
        log.warning(
            "lane %s: open inspections that go on after %.0f s: %d", setup.rules.lane_id, away[0].seconds, len(there)
        )
    journal.survived()
    begin = partial(journal.begin, again(heard, away[0], boot, moved_ns, unknown))
    return TakenUp(lane, tuple(drafts), lane, begin)


def remember(lane: Lane, lately: Lately, heard: Overview, now: Instant) -> None:
    """Vehicles that left before what is heard again; and whoever matched nothing: that is not heard again."""
    left = [replace(one, inspection=_on_clock_of(now, one.inspection)) for one in lately.left]
    lane.remember(
        [one.inspection for one in left if one.inspection.id not in heard.opened],
        [scan for scan in lately.waiting if (scan.device_id, scan.at.utc.isoformat()) not in heard.scans],
    )
    lane.remember_unmatched(
        Facts(one.inspection, looked=frozenset(one.inspection.looked_for), files=one.files)
        for one in left
        if one.unmatched
    )


def _on_clock_of(now: Instant, inspection: Inspection) -> Inspection:
    """Brought to this run of the machine by the wall clock, if it is of another one."""
    closed = inspection.closed
    moved_ns = moved_ns_since(closed, now)
    if abs(moved_ns) < SAME_CLOCK_NS:
        return inspection
    return replace(inspection, opened=later(inspection.opened, moved_ns), closed=later(closed, moved_ns))


def _without_gone(draft: Draft) -> Draft:
    return replace(draft, evidence=tuple(e for e in draft.evidence if not isinstance(e, NamedEvidence)))


def _afresh(setup: LaneSetup, journal: LaneJournal, kept: Kept, now: Instant, boot: str) -> TakenUp:
    journal.survived()
    lane = KeptLane(setup, journal, boot)
    remember(lane, kept.lately, overview(()), now)
    lost = (given_up(one.inspection_id, one.lane_id, one.opened, now, LOST) for one in kept.unfinished)
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
