"""Mutated envelopes and streams against the gateway.

    python -m tests.proofs.mutations --envelopes 1000000 --streams 20000

Envelopes go to `judge_batch`, which is all of the gateway's judgement between gRPC and the disk, over an inbox that
holds a real chain. Streams go to a real `port-gateway serve` over mutual TLS, as bytes below protobuf. What must hold:

    no false accept   what is taken has, at its place, the payload that the booth signed for that place
    no crash          every answer is a named code of the protocol; afterwards the booth's own stream goes on
    flat memory       the resident size after the first tenth, and at the end

Seeded by the number of the case, so that a run goes on where it ended (`--first`), and any case is run again alone.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric import ed25519
from google.protobuf.message import DecodeError

from edge_agent.demo.processes import program
from edge_agent.domain.clock import SystemClock
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES, PAYLOAD_TYPE, pae, read_envelope
from edge_agent.wire.identity import key_id
from edge_agent.wire.refused import RefusalCode
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.envelope_pb2 import Envelope, Signature
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.verify import Chain
from port_gateway.audit import audit
from port_gateway.inbox import Inbox
from port_gateway.receive import judge_batch
from port_gateway.store import Store
from tests.integration.port_gateway.conftest import Port, Stream
from tests.proofs.faults import FAULTS, plant
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
    cases: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    same_payload: int = 0  # taken: the booth's own payload and signature, in an envelope of other bytes
    rss_begin: int = 0
    rss_end: int = 0

    def __str__(self) -> str:
        told = ", ".join(f"{name} {n}" for name, n in self.answers.most_common())
        return (
            f"{self.cases} cases: 0 crashes, 0 false accepts, {self.same_payload} of the booth's own payloads in other "
            f"bytes; resident {self.rss_begin / 1e6:.1f} MB after a tenth, {self.rss_end / 1e6:.1f} MB at the end; "
            f"{told}"
        )


# --- mutations ----------------------------------------------------------------------------------------------------


def bytes_changed(data: bytes, rng: random.Random) -> bytes:
    """One to four small changes anywhere."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(changed):
                changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:
                changed[at:at] = rng.randbytes(rng.choice((1, 2, 16, 300)))
            case 3:
                del changed[at : at + rng.choice((1, 2, 16, 300))]
            case 4:
                changed[at:at] = changed[rng.randrange(len(changed) + 1) :][:64]
            case _:
                del changed[at:]
    return bytes(changed)


def _field(number: int, rng: random.Random) -> bytes:
    """A field that no version knows, or one twice."""
    value = rng.randbytes(rng.randrange(5))
    return bytes([number << 3 | 2, len(value)]) + value


class Forger:
    """Has everything that was ever sent, keys of its own, and no key of the booth's."""

    def __init__(self, ledger: Ledger, other: Ledger) -> None:
        self._genuine, self._others = ledger.envelopes, other.envelopes
        self._key = ed25519.Ed25519PrivateKey.generate()

    def envelope(self, seq: int, rng: random.Random) -> bytes:
        """In place of the one at `seq`."""
        genuine = self._genuine[seq - 1]
        match rng.randrange(10):
            case 0 | 1 | 2 | 3:
                return bytes_changed(genuine, rng)
            case 4:
                return self._rebuilt(genuine, rng)
            case 5:
                return self._signed_by_another(genuine, rng)
            case 6:  # another of the chain: a gap, a replay
                return rng.choice(self._genuine[: seq - 1] + self._genuine[seq:])
            case 7:
                return rng.choice(self._others)
            case 8:
                return genuine + b"".join(_field(rng.randrange(1, 16), rng) for _ in range(rng.randrange(1, 4)))
            case _:
                return rng.choice((b"", rng.randbytes(rng.randrange(2000)), genuine * rng.choice((2, 200)),
                                   rng.randbytes(1) * (MAX_ENVELOPE_BYTES + rng.randrange(-1, 2))))  # fmt: skip

    def _rebuilt(self, data: bytes, rng: random.Random) -> bytes:
        """Parts changed, the whole well-formed."""
        envelope = Envelope.FromString(data)
        signature = envelope.signatures[0]
        match rng.randrange(6):
            case 0:
                envelope.payload = bytes_changed(envelope.payload, rng)
            case 1:
                signature.sig = bytes_changed(signature.sig, rng)
            case 2:
                envelope.payload_type = rng.choice(("", PAYLOAD_TYPE + " ", PAYLOAD_TYPE.upper(), "text/plain"))
            case 3:
                signature.keyid = rng.choice(("", signature.keyid[:-1], signature.keyid.upper(), "0" * 64))
            case 4:
                envelope.signatures.append(signature)
            case _:
                event = Event.FromString(envelope.payload)
                event.seq = rng.choice((0, 1, event.seq + 1, 2**63 - 1, 2**64 - 1))
                envelope.payload = event.SerializeToString()
        return envelope.SerializeToString()

    def _signed_by_another(self, data: bytes, rng: random.Random) -> bytes:
        """A whole event, signed by a key that is not the booth's, under its own or the booth's key id."""
        payload, signature = read_envelope(data)
        keyid = rng.choice((signature.keyid, key_id(self._key.public_key())))
        signed = Signature(sig=self._key.sign(pae(PAYLOAD_TYPE, payload)), keyid=keyid)
        return Envelope(payload=payload, payload_type=PAYLOAD_TYPE, signatures=[signed]).SerializeToString()


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


