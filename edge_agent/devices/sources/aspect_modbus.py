"""Aspect radiation portal monitors over Modbus TCP: 21 holding registers, polled. pymodbus owns the socket.

A poll is what the portal shows at that moment. What follows from it is in aspect_portal.py.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from edge_agent.devices.source import Emit
from edge_agent.devices.sources.aspect_portal import (
    FIRST_REGISTER,
    REGISTERS,
    NotAPortalError,
    Portal,
    RegisterSettings,
    block,
    decode,
)
from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import LinkDown
from edge_agent.domain.observation import (
    Body,
    DeviceState,
    DeviceStatus,
    Malformed,
    RadiationAlarm,
    RadiationOccupancy,
    RadiationSample,
    Reading,
)

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusTcpClient

# A unit that answers wrongly this often, once a time-out, is no portal, or not the one meant.
WRONG_ANSWERS = 5
_READ, _REFUSED = 0x03, 0x83
# Places in a Modbus TCP answer, behind seven bytes of MBAP header. The shortest answer is an exception and its code.
_LENGTH, _FUNCTION, _BYTES, _WHOLE = slice(4, 6), 7, 8, 9


class Settings(RegisterSettings):
    """Where the portal is, how often it is asked, and how its registers are read."""

    host: str = Field(min_length=1, description="the portal's address")
    port: int = Field(default=502, ge=1, le=65535)
    unit: int = Field(default=1, ge=1, le=32, description="Modbus unit id")
    poll_s: float = Field(default=0.2, ge=0.02, le=5, description="seconds from one poll to the next")
    timeout_s: float = Field(default=2.0, gt=0, le=60, description="how long a connection or an answer may take")


class AspectModbus:
    """One connection."""

    def __init__(
        self, settings: Settings, clock: Clock, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._where = f"{settings.host}:{settings.port} unit {settings.unit}"
        self._portal = Portal(settings)
        self._answer = b""
        self._wrong = 0

    async def run(self, emit: Emit) -> None:
        from pymodbus.client import AsyncModbusTcpClient

        # What pymodbus logs of a lost link is told, once, as the device's state.
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
        settings = self._settings
        client = AsyncModbusTcpClient(
            settings.host,
            port=settings.port,
            timeout=settings.timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._heard,
        )
        try:
            connected = await client.connect()
            _stop_if_cancelled()
            if not connected:
                raise LinkDown(f"{self._where} cannot be connected", "check power, network, `host` and `port`")
            await emit(Reading(DeviceStatus(DeviceState.WAITING, "connected"), self._clock.monotonic()))
            due = self._clock.monotonic()
            while True:
                await self._poll(client, emit)
                due = max(due + settings.poll_s, self._clock.monotonic())
                await self._sleep(due - self._clock.monotonic())
        finally:
            client.close()

    async def _poll(self, client: "AsyncModbusTcpClient", emit: Emit) -> None:
        why, registers = await self._ask(client)
        _stop_if_cancelled()
        now = self._clock.monotonic()
        if registers is not None:
            try:
                state = decode(registers)
            except NotAPortalError as error:
                why = str(error)
            else:
                self._wrong = 0
                await self._tell(self._portal.polled(state, now), block(registers), str(state.time), now, emit)
                return
        await emit(Reading(Malformed(why), now, self._answer))
        self._wrong += 1
        if self._wrong == WRONG_ANSWERS or not client.connected:
            raise LinkDown(f"{self._where} answers wrongly: {why}", "check `unit`, and that it is an Aspect portal")
        await self._sleep(self._settings.timeout_s)

    async def _ask(self, client: "AsyncModbusTcpClient") -> tuple[str, Sequence[int] | None]:
        """The registers, or why there are none. Raises LinkDown when nothing at all comes back."""
        from pymodbus.exceptions import ModbusException
        from pymodbus.pdu import ExceptionResponse

        self._answer = b""
        unit = self._settings.unit
        try:
            answer = await client.read_holding_registers(FIRST_REGISTER, count=REGISTERS, device_id=unit)
        except ModbusException:
            if self._answer:
                return "no Modbus answer to a read of holding registers", None
            wrong = f"{self._where} has not answered for {self._settings.timeout_s:g} s"
            raise LinkDown(wrong, "check power, network and `unit`") from None
        if isinstance(answer, ExceptionResponse):
            return f"refused with Modbus exception {answer.exception_code}", None
        return "", answer.registers

    async def _tell(self, bodies: list[Body], raw: bytes, device_time: str, now: float, emit: Emit) -> None:
        """The reading that speaks for the poll carries its registers: the alarm if there is one, else a measurement."""
        order = (RadiationAlarm, RadiationOccupancy, RadiationSample, Body)
        speaker = next((b for kind in order for b in bodies if isinstance(b, kind)), None)
        for body in bodies:
            await emit(Reading(body, now, raw if body is speaker else b"", device_time=device_time))

    def _heard(self, sending: bool, data: bytes) -> bytes:
        """Sees every packet. What is no answer to a read is kept from pymodbus, which would raise in the event loop."""
        if sending:
            return data
        self._answer = data
        if len(data) < _WHOLE:
            return b""
        function, length = data[_FUNCTION], int.from_bytes(data[_LENGTH], "big")
        is_read = function == _READ and length == data[_BYTES] + 3
        return data if is_read or (function == _REFUSED and length == 3) else b""


def _stop_if_cancelled() -> None:
    """pymodbus waits with `asyncio.wait_for`, which before Python 3.12 forgets a cancellation that meets the answer."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
