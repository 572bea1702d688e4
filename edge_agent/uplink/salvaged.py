"""What was salvaged of a damaged ledger goes to the port by itself, on a stream of its own, batch by batch.

    Hello(salvaged, the old epoch) ─► Welcome(durable_through) ─► Batch, Ack, Batch, Ack … ─► half-close

The port takes it once it holds the first event of the ledger in its place, which names the gaps. It says itself how far
it holds each epoch, so that nothing has to be remembered here.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import grpc
import grpc.aio

from edge_agent.domain.clock import Clock
from edge_agent.domain.counted import counted
from edge_agent.domain.errors import EdgeAgentError, Fatal, IdentityInvalid, PortRefused, PortUnreachable
from edge_agent.uplink.link import BackOff, Port, UplinkSettings, end_if_cancelled
from edge_agent.uplink.receipts import check_receipt, check_signature
from edge_agent.uplink.window import (
    MAX_BATCH_BYTES,
    MAX_BATCH_RECORDS,
    ChainForked,
    SendWindow,
    in_quarantine,
    not_in_protocol,
)
from edge_agent.wire.checkpoint import origin_of
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.gaps import leaves
from edge_agent.wire.identity import load_certificate
from edge_agent.wire.refused import RefusalCode
from edge_agent.wire.tree import Tree
from edge_agent.wire.v1alpha1.services_pb2 import Ack, Batch, StreamEventsRequest, StreamEventsResponse
from edge_agent.wire.v1alpha1.services_pb2_grpc import IngestServiceStub

log = logging.getLogger(__name__)

_Call = grpc.aio.StreamStreamCall[StreamEventsRequest, StreamEventsResponse]


class Salvaged(Protocol):
    """One salvaged epoch. Reads may block, and are made in other threads."""

    @property
    def epoch(self) -> bytes: ...

    def extent(self) -> tuple[int, int, bytes]:
        """Lowest and highest sequence held, and the highest envelope's SHA-256."""
        ...

    def next_after(self, seq: int) -> int | None:
        """The lowest sequence held above `seq`."""
        ...

    def after(self, seq: int, limit: int, max_bytes: int) -> Sequence[bytes]:
        """The envelopes that follow `seq` without a gap: at most `limit`, and one or as many as fit `max_bytes`."""
        ...

    def sha256_at(self, seq: int) -> bytes | None:
        """The SHA-256 of the envelope at `seq`, None if it is not held; 32 zero bytes at 0."""
        ...

    def digests(self, through: int) -> Sequence[tuple[int, bytes]]:
        """Sequences through `through` with the SHA-256 of their envelopes, in order."""
        ...

    def note(self, through: int, receipt: bytes, refused: str) -> None:
        """What the port said last, for people."""
        ...


class InItsPlace(Protocol):
    """The ledger that was begun in place of it."""

    @property
    def booth_id(self) -> str: ...

    def acked_through(self) -> int:
        """The highest sequence that the port has acknowledged."""
        ...


class _NotYet(PortUnreachable):
    """The port does not hold the event yet that names this epoch."""


