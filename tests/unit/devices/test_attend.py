"""A source is kept running: what it says of itself, what it is told by its end, and when it is given up."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from pydantic import BaseModel

from edge_agent.devices.attend import attend
from edge_agent.devices.back_off import BACK_OFF_MAX_S
from edge_agent.devices.catalogue import SourceDriver
from edge_agent.devices.source import Emit
from edge_agent.domain.errors import LinkDown, StoreFailed
from edge_agent.domain.observation import DeviceState, DeviceStatus, Malformed, Opaque, Presence, Reading
from tests.unit.devices.test_talk import SteppedClock

Turn = Callable[[Emit], Awaitable[None]]


class Settings(BaseModel):
    pass


@dataclass
class Booth:
    """Each run of the source is one of `turns`; the script is over when there is none left."""

    turns: list[Turn]
    clock: SteppedClock = field(default_factory=SteppedClock)
    said: list[str] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    refuses: Exception | None = None

    async def run(self, emit: Emit) -> None:
        if not self.turns:
            raise asyncio.CancelledError
        await self.turns.pop(0)(emit)

    async def emit(self, reading: Reading) -> None:
        if self.refuses and isinstance(reading.body, Presence):
            raise self.refuses
        body = reading.body
        self.said.append(f"{body.state}: {body.detail}" if isinstance(body, DeviceStatus) else type(body).__name__)

    def uniform(self, low: float, high: float) -> float:
        assert low == 0
        self.delays.append(high)
        return high

    async def sleep(self, seconds: float) -> None:
        self.clock.seconds += seconds

    async def attend(self) -> None:
        row = SourceDriver(
            "aspect", "portal", "presence", frozenset(), Settings, lambda _settings, _clock: self, pushes=False
        )
        await attend("p1", row, Settings(), self.emit, self.clock, uniform=self.uniform, sleep=self.sleep)


def down(why: str) -> Turn:
    async def turn(_: Emit) -> None:
        raise LinkDown(why)

    return turn


async def test_its_states_are_told_once_each() -> None:
    async def turn(emit: Emit) -> None:
        await emit(Reading(DeviceStatus(DeviceState.WAITING, "connected"), 1))
        await emit(Reading(Malformed("noise"), 2))
        await emit(Reading(Presence(True), 3))
        await emit(Reading(Presence(False), 4))
        raise LinkDown("no answer")

    booth = Booth([turn, down("refused")])
    with pytest.raises(asyncio.CancelledError):
        await booth.attend()
    assert booth.said == [
        "waiting: connected",
        "Malformed",
        "online: portal speaks",
        "Presence",
        "Presence",
        "offline: no answer",
    ]


async def test_the_back_off_grows_and_starts_again_after_a_word() -> None:
    async def spoke(emit: Emit) -> None:
        await emit(Reading(Opaque("x", ()), 1))
        raise LinkDown("gone")

    booth = Booth([down("a")] * 8 + [spoke, down("b")])
    with pytest.raises(asyncio.CancelledError):
        await booth.attend()
    assert booth.delays == [1, 2, 4, 8, 16, 30, 30, 30, 1, 2]
    assert max(booth.delays) == BACK_OFF_MAX_S


async def test_what_a_source_raises_fails_its_device_only() -> None:
    async def turn(_: Emit) -> None:
        raise KeyError("register 121")

    booth = Booth([turn])
    await booth.attend()
    assert booth.said == ["failed: the driver aspect raised KeyError: 'register 121'"]


async def test_a_source_that_just_ends_is_run_again() -> None:
    async def turn(_: Emit) -> None:
        return

    booth = Booth([turn])
    with pytest.raises(asyncio.CancelledError):
        await booth.attend()
    assert booth.said == ["offline: p1 ended without saying why"]


@pytest.mark.parametrize("error", [StoreFailed("fsync"), RuntimeError("a bug in the lane")])
async def test_what_the_line_raises_goes_through(error: Exception) -> None:
    async def turn(emit: Emit) -> None:
        await emit(Reading(Presence(True), 1))

    booth = Booth([turn], refuses=error)
    with pytest.raises(type(error)):
        await booth.attend()


async def test_a_link_lost_just_as_we_are_stopped_does_not_hold_us() -> None:
    async def turn(_: Emit) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise LinkDown("closed under us") from None

    booth = Booth([turn])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(booth.attend())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    assert booth.said == []


def test_settings_of_another_driver_are_a_mistake() -> None:
    class Other(BaseModel):
        pass

    row = SourceDriver("a", "a", "a", frozenset(), Settings, lambda _settings, _clock: Booth([]))
    with pytest.raises(TypeError, match="takes Settings, not"):
        row.open(Other(), SteppedClock())
