"""IngestService: one stream a booth, credit by window, an acknowledgement only after the inbox has committed.

    booth ─► batch ─► window ─► judge (thread) ─► inbox.append ─► queue ─► future set ─► ack ─► booth

Two coroutines a stream: one takes batches in, one answers in their order. A refusal travels through the same queue,
so that everything before it is acknowledged first; then a Nack names it and the stream ends.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import EdgeAgentError, Recoverable
from edge_agent.wire.chain import EPOCH_BYTES, Head
from edge_agent.wire.gaps import Gaps, leaves
from edge_agent.wire.identity import Role
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.tree import Node, Tree
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import IngestServiceServicer
from edge_agent.wire.verify import Chain
from port_gateway.config import MAX_BATCH_RECORDS, Limits
from port_gateway.inbox import Inbox
from port_gateway.messages import decoded
from port_gateway.peers import Context, end, peer_of
from port_gateway.quarantine import Quarantined
from port_gateway.receive import judge_batch, judge_hello
from port_gateway.trees import Receipts
from port_gateway.trust import TrustStore

log = logging.getLogger(__name__)

HELLO_TIMEOUT_S = 10.0
# Of these a person must hear; a request that does not fit the protocol is logged only.
_NO_ALARM = {RefusalCode.PROTOCOL, RefusalCode.NOT_TRUSTED, RefusalCode.NOT_REPLACED}


class StreamOver(Recoverable):
    """The stream ends without fault: superseded, or it did not half-close when the gateway stopped."""


class _Drain:
    """In the queue of answers: say that the gateway stops."""


@dataclass(slots=True)
class _Pending:
    """A batch on its way to the disk. `future` is None when all of it was held already."""

    future: "asyncio.Future[None] | None"
    head: Head
    tree: Tree
    records: int
    size: int
    quarantined: tuple[wire.Quarantined, ...]


@dataclass(frozen=True, slots=True)
class _Standing:
    """A chain with its tree; `tiles` are still to be kept."""

    chain: Chain
    tree: Tree
    tiles: tuple[Node, ...] = ()


@dataclass(slots=True)
class _Stream:
    """One booth's open stream."""

    answers: "asyncio.Queue[_Pending | EdgeAgentError | _Drain | None]" = field(default_factory=asyncio.Queue)
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[object] | None" = field(default_factory=asyncio.current_task)
    in_flight: dict[int, bytes] = field(default_factory=dict)
    still: Callable[[], object] = lambda: None  # raises when its peer is no longer trusted
    records: int = 0
    size: int = 0


