"""How the port is reached: mutual TLS to exactly the gateway whose certificate file this booth was given."""

import asyncio
import random
import re
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import grpc
import grpc.aio
from cryptography import x509
from grpc import experimental
from pydantic import BaseModel, ConfigDict, Field, field_validator

from edge_agent.domain.errors import EdgeAgentError, IdentityInvalid, PortRefused, PortUnreachable, Recoverable
from edge_agent.wire.identity import Role, identity_of, load_certificate
from edge_agent.wire.v1alpha1.services_pb2 import StatBlobsRequest
from edge_agent.wire.v1alpha1.services_pb2_grpc import EvidenceServiceStub

# A batch of 256 KiB with its framing; the rest is room for what a later version adds.
MAX_MESSAGE_BYTES = 1024 * 1024
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}")
# The port will say the same again until a person has done something there.
_REFUSALS = {
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNIMPLEMENTED,
}


class UplinkSettings(BaseModel):
    """The `uplink` section of the agent's settings. Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    gateway: str = Field(description="host:port of the port gateway")
    gateway_certificate: Path = Field(description="the gateway's certificate, a PEM file from the port's operator")
    evidence_bytes_per_s: int = Field(
        default=2 * 1024 * 1024, ge=1024, description="evidence never takes more of the line"
    )
    keepalive_s: float = Field(
        default=30.0, ge=10.0, description="the gateway must allow it, or it ends the connection"
    )
    keepalive_timeout_s: float = Field(default=10.0, gt=0)
    no_ack_s: float = Field(default=60.0, gt=0, description="reconnect when the port has not acknowledged for so long")
    connect_s: float = Field(default=20.0, gt=0)
    back_off_s: float = Field(
        default=0.5, gt=0, description="first delay after a lost connection; doubles, with full jitter"
    )
    back_off_max_s: float = Field(default=30.0, gt=0)
    certificate_look_s: float = Field(
        default=5.0,
        gt=0,
        description="when to look for a next certificate; doubles while the port does not take it",
    )
    renewal_look_s: float = Field(default=3600.0, gt=0, description="how often the certificate's end is looked at")
    refused_retry_s: float = Field(default=60.0, gt=0, description="ask again so long after a refusal")

    @field_validator("gateway")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        if not _HOST_PORT.fullmatch(value):
            raise ValueError("must be host:port, with nothing before or after it")
        if int(value.rpartition(":")[2]) > 65_535:
            raise ValueError("a port is at most 65535")
        return value


class LinkState(StrEnum):
    """How the connection to the port stands."""

    UP = "up"  # welcomed
    DOWN = "down"  # no connection; being tried again
    REFUSED = "refused"  # the port says no; asked again slowly
    FORKED = "forked"  # the port holds another chain: nothing is sent until a person has looked


OnLink = Callable[[LinkState, str], None]


class BackOff:
    """Full jitter: any delay up to a bound that doubles, so that a thousand booths do not come back at once."""

    def __init__(self, first_s: float, max_s: float, rng: random.Random) -> None:
        self._first_s, self._max_s, self._rng = first_s, max_s, rng
        self._failures = 0

    def next_delay(self) -> float:
        """Seconds to wait after one more failure."""
        bound = min(self._max_s, self._first_s * 2 ** min(self._failures, 32))
        self._failures += 1
        return self._rng.uniform(0, bound)

    def reset(self) -> None:
        self._failures = 0


def end_if_cancelled() -> None:
    """Ends a task whose cancellation met a failure of the connection: the failure came up in its place.

    A task group and gRPC's own calls both let an error win over a cancellation that arrives with it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class TlsKey(Protocol):
    """The key of this booth's certificate, P-256."""

    def pem(self) -> bytes | None:
        """In PEM form, unencrypted; None when it cannot leave its token, and `sign` is asked instead."""
        ...

    def sign(self, message: bytes) -> bytes:
        """ECDSA with SHA-256 in DER. In threads of gRPC's."""
        ...


class KeyUnavailable(PortUnreachable):
    """The port cannot be dialled, since the booth's own key is not at hand."""


class ClockWrong(PortUnreachable):
    """TLS cannot begin: by this machine's clock a certificate is not valid, often since the clock says 1970."""


class TlsIdentity(Protocol):
    """A certificate (a PEM file, its chain behind it) with its key."""

    @property
    def key(self) -> TlsKey: ...

    @property
    def certificate(self) -> Path: ...


class Identities(Protocol):
    """Whom the booth can show itself as. All may raise IdentityInvalid, and block."""

    def current(self) -> TlsIdentity: ...

    def certificate(self) -> Path:
        """That of `current`."""
        ...

    def next(self) -> TlsIdentity | None:
        """One that follows; the port may not know it yet."""
        ...

    def promote(self) -> None:
        """The port takes the one that follows: it is the current one now."""
        ...


