"""Booths' first certificates for one-time tokens, and renewals before they expire, from the gateway's own authority."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import timedelta

import apsw
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import EdgeAgentError, IdentityInvalid
from edge_agent.wire.enrollment import SECRET_BYTES, EnrollmentFault, NotEnrolled, Token, read_request, requested
from edge_agent.wire.identity import Role, SpiffeId, key_id
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import EnrollmentServiceServicer
from port_gateway.authority import Authority, may_name
from port_gateway.peers import Context, end, peer_of
from port_gateway.revocation import read_ended
from port_gateway.store import Store
from port_gateway.trust import TrustStore, register

MAX_TRIES = 5
LONGEST = timedelta(days=7)


def new_token(
    store: Store,
    clock: Clock,
    booth: SpiffeId,
    valid: timedelta,
    gateway: x509.Certificate,
    authority: x509.Certificate,
) -> Token:
    """A token for `booth`, which the store knows by its digest only. Raises IdentityInvalid."""
    if booth.role is not Role.BOOTH:
        raise IdentityInvalid(f"{booth} is a {booth.role}", "tokens are for booths: spiffe://<port>/booth/<name>")
    if not may_name(authority, booth.port):
        raise IdentityInvalid(
            f"this gateway's authority issues nothing for booths of {booth.port}",
            "enrol it at that port's gateway, or correct the name",
        )
    if not timedelta(0) < valid <= LONGEST:
        raise IdentityInvalid(f"a token valid for {valid}", f"give --valid up to {LONGEST.days}d, e.g. 1h")
    der = gateway.public_bytes(serialization.Encoding.DER)
    token = Token(booth, secrets.token_hex(4), secrets.token_bytes(SECRET_BYTES), hashlib.sha256(der).digest())
    expires = round((clock.now().utc + valid).timestamp() * 1e6)
    row = (token.id, str(booth), hashlib.sha256(token.secret).digest(), expires, MAX_TRIES)

    def write(db: apsw.Connection) -> None:
        db.execute(
            "INSERT INTO enrollment (token_id, booth_id, secret_sha256, expires_utc_us, tries_left) VALUES (?,?,?,?,?)",
            row,
        )

    store.submit(write).result()
    return token


class Enrollment(EnrollmentServiceServicer):
    """The service; `authority` is None where the site has none, and every call is refused."""

    def __init__(self, store: Store, trust: TrustStore, authority: Authority | None, clock: Clock) -> None:
        self._store, self._trust, self._authority, self._clock = store, trust, authority, clock

    async def Enroll(self, request: wire.EnrollRequest, context: Context) -> wire.EnrollResponse:  # noqa: N802
        """See docs/wire.md."""
        try:
            authority = self._working()
            if not await asyncio.to_thread(self._knows, request.token_id):  # strangers do not occupy the writer
                raise _unknown()
            read_request(request.request)  # what it cannot be read as is found here, not by the writer
            issued = await _result(self._store, lambda db: self._redeem(db, request, authority))
            return wire.EnrollResponse(certificate=issued, chain=[_der(authority.certificate)])
        except EdgeAgentError as error:
            await end(context, error)

    async def Renew(self, request: wire.RenewRequest, context: Context) -> wire.RenewResponse:  # noqa: N802
        """See docs/wire.md."""
        try:
            peer = peer_of(context, self._trust, Role.BOOTH)
            authority = self._working()
            key = requested(request.request, peer.identity)
            if key_id(key) != key_id(peer.key):
                raise NotEnrolled(
                    EnrollmentFault.REQUEST_OF_ANOTHER,
                    "a renewal is for the key of the certificate shown",
                    "hand over to a new key with `edge-agent keys rotate`",
                )
            now = self._clock.now().utc
            begins, ends = peer.certificate.not_valid_before_utc, peer.certificate.not_valid_after_utc
            if ends - now > (ends - begins) / 2:  # every certificate is kept for ever
                raise NotEnrolled(
                    EnrollmentFault.NOT_DUE,
                    f"more than half of the certificate's time is left at {now:%Y-%m-%d %H:%M} UTC",
                    "ask later; is the booth's clock right?",
                )
            issued = authority.issue(peer.identity, key, now)
            return wire.RenewResponse(certificate=_der(issued), chain=[_der(authority.certificate)])
        except EdgeAgentError as error:
            await end(context, error)

    def _working(self) -> Authority:
        if self._authority is None:
            raise NotEnrolled(EnrollmentFault.NO_AUTHORITY, "this port's gateway issues no certificates")
        return self._authority

    def _knows(self, token_id: str) -> bool:
        with self._store.reading() as db:
            return db.execute("SELECT 1 FROM enrollment WHERE token_id = ?", (token_id,)).fetchone() is not None

    def _redeem(self, db: apsw.Connection, request: wire.EnrollRequest, authority: Authority) -> bytes | NotEnrolled:
        """The certificate, or why not: returned, since a try that failed counts and must not be undone."""
        row = db.execute(
            "SELECT booth_id, secret_sha256, expires_utc_us, tries_left, key_id, certificate FROM enrollment"
            " WHERE token_id = ?",
            (request.token_id,),
        ).fetchone()
        wrong = _unknown()
        if row is None:
            return wrong
        booth_id, digest, expires, tries, used_by, certificate = row
        if not isinstance(digest, bytes) or not isinstance(tries, int) or not isinstance(expires, int):
            raise apsw.CorruptError("a token is not there")
        if tries <= 0:
            return NotEnrolled(EnrollmentFault.TOKEN_WRONG, "this token was tried wrongly too often", "get a new one")
        if not hmac.compare_digest(digest, hashlib.sha256(request.secret).digest()):
            db.execute("UPDATE enrollment SET tries_left = tries_left - 1 WHERE token_id = ?", (request.token_id,))
            return wrong
        now = self._clock.now().utc
        if round(now.timestamp() * 1e6) > expires:
            return NotEnrolled(EnrollmentFault.TOKEN_EXPIRED, "this token's time is over", "get a new one at the port")
        identity = SpiffeId.parse(str(booth_id))
        try:
            key = requested(request.request, identity)
            which = key_id(key)
            if used_by is not None:
                if used_by == which and isinstance(certificate, bytes):
                    return certificate  # the answer was lost on its way
                return NotEnrolled(
                    EnrollmentFault.TOKEN_USED, "this token was used for another key", "get a new one at the port"
                )
            if which in read_ended(db, str(identity)).get(str(identity), {}):
                return NotEnrolled(EnrollmentFault.KEY_ENDED, "this key was revoked or handed over", "make a new one")
            issued = authority.issue(identity, key, now)
        except NotEnrolled as why:
            return why
        register(db, issued, round(now.timestamp() * 1e6))
        db.execute(
            "UPDATE enrollment SET key_id = ?, certificate = ? WHERE token_id = ?",
            (which, _der(issued), request.token_id),
        )
        return _der(issued)


def _unknown() -> NotEnrolled:
    return NotEnrolled(EnrollmentFault.TOKEN_WRONG, "the port knows no such token", "get a new one there")


async def _result(store: Store, work: Callable[[apsw.Connection], bytes | NotEnrolled]) -> bytes:
    result = await asyncio.wrap_future(store.submit(work))
    if isinstance(result, NotEnrolled):
        raise result
    return result


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)