def judge(cases: int, folder: Path, first: int = 0) -> Figures:
    """Raises Wrong."""
    judging, figures = Judging(folder), Figures()
    with contextlib.closing(judging.store):
        for number in range(first, first + cases):
            judging.case(number, figures)
            figures.cases += 1
            if figures.cases == cases // 10:
                figures.rss_begin = resident()
            if figures.cases % 100_000 == 0:
                figures.rss_end = resident()
                print(figures, flush=True)
    figures.rss_end = resident()
    return figures


# --- streams ------------------------------------------------------------------------------------------------------


def requests(forger: Forger, ledger: Ledger, rng: random.Random) -> list[bytes]:
    """A stream's messages as bytes: a hello and batches, one of them spoilt somewhere, or in another order."""
    envelopes = list(ledger.envelopes)
    for _ in range(rng.randrange(2)):
        seq = rng.randrange(1, len(envelopes) + 1)
        envelopes[seq - 1] = forger.envelope(seq, rng)
    batches = [wire.Batch(first_seq=n + 1, envelopes=envelopes[n : n + 16]) for n in range(0, len(envelopes), 16)]
    messages = [wire.StreamEventsRequest(hello=ledger.hello())]
    messages += [wire.StreamEventsRequest(batch=batch) for batch in batches]
    said = [message.SerializeToString() for message in messages]
    for _ in range(rng.choice((0, 1, 1, 2))):
        at = rng.randrange(len(said))
        match rng.randrange(5):
            case 0 | 1:
                said[at] = bytes_changed(said[at], rng)
            case 2:
                said.insert(at, rng.choice(said))
            case 3:
                said.pop(at)
                said = said or [b""]
            case _:
                rng.shuffle(said)
    return said


class Talking:
    """A real gateway, and a peer with the booth's certificate that says anything."""

    def __init__(self, port: Port, address: str, pid: int) -> None:
        self.port, self.address, self.pid = port, address, pid
        self.ledger = port.ledger()
        self.ledger.grow(COMING)
        other = Ledger(port.other_booth.identity, port.other_booth.key)
        other.grow(HELD)
        self.forger = Forger(self.ledger, other)

    async def case(self, number: int, channel: grpc.aio.Channel, figures: Figures) -> None:
        """One stream. Raises Wrong."""
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
        if figures.answers[UNANSWERED] > 1 + figures.cases // 200:
            raise Wrong(f"stream {number}: {figures.answers[UNANSWERED]} streams had no end within 60 s")

    async def _conversation(self, number: int, call: Any) -> str:
        """What the gateway said of it."""
        said = ""
        with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
            for message in requests(self.forger, self.ledger, random.Random(f"stream {number}")):
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
        if response.WhichOneof("message") == "ack" and response.ack.durable_through > len(self.ledger.envelopes):
            raise Wrong(f"stream {number}: {response.ack.durable_through} acknowledged")
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
        """The booth itself, with its own events."""
        async with self.port.ingest(address=self.address) as stub:
            stream = Stream(stub)
            welcome = await stream.hello(self.ledger.hello())
            self.ledger.grow(1)
            await stream.send(welcome.durable_through + 1, *self.ledger.envelopes[welcome.durable_through :])
            await stream.acked(len(self.ledger.envelopes))


async def talk(cases: int, folder: Path, first: int = 0) -> Figures:
    """Raises Wrong, and audit's Fault."""
    port, figures = Port(folder), Figures()
    serving = program("gateway", folder / "log", "port_gateway", "serve", str(port.write_config()), "--json")
    async with serving as gateway:
        talking = Talking(port, (await gateway.ready())["address"], gateway.pid)
        for begin in range(first, first + cases, A_CHANNEL):
            async with port.channel(port.booth, address=talking.address) as channel:
                for number in range(begin, min(begin + A_CHANNEL, first + cases)):
                    await talking.case(number, channel, figures)
                    figures.cases += 1
                    if figures.cases == cases // 10:
                        figures.rss_begin = resident(gateway.pid)
        await talking.goes_on()
        figures.rss_end = resident(gateway.pid)
    counts, _ = audit(port.settings())  # every envelope that was kept is signed and linked
    if counts.events != len(talking.ledger.envelopes):
        raise Wrong(f"the inbox holds {counts.events} events, and the booth signed {len(talking.ledger.envelopes)}")
    return figures


def talked(cases: int, folder: Path, first: int = 0) -> Figures:
    """In a loop of its own: gRPC leaves tasks of calls behind that ended in the middle of a write."""
    return asyncio.run(talk(cases, folder, first))


def resident(pid: int | str = "self") -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envelopes", type=int, default=1_000_000)
    parser.add_argument("--streams", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="the first case's number: to go on, or to see one again")
    parser.add_argument("--without", choices=sorted(FAULTS), default="", help="take a protection away: it must fail")
    options = parser.parse_args()
    plant(options.without)
    work: list[Any] = [("envelopes", judge, options.envelopes), ("streams", talked, options.streams)]
    try:
        for name, prove, cases in work:
            if cases:
                with _folder() as folder:
                    print(f"{name}: {prove(cases, folder, options.first)}", flush=True)
    except (Wrong, DecodeError) as wrong:
        sys.exit(f"FAILED: {wrong}")


if __name__ == "__main__":
    main()
