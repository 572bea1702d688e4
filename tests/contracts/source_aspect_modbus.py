"""Aspect portals: pymodbus's own server on loopback is the device."""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_agent.devices.sources.aspect_modbus import Settings
from edge_agent.domain.observation import Channel, RadiationKind, RadiationSample, Reading
from tests.contracts.source_cases import SourceCase

UNIT = 3
GAMMA = 431


def registers(gamma: int = GAMMA, inputs: int = 0, counter: int = 7, time: int = 1000) -> list[int]:
    """The 21 registers of a quiet portal (400 counts of gamma, 2.5 of neutrons), low word first."""

    def swapped(kind: str, value: float) -> list[int]:
        high, low = struct.unpack(">HH", struct.pack(kind, value))
        return [low, high]

    return [
        *swapped(">I", time),
        inputs,
        *(0x80, *swapped(">I", gamma), *swapped(">f", 400.0), *swapped(">f", 400.0)),
        *(0x80, *swapped(">I", 2), *swapped(">f", 2.5), *swapped(">f", 2.5)),
        *(counter, 0, 0, 0),
    ]


class AspectServer:
    """A pymodbus server that shows what `shown` holds, or answers once with `rubbish` or for ever with `refusal`."""

    def __init__(self) -> None:
        self.shown = registers()
        self.rubbish = b""
        self.refusal: ExcCodes | None = None
        self.polls = 0
        self.port = 0
        self._server: ModbusTcpServer | None = None

    async def start(self) -> None:
        """Listens; where it did before, if it did."""
        data = SimData(100, values=registers(), datatype=DataType.REGISTERS)
        device = SimDevice(UNIT, [data], action=self._asked)
        self._server = ModbusTcpServer(device, address=("127.0.0.1", self.port), trace_packet=self._sent)
        await self._server.serve_forever(background=True)
        self.port = self._server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def stop(self) -> None:
        if self._server:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
        self._server = None

    def asked_after(self, polls: int) -> bool:
        return self.polls > polls

    async def _asked(
        self, _function: int, start: int, address: int, count: int, held: list[int], _values: object
    ) -> ExcCodes | None:
        self.polls += 1
        held[address - start : address - start + count] = self.shown[address - 100 : address - 100 + count]
        return self.refusal

    def _sent(self, sending: bool, data: bytes) -> bytes:
        if sending and self.rubbish:
            data, self.rubbish = self.rubbish, b""
        return data


class AspectPeer:
    """As the contract suite wants it: each good message is a new measurement of a vehicle."""

    acknowledged = 0

    def __init__(self) -> None:
        self.server = AspectServer()
        self._time = 2000

    @property
    def settings(self) -> Settings:
        return Settings(host="127.0.0.1", port=self.server.port, unit=UNIT, poll_s=0.02, timeout_s=1.0)

    async def say(self) -> bytes:
        self._time += 1
        self.server.shown = registers(inputs=1, time=self._time)
        return struct.pack(">21H", *self.server.shown)

    async def garble(self, rubbish: bytes) -> None:
        self.server.rubbish = rubbish

    async def vanish(self) -> None:
        await self.server.stop()

    async def come_back(self) -> None:
        await self.server.start()


@asynccontextmanager
async def peer(_folder: Path) -> AsyncIterator[AspectPeer]:
    aspect = AspectPeer()
    await aspect.server.start()
    try:
        yield aspect
    finally:
        await aspect.server.stop()


def _good(reading: Reading) -> bool:
    body = reading.body
    return (
        isinstance(body, RadiationSample)
        and body.channel is Channel.OCCUPIED
        and (body.kind, body.counts) == (RadiationKind.GAMMA, (GAMMA,))
    )


CASES = (SourceCase("aspect_modbus", peer, _good),)
