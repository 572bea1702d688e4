"""The stream of events to the port: sends what the ledger holds, in order, until the port has acknowledged it.

The ledger on disk is the queue: nothing waits in memory but what is in flight. Nothing is ever skipped or deleted here.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Never, Protocol, assert_never

import grpc
import grpc.aio
from cryptography.hazmat.primitives import serialization

from edge_agent.domain.clock import Clock
from edge_agent.domain.counted import counted
from edge_agent.domain.errors import EdgeAgentError, IdentityInvalid, PortRefused, PortUnreachable
from edge_agent.uplink.link import BackOff, LinkState, OnLink, Port, UplinkSettings, end_if_cancelled
from edge_agent.uplink.receipts import check_receipt
from edge_agent.uplink.window import ChainForked, SendWindow, in_quarantine
from edge_agent.wire.checkpoint import origin_of
from edge_agent.wire.identity import load_certificate
from edge_agent.wire.refused import RefusalCode
from edge_agent.wire.tree import Tree
from edge_agent.wire.v1alpha1.services_pb2 import Ack, Quarantined, StreamEventsRequest, StreamEventsResponse
from edge_agent.wire.v1alpha1.services_pb2_grpc import IngestServiceStub

log = logging.getLogger(__name__)

MAX_LOOK_S = 60.0
# A port that stops may ask for no more: what it forgets to say must not keep a booth away.
MAX_REST_S = 300.0
# A port that is still stopping so long after it first said so is told like one that is gone.
MAX_STOPPING_S = 600.0
MAX_QUARANTINED = 1000  # noted for people; the port knows all

_Call = grpc.aio.StreamStreamCall[StreamEventsRequest, StreamEventsResponse]


class Outbox(Protocol):
    """What the uplink needs of the ledger. Reads may block, and are made in other threads."""

    @property
    def booth_id(self) -> str: ...

    @property
    def epoch(self) -> bytes: ...

    def extent(self) -> tuple[int, int, bytes]:
        """Oldest and newest sequence held (0, 0 if none), and the newest envelope's SHA-256."""
        ...

    def after(self, seq: int, limit: int, max_bytes: int) -> Sequence[bytes]:
        """The envelopes that follow `seq`: at most `limit`, and one or as many as fit `max_bytes`."""
        ...

    def sha256_at(self, seq: int) -> bytes | None:
        """The SHA-256 of the envelope at `seq`, None if it is not held; 32 zero bytes at 0."""
        ...

    def acked_through(self) -> int:
        """The highest sequence that the port has acknowledged, as far as it was noted."""
        ...

    def acked(self, through: int) -> None:
        """The port holds everything up to `through` durably. Returns at once."""
        ...

    def tree(self, size: int) -> Tree:
        """The Merkle tree of the ledger's first `size` events."""
        ...

    def received(self, size: int, receipt: bytes, certificate: bytes) -> None:
        """The port signed for the first `size` events, by this gateway's certificate (DER). Returns at once."""
        ...

    def offer_again(self) -> None:
        """The port holds less than it acknowledged: its evidence may be gone, too. Returns at once."""
        ...

    def quarantined(self, events: Sequence[Quarantined]) -> None:
        """What the port keeps and cannot read, in place of what was noted before."""
        ...


