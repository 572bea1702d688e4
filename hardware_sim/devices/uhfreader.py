"""UHFReader18 and UHFReader288 (Chafon CF-RU5102, CF-RU6402 and others): a UHF reader that answers commands.

UHFReader18 User's Manual V2.0, sections 3 to 5 and 8. Command `Len Adr Cmd Data CRC`, answer `Len Adr reCmd Status Data
CRC`; Len counts what follows it, the CRC is CRC-16 with polynomial 8408 (reflected) from FFFF, low byte first. A
command with a wrong CRC or another reader's address is not answered; an unknown one with reCmd 00 and status FE.
While it executes a command the reader takes no other. Model 288 adds the antenna to an answer and the RSSI to each tag.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from hardware_sim.device import Site, WiredSettings
from hardware_sim.world.passage import Passage
from hardware_sim.world.tags import Antennas, Heard, TagSettings

INVENTORY, READ_DATA, READER_INFORMATION = 0x01, 0x02, 0x21
# Section 5: results of a command.
DONE, ALL_REPORTED, MORE_FOLLOW, STATISTICS = 0x00, 0x01, 0x03, 0x26
POOR_COMMUNICATION, NO_TAG, TAG_ERROR, LENGTH_WRONG, UNKNOWN, PARAMETER_WRONG = 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF
_MEMORY_OVERRUN = 0x03  # Gen2, annex I: the memory location does not exist
BROADCAST = 0xFF
_LEAST_LEN = 4
# Answers are this long at most: Len is one byte.
_MOST_DATA = 0xFF - 5
# A tag's answer, an antenna's round, and the least that a command takes.
_TAG_S, _ROUND_S, _LEAST_S = 0.006, 0.02, 0.008
_MOST_KEPT = 512
# A command whose bytes stop coming for so long is given up.
_GAP_S = 0.5


class Settings(WiredSettings):
    """A UHF reader that answers commands."""

    at_m: float = Field(default=-2.0, ge=-100, le=200, description="where its first antenna stands")
    address: Annotated[int, Field(ge=0, le=0xFE)] = 0
    reach_m: Annotated[float, Field(ge=0.5, le=15)] = Field(default=3.0, description="along the lane, to either side")
    power_dbm: Annotated[int, Field(ge=0, le=33)] = 30
    per_frame: Annotated[int, Field(ge=1, le=16)] = Field(
        default=4, description="tags in one answer; further ones follow in answers with status 03"
    )
    misses: Annotated[float, Field(ge=0, le=0.99)] = Field(
        default=0.1, description="share of inventories in which a tag at the edge of the field is not heard"
    )
    tags: TagSettings = TagSettings()


class Settings18(Settings):
    """UHFReader18: one antenna, no RSSI."""

    kind: Literal["uhfreader18"]


class Settings288(Settings):
    """UHFReader288: up to four antennas, and the RSSI of each tag."""

    kind: Literal["uhfreader288"]
    antennas: Annotated[int, Field(ge=1, le=4)] = 1
    spacing_m: Annotated[float, Field(ge=0.1, le=20)] = Field(default=2.0, description="from antenna to antenna")


@dataclass(slots=True)
class _Running:
    """A command that is being executed."""

    until: float
    answer: bytes


class UhfReader:
    """The reader on the world's clock; says nothing unless asked."""

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        self.name = name
        self.kind = "uhfreader288" if isinstance(settings, Settings288) else "uhfreader18"
        self._settings = settings
        many = isinstance(settings, Settings288)
        count = settings.antennas if isinstance(settings, Settings288) else 1
        spacing = settings.spacing_m if isinstance(settings, Settings288) else 0.0
        self._many = many
        self._count = count
        self._antennas = Antennas(site.lane, settings.at_m, count, spacing, settings.reach_m, settings.tags)
        self._random = np.random.default_rng(site.random_key(name))
        self._kept = bytearray()
        self._last = site.started
        self._running: _Running | None = None
        self._reads: dict[int, dict[str, int]] = {}

    def connected(self) -> bytes:
        return b""

    def next_wake(self) -> float | None:
        return None if self._running is None else self._running.until

    def woke(self, now: float) -> bytes:
        if self._running is None or now < self._running.until:
            return b""
        answer, self._running = self._running.answer, None
        return answer

    def received(self, data: bytes, now: float) -> bytes:
        """Takes commands; the answer comes from `woke`, after the time that the command takes."""
        if now - self._last > _GAP_S:
            self._kept.clear()
        self._last = now
        self._kept += data
        while self._kept:
            length = self._kept[0]
            if length < _LEAST_LEN:
                del self._kept[0]  # no command is that short: out of step, look on
                continue
            if len(self._kept) <= length:
                break
            command = bytes(self._kept[: length + 1])
            if crc(command[:-2]) != command[-2:]:
                del self._kept[0]  # not answered; a good command may begin within it
                continue
            del self._kept[: length + 1]
            if self._running is None and command[1] in (self._settings.address, BROADCAST):
                took, answer = self._execute(command[2], command[3:-2], now)
                self._running = _Running(now + max(_LEAST_S, took), answer)
        del self._kept[:-_MOST_KEPT]
        return b""

    def _execute(self, command: int, data: bytes, now: float) -> tuple[float, bytes]:
        """How long it takes, and the answer."""
        match command:
            case 0x01:
                return self._inventory(data, now)
            case 0x02:
                return self._read(data, now)
            case 0x21:
                if data:
                    return 0, self._answer(command, LENGTH_WRONG)
                return 0, self._answer(command, DONE, self._information())
            case _:
                return 0, self._answer(0, UNKNOWN)

    def _information(self) -> bytes:
        """Version, type, protocols, highest and lowest channel, power, inventory time; 288: antenna and more."""
        power = self._settings.power_dbm
        if self._many:
            return bytes((0x00, 0x16, 0x0C, 0x03, 0x4E, 0x00, power, 0x0A, (1 << self._count) - 1, 0, 0, 0))
        return bytes((0x02, 0x00, 0x09, 0x03, 0x31, 0x80, power, 0x0A))

    # --- inventory -----------------------------------------------------------------------------------------------

    def _inventory(self, data: bytes, now: float) -> tuple[float, bytes]:
        """Section 8.2.1. Without data the EPCs; with AdrTID and LenTID so many words of the TID. Model 288: Q and
        session before that, target, antenna and time after it."""
        asked, tid, statistics = frozenset(range(1, self._count + 1)), None, False
        if self._many:
            if len(data) not in (0, 2, 4, 5, 7):
                return 0, self._answer(INVENTORY, LENGTH_WRONG)
            statistics = bool(data) and bool(data[0] & 0x80)
            if len(data) in (4, 7):
                tid = (data[2], data[3])
            if len(data) in (5, 7):
                antenna = data[-2] - 0x80 + 1
                if antenna not in asked:
                    return 0, self._answer(INVENTORY, PARAMETER_WRONG)
                asked = frozenset((antenna,))
        elif len(data) == 2:
            tid = (data[0], data[1])
        elif data:
            return 0, self._answer(INVENTORY, LENGTH_WRONG)
        heard = [h for h in self._antennas.heard(now, asked) if self._answers(h)]
        for each in heard:
            reads = self._reads.setdefault(each.passage.truck.index, {})
            reads[each.tag.text] = reads.get(each.tag.text, 0) + 1
        took = _ROUND_S * len(asked) + _TAG_S * len(heard)
        answer = self._reports_288(heard, asked, tid) if self._many else self._reports_18(heard, tid)
        if statistics:
            counts = round(len(heard) / took).to_bytes(2, "big") + len(heard).to_bytes(4, "big")
            answer += self._answer(INVENTORY, STATISTICS, bytes((1 << (max(asked) - 1),)) + counts)
        return took, answer

    def _answers(self, heard: Heard) -> bool:
        """A tag near the antenna is nearly always heard, one at the edge of the field not."""
        edge = min(1.0, max(0.0, (-52.0 - heard.rssi_dbm) / 14))
        return bool(self._random.random() >= self._settings.misses * edge)

    def _reports_18(self, heard: list[Heard], tid: tuple[int, int] | None) -> bytes:
        if not heard:
            return self._answer(INVENTORY, NO_TAG)
        numbers = [_number(h, tid) for h in heard]
        *more, last = self._parts(numbers)
        said = b"".join(self._answer(INVENTORY, MORE_FOLLOW, _counted(part)) for part in more)
        return said + self._answer(INVENTORY, ALL_REPORTED, _counted(last))

    def _parts(self, numbers: list[bytes]) -> list[list[bytes]]:
        """The tags by answer: as many as are set, and as fit."""
        parts: list[list[bytes]] = []
        for number in numbers:
            room = parts and len(parts[-1]) < self._settings.per_frame
            if not room or sum(map(len, parts[-1])) + len(number) > _MOST_DATA - 2:
                parts.append([])
            parts[-1].append(number)
        return parts

    def _reports_288(self, heard: list[Heard], asked: frozenset[int], tid: tuple[int, int] | None) -> bytes:
        """Tags in answers with status 03, each antenna's apart; then one with status 01 and no tag."""
        said = b""
        for antenna in sorted(asked):
            numbers = [_number(h, tid) + bytes((rssi_byte(h.rssi_dbm),)) for h in heard if h.antenna == antenna]
            for part in self._parts(numbers):
                said += self._answer(INVENTORY, MORE_FOLLOW, bytes((1 << (antenna - 1),)) + _counted(part))
        return said + self._answer(INVENTORY, ALL_REPORTED, bytes((1 << (max(asked) - 1), 0)))

    # --- memory --------------------------------------------------------------------------------------------------

    def _read(self, data: bytes, now: float) -> tuple[float, bytes]:
        """Section 8.2.2: ENum, EPC, Mem, WordPtr, Num, Pwd, and a mask that is not modelled."""
        took = _ROUND_S + _TAG_S
        if not data or len(data) not in (1 + 2 * data[0] + 7, 1 + 2 * data[0] + 9):
            return 0, self._answer(READ_DATA, LENGTH_WRONG)
        end = 1 + 2 * data[0]
        epc, bank, pointer, words = data[1:end], data[end], data[end + 1], data[end + 2]
        if bank > 3 or not 1 <= words <= 120:
            return 0, self._answer(READ_DATA, PARAMETER_WRONG)
        heard = [h for h in self._antennas.heard(now) if not epc or h.tag.epc == epc]
        if not heard:
            return took, self._answer(READ_DATA, NO_TAG)
        if not self._answers(heard[0]):
            return took, self._answer(READ_DATA, POOR_COMMUNICATION)
        content = heard[0].tag.bank(bank)[2 * pointer : 2 * (pointer + words)]
        if len(content) < 2 * words:
            return took, self._answer(READ_DATA, TAG_ERROR, bytes((_MEMORY_OVERRUN,)))
        return took, self._answer(READ_DATA, DONE, content)

    def _answer(self, command: int, status: int, data: bytes = b"") -> bytes:
        frame = bytes((len(data) + 5, self._settings.address, command, status)) + data
        return frame + crc(frame)

    def done_with(self, passage: Passage) -> float:
        return self._antennas.leaves(passage) + 0.5

    def said_of(self, passage: Passage) -> dict[str, object] | None:
        """The truck's tags, and how often each was reported to whoever asked."""
        return {**self._antennas.expected(passage), "reads": self._reads.pop(passage.truck.index, {})}


def _number(heard: Heard, tid: tuple[int, int] | None) -> bytes:
    """A tag's length and EPC, or the words of its TID that were asked for."""
    number = heard.tag.epc if tid is None else heard.tag.tid[2 * tid[0] : 2 * (tid[0] + tid[1])]
    return bytes((len(number),)) + number


def _counted(numbers: list[bytes]) -> bytes:
    return bytes((len(numbers),)) + b"".join(numbers)


def rssi_byte(dbm: float) -> int:
    """The reader's own figure: rises with the field, 129 above dBm; its manual gives no unit."""
    return max(1, min(255, round(dbm) + 129))


def crc(data: bytes) -> bytes:
    """Section 3, appendix: polynomial 8408, preset FFFF, low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return value.to_bytes(2, "little")
