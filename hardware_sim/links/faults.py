"""What faults do to a device's bytes on their way to its reader, and to the link itself.

    device ──► FaultyLine: said(data, now) ──► lost? changed? ──► (when, bytes) … ──► due(now) ──► link ──► reader
                                                              FaultyLink: delivers, unplugs, plugs in again

Order is kept whatever happens: nothing overtakes what was said before it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import floor

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.clock import WorldClock
from hardware_sim.faults import (
    UNPLUGGED,
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
from hardware_sim.links.link import Link
from hardware_sim.links.uart import SerialFormat, as_heard

# A reader would wait minutes for what is held back at this size; as on a real line, the rest is lost.
_MAX_HELD_BYTES = 1024 * 1024
# A link that comes back finds its place taken for a moment: by a reader's outgoing connection, for instance.
_TRIES, _TRY_EVERY_S = 50, 0.1

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

    def close(self) -> None:
        """The connection is over: faults are none of its business any more."""
        self._faults.on_change.remove(self._changed)

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
        if fault.settings.kind in UNPLUGGED and fault.state == "active":
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
            return [(at, as_heard(data, SerialFormat(sent), SerialFormat(heard)))]
        case _:
            return [(at, data)]  # nothing that the line is concerned with


def inner_of(link: Link) -> Link:
    """The link itself, without what was put around it."""
    while (inner := getattr(link, "inner", None)) is not None:
        link = inner
    return link


class FaultyLink:
    """A link around another one, which faults reach. Without a fault bytes go straight through."""

    def __init__(self, faults: Faults, target: str, clock: WorldClock, spoil: Spoil = spoil_last) -> None:
        self._faults = faults
        self._target = target
        self._clock = clock
        self._line = FaultyLine(faults, target, spoil)
        self._nudged = asyncio.Event()
        self._pulled = False
        self._up = False
        self._inner: Link | None = None
        faults.on_change.append(self._changed)

    def around(self, inner: Link) -> "FaultyLink":
        """Takes `inner`, whose device's greeting and answers must come through `greeting` and `answer`."""
        self._inner = inner
        return self

    def greeting(self, connected: Callable[[], bytes]) -> Callable[[], bytes]:
        """What the device sends when a reader attaches, with what is wrong with the line."""
        return lambda: self._through(connected())

    def answer(self, received: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        """What the device answers. With a wrong rate it hears what a port set wrongly makes of the question."""

        def heard(data: bytes) -> bytes:
            if (fault := self._faults.on(self._target, "wrong_baud")) and isinstance(fault.settings, WrongBaud):
                data = as_heard(data, SerialFormat(fault.settings.heard_bd), SerialFormat(fault.settings.sent_bd))
            return self._through(received(data))

        return heard

    @property
    def inner(self) -> Link:
        if self._inner is None:
            raise RuntimeError("a faulty link was not put around a link")
        return self._inner

    @property
    def url(self) -> str:
        return self.inner.url

    @property
    def lost_bytes(self) -> int:
        return self._line.lost_bytes

    async def open(self) -> None:
        await self.inner.open()
        self._up = True

    def write(self, data: bytes) -> None:
        if out := self._through(data):
            self.inner.write(out)

    def hang_up(self) -> None:
        self.inner.hang_up()

    async def watch(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.inner.watch(), name=f"watch {self._target}")
            while True:
                await self._plug()
                now = self._clock.monotonic()
                for data in self._line.due(now):
                    self.inner.write(data)
                due = self._line.next_due()
                await self._clock.wait(None if due is None else max(0.0, due - now), self._nudged)

    async def close(self) -> None:
        self._up = False
        await self.inner.close()

    def _through(self, data: bytes) -> bytes:
        """What goes out at once; the rest is delivered by `watch`."""
        now = self._clock.monotonic()
        self._line.said(data, now)
        out = b"".join(self._line.due(now))
        if self._line.next_due() is not None:
            self._nudged.set()
        return out

    async def _plug(self) -> None:
        if self._pulled and self._up:
            await self.inner.close()
            self._up = False
        self._pulled = False
        if not self._faults.unplugged(self._target) and not self._up:
            for _ in range(_TRIES):
                with suppress(SettingsInvalid):
                    await self.inner.open()
                    self._up = True
                    return
                await asyncio.sleep(_TRY_EVERY_S)
            await self.inner.open()  # raises what is wrong
            self._up = True

    def _changed(self, fault: Fault, at: float) -> None:
        if fault.settings.target != self._target:
            return
        if fault.settings.kind in UNPLUGGED and fault.state == "active":
            self._pulled = True
        self._nudged.set()
