"""Contacts on a device server: pyserial's own RFC 2217 server on loopback, with lines that a test switches."""

import asyncio
import socket
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from serial.rfc2217 import PortManager
from serial.urlhandler import protocol_loop

from edge_agent.devices.sources.modem_lines import MASKS, Contact, Settings
from edge_agent.domain.observation import Opaque, Reading
from tests.contracts.source_cases import WITHIN_S, SourceCase

CTS, DSR, RI, CD = MASKS["cts"], MASKS["dsr"], MASKS["ri"], MASKS["cd"]
# Longer than the source looks apart, so that a state is seen.
SEEN_S = 0.2


class _Port(protocol_loop.Serial):
    """A serial port without a wire, whose four lines are what a test says."""

    state = 0

    @property
    def cts(self) -> bool:
        return bool(self.state & CTS)

    @property
    def dsr(self) -> bool:
        return bool(self.state & DSR)

    @property
    def ri(self) -> bool:
        return bool(self.state & RI)

    @property
    def cd(self) -> bool:
        return bool(self.state & CD)


class ContactBox:
    """A device server with one port and one client at a time. `tells` False: it keeps its lines to itself."""

    def __init__(self, tells: bool = True) -> None:
        self._port = _Port("loop://", timeout=0)
        self._tells = tells
        self._writing = threading.Lock()
        self._client: socket.socket | None = None
        self._manager: PortManager | None = None
        self._number = 0
        self.plug_in()

    @property
    def url(self) -> str:
        return f"rfc2217://127.0.0.1:{self._number}?timeout=5"

    @property
    def settings(self) -> Settings:
        return Settings(url=self.url, lines={"cts": Contact(sensor="loop")}, debounce_s=0.05)

    @property
    def acknowledged(self) -> int:
        return 0

    def plug_in(self) -> None:
        """It listens, where it did before."""
        self._listening = socket.create_server(("127.0.0.1", self._number))
        self._number = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def pull(self) -> None:
        self.hang_up()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(WITHIN_S)

    def hang_up(self) -> None:
        if self._client:
            with suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)

    def switch(self, state: int) -> None:
        """The contacts are in `state`, and the client is told."""
        self._port.state = state
        if self._manager:
            self._manager.check_modem_lines()

    def write(self, data: bytes) -> None:
        """PortManager's way to its client."""
        if not self._tells and data[:4] == b"\xff\xfa\x2c\x6b":  # IAC SB COM-PORT-OPTION NOTIFY-MODEMSTATE
            return
        with self._writing, suppress(OSError):
            if self._client:
                self._client.sendall(data)

    async def say(self) -> bytes:
        for state in (0, CTS):
            self.switch(state)
            await asyncio.sleep(SEEN_S)
        return bytes([CTS])

    async def garble(self, rubbish: bytes) -> None:
        if self._manager:
            self.write(b"".join(self._manager.escape(rubbish)))

    async def vanish(self) -> None:
        await asyncio.to_thread(self.pull)

    async def come_back(self) -> None:
        self.plug_in()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                self._client, _ = self._listening.accept()
                with self._client, suppress(OSError):
                    self._manager = PortManager(self._port, self)  # type: ignore[arg-type]
                    while data := self._client.recv(1000):
                        b"".join(self._manager.filter(data))


@asynccontextmanager
async def contact_box(folder: Path | None = None, *, tells: bool = True) -> AsyncIterator[ContactBox]:
    with warnings.catch_warnings():
        # pyserial 3.5 sets up its RFC 2217 thread by methods that Python has renamed.
        warnings.filterwarnings("ignore", r"set(Daemon|Name)\(\) is deprecated", DeprecationWarning)
        box = ContactBox(tells)
        try:
            yield box
        finally:
            await asyncio.to_thread(box.pull)


def _switched(reading: Reading) -> bool:
    return isinstance(reading.body, Opaque) and reading.raw == bytes([CTS])


CASES = (SourceCase("modem_lines", peer=contact_box, good=_switched),)
