"""LLRP readers over loopback: one that says what a test makes it say."""

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from llrpkit.protocol import LLRPMessage, decode_message, enums, impinj, messages, params

from edge_agent.devices.sources.llrp import Llrp, Settings
from edge_agent.devices.sources.llrp_session import FRAME_LIMIT, decoded
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import SettingsInvalid
from edge_agent.domain.observation import (
    Body,
    DeviceFault,
    DeviceSetup,
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
from tests.integration.devices.llrp_booth import GREETING, OK, SEAL, Heard, hearing

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


async def test_a_reader_that_dies_in_the_middle_of_a_message() -> None:
    torn = messages.RO_ACCESS_REPORT().to_bytes(message_id=1)[:2] + (500).to_bytes(4, "big") + b"half of it"
    async with scripted(greeting(), torn, dies=True) as port:
        heard = await run_out(port)
    assert heard.readings[-1].body == Malformed("bytes that are no whole LLRP message")
    assert heard.readings[-1].raw == torn
    assert heard.down
    assert "closed the connection" in heard.down.wrong


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
