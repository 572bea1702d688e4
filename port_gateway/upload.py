"""EvidenceService: booths put evidence by content address, on a channel that never delays events."""

import asyncio
from collections.abc import AsyncIterator

from edge_agent.domain.errors import EdgeAgentError
from edge_agent.wire.identity import Role, SpiffeId
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import EvidenceServiceServicer
from port_gateway.evidence import CHUNK_BYTES, EvidenceFiles, Upload
from port_gateway.inbox import Inbox
from port_gateway.messages import decoded
from port_gateway.peers import Context, end, peer_of
from port_gateway.trust import TrustStore

MAX_STAT = 256
SHA256_BYTES = 32


class EvidenceUpload(EvidenceServiceServicer):
    """The service over a folder of evidence."""

    def __init__(self, files: EvidenceFiles, inbox: Inbox, trust: TrustStore, idle_s: float) -> None:
        self._files = files
        self._inbox = inbox
        self._trust = trust
        self._idle_s = idle_s

    async def StatBlobs(  # noqa: N802
        self, request: wire.StatBlobsRequest, context: Context
    ) -> wire.StatBlobsResponse:
        """See docs/wire.md."""
        try:
            booth = peer_of(context, self._trust, Role.BOOTH).identity
            if len(request.sha256) > MAX_STAT:
                raise Refused(RefusalCode.PROTOCOL, f"{len(request.sha256)} digests, at most {MAX_STAT}")
            digests = [_digest(sha256) for sha256 in request.sha256]
            return wire.StatBlobsResponse(blobs=await asyncio.to_thread(self._states, booth, digests))
        except EdgeAgentError as error:
            await end(context, error)

    async def PutBlob(  # noqa: N802
        self, request_iterator: AsyncIterator[wire.PutBlobRequest], context: Context
    ) -> wire.PutBlobResponse:
        """See docs/wire.md."""
        try:
            booth = peer_of(context, self._trust, Role.BOOTH).identity
            requests = decoded(request_iterator)
            first = await self._next(requests)
            if first is None or first.WhichOneof("message") != "header":
                raise Refused(RefusalCode.PROTOCOL, "the first request must be a header")
            sha256 = _digest(first.header.sha256)
            if not (await asyncio.to_thread(self._states, booth, [sha256]))[0].complete:
                with await self._opened(booth, sha256, first.header) as upload:
                    await self._receive(requests, upload)
                    await asyncio.to_thread(upload.finish)
            state = (await asyncio.to_thread(self._states, booth, [sha256]))[0]
            return wire.PutBlobResponse(blob=state)
        except EdgeAgentError as error:
            await end(context, error)

    async def _opened(self, booth: SpiffeId, sha256: bytes, header: wire.BlobHeader) -> Upload:
        """Is closed again if the booth hangs up while a thread opens it: else nobody could send this evidence anew."""
        work = asyncio.to_thread(self._files.upload, booth, sha256, header.size, header.offset)
        opening = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_left)
            raise

    async def _receive(self, requests: AsyncIterator[wire.PutBlobRequest], upload: Upload) -> None:
        while (request := await self._next(requests)) is not None:
            if request.WhichOneof("message") != "chunk":
                raise Refused(RefusalCode.PROTOCOL, "after the header, only chunks may come")
            if len(request.chunk) > CHUNK_BYTES:
                raise Refused(RefusalCode.PROTOCOL, f"a chunk of {len(request.chunk)} bytes, at most {CHUNK_BYTES}")
            await asyncio.to_thread(upload.write, request.chunk)

    async def _next(self, requests: AsyncIterator[wire.PutBlobRequest]) -> wire.PutBlobRequest | None:
        try:
            async with asyncio.timeout(self._idle_s):
                return await anext(requests, None)
        except TimeoutError:
            raise Refused(RefusalCode.PROTOCOL, f"nothing came for {self._idle_s:g} s") from None

    def _states(self, booth: SpiffeId, digests: list[bytes]) -> list[wire.BlobState]:
        states = []
        for sha256 in digests:
            # What was deleted is settled: nothing is to be sent again.
            gone = self._inbox.deleted(sha256) is not None
            complete = gone or self._files.complete(sha256)
            size = 0 if gone else self._files.committed_size(booth, sha256)
            states.append(wire.BlobState(sha256=sha256, complete=complete, committed_size=size, deleted=gone))
        return states


def _left(opening: asyncio.Future[Upload]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        with opening.result():
            pass


def _digest(sha256: bytes) -> bytes:
    if len(sha256) != SHA256_BYTES:
        raise Refused(RefusalCode.PROTOCOL, f"a SHA-256 has {SHA256_BYTES} bytes, not {len(sha256)}")
    return sha256
