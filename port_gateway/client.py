"""A back-office's side of the stream: connects over mTLS, verifies every signature and chain itself, acknowledges.

Trust starts from the gateway's certificate (pinned) and the booths' certificates that it lists. A subscription that
begins in the middle replays the booth's chain from its beginning once, in silence, so that every event shown is
verified in its chain, never by its signature alone.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import grpc
from cryptography.hazmat.primitives import serialization

from edge_agent.domain.errors import EdgeAgentError, IdentityInvalid, PortRefused, PortUnreachable
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import Role, identity_of, load_certificate, load_private_key
from edge_agent.wire.quarantine import OF_CONTENT, Linked
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import SubscribeServiceStub
from edge_agent.wire.verify import Verified
from port_gateway.chains import Chains, device_keys, ended_keys
from port_gateway.evidence import MAX_BLOB_BYTES, BlobMismatch, check_file

if TYPE_CHECKING:
    from edge_agent.wire.v1alpha1.services_pb2_grpc import SubscribeServiceAsyncStub

CONNECT_TIMEOUT_S = 10.0
# A port that stops may ask for no more: what it says must not keep a reader away.
MAX_REST_S = 300.0
_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),  # a port's certificates in one message
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # otherwise a new dial waits for the back-off of the one before
)


@dataclass(frozen=True, slots=True)
class Received:
    """A verified event with its place in the port's commit order."""

    cursor: int
    booth_id: str
    verified: Verified
    released_from: int = 0  # the cursor at which it was in quarantine
    place: bytes = b""  # to go on after it


@dataclass(frozen=True, slots=True)
class InQuarantine:
    """An event in its place of the chain that the port could not read, and that nobody is to act on."""

    cursor: int
    booth_id: str
    linked: Linked
    code: RefusalCode
    place: bytes = b""


@dataclass(frozen=True, slots=True)
class Deleted:
    """An event in its place of the chain, whose bytes the port deleted under retention; when and why, as it says."""

    cursor: int
    booth_id: str
    head: Head
    deleted_utc_us: int
    rule: str
    place: bytes = b""


@contextlib.asynccontextmanager
async def connected(
    address: str, gateway_certificate: Path, key: Path, certificate: Path
) -> AsyncIterator["SubscribeServiceAsyncStub"]:
    """The gateway's subscribe service, as the back-office that `certificate` names.

    Raises IdentityInvalid; and, for every call in the block that fails, PortUnreachable or PortRefused.
    """
    pinned = load_certificate(gateway_certificate)
    own = load_certificate(certificate)
    if identity_of(own).role is not Role.BACK_OFFICE:
        raise PortRefused(f"{identity_of(own)} may not read the stream", "use a back-office's key and certificate")
    private = load_private_key(key)
    if private.public_key() != own.public_key():
        raise IdentityInvalid(f"{key} does not belong to {certificate}", "give the pair of one `keys init`")
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    credentials = grpc.ssl_channel_credentials(
        pinned.public_bytes(serialization.Encoding.PEM), pem, own.public_bytes(serialization.Encoding.PEM)
    )
    async with grpc.aio.secure_channel(address, credentials, options=_OPTIONS) as channel:
        try:
            yield SubscribeServiceStub(channel)
        except grpc.aio.AioRpcError as error:
            raise _in_words(error, address) from None


class PortStops(PortUnreachable):
    """The gateway was asked to stop, and takes calls again after `after_s`, 300 at most."""

    def __init__(self, wrong: str, after_s: float) -> None:
        super().__init__(wrong, "connect again then")
        self.after_s = after_s


# INTERNAL is gRPC's own word when a connection is torn down in the middle of a write; the gateway never sends it.
_GONE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.INTERNAL,
}


def _in_words(error: grpc.aio.AioRpcError, address: str) -> PortUnreachable | PortRefused:
    details = error.details() or error.code().name
    pushback = str(dict(error.trailing_metadata()).get("grpc-retry-pushback-ms", ""))
    if pushback.isdecimal():
        return PortStops(f"{address}: {details}", min(int(pushback) / 1000, MAX_REST_S))
    if error.code() in _GONE:
        return PortUnreachable(
            f"{address}: {details}",
            "is the gateway running, is --gateway-certificate the gateway's, and is this certificate registered there"
            " (`port-gateway trust list`)?",
        )
    return PortRefused(f"{address}: {error.code().name}: {details}", "see docs/wire.md for the code")


