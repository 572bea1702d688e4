"""Evidence to the port, by content address, on a channel of its own and never faster than it may.

A pass asks the port what it holds of the evidence that is still to be sent, sends the rest from where the port stands,
and begins again when there is news or after a failure.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Never, Protocol

import grpc
import grpc.aio

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import EdgeAgentError, IdentityInvalid, PortRefused, PortUnreachable
from edge_agent.uplink.link import BackOff, Port, UplinkSettings, end_if_cancelled, translated
from edge_agent.wire.v1alpha1.services_pb2 import (
    BlobHeader,
    BlobState,
    PutBlobRequest,
    PutBlobResponse,
    StatBlobsRequest,
)
from edge_agent.wire.v1alpha1.services_pb2_grpc import EvidenceServiceStub

if TYPE_CHECKING:  # the asynchronous stubs are types only
    from edge_agent.wire.v1alpha1.services_pb2_grpc import EvidenceServiceAsyncStub

log = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
GROUP = 64  # the port answers at most 256 digests at once; a smaller group begins sending sooner
STALLED_S = 60.0  # no answer, or not one chunk taken, for so long

_PutCall = grpc.aio.StreamUnaryCall[PutBlobRequest, PutBlobResponse]
OnLost = Callable[[bytes, str], None]


class EvidenceOutbox(Protocol):
    """What the evidence uplink needs of the ledger. Reads may block, and are made in other threads."""

    def pending_blobs(self, after: int, limit: int) -> Sequence[tuple[int, bytes, int]]:
        """(position, SHA-256, size) of evidence to be sent, behind position `after`, in order."""
        ...

    def sent_blobs(self, after: int, limit: int) -> Sequence[tuple[int, bytes, int]]:
        """Likewise, of evidence that is kept here and that the port has taken."""
        ...

    def offer_again(self) -> None:
        """All evidence that was sent is to be sent once more, as far as the port lacks it. Returns at once."""
        ...

    def read_blob(self, sha256: bytes) -> bytes | None:
        """The evidence, verified; None when this disk no longer has it."""
        ...

    def blob_sent(self, sha256: bytes) -> None:
        """The port holds it durably. Returns at once."""
        ...

    def blob_lost(self, sha256: bytes) -> None:
        """This disk no longer has it. Returns at once."""
        ...


class TokenBucket:
    """`rate` bytes a second on average, and at most `burst` at once."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = burst, now

    def delay(self, size: int, now: float) -> float:
        """Take `size` bytes; seconds to wait before they may be sent."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - size
        self._at = now
        return max(0.0, -self._tokens / self._rate)


class EvidenceUplink:
    """Sends what is to be sent. Call `wake` whenever the ledger has new events."""

    def __init__(
        self,
        settings: UplinkSettings,
        port: Port,
        outbox: EvidenceOutbox,
        clock: Clock,
        on_lost: OnLost,
        rng: random.Random | None = None,
    ) -> None:
        self._settings, self._port, self._outbox, self._clock, self._on_lost = settings, port, outbox, clock, on_lost
        self._back_off = BackOff(settings.back_off_s, settings.back_off_max_s, rng or random.SystemRandom())
        self._bucket = TokenBucket(settings.evidence_bytes_per_s, 2 * CHUNK_BYTES, clock.monotonic())
        self._news = asyncio.Event()
        self._failing = False
        self._position = 0
        self._asked_through: int | None = 0  # position of sent evidence; None when the port was asked for all of it

    def wake(self) -> None:
        """There may be something to send. From the event loop."""
        self._news.set()

    async def run(self) -> Never:
        """Sends for ever. Raises only what the ledger raises when it cannot be read."""
        while True:
            try:
                await self._connected(generation := self._port.generation)
            except (PortUnreachable, PortRefused, IdentityInvalid) as failure:
                end_if_cancelled()
                if self._asked_through is None and isinstance(failure, PortUnreachable):
                    self._asked_through = 0
                if generation != self._port.generation:
                    continue
                await asyncio.sleep(self._delay_after(failure))

    def _delay_after(self, failure: EdgeAgentError) -> float:
        if rest := self._port.rest_s(self._clock.monotonic()):
            return rest
        if not self._failing:  # once for each outage, not once for each attempt
            self._failing = True
            log.warning("evidence waits: %s", failure)
        return self._back_off.next_delay() if isinstance(failure, PortUnreachable) else self._settings.refused_retry_s

    async def _connected(self, generation: int) -> None:
        """Returns when the booth's next certificate is in force: this channel is to be left."""
        async with self._port.channel() as channel:
            stub: EvidenceServiceAsyncStub = EvidenceServiceStub(channel)
            await self._ask_for_sent(stub)
            while generation == self._port.generation:
                self._news.clear()
                await self._pass(stub)
                await self._news.wait()

    async def _ask_for_sent(self, stub: "EvidenceServiceAsyncStub") -> None:
        """At the start and after an outage: a restored port may have all events, and lack evidence that it took."""
        while self._asked_through is not None:
            sent = await asyncio.to_thread(self._outbox.sent_blobs, self._asked_through, GROUP)
            complete = all(state.complete for state in await self._states(stub, sent))
            if not complete:
                log.warning("the port lost evidence that it had taken: all that is kept here is offered again")
                self._outbox.offer_again()
            self._asked_through = sent[-1][0] if sent and complete else None

    async def _states(
        self, stub: "EvidenceServiceAsyncStub", blobs: Sequence[tuple[int, bytes, int]]
    ) -> Sequence[BlobState]:
        """What the port holds of these, in their order."""
        if not blobs:
            return []
        asked = [sha256 for _, sha256, _ in blobs]
        stats = await stub.StatBlobs(StatBlobsRequest(sha256=asked), timeout=STALLED_S)
        if [state.sha256 for state in stats.blobs] != asked:
            raise PortRefused("the port answered for other evidence than asked", "compare the versions of both ends")
        return stats.blobs

    async def _pass(self, stub: "EvidenceServiceAsyncStub") -> None:
        """Every piece once; raises the first refusal when all others have had their turn.

        After a lost connection it goes on behind the piece at which that happened: one piece never holds up the rest.
        """
        refusal: PortRefused | None = None
        began = self._position
        while pending := await asyncio.to_thread(self._outbox.pending_blobs, self._position, GROUP):
            for state, (position, _, _) in zip(await self._states(stub, pending), pending, strict=True):
                self._position = position
                try:
                    await self._settle(stub, state)
                except PortRefused as error:
                    refusal = refusal or error
        self._position = 0
        if began:
            self._news.set()
        if refusal is not None:
            raise refusal

    async def _settle(self, stub: "EvidenceServiceAsyncStub", state: BlobState) -> None:
        if self._port.rest_s(self._clock.monotonic()):
            raise PortUnreachable("the port is stopping", "the rest is sent when it is back")
        if not state.complete:
            data = await asyncio.to_thread(self._outbox.read_blob, state.sha256)
            if data is None:
                detail = f"evidence {state.sha256.hex()} is no longer on this disk as it was written"
                log.error("%s", detail)
                self._outbox.blob_lost(state.sha256)
                self._on_lost(state.sha256, detail)
                return
            await self._put(stub, state, data)
        self._outbox.blob_sent(state.sha256)
        self._back_off.reset()
        if self._failing:
            self._failing = False
            log.info("evidence is being sent again")

    async def _put(self, stub: "EvidenceServiceAsyncStub", state: BlobState, data: bytes) -> None:
        offset = state.committed_size if state.committed_size <= len(data) else 0
        header = BlobHeader(sha256=state.sha256, size=len(data), offset=offset)
        call = stub.PutBlob()
        try:
            try:
                await self._write(call, PutBlobRequest(header=header))
                for begin in range(offset, len(data), CHUNK_BYTES):
                    chunk = data[begin : begin + CHUNK_BYTES]
                    await asyncio.sleep(self._bucket.delay(len(chunk), self._clock.monotonic()))
                    await self._write(call, PutBlobRequest(chunk=chunk))
                async with asyncio.timeout(STALLED_S):
                    await call.done_writing()
            except asyncio.InvalidStateError:
                pass  # the port ended the call before the last chunk: its answer says why
            async with asyncio.timeout(STALLED_S):
                answer = await call
        except TimeoutError:
            raise PortUnreachable(
                f"the port took no evidence for {STALLED_S:g} s", "check the gateway and its disk; it is sent again"
            ) from None
        except grpc.aio.AioRpcError as error:
            raise translated(error, self._settings.gateway) from None
        finally:
            call.cancel()
        if not answer.blob.complete:
            raise PortUnreachable(
                f"the port holds {answer.blob.committed_size} of {len(data)} bytes of evidence {state.sha256.hex()}",
                "the rest is sent again",
            )

    async def _write(self, call: _PutCall, request: PutBlobRequest) -> None:
        async with asyncio.timeout(STALLED_S):
            await call.write(request)
