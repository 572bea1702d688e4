"""LLRP readers over loopback: llrpkit's emulator, and a reader that says what a test makes it say."""

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from llrpkit.emulator.core import EmulatedTag, LLRPEmulator
from llrpkit.protocol import LLRPMessage, decode_message, enums, impinj, messages, params

from edge_agent.devices.attend import attend
from edge_agent.devices.catalogue import SOURCES
from edge_agent.devices.sources.llrp import Llrp, Settings
from edge_agent.devices.sources.llrp_session import FRAME_LIMIT, decoded
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import LinkDown, SettingsInvalid
from edge_agent.domain.observation import (
    Body,
    DeviceFault,
    DeviceSetup,
    DeviceState,
    DeviceStatus,
    FaultKind,
    Malformed,
    Opaque,
    Reading,
    SealCondition,
    SealState,
    TagRead,
)
from tests.contracts.source_cases import until
from tests.contracts.source_llrp import reader

SEAL = b"SEAL00000001"
OK = params.LLRPStatus(status_code=enums.StatusCode.M_Success)
GREETING = enums.ConnectionAttemptStatusType


class Heard:
    """A run of the source, and what it told."""

    def __init__(self, port: int, settings: dict[str, Any]) -> None:
        self.readings: list[Reading] = []
        self.down: LinkDown | None = None
        short = {"host": "127.0.0.1", "port": port, "keepalive_s": 5, "timeout_s": 5}
        self._source = Llrp(Settings.model_validate(short | settings), SystemClock())

    async def run(self) -> None:
        try:
            await self._source.run(self._keep)
        except LinkDown as error:
            self.down = error

    async def _keep(self, reading: Reading) -> None:
        self.readings.append(reading)

    @property
    def bodies(self) -> list[Body]:
        return [reading.body for reading in self.readings]

    def of(self, kind: type[Body]) -> list[Any]:
        return [body for body in self.bodies if isinstance(body, kind)]


@asynccontextmanager
async def hearing(port: int, **settings: Any) -> AsyncIterator[Heard]:
    heard = Heard(port, settings)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(heard.run(), name="source")
        try:
            yield heard
        finally:
            task.cancel()


# --- llrpkit's reader ------------------------------------------------------------------------------------------


async def test_what_a_reader_and_its_tags_say() -> None:
    tags = [EmulatedTag(b"ANAM00000001", antennas=(3,), rssi_dbm=-50), EmulatedTag(b"\xe2\x01", antennas=(1,))]
    async with LLRPEmulator(tags=tags) as emulator, hearing(emulator.port, tid=True) as heard:
        await until(lambda: len(heard.of(TagRead)) >= 2, "both tags")
        (setup,) = heard.of(DeviceSetup)
        assert dict(setup.values) == {
            "manufacturer": "25882",
            "model": "700",
            "firmware": "llrpkit-emu 0.1",
            "antennas": "4",
        }
        by_epc = {tag.epc: tag for tag in heard.of(TagRead)}
        anam = by_epc["414E414D3030303030303031"]
        assert (anam.text, anam.antenna, anam.tid) == ("ANAM00000001", 3, "E280110530303030" + "30303031")
        assert anam.rssi_dbm == pytest.approx(-50, abs=10)
        assert by_epc["E201"].text == ""
        (at,) = (reading.device_time for reading in heard.readings if reading.body == anam)
        assert at.endswith("+00:00"), "the reader's own time, in UTC"
        assert all(r.raw for r in heard.readings if isinstance(r.body, TagRead))


async def test_only_the_antennas_asked_for() -> None:
    tags = [EmulatedTag(b"\xe2\x01", antennas=(1,)), EmulatedTag(b"\xe2\x02", antennas=(2,))]
    async with LLRPEmulator(tags=tags) as emulator, hearing(emulator.port, antennas=[2], power_dbm=20) as heard:
        await until(lambda: heard.of(TagRead), "a tag")
        (spec, _) = emulator._rospecs[1]
        assert spec.spec_parameters[0].antenna_ids == [2]  # type: ignore[union-attr]
        assert {tag.epc for tag in heard.of(TagRead)} == {"E202"}


