"""What a serial port makes of bytes that were sent with other settings than its own.

The sender's bits lie on a line; the receiver waits for a falling edge, and samples the line in the middle of each bit
as long as its own baud rate says a bit is. Where both agree bytes arrive unchanged; where not, the garbage is that of a
real port, and the same each time.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SerialFormat:
    """How a port sends and hears: bits a second, data bits, parity (none, even, odd, mark, space), stop bits."""

    baudrate: int = 9600
    bytesize: int = 8
    parity: str = "N"
    stopbits: float = 1

    def __str__(self) -> str:
        return f"{self.baudrate} {self.bytesize}{self.parity}{self.stopbits:g}"


def as_heard(data: bytes, sent: SerialFormat, heard: SerialFormat) -> bytes:
    """The bytes that a port set to `heard` makes of `data`, sent without a pause by one set to `sent`."""
    if sent == heard or not data:
        return data
    levels = _levels(data, sent)
    return bytes(_sampled(levels, sent.baudrate, heard))


def _levels(data: bytes, sent: SerialFormat) -> list[int]:
    """The line, one level a bit: 1 is rest."""
    levels: list[int] = [1]
    for byte in data:
        bits = [(byte >> i) & 1 for i in range(sent.bytesize)]
        levels += [0, *bits, *_parity_bit(sum(bits), sent.parity), *([1] * max(1, round(sent.stopbits)))]
    return levels


def _parity_bit(ones: int, parity: str) -> list[int]:
    """The parity bit for so many ones; none without parity."""
    return {"N": [], "E": [ones % 2], "O": [1 - ones % 2], "M": [1], "S": [0]}[parity]


def _sampled(levels: list[int], baudrate: int, heard: SerialFormat) -> list[int]:
    """The receiver; its time is counted in the sender's bits. A byte with a wrong parity or stop bit is passed on."""
    bit = baudrate / heard.baudrate
    values: list[int] = []
    at = 0
    while (edge := _falls(levels, at)) is not None:

        def level(n: float, edge: int = edge) -> int:
            index = int(edge + n * bit)
            return levels[index] if index < len(levels) else 1

        if level(0.5):  # too short for a start bit: a spike
            at = edge + 1
            continue
        values.append(sum(level(1.5 + i) << i for i in range(heard.bytesize)))
        last = 1.5 + heard.bytesize + (heard.parity != "N")
        at = max(edge + 1, int(edge + last * bit))  # after a break the line must rest before it can fall again
    return values


def _falls(levels: list[int], at: int) -> int | None:
    """Where the line next goes from rest to 0, at or after `at`."""
    for index in range(max(1, at), len(levels)):
        if levels[index] == 0 and levels[index - 1] == 1:
            return index
    return None
