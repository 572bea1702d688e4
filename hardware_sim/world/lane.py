"""One lane's traffic: the trucks that wait to come, those that came, and where each is at any moment.

    scripted trucks ─┐
                     ├─► waiting ──arrives──► passages (grows, is never changed) ◄── devices ask
    send(truck) ─────┘

A truck's drive is settled when it comes into the lane, not before: one that is sent meanwhile can still come first.
Positions are metres along the lane, the origin at 0 (where the first portal stands), driving direction positive; a
truck's position is that of its front. Times are seconds on the world's clock.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from math import inf

from hardware_sim.world.arrivals import Arrival
from hardware_sim.world.passage import Layout, Passage, least_distance
from hardware_sim.world.truck import Truck

# A port's traffic of a year; each truck is remembered.
MAX_TRUCKS = 1_000_000
# From a truck's rear to the front of the one that follows.
_DISTANCE_M = 0.5
# Trucks that may wait to be let in at once.
MAX_WAITING = 10_000

# When each scripted truck comes, afresh from the first one.
Plan = Callable[[], Iterator[Arrival]]


class LaneFull(ValueError):
    """More trucks are sent than a lane takes."""


class Lane:
    """The trucks of one lane in order. Traffic stands still until `open` says when it begins."""

    def __init__(
        self,
        trucks: Sequence[Truck],
        layout: Layout,
        plan: Plan = lambda: repeat(Arrival(8.0)),
        *,
        id: str = "1",
        on_demand: bool = False,
        least_gap: float = 0.0,
    ) -> None:
        """`plan` says when each scripted truck comes; `least_gap` holds for trucks that are sent. With `on_demand` the
        lane is never over, since more may be sent."""
        self.id = id
        self.layout = layout
        self.on_demand = on_demand
        self.passages: list[Passage] = []
        self.began: float | None = None
        self._trucks = list(trucks)
        self._scripted = deque(trucks)
        self._sent: deque[tuple[Truck, float]] = deque()
        self._plan = plan
        self._least_gap = least_gap
        self._arrivals: list[float] = []
        self._next: Passage | None = None
        self._next_is_sent = False
        self._arrival = Arrival(0.0)
        self.paused = False
        self._not_before = -inf

    @property
    def trucks(self) -> tuple[Truck, ...]:
        """Every truck that is known: scripted, and sent so far."""
        return tuple(self._trucks)

    @property
    def truck_count(self) -> int:
        return len(self._trucks)

    @property
    def is_open(self) -> bool:
        return self.began is not None

    @property
    def over(self) -> bool:
        """Nobody waits, and nobody more will come."""
        return self.is_open and not self.on_demand and self._next is None

    def open(self, at: float) -> None:
        """Let traffic begin at `at`."""
        self.began = at
        self._planned = self._plan()
        self._arrival = next(self._planned)
        self._settle_next(at)

    def send(self, truck: Truck, at: float) -> None:
        """Let a truck come besides the scripted ones: into the lane at `at`, or as soon as it can follow.
        Raises LaneFull."""
        if len(self._sent) >= MAX_WAITING or len(self._trucks) >= MAX_TRUCKS:
            raise LaneFull(f"{len(self._sent)} trucks wait for lane {self.id} already: let them pass first")
        self._trucks.append(truck)
        self._sent.append((truck, at))
        if self.began is not None and len(self._sent) == 1:  # others that wait come first
            self._settle_next(self.began)

    def next_arrival(self) -> float | None:
        """When the next truck comes into the lane, by what is known now."""
        return None if self._next is None or self.paused else self._next.arrives

    def pause(self) -> None:
        """No truck comes into the lane until `resume`; those in it drive on."""
        self.paused = True

    def resume(self, at: float) -> None:
        """Trucks come again: the next one at `at` at the earliest, and so on after it."""
        if self.paused:
            self.paused = False
            self._not_before = at
            if self.began is not None:
                self._settle_next(self.began)

    def advance(self, until: float) -> None:
        """Let in every truck that arrives up to `until`."""
        while self.began is not None and self._next is not None and not self.paused and self._next.arrives <= until:
            passage = self._next
            self.passages.append(passage)
            self._arrivals.append(passage.arrives)
            if self._next_is_sent:
                self._sent.popleft()
            else:
                self._scripted.popleft()
                self._arrival = next(self._planned)
            self._settle_next(self.began)

    def _settle_next(self, began: float) -> None:
        """Who comes next: the scripted truck whose turn it is, or the one that was sent, if it can be there before."""
        before = self.passages[-1] if self.passages else None
        free = began if before is None else before.clears
        scripted = sent = None
        if self._scripted:
            enters = max(free + self._arrival.gap, began + self._arrival.not_before)
            scripted = self._after(before, Passage(self._scripted[0], self.layout, enters))
        if self._sent:
            truck, at = self._sent[0]
            sent = Passage.arriving(truck, self.layout, max(at, began))
            if before is not None and sent.enters < free + self._least_gap:
                sent = Passage(truck, self.layout, free + self._least_gap)
            sent = self._after(before, sent)
        self._next_is_sent = sent is not None and (scripted is None or sent.enters < scripted.enters)
        chosen = sent if self._next_is_sent else scripted
        if chosen is not None and chosen.arrives < self._not_before:
            chosen = chosen.delayed(self._not_before - chosen.arrives)
        self._next = chosen

    @staticmethod
    def _after(before: Passage | None, passage: Passage) -> Passage:
        """The passage, later if it would come nearer to the truck before than drivers do."""
        if before is None:
            return passage
        while passage.arrives < before.departs:
            distance, at = least_distance(before, passage)
            if distance >= _DISTANCE_M:
                return passage
            passage = passage.delayed(0.1 + (_DISTANCE_M - distance) / max(1.0, abs(passage.speed(at))))
        return passage

    def last_within(self, at: float) -> Truck | None:
        """The truck whose front was the last at the origin up to `at`; before any, the one that comes first."""
        for passage in reversed(self.passages):
            if passage.enters <= at:
                return passage.truck
        return self._trucks[0] if self._trucks else None

    def seen(self, at: float) -> list[Passage]:
        """The trucks that are in the lane at `at`, the foremost first."""
        index = bisect_right(self._arrivals, at) - 1
        found: list[Passage] = []
        while index >= 0 and self.passages[index].departs >= at:  # nobody overtakes
            found.append(self.passages[index])
            index -= 1
        return found[::-1]
