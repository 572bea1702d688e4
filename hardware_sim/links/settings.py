"""How a scenario says over what a device is reached."""

from typing import Annotated, Literal

from pydantic import Field

from hardware_sim.links.uart import SerialFormat
from hardware_sim.settings import Host, Port, SimSettings

# Where a link or device is served unless a scenario says otherwise.
LOCAL = "127.0.0.1"


class TcpLink(SimSettings):
    """Bytes over a TCP server; port 0 lets the system choose one."""

    kind: Literal["tcp"]
    host: Host = LOCAL
    port: Port = 0


class PtyLink(SimSettings):
    """Bytes over a pseudo-terminal, reached by a symbolic link; a relative path lies in the output folder."""

    kind: Literal["pty"]
    path: Annotated[str, Field(min_length=1, max_length=200)]


class Rfc2217Link(SimSettings):
    """Bytes and modem-control lines over an RFC 2217 device server; port 0 lets the system choose one.

    With `baudrate` the device's own port is set to that, and to `bytesize`, `parity` and `stopbits`: a reader that sets
    the server's port otherwise hears garbage, and is heard as garbage. Without it every rate is right.
    """

    kind: Literal["rfc2217"]
    host: Host = LOCAL
    port: Port = 0
    baudrate: Annotated[int, Field(ge=300, le=921_600)] | None = None
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1

    @property
    def wire(self) -> SerialFormat | None:
        """How the device's own port is set; None: as the reader likes."""
        if self.baudrate is None:
            return None
        return SerialFormat(self.baudrate, self.bytesize, self.parity, self.stopbits)


# What a device that speaks in bytes can be reached over.
ByteLink = Annotated[TcpLink | PtyLink | Rfc2217Link, Field(discriminator="kind")]
ByteLinks = Annotated[list[ByteLink], Field(min_length=1, max_length=4)]
