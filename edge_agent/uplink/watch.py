"""What the port tells this booth: what it expects here, and what it has to say of a vehicle.

A stream and a channel of its own: whatever happens to it, events go on. The booth takes one message after the other,
and says of a page that it is kept when it is; the port sends no other page before. Nothing that the port says ends the
agent.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Never, Protocol, TypeVar

import grpc
import grpc.aio

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import (
    EdgeAgentError,
    Fatal,
    IdentityInvalid,
    Permanent,
    PortRefused,
    PortUnreachable,
    Recoverable,
)
from edge_agent.domain.expected import ExpectationList
from edge_agent.uplink.link import BackOff, Port, UplinkSettings, end_if_cancelled
from edge_agent.wire.codec_expected import list_message, list_of
from edge_agent.wire.v1alpha1.watch_pb2 import (
    ExpectationsKept,
    ExpectationsPage,
    WatchHello,
    WatchRequest,
    WatchResponse,
)
from edge_agent.wire.v1alpha1.watch_pb2_grpc import BoothServiceStub

log = logging.getLogger(__name__)

T = TypeVar("T")

# The port may rest no longer, whatever it says; as of the stream of events.
MAX_REST_S = 300.0

_Call = grpc.aio.StreamStreamCall[WatchRequest, WatchResponse]


class Known(Protocol):
    """The booth's copy of the list. All may block, and are called in other threads."""

    def begin(self) -> ExpectationList | None:
        """A connection begins: which list is held."""
        ...

    def keep(self, page: ExpectationsPage) -> None:
        """Returns when the page is taken up. Raises PortRefused where it cannot be, Recoverable, StoreFailed."""
        ...

    def confirmed(self, held: ExpectationList) -> bool:
        """The port says that this is the newest; False if it is not held any more."""
        ...


# Makes a decision or findings durable once, however often they come. Raises Permanent where they cannot be an event.
Take = Callable[[WatchResponse], Awaitable[None]]


class Watch:
    """Keeps one stream from the port open."""

    def __init__(
        self,
        settings: UplinkSettings,
        port: Port,
        booth_id: str,
        known: Known,
        take: Take,
        clock: Clock,
        agent_version: str,
        rng: random.Random | None = None,
    ) -> None:
        self._settings, self._port, self._booth_id = settings, port, booth_id
        self._known, self._take, self._clock, self._agent_version = known, take, clock, agent_version
        self._rng = rng or random.SystemRandom()
        self._back_off = BackOff(settings.back_off_s, settings.back_off_max_s, self._rng)
        self._told: set[type] = set()
        self._well = False

    async def run(self) -> Never:
        """Connects, takes and reconnects for ever. Raises only what `take` raises of the ledger."""
        while True:
            generation = self._port.generation
            try:
                await self._stream(generation)
                failure: EdgeAgentError | None = None
            except (PortUnreachable, PortRefused, IdentityInvalid) as error:
                failure = error
            except (Recoverable, _OwnCopy) as error:  # no room, or a bad disk: the lane goes on with what is held
                failure = error
            end_if_cancelled()
            if generation != self._port.generation:
                continue
            await asyncio.sleep(self._delay_after(failure))

    def _delay_after(self, failure: EdgeAgentError | None) -> float:
        if rest := self._port.rest_s(self._clock.monotonic()):
            return min(rest, MAX_REST_S) + self._rng.uniform(0, 1)
        if failure is not None and type(failure) not in self._told:  # each kind once in an outage
            self._told.add(type(failure))
            log.warning("what the port expects is not being told: %s", failure)
        if failure is None or isinstance(failure, PortUnreachable):
            return self._back_off.next_delay()
        return self._settings.refused_retry_s * self._rng.uniform(0.5, 1)

    async def _stream(self, generation: int) -> None:
        async with self._port.channel() as channel:
            call = BoothServiceStub(channel).Watch()
            try:
                await self._converse(call, generation)
            finally:
                call.cancel()

    async def _converse(self, call: _Call, generation: int) -> None:
        held = await _in_thread(self._known.begin)
        hello = WatchHello(
            booth_id=self._booth_id,
            list=None if held is None else list_message(held),
            agent_version=self._agent_version,
        )
        with suppress(asyncio.InvalidStateError):  # ended already: reading says why
            await call.write(WatchRequest(hello=hello))
        while generation == self._port.generation:
            response = await self._read(call)
            if response is None:
                return
            match response.WhichOneof("message"):
                case "expectations":
                    await _in_thread(partial(self._known.keep, response.expectations))
                    kept = ExpectationsKept(list=response.expectations.list)
                    with suppress(asyncio.InvalidStateError):
                        await call.write(WatchRequest(kept=kept))
                    if response.expectations.newest:
                        self._is_well()
                case "heartbeat":
                    if not await _in_thread(partial(self._known.confirmed, list_of(response.heartbeat.list))):
                        return  # the copy was lost meanwhile: the next hello says so
                    self._is_well()
                case "decision" | "findings":
                    await self._take_message(response)
                case "drain":
                    self._port.rest(self._clock.monotonic() + min(float(response.drain.after_s), MAX_REST_S))
                    with suppress(asyncio.InvalidStateError):
                        await call.done_writing()
                case None:
                    pass  # of a newer port

    async def _take_message(self, response: WatchResponse) -> None:
        try:
            await self._take(response)
        except (Permanent, ValueError) as error:  # it comes again at the next connection, and a person can read why
            log.error("what the port said of a vehicle cannot be recorded: %s", error)

    async def _read(self, call: _Call) -> WatchResponse | None:
        """None when the port ended the stream in good order. Raises AioRpcError, PortUnreachable."""
        try:
            async with asyncio.timeout(self._settings.no_ack_s):
                response = await call.read()
        except TimeoutError:
            wrong = f"no word of {self._settings.gateway} for {self._settings.no_ack_s:g} s"
            raise PortUnreachable(wrong, "check the gateway") from None
        return response if isinstance(response, WatchResponse) else None

    def _is_well(self) -> None:
        self._back_off.reset()
        if self._told or not self._well:
            self._told, self._well = set(), True
            log.info("port gateway %s: says what it expects", self._settings.gateway)


class _OwnCopy(EdgeAgentError):
    """The booth's copy cannot be written."""


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except Fatal as error:  # a copy that the port can send again is no reason to end
        raise _OwnCopy(error.wrong, error.remedy) from None
