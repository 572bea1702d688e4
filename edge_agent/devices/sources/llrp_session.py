"""One LLRP connection, from its greeting to its end. Clauses are those of LLRP 1.0.1.

`llrpkit` is the codec. Its own client is not used: it keeps no bytes, drops the oldest reports when nobody takes them,
and answers a KEEPALIVE without a word to its user, so that nothing could watch over silence. Here one task reads a
frame, hands it over, and reads the next: what the ledger cannot take yet stays in the reader's own buffer.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

from llrpkit.exceptions import CapabilityError, MessageDecodeError
from llrpkit.inventory import TagReport, build_rospec
from llrpkit.protocol import BitStr, LLRPMessage, decode_message, enums, impinj, messages, params
from llrpkit.reader import ReaderCapabilities

from edge_agent.devices.sealing import BANKS, Place, TagWatch, access_plan
from edge_agent.devices.source import Emit
from edge_agent.devices.sources.llrp import Settings
from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import LinkDown
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
)

HEADER = 10  # 9.1: reserved, version and type, then the length of it all, then the message's id
# The largest message known, a reader's capabilities, has some 30 kB.
FRAME_LIMIT = 256 * 1024
KEEPALIVES_MISSED = 3
CLOSE_S = 2.0
ROSPEC_ID = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Session:
    """The conversation. `run` raises LinkDown at its end."""

    def __init__(self, settings: Settings, clock: Clock, emit: Emit) -> None:
        self._settings = settings
        self._clock = clock
        self._emit = emit
        self._where = f"{settings.host}:{settings.port}"
        self._watch = TagWatch(settings)
        self._plan = access_plan(settings)
        self._places: dict[int, Place] = dict(enumerate(_all(self._plan), 1))
        self._message_id = 0

    async def run(self) -> None:
        async with self._connected():
            await self._greeted()
            await self._say(DeviceStatus(DeviceState.WAITING, f"connected to {self._where}"))
            await self._set_up()
            while True:
                await self._take(await self._frame(KEEPALIVES_MISSED * self._settings.keepalive_s))

    # --- the connection ----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                self._reader, self._writer = await asyncio.open_connection(self._settings.host, self._settings.port)
        except TimeoutError:
            raise self._down("does not answer") from None
        except OSError as error:
            raise self._down(f"cannot be reached: {error}") from error
        try:
            yield
        finally:
            # Said, not awaited: the reader frees itself for the next client at once, and not after its own time-out.
            self._write(messages.CLOSE_CONNECTION())
            self._writer.close()
            try:
                with suppress(OSError):  # TimeoutError too
                    async with asyncio.timeout(CLOSE_S):
                        await self._writer.wait_closed()
            finally:
                self._writer.transport.abort()

    def _down(self, wrong: str) -> LinkDown:
        return LinkDown(
            f"{self._where} {wrong}",
            "check power and network, that LLRP is switched on, and that no other program holds the reader",
        )

    def _write(self, message: LLRPMessage, message_id: int | None = None) -> int:
        self._message_id = self._message_id % 0xFFFFFFFF + 1
        message_id = self._message_id if message_id is None else message_id
        self._writer.write(message.to_bytes(message_id=message_id))
        return message_id

    async def _frame(self, within: float) -> bytes:
        """The next message's bytes. Raises LinkDown when none comes whole; what came is told before."""
        had = bytearray()
        try:
            async with asyncio.timeout(within):
                wrong = await self._fill(had, HEADER)
                length = int.from_bytes(had[2:6], "big")
                if not wrong and (had[0] >> 5 or not HEADER <= length <= FRAME_LIMIT):
                    wrong = "does not speak LLRP"
                wrong = wrong or await self._fill(had, length)
        except TimeoutError:
            wrong = f"has said nothing for {within:g} s"
        except OSError as error:
            wrong = f"was lost: {error}"
        if not wrong:
            return bytes(had)
        if had:
            await self._say(Malformed("bytes that are no whole LLRP message"), bytes(had))
        raise self._down(wrong)

    async def _fill(self, had: bytearray, size: int) -> str:
        while len(had) < size:
            data = await self._reader.read(size - len(had))
            if not data:
                return "closed the connection"
            had += data
        return ""

    async def _ask(self, request: LLRPMessage, must: bool = True) -> tuple[LLRPMessage, bytes]:
        """The reader's answer. Raises LinkDown if there is none in time, or it is a refusal and `must` is set."""
        message_id = self._write(request)
        waited = 0.0
        while True:
            since = self._clock.monotonic()
            frame = await self._frame(max(0.0, self._settings.timeout_s - waited))
            waited += self._clock.monotonic() - since
            message = await self._take(frame, message_id)
            if message is None:
                continue
            status = getattr(message, "llrp_status", None)
            if must and status is not None and status.status_code != enums.StatusCode.M_Success:
                why = status.error_description or f"status {int(status.status_code)}"
                raise self._down(f"refuses {type(request).__name__}: {why}")
            return message, frame

    # --- what is asked of the reader ---------------------------------------------------------------------------

    async def _greeted(self) -> None:
        """13.1: a reader greets whoever connects, with leave or a refusal."""
        frame = await self._frame(self._settings.timeout_s)
        with suppress(ValueError):
            message = decoded(frame)
            if isinstance(message, messages.READER_EVENT_NOTIFICATION):
                greeting = message.reader_event_notification_data.connection_attempt_event
                if greeting and greeting.status == enums.ConnectionAttemptStatusType.Success:
                    return
                if greeting:
                    raise self._down(f"refuses the connection: {getattr(greeting.status, 'name', greeting.status)}")
        await self._say(Malformed("an LLRP reader greets first, and this did not"), frame)
        raise self._down("did not greet")

    async def _set_up(self) -> None:
        s = self._settings
        every = enums.GetReaderCapabilitiesRequestedData.All
        answer, frame = await self._ask(messages.GET_READER_CAPABILITIES(requested_data=every))
        if not isinstance(answer, messages.GET_READER_CAPABILITIES_RESPONSE):
            raise self._down(f"answers the question for its capabilities with {type(answer).__name__}")
        able = ReaderCapabilities(answer)
        named = {"manufacturer": able.manufacturer, "model": able.model_number, "firmware": able.firmware}
        await self._say(
            DeviceSetup(tuple((k, str(v)) for k, v in (named | {"antennas": able.max_antennas}).items())), frame
        )
        try:
            power = None if s.power_dbm is None else able.power_index_for_dbm(s.power_dbm)
        except CapabilityError as error:
            raise self._down(f"cannot send with `power_dbm` {s.power_dbm:g}: {error}") from None
        if able.is_impinj:
            await self._ask(impinj.IMPINJ_ENABLE_EXTENSIONS())
        # What another client, or this agent before it was stopped, left behind. There may be none: an error then.
        await self._ask(messages.DELETE_ACCESSSPEC(access_spec_id=0), must=False)
        await self._ask(messages.DELETE_ROSPEC(ro_spec_id=0), must=False)
        await self._ask(_reader_config(s.keepalive_s))
        for number, spec in enumerate(self._access_specs(), 1):
            await self._ask(messages.ADD_ACCESSSPEC(access_spec=spec))
            await self._ask(messages.ENABLE_ACCESSSPEC(access_spec_id=number))
        rospec = build_rospec(
            ro_spec_id=ROSPEC_ID,
            antennas=s.antennas,
            session=s.session,
            tag_population=s.tag_population,
            transmit_power_index=power,
            enable_impinj_reports=able.is_impinj,
            include_tid=s.tid,
        )
        await self._ask(messages.ADD_ROSPEC(ro_spec=rospec))
        await self._ask(messages.ENABLE_ROSPEC(ro_spec_id=ROSPEC_ID))
        await self._ask(messages.START_ROSPEC(ro_spec_id=ROSPEC_ID))

    def _access_specs(self) -> Iterator[params.AccessSpec]:
        """One for each beginning of an EPC. A tag gets the first that matches, so they are added longest first."""
        numbers = {place: number for number, place in self._places.items()}
        for spec_id, (prefix, places) in enumerate(self._plan, 1):
            data = bytes.fromhex(prefix + "0" * (len(prefix) % 2))
            bits = 4 * len(prefix)
            every_bit = bytes.fromhex("F" * len(prefix) + "0" * (len(prefix) % 2))
            target = params.C1G2TargetTag(
                mb=BANKS["epc"],
                match=True,
                pointer=0x20,  # after CRC and protocol control
                tag_mask=BitStr(bits, every_bit),
                tag_data=BitStr(bits, data),
            )
            reads = [
                params.C1G2Read(
                    op_spec_id=numbers[place],
                    access_password=int(self._settings.access_password, 16),
                    mb=BANKS[place.bank],
                    word_pointer=place.word,
                    word_count=place.words,
                )
                for place in places
            ]
            yield params.AccessSpec(
                access_spec_id=spec_id,
                protocol_id=enums.AirProtocols.EPCGlobalClass1Gen2,
                access_spec_stop_trigger=params.AccessSpecStopTrigger(
                    access_spec_stop_trigger=enums.AccessSpecStopTriggerType.Null
                ),
                access_command=params.AccessCommand(
                    air_protocol_tag_spec=params.C1G2TagSpec(c1_g2_target_tags=[target]),
                    access_command_op_specs=list(reads),
                ),
                access_report_spec=params.AccessReportSpec(
                    access_report_trigger=enums.AccessReportTriggerType.Whenever_ROReport_Is_Generated
                ),
            )

    # --- what the reader says ----------------------------------------------------------------------------------

    async def _take(self, frame: bytes, awaited: int | None = None) -> LLRPMessage | None:
        """Tells what a message means; returns it instead if it is the answer that is awaited."""
        try:
            message = decoded(frame)
        except ValueError as error:
            await self._say(Malformed(f"an LLRP message that cannot be read: {error}"), frame)
            return None
        match message:
            case messages.KEEPALIVE():
                self._write(messages.KEEPALIVE_ACK(), message.message_id)
            case messages.RO_ACCESS_REPORT():
                await self._report(message, frame)
            case messages.READER_EVENT_NOTIFICATION():
                await self._event(message.reader_event_notification_data, frame)
            case _ if message.message_id == awaited:
                return message
            case _:
                await self._say(Opaque("llrp", (type(message).__name__,)), frame)
        return None

    async def _report(self, report: messages.RO_ACCESS_REPORT, frame: bytes) -> None:
        """The first reading of a report carries its bytes."""
        now = self._clock.monotonic()
        raw = frame
        for data in report.tag_report_datas:
            tag = TagReport.from_param(data)
            bodies = self._watch.answered(tag.epc, now, tag.antenna, tag.rssi_dbm, tag.rssi_dbm, tag.tid or b"")
            bodies += self._memory(tag.epc, data)
            for body in bodies:
                await self._emit(Reading(body, now, raw, device_time=_stamp(tag.first_seen_us)))
                raw = b""

    def _memory(self, epc: bytes, data: params.TagReportData) -> Iterator[Body]:
        for result in data.access_command_op_spec_results:
            place = self._places.get(result.op_spec_id)
            if place is None or not isinstance(result, params.C1G2ReadOpSpecResult):
                continue
            if result.result == enums.C1G2ReadResultType.Success:
                yield from self._watch.read(epc, place, b"".join(w.to_bytes(2, "big") for w in result.read_data))
            else:
                why = getattr(result.result, "name", f"result {int(result.result)}")
                yield from self._watch.unread(epc, place, why.replace("_", " ").lower())

    async def _event(self, event: params.ReaderEventNotificationData, frame: bytes) -> None:
        if event.connection_close_event:
            await self._say(Opaque("llrp", ("the reader closes the connection",)), frame)
            raise self._down("closed the connection")
        if event.antenna_event:
            gone = event.antenna_event.event_type == enums.AntennaEventType.Antenna_Disconnected
            what = f"antenna {event.antenna_event.antenna_id} is {'not ' if gone else ''}connected"
            await self._say(DeviceFault(FaultKind.INTERNAL, gone, what), frame)
        elif event.report_buffer_overflow_error_event:
            await self._say(DeviceFault(FaultKind.INTERNAL, True, "its report buffer ran over: reads were lost"), frame)
        elif event.reader_exception_event:
            await self._say(Opaque("reader_exception", (event.reader_exception_event.message,)), frame)
        else:
            await self._say(Opaque("llrp", ("READER_EVENT_NOTIFICATION",)), frame)

    async def _say(self, body: Body, raw: bytes = b"") -> None:
        await self._emit(Reading(body, self._clock.monotonic(), raw))


