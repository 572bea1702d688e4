"""What a source is: a device whose protocol a library speaks, and whose input and output that library owns."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from edge_agent.domain.observation import Reading

# Returns once what follows from the reading is durable in the ledger: only then may a source tell its device that
# the message was taken over (a C-STORE's success, an HTTP 201, a file moved to `done`).
Emit = Callable[[Reading], Awaitable[None]]


class Source(Protocol):
    """One device. It is made anew after every loss of its link, and run once.

    `run` emits what the device says, dated on the clock that it was made with, with the device's bytes as `raw` where a
    message is a few kilobytes at most, as evidence where it is a file. It says that it is connected, or listens, with
    `DeviceStatus(DeviceState.WAITING, how)`; the first reading after that makes the device online.

    It raises LinkDown when there is no connection, or the device has said nothing for too long: it is run again after
    a back-off. Anything else that it raises is a fault of the source, and its device is failed. No bytes of a device
    are a reason to raise: they are a reading with `Malformed`. When it is cancelled it lets go of every port, file and
    thread before it returns. What it has not told its device that it took over, the device still has.
    """

    async def run(self, emit: Emit) -> None:
        """Runs until cancelled, or raises LinkDown."""
        ...
