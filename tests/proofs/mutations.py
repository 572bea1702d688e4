"""Mutated envelopes and streams against the gateway.

    python -m tests.proofs.mutations --envelopes 1000000 --streams 20000

Envelopes go to `judge_batch`, which is all of the gateway's judgement between gRPC and the disk, over an inbox that
holds a real chain. Streams go to a real `port-gateway serve` over mutual TLS, as bytes below protobuf. What must hold:

    no false accept   what is taken has, at its place, the payload that the booth signed for that place
    no crash          every answer is a named code of the protocol; afterwards the booth's own stream goes on
    flat memory       the resident size, part by part of a run

Seeded by the number of the case: any is run again alone (`--first`). A run goes on behind the parts that are done
(progress.py); its gateway is another one then, whose memory begins anew.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from edge_agent.domain.clock import SystemClock
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import key_id
from edge_agent.wire.refused import RefusalCode
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.verify import Chain
from port_gateway.audit import audit
from port_gateway.inbox import Inbox
from port_gateway.receive import judge_batch
from port_gateway.store import Store
from tests.integration.port_gateway.conftest import Port, Stream
from tests.proofs.faults import FAULTS, plant
from tests.proofs.forger import Forger, requests
from tests.proofs.nursery import serving
from tests.proofs.progress import FOLDER, Progress, add
from tests.unit.port_gateway.signing import Ledger, Party

HELD, COMING = 40, 24
STREAM = "/edge_agent.wire.v1alpha1.IngestService/StreamEvents"
# gRPC's client keeps the place of a call that failed in a write, and a channel has 64 of them.
A_CHANNEL = 50
UNANSWERED = "no status seen"
_ANSWERS = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INTERNAL,  # gRPC's own, where the answer meets a write of the peer's; the gateway never says it
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ABORTED,
}


class Wrong(AssertionError):
    """What must not be."""


@dataclass
class Figures:
    """`resident`: the bytes of memory that the process had, by the number of cases that it had had."""

    cases: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    same_payload: int = 0  # taken: the booth's own payload and signature, in an envelope of other bytes
    resident: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answers = Counter(self.answers)

    def grown(self) -> int:
        """Bytes between the first look at the memory and the last."""
        return self.resident[-1][1] - self.resident[0][1]

    def __str__(self) -> str:
        told = ", ".join(f"{name} {n}" for name, n in self.answers.most_common())
        return (
            f"{self.cases} cases: 0 crashes, 0 false accepts, {self.same_payload} of the booth's own payloads in other "
            f"bytes; {told}; resident {', '.join(f'{size / 1e6:.1f} MB after {n}' for n, size in self._looks())}"
        )

    def _looks(self) -> list[tuple[int, int]]:
        """Some of them: where the number of cases falls, another process began."""
        every = max(1, len(self.resident) // 10)
        return [*self.resident[:-1:every], self.resident[-1]]


Done = Callable[[range, Figures], None]  # is told of each part that is done


# --- envelopes ----------------------------------------------------------------------------------------------------


class Judging:
    """The gateway's judgement over a chain of which the inbox holds the first HELD events."""

    def __init__(self, folder: Path) -> None:
        booth = Party(folder / "booth", "spiffe://uslrd/booth/lane-1")
        other = Party(folder / "other", "spiffe://uslrd/booth/lane-2")
        self.ledger, others = Ledger(booth.identity, booth.key), Ledger(other.identity, other.key)
        self.ledger.grow(HELD // 2)
        self.ledger.open_session()
        self.ledger.grow(HELD + COMING - len(self.ledger.envelopes))
        others.grow(HELD)
        self.payloads = [read_envelope(envelope)[0] for envelope in self.ledger.envelopes]
        self.forger = Forger(self.ledger, others)
        self.store = Store(folder / "inbox.sqlite")
        self.inbox = Inbox(self.store, SystemClock())
        begin = Chain(Head(booth.identity, self.ledger.epoch), {key_id(booth.key.public_key()): booth.key.public_key()})
        judged = judge_batch(self.inbox, begin, {}, 1, self.ledger.envelopes[:HELD])
        self.inbox.append(begin.head, judged.verified).result()
        self.chain = judged.chain

    def case(self, number: int, figures: Figures) -> None:
        """One batch that is good up to a mutated envelope. Raises Wrong, or whatever the gateway raised."""
        rng = random.Random(number)
        first = rng.randrange(HELD - 3, HELD + 2)
        mutated = rng.randrange(first, first + 4)
        batch = [*self.ledger.envelopes[first - 1 : mutated - 1], self.forger.envelope(mutated, rng)]
        batch += self.ledger.envelopes[mutated : mutated + rng.randrange(3)]
        try:
            judged = judge_batch(self.inbox, self.chain, {}, first, batch)
        except Exception as error:
            raise Wrong(f"case {number}: the judgement crashed: {error!r}") from error
        for taken in judged.verified:
            seq = taken.chain.head.seq
            if not HELD < seq <= len(self.payloads):
                raise Wrong(f"case {number}: an event was taken at sequence {seq}")
            if read_envelope(taken.envelope)[0] != self.payloads[seq - 1]:
                raise Wrong(f"case {number}: a false accept at sequence {seq}")
            figures.same_payload += taken.envelope != self.ledger.envelopes[seq - 1]
        figures.answers[judged.refused.code.name if judged.refused is not None else "taken"] += 1


def judge(folder: Path, parts: Iterable[range], done: Done) -> None:
    """Raises Wrong."""
    judging, had = Judging(folder), 0
    with contextlib.closing(judging.store):
        for part in parts:
            figures = Figures(len(part))
            for number in part:
                judging.case(number, figures)
            had += len(part)
            figures.resident = [(had, resident())]
            done(part, figures)


# --- streams ------------------------------------------------------------------------------------------------------


class Talking:
    """A real gateway, and a peer with the booth's certificate that says anything."""

    def __init__(self, port: Port, address: str, pid: int) -> None:
        self.port, self.address, self.pid = port, address, pid
        self.ledger = port.ledger()
        self.ledger.grow(COMING)
        other = Ledger(port.other_booth.identity, port.other_booth.key)
        other.grow(HELD)
        self.forger = Forger(self.ledger, other)
        self.cases, self._unanswered, self._durable = 0, 0, 0

    async def case(self, number: int, channel: grpc.aio.Channel, figures: Figures) -> None:
        """One stream: some events that the port has, and some that it has not. Raises Wrong."""
        self.cases += 1
        self.ledger.grow(2)
        call: Any = channel.stream_stream(STREAM, None, wire.StreamEventsResponse.FromString)()
        talking = asyncio.ensure_future(self._conversation(number, call))
        await asyncio.wait({talking}, timeout=60)
        if talking.done():
            figures.answers[talking.result()] += 1
            return
        # gRPC's client can lose the status that meets a failed write, and then waits for it through any cancellation:
        # the call is left behind, and the gateway must answer others all the same.
        talking.cancel()
        call.cancel()
        await self._answers(number)
        figures.answers[UNANSWERED] += 1
        self._unanswered += 1
        if self._unanswered > 1 + self.cases // 200:
            raise Wrong(f"stream {number}: {self._unanswered} streams had no end within 60 s")

    async def _conversation(self, number: int, call: Any) -> str:
        """What the gateway said of it."""
        said = ""
        with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
            first = max(1, self._durable - COMING // 2)
            for message in requests(self.forger, self.ledger, first, random.Random(f"stream {number}")):
                await call.write(message)
            await call.done_writing()
        with contextlib.suppress(grpc.aio.AioRpcError):
            while isinstance(response := await call.read(), wire.StreamEventsResponse):
                said = self._heard(number, response) or said
        code: grpc.StatusCode = await call.code()
        if code not in _ANSWERS:
            raise Wrong(f"stream {number}: {code}: {await call.details()}")
        return said or code.name

    def _heard(self, number: int, response: wire.StreamEventsResponse) -> str:
        self._durable = max(self._durable, response.ack.durable_through, response.welcome.durable_through)
        if self._durable > len(self.ledger.envelopes):
            raise Wrong(f"stream {number}: {self._durable} acknowledged")
        if response.WhichOneof("message") == "nack":
            return RefusalCode(response.nack.code).name
        return ""

    async def _answers(self, number: int) -> None:
        try:
            async with asyncio.timeout(60), self.port.ingest(address=self.address) as stub:
                await Stream(stub).hello(self.ledger.hello())
        except (TimeoutError, AssertionError) as error:
            raise Wrong(
                f"stream {number}: no end of it within 60 s, and the gateway welcomes nobody: {error}"
            ) from None

    async def goes_on(self) -> None:
        """The booth itself, with its own events. Raises Wrong."""
        async with self.port.ingest(address=self.address) as stub:
            stream = Stream(stub)
            try:
                welcome = await stream.hello(self.ledger.hello())
                self.ledger.grow(1)
                await stream.send(welcome.durable_through + 1, *self.ledger.envelopes[welcome.durable_through :])
                await stream.acked(len(self.ledger.envelopes))
            except AssertionError as said:
                raise Wrong(f"the booth's own stream does not go on: {said}") from None


async def _talk(folder: Path, parts: Iterable[range], done: Done, without: str) -> None:
    port = Port(folder)
    # A connection on which nothing runs is ended after ten of these: gRPC's client keeps some of those that it closes.
    config = port.write_config(limits="{drain_s: 0.5, back_after_s: 0, keepalive_s: 0.5}")
    async with serving(config, folder / "log", without) as gateway:
        talking = Talking(port, (await gateway.ready())["address"], gateway.pid)
        for part in parts:
            figures = Figures(len(part))
            for begin in range(0, len(part), A_CHANNEL):
                async with port.channel(port.booth, address=talking.address) as channel:
                    for number in part[begin : begin + A_CHANNEL]:
                        await talking.case(number, channel, figures)
            figures.resident = [(talking.cases, resident(gateway.pid))]
            done(part, figures)
        await talking.goes_on()
    counts, _ = audit(port.settings())  # every envelope that was kept is signed and linked
    if counts.events != len(talking.ledger.envelopes):
        raise Wrong(f"the inbox holds {counts.events} events, and the booth signed {len(talking.ledger.envelopes)}")


def talk(folder: Path, parts: Iterable[range], done: Done, without: str = "") -> None:
    """Raises Wrong, and audit's Fault. In a loop of its own: gRPC leaves calls behind that ended in a write."""
    asyncio.run(_talk(folder, parts, done, without))


def found(prove: Callable[[Path, Iterable[range], Done], None], folder: Path, first: int, cases: int) -> Figures:
    """`judge` or `talk` of that many cases, with ten looks at the memory. Raises what it raises."""
    sum_of, every = Figures(), max(1, cases // 10)
    prove(folder, _parts(first, cases, every), lambda _, figures: add(sum_of, figures))
    return sum_of


def _parts(first: int, cases: int, size: int) -> list[range]:
    return [range(begin, min(begin + size, first + cases)) for begin in range(first, first + cases, size)]


def resident(pid: int | str = "self") -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def _run(name: str, prove: Any, first: int, cases: int, part: int) -> None:
    """On behind the parts that are done."""
    progress = Progress(FOLDER / f"{name}.json", Figures())
    parts = _parts(first, cases, part)
    left = [parts[n] for n in progress.left(len(parts))]

    def done(which: range, figures: Figures) -> None:
        progress.note((which.start - first) // part, figures)
        print(f"{name}: {progress.found}", flush=True)

    if left:
        with tempfile.TemporaryDirectory() as folder:
            prove(Path(folder), left, done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envelopes", type=int, default=1_000_000)
    parser.add_argument("--streams", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="the first case's number")
    parser.add_argument("--without", choices=sorted(FAULTS), default="", help="take a protection away: it must fail")
    options = parser.parse_args()
    plant(options.without)
    try:
        of = f"{options.first}{'-without' if options.without else ''}"
        _run(f"envelopes-{of}", judge, options.first, options.envelopes, 50_000)
        _run(f"streams-{of}", partial(talk, without=options.without), options.first, options.streams, 500)
    except (Wrong, DecodeError) as wrong:
        sys.exit(f"FAILED: {wrong}")


if __name__ == "__main__":
    main()