class Ingest(IngestServiceServicer):
    """The service over an inbox."""

    def __init__(self, inbox: Inbox, trust: TrustStore, limits: Limits, receipts: Receipts) -> None:
        self._inbox = inbox
        self._trust = trust
        self._limits = limits
        self._receipts = receipts
        self._streams: dict[tuple[str, bool], _Stream] = {}  # by booth, and whether it is of a salvaged ledger
        self._stopping = False

    async def stop(self) -> None:
        """Every booth is told, and half-closes when all that it sent is acknowledged; who does not is ended."""
        self._stopping = True
        streams = list(self._streams.values())
        for last, say in ((False, _Drain()), (True, StreamOver("the gateway is stopping"))):
            for stream in streams:
                stream.answers.put_nowait(say)
            try:
                async with asyncio.timeout(self._limits.drain_s):
                    for stream in streams:
                        await stream.finished.wait()
            except TimeoutError:
                if last:
                    log.warning(
                        "%s did not end within %g s", counted(len(self._streams), "stream"), self._limits.drain_s
                    )

    def doubt(self) -> None:
        """The registered certificates have changed: streams whose peer is no longer trusted end now."""
        for stream in self._streams.values():
            try:
                stream.still()
            except EdgeAgentError as error:
                stream.answers.put_nowait(error)

    async def StreamEvents(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[wire.StreamEventsRequest], context: Context
    ) -> None:
        """See docs/wire.md."""
        try:
            try:
                await self._stream(decoded(request_iterator), context)
            except Refused as refused:
                nack = wire.Nack(seq=refused.seq, code=refused.code.value, detail=refused.detail)
                await context.write(wire.StreamEventsResponse(nack=nack))
                raise
        except EdgeAgentError as error:
            await end(context, error)

    async def _stream(self, requests: AsyncIterator[wire.StreamEventsRequest], context: Context) -> None:
        # Read first: a refusal that meets the peer's first write in flight reaches it as gRPC's own INTERNAL.
        first = await _first(requests)
        peer = peer_of(context, self._trust, Role.BOOTH)
        booth_id = str(peer.identity)
        hello = _hello(first, booth_id)
        if self._stopping:
            await self._say_drain(context)
            return
        place = booth_id, hello.salvaged
        stream = await self._take_over(place)
        stream.still = lambda: peer_of(context, self._trust, Role.BOOTH)
        try:
            await asyncio.to_thread(self._trust.arrived, peer)
            keys = self._trust.current().device_keys(booth_id)
            missing = await self._missing(hello)
            chain = await asyncio.to_thread(self._inbox.chain, Head(booth_id, hello.epoch), keys, missing)
            try:
                await asyncio.to_thread(self._inbox.admit, chain.head, self._limits.epochs_a_booth)
                judge_hello(hello, chain)
            except Refused as refused:
                await self._alarm(chain.head, refused, b"")
                raise
            tree, tiles = await asyncio.to_thread(self._inbox.tree, chain.head)
            log.info("%s: stream opened at %d, agent %s", booth_id, chain.head.seq, hello.agent_version[:50])
            unread = await asyncio.to_thread(self._inbox.quarantined, chain.head)
            await context.write(wire.StreamEventsResponse(welcome=self._welcome(chain.head, unread)))
            async with asyncio.TaskGroup() as group:
                taking = group.create_task(
                    self._take(requests, stream, _Standing(chain, tree, tuple(tiles))), name=f"take {booth_id}"
                )
                try:
                    await self._answer(context, stream, chain.head, tree)
                finally:
                    taking.cancel()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            stream.finished.set()
            if self._streams.get(place) is stream:
                del self._streams[place]

    async def _missing(self, hello: wire.Hello) -> Gaps:
        """What a salvaged ledger may pass over. Raises Refused(NOT_REPLACED)."""
        if not hello.salvaged:
            return ()
        replaced = await asyncio.to_thread(self._inbox.replaced, hello.booth_id)
        if hello.epoch not in replaced:
            detail = "no event held here says that another ledger took the place of this one"
            raise Refused(RefusalCode.NOT_REPLACED, detail)
        return replaced[hello.epoch]

    async def _take_over(self, place: tuple[str, bool]) -> _Stream:
        """Become the booth's stream; the one before ends first, with what it has in flight."""
        before, stream = self._streams.get(place), _Stream()
        self._streams[place] = stream
        if before is not None:
            before.answers.put_nowait(StreamOver("superseded by a newer stream of this booth"))
            try:
                async with asyncio.timeout(self._limits.drain_s):
                    await before.finished.wait()
            except TimeoutError:
                if before.task is not None:
                    before.task.cancel()
            except asyncio.CancelledError:  # this booth has gone, too: nobody waits for what never began
                stream.finished.set()
                raise
        return stream

    def _welcome(self, head: Head, quarantined: Sequence[wire.Quarantined]) -> wire.Welcome:
        return wire.Welcome(
            durable_through=head.seq,
            chain_head=head.sha256,
            window_records=self._limits.window_records,
            window_bytes=self._limits.window_bytes,
            max_batch_bytes=self._limits.max_batch_bytes,
            quarantined=quarantined,
            takes_salvaged=True,
        )

    # --- in -------------------------------------------------------------------------------------------------
    async def _take(
        self, requests: AsyncIterator[wire.StreamEventsRequest], stream: _Stream, standing: _Standing
    ) -> None:
        try:
            async for request in requests:
                standing = await self._batch(request, stream, standing)
            stream.answers.put_nowait(None)
        except EdgeAgentError as error:
            stream.answers.put_nowait(error)

    async def _batch(self, request: wire.StreamEventsRequest, stream: _Stream, standing: _Standing) -> _Standing:
        if request.WhichOneof("message") != "batch":
            raise Refused(RefusalCode.PROTOCOL, "after the hello, only batches may come")
        batch = request.batch
        envelopes = list(batch.envelopes)
        records, size = len(envelopes), sum(map(len, envelopes))
        self._within_limits(stream, batch.first_seq, records, size)
        stream.records += records
        stream.size += size
        judged = await asyncio.to_thread(
            judge_batch, self._inbox, standing.chain, dict(stream.in_flight), batch.first_seq, envelopes
        )
        future, after = None, standing
        if judged.verified:
            added = leaves(standing.chain.head.seq, ((v.seq, v.sha256) for v in judged.verified))
            if judged.chain.head.seq - standing.chain.head.seq == len(judged.verified):
                tree, tiles = standing.tree.extended(added)
            else:  # over what is missing: thousands of leaves
                tree, tiles = await asyncio.to_thread(standing.tree.extended, added)
            tiles[:0] = standing.tiles
            future = asyncio.wrap_future(self._inbox.append(standing.chain.head, judged.verified, tiles))
            stream.in_flight.update({v.seq: v.sha256 for v in judged.verified})
            after = _Standing(judged.chain, tree)
        unread = tuple(v.told() for v in judged.verified if isinstance(v, Quarantined))
        for one in unread:
            log.error("%s: event %d is kept in quarantine: %s", standing.chain.head.booth_id, one.seq, one.detail)
        stream.answers.put_nowait(_Pending(future, judged.chain.head, after.tree, records, size, unread))
        if judged.refused is not None:
            await self._alarm(judged.chain.head, judged.refused, judged.refused_envelope)
            raise judged.refused
        return after

    def _within_limits(self, stream: _Stream, first_seq: int, records: int, size: int) -> None:
        if not 1 <= first_seq < 2**63 - MAX_BATCH_RECORDS:
            raise Refused(RefusalCode.PROTOCOL, "a batch begins at sequence 1 or later")
        if not 1 <= records <= MAX_BATCH_RECORDS:
            raise Refused(RefusalCode.PROTOCOL, f"a batch of {records} records, 1 to {MAX_BATCH_RECORDS} are allowed")
        if records > 1 and size > self._limits.max_batch_bytes:  # a single envelope has a limit of its own
            raise Refused(RefusalCode.PROTOCOL, f"a batch of {size} bytes, at most {self._limits.max_batch_bytes}")
        if stream.records + records > self._limits.window_records or stream.size + size > self._limits.window_bytes:
            raise Refused(
                RefusalCode.PROTOCOL,
                f"{stream.records + records} records and {stream.size + size} bytes in flight, the window is"
                f" {self._limits.window_records} and {self._limits.window_bytes}",
            )

    async def _alarm(self, head: Head, refused: Refused, envelope: bytes) -> None:
        if refused.code in _NO_ALARM:
            return
        log.error("%s: refused: %s", head.booth_id, refused.wrong)
        try:
            await asyncio.wrap_future(self._inbox.alarm(head, refused, envelope))
        except Recoverable as error:  # the refusal itself must still reach the booth
            log.error("%s: the alarm could not be recorded: %s", head.booth_id, error.wrong)

    # --- out ------------------------------------------------------------------------------------------------
    async def _answer(self, context: Context, stream: _Stream, head: Head, tree: Tree) -> None:
        """Acknowledge in order, or repeat the last acknowledgement as a heartbeat. Returns at the end of requests."""
        ack = self._signed(head, tree)
        getting = asyncio.ensure_future(stream.answers.get())
        try:
            while True:
                if not await self._within_heartbeat(getting):
                    await self._ack(context, ack)
                    continue
                answer = getting.result()
                if answer is None:
                    return
                if isinstance(answer, EdgeAgentError):
                    raise answer
                if isinstance(answer, _Drain):
                    await self._say_drain(context)
                    getting = asyncio.ensure_future(stream.answers.get())
                    continue
                if answer.future is not None:
                    while not await self._within_heartbeat(answer.future):
                        await self._ack(context, ack)
                    answer.future.result()
                for seq in [seq for seq in stream.in_flight if seq <= answer.head.seq]:  # a gap may lie between
                    del stream.in_flight[seq]
                if answer.head != head:
                    head, ack = answer.head, self._signed(answer.head, answer.tree)
                stream.records -= answer.records
                stream.size -= answer.size
                await self._ack(context, _telling(ack, answer.quarantined))
                getting = asyncio.ensure_future(stream.answers.get())
        finally:
            getting.cancel()

    async def _say_drain(self, context: Context) -> None:
        await context.write(wire.StreamEventsResponse(drain=wire.Drain(after_s=self._limits.back_after_s)))

    async def _within_heartbeat(self, future: "asyncio.Future[Any]") -> bool:
        done, _ = await asyncio.wait([future], timeout=self._limits.heartbeat_s)
        return bool(done)

    def _signed(self, head: Head, tree: Tree) -> wire.Ack:
        """The acknowledgement of what is durable up to `head`, with the receipt for it."""
        receipt = self._receipts.sign(head, tree) if head.seq else b""
        return wire.Ack(durable_through=head.seq, chain_head=head.sha256, receipt=receipt)

    async def _ack(self, context: Context, ack: wire.Ack) -> None:
        peer_of(context, self._trust, Role.BOOTH)  # a certificate may expire or be replaced while the stream is open
        # No time limit: gRPC cannot end a call in the middle of a write; its keepalive ends dead connections.
        await context.write(wire.StreamEventsResponse(ack=ack))


