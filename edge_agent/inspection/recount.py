"""What a lane did between its last count and the end of a run that ended without a word: counted from its ledger.

    events of earlier runs, in order ──► the same Statistics as of a lane that runs ──► parts of quarters, cut off

The rules, each with its test in tests/unit/test_recount.py:

1. A part that was recorded counts what lies before it in its run. What follows it is counted here; of a run that
   recorded none, what follows its beginning. One that was stopped has nothing left to count.
2. A run lasted as far as the last event that it signed, of whatever lane: up to there time is covered, not beyond.
3. What was counted here before, at an earlier start, is not counted again.
4. Of a run whose beginning is not known nothing is counted before its first part.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeGuard

from edge_agent.domain.clock import Instant
from edge_agent.domain.event import Draft, Recorded, SessionOpened
from edge_agent.domain.statistics import LaneStatistics, PartEnd
from edge_agent.inspection.assemble import Provider
from edge_agent.inspection.records import LaneRules
from edge_agent.inspection.statistics import Statistics

# A run records a part at the end of each quarter: one that left more recorded none at all, an old agent's.
MAX_PARTS = 2
# Looks are never closer: a moment goes through a float and back.
TICK_S = 0.001


def recount(
    rules: LaneRules, providers: Iterable[Provider], recorded: Iterable[Recorded], now: Instant
) -> tuple[Draft, ...]:
    """The parts of earlier runs that are still to be recorded. `recorded` are the last events of the ledger, up to the
    one with which this run began."""
    known, run, parts = tuple(providers), None, list[LaneStatistics]()
    for one in recorded:
        body = one.draft.body if one.draft is not None else None
        if isinstance(body, SessionOpened):
            parts += run.left() if run is not None else ()
            run = _Run(rules, known, one.at, from_its_beginning=True)
        elif run is None:
            run = _Run(rules, known, one.at, from_its_beginning=False)
            run.goes_on(one)
        elif _is_recount(body, rules.lane_id):
            parts = [part for part in parts if part.begin.utc > body.begin.utc]
        else:
            run.goes_on(one)
    return tuple(Draft(part, now) for part in parts)


def _is_recount(body: object, lane_id: str) -> TypeGuard[LaneStatistics]:
    return isinstance(body, LaneStatistics) and body.lane_id == lane_id and body.ended is PartEnd.CUT_OFF


class _Run:
    """One run of the agent, as one lane's statistics saw it."""

    def __init__(
        self, rules: LaneRules, providers: tuple[Provider, ...], at: Instant, from_its_beginning: bool
    ) -> None:
        self._lane_id = rules.lane_id
        self._statistics = Statistics(rules, providers)
        self._statistics.look(at)
        self._last = at
        self._parts: list[LaneStatistics] = []
        self._counts = from_its_beginning

    def goes_on(self, one: Recorded) -> None:
        """Its next event."""
        self._until(one.at)
        if one.draft is None or one.lane_id != self._lane_id:
            return
        body = one.draft.body
        if not isinstance(body, LaneStatistics):
            self._statistics.take([one.draft])
            return
        self._parts, self._counts = [], body.ended is not PartEnd.STOPPED
        self._statistics.begin(body.end if body.ended is PartEnd.QUARTER else one.at)

    def left(self) -> list[LaneStatistics]:
        """What it did not record."""
        if not self._counts:
            return []
        self._note(self._statistics.stop(self._last, PartEnd.CUT_OFF))
        return [] if len(self._parts) > MAX_PARTS else [replace(part, ended=PartEnd.CUT_OFF) for part in self._parts]

    def _until(self, at: Instant) -> None:
        """The agent looked each minute, as it does. Events may be dated before the one that precedes them."""
        while (left_s := at.monotonic - self._last.monotonic) > 0:
            step_s = max(TICK_S, self._statistics.next_wake() - self._last.monotonic)
            self._last = replace(self._last.shifted(step_s), clock_state=at.clock_state) if step_s < left_s else at
            self._note(self._statistics.look(self._last))

    def _note(self, drafts: Iterable[Draft]) -> None:
        self._parts += [draft.body for draft in drafts if isinstance(draft.body, LaneStatistics)]
