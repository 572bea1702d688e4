"""What every source is told that waits for scanners to come to it: where, and that it is not in the clear."""

import ssl
from typing import Self

from pydantic import Field, field_validator, model_validator

from edge_agent.devices.sources.places import TlsSettings, is_loopback, tls_context
from edge_agent.devices.sources.scan_file import FileSettings


class ListenSettings(FileSettings):
    """An address of this computer; beyond loopback with TLS, or by saying that others may listen."""

    host: str = "127.0.0.1"
    tls: TlsSettings | None = None
    insecure: bool = Field(
        default=False, description="without TLS beyond loopback: others can read what comes, and what lets it in"
    )

    @field_validator("host")
    @classmethod
    def _host_is_one(cls, host: str) -> str:
        if not host or any(c.isspace() for c in host):
            raise ValueError("give one address, or 0.0.0.0 for all")
        return host

    @model_validator(mode="after")
    def _not_in_the_clear(self) -> Self:
        if self.tls is None and not self.insecure and not is_loopback(self.host):
            raise ValueError("without `tls` it listens on loopback only, unless `insecure: true` says otherwise")
        return self

    def context(self) -> ssl.SSLContext | None:
        """None without TLS. Raises LinkDown, naming the file that cannot be used."""
        return tls_context(self.tls) if self.tls else None
