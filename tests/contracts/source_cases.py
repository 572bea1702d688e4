"""What a source gives the contract suite: a real peer on loopback that plays its device.

CASES = (SourceCase("llrp", peer=..., good=...),)      in source_<name>.py, listed in test_sources.py
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel

from edge_agent.devices.catalogue import SOURCES
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.observation import DeviceState, DeviceStatus, Malformed, Reading

# What waits for a real socket is polled for this long at most; the machine may be busy.
WITHIN_S = 20.0
# How long something must go on not to happen. Too short can only miss a fault, never see one.
STILL_S = 0.3

Emit = Callable[[Reading], Awaitable[None]]


class Peer(Protocol):
    """The device's side, alive within its `async with`. Each method is bounded in time by itself."""

    @property
    def settings(self) -> BaseModel:
        """The source's, pointing here; with time-outs so short that what is lost is noticed within `notices_s`."""
        ...

    @property
    def acknowledged(self) -> int:
        """Messages that the agent told this device it took over; 0 for ever where the protocol has no such word."""
        ...

    async def say(self) -> bytes:
        """Says the good message, and is told that it was taken over where the protocol has such a word.

        Returns bytes of it that must stand in the raw of the reading or in its evidence. It returns too when the
        message is refused.
        """
        ...

    async def garble(self, rubbish: bytes) -> None:
        """Says `rubbish` in place of a message, then can speak again as if nothing was."""
        ...

    async def vanish(self) -> None:
        """Is gone: its port is closed, its folder is away, its cable is pulled."""
        ...

    async def come_back(self) -> None:
        """Is there again, where it was."""
        ...


@dataclass(frozen=True)
class SourceCase:
    """One way to set a source up. `good` knows the reading that the good message must become.

    `acknowledges`: the protocol tells the device that its message was taken over. `listens`: the device comes to the
    agent, so that neither its going nor rubbish from it ends the source.
    """

    source: str
    peer: Callable[[Path], AbstractAsyncContextManager[Peer]]
    good: Callable[[Reading], bool]
    name: str = ""
    acknowledges: bool = False
    listens: bool = False
    notices_s: float = WITHIN_S
    rubbish: tuple[bytes, ...] = (
        b"\x00" * 64,
        b"\xff" * 64,
        b"GET / HTTP/1.1\r\nHost: booth\r\n\r\n",
        bytes(range(256)) * 8,
    )

    def __str__(self) -> str:
        return f"{self.source} {self.name}".strip()


@dataclass
class Run:
    """One run of a source: what it emitted, and how it ended (None while it runs)."""

    readings: list[Reading] = field(default_factory=list)
    emitting: int = 0
    ended: BaseException | None = None
    over: bool = False

    @property
    def up(self) -> bool:
        """It said that it is connected, or listens."""
        return any(isinstance(r.body, DeviceStatus) and r.body.state is DeviceState.WAITING for r in self.readings)

    @property
    def malformed(self) -> list[Reading]:
        return [reading for reading in self.readings if isinstance(reading.body, Malformed)]


@asynccontextmanager
async def running(case: SourceCase, peer: Peer, emit: Emit | None = None) -> AsyncIterator[Run]:
    """The source runs within; at the end it is cancelled, and must end within WITHIN_S. `emit` comes after keeping."""
    run = Run()

    async def kept(reading: Reading) -> None:
        run.emitting += 1
        run.readings.append(reading)
        if emit:
            await emit(reading)

    async def attended() -> None:
        try:
            await SOURCES[case.source].open(peer.settings, SystemClock()).run(kept)
        except BaseException as error:
            run.ended = error
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            run.over = True

    async with asyncio.TaskGroup() as group:
        task = group.create_task(attended(), name=f"source {case}")
        try:
            yield run
        finally:
            was_over = task.done()
            task.cancel()
            await asyncio.wait({task}, timeout=WITHIN_S)
            assert task.done(), f"{case} did not end when it was cancelled"
            assert was_over or isinstance(run.ended, asyncio.CancelledError | None), (
                f"{case} ended its cancelling with {run.ended!r}"
            )


async def until(condition: Callable[[], object], what: str, within: float = WITHIN_S) -> None:
    """Polls. Raises AssertionError with `what` when it did not come."""
    try:
        async with asyncio.timeout(within):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {within:g} s: {what}") from None


async def never(condition: Callable[[], object], what: str) -> None:
    """Looks for STILL_S. Raises AssertionError with `what` when it came."""
    for _ in range(int(STILL_S / 0.01)):
        assert not condition(), what
        await asyncio.sleep(0.01)
