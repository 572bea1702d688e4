"""How a scenario says over what a device is reached."""

from typing import Annotated, Literal

from pydantic import Field

from hardware_sim.settings import Port, SimSettings


class TcpLink(SimSettings):
    """Bytes over a TCP server; port 0 lets the system choose one."""

    kind: Literal["tcp"]
    host: str = "127.0.0.1"
    port: Port = 0


class PtyLink(SimSettings):
    """Bytes over a pseudo-terminal, reached by a symbolic link; a relative path lies in the output folder."""

    kind: Literal["pty"]
    path: Annotated[str, Field(min_length=1, max_length=200)]


# What a device that speaks in bytes can be reached over.
ByteLink = Annotated[TcpLink | PtyLink, Field(discriminator="kind")]
ByteLinks = Annotated[list[ByteLink], Field(min_length=1, max_length=4)]
