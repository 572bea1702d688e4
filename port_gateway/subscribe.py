"""SubscribeService: back-offices read what was accepted, from any cursor, at their own pace.

A subscriber costs one page of memory: pages are read from the disk when it has credit, and a commit wakes those
that have read everything. Nobody waits for a slow one.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import grpc

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import EdgeAgentError
from edge_agent.wire.identity import Role, SpiffeId
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.retention_pb2 import EventDeletedAtPort
from edge_agent.wire.v1alpha1.services_pb2_grpc import SubscribeServiceServicer
from port_gateway.chains import Ended
from port_gateway.config import Limits
from port_gateway.evidence import EvidenceFiles
from port_gateway.inbox import PLACE_BYTES, Inbox, Stored
from port_gateway.messages import decoded
from port_gateway.moments import moment
from port_gateway.peers import Context, Stopping, end, peer_of
from port_gateway.trust import TrustStore
from port_gateway.upload import SHA256_BYTES

log = logging.getLogger(__name__)

DEFAULT_OUTSTANDING = 1_000
MAX_OUTSTANDING = 10_000
MAX_NAME = 64
MAX_FILTER = 256
PAGE_RECORDS = 256
START_TIMEOUT_S = 10.0
# How often a certificate's expiry is looked at while there is nothing to send.
RECHECK_S = 10.0


class Bell:
    """Wakes everyone who waits when something was committed."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def ring(self) -> None:
        """On the loop's thread."""
        rung, self._next = self._next, asyncio.Event()
        rung.set()

    def next(self) -> asyncio.Event:
        """Set at the next ring. Take it before looking, then wait: no ring is missed."""
        return self._next


@dataclass(slots=True)
class _Reader:
    """One subscription: what was sent and not acknowledged."""

    identity: str
    name: str
    credit: int
    outstanding: deque[int] = field(default_factory=deque)
    last_sent: int = 0
    acked: int | None = None
    kept: int | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)  # half-closed, it wants no more; or see `error`
    error: EdgeAgentError | None = None