class Uplink:
    """Keeps one stream to the port open. Call `wake` whenever the ledger has new events."""

    def __init__(
        self,
        settings: UplinkSettings,
        port: Port,
        outbox: Outbox,
        clock: Clock,
        agent_version: str,
        on_link: OnLink,
        rng: random.Random | None = None,
        on_less_held: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_less_held` is told that the port holds less than it once acknowledged."""
        self._settings, self._port, self._outbox, self._clock = settings, port, outbox, clock
        self._agent_version, self._on_link, self._on_less_held = agent_version, on_link, on_less_held
        self._rng = rng or random.SystemRandom()
        self._back_off = BackOff(settings.back_off_s, settings.back_off_max_s, self._rng)
        self._news = asyncio.Event()
        self._leaving = asyncio.Event()  # this stream ends when all in it is acknowledged, and the next one follows
        self._rest_s: float | None = None  # the port stops, and asked to be left alone for so long
        self._stopping_since: float | None = None  # the first time since its last welcome
        self._quarantined: tuple[Quarantined, ...] | None = None
        self._told: tuple[LinkState, type] | None = None
        self._receipt = b""

    def wake(self) -> None:
        """There may be something to send. From the event loop."""
        self._news.set()

    async def run(self) -> Never:
        """Connects, sends and reconnects for ever.

        Raises StoreCorrupt when the port holds more than the ledger (going on would fork the chain), and what the
        ledger raises when it cannot be read. What the port does or says never ends it otherwise.
        """
        while True:
            self._leaving.clear()  # also when the next dial fails before a stream begins
            try:
                await self._stream()
                failure: EdgeAgentError = PortUnreachable("the port ended the stream", "it is opened again")
            except (PortUnreachable, PortRefused, IdentityInvalid) as error:
                failure = error
            end_if_cancelled()
            rest_s, self._rest_s = self._rest_s, None
            forked = isinstance(failure, ChainForked)  # told and waited for, whatever else there was on that stream
            if rest_s is not None and isinstance(failure, PortUnreachable):
                await self._rest(rest_s)
                continue
            if rest_s is None and self._leaving.is_set() and not forked:
                continue
            if await self._goes_over() and not forked:
                continue
            await asyncio.sleep(self._delay_after(await self._or_the_clock(failure)))

    async def _or_the_clock(self, failure: EdgeAgentError) -> EdgeAgentError:
        if type(failure) is PortUnreachable:
            with suppress(IdentityInvalid):
                return await asyncio.to_thread(self._port.clock_wrong, self._clock.now().utc) or failure
        return failure

    async def _rest(self, after_s: float) -> None:
        """No failure, and for MAX_STOPPING_S told as none: what the port took is acknowledged, the rest waits here."""
        now = self._clock.monotonic()
        self._stopping_since = now if self._stopping_since is None else self._stopping_since
        if now - self._stopping_since >= MAX_STOPPING_S:
            wrong = f"port gateway {self._settings.gateway} has been stopping for {now - self._stopping_since:.0f} s"
            self._tell(
                LinkState.DOWN, PortUnreachable(wrong, "ask the port's operator; events are kept and sent later")
            )
        delay = min(after_s, MAX_REST_S)
        delay += self._rng.uniform(0, max(delay, 1.0))
        log.info("port gateway %s is stopping, and is dialled again in %.1f s", self._settings.gateway, delay)
        self._port.rest(self._clock.monotonic() + delay)
        await asyncio.sleep(delay)

    async def _goes_over(self) -> bool:
        try:
            return await self._port.goes_over()
        except EdgeAgentError as error:
            log.warning("the next certificate cannot be used: %s", error)
            return False

    def _delay_after(self, failure: EdgeAgentError) -> float:
        if isinstance(failure, PortUnreachable):
            self._tell(LinkState.DOWN, failure)
            return self._back_off.next_delay()
        self._tell(LinkState.FORKED if isinstance(failure, ChainForked) else LinkState.REFUSED, failure)
        return self._settings.refused_retry_s

    def _tell(self, state: LinkState, why: EdgeAgentError | str) -> None:
        """Once for each change of the state or of what keeps it, not once for each attempt."""
        if (state, type(why)) == self._told:
            return
        self._told = state, type(why)
        match state:
            case LinkState.UP:
                log.info("port gateway %s: %s", self._settings.gateway, why)
            case LinkState.DOWN:
                log.warning("%s", why)
            case LinkState.REFUSED | LinkState.FORKED:
                log.error("%s", why)
            case _:
                assert_never(state)
        self._on_link(state, str(why))

    async def _stream(self) -> None:
        async with self._port.channel() as channel:
            call = IngestServiceStub(channel).StreamEvents()
            try:
                await self._converse(call)
            finally:
                call.cancel()

    async def _converse(self, call: _Call) -> None:
        outbox = self._outbox
        window = SendWindow(outbox.booth_id, outbox.epoch, *await asyncio.to_thread(outbox.extent))
        try:
            async with asyncio.timeout(self._settings.connect_s):
                with suppress(asyncio.InvalidStateError):  # ended already: the answer says why
                    await call.write(StreamEventsRequest(hello=window.hello(self._agent_version)))
                response = await self._read(call)
        except TimeoutError:
            raise PortUnreachable(
                f"no welcome from {self._settings.gateway} within {self._settings.connect_s:g} s", "check the gateway"
            ) from None
        if response is None:
            return
        noted = await asyncio.to_thread(outbox.acked_through)
        match response.WhichOneof("message"):
            case "welcome":
                through = response.welcome.durable_through
                self._port.takes_salvaged = response.welcome.takes_salvaged
                self._take_back(through, noted)
                # A sequence beyond SQLite's integers cannot be held, and is refused by the window.
                ours = await asyncio.to_thread(outbox.sha256_at, through) if through < 2**63 else None
                window.welcomed(response.welcome, ours)
                window.tree = await asyncio.to_thread(outbox.tree, through)
            case "nack":
                if response.nack.code == RefusalCode.GAP.value:  # it names the event that the port needs next
                    self._take_back(max(response.nack.seq - 1, 0), noted)
                raise window.nacked(response.nack)
            case "drain":
                self._rest_s = float(response.drain.after_s)
                return
            case _:
                raise PortRefused("the port's first answer is no welcome", "compare the versions of both ends")
        outbox.acked(window.durable_through)
        await self._note_quarantine(tuple(response.welcome.quarantined), before=())
        self._stopping_since = None
        self._tell(LinkState.UP, f"connected, goes on at sequence {window.next_seq}")
        room = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._send(call, window, room), name="uplink send")
                following = tasks.create_task(self._follow_certificate(), name="uplink certificate")
                await self._receive(call, window, room)
                following.cancel()
                sending.cancel()
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def _read(self, call: _Call) -> StreamEventsResponse | None:
        """None when the port ended the stream in good order; raises AioRpcError when it ended otherwise."""
        response = await call.read()
        return response if isinstance(response, StreamEventsResponse) else None

    async def _send(self, call: _Call, window: SendWindow, room: asyncio.Event) -> None:
        """Returns when the stream is at its end; what the port said last is for `_receive` to read."""
        while True:
            self._news.clear()
            if self._leaving.is_set():
                with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    await call.done_writing()
                return
            room.clear()
            records, size = window.room()
            if records:
                envelopes = await asyncio.to_thread(self._outbox.after, window.next_seq - 1, records, size)
                batch = window.batch(envelopes)
                if batch is not None:
                    try:
                        await call.write(StreamEventsRequest(batch=batch))
                    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                        return
                    continue
            await _either(self._news, room)

    async def _follow_certificate(self) -> None:
        """Returns when the booth's next certificate is in force, and this stream takes leave."""
        delay = self._settings.certificate_look_s
        while True:
            await asyncio.sleep(delay)
            if await self._goes_over():
                log.info("port gateway %s: takes the booth's next certificate", self._settings.gateway)
                self._leaving.set()
                self._news.set()
                return
            delay = min(2 * delay, MAX_LOOK_S)

    async def _receive(self, call: _Call, window: SendWindow, room: asyncio.Event) -> None:
        """Returns when the port ends the stream in good order."""
        progress = self._clock.monotonic()
        while True:
            left = progress + self._settings.no_ack_s - self._clock.monotonic()
            try:
                async with asyncio.timeout(left):
                    response = await self._read(call)
            except TimeoutError:
                raise PortUnreachable(
                    f"no acknowledgement from {self._settings.gateway} for {self._settings.no_ack_s:g} s, "
                    f"{counted(window.in_flight, 'event')} in flight",
                    "they are sent again; check the gateway and its disk",
                ) from None
            if response is None:
                return
            match response.WhichOneof("message"):
                case "ack":
                    rose = window.acked(response.ack)
                    self._check_receipt(window, response.ack)
                    if rose:
                        self._outbox.acked(window.durable_through)
                        self._back_off.reset()
                        progress = self._clock.monotonic()
                    elif not (window.in_flight or self._leaving.is_set()):  # a heartbeat, and nothing else is due
                        progress = self._clock.monotonic()
                    if response.ack.quarantined:
                        await self._note_quarantine(tuple(response.ack.quarantined), self._quarantined or ())
                    room.set()
                case "drain":
                    self._rest_s = float(response.drain.after_s)
                    self._leaving.set()
                    self._news.set()
                case "nack":
                    raise window.nacked(response.nack)
                case _:
                    raise PortRefused("the port answered neither ack nor nack", "compare the versions of both ends")

    def _check_receipt(self, window: SendWindow, ack: Ack) -> None:
        """A port of an older version sends none. Raises ChainForked, PortRefused."""
        if ack.receipt and ack.receipt != self._receipt:
            gateway = load_certificate(self._settings.gateway_certificate)
            check_receipt(ack.receipt, window.tree, origin_of(self._outbox.booth_id, self._outbox.epoch), gateway)
            self._receipt = ack.receipt
            certificate = gateway.public_bytes(serialization.Encoding.DER)
            self._outbox.received(window.durable_through, ack.receipt, certificate)

    async def _note_quarantine(self, said: tuple[Quarantined, ...], before: tuple[Quarantined, ...]) -> None:
        known = {one.seq for one in self._quarantined or ()}
        for one in said:
            if one.seq not in known:
                log.error("%s", in_quarantine(one))
        quarantined = (*before, *said)[-MAX_QUARANTINED:]
        if quarantined != self._quarantined:
            self._quarantined = quarantined
            await asyncio.to_thread(self._outbox.quarantined, quarantined)

    def _take_back(self, through: int, noted: int) -> None:
        """A port that holds less than `noted` is believed at once: what it lost must not be trimmed here as well."""
        if through < noted:
            of = counted(noted, "acknowledged event")
            log.warning("the port holds %d of %s, and may have lost evidence", through, of)
            self._outbox.acked(through)
            self._outbox.offer_again()
            self._on_less_held()


async def _either(first: asyncio.Event, second: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as tasks:
        waits = [tasks.create_task(first.wait()), tasks.create_task(second.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first; an error of ours before one of gRPC's, which often only follows from it."""
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves.append(_first(error) if isinstance(error, BaseExceptionGroup) else error)
    ours = [error for error in leaves if isinstance(error, EdgeAgentError)]
    return (ours or leaves)[0]