def _telling(ack: wire.Ack, quarantined: Sequence[wire.Quarantined]) -> wire.Ack:
    """The acknowledgement, with what of it is in quarantine; said once, and again in a welcome."""
    if not quarantined:
        return ack
    telling = wire.Ack(quarantined=quarantined)
    telling.MergeFrom(ack)
    return telling


async def _first(requests: AsyncIterator[wire.StreamEventsRequest]) -> wire.StreamEventsRequest | None:
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            return await anext(requests, None)
    except TimeoutError:
        raise Refused(RefusalCode.PROTOCOL, f"no hello within {HELLO_TIMEOUT_S:g} s") from None


def _hello(request: wire.StreamEventsRequest | None, booth_id: str) -> wire.Hello:
    if request is None or request.WhichOneof("message") != "hello":
        raise Refused(RefusalCode.PROTOCOL, "the first request must be a hello")
    hello = request.hello
    if hello.booth_id != booth_id:
        raise Refused(
            RefusalCode.NOT_TRUSTED, f"the certificate is that of {booth_id}, the hello names {hello.booth_id[:200]!r}"
        )
    if len(hello.epoch) != EPOCH_BYTES:
        raise Refused(RefusalCode.PROTOCOL, f"an epoch has {EPOCH_BYTES} bytes, not {len(hello.epoch)}")
    return hello