def decoded(frame: bytes) -> LLRPMessage:
    """One whole message. Raises ValueError, and nothing else, if it cannot be read."""
    try:
        return decode_message(frame)
    except MessageDecodeError as error:
        raise ValueError(str(error)) from None
    except RecursionError:  # parameters within parameters, thousands deep
        raise ValueError("its parameters are nested too deeply") from None


def _reader_config(keepalive_s: float) -> messages.SET_READER_CONFIG:
    kinds = enums.NotificationEventType
    wanted = (kinds.Antenna_Event, kinds.Reader_Exception_Event, kinds.Report_Buffer_Fill_Warning)
    return messages.SET_READER_CONFIG(
        reset_to_factory_default=False,
        keepalive_spec=params.KeepaliveSpec(
            keepalive_trigger_type=enums.KeepaliveTriggerType.Periodic,
            periodic_trigger_value=round(1000 * keepalive_s),
        ),
        reader_event_notification_spec=params.ReaderEventNotificationSpec(
            event_notification_states=[
                params.EventNotificationState(event_type=kind, notification_state=True) for kind in wanted
            ]
        ),
    )


def _all(plan: list[tuple[str, tuple[Place, ...]]]) -> list[Place]:
    return list(dict.fromkeys(place for _, places in plan for place in places))


def _stamp(microseconds: int | None) -> str:
    """The reader's UTC clock as ISO 8601."""
    try:
        return "" if microseconds is None else (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return ""
