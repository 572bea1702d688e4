"""The Aspect source against pymodbus's own server."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import pytest
from pydantic import ValidationError
from pymodbus.constants import ExcCodes

from edge_agent.devices.sources.aspect_modbus import WRONG_ANSWERS, AspectModbus, Settings
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import LinkDown
from edge_agent.domain.observation import (
    Channel,
    DeviceState,
    DeviceStatus,
    Direction,
    Malformed,
    Presence,
    RadiationAlarm,
    RadiationKind,
    RadiationOccupancy,
    RadiationSample,
    Reading,
)
from tests.contracts.source_aspect_modbus import UNIT, AspectServer, registers
from tests.contracts.source_cases import until


@dataclass
class Booth:
    """The source and what it emitted, with its waits shortened to a few turns of the loop."""

    server: AspectServer
    unit: int = UNIT
    readings: list[Reading] = field(default_factory=list)
    ended: BaseException | None = None

    async def run(self) -> None:
        settings = Settings(host="127.0.0.1", port=self.server.port, unit=self.unit, timeout_s=1.0)
        try:
            await AspectModbus(settings, SystemClock(), sleep=lambda _: asyncio.sleep(0.005)).run(self._emit)
        except LinkDown as error:
            self.ended = error

    async def _emit(self, reading: Reading) -> None:
        self.readings.append(reading)

    def has_wrong(self, count: int) -> bool:
        return len(self.of(Malformed)) == count

    def of(self, kind: type) -> list[Reading]:
        return [reading for reading in self.readings if isinstance(reading.body, kind)]


@asynccontextmanager
async def booth(unit: int = UNIT) -> AsyncIterator[Booth]:
    server = AspectServer()
    await server.start()
    made = Booth(server, unit)
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(made.run(), name="aspect")
            yield made
            task.cancel()
    finally:
        await server.stop()


async def test_a_vehicle_with_a_source_drives_through() -> None:
    async with booth() as lane:
        await until(lambda: lane.of(RadiationSample), "the empty lane's background")
        lane.server.shown = registers(gamma=380, inputs=0x41, time=1001)
        await until(lambda: len(lane.of(Presence)) == 2, "a vehicle is in the portal")
        lane.server.shown = registers(gamma=900, inputs=0x41, time=1002)
        lane.server.shown[3] |= 1
        await until(lambda: lane.of(RadiationAlarm), "the portal alarms")
        lane.server.shown = registers(gamma=400, counter=8, time=1003)
        await until(lambda: lane.of(RadiationOccupancy), "the vehicle has left")
    status, *readings = lane.readings
    assert status.body == DeviceStatus(DeviceState.WAITING, "connected")
    occupied = [
        r.body for r in readings if not (isinstance(r.body, RadiationSample) and r.body.channel is Channel.BACKGROUND)
    ]
    gamma, neutron = RadiationKind.GAMMA, RadiationKind.NEUTRON
    record = lane.of(RadiationOccupancy)[0].body
    assert occupied == [
        Presence(False),
        Presence(True, Direction.FORWARD),
        RadiationSample(gamma, Channel.OCCUPIED, (380,), 1.0),
        RadiationSample(neutron, Channel.OCCUPIED, (2,), 1.0),
        RadiationAlarm(gamma, (900,)),
        RadiationSample(gamma, Channel.OCCUPIED, (900,), 1.0, in_alarm=True),
        RadiationSample(neutron, Channel.OCCUPIED, (2,), 1.0),
        record,
        Presence(False),
    ]
    assert isinstance(record, RadiationOccupancy)
    assert (record.number, record.gamma_alarm, record.cross_check_sigma) == (8, True, 25.0)
    # The reading that speaks for a poll carries its registers, and no other does.
    alarm = lane.of(RadiationAlarm)[0]
    assert struct.unpack(">21H", alarm.raw)[4] == 900
    assert alarm.device_time == "1002"
    assert sum(bool(reading.raw) for reading in readings) == 4
    assert lane.of(RadiationOccupancy)[0].raw


@pytest.mark.parametrize(
    ("rubbish", "why"),
    [
        (b"\0" * 5, "no Modbus answer"),  # too short for a header
        (b"\0\0\0\0\0\3\3\x04\0", "no Modbus answer"),  # another function
        (b"\0\0\0\0\0\x2d\3\3\x2b" + bytes(42), "no Modbus answer"),  # one length says 42, the other 43
        (b"\0\0\0\0\0\x2d\3\3\x2a" + bytes(41), "no Modbus answer"),  # a byte is missing
        (b"\0\0\0\0\0\x2b\3\3\x28" + bytes(40), "20 registers where there are 21"),
        (b"\0\0\0\0\0\x2d\3\3\x2a" + b"\xff" * 42, "a gamma background of nan"),
        (b"\0\0\0\0\0\3\3\x83\2", "refused with Modbus exception 2"),
        (b"\0\0\0\0\0\2\3\x83", "no Modbus answer"),  # an exception without its code
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no Modbus answer"),
    ],
    ids=lambda value: value[:12].hex() if isinstance(value, bytes) else "",
)
async def test_a_wrong_answer_is_kept_and_the_next_one_read(
    rubbish: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with booth() as lane:
        await until(lambda: lane.of(Presence), "the first poll")
        lane.server.rubbish = rubbish
        await until(lambda: lane.of(Malformed), "a wrong answer")
        lane.server.shown = registers(inputs=1, time=1001)
        await until(lambda: len(lane.of(Presence)) == 2, "the next poll is read")
        assert lane.ended is None
    (wrong,) = lane.of(Malformed)
    assert isinstance(wrong.body, Malformed)
    assert wrong.body.why.startswith(why)
    assert wrong.raw == rubbish
    assert not caplog.records, "the portal's nonsense is no error of ours"


@pytest.mark.parametrize("unit", [UNIT, UNIT + 1], ids=["refuses", "another unit"])
async def test_a_portal_that_only_refuses_is_down(unit: int) -> None:
    async with booth(unit) as lane:
        lane.server.refusal = ExcCodes.ILLEGAL_ADDRESS
        await until(lambda: lane.ended, "gives up")
    assert isinstance(lane.ended, LinkDown)
    code = 2 if unit == UNIT else 4  # as pymodbus's server answers for a unit that it does not have
    assert lane.ended.wrong.endswith(f"unit {unit} answers wrongly: refused with Modbus exception {code}")
    assert "`unit`" in lane.ended.remedy
    assert len(lane.of(Malformed)) == WRONG_ANSWERS


async def test_wrong_answers_are_forgotten_after_a_good_one() -> None:
    async with booth() as lane:
        for number in range(WRONG_ANSWERS + 1):
            lane.server.rubbish = b"\0\0\0\0\0\3\3\x83\2"
            await until(partial(lane.has_wrong, number + 1), "a wrong answer")
            await until(partial(lane.server.asked_after, lane.server.polls + 1), "a good answer")
        assert lane.ended is None


async def test_a_portal_that_says_nothing_is_down() -> None:
    silent = await asyncio.start_server(_swallow, "127.0.0.1", 0)
    lane = Booth(AspectServer())
    lane.server.port = silent.sockets[0].getsockname()[1]
    async with silent:
        await lane.run()
    assert isinstance(lane.ended, LinkDown)
    assert "has not answered for 1 s" in lane.ended.wrong
    assert [type(reading.body) for reading in lane.readings] == [DeviceStatus]


async def test_cancelled_at_the_moment_of_an_answer_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = AspectModbus._heard

    def cancelling(source: AspectModbus, sending: bool, data: bytes) -> bytes:
        if not sending:  # pymodbus is about to be given the answer
            asyncio.get_running_loop().call_soon(task.cancel)
        return heard(source, sending, data)

    monkeypatch.setattr(AspectModbus, "_heard", cancelling)
    server = AspectServer()
    await server.start()
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(Booth(server).run(), name="aspect")
            await asyncio.wait({task}, timeout=20)
            assert task.cancelled()
            assert server.polls == 1, "went on after it was cancelled"
    finally:
        await server.stop()


async def test_nobody_listens() -> None:
    lane = Booth(AspectServer())
    await lane.server.start()
    await lane.server.stop()
    await lane.run()
    assert isinstance(lane.ended, LinkDown)
    assert "cannot be connected" in lane.ended.wrong
    assert lane.readings == []


async def _swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while await reader.read(100):
            pass
    writer.close()


@pytest.mark.parametrize(
    "wrong", [{}, {"host": ""}, {"host": "a", "unit": 0}, {"host": "a", "unit": 33}, {"hots": "a"}]
)
def test_settings_that_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(wrong)