class Subscriptions(SubscribeServiceServicer):
    """The service over an inbox and a folder of evidence."""

    def __init__(
        self, inbox: Inbox, files: EvidenceFiles, trust: TrustStore, limits: Limits, bell: Bell, doubt: Bell
    ) -> None:
        self._inbox = inbox
        self._files = files
        self._trust = trust
        self._limits = limits
        self._open: set[asyncio.Task[object]] = set()
        self._bell = bell
        self._doubt = doubt  # rings when the registered certificates have changed
        self._stopping = asyncio.Event()
        self._may: dict[str, tuple[frozenset[str], bool]] = {}  # what readers may read, at this version of the trust
        self._may_version = -1

    async def stop(self) -> None:
        """Nothing more is sent; every subscription ends when its reader has acknowledged all, or after `drain_s`."""
        self._stopping.set()
        if self._open:
            await asyncio.wait(self._open, timeout=2 * self._limits.drain_s)

    async def Subscribe(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[wire.SubscribeRequest], context: Context
    ) -> None:
        """See docs/wire.md."""
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        try:
            # Read first: a refusal that meets the peer's first write in flight reaches it as gRPC's own INTERNAL.
            requests = decoded(request_iterator)
            start = await _start(requests)
            identity = str(peer_of(context, self._trust, Role.BACK_OFFICE).identity)
            reader = _Reader(identity, start.name, min(start.max_outstanding, MAX_OUTSTANDING) or DEFAULT_OUTSTANDING)
            after = start.after
            if not start.HasField("after") and start.name:
                after = await asyncio.to_thread(self._inbox.reader_cursor, identity, start.name)
            await asyncio.to_thread(self._check_cursor, after, start.after_place)
            reader.last_sent = after
            trust = self._trust.current()
            may, _ = trust.readable(SpiffeId.parse(identity))
            of = counted(len(trust.booths()), "booth")
            log.info("%s: subscribed after %d, reads %d of %s", identity, after, len(may), of)
            try:
                async with asyncio.TaskGroup() as group:
                    acks = group.create_task(self._acks(requests, reader), name=f"acks of {identity}")
                    try:
                        await self._send(context, reader, after, list(start.booth_ids))
                    finally:
                        acks.cancel()
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None
            finally:
                await self._keep(reader)
            if reader.error is not None:
                raise reader.error
        except EdgeAgentError as error:
            await end(context, error)

    def _check_cursor(self, after: int, place: bytes) -> None:
        """Raises Refused(WRONG_CURSOR) unless this port gave the cursor, and with this place, if any."""
        newest = self._inbox.newest_cursor()
        why = "it is of another port, or this one was set back to a backup; read from 0, or from a place of before that"
        if after > newest:
            raise Refused(RefusalCode.WRONG_CURSOR, f"cursor {after} is beyond this port's newest, {newest}: {why}")
        if place and self._inbox.place_at(after) != place:
            raise Refused(RefusalCode.WRONG_CURSOR, f"cursor {after} was not given as you say: {why}")

    async def _send(self, context: Context, reader: _Reader, after: int, booth_ids: Sequence[str]) -> None:
        while not reader.closed.is_set():
            bell, doubt = self._bell.next(), self._doubt.next()
            reader.changed.clear()
            if self._stopping.is_set():
                await self._last_acks(reader)
                raise Stopping(self._limits.back_after_s)
            peer_of(context, self._trust, Role.BACK_OFFICE)
            room = reader.credit - len(reader.outstanding)
            if room == 0:
                await _first_of(reader.changed, reader.closed, self._stopping, doubt)
                continue
            wanted = self._readable(reader.identity, booth_ids)
            found, through = await asyncio.to_thread(self._inbox.page, after, wanted, min(room, PAGE_RECORDS))
            for stored in found:
                if reader.closed.is_set():
                    return
                if self._stopping.is_set():
                    break
                reader.outstanding.append(stored.cursor)
                reader.last_sent = stored.cursor
                await context.write(
                    wire.SubscribeResponse(
                        cursor=stored.cursor,
                        envelope=stored.envelope,
                        booth_id=stored.booth_id,
                        received_utc_us=stored.received_utc_us,
                        quarantined=_code(None if stored.deleted_utc_us else stored.quarantined),
                        released_from=stored.released_from,
                        deleted=_deleted(stored),
                        place=stored.place,
                    )
                )
            if through == after:
                await _first_of(bell, reader.closed, self._stopping, doubt)
            after = through

    async def _last_acks(self, reader: _Reader) -> None:
        """Returns when everything sent is acknowledged, the reader wants no more, or time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.drain_s):
                while reader.outstanding and not reader.closed.is_set():
                    reader.changed.clear()
                    await _first_of(reader.changed, reader.closed)

    def _readable(self, reader: str, asked: Sequence[str]) -> Sequence[str] | None:
        """The booths to send of those that were asked for (none: all); None stands for every booth."""
        trust = self._trust.current()
        if trust.version != self._may_version:
            self._may, self._may_version = {}, trust.version
        if reader not in self._may:
            self._may[reader] = trust.readable(SpiffeId.parse(reader))
        may, everything = self._may[reader]
        if everything:
            return list(asked) or None
        return sorted(may.intersection(asked) if asked else may)

    async def _acks(self, requests: AsyncIterator[wire.SubscribeRequest], reader: _Reader) -> None:
        """Takes acknowledgements. An error is left to the sender: gRPC cannot end a call in the middle of a write."""
        try:
            await self._take_acks(requests, reader)
        except EdgeAgentError as error:
            reader.error = error
        reader.closed.set()

    async def _take_acks(self, requests: AsyncIterator[wire.SubscribeRequest], reader: _Reader) -> None:
        async for request in requests:
            if request.WhichOneof("message") != "ack":
                raise Refused(RefusalCode.PROTOCOL, "after the start, only acknowledgements may come")
            through = request.ack.through
            if through > reader.last_sent:
                raise Refused(RefusalCode.PROTOCOL, f"cursor {through} was not sent yet")
            while reader.outstanding and reader.outstanding[0] <= through:
                reader.outstanding.popleft()
            if reader.acked is None or through > reader.acked:
                reader.acked = through
            reader.changed.set()
            await self._keep(reader)

    async def _keep(self, reader: _Reader) -> None:
        if reader.name and reader.acked is not None and reader.acked != reader.kept:
            through = reader.acked
            await asyncio.wrap_future(self._inbox.keep_cursor(reader.identity, reader.name, through))
            reader.kept = through

    async def GetBlob(  # type: ignore[override]  # noqa: N802
        self, request: wire.GetBlobRequest, context: Context
    ) -> None:
        """See docs/wire.md."""
        try:
            reader = peer_of(context, self._trust, Role.BACK_OFFICE).identity
            if len(request.sha256) != SHA256_BYTES:
                raise Refused(RefusalCode.PROTOCOL, f"a SHA-256 has {SHA256_BYTES} bytes, not {len(request.sha256)}")
            may, _ = self._trust.current().readable(reader)
            # The same answer where it is not for this reader: nobody learns what else the port holds.
            if not await asyncio.to_thread(self._inbox.names, request.sha256, may):
                raise FileNotFoundError
            gone = await asyncio.to_thread(self._inbox.deleted, request.sha256)
            if gone is not None:
                await context.abort(
                    grpc.StatusCode.NOT_FOUND, f"DELETED {moment(gone.at_utc_us)}: {gone.place}: {gone.rule}"
                )
            chunks = self._files.read(request.sha256)
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                await context.write(wire.GetBlobResponse(chunk=chunk))
        except FileNotFoundError:
            await context.abort(grpc.StatusCode.NOT_FOUND, "this evidence has not arrived")
        except EdgeAgentError as error:
            await end(context, error)

    async def ListBooths(  # noqa: N802
        self, request: wire.ListBoothsRequest, context: Context
    ) -> wire.ListBoothsResponse:
        """See docs/wire.md."""
        try:
            peer = peer_of(context, self._trust, Role.BACK_OFFICE)
            trust = self._trust.current()
        except EdgeAgentError as error:
            await end(context, error)
        may, _ = trust.readable(peer.identity)
        booths = sorted((booth, ders) for booth, ders in trust.certificates().items() if booth in may)
        return wire.ListBoothsResponse(
            booths=[
                wire.Booth(booth_id=booth, certificates=ders, ended_keys=_ended(trust.ended.get(booth, {})))
                for booth, ders in booths
            ]
        )


def _code(name: str | None) -> wire.RefusalCode.ValueType:
    return wire.REFUSAL_CODE_UNSPECIFIED if name is None else RefusalCode[name].value


def _deleted(stored: Stored) -> EventDeletedAtPort | None:
    if stored.deleted_utc_us is None:
        return None
    return EventDeletedAtPort(
        epoch=stored.epoch,
        seq=stored.seq,
        sha256=stored.sha256,
        deleted_utc_us=stored.deleted_utc_us,
        rule=stored.rule,
    )


def _ended(ended: Mapping[str, Ended]) -> list[wire.KeyEnd]:
    return [
        wire.KeyEnd(
            key_id=key,
            code=end.code.value,
            epochs=[wire.EpochEnd(epoch=epoch, through_seq=seq) for epoch, seq in sorted(end.through.items())],
        )
        for key, end in sorted(ended.items())
    ]


async def _start(requests: AsyncIterator[wire.SubscribeRequest]) -> wire.SubscribeStart:
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            request = await anext(requests, None)
    except TimeoutError:
        raise Refused(RefusalCode.PROTOCOL, f"no start within {START_TIMEOUT_S:g} s") from None
    if request is None or request.WhichOneof("message") != "start":
        raise Refused(RefusalCode.PROTOCOL, "the first request must be a start")
    start = request.start
    if len(start.name) > MAX_NAME or not start.name.isprintable():
        raise Refused(RefusalCode.PROTOCOL, f"a name has at most {MAX_NAME} printable characters")
    if len(start.booth_ids) > MAX_FILTER:
        raise Refused(RefusalCode.PROTOCOL, f"{len(start.booth_ids)} booths to filter by, at most {MAX_FILTER}")
    if start.after_place and (len(start.after_place) != PLACE_BYTES or not start.HasField("after")):
        raise Refused(RefusalCode.PROTOCOL, f"`after_place` has {PLACE_BYTES} bytes, and needs `after`")
    return start


async def _first_of(*events: asyncio.Event) -> None:
    """Returns when one of them is set, and after RECHECK_S at the latest."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=RECHECK_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
