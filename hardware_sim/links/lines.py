"""The modem-control lines of a serial port, for the devices that have something to say with them."""

from typing import NamedTuple, Protocol, runtime_checkable


class Lines(NamedTuple):
    """Those that go from the device to its reader."""

    cts: bool = False
    dsr: bool = False
    ri: bool = False
    cd: bool = False


@runtime_checkable
class HasLines(Protocol):
    """A device that speaks with them. Only an RFC 2217 link carries lines."""

    def control_lines(self) -> Lines:
        """Their levels now."""
        ...