class Subscription:
    """Verified events from a port: `async with` it. `name` keeps a cursor at the port; `after` begins elsewhere.

    `after_place` is what came with the event at `after`: a port that was set back since then refuses.
    """

    def __init__(
        self,
        stub: "SubscribeServiceAsyncStub",
        name: str = "",
        after: int | None = None,
        after_place: bytes = b"",
    ) -> None:
        self._stub = stub
        self._name = name
        self._after = after if after is not None or name else 0
        self._after_place = after_place
        self._chains = Chains({})
        self._begun: set[str] = set()
        self._cursor = 0
        self._call: grpc.aio.StreamStreamCall[wire.SubscribeRequest, wire.SubscribeResponse]
        self._reading: asyncio.Future[Any] | None = None

    async def __aenter__(self) -> Self:
        await self._learn_keys()  # also says at once when the port cannot be reached, or refuses
        self._call = self._stub.Subscribe()
        start = wire.SubscribeStart(name=self._name, after=self._after, after_place=self._after_place)
        await self._call.write(wire.SubscribeRequest(start=start))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._call.cancel()
        if self._reading is not None:
            await asyncio.wait([self._reading])
            if not self._reading.cancelled():
                self._reading.exception()  # the call is over: nobody asks any more why

    async def next(self, wait_s: float | None = None) -> Received | InQuarantine | Deleted | None:
        """The next event in the port's order; None when nothing came for `wait_s`, or the port has ended the stream.

        Raises Refused when it does not verify.
        """
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._call.read())
        # The read goes on after a time-out: cancelling it would cancel the call.
        await asyncio.wait([self._reading], timeout=wait_s)
        if not self._reading.done():
            return None
        response, self._reading = self._reading.result(), None
        if not isinstance(response, wire.SubscribeResponse):
            return None
        if response.cursor <= self._cursor:
            raise Refused(RefusalCode.PROTOCOL, f"cursor {response.cursor} after {self._cursor}")
        self._cursor = response.cursor
        return await self._verify(response)

    async def ack(self, cursor: int) -> None:
        """Everything through `cursor` is done with: it is not sent again under this name."""
        await self._call.write(wire.SubscribeRequest(ack=wire.SubscribeAck(through=cursor)))

    async def done(self) -> None:
        """Take no more, and return when the port holds every acknowledgement durably."""
        await self._call.done_writing()
        response = await (self._reading or self._call.read())
        self._reading = None
        while isinstance(response, wire.SubscribeResponse):
            response = await self._call.read()

    async def _verify(self, response: wire.SubscribeResponse) -> Received | InQuarantine | Deleted:
        booth_id = response.booth_id
        if booth_id not in self._begun:
            if booth_id not in self._chains.keys:
                await self._learn_keys()  # registered after this subscription began
            self._begun.add(booth_id)
            if self._after != 0:
                return await self._from_the_beginning(booth_id, response)
        try:
            return self._in_chain(response)
        except Refused as refused:
            if refused.code is not RefusalCode.UNKNOWN_KEY:
                raise
        await self._learn_keys()  # the booth may have been given a new certificate in between
        return self._in_chain(response)

    def _in_chain(self, response: wire.SubscribeResponse) -> Received | InQuarantine | Deleted:
        booth_id, envelope = response.booth_id, response.envelope
        if response.HasField("deleted"):
            gone = response.deleted
            head = self._chains.pass_deleted(Head(booth_id, gone.epoch, gone.seq, gone.sha256))
            rule = "".join(c if c.isprintable() else "?" for c in gone.rule[:MAX_WHY])
            return Deleted(response.cursor, booth_id, head, gone.deleted_utc_us, rule, response.place)
        if response.quarantined:
            code = next((code for code in OF_CONTENT if code.value == response.quarantined), None)
            if code is None:
                raise Refused(RefusalCode.PROTOCOL, f"in quarantine for the code {response.quarantined}")
            linked = self._chains.pass_over(booth_id, envelope, response.cursor)
            return InQuarantine(response.cursor, booth_id, linked, code, response.place)
        if released_from := response.released_from:
            verified = self._chains.let_out(booth_id, envelope, released_from)
        else:
            verified = self._chains.verify(booth_id, envelope)
        return Received(response.cursor, booth_id, verified, released_from, response.place)

    async def _learn_keys(self) -> None:
        listed = await self._stub.ListBooths(wire.ListBoothsRequest(), timeout=CONNECT_TIMEOUT_S)
        self._chains.learn(
            {b.booth_id: device_keys(b.booth_id, b.certificates) for b in listed.booths},
            {b.booth_id: ended_keys(b.ended_keys) for b in listed.booths},
        )

    async def _from_the_beginning(
        self, booth_id: str, target: wire.SubscribeResponse
    ) -> Received | InQuarantine | Deleted:
        """Verify the booth's events up to and including `target`."""
        replay = self._stub.Subscribe()
        try:
            await replay.write(wire.SubscribeRequest(start=wire.SubscribeStart(after=0, booth_ids=[booth_id])))
            count = 0
            while isinstance(response := await replay.read(), wire.SubscribeResponse):
                count += 1
                if response.cursor > target.cursor:
                    break
                received = self._in_chain(response)
                if response.cursor == target.cursor:
                    if (response.envelope, response.deleted) != (target.envelope, target.deleted):
                        break
                    return received
                if count % 256 == 0:
                    await replay.write(wire.SubscribeRequest(ack=wire.SubscribeAck(through=response.cursor)))
        finally:
            replay.cancel()
        raise Refused(
            RefusalCode.GAP, f"cursor {target.cursor} does not come when {booth_id} is read from its beginning"
        )


_ABSENT = "has not arrived at the port"
MAX_WHY = 300


async def fetch(stub: "SubscribeServiceAsyncStub", sha256: bytes, folder: Path) -> Path | str:
    """Evidence into `folder/<sha256>`, verified before it gets that name; why, when the port does not have it.

    Raises BlobMismatch when the bytes that came are others.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgeAgentError(f"{folder}: cannot be written: {error.strerror}", "choose another --out") from None
    final = folder / sha256.hex()
    partial = folder / f".{sha256.hex()}.{os.getpid()}.part"
    size = 0
    try:
        with partial.open("wb") as file:
            async for response in stub.GetBlob(wire.GetBlobRequest(sha256=sha256)):
                size += len(response.chunk)
                if size > MAX_BLOB_BYTES:
                    raise BlobMismatch(f"more than {MAX_BLOB_BYTES} bytes of evidence", "tell the port's people")
                file.write(response.chunk)
        if not check_file(partial, sha256):
            raise BlobMismatch(f"the bytes that came are not those of {sha256.hex()}", "tell the port's people")
        partial.rename(final)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        said = " ".join((error.details() or "").split())[:MAX_WHY]
        deleted = said.startswith("DELETED ") and said.isprintable()
        return f"deleted by retention {said.removeprefix('DELETED ')}" if deleted else _ABSENT
    finally:
        partial.unlink(missing_ok=True)
    return final