class SalvagedUplink:
    """Sends what was salvaged until the port holds it; then waits until the port has lost data."""

    def __init__(
        self,
        settings: UplinkSettings,
        port: Port,
        ledgers: Sequence[Salvaged],
        present: InItsPlace,
        clock: Clock,
        agent_version: str,
        rng: random.Random | None = None,
    ) -> None:
        self._settings, self._port, self._ledgers, self._present = settings, port, ledgers, present
        self._clock, self._agent_version = clock, agent_version
        self._back_off = BackOff(settings.back_off_s, settings.back_off_max_s, rng or random.SystemRandom())
        self._again = asyncio.Event()
        self._told: dict[bytes, str] = {}

    def offer_again(self) -> None:
        """The port holds less than it acknowledged. From the event loop."""
        self._again.set()

    async def run(self) -> None:
        """Returns at once where nothing was salvaged. Raises what the present ledger raises when it cannot be read."""
        while self._ledgers:
            self._again.clear()
            waiting = list(self._ledgers)
            while waiting and not self._again.is_set():
                delay = await self._turn(waiting)
                if waiting:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(delay):
                            await self._again.wait()
            await self._again.wait()

    async def _turn(self, waiting: list[Salvaged]) -> float:
        """Offers each once, takes out what is settled, and gives the seconds to wait for the others."""
        if rest := self._port.rest_s(self._clock.monotonic()):
            return rest
        if not await asyncio.to_thread(self._present.acked_through):
            return self._back_off.next_delay()
        if not self._port.takes_salvaged:
            return await self._wait_for_the_port(waiting)
        delay = 0.0
        for ledger in list(waiting):
            try:
                await self._offer(ledger)
                waiting.remove(ledger)
            except PortUnreachable as failure:
                end_if_cancelled()
                log.debug("salvaged epoch %s waits: %s", ledger.epoch.hex(), failure.wrong)
                delay = max(delay, self._back_off.next_delay())
            except (PortRefused, IdentityInvalid) as failure:
                end_if_cancelled()
                await self._tell(ledger, failure)
                if isinstance(failure, ChainForked):
                    waiting.remove(ledger)
                delay = max(delay, self._settings.refused_retry_s)
            except Fatal as failure:  # a copy of what is past: the lanes do not end for it
                log.error("salvaged epoch %s cannot be read, and is not offered: %s", ledger.epoch.hex(), failure)
                waiting.remove(ledger)
        return delay

    async def _wait_for_the_port(self, waiting: Sequence[Salvaged]) -> float:
        """The seconds to wait for one that has not said yet whether it takes such a stream. An older one would take it
        for the booth's own, and end that.
        """
        if self._port.takes_salvaged is None:
            return self._back_off.next_delay()
        for ledger in waiting:
            older = "the port's gateway is older than this agent, and takes no salvaged ledger"
            await self._tell(ledger, PortRefused(older, "have it upgraded; what was salvaged is kept, and sent then"))
        return self._settings.refused_retry_s

    async def _tell(self, ledger: Salvaged, failure: EdgeAgentError) -> None:
        if self._told.get(ledger.epoch) != failure.wrong:
            self._told[ledger.epoch] = failure.wrong
            log.error("what was salvaged of epoch %s is not taken by the port: %s", ledger.epoch.hex(), failure)
            await asyncio.to_thread(ledger.note, 0, b"", failure.wrong)

    async def _offer(self, ledger: Salvaged) -> None:
        async with self._port.channel() as channel:
            call = IngestServiceStub(channel).StreamEvents()
            try:
                await self._converse(call, ledger)
            finally:
                call.cancel()

    async def _converse(self, call: _Call, ledger: Salvaged) -> None:
        window = SendWindow(self._present.booth_id, ledger.epoch, *await asyncio.to_thread(ledger.extent))
        hello = window.hello(self._agent_version)
        hello.salvaged = True
        with suppress(asyncio.InvalidStateError):  # ended already: the answer says why
            await call.write(StreamEventsRequest(hello=hello))
        response = await self._answer(call, window, self._settings.connect_s)
        if response.WhichOneof("message") != "welcome":
            raise not_in_protocol("its first answer is no welcome")
        welcome = response.welcome
        through = welcome.durable_through
        if through >= 2**63 or not (welcome.window_records and welcome.window_bytes and welcome.max_batch_bytes):
            raise not_in_protocol("its welcome grants nothing")
        ours = await asyncio.to_thread(ledger.sha256_at, through)
        if ours is not None and ours != welcome.chain_head:
            raise ChainForked(
                f"FORK at sequence {through} of epoch {ledger.epoch.hex()}: the port holds another event",
                "two ledgers wrote under this booth's name, or one was altered: keep both, and call the port",
            )
        tree = await asyncio.to_thread(_tree_through, ledger, through)
        sent, receipt = 0, b""
        while (following := await asyncio.to_thread(ledger.next_after, through)) is not None:
            records = min(MAX_BATCH_RECORDS, welcome.window_records)
            size = min(MAX_BATCH_BYTES, welcome.max_batch_bytes, welcome.window_bytes)
            envelopes = await asyncio.to_thread(ledger.after, following - 1, records, size)
            with suppress(asyncio.InvalidStateError):
                await call.write(StreamEventsRequest(batch=Batch(first_seq=following, envelopes=envelopes)))
            digests = [(seq, envelope_sha256(envelope)) for seq, envelope in enumerate(envelopes, following)]
            if tree is not None:
                tree, _ = await asyncio.to_thread(tree.extended, leaves(through, digests))
            through = digests[-1][0]
            ack = await self._acknowledged(call, window, *digests[-1])
            receipt = self._receipt(ledger, ack, tree)
            sent += len(envelopes)
        await call.done_writing()
        log.info("the port holds the salvaged epoch %s, %s of it since now", ledger.epoch.hex(), counted(sent, "event"))
        self._told.pop(ledger.epoch, None)
        await asyncio.to_thread(ledger.note, through, receipt, "")

    async def _acknowledged(self, call: _Call, window: SendWindow, through: int, sha256: bytes) -> Ack:
        until = self._clock.monotonic() + self._settings.no_ack_s
        while True:
            response = await self._answer(call, window, until - self._clock.monotonic())
            if response.WhichOneof("message") != "ack":
                raise not_in_protocol("it answered neither ack nor nack")
            if response.ack.durable_through > through:
                raise not_in_protocol(f"it acknowledged {response.ack.durable_through}, and only {through} was sent")
            if response.ack.durable_through == through:
                for one in response.ack.quarantined:
                    log.error("%s", in_quarantine(one))
                if response.ack.chain_head != sha256:
                    raise ChainForked(
                        f"FORK at sequence {through}: the port acknowledged another event", "call the port"
                    )
                return response.ack

    async def _answer(self, call: _Call, window: SendWindow, timeout_s: float) -> StreamEventsResponse:
        """The next message but a refusal or a drain. Raises PortUnreachable, PortRefused."""
        try:
            async with asyncio.timeout(timeout_s):
                response = await call.read()
        except TimeoutError:
            raise PortUnreachable(f"no answer from {self._settings.gateway}", "it is asked again") from None
        if not isinstance(response, StreamEventsResponse):
            raise PortUnreachable("the port ended the stream", "it is opened again")
        match response.WhichOneof("message"):
            case "nack" if response.nack.code == RefusalCode.NOT_REPLACED.value:
                raise _NotYet("the port does not know yet that this ledger was replaced", "it is asked again")
            case "nack":
                raise window.nacked(response.nack)
            case "drain":
                raise PortUnreachable("the port gateway is stopping", "it is dialled again")
            case _:
                return response

    def _receipt(self, ledger: Salvaged, ack: Ack, tree: Tree | None) -> bytes:
        """Verified, and with `tree` its root, too."""
        if not ack.receipt:
            return b""
        gateway = load_certificate(self._settings.gateway_certificate)
        origin = origin_of(self._present.booth_id, ledger.epoch)
        if tree is not None:
            check_receipt(ack.receipt, tree, origin, gateway)
        else:
            check_signature(ack.receipt, ack.durable_through, origin, gateway)
        return ack.receipt


def _tree_through(ledger: Salvaged, through: int) -> Tree | None:
    """The tree of what the port holds; None where some of that is not held here."""
    digests = ledger.digests(through)
    return Tree().extended(sha256 for _, sha256 in digests)[0] if len(digests) == through else None
