"""The frames of UHFReader18 and UHFReader288, as drivers/uhfreader18.py speaks them: pure functions over bytes.

Sources: "UHF RFID Reader UHFReader18 User's Manual V2.0", whose sections are cited, and "UHF RFID Reader UR Series User
Manual v1.14" (8.2.1 inventory, 8.2.2 read), whose reader is of the 288's kind.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

# 3: Len is one byte, and counts at least Adr, Cmd, Status and the CRC.
FRAME_LIMIT = 256
LEN_MIN = 5
BROADCAST = 0xFF

INVENTORY = 0x01
READ = 0x02
INFORMATION = 0x21
UNKNOWN_COMMAND = 0x00  # stands where the command stood, when the reader does not know it
REALTIME = 0xEE  # a tag told unasked, by a reader of the 288's kind in realtime mode
ANSWERS = frozenset({INVENTORY, READ, INFORMATION, UNKNOWN_COMMAND, REALTIME})

DONE = 0x00
INVENTORY_MORE = 0x03  # further frames follow
# done, time over, more to come, the reader's memory full
INVENTORY_TAGS = frozenset({0x01, 0x02, INVENTORY_MORE, 0x04})
NO_TAG = 0xFB
TAG_ERROR = 0xFC
TID_BYTES = 12
EPC_LIMIT = 30  # 8.2.2: a tag is selected by at most 15 words

# 5: list of results
_STATUSES = {
    0x05: "the tag's access password is another",
    0xF8: "an antenna error: is it connected?",
    0xF9: "the reader could not execute the command",
    0xFA: "the tag is heard too badly",
    NO_TAG: "no tag answers",
    TAG_ERROR: "the tag reports an error",
    0xFD: "the command's length is wrong: `model` is not as the reader is",
    0xFE: "the command is not known, or was garbled",
    0xFF: "the command's parameters are wrong: `model` is not as the reader is",
}
_TAG_ERRORS = {  # EPC Gen2, annex I
    0x03: "it has no such memory",
    0x04: "that memory is locked",
    0x0B: "it has too little power",
}
# 8.4.1: bits 7 and 6 of the highest and of the lowest channel; first channel and step in MHz
_BANDS = {
    0b0000: ("user", 902.6, 0.4),
    0b0001: ("China", 920.125, 0.25),
    0b0010: ("United States", 902.75, 0.5),
    0b0011: ("Korea", 917.1, 0.2),
    0b0100: ("Europe", 865.1, 0.2),
}


class Answer(NamedTuple):
    """One tag in an inventory. `tid` is b'' and `rssi`, a bare byte, None where the reader does not say."""

    epc: bytes
    tid: bytes = b""
    rssi: int | None = None


def tags_of(data: bytes, model: Literal[18, 288]) -> tuple[int | None, list[Answer]]:
    """The antenna, and the tags that answered (8.2.1). Raises ValueError if `data` is not laid out so.

    18: Num {Len EPC}. 288: Ant Num {Len EPC RSSI}; Ant has one bit for each antenna, and bit 7 of Len says that the
    last twelve bytes are the TID (FastID).
    """
    rest = bytearray(data)

    def take(count: int) -> bytes:
        if len(rest) < count:
            raise ValueError("an inventory that ends within a tag")
        taken = bytes(rest[:count])
        del rest[:count]
        return taken

    if not data:
        return None, []
    mask = take(1)[0] if model == 288 else 0
    antenna = mask.bit_length() if mask.bit_count() == 1 else None
    answers = []
    for _ in range(take(1)[0]):
        length = take(1)[0]
        if model == 18:
            answers.append(Answer(take(length)))
        elif length & 0x80:
            answers.append(Answer(take(max(0, (length & 0x7F) - TID_BYTES)), take(TID_BYTES), take(1)[0]))
        else:
            answers.append(Answer(take(length), rssi=take(1)[0]))
    if rest:
        raise ValueError("an inventory with more bytes than its tags have")
    return antenna, answers


def set_up(data: bytes) -> Iterator[tuple[str, str]]:
    """What a reader says of itself, at least eight bytes of it, as names and values.

    8.4.1: version (2), type, protocols, highest and lowest channel, power, inventory time; the 288 adds more.
    """
    yield "version", f"{data[0]}.{data[1]}"
    yield "type", f"{data[2]:#04x}"
    protocols = [name for bit, name in ((1, "ISO 18000-6C"), (0, "ISO 18000-6B")) if data[3] >> bit & 1]
    yield "protocols", ", ".join(protocols)
    code = (data[4] >> 6) << 2 | data[5] >> 6
    if code in _BANDS:
        band, first, step = _BANDS[code]
        low, high = (first + step * (channel & 0x3F) for channel in (data[5], data[4]))
        yield "band", f"{band}, {low:g} to {high:g} MHz"
    else:
        yield "band", f"number {code}"
    yield "power_dbm", str(data[6])
    yield "inventory_time_s", f"{data[7] / 10:g}"
    if len(data) >= 12:
        yield "antennas", ", ".join(str(bit + 1) for bit in range(8) if data[8] >> bit & 1)
        yield "antenna_check", "on" if data[11] else "off"


def _table() -> Iterator[int]:
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ 0x8408 if value & 1 else value >> 1
        yield value


_CRC = tuple(_table())


def crc(data: bytes) -> bytes:
    """CRC-16/MCRF4XX (start FFFF, polynomial 8408 reflected), low byte first."""
    value = 0xFFFF
    for byte in data:
        value = (value >> 8) ^ _CRC[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


def frame(address: int, command: int, data: bytes = b"") -> bytes:
    """A command's bytes."""
    body = bytes([len(data) + 4, address, command]) + data
    return body + crc(body)


def words(status: int, data: bytes = b"") -> str:
    """A status for people, with the tag's own error where it gives one."""
    said = _STATUSES.get(status, "")
    if status == TAG_ERROR and data:
        said = f"the tag reports that {_TAG_ERRORS.get(data[0], f'error {data[0]:#04x} happened')}"
    return f"status {status:#04x}, {said}" if said else f"status {status:#04x}"
