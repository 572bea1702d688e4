"""Keeps one device's conversation going for ever: opens its link, drives its dialogue, tells its state.

offline ──open──► waiting ──a message──► online ──silence──► waiting      (each change is a reading)
   ▲                 └───── link lost ──────┴── link lost ──┐    │ silent network link: closed, opened again
   └── back-off with full jitter ◄──────────────────────────┘◄───┘
failed: the driver raised; the conversation ends, other devices go on
"""

import asyncio
import math
import random
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from pydantic import BaseModel

from edge_agent.devices.back_off import BackOff, Sleep, Uniform
from edge_agent.devices.catalogue import Driver
from edge_agent.devices.dialogue import Dialogue
from edge_agent.devices.link import Link, LinkSettings, SerialLink
from edge_agent.devices.source import Emit
from edge_agent.devices.state import Status
from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import DriverFailed, LinkDown
from edge_agent.domain.observation import DeviceState, Malformed, Reading

# A link that was lost is back when it holds this long: a device server that accepts and hangs up is not back.
HOLDS_S = 2.0

_Answer = TypeVar("_Answer")


class OpenLink(Protocol):
    """Makes a link that opens when it is entered: `SerialLink`, or one in memory."""

    def __call__(self, settings: LinkSettings, baud: int, clock: Clock) -> AbstractAsyncContextManager[Link]: ...


async def talk(
    device_id: str,
    driver: Driver,
    settings: BaseModel,
    link: LinkSettings,
    emit: Emit,
    clock: Clock,
    *,
    open_link: OpenLink = SerialLink,
    uniform: Uniform = random.uniform,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Runs until cancelled, or until the driver raises: then the device is `failed`, and this returns.

    Emits what the device says, dated in seconds of `clock.monotonic()`, and a `DeviceStatus` at every change of
    state and at no other time. `settings` are of the type `driver.settings`. What `emit` raises goes through.
    """
    status, back_off = Status(device_id, emit), BackOff(uniform, sleep)
    while True:
        connection = _Connection(driver, settings, link, status, emit, clock)
        try:
            async with open_link(link, driver.baud, clock) as opened:
                await connection.carry(opened)
        except LinkDown as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # the link was lost just as we were stopped, and that came up
                raise asyncio.CancelledError from None
            await status.turn(DeviceState.OFFLINE, error.wrong, clock.monotonic())
            await back_off.wait(connection.heard)
        except DriverFailed as error:
            await status.turn(DeviceState.FAILED, error.wrong, clock.monotonic())
            return


class _Connection:
    """One connection, from its opening to its end, with a dialogue of its own."""

    def __init__(
        self, driver: Driver, settings: BaseModel, link: LinkSettings, status: Status, emit: Emit, clock: Clock
    ) -> None:
        self._driver = driver
        self._settings = settings
        self._on_network = link.on_network
        self._silence = link.silence_s or driver.silence_s or math.inf
        self._status = status
        self._emit = emit
        self._clock = clock
        self.heard = False

    async def carry(self, link: Link) -> None:
        """Returns when a network link has said nothing for too long; raises LinkDown, DriverFailed."""
        self._now = self._last_bytes = self._last_message = opened = self._clock.monotonic()
        self._holds_at = opened if self._status.state is None else opened + HOLDS_S
        dialogue = self._ask(lambda: self._driver.open(self._settings))
        self._ask(lambda: dialogue.opened(opened))
        try:
            while await self._watch():
                await self._turn(dialogue, link)
        except LinkDown:
            await self._give_up(dialogue)
            raise
        await self._give_up(dialogue)

    async def _turn(self, dialogue: Dialogue, link: Link) -> None:
        """Sends what is to be sent, and waits for bytes or for the next thing that falls due."""
        if to_send := self._ask(dialogue.to_send):
            link.send(to_send)
        wake = self._ask(dialogue.next_wake)
        due = min(math.inf if wake is None else wake, *self._deadlines())
        received = await link.receive(None if due == math.inf else max(0.0, due - self._clock.monotonic()))
        self._now = max(self._now, received[1] if received else self._clock.monotonic())
        if wake is not None and wake <= self._now:
            await self._tell(self._ask(lambda: tuple(dialogue.woke(self._now))))
        if received:
            self.heard = True
            self._last_bytes = self._now
            await self._hear(dialogue, received[0])

    async def _hear(self, dialogue: Dialogue, data: bytes) -> None:
        def ask() -> tuple[Reading, ...]:
            return self._ask(lambda: tuple(dialogue.received(data, self._now)))

        try:
            is_slow = any(byte in data for byte in self._driver.slow_at)
            readings = await asyncio.to_thread(ask) if is_slow else ask()
        except DriverFailed as error:
            await self._emit(Reading(Malformed(error.wrong), self._now, data))
            raise
        await self._tell(readings)

    def _deadlines(self) -> Iterable[float]:
        """When the state changes if nothing comes."""
        if self._status.state is DeviceState.ONLINE:
            yield self._last_message + self._silence
        if self._status.state in (None, DeviceState.OFFLINE):
            yield self._holds_at
        yield self._last_bytes + self._silence if self._on_network else math.inf

    async def _watch(self) -> bool:
        """Tells the states that follow from time alone; False if the link is to be opened anew."""
        if self._status.state in (None, DeviceState.OFFLINE) and self._now >= self._holds_at:
            await self._status.turn(DeviceState.WAITING, "connected", self._now)
        if self._status.state is DeviceState.ONLINE and self._now >= self._last_message + self._silence:
            await self._status.turn(DeviceState.WAITING, f"no message for {self._silence:g} s", self._now)
        # A local port that is gone says so. A network link may be dead and say nothing.
        return not (self._on_network and self._now >= self._last_bytes + self._silence)

    async def _give_up(self, dialogue: Dialogue) -> None:
        """The connection is over: a message that is not whole will not become so."""
        for reading in self._ask(lambda: tuple(dialogue.woke(math.inf))):
            await self._emit(reading)

    async def _tell(self, readings: tuple[Reading, ...]) -> None:
        for reading in readings:
            if not isinstance(reading.body, Malformed):  # garbage is no message: a wrong baud rate is never online
                self._last_message = self._now
                await self._status.turn(DeviceState.ONLINE, f"{self._driver.device} speaks", self._now)
            await self._emit(reading)

    def _ask(self, call: Callable[[], _Answer]) -> _Answer:
        """Every call of the dialogue. The driver is another's code: what it raises fails its device only."""
        try:
            return call()
        except Exception as error:
            raise DriverFailed(
                f"the driver {self._driver.name} raised {type(error).__name__}: {error}",
                "report it with the device's raw capture; restart the agent to try the device again",
            ) from error
