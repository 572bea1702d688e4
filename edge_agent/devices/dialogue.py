"""What a driver is: a conversation with one device, without input, output or clock (sans-I/O)."""

from collections.abc import Iterable
from typing import Protocol

from edge_agent.domain.observation import Reading


class Dialogue(Protocol):
    """One connection's conversation: bytes in, readings out, bytes to send. A new connection gets a new one.

    `now` is in seconds on a clock that never runs back; readings are dated on the same clock, before `now` where a
    device says things late. Two values are special. NaN: there is no clock, the bytes come from a recording; a
    dialogue dates by the device's own stamps if there are any, and by NaN if not. Infinity, given to `woke`
    only: nothing more will come.

    Bytes are never lost: over one connection the raws of all readings, joined, are the bytes received, in
    their order. Bytes of a message that is not whole yet are held, a bounded number of them, and `woke(inf)`
    gives them up as a reading.

    No bytes make a dialogue raise. If one does, that is a fault of the driver, and its device is failed.
    """

    def opened(self, now: float) -> None:
        """The connection is up; called once, before anything else."""
        ...

    def received(self, data: bytes, now: float) -> Iterable[Reading]:
        """What the device said, as far as `data` makes messages whole."""
        ...

    def next_wake(self) -> float | None:
        """When `woke` is to be called if nothing is received before; None for never."""
        ...

    def woke(self, now: float) -> Iterable[Reading]:
        """What follows from time having passed: an unfinished message is given up, a poll falls due."""
        ...

    def to_send(self) -> bytes:
        """Bytes for the device, each handed out once; asked for after every other call."""
        ...
