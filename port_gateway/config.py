"""The gateway's settings.

A whole settings file; paths are taken from the folder of the file:

    identity:
      key: keys/gateway.key           # made by `port-gateway keys init`
      certificate: keys/gateway.crt
    listen: 0.0.0.0:7443              # host:port; port 0 takes a free one
    data: inbox                       # the folder of events, evidence and registered certificates
    authorities: [keys/site-ca.pem]   # may be left out: a site's own certificate authority
    enroll:                           # may be left out: the gateway's own (`port-gateway ca init`)
      listen: 0.0.0.0:7444
      key: keys/ca.key
      certificate: keys/ca.crt
      days: 90
    admin: {}                         # may be left out: health and reflection on 127.0.0.1:7445
    time:                             # may be left out: time tokens (RFC 3161) on receipts
      url: http://tsa.example/tsr
      authority: keys/tsa-root.pem
      every_min: 10
    witnesses:                        # may be left out: who cosigns receipts (config_witnesses.py)
      policy: keys/witnesses.policy
    retention: {}                     # may be left out: how long evidence is kept (config_retention.py)
    limits:                           # all of them may be left out
      database_bytes: 500_000_000_000
      window_records: 1024
      window_bytes: 1048576
      heartbeat_s: 5
"""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from edge_agent.settings_file import read_settings
from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES
from port_gateway.config_retention import Retention
from port_gateway.config_witnesses import Witnesses

MAX_BATCH_RECORDS = 256
MAX_BATCH_BYTES = 256 * 1024


def host_and_port(value: str) -> str:
    """`host:port`, as it is. Raises ValueError."""
    if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}", value):
        raise ValueError("is no host:port, like 0.0.0.0:7443")
    if int(value.rpartition(":")[2]) > 65_535:
        raise ValueError("a port is at most 65535")
    return value


_HostPort = Annotated[str, AfterValidator(host_and_port)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Identity(_Section):
    """The gateway's own key and certificate."""

    key: Path
    certificate: Path


class Limits(_Section):
    """What one peer may ask of the gateway, and how large the store may become."""

    database_bytes: Annotated[int, Field(ge=1024 * 1024)] | None = None
    # Credit of a booth: what may be in flight, unacknowledged. Four full batches keep a 100 ms link busy.
    window_records: Annotated[int, Field(ge=MAX_BATCH_RECORDS, le=65_536)] = 4 * MAX_BATCH_RECORDS
    window_bytes: Annotated[int, Field(ge=MAX_BATCH_BYTES, le=64 * 1024 * 1024)] = 4 * MAX_BATCH_BYTES
    max_batch_bytes: Annotated[int, Field(ge=MAX_ENVELOPE_BYTES, le=MAX_BATCH_BYTES)] = MAX_BATCH_BYTES
    # The booth's watchdog gives up after 60 s; the wire promises an acknowledgement at least every 10 s.
    heartbeat_s: Annotated[float, Field(gt=0, le=10)] = 5.0
    # Ledgers that a booth may begin in all: one with each machine that is set up anew or salvaged. A reader keeps each
    # of them in mind, and witnesses are asked about each: who has a booth's key must not make them without end.
    epochs_a_booth: Annotated[int, Field(ge=1, le=100_000)] = 500
    # A peer that does not read or write for so long is gone.
    idle_s: Annotated[float, Field(gt=0, le=600)] = 60.0
    # A stop waits so long for what is on its way, and asks booths to come back after so many seconds.
    drain_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    back_after_s: Annotated[int, Field(ge=0, le=300)] = 5
    # A connection is asked so often whether its peer still lives, and has so long to answer.
    keepalive_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    keepalive_timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    # An expected crossing is kept so long after its window; one whose window has no end, after it was given or begins.
    expected_after_h: Annotated[float, Field(gt=0, le=720)] = 24.0
    expected_open_days: Annotated[float, Field(gt=0, le=31)] = 7.0


class Enroll(_Section):
    """The gateway's own small authority (`ca init`), and where booths without a certificate ask it for one."""

    listen: _HostPort
    key: Path
    certificate: Path
    # A booth renews when a third of it is left.
    days: Annotated[int, Field(ge=1, le=825)] = 90


class Admin(_Section):
    """Where a supervisor on this machine asks: gRPC's health service and reflection, without TLS."""

    listen: _HostPort = "127.0.0.1:7445"

    @field_validator("listen")
    @classmethod
    def _loopback(cls, value: str) -> str:
        host = value.rpartition(":")[0].strip("[]")
        if host != "localhost" and not (_is_address(host) and ip_address(host).is_loopback):
            raise ValueError("must be on loopback (127.0.0.1, [::1]): nothing there is protected")
        return value


class Time(_Section):
    """A time-stamp authority (RFC 3161), and its root certificate, without which no answer of it is kept."""

    url: Annotated[str, Field(pattern=r"^https?://[^/@\s]+(/\S*)?$")]
    authority: Path
    # Of each chain that has grown.
    every_min: Annotated[float, Field(ge=1, le=10_080)] = 10.0
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not urlsplit(value).hostname or urlsplit(value).port == 0:  # raises ValueError itself
            raise ValueError("names no host and port")
        return value


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Settings(_Section):
    """The whole file."""

    identity: Identity
    listen: _HostPort
    data: Path
    # Certificates of the site's own authority, if it has one: what it issues for a registered booth is taken.
    authorities: list[Path] = []
    enroll: Enroll | None = None
    admin: Admin | None = None
    time: Time | None = None
    witnesses: Witnesses | None = None
    limits: Limits = Limits()
    retention: Retention = Retention()

    @property
    def database(self) -> Path:
        return self.data / "inbox.sqlite"

    @property
    def evidence(self) -> Path:
        return self.data / "evidence"

    def at(self, folder: Path) -> "Settings":
        """The same with every path taken from `folder`."""
        identity = Identity(key=folder / self.identity.key, certificate=folder / self.identity.certificate)
        placed: dict[str, object] = {"identity": identity, "data": folder / self.data}
        placed["authorities"] = [folder / path for path in self.authorities]
        if self.enroll is not None:
            pair = {"key": folder / self.enroll.key, "certificate": folder / self.enroll.certificate}
            placed["enroll"] = self.enroll.model_copy(update=pair)
        if self.time is not None:
            placed["time"] = self.time.model_copy(update={"authority": folder / self.time.authority})
        if self.witnesses is not None:
            placed["witnesses"] = self.witnesses.model_copy(update={"policy": folder / self.witnesses.policy})
        return self.model_copy(update=placed)


def read_config(path: Path) -> Settings:
    """The settings of a file, with its paths resolved. Raises SettingsInvalid with every mistake."""
    return read_settings(path, Settings).at(path.resolve().parent)
