"""UHF tag readers that speak the protocol of UHFReader18 and UHFReader288, over a serial line or TCP.

Chafon CF-RU5102 and CF-RU6402 and their kin; the MU80x, UR and FRD series are kin of the 288. A command, its answer:

    Len Adr Cmd Data* CRClo CRChi              Len Adr Cmd Status Data* CRClo CRChi

Len counts the bytes after itself. The CRC is CRC-16/MCRF4XX over all before it. The reader speaks when it is asked
("answer mode") and hears nothing while it works, so one command is under way at a time. Sources: "UHF RFID Reader
UHFReader18 User's Manual V2.0", whose sections are cited, and "UHF RFID Reader UR Series User Manual v1.14" (8.2.1
inventory, 8.2.2 read), whose reader is of the 288's kind.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from edge_agent.devices.sealing import BANKS, Hex, Place, TagRules, TagWatch
from edge_agent.devices.uhf_frames import (
    ANSWERS,
    BROADCAST,
    DONE,
    EPC_LIMIT,
    FRAME_LIMIT,
    INFORMATION,
    INVENTORY,
    INVENTORY_MORE,
    INVENTORY_TAGS,
    LEN_MIN,
    NO_TAG,
    READ,
    REALTIME,
    UNKNOWN_COMMAND,
    crc,
    frame,
    set_up,
    tags_of,
    words,
)
from edge_agent.domain.counted import counted
from edge_agent.domain.observation import Body, DeviceFault, DeviceSetup, FaultKind, Malformed, Opaque, Reading

# 2: less than 15 ms between two bytes of a frame; device servers and USB adapters add some of their own.
BYTE_GAP_S = 0.25
# Answers that say nothing new are kept together, and told as one reading after so many bytes or seconds.
QUIET_LIMIT = 2048
QUIET_S = 10.0
JUNK_LIMIT = 256
BUFFER_LIMIT = QUIET_LIMIT + FRAME_LIMIT + JUNK_LIMIT
# 2: a command is done within the reader's inventory time. This, until it says how long that is; 0 is without end.
SCAN_S = 3.0
SCAN_S_MAX = 25.5
UNANSWERED = 3  # commands in a row, after which the reader is asked again who it is
MAX_READS = 64


class Settings(TagRules):
    """How this reader is asked, and what its tags mean."""

    model: Literal[18, 288] = Field(default=18, description="288: answers hold antenna and RSSI")
    address: int = Field(default=0, ge=0, le=255, description="of the reader; 255: whichever answers")
    interval_s: float = Field(default=0.1, ge=0, le=60, description="between the end of an inventory and the next")
    answer_timeout_s: float = Field(default=1.0, gt=0, le=60, description="beyond the time the reader itself may take")
    antennas: tuple[Annotated[int, Field(ge=1, le=8)], ...] = Field(
        default=(1,), min_length=1, max_length=8, description="288: asked in turn"
    )
    scan_time_s: float = Field(default=0.5, ge=0.3, le=25.5, description="288: how long an inventory may take")
    session: int = Field(default=0, ge=0, le=3, description="288: the Gen2 session")
    q: int = Field(default=4, ge=0, le=15, description="288: expects up to 2^q tags at once")
    rssi_offset_dbm: float | None = Field(
        default=None, description="288: RSSI is a bare byte; with this added it is in dBm. Unset: not told in dBm"
    )
    access_password: Hex = Field(default="00000000", min_length=8, max_length=8, description="for reading memory")


_NOWHERE = Place(bank="user", word=0)


@dataclass(frozen=True, slots=True)
class _Command:
    code: int
    data: bytes = b""
    epc: bytes = b""
    place: Place = _NOWHERE  # of a read
    antenna: int | None = None


class UhfReader18:
    """The dialogue: asks who the reader is, then inventories for ever, with memory reads of tags in between."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._watch = TagWatch(settings)
        self._buffer = bytearray()  # what may be the beginning of an answer
        self._junk = bytearray()  # what was before it and is none
        self._why = ""
        self._quiet = bytearray()  # answers that said nothing new
        self._quiet_answers = 0
        self._quiet_since = self._last_byte = math.nan
        self._has_clock = False
        self._out = b""
        self._awaited: _Command | None = None
        self._answer_by = self._ask_at = math.nan
        self._reads: deque[tuple[bytes, Place]] = deque()
        self._inventories = 0
        self._informed = False
        self._unanswered = 0
        self._scan_s = SCAN_S
        self._faults: dict[int | None, str] = {}

    def opened(self, now: float) -> None:
        self._last_byte = self._ask_at = now
        self._has_clock = not math.isnan(now)
        self._ask(now)

    def to_send(self) -> bytes:
        out, self._out = self._out, b""
        return out

    def next_wake(self) -> float | None:
        if not self._has_clock:
            return None
        wakes = [self._answer_by if self._awaited else self._ask_at]
        wakes += [self._last_byte + BYTE_GAP_S] if self._buffer or self._junk else []
        wakes += [self._quiet_since + QUIET_S] if self._quiet else []
        return min(wakes)

    def woke(self, now: float) -> Iterable[Reading]:
        """Gives up what has no end, and what is not answered; asks again."""
        readings: list[Reading] = []
        if now == math.inf or now >= self._last_byte + BYTE_GAP_S:
            readings += self._give_up()
        if now == math.inf or now >= self._quiet_since + QUIET_S:
            readings += self._told_quiet()
        if now == math.inf:
            return readings
        if self._awaited and now >= self._answer_by:
            self._awaited = None
            self._ask_at = now
            # The answer to a read does not name its tag. One that comes late must not be taken for another tag's: an
            # inventory goes between, whose answer looks different.
            self._reads.clear()
            self._unanswered += 1
            self._informed = self._informed and self._unanswered < UNANSWERED
        self._ask(now)
        return readings

    def received(self, data: bytes, now: float) -> Iterable[Reading]:
        self._last_byte = now
        self._buffer += data
        return list(self._answers(now))

    # --- asking ------------------------------------------------------------------------------------------------

    def _ask(self, now: float) -> None:
        """Sends the next command if it is due and the reader can hear it."""
        if self._awaited or not now >= self._ask_at:
            return
        command = self._next()
        own = command.code == INVENTORY and self._settings.model == 288  # is told how long it may take
        may_take = self._settings.scan_time_s if own else self._scan_s if self._informed else 0.0
        self._awaited = command
        self._answer_by = now + may_take + self._settings.answer_timeout_s
        self._out += frame(self._settings.address, command.code, command.data)

    def _next(self) -> _Command:
        s = self._settings
        if not self._informed:
            return _Command(INFORMATION)
        if self._reads:
            epc, place = self._reads.popleft()
            where = bytes([BANKS[place.bank], place.word, place.words]) + bytes.fromhex(s.access_password)
            return _Command(READ, bytes([len(epc) // 2]) + epc + where, epc, place)
        if s.model == 18:
            return _Command(INVENTORY)
        antenna = s.antennas[self._inventories % len(s.antennas)]
        self._inventories += 1
        asked = bytes([s.q, s.session, 0, 0x80 + antenna - 1, round(s.scan_time_s * 10)])
        return _Command(INVENTORY, asked, antenna=antenna)

    def _answered(self, now: float) -> None:
        """The command under way is done; reads follow at once, the next inventory after its interval."""
        waits = self._awaited is not None and self._awaited.code != INFORMATION and not self._reads
        self._awaited = None
        self._ask_at = now + self._settings.interval_s if waits else now

    # --- framing -----------------------------------------------------------------------------------------------

    def _answers(self, now: float) -> Iterator[Reading]:
        """Takes whole answers from the buffer; bytes before them that cannot begin one are junk."""
        while self._buffer:
            wrong = self._cannot_begin()
            size = self._buffer[0] + 1
            if not wrong and len(self._buffer) < size:
                return
            raw = bytes(self._buffer[:size])
            if not wrong and crc(raw[:-2]) != raw[-2:]:
                wrong = "an answer with a wrong checksum"
            if wrong:
                yield from self._dropped(wrong)
                continue
            del self._buffer[:size]
            yield from self._told_junk()
            yield from self._told(raw, now)
            self._ask(now)

    def _cannot_begin(self) -> str:
        """Why an answer does not begin here, as far as the bytes that have come can tell; '' if it may."""
        begin = bytes(self._buffer[:3])
        address = self._settings.address
        if begin[0] >= LEN_MIN:  # judged byte by byte, so that it does not matter in what pieces they come
            if len(begin) > 1 and address not in (begin[1], BROADCAST):
                return f"bytes that are no answer of the reader with `address` {address}"
            if len(begin) < 3 or begin[2] in ANSWERS:
                return ""
        return "bytes that are no answer of this reader: check the baud rate"

    def _dropped(self, wrong: str) -> Iterator[Reading]:
        if not self._junk:
            yield from self._told_quiet()
            self._why = wrong
        self._junk.append(self._buffer.pop(0))
        if len(self._junk) == JUNK_LIMIT:
            yield from self._told_junk()

    def _give_up(self) -> Iterator[Reading]:
        """No more of this answer will come. What lies behind its beginning may be a whole one."""
        while self._buffer:
            yield from self._answers(self._last_byte)
            if self._buffer:
                yield from self._dropped("an answer without its end")
        yield from self._told_junk()

    def _told_junk(self) -> Iterator[Reading]:
        if self._junk:
            raw = bytes(self._junk)
            self._junk.clear()
            yield Reading(Malformed(self._why), self._last_byte, raw)

    def _told_quiet(self) -> Iterator[Reading]:
        if self._quiet:
            raw, answers = bytes(self._quiet), self._quiet_answers
            self._quiet.clear()
            self._quiet_answers = 0
            yield Reading(Opaque("inventory", (f"{answers} answers without news",)), self._last_byte, raw)

    # --- answers -----------------------------------------------------------------------------------------------

    def _told(self, raw: bytes, now: float) -> Iterator[Reading]:
        """The readings of one whole answer: the first carries its bytes."""
        self._unanswered = 0
        bodies = self._meant(raw[2], raw[3], raw[4:-2], now)
        if bodies or len(self._quiet) + len(raw) > QUIET_LIMIT:
            yield from self._told_quiet()
        if not bodies:
            self._quiet_since = self._quiet_since if self._quiet else now
            self._quiet += raw
            self._quiet_answers += 1
        for index, body in enumerate(bodies):
            yield Reading(body, now, b"" if index else raw)

    def _meant(self, code: int, status: int, data: bytes, now: float) -> list[Body]:
        awaited = self._awaited
        if code == INVENTORY:
            return self._inventory(status, data, now)
        if code == REALTIME and status == DONE and self._settings.model == 288:
            return self._tags(data[:1] + b"\x01" + data[1:], now)
        if code == INFORMATION:
            bodies = self._information(status, data)
        elif awaited is None or code not in (awaited.code, UNKNOWN_COMMAND):
            return [Opaque("unasked", (f"{code:#04x}", words(status, data), data.hex().upper()))]
        elif code == UNKNOWN_COMMAND:
            self._informed = True
            bodies = self._fault(awaited.antenna, f"command {awaited.code:#04x}: {words(status)}")
        else:
            bodies = self._memory(awaited.epc, awaited.place, status, data)
        if awaited and code in (awaited.code, UNKNOWN_COMMAND):
            self._answered(now)
        return bodies

    def _memory(self, epc: bytes, place: Place, status: int, data: bytes) -> list[Body]:
        if status == DONE:
            return self._watch.read(epc, place, data)
        return self._watch.unread(epc, place, words(status, data))

    def _information(self, status: int, data: bytes) -> list[Body]:
        self._informed = True
        if status != DONE or len(data) < 8:
            return [Opaque("information", (words(status), data.hex().upper()))]
        self._scan_s = data[7] / 10 or SCAN_S_MAX
        return [DeviceSetup(tuple(set_up(data)))]

    def _inventory(self, status: int, data: bytes, now: float) -> list[Body]:
        antenna = self._awaited.antenna if self._awaited else None
        if status in INVENTORY_TAGS:
            bodies = [*self._fault(antenna, ""), *self._tags(data, now)]
        elif status == NO_TAG:
            bodies = self._fault(antenna, "")
        else:
            bodies = self._fault(antenna, f"inventory: {words(status)}")
        if self._awaited and self._awaited.code == INVENTORY:
            if status == INVENTORY_MORE:
                self._answer_by = now + self._scan_s + self._settings.answer_timeout_s
            else:
                self._answered(now)
        return bodies

    def _tags(self, data: bytes, now: float) -> list[Body]:
        try:
            antenna, answers = tags_of(data, self._settings.model)
        except ValueError as error:
            return [Malformed(f"{error}: `model` is perhaps not as the reader is")]
        bodies: list[Body] = []
        offset = self._settings.rssi_offset_dbm
        for epc, tid, rssi in answers:
            dbm = None if rssi is None or offset is None else rssi + offset
            bodies += self._watch.answered(epc, now, antenna, rssi, dbm, tid)
            for place in self._watch.due(epc, now):
                bodies += self._to_read(epc, place)
        return bodies

    def _to_read(self, epc: bytes, place: Place) -> list[Body]:
        if len(epc) % 2 or len(epc) > EPC_LIMIT:
            return self._watch.unread(epc, place, f"an EPC of {counted(len(epc), 'byte')} cannot be selected")
        if self._has_clock and len(self._reads) < MAX_READS:
            self._reads.append((epc, place))
        return []

    def _fault(self, antenna: int | None, wrong: str) -> list[Body]:
        """What is wrong with inventories over an antenna: told when it changes."""
        if wrong == self._faults.get(antenna, ""):
            return []
        self._faults[antenna] = wrong
        where = f"antenna {antenna}: " if antenna else ""
        return [DeviceFault(FaultKind.INTERNAL, bool(wrong), f"{where}{wrong or 'inventories work again'}")]
