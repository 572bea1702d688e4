"""What one end of a serial line makes of what the other end sends, when the two are set up differently."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Uart:
    """How one end is set up; parity by pyserial's letters N, E, O."""

    baud: int
    bytesize: int = 8
    parity: str = "N"
    stopbits: float = 1

    def sends(self, data: bytes) -> list[int]:
        """The line's level, bit by bit, in this end's own bit times; idle is 1."""
        return [level for byte in data for level in self._frame(byte)]

    def _frame(self, byte: int) -> Iterator[int]:
        bits = [byte >> i & 1 for i in range(self.bytesize)]
        yield 0
        yield from bits
        if self.parity != "N":
            yield sum(bits) % 2 ^ (self.parity == "O")
        yield from [1] * round(self.stopbits)

    def receives(self, levels: list[int], baud: int) -> bytes:
        """Samples the middle of each of its own bits after a falling edge; a character without its stop bit is 0."""
        ratio = baud / self.baud  # of the sender's bit times in one of ours

        def level(time: float) -> int:
            return levels[int(time)] if time < len(levels) else 1

        data, time = bytearray(), 0.0
        while time < len(levels):
            if level(time):
                time = int(time) + 1.0
                continue
            bits = [level(time + ratio * (i + 0.5)) for i in range(1, self.bytesize + 1 + (self.parity != "N") + 1)]
            if level(time + ratio * 0.5) == 0:
                byte = sum(bit << i for i, bit in enumerate(bits[: self.bytesize]))
                data.append(byte if bits[-1] else 0)
                time += ratio * (len(bits) + 0.5)
            else:
                time = int(time) + 1.0
        return bytes(data)


def over_the_wire(data: bytes, sender: Uart, receiver: Uart) -> bytes:
    return receiver.receives(sender.sends(data), sender.baud)