SEALS = {
    "text_prefix": "SEAL",
    "number": {"bank": "user", "word": 4, "words": 4},
    "tamper": {"bank": "user", "word": 0, "bit": 15},
}


async def test_a_seal_is_opened_before_the_reader() -> None:
    tags = [EmulatedTag(SEAL), EmulatedTag(b"OTHER1")]
    async with LLRPEmulator(tags=tags) as emulator:
        user = emulator._memory_for(SEAL)[3]
        user[8:16] = b"HQ001234"
        async with hearing(emulator.port, seals=SEALS) as heard:
            await until(lambda: heard.of(SealState), "the seal is told")
            user[0] = 0x80
            await until(lambda: len(heard.of(SealState)) == 2 and len(heard.of(TagRead)) >= 2, "its opening is told")
        assert heard.of(SealState) == [
            SealState("HQ001234", SealCondition.PRESENT),
            SealState("HQ001234", SealCondition.BROKEN),
        ]
        assert {tag.text for tag in heard.of(TagRead)} == {"SEAL00000001", "OTHER1"}


async def test_a_seal_whose_memory_is_closed() -> None:
    async with LLRPEmulator(tags=[EmulatedTag(SEAL)]) as emulator:
        emulator.set_tag_passwords(SEAL, access=0x0BADCAFE)
        async with hearing(emulator.port, seals=SEALS) as heard:
            await until(lambda: len(heard.of(Opaque)) == 2, "what could not be read is told")
        assert heard.of(Opaque) == [
            Opaque("memory_unread", (SEAL.hex().upper(), place, "nonspecific tag error"))
            for place in ("user words 4 to 7", "user words 0 to 0")
        ]
        assert heard.of(SealState) == [], "nothing is known of it"
        async with hearing(emulator.port, seals=SEALS, access_password="0BADCAFE") as heard:
            await until(lambda: heard.of(SealState), "the password opens it")


async def test_memory_of_some_tags() -> None:
    memory = {"epc_prefix": "414", "bank": "user", "word": 0, "words": 2}  # half a byte is a beginning too
    tags = [EmulatedTag(b"ANAM00000001"), EmulatedTag(b"BNAM00000001")]
    async with LLRPEmulator(tags=tags) as emulator:
        emulator._memory_for(b"ANAM00000001")[3][0:4] = b"\x12\x34\x56\x78"
        async with hearing(emulator.port, memory=memory) as heard:
            await until(lambda: len(heard.of(TagRead)) >= 3, "both tags, and memory")
            (target,) = emulator._accessspecs[1][0].access_command.air_protocol_tag_spec.c1_g2_target_tags
            # 16.2.1.3.1.1: the mask says which bits are compared; the emulator takes it to be all of them.
            assert (target.tag_mask.bit_len, target.tag_mask.data) == (12, b"\xff\xf0")
            assert (target.tag_data.bit_len, target.tag_data.data) == (12, b"\x41\x40")
        assert {(tag.text, tag.memory) for tag in heard.of(TagRead)} == {
            ("ANAM00000001", ""),
            ("ANAM00000001", "12345678"),
            ("BNAM00000001", ""),
        }


async def test_keepalives_are_answered_and_hold_a_quiet_link() -> None:
    async with LLRPEmulator(tags=[]) as emulator, hearing(emulator.port, keepalive_s=0.1) as heard:
        await until(lambda: emulator.keepalive_acks >= 8 or heard.down, "more keepalives than may be missed")
        assert heard.down is None
        assert not heard.of(Malformed)


