"""A device's state, told when it changes and at no other time."""

import logging

from edge_agent.devices.source import Emit
from edge_agent.domain.observation import DeviceState, DeviceStatus, Reading

log = logging.getLogger(__name__)


class Status:
    """Emits a DeviceStatus for every change of state, and logs it once for people."""

    def __init__(self, device_id: str, emit: Emit) -> None:
        self._device_id = device_id
        self._emit = emit
        self.state: DeviceState | None = None

    async def turn(self, state: DeviceState, detail: str, at: float) -> None:
        """The device is in `state` since `at`."""
        if state is self.state:
            return
        self.state = state
        down = state in (DeviceState.OFFLINE, DeviceState.FAILED)
        log.log(logging.WARNING if down else logging.INFO, "%s is %s: %s", self._device_id, state, detail)
        await self._emit(Reading(DeviceStatus(state, detail), at))
