"""A device's way to its reader."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hardware_sim.links.lines import Lines
from hardware_sim.links.pty import PtyLink
from hardware_sim.links.settings import ByteLink
from hardware_sim.links.settings import PtyLink as PtySettings
from hardware_sim.links.settings import Rfc2217Link as Rfc2217Settings
from hardware_sim.links.tcp import TcpLink

# What the device sends when a reader attaches, and what it answers to what a reader sends.
Connected = Callable[[], bytes]
Received = Callable[[bytes], bytes]


class Link(Protocol):
    """Serves one reader, and never holds up the world: bytes for nobody are lost, as on a real line."""

    @property
    def url(self) -> str: ...
    async def open(self) -> None:
        """Raises SettingsInvalid when it cannot be served there."""
        ...

    def write(self, data: bytes) -> None: ...
    def hang_up(self) -> None:
        """Break the reader's connection."""
        ...

    async def watch(self) -> None:
        """What the link has to do meanwhile. Runs until cancelled, or returns when there is nothing to do."""
        ...

    async def close(self) -> None: ...


def build_link(
    settings: ByteLink, folder: Path, connected: Connected, received: Received, lines: Callable[[], Lines] | None = None
) -> Link:
    """The link of a scenario's entry; relative paths lie in `folder`. `lines`: those of a device that has some."""
    match settings:
        case Rfc2217Settings():
            from hardware_sim.links.rfc2217 import Rfc2217Link  # needs pyserial

            wire = settings.wire
            return Rfc2217Link(settings.host, settings.port, connected, received, wire, lines or Lines)
        case PtySettings(path=path):
            return PtyLink(folder / path, connected, received, folder)
        case _:
            return TcpLink(settings.host, settings.port, connected, received)
