"""Plays the world: wakes each device at its moment and hands its bytes on, in real time or step by step.

    lane + devices ──► next_due / step ──► Said(at, device, bytes) ──► links
                                      └──► Departed(passage, what the devices said) ──► truth

The player itself neither sleeps nor writes; `play` is the thin shell that does, on the clock and with the sleeper
that it is given.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_agent.domain.clock import Clock
from hardware_sim.world.lane import Lane, Passage

# While traffic is held, how soon its release is noticed.
_HELD_POLL_S = 0.05
_AFTER_HOLD_IN_S = 0.5


class Device(Protocol):
    """A simulated device on the world's clock; it decides by itself when it next has something to say."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    def connected(self) -> bytes: ...
    def next_wake(self) -> float | None: ...
    def woke(self, now: float) -> bytes: ...
    def said_of(self, passage: Passage) -> dict[str, object] | None: ...


@dataclass(frozen=True, slots=True)
class Said:
    """Bytes that a device sends at `at`."""

    at: float
    device: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Departed:
    """A truck has left the lane; `said` holds, by device, what was said of it."""

    at: float
    passage: Passage
    said: dict[str, dict[str, object]]


class Player:
    """Steps the world from one moment at which something happens to the next."""

    def __init__(self, lane: Lane, devices: Sequence[Device], settle_s: float = 0.0) -> None:
        """`settle_s`: how long after a truck has left the portal a device may still speak of it."""
        self.lane = lane
        self._devices = tuple(devices)
        self._settle = settle_s + _AFTER_HOLD_IN_S
        self._departed = 0

    @property
    def finished(self) -> bool:
        """The last truck has left."""
        return self._departed == len(self.lane.trucks)

    def next_due(self) -> float | None:
        """When something happens next; None when nothing ever will."""
        moments = [at for device in self._devices if (at := device.next_wake()) is not None]
        if (departs := self._next_departure()) is not None:
            moments.append(departs)
        return min(moments, default=None)

    def step(self, now: float) -> Iterator[Said | Departed]:
        """What happens up to `now`, in order of time; devices of the same moment in the scenario's order."""
        while (due := self.next_due()) is not None and due <= now and not self.finished:
            for device in self._devices:
                if (wake := device.next_wake()) is not None and wake <= due and (data := device.woke(due)):
                    yield Said(due, device.name, data)
            departs = self._next_departure()
            if departs is not None and departs <= due:
                passage = self.lane.passages[self._departed]
                self._departed += 1
                yield Departed(due, passage, self._said_of(passage))

    def _next_departure(self) -> float | None:
        if self._departed >= len(self.lane.passages):
            return None
        passage = self.lane.passages[self._departed]
        return max(passage.departs, passage.clears + self._settle)

    def _said_of(self, passage: Passage) -> dict[str, dict[str, object]]:
        said = ((device.name, device.said_of(passage)) for device in self._devices)
        return {name: values for name, values in said if values is not None}


async def play(
    player: Player,
    clock: Clock,
    on: Callable[[Said | Departed], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    released: asyncio.Event | None = None,
) -> None:
    """Play until the last truck has left. Traffic begins at once, or when `released` is set."""
    if released is None:
        player.lane.open(clock.monotonic())
    while not player.finished:
        if released is not None and released.is_set() and not player.lane.is_open:
            player.lane.open(clock.monotonic())
        now = clock.monotonic()
        for happening in player.step(now):
            on(happening)
        due = player.next_due()
        wait = _HELD_POLL_S if due is None else max(0.0, due - clock.monotonic())
        if not player.lane.is_open:
            wait = min(wait, _HELD_POLL_S)
        if not player.finished:
            await sleep(wait)
