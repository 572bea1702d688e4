"""A device behind an RFC 2217 device server (Moxa NPort and others): bytes, port settings and modem-control lines.

The reader sets baud rate and format of the server's port; the device has its own. Where they differ both hear garbage,
as on a real line. pyserial's `PortManager` speaks the protocol; its client end is `rfc2217://`.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Any, cast

from serial.rfc2217 import PortManager

from hardware_sim.links.lines import Lines
from hardware_sim.links.one_reader import OneReaderServer
from hardware_sim.links.uart import SerialFormat, as_heard

# Longest option a reader can have to send (RFC 2217: a signature); a longer one is no RFC 2217.
_MOST_OPTION_BYTES = 1024
# A device server notices a line that changes within milliseconds; Moxa's own polls at about this rate.
_LOOK_EVERY_S = 0.02
_IAC = b"\xff"
# A client sets its port and then throws away what came meanwhile: a greeting waits until it has done so.
_GREETS_AFTER_S = 0.3


class Rfc2217Link:
    """Serves one reader at a time at `url` (rfc2217://host:port); a new one takes the place of the one before."""

    def __init__(
        self,
        host: str,
        port: int,
        connected: Callable[[], bytes],
        received: Callable[[bytes], bytes],
        wire: SerialFormat | None = None,
        lines: Callable[[], Lines] = Lines,
    ) -> None:
        """`wire` is how the device's own port is set; None: as the reader sets the server's, always right."""
        self._server = OneReaderServer("rfc2217", host, port, self._serve)
        self._connected = connected
        self._received = received
        self._wire = wire
        self._lines = lines
        self._attached: _Attached | None = None
        self.lost_bytes = 0

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def attached(self) -> bool:
        """Whether a reader is connected."""
        return self._server.writer is not None

    @property
    def _reader(self) -> "_Attached | None":
        """The reader that is connected."""
        attached = self._attached
        return attached if attached is not None and attached.writer is self._server.writer else None

    @property
    def port_format(self) -> SerialFormat | None:
        """How the reader has set the port; None while there is none."""
        return None if self._reader is None else self._reader.format

    async def open(self) -> None:
        await self._server.open()

    def write(self, data: bytes) -> None:
        """Send to the reader, if there is one and it reads."""
        reader = self._reader
        heard = data if self._wire is None or reader is None else as_heard(data, self._wire, reader.format)
        if not self._server.write(heard.replace(_IAC, _IAC + _IAC)):
            self.lost_bytes += len(data)

    async def watch(self) -> None:
        """Tell the reader of lines that change, and greet one that has set its port. Runs until cancelled."""
        while True:
            if (reader := self._reader) is not None:
                reader.manager.check_modem_lines()
                if not reader.greeted and asyncio.get_running_loop().time() - reader.heard_at > _GREETS_AFTER_S:
                    reader.greeted = True
                    self.write(self._connected())
            await asyncio.sleep(_LOOK_EVERY_S)

    def hang_up(self) -> None:
        """Close the reader's connection, as when the server's cable is pulled."""
        self._server.hang_up()

    async def close(self) -> None:
        await self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._attached = attached = _Attached(writer, self._lines)
        try:
            while data := await reader.read(4096):
                attached.heard_at = asyncio.get_running_loop().time()
                if said := attached.filtered(data):
                    heard = said if self._wire is None else as_heard(said, attached.format, self._wire)
                    answer = self._received(heard)
                    if self._reader is attached:
                        self.write(answer)
        except _NoRfc2217:
            pass  # it speaks something else: the same as a close


class _NoRfc2217(Exception):
    """The reader sends what is no RFC 2217."""


class _Attached:
    """One reader's connection: the server's port as it has set it, and the protocol."""

    def __init__(self, writer: asyncio.StreamWriter, lines: Callable[[], Lines]) -> None:
        self.writer = writer
        self.heard_at = asyncio.get_running_loop().time()
        self.greeted = False
        self._port = _Port(lines)
        # It only reads and sets what a port has, and only writes to the connection.
        self.manager = PortManager(cast(Any, self._port), cast(Any, writer))

    @property
    def format(self) -> SerialFormat:
        port = self._port
        return SerialFormat(port.baudrate, port.bytesize, port.parity, port.stopbits)

    def filtered(self, data: bytes) -> bytes:
        """The data among what the reader sent; commands are answered. Raises _NoRfc2217."""
        try:
            said = b"".join(self.manager.filter(data))
        except (KeyError, TypeError, ValueError, struct.error) as error:  # PortManager trusts what it is sent
            raise _NoRfc2217(str(error)) from None
        if len(self.manager.suboption or b"") > _MOST_OPTION_BYTES:
            raise _NoRfc2217("an option without end")
        return said


class _Port:
    """What PortManager takes for the serial port of the server."""

    def __init__(self, lines: Callable[[], Lines]) -> None:
        self._lines = lines
        self._baudrate, self._bytesize, self._parity, self._stopbits = 9600, 8, "N", 1.0
        self.xonxoff = self.rtscts = self.dtr = self.rts = self.break_condition = False

    @property
    def baudrate(self) -> int:
        return self._baudrate

    @baudrate.setter
    def baudrate(self, value: int) -> None:
        if not 50 <= value <= 4_000_000:
            raise ValueError(f"no baud rate: {value}")
        self._baudrate = value

    @property
    def bytesize(self) -> int:
        return self._bytesize

    @bytesize.setter
    def bytesize(self, value: int) -> None:
        if not 5 <= value <= 8:
            raise ValueError(f"no data size: {value}")
        self._bytesize = value

    @property
    def parity(self) -> str:
        return self._parity

    @parity.setter
    def parity(self, value: str) -> None:
        self._parity = value

    @property
    def stopbits(self) -> float:
        return self._stopbits

    @stopbits.setter
    def stopbits(self, value: float) -> None:
        self._stopbits = value

    @property
    def cts(self) -> bool:
        return self._lines().cts

    @property
    def dsr(self) -> bool:
        return self._lines().dsr

    @property
    def ri(self) -> bool:
        return self._lines().ri

    @property
    def cd(self) -> bool:
        return self._lines().cd

    def reset_input_buffer(self) -> None:
        """Nothing is held back here."""

    def reset_output_buffer(self) -> None:
        """Nothing is held back here."""
