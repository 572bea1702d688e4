"""A stretch of the lane, and which trucks touch it at a moment: what every sensor beside the road begins with."""

from collections import deque
from typing import NamedTuple

from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Passage


class _Stay(NamedTuple):
    passage: Passage
    spans: list[tuple[float, float]]  # from when to when; several for a truck that goes back

    @property
    def leaves(self) -> float:
        return self.spans[-1][1]


class Stretch:
    """The lane from `from_m` to `to_m`. Asked for moments that never go back by more than `memory_s`."""

    def __init__(self, lane: Lane, from_m: float, to_m: float, memory_s: float = 0.0) -> None:
        self._lane = lane
        self._from = from_m
        self._to = to_m
        self._memory = memory_s
        self._stays: deque[_Stay] = deque()
        self._known = 0  # so many of the lane's passages were taken over into `_stays`

    def spans(self, passage: Passage) -> list[tuple[float, float]]:
        """From when to when some part of the truck is in it."""
        length = passage.truck.length_m
        start = passage.position(passage.arrives)
        changes = [(c.at, c.forward) for c in passage.crossings(self._from)]
        changes += [(c.at, not c.forward) for c in passage.crossings(self._to + length)]
        since = passage.arrives if self._from < start < self._to + length else None
        found: list[tuple[float, float]] = []
        for at, there in sorted(changes):
            if there and since is None:
                since = at
            elif not there and since is not None:
                found.append((since, at))
                since = None
        if since is not None:
            found.append((since, passage.departs))
        return found

    def leaves(self, passage: Passage) -> float:
        """When the truck has left it for good; as it leaves the lane, if it never is there."""
        spans = self.spans(passage)
        return spans[-1][1] if spans else passage.departs

    def touched_by(self, at: float) -> list[Passage]:
        """The trucks that are in it, even in part, or were less than `memory_s` ago; the foremost first."""
        memory = self._memory
        return [s.passage for s in self._near(at) if any(a <= at <= b + memory for a, b in s.spans)]

    def touched_from(self, at: float) -> float | None:
        """When a truck next is in it (or was, `memory_s` ago), from `at` on: `at` itself if one is; None: as far as is
        known, never."""
        moments = (max(a, at) for s in self._near(at) for a, b in s.spans if b + self._memory > at)
        return min(moments, default=None)

    def _near(self, at: float) -> deque[_Stay]:
        passages = self._lane.passages
        while self._known < len(passages):
            passage = passages[self._known]
            self._known += 1
            if spans := self.spans(passage):
                self._stays.append(_Stay(passage, spans))
        while self._stays and self._stays[0].leaves + self._memory < at:
            self._stays.popleft()
        return self._stays
