"""BoothService: tells each booth what is expected there, and what the port has to say of its vehicles.

A stream costs one page of memory: the next page is read when the booth has kept the one before. Messages do not wait
for pages. Nobody waits for a booth that takes nothing: its own stream alone stands still, until its connection ends or
the booth opens another.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Never

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import EdgeAgentError, Recoverable
from edge_agent.domain.expected import ExpectationList
from edge_agent.wire.codec_expected import list_message, list_of
from edge_agent.wire.identity import Role, SpiffeId
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1 import watch_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2 import Drain
from edge_agent.wire.v1alpha1.watch_pb2_grpc import BoothServiceServicer
from port_gateway import booth_messages
from port_gateway.config import Limits
from port_gateway.expected import EXPIRE_GROUP, Expectations, Page, Place
from port_gateway.messages import decoded
from port_gateway.peers import Context, end, peer_of
from port_gateway.store import Store
from port_gateway.subscribe import Bell
from port_gateway.trust import TrustStore

log = logging.getLogger(__name__)

HELLO_TIMEOUT_S = 10.0
# Commands write beside the gateway, which looks for it: two indexed rows.
LOOK_S = 0.25
EXPIRE_S = 60.0
# Pages read at once: a storm of booths leaves the other threads to their events.
PAGES_AT_ONCE = 4


@dataclass(slots=True)
class _Stream:
    """One booth's stream: what it was told, and what of that it has not kept yet."""

    place: Place
    told: int = 0  # the number of the last message sent
    begun: bool = False  # it has had a page, and knows where it stands
    outstanding: Page | None = None
    holds: ExpectationList | None = None  # all that is for it, as of this state of the list
    changed: asyncio.Event = field(default_factory=asyncio.Event)  # it kept a page, or one of the next two
    closed: bool = False
    error: EdgeAgentError | None = None
    task: "asyncio.Task[object] | None" = field(default_factory=asyncio.current_task)


