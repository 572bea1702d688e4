"""Plays one lane: lets trucks in, wakes each device at its moment and hands its bytes on.

    lane + devices ──► next_due / step ──► Said(at, device, bytes) ──► links
                                      └──► Departed(passage, what the devices said) ──► truth

The player itself neither sleeps nor writes; `play` is the thin shell that does, on the clock and with the wait
that it is given.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_agent.domain.clock import Clock
from hardware_sim.device import Simulated
from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Passage


@dataclass(frozen=True, slots=True)
class Said:
    """What a device says at `at`: the bytes for its links, or a service's payload."""

    at: float
    device: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Departed:
    """A truck has left the lane; `said` holds, by device, what was said of it."""

    at: float
    passage: Passage
    said: dict[str, dict[str, object]]


class Disturbing(Protocol):
    """What goes wrong in a run, on the world's clock: stepped with the devices, before what they say then."""

    def next_due(self) -> float | None: ...
    def step(self, now: float) -> None: ...


class Player:
    """Steps one lane from one moment at which something happens to the next."""

    def __init__(self, lane: Lane, devices: Sequence[Simulated], faults: Disturbing | None = None) -> None:
        self.lane = lane
        self.devices = tuple(devices)
        self.faults = faults
        self._departed = 0
        self.due: float | None = None
        self._wakes: list[float | None] = []
        self._services = [n for n, device in enumerate(self.devices) if not hasattr(device, "received")]
        self._head: tuple[int, float] | None = None  # the truck that departs next, and when

    @property
    def finished(self) -> bool:
        """The last truck has left, and none can come."""
        return self.lane.over and self._departed == len(self.lane.passages)

    def next_due(self) -> float | None:
        """When something happens next; None when nothing ever will by what is known now."""
        self._look()
        return self._earliest()

    def step(self, now: float, *, spoken: bool = True) -> Iterator[Said | Departed]:
        """What happens up to `now`, in order of time; devices of the same moment in the scenario's order. Afterwards
        `due` is when something happens next, for as long as nobody speaks to a device or sends a truck. `spoken`: one
        may have done so since the last step; False spares asking each device when it wants to be woken."""
        if spoken or len(self._wakes) < len(self.devices):
            self._look()
        else:
            for number in self._services:  # their peers speak to them unseen
                self._wakes[number] = self.devices[number].next_wake()
        while not self.finished and (due := self._earliest()) is not None and due <= now:
            arrives, disturbed = self.lane.next_arrival(), self.faults.next_due() if self.faults is not None else None
            self.lane.advance(due)
            if self.faults is not None:
                self.faults.step(due)
            if (arrives is not None and arrives <= due) or (disturbed is not None and disturbed <= due):
                self._look()  # what devices wait for may have changed
            for number, device in enumerate(self.devices):
                if (wake := self._wakes[number]) is not None and wake <= due:
                    data = device.woke(due)
                    self._wakes[number] = device.next_wake()
                    if data:
                        yield Said(due, device.name, data)
            departs = self._next_departure()
            if departs is not None and departs <= due:
                passage = self.lane.passages[self._departed]
                self._departed += 1
                yield Departed(due, passage, self._said_of(passage))
        self.due = None if self.finished else self._earliest()

    def _look(self) -> None:
        self._wakes = [device.next_wake() for device in self.devices]

    def _earliest(self) -> float | None:
        due: float | None = None
        disturbed = self.faults.next_due() if self.faults is not None else None
        for moment in (*self._wakes, disturbed, self.lane.next_arrival(), self._next_departure()):
            if moment is not None and (due is None or moment < due):
                due = moment
        return due

    def _next_departure(self) -> float | None:
        if self._departed >= len(self.lane.passages):
            return None
        if self._head is None or self._head[0] != self._departed:
            passage = self.lane.passages[self._departed]
            done = max((device.done_with(passage) for device in self.devices), default=passage.departs)
            self._head = self._departed, max(passage.departs, done)
        return self._head[1]

    def _said_of(self, passage: Passage) -> dict[str, dict[str, object]]:
        said = ((device.name, device.said_of(passage)) for device in self.devices)
        return {name: values for name, values in said if values is not None}


async def play(
    player: Player,
    clock: Clock,
    on: Callable[[Said | Departed], None],
    wait: Callable[[float | None], Awaitable[bool]],
) -> None:
    """Play until the last truck has left. `wait` returns after so many of the world's seconds (None: for ever), or
    sooner when something may have changed (a truck was sent, a device was asked), and says whether it did."""
    spoken = True
    while True:
        for happening in player.step(clock.monotonic(), spoken=spoken):
            on(happening)
        if player.finished:
            return
        due = player.due
        left = None if due is None else due - clock.monotonic()
        if left is None or left > 0:
            spoken = await wait(left)
        else:
            spoken = True
            await asyncio.sleep(0)  # behind the clock: whoever reads gets a turn all the same