class Port:
    """Dials the gateway. Certificates are read at every dial, so that renewed ones take effect by reconnecting.

    `generation` rises when the booth's next certificate is in force: channels of before are to be left.
    `takes_salvaged` is what the gateway said last of streams of salvaged ledgers, None where it said nothing yet.
    """

    def __init__(self, settings: UplinkSettings, identities: Identities) -> None:
        self._settings, self._identities = settings, identities
        self.generation = 0
        self.takes_salvaged: bool | None = None
        self._rests_until = 0.0

    def check(self) -> str:
        """The gateway's name to expect, if key and certificates can be used. Raises IdentityInvalid."""
        self._identities.current()
        return self._name()

    def _name(self) -> str:
        path = self._settings.gateway_certificate
        return expected_name(load_certificate(path), self._settings.gateway, str(path))

    async def goes_over(self) -> bool:
        """Whether the booth's next certificate is in force now: there is one, and the port answered to it.

        Make before break: the channels of the certificate before are still open.
        """
        following = await asyncio.to_thread(self._identities.next)
        if following is None:
            return False
        channel = self._channel(following)
        try:
            await EvidenceServiceStub(channel).StatBlobs(StatBlobsRequest(), timeout=self._settings.connect_s)
        except grpc.aio.AioRpcError:
            return False
        finally:
            await channel.close()
        await asyncio.to_thread(self._identities.promote)
        self.generation += 1
        return True

    def clock_wrong(self, now: datetime) -> ClockWrong | None:
        """Whether the clock explains that no connection comes about. Raises IdentityInvalid. Opens no key."""
        shown = {
            "the gateway's certificate": self._settings.gateway_certificate,
            "this booth's certificate": self._identities.certificate(),
        }
        for whose, path in shown.items():
            certificate = load_certificate(path)
            begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            if not begins <= now <= ends:
                return ClockWrong(
                    f"no connection to the port gateway at {self._settings.gateway}: this machine's clock says "
                    f"{now:%Y-%m-%d %H:%M} UTC, and {whose} is valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}",
                    "set the clock, or renew the certificate if it has ended; events are kept, and sent by themselves "
                    "when the clock is right",
                )
        return None

    def rest(self, until: float) -> None:
        """The gateway said that it stops: nobody dials it before `until`, on the monotonic clock."""
        self._rests_until = until

    def rest_s(self, now: float) -> float:
        """Seconds for which the gateway is to be left alone; 0 where it is not."""
        return max(0.0, self._rests_until - now)

    async def dial(self) -> grpc.aio.Channel:
        """A new channel, not connected yet. Raises IdentityInvalid, PortUnreachable. To be closed by the caller."""
        try:
            identity = await asyncio.to_thread(self._identities.current)
        except Recoverable as error:  # the key's token is not there: the booth goes on, and tries again
            raise KeyUnavailable(error.wrong, error.remedy) from None
        return self._channel(identity)

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """A new channel, closed at the end; gRPC's errors within come out as ours. Raises what `dial` does."""
        channel = await self.dial()
        try:
            yield channel
        except grpc.aio.AioRpcError as error:
            raise translated(error, self._settings.gateway) from None
        finally:
            await channel.close()

    def _channel(self, identity: TlsIdentity) -> grpc.aio.Channel:
        settings = self._settings
        name = self._name()
        roots = settings.gateway_certificate.read_bytes()
        credentials = _credentials(identity.key, roots, identity.certificate.read_bytes())
        options = [
            ("grpc.keepalive_time_ms", round(settings.keepalive_s * 1000)),
            ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout_s * 1000)),
            (
                "grpc.http2.ping_timeout_ms",
                round(settings.keepalive_timeout_s * 1000),
            ),  # measured: this is what ends it
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.use_local_subchannel_pool", 1),  # otherwise a new dial waits for the old one's own back-off
            ("grpc.enable_retries", 0),  # the window decides what is sent again
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.ssl_target_name_override", name),
        ]
        return grpc.aio.secure_channel(settings.gateway, credentials, options=options)


def _credentials(key: TlsKey, roots: bytes, chain: bytes) -> grpc.ChannelCredentials:
    pem = key.pem()
    if pem is not None:
        return grpc.ssl_channel_credentials(roots, pem, chain)

    def sign(message: bytes, algorithm: int, _: object) -> bytes:
        if algorithm != experimental.PrivateKeySignatureAlgorithm.ECDSA_SECP256R1_SHA256:
            wrong = f"TLS asks for a signature by algorithm {algorithm}, and the key is P-256"
            raise IdentityInvalid(wrong, "give the certificate of this key")
        return key.sign(message)

    with warnings.catch_warnings():  # the one way in gRPC to a key that stays in its token (ADR 0017)
        warnings.simplefilter("ignore", experimental.ExperimentalApiWarning)
        credentials: grpc.ChannelCredentials = experimental.ssl_channel_credentials_with_custom_signer(
            private_key_sign_fn=sign, root_certificates=roots, certificate_chain=chain
        )
    return credentials


def expected_name(gateway: x509.Certificate, address: str, where: str) -> str:
    """The name to check: the one dialled if the certificate has it, else the certificate's own first.

    `where` the certificate is from stands in messages. The booth trusts this certificate and no authority, so the
    name under which it is reached adds nothing.
    """
    if identity_of(gateway).role is not Role.GATEWAY:
        raise IdentityInvalid(
            f"{where}: the certificate of {identity_of(gateway)}, which is no gateway",
            "ask the port's operator for its gateway's certificate",
        )
    san = gateway.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = [*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))]
    host = address.rpartition(":")[0].strip("[]")
    if not names:
        raise IdentityInvalid(f"{where}: names no host", "issue the gateway's certificate with its host name")
    return host if host in names else names[0]


def translated(error: grpc.aio.AioRpcError, gateway: str) -> EdgeAgentError:
    """gRPC's status as PortRefused or PortUnreachable."""
    code, details = error.code(), (error.details() or "")[:500]
    if code in _REFUSALS:
        return PortRefused(
            f"the port gateway at {gateway} refused: {code.name}: {details}",
            "have this booth's certificate registered at the port, and compare versions",
        )
    return PortUnreachable(
        f"no connection to the port gateway at {gateway}: {code.name}: {details}",
        "check the network and the gateway, and that this booth is registered there; events are kept and sent later",
    )
