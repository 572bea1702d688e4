"""Keeps one source running for ever, as talk.py keeps a dialogue: back-off with full jitter, and the device's state."""

import asyncio
import random

from pydantic import BaseModel

from edge_agent.devices.back_off import BackOff, Sleep, Uniform
from edge_agent.devices.catalogue import SourceDriver
from edge_agent.devices.source import Emit
from edge_agent.devices.state import Status
from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import LinkDown
from edge_agent.domain.observation import DeviceState, DeviceStatus, Malformed, Reading


async def attend(
    device_id: str,
    driver: SourceDriver,
    settings: BaseModel,
    emit: Emit,
    clock: Clock,
    *,
    uniform: Uniform = random.uniform,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Runs until cancelled, or until the source raises something else than LinkDown: then the device is `failed`.

    `settings` are of the type `driver.settings`. What `emit` raises goes through.
    """
    told = _Told(Status(device_id, emit), emit, driver.device)
    back_off = BackOff(uniform, sleep)
    while True:
        told.heard = False
        try:
            await driver.open(settings, clock).run(told.tell)
            raise LinkDown(f"{device_id} ended without saying why")
        except LinkDown as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # the link was lost just as we were stopped, and that came up
                raise asyncio.CancelledError from None
            await told.status.turn(DeviceState.OFFLINE, error.wrong, clock.monotonic())
            await back_off.wait(told.heard)
        except Exception as error:
            if told.broken:  # raised by `emit`: the ledger's or the lane's, and not the source's fault
                raise
            wrong = f"the driver {driver.name} raised {type(error).__name__}: {error}"
            await told.status.turn(DeviceState.FAILED, wrong, clock.monotonic())
            return


class _Told:
    """What a source says, with the device's state put in front of it."""

    def __init__(self, status: Status, emit: Emit, device: str) -> None:
        self.status = status
        self.heard = False
        self.broken = False
        self._emit = emit
        self._device = device

    async def tell(self, reading: Reading) -> None:
        body = reading.body
        try:
            if isinstance(body, DeviceStatus):
                await self.status.turn(body.state, body.detail, reading.at)
                return
            if not isinstance(body, Malformed):
                self.heard = True
                await self.status.turn(DeviceState.ONLINE, f"{self._device} speaks", reading.at)
            await self._emit(reading)
        except Exception:
            self.broken = True
            raise