class Watching(BoothServiceServicer):
    """The service over the list of expectations and the messages for booths. `port` is the gateway's own."""

    def __init__(
        self, store: Store, expectations: Expectations, trust: TrustStore, limits: Limits, clock: Clock, port: str
    ) -> None:
        self._store, self._expectations, self._trust = store, expectations, trust
        self._limits, self._clock, self._port = limits, clock, port
        self._news = Bell()
        self._reading = asyncio.Semaphore(PAGES_AT_ONCE)
        self._streams: dict[str, _Stream] = {}
        self._open: set[asyncio.Task[object]] = set()
        self._stopping = False

    async def run(self) -> Never:
        """Looks for changes by commands, and takes out what has run out. Ends by cancellation alone."""
        seen, expired = (-1, -1), 0.0
        while True:
            with contextlib.suppress(EdgeAgentError):  # the store's own failure ends the gateway
                found = await asyncio.to_thread(
                    lambda: (self._expectations.revision(), booth_messages.newest(self._store))
                )
                if found != seen:
                    seen = found
                    self._news.ring()
                if self._clock.monotonic() >= expired:
                    count = await asyncio.wrap_future(self._expectations.expire())
                    if count < EXPIRE_GROUP:
                        expired = self._clock.monotonic() + EXPIRE_S
            await asyncio.sleep(LOOK_S)

    async def stop(self) -> None:
        """Every booth is told, and half-closes; who does not is ended after `drain_s`."""
        self._stopping = True
        self._wake()
        if self._open:
            _, left = await asyncio.wait(self._open, timeout=self._limits.drain_s)
            for task in left:
                task.cancel()

    def doubt(self) -> None:
        """The registered certificates have changed: streams whose peer is no longer trusted end now."""
        self._wake()

    def _wake(self) -> None:
        for stream in self._streams.values():
            stream.changed.set()

    async def Watch(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[wire.WatchRequest], context: Context
    ) -> None:
        """See docs/wire.md."""
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        try:
            requests = decoded(request_iterator)
            hello = await _hello(requests)
            booth = peer_of(context, self._trust, Role.BOOTH).identity
            if hello.booth_id != str(booth):
                wrong = f"the certificate is that of {booth}, the hello names {hello.booth_id[:200]!r}"
                raise Refused(RefusalCode.NOT_TRUSTED, wrong)
            held = list_of(hello.list) if hello.HasField("list") else None
            stream = _Stream(await asyncio.to_thread(self._expectations.begin, held))
            self._supersede(str(booth), stream)
            try:
                async with asyncio.TaskGroup() as group:
                    taking = group.create_task(self._take(requests, stream, str(booth)), name=f"kept by {booth}")
                    try:
                        await self._tell(context, stream, booth)
                    finally:
                        taking.cancel()
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None
            finally:
                if self._streams.get(str(booth)) is stream:
                    del self._streams[str(booth)]
        except EdgeAgentError as error:
            await end(context, error)

    def _supersede(self, booth_id: str, stream: _Stream) -> None:
        before = self._streams.get(booth_id)
        self._streams[booth_id] = stream
        if before is not None:
            before.error = Recoverable("superseded by a newer stream of this booth")
            before.changed.set()
            if before.task is not None:  # it may stand in a write that its booth does not take
                asyncio.get_running_loop().call_later(self._limits.drain_s, before.task.cancel)

    async def _tell(self, context: Context, stream: _Stream, booth: SpiffeId) -> None:
        """Returns when the booth has half-closed."""
        drained = False
        while not stream.closed:
            news = self._news.next()
            stream.changed.clear()
            if stream.error is not None:
                raise stream.error
            peer_of(context, self._trust, Role.BOOTH)  # a certificate may expire or be replaced meanwhile
            if self._stopping:
                if not drained:
                    await context.write(wire.WatchResponse(drain=Drain(after_s=self._limits.back_after_s)))
                drained = True
            elif await self._tell_messages(context, stream, str(booth)) or await self._tell_page(
                context, stream, booth
            ):
                continue
            if not await _either(news, stream.changed, self._limits.heartbeat_s) and not drained:
                await self._beat(context, stream)

    async def _beat(self, context: Context, stream: _Stream) -> None:
        if stream.holds is not None and stream.outstanding is None:
            beat = wire.WatchHeartbeat(port_utc_us=self._now_us(), list=list_message(stream.holds))
            await context.write(wire.WatchResponse(heartbeat=beat))

    async def _tell_messages(self, context: Context, stream: _Stream, booth_id: str) -> bool:
        waiting = await asyncio.to_thread(booth_messages.waiting, self._store, booth_id, stream.told)
        for number, message in waiting:
            await context.write(message)
            stream.told = number
        return bool(waiting)

    async def _tell_page(self, context: Context, stream: _Stream, booth: SpiffeId) -> bool:
        if stream.outstanding is not None:
            return False
        async with self._reading:
            own = booth.port == self._port
            page = await asyncio.to_thread(self._expectations.page, str(booth), own, stream.place)
        if stream.begun and page.newest and not (page.put or page.removed or page.whole):
            stream.place, stream.holds = Place(page.list.revision, whole=False), page.list
            return False
        stream.outstanding, stream.holds, stream.begun = page, None, True
        response = wire.ExpectationsPage(
            list=list_message(page.list),
            whole=page.whole,
            newest=page.newest,
            put=page.put,
            removed=page.removed,
            port_utc_us=self._now_us(),
        )
        await context.write(wire.WatchResponse(expectations=response))
        return True

    async def _take(self, requests: AsyncIterator[wire.WatchRequest], stream: _Stream, booth_id: str) -> None:
        """What the booth keeps. An error is left to the teller: gRPC cannot end a call in the middle of a write."""
        try:
            async for request in requests:
                page = stream.outstanding
                if request.WhichOneof("message") != "kept" or page is None or list_of(request.kept.list) != page.list:
                    raise Refused(RefusalCode.PROTOCOL, "after the hello, only the page that was sent can be kept")
                if page.newest:
                    await asyncio.wrap_future(self._expectations.kept(booth_id, page.list.revision))
                stream.place = Place(page.list.revision, whole=page.whole and not page.newest)
                stream.outstanding, stream.holds = None, page.list if page.newest else None
                stream.changed.set()
            stream.closed = True
        except EdgeAgentError as error:
            stream.error = error
        stream.changed.set()

    def _now_us(self) -> int:
        return round(self._clock.now().utc.timestamp() * 1e6)


async def _hello(requests: AsyncIterator[wire.WatchRequest]) -> wire.WatchHello:
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            first = await anext(requests, None)
    except TimeoutError:
        raise Refused(RefusalCode.PROTOCOL, f"no hello within {HELLO_TIMEOUT_S:g} s") from None
    if first is None or first.WhichOneof("message") != "hello":
        raise Refused(RefusalCode.PROTOCOL, "the first request must be a hello")
    return first.hello


async def _either(first: asyncio.Event, second: asyncio.Event, timeout_s: float) -> bool:
    """Whether one of them is set within that time."""
    waits = [asyncio.ensure_future(first.wait()), asyncio.ensure_future(second.wait())]
    try:
        done, _ = await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for wait in waits:
            wait.cancel()
