"""Certificates from the port's own authority: the first for a one-time token, and renewals before one expires."""

import asyncio
import hashlib
import logging
import ssl
from datetime import datetime
from typing import Never, Protocol

import grpc
import grpc.aio
from cryptography import x509

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import EdgeAgentError, IdentityInvalid, PortRefused, PortUnreachable
from edge_agent.uplink.link import Port, end_if_cancelled, expected_name, translated
from edge_agent.wire.enrollment import EnrollmentFault, NotEnrolled, Token
from edge_agent.wire.identity import Role, identity_of, parse_certificate
from edge_agent.wire.v1alpha1.services_pb2 import EnrollRequest, EnrollResponse, RenewRequest
from edge_agent.wire.v1alpha1.services_pb2_grpc import EnrollmentServiceStub

log = logging.getLogger(__name__)

PATIENCE_S = 20.0
AGAIN_S = 24 * 3600.0  # after a refusal, which a person must look at


async def enroll(address: str, token: Token, request: bytes, now: datetime) -> tuple[bytes, EnrollResponse]:
    """The gateway's certificate (PEM), proved by the token, and what it issued for `request` (PKCS#10 in DER).

    Raises NotEnrolled, IdentityInvalid, PortUnreachable, PortRefused.
    """
    pem = await asyncio.to_thread(_shown, address)
    gateway = parse_certificate(pem, address)
    if hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).digest() != token.gateway_sha256:
        raise NotEnrolled(
            EnrollmentFault.TOKEN_WRONG,
            f"who answers at {address} is not the gateway that made this token",
            "check the address, and who stands between; the token was not sent",
        )
    if identity_of(gateway).role is not Role.GATEWAY:
        raise IdentityInvalid(f"{address} shows the certificate of {identity_of(gateway)}", "ask the port's operator")
    _clock_within(gateway, now)
    options = [("grpc.ssl_target_name_override", expected_name(gateway, address, address)), ("grpc.enable_retries", 0)]
    async with grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(pem), options=options) as channel:
        asked = EnrollRequest(token_id=token.id, secret=token.secret, request=request)
        try:
            return pem, await EnrollmentServiceStub(channel).Enroll(asked, timeout=PATIENCE_S)
        except grpc.aio.AioRpcError as error:
            raise _in_words(error, address) from None


def _shown(address: str) -> bytes:
    """The certificate that a server shows, unverified: whoever calls compares it."""
    host, _, port = address.rpartition(":")
    try:
        return ssl.get_server_certificate((host.strip("[]"), int(port)), timeout=PATIENCE_S).encode()
    except (OSError, ValueError) as error:
        raise PortUnreachable(
            f"nobody answers TLS at {address}: {error}", "give the HOST:PORT of the gateway's `enroll.listen`"
        ) from None


def _clock_within(gateway: x509.Certificate, now: datetime) -> None:
    if not gateway.not_valid_before_utc <= now <= gateway.not_valid_after_utc:
        raise NotEnrolled(
            EnrollmentFault.CLOCK_WRONG,
            f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, and the gateway's certificate is valid from"
            f" {gateway.not_valid_before_utc:%Y-%m-%d %H:%M} to {gateway.not_valid_after_utc:%Y-%m-%d %H:%M}",
            "set the clock, then try again: the token was not sent",
        )


def _in_words(error: grpc.aio.AioRpcError, address: str) -> EdgeAgentError:
    name, colon, detail = (error.details() or "").partition(": ")
    if colon and name in EnrollmentFault.__members__:
        return NotEnrolled(EnrollmentFault[name], detail[:500], 'see docs/operate.md, "Enrolling a booth"')
    return translated(error, address)


class Renewable(Protocol):
    """The booth's certificate. All may raise IdentityInvalid, and block."""

    def expires(self, now: datetime) -> datetime | None:
        """When the certificate ends, if it is time to ask for another; else None."""
        ...

    def request(self) -> bytes:
        """A PKCS#10 request in DER for the same identity and key."""
        ...

    def accept(self, certificate: bytes) -> None:
        """The certificate (DER) that is to follow."""
        ...


class Renewal:
    """Asks the port for another certificate when a third of the present one is left."""

    def __init__(self, port: Port, booth: Renewable, clock: Clock, look_s: float) -> None:
        self._port, self._booth, self._clock, self._look_s = port, booth, clock, look_s

    async def run(self) -> Never:
        """For ever; what fails is logged and tried again."""
        while True:
            pause = await self._once()
            await asyncio.sleep(pause)

    async def _once(self) -> float:
        """Seconds until the next look."""
        try:
            ends = await asyncio.to_thread(self._booth.expires, self._clock.now().utc)
            if ends is None:
                return self._look_s
            request = await asyncio.to_thread(self._booth.request)
            channel = await self._port.dial()
            try:
                answer = await EnrollmentServiceStub(channel).Renew(RenewRequest(request=request), timeout=PATIENCE_S)
            finally:
                await channel.close()
            await asyncio.to_thread(self._booth.accept, answer.certificate)
            log.info("the port issued the booth's next certificate")
        except grpc.aio.AioRpcError as error:
            end_if_cancelled()
            why = _in_words(error, "the port")
            if isinstance(why, NotEnrolled | PortRefused):
                log.warning("the booth's certificate ends %s UTC and is not renewed: %s", f"{ends:%Y-%m-%d %H:%M}", why)
                return max(self._look_s, min(AGAIN_S, 24 * self._look_s))
        except EdgeAgentError as error:
            log.warning("the booth's certificate is not renewed: %s", error)
        return self._look_s
