"""A stretch of the lane, and which trucks touch it at a moment: what every sensor beside the road begins with."""

from collections import deque
from typing import NamedTuple

from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Passage


class _Stay(NamedTuple):
    passage: Passage
    comes: float
    leaves: float


class Stretch:
    """The lane from `from_m` to `to_m`. Asked for moments that never go back by more than `memory_s`."""

    def __init__(self, lane: Lane, from_m: float, to_m: float, memory_s: float = 0.0) -> None:
        self._lane = lane
        self._from = from_m
        self._to = to_m
        self._memory = memory_s
        self._stays: deque[_Stay] = deque()
        self._known = 0  # so many of the lane's passages were taken over into `_stays`

    def comes(self, passage: Passage) -> float:
        """When the truck's front reaches the stretch."""
        return passage.reaches(self._from)

    def leaves(self, passage: Passage) -> float:
        """When the truck's rear has left it."""
        return passage.leaves(self._to)

    def touched_by(self, at: float) -> list[Passage]:
        """The trucks that are in it, even in part, or left it less than `memory_s` ago; the foremost first."""
        return [s.passage for s in self._near(at) if s.comes <= at <= s.leaves + self._memory]

    def touched_from(self, at: float) -> float | None:
        """When a truck next is in it (or was, `memory_s` ago), from `at` on: `at` itself if one is; None: as far as is
        known, never."""
        return next((max(s.comes, at) for s in self._near(at) if s.leaves + self._memory > at), None)

    def _near(self, at: float) -> deque[_Stay]:
        passages = self._lane.passages
        while self._known < len(passages):
            passage = passages[self._known]
            self._known += 1
            self._stays.append(_Stay(passage, self.comes(passage), self.leaves(passage)))
        while self._stays and self._stays[0].leaves + self._memory < at:
            self._stays.popleft()
        return self._stays
