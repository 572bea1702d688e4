"""How a scenario says where the way to the port gateway leads."""

from typing import Annotated

from pydantic import Field, field_validator

from hardware_sim.settings import SimSettings, checked_host


class PortSettings(SimSettings):
    """The way to the port gateway: agents connect to `listen` in the place of the gateway's own address."""

    listen: Annotated[str, Field(description="host:port; port 0 lets the system choose one")] = "127.0.0.1:0"
    upstream: Annotated[str, Field(description="host:port of the gateway")]
    forgets_to: Annotated[
        str | None, Field(description="host:port of a gateway with the same identity and an empty store, for `forget`")
    ] = None

    @field_validator("listen", "upstream", "forgets_to")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            split_address(value)
        return value

    @property
    def upstreams(self) -> list[str]:
        return [self.upstream] if self.forgets_to is None else [self.upstream, self.forgets_to]


def split_address(text: str) -> tuple[str, int]:
    """host and port of `host:port` or `[v6]:port`. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not host:port")
    return checked_host(host.removeprefix("[").removesuffix("]")), int(port)