async def test_a_half_open_link_is_lost() -> None:
    async with reader() as device, hearing(device.relay.port, keepalive_s=0.1) as heard:
        await until(lambda: device.emulator.keepalive_acks, "it runs")
        device.relay.stalled = True
        await until(lambda: heard.down, "the silence is noticed")
        assert heard.down
        assert heard.down.wrong == f"127.0.0.1:{device.relay.port} has said nothing for 0.3 s"


async def test_a_reader_that_dies_in_the_middle_of_a_message() -> None:
    torn = messages.RO_ACCESS_REPORT().to_bytes(message_id=1)[:2] + (500).to_bytes(4, "big") + b"half of it"
    async with scripted(greeting(), torn, dies=True) as port:
        heard = await run_out(port)
    assert heard.readings[-1].body == Malformed("bytes that are no whole LLRP message")
    assert heard.readings[-1].raw == torn
    assert heard.down
    assert "closed the connection" in heard.down.wrong


async def test_it_comes_back_by_itself() -> None:
    states: list[DeviceState] = []
    seen: list[str] = []

    async def emit(reading: Reading) -> None:
        if isinstance(reading.body, DeviceStatus):
            states.append(reading.body.state)
        if isinstance(reading.body, TagRead):
            seen.append(reading.body.epc)

    async def no_time(_: float) -> None:
        await asyncio.sleep(0.01)

    async with reader() as device, asyncio.TaskGroup() as group:
        task = group.create_task(
            attend("tags", SOURCES["llrp"], device.settings, emit, SystemClock(), sleep=no_time), name="attend"
        )
        await device.say()
        await until(lambda: seen, "a tag")
        await device.vanish()
        await until(lambda: states[-1] is DeviceState.OFFLINE, "offline")
        await device.come_back()
        again = (await device.say()).hex().upper()
        await until(lambda: again in seen, "the tag after the return")
        task.cancel()
    assert states[:2] == [DeviceState.WAITING, DeviceState.ONLINE]
    assert states[-1] is DeviceState.ONLINE
    assert DeviceState.FAILED not in states


async def test_a_reader_that_another_program_holds() -> None:
    async with LLRPEmulator(tags=[]) as emulator, hearing(emulator.port) as first:
        await until(lambda: first.of(DeviceSetup), "the first has it")
        async with hearing(emulator.port) as second:
            await until(lambda: second.down, "the second is refused")
        assert second.down
        assert "Already_Exists" in second.down.wrong
        assert "no other program" in second.down.remedy
        assert first.down is None


async def test_an_antenna_that_is_pulled() -> None:
    async with LLRPEmulator(tags=[]) as emulator, hearing(emulator.port) as heard:
        await until(lambda: any(state == "Active" for _, state in emulator._rospecs.values()), "it inventories")
        await emulator.set_antenna_connected(2, False)
        await emulator.set_antenna_connected(2, True)
        await until(lambda: len(heard.of(DeviceFault)) == 2, "both are told")
        assert heard.of(DeviceFault) == [
            DeviceFault(FaultKind.INTERNAL, True, "antenna 2 is not connected"),
            DeviceFault(FaultKind.INTERNAL, False, "antenna 2 is connected"),
        ]


async def test_a_reader_that_does_not_answer_a_request() -> None:
    async with LLRPEmulator(tags=[]) as emulator:
        emulator.drop_next(messages.ENABLE_ROSPEC)
        async with hearing(emulator.port, timeout_s=0.3, keepalive_s=0.1) as heard:
            await until(lambda: heard.down, "is given up, though keepalives come")
    assert heard.down
    assert "has said nothing" in heard.down.wrong


async def test_power_that_the_reader_does_not_have() -> None:
    async with LLRPEmulator(tags=[]) as emulator, hearing(emulator.port, power_dbm=5) as heard:
        await until(lambda: heard.down, "is said")
        assert heard.down
        assert "cannot send with `power_dbm` 5" in heard.down.wrong


# --- a reader that says anything -------------------------------------------------------------------------------

Answers = Callable[[LLRPMessage], LLRPMessage | None]


