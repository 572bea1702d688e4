"""What may be sent now, and what the port's answers mean. No input or output, no clock.

One `SendWindow` is one stream:

    hello ──► welcome(durable_through, chain_head, credit) ──► batch, batch, … ──► ack(durable_through, chain_head), …

What was written to gRPC says nothing about the port; only its durable acknowledgements count. Everything between the
last of them and the newest batch is in flight, and the port's credit limits it, in records and in bytes.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.domain.errors import PortRefused, StoreCorrupt
from edge_agent.wire.chain import GENESIS_SHA256
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.refused import RefusalCode
from edge_agent.wire.tree import Tree
from edge_agent.wire.v1alpha1.services_pb2 import Ack, Batch, Hello, Nack, Quarantined, Welcome

# Measured: 64 events a batch were 18 times one; beyond 256 nothing is gained, and a lost stream repeats more.
MAX_BATCH_RECORDS = 256
MAX_BATCH_BYTES = 256 * 1024

_ASK_PORT = "ask the port's operator what its gateway says of this booth"


class ChainForked(PortRefused):
    """The port holds another event than this ledger at the same sequence. Nothing is sent, nothing overwritten."""


@dataclass(frozen=True, slots=True)
class _InFlight:
    seq: int
    sha256: bytes
    size: int


class SendWindow:
    """The sending side of one stream of one epoch.

    `oldest`, `newest` and `head_sha256` describe the ledger at the hello: 0, 0 and 32 zero bytes when it is empty.
    """

    def __init__(self, booth_id: str, epoch: bytes, oldest: int, newest: int, head_sha256: bytes) -> None:
        self._booth_id, self._epoch = booth_id, epoch
        self._oldest, self._newest, self._head_sha256 = oldest, newest, head_sha256
        self._in_flight: deque[_InFlight] = deque()
        self._bytes_in_flight = 0
        self._durable = 0
        self._durable_sha256 = GENESIS_SHA256
        self._credit_records = self._credit_bytes = self._batch_bytes = 0
        self.tree = Tree()  # of this ledger at `durable_through`: to be given once welcomed, and grows with the port

    @property
    def durable_through(self) -> int:
        """The highest sequence that the port has acknowledged in this stream."""
        return self._durable

    @property
    def next_seq(self) -> int:
        """The sequence to be sent next."""
        return self._in_flight[-1].seq + 1 if self._in_flight else self._durable + 1

    @property
    def in_flight(self) -> int:
        """Events sent and not acknowledged."""
        return len(self._in_flight)

    def hello(self, agent_version: str) -> Hello:
        """The first message of the stream."""
        return Hello(
            booth_id=self._booth_id,
            epoch=self._epoch,
            oldest_seq=self._oldest,
            newest_seq=self._newest,
            chain_head=self._head_sha256,
            agent_version=agent_version,
        )

    def welcomed(self, welcome: Welcome, ours: bytes | None) -> None:
        """Where to go on. `ours` is this ledger's SHA-256 at `durable_through`, None if it is not held.

        Raises StoreCorrupt (the port holds more than this ledger: it went back), ChainForked, PortRefused (the
        port asks for events no longer held, or grants nothing).
        """
        through = welcome.durable_through
        if through > self._newest:
            raise StoreCorrupt(
                f"the port holds this ledger up to sequence {through}, and here it ends at {self._newest}",
                "an older copy was put in place of the ledger: stop the agent, put the newer one back, or begin a new "
                "ledger in an empty directory",
            )
        if through + 1 < self._oldest:
            raise PortRefused(
                f"the port asks for sequence {through + 1}, and the oldest held here is {self._oldest}",
                "the port lost events that this booth no longer keeps: have it restored there",
            )
        if ours is not None or through >= self._oldest:
            self._same(through, welcome.chain_head, ours)
        if not (welcome.window_records and welcome.window_bytes and welcome.max_batch_bytes):
            raise not_in_protocol("its welcome grants no credit")
        self._durable, self._durable_sha256 = through, welcome.chain_head
        self._credit_records, self._credit_bytes = welcome.window_records, welcome.window_bytes
        self._batch_bytes = min(MAX_BATCH_BYTES, welcome.max_batch_bytes)

    def room(self) -> tuple[int, int]:
        """Records and bytes that the next batch may have now; zeros when the credit is used up."""
        records = min(MAX_BATCH_RECORDS, self._credit_records - len(self._in_flight))
        size = min(self._batch_bytes, self._credit_bytes - self._bytes_in_flight)
        return (records, size) if records > 0 and size > 0 else (0, 0)

    def batch(self, envelopes: Sequence[bytes]) -> Batch | None:
        """As many of `envelopes` as fit, which begin at `next_seq`; they are in flight from now on.

        None when the first does not fit yet. Raises PortRefused when it never will.
        """
        records, room = self.room()
        first, taken = self.next_seq, []
        for seq, envelope in enumerate(envelopes[:records], start=first):
            room -= len(envelope)
            if room < 0:
                break
            taken.append(envelope)
            self._in_flight.append(_InFlight(seq, envelope_sha256(envelope), len(envelope)))
            self._bytes_in_flight += len(envelope)
        if taken:
            return Batch(first_seq=first, envelopes=taken)
        if envelopes and not self._in_flight:
            raise PortRefused(
                f"event {first} has {len(envelopes[0])} bytes, and the port takes at most {self.room()[1]} at once",
                "raise max_batch_bytes and window_bytes at the gateway",
            )
        return None

    def acked(self, ack: Ack) -> bool:
        """Whether more is durable than before: an acknowledgement that repeats itself is a heartbeat.

        Raises ChainForked, or PortRefused when it acknowledges what was not sent or takes something back.
        """
        through = ack.durable_through
        if through < self._durable:
            raise not_in_protocol(f"it acknowledged {self._durable}, and now only {through}")
        if through >= self.next_seq:
            raise not_in_protocol(f"it acknowledged {through}, and only {self.next_seq - 1} was sent")
        ours = self._durable_sha256
        if through > self._durable:
            ours = self._in_flight[through - self._durable - 1].sha256
        self._same(through, ack.chain_head, ours)
        rose = through > self._durable
        durable = []
        while self._in_flight and self._in_flight[0].seq <= through:
            durable.append(self._in_flight.popleft())
        self._bytes_in_flight -= sum(one.size for one in durable)
        self.tree, _ = self.tree.extended(one.sha256 for one in durable)
        self._durable, self._durable_sha256 = through, ours
        return rose

    def nacked(self, nack: Nack) -> PortRefused:
        """The port's refusal as an error to raise: ChainForked when it names a fork."""
        code, name = _code(nack.code)
        what = f"event {nack.seq}" if nack.seq else "this booth's stream"
        kind = ChainForked if code is RefusalCode.FORK else PortRefused
        return kind(f"the port refused {what}: {name}: {_printable(nack.detail)}", _ASK_PORT)

    def _same(self, seq: int, theirs: bytes, ours: bytes | None) -> None:
        if theirs != ours:
            held = ours.hex() if ours else "nothing"
            raise ChainForked(
                f"FORK at sequence {seq}: the port holds {theirs[:32].hex() or 'nothing'}, this ledger {held}",
                "two ledgers wrote under this booth's name, or one was altered: keep both, and call the port",
            )


def in_quarantine(event: Quarantined) -> str:
    """What a person is told of it."""
    return (
        f"the port keeps event {event.seq} in quarantine: {_code(event.code)[1]}: {_printable(event.detail)}; nobody "
        "there reads it until its gateway has a newer version: tell the port's operator"
    )


def _code(value: int) -> tuple[RefusalCode | None, str]:
    code = next((code for code in RefusalCode if code.value == value), None)
    return code, code.name if code else f"code {value}"


def _printable(detail: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in detail[:500])


def not_in_protocol(what: str) -> PortRefused:
    """The port says what it may not say."""
    return PortRefused(f"the port does not keep to the protocol: {what}", _ASK_PORT)
