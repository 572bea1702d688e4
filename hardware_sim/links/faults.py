"""What a link's faults do to a device's bytes: pure, on the world's clock.

    device ──► said(data, now) ──► lost? changed? ──► line of (when, bytes) ──► due(now) ──► the link

Order is kept whatever happens: nothing overtakes what was said before it.
"""

from collections import deque
from collections.abc import Callable, Iterator
from math import floor

from hardware_sim.faults import (
    Delay,
    Drop,
    Fault,
    Faults,
    Garble,
    HangUp,
    Merge,
    RePlug,
    Silence,
    Split,
    WrongBaud,
    WrongChecksum,
)

# A reader would wait minutes for what is held back at this size; as on a real line, the rest is lost.
_MAX_HELD_BYTES = 1024 * 1024
_CHARACTER_BITS = 10  # 8N1: start, eight data bits with the lowest first, stop

# Turns one bit of a message's check value over; each device knows where its own stands.
Spoil = Callable[[bytes], bytes]


def spoil_last(data: bytes) -> bytes:
    """One bit of the last byte turned over: right for protocols whose check value ends the message."""
    return data[:-1] + bytes([data[-1] ^ 0x01]) if data else data


class FaultyLine:
    """A device's line to its reader, with what is wrong with it now."""

    def __init__(self, faults: Faults, target: str, spoil: Spoil = spoil_last) -> None:
        self._faults = faults
        self._target = target
        self._spoil = spoil
        self._held: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self.lost_bytes = 0
        faults.on_change.append(self._changed)

    def said(self, data: bytes, now: float) -> None:
        """The device says `data`, one message or several whole ones."""
        if not data:
            return
        pieces: list[tuple[float, bytes]] = [(now, data)]
        for fault in self._faults.active(self._target):
            pieces = [piece for at, data in pieces for piece in _impaired(fault, data, at, self._spoil)]
        kept = sum(len(piece) for _, piece in pieces)
        if not pieces:
            self.lost_bytes += len(data)
        if self._held_bytes + kept > _MAX_HELD_BYTES:
            self.lost_bytes += kept
            return
        for at, piece in pieces:
            last = self._held[-1][0] if self._held else now
            self._held.append((max(at, last), piece))
        self._held_bytes += kept

    def next_due(self) -> float | None:
        """When the next bytes go out."""
        return self._held[0][0] if self._held else None

    def due(self, now: float) -> Iterator[bytes]:
        """What goes out up to `now`; bytes of the same moment as one."""
        while self._held and self._held[0][0] <= now:
            at, data = self._held.popleft()
            while self._held and self._held[0][0] == at:
                data += self._held.popleft()[1]
            self._held_bytes -= len(data)
            yield data

    def _changed(self, fault: Fault, at: float) -> None:
        if fault.settings.target != self._target:
            return
        if fault.settings.kind in ("hang_up", "re_plug") and fault.state == "active":
            self.lost_bytes += self._held_bytes  # what was on its way is gone with the connection
            self._held.clear()
            self._held_bytes = 0
        elif fault.state == "over":  # nothing holds it back any more
            self._held = deque((min(when, at), data) for when, data in self._held)


def _impaired(fault: Fault, data: bytes, at: float, spoil: Spoil) -> list[tuple[float, bytes]]:
    """What becomes of `data` under one fault: pieces, each with the moment at which it goes out."""
    random = fault.random
    match fault.settings:
        case Silence() | HangUp() | RePlug():
            return []
        case Drop(share=share):
            return [] if random.random() < share else [(at, data)]
        case Delay(delay_s=(least, most)):
            return [(at + random.uniform(least, most), data)]
        case Garble(share=share):
            return [(at, bytes(b ^ random.randrange(1, 256) if random.random() < share else b for b in data))]
        case Split(size=size, gap_s=gap):
            return [(at + n * gap, data[i : i + size]) for n, i in enumerate(range(0, len(data), size))]
        case Merge(every_s=every):
            began = fault.began if fault.began is not None else at
            return [(began + (floor((at - began) / every) + 1) * every, data)]
        case WrongChecksum(share=share):
            return [(at, spoil(data) if random.random() < share else data)]
        case WrongBaud(sent_bd=sent, heard_bd=heard):
            return [(at, heard_at_another_rate(data, sent, heard))]
        case _:
            return [(at, data)]  # nothing that the line is concerned with


def heard_at_another_rate(data: bytes, sent_bd: int, heard_bd: int) -> bytes:
    """What a UART set to `heard_bd` makes of 8N1 characters that follow each other at `sent_bd`.

    It waits for the falling edge of a start bit and samples in the middle of each bit. A character without a stop
    bit is a framing error, which Linux gives as a NUL byte (termios(3), neither IGNPAR nor PARMRK).
    """
    sent = [level for byte in data for level in (0, *((byte >> n) & 1 for n in range(8)), 1)]
    rate = sent_bd / heard_bd  # sent bits in one bit of the hearer

    def level(at: float) -> int:
        return sent[int(at)] if at < len(sent) else 1  # at rest the line is high

    heard = bytearray()
    at = 0.0
    while at < len(sent):
        edge = next((i for i in range(int(at), len(sent)) if sent[i] == 0), None)
        if edge is None:
            break
        start = max(at, float(edge))
        if level(start + rate / 2) == 1:  # shorter than half a bit: no start bit, but a spike
            at = start + rate / 2
            continue
        byte = sum(level(start + (n + 1.5) * rate) << n for n in range(8))
        stop = start + (_CHARACTER_BITS - 0.5) * rate
        if level(stop) == 1:
            heard.append(byte)
            at = stop
            continue
        heard.append(0)
        # Out of step: it goes on at the next falling edge, so it must see the line high first.
        at = next((float(i) for i in range(int(stop), len(sent)) if sent[i] == 1), float(len(sent)))
    return bytes(heard)