def greeting(status: int = GREETING.Success) -> bytes:
    event = params.ConnectionAttemptEvent(status=status)
    return notification(connection_attempt_event=event)


def notification(**events: Any) -> bytes:
    data = params.ReaderEventNotificationData(timestamp=params.UTCTimestamp(microseconds=1), **events)
    return messages.READER_EVENT_NOTIFICATION(reader_event_notification_data=data).to_bytes(message_id=0)


def agrees(request: LLRPMessage) -> LLRPMessage | None:
    """Says yes to everything."""
    if isinstance(request, messages.GET_READER_CAPABILITIES):
        return messages.GET_READER_CAPABILITIES_RESPONSE(llrp_status=OK)
    answer = getattr(messages, f"{type(request).__name__}_RESPONSE", None)
    return answer(llrp_status=OK) if answer else None


@asynccontextmanager
async def scripted(
    first: bytes,
    then: bytes = b"",
    answers: Answers = agrees,
    hang_up: bool = False,
    dies: bool = False,
    reset: bool = False,
) -> AsyncIterator[int]:
    """A reader that says `first`, answers, says `then` once it is started, and `dies`. Its port."""

    async def serve(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        outgoing.write(first)
        hung_up = hang_up
        try:
            while not hung_up:
                header = await incoming.readexactly(10)
                request = decode_message(header + await incoming.readexactly(int.from_bytes(header[2:6], "big") - 10))
                if answer := answers(request):
                    outgoing.write(answer.to_bytes(message_id=request.message_id))
                if isinstance(request, messages.START_ROSPEC):
                    outgoing.write(then)
                    hung_up = dies
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            if reset:
                await outgoing.drain()
                linger = struct.pack("ii", 1, 0)
                outgoing.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            outgoing.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def run_out(port: int, **settings: Any) -> Heard:
    """Until the link is given up."""
    async with hearing(port, **settings) as heard:
        await until(lambda: heard.down, "the link is given up")
    return heard


@pytest.mark.parametrize(
    ("first", "wrong"),
    [
        (b"", "has said nothing for 0.2 s"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak LLRP"),
        (b"\x04\x3f\x00\x00", "has said nothing for 0.2 s"),
        (messages.KEEPALIVE().to_bytes(message_id=1), "did not greet"),
        (notification(antenna_event=params.AntennaEvent(event_type=1, antenna_id=1)), "did not greet"),
        (b"\x04\x3f\x00\x00\x00\x0e\x00\x00\x00\x01\xff\xff\xff\xff", "did not greet"),
        (greeting(GREETING.Failed_A_Reader_Initiated_Connection_Already_Exists), "refuses the connection"),
        (greeting(77), "refuses the connection: 77"),
        (b"\x04\x3f" + (FRAME_LIMIT + 1).to_bytes(4, "big") + bytes(4), "does not speak LLRP"),
        (b"\x24\x3f\x00\x00\x00\x0a" + bytes(4), "does not speak LLRP"),  # a reserved bit is set
    ],
)
async def test_what_greets_otherwise(first: bytes, wrong: str) -> None:
    async with scripted(first) as port:
        heard = await run_out(port, timeout_s=0.2)
    assert heard.down
    assert wrong in heard.down.wrong
    assert not heard.of(DeviceStatus)
    raw = b"".join(reading.raw for reading in heard.readings)
    assert first.startswith(raw)
    assert bool(raw) is (bool(first) and "refuses" not in wrong), "what is no greeting is kept"


async def test_a_peer_that_hangs_up_at_once() -> None:
    async with scripted(b"", hang_up=True) as port:
        heard = await run_out(port)
    assert heard.down
    assert "closed the connection" in heard.down.wrong or "was lost" in heard.down.wrong


async def test_the_reader_is_told_that_its_client_goes() -> None:
    asked: list[type[LLRPMessage]] = []

    def answers(request: LLRPMessage) -> LLRPMessage | None:
        asked.append(type(request))
        return agrees(request)

    async with scripted(greeting(), answers=answers) as port:
        async with hearing(port) as heard:
            await until(lambda: messages.START_ROSPEC in asked, "it is started")
        assert heard.down is None
        await until(lambda: asked[-1] is messages.CLOSE_CONNECTION, "it says that it goes")


async def test_nothing_listens() -> None:
    async with scripted(b"") as port:
        pass
    heard = await run_out(port)
    assert heard.down
    assert "cannot be reached" in heard.down.wrong


async def test_a_connection_that_is_not_taken() -> None:
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # whoever comes after a full queue is not answered
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        heard = await run_out(full.getsockname()[1], timeout_s=0.2)
    assert heard.down
    assert "does not answer" in heard.down.wrong


async def test_a_reader_that_resets_the_connection() -> None:
    async with scripted(greeting(), b"\x04\x3d\x00", dies=True, reset=True) as port:
        heard = await run_out(port)
    assert heard.down
    assert "was lost" in heard.down.wrong


@pytest.mark.parametrize(
    ("kind", "described", "wrong"),
    [
        (messages.ADD_ROSPEC, "antenna 9 does not exist", "refuses ADD_ROSPEC: antenna 9 does not exist"),
        (messages.SET_READER_CONFIG, "", "refuses SET_READER_CONFIG: status 100"),
    ],
)
async def test_a_reader_that_refuses(kind: type[LLRPMessage], described: str, wrong: str) -> None:
    refusal = params.LLRPStatus(status_code=enums.StatusCode.M_ParameterError, error_description=described)

    def answers(request: LLRPMessage) -> LLRPMessage | None:
        if isinstance(request, kind):
            return messages.ERROR_MESSAGE(llrp_status=refusal)
        return agrees(request)

    async with scripted(greeting(), answers=answers) as port:
        heard = await run_out(port)
    assert heard.down
    assert wrong in heard.down.wrong


async def test_capabilities_that_are_something_else() -> None:
    async with scripted(greeting(), answers=lambda _: messages.GET_ROSPECS_RESPONSE(llrp_status=OK)) as port:
        heard = await run_out(port)
    assert heard.down
    assert "answers the question for its capabilities with GET_ROSPECS_RESPONSE" in heard.down.wrong


def report(**fields: Any) -> bytes:
    data = params.TagReportData(epc_parameter=params.EPC_96(epc=SEAL), **fields)
    return messages.RO_ACCESS_REPORT(tag_report_datas=[data, data]).to_bytes(message_id=5)


def nested() -> bytes:
    inner = b""
    while len(inner) < 60_000:
        inner = (246).to_bytes(2, "big") + (len(inner) + 4).to_bytes(2, "big") + inner
    return b"\x04\x3f" + (10 + len(inner)).to_bytes(4, "big") + bytes(4) + inner


EXCEPTION = notification(reader_exception_event=params.ReaderExceptionEvent(message="the fan stands still"))
OVERFLOW = notification(report_buffer_overflow_error_event=params.ReportBufferOverflowErrorEvent())
WARNING = notification(
    report_buffer_level_warning_event=params.ReportBufferLevelWarningEvent(report_buffer_percentage_full=90)
)
STRANGER = impinj.IMPINJ_ENABLE_EXTENSIONS_RESPONSE(llrp_status=OK).to_bytes(message_id=77)
RESULTS = [
    params.C1G2ReadOpSpecResult(result=99, op_spec_id=1),
    params.C1G2WriteOpSpecResult(result=0, op_spec_id=1),
    params.C1G2ReadOpSpecResult(result=0, op_spec_id=9, read_data=[1]),
    params.C1G2ReadOpSpecResult(result=0, op_spec_id=1, read_data=[0x8000]),
]


@pytest.mark.parametrize(
    ("said", "bodies"),
    [
        (report(), [TagRead(SEAL.hex().upper(), "SEAL00000001")]),
        (
            report(access_command_op_spec_results=RESULTS),
            [
                TagRead(SEAL.hex().upper(), "SEAL00000001"),
                Opaque("memory_unread", (SEAL.hex().upper(), "user words 0 to 0", "result 99")),
                SealState("SEAL00000001", SealCondition.BROKEN),
                Opaque("memory_unread", (SEAL.hex().upper(), "user words 0 to 0", "result 99")),
            ],
        ),
        (EXCEPTION, [Opaque("reader_exception", ("the fan stands still",))]),
        (OVERFLOW, [DeviceFault(FaultKind.INTERNAL, True, "its report buffer ran over: reads were lost")]),
        (WARNING, [Opaque("llrp", ("READER_EVENT_NOTIFICATION",))]),
        (STRANGER, [Opaque("llrp", ("IMPINJ_ENABLE_EXTENSIONS_RESPONSE",))]),
        (nested(), [Malformed("an LLRP message that cannot be read: its parameters are nested too deeply")]),
        (
            b"\x04\x3d\x00\x00\x00\x0c" + bytes(4) + b"\x00\x00",
            [Malformed("an LLRP message that cannot be read: truncated data while reading 2-byte integer")],
        ),
    ],
    ids=["report", "memory", "exception", "overflow", "warning", "stranger", "nested", "torn parameter"],
)
async def test_what_a_reader_says(said: bytes, bodies: list[Body]) -> None:
    seals = {"epc_prefix": "", "tamper": {"bank": "user", "word": 0, "bit": 15}}
    mark = notification(reader_exception_event=params.ReaderExceptionEvent(message="the mark"))
    async with scripted(greeting(), said + mark) as port, hearing(port, seals=seals) as heard:
        await until(lambda: Opaque("reader_exception", ("the mark",)) in heard.bodies, "the mark after it")
    told = [r for r in heard.readings if not isinstance(r.body, DeviceStatus | DeviceSetup)][:-1]
    assert [r.body for r in told] == bodies
    assert b"".join(r.raw for r in told) == said, "the first carries the bytes"
    assert heard.down is None


async def test_a_reader_that_says_farewell() -> None:
    farewell = notification(connection_close_event=params.ConnectionCloseEvent())
    async with scripted(greeting(), farewell) as port:
        heard = await run_out(port)
    assert heard.down
    assert "closed the connection" in heard.down.wrong
    assert heard.readings[-1].raw == farewell


@pytest.mark.parametrize(
    ("microseconds", "stamp"),
    [(1_780_000_000_000_000, "2026-05-28T20:26:40+00:00"), (2**64 - 1, "")],
)
async def test_the_readers_own_time(microseconds: int, stamp: str) -> None:
    said = report(first_seen_timestamp_utc=params.FirstSeenTimestampUTC(microseconds=microseconds))
    async with scripted(greeting(), said) as port, hearing(port) as heard:
        await until(lambda: heard.of(TagRead), "the tag")
    assert [r.device_time for r in heard.readings if isinstance(r.body, TagRead)] == [stamp]


async def test_without_its_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "llrpkit"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "edge_agent.devices.sources.llrp_session")
    monkeypatch.setitem(sys.modules, "llrpkit", None)
    with pytest.raises(SettingsInvalid, match="edge-agent\\[booth\\]"):
        await Llrp(Settings(host="127.0.0.1"), SystemClock()).run(_nobody)


async def _nobody(_reading: Reading) -> None:
    raise AssertionError


def test_a_message_is_read_or_refused_and_nothing_else() -> None:
    assert isinstance(decoded(messages.KEEPALIVE().to_bytes(message_id=3)), messages.KEEPALIVE)
    for rubbish in (b"", b"\0" * 9, b"\xff" * 64, nested()):
        with pytest.raises(ValueError, match=r"."):
            decoded(rubbish)
