"""A device behind a pseudo-terminal, reached by a symbolic link that keeps its name from run to run.

Bytes for a terminal that nobody has open are lost, as on a real line: a reader that comes later finds no old ones.
"""

import asyncio
import contextlib
import os
import select
import termios
import tty
from collections.abc import Callable
from pathlib import Path

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.folders import check_folder

# How soon an opened terminal is noticed. The kernel tells of a hang-up at once, of an opening not at all.
_LOOK_EVERY_S = 0.05


class PtyLink:
    """Serves a raw terminal at `path`, a symbolic link to a pseudo-terminal."""

    def __init__(
        self, path: Path, connected: Callable[[], bytes], received: Callable[[bytes], bytes], own: Path | None = None
    ) -> None:
        """`connected` gives the bytes that the device sends when a reader attaches, `received` its answer to what a
        reader sends. `own`: the run's folder, inside which folders are made."""
        self._path = path
        self._own = path.parent if own is None else own
        self._connected = connected
        self._received = received
        self._master = -1
        self._name = ""
        self._attached = False
        self.lost_bytes = 0

    @property
    def url(self) -> str:
        return str(self._path)

    @property
    def attached(self) -> bool:
        """Whether somebody has the terminal open."""
        return self._attached

    async def open(self) -> None:
        self._plug()

    def hang_up(self) -> None:
        """Take the terminal from its reader; the link then leads to another one, as when a plug is put in again."""
        if self._master >= 0:
            os.close(self._master)
            self._attached = False
            self._plug()

    def _plug(self) -> None:
        self._master, slave = os.openpty()
        if os.ttyname(slave) == self._name:  # as with a real plug, a reader finds that its name leads elsewhere now
            another = os.openpty()
            os.close(slave)
            os.close(self._master)
            self._master, slave = another
        try:
            tty.setraw(slave)
            self._name = os.ttyname(slave)
        finally:
            os.close(slave)  # an open slave of our own would hide whether a reader has it open
        os.set_blocking(self._master, False)
        self._link()

    def _link(self) -> None:
        try:
            check_folder(self._path, self._own, str(self._path))
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and not self._path.is_symlink():
                raise SettingsInvalid(
                    f"{self._path} exists and is no symbolic link", "remove it, or choose another path in the scenario"
                )
            fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            fresh.symlink_to(self._name)
            fresh.replace(self._path)  # in one step: a link left by a crash is replaced, and there is always one
        except OSError as error:
            raise SettingsInvalid(
                f"{self._path}: no terminal can be linked there: {error.strerror}", "choose another folder with --out"
            ) from None

    async def watch(self) -> None:
        """Notice readers that come and go, and take what they send. Runs until cancelled."""
        while True:
            if self._master >= 0:
                self._look()
            await asyncio.sleep(_LOOK_EVERY_S)

    def write(self, data: bytes) -> None:
        """Send to the reader, if there is one and it reads."""
        if self._master >= 0:
            self._look()
        if not self._attached:
            self.lost_bytes += len(data)
            return
        self._put(data)

    def _look(self) -> None:
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        events = poll.poll(0)
        state = events[0][1] if events else 0
        if state & select.POLLHUP:
            if self._attached:
                self._attached = False
                termios.tcflush(self._master, termios.TCIOFLUSH)
            return
        if not self._attached:
            self._attached = True
            tty.setraw(self._master)  # acts on the terminal, which the reader before may have left line-buffered
            self._put(self._connected())
        if state & select.POLLIN:
            with contextlib.suppress(OSError):  # hung up in between
                self._put(self._received(os.read(self._master, 4096)))

    def _put(self, data: bytes) -> None:
        try:
            written = os.write(self._master, data) if data else 0
        except (BlockingIOError, OSError):
            written = 0  # the reader does not read, or has just hung up
        self.lost_bytes += len(data) - written

    async def close(self) -> None:
        if self._path.is_symlink() and os.readlink(self._path) == self._name:
            self._path.unlink()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1
            self._attached = False
