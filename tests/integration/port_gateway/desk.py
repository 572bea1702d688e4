"""A chain in a port's inbox for which time tokens are asked, and packs of its events."""

from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.domain.clock import SystemClock
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.identity import identity_of, key_id
from edge_agent.wire.tree import Tree
from edge_agent.wire.verify import Chain, verify_next
from port_gateway.cli import main
from port_gateway.inbox import Inbox
from port_gateway.store import Store
from port_gateway.time_authority import TimeAuthority
from port_gateway.time_tokens import Stamped, Stamping, TimeTokens, first_stamped
from port_gateway.trees import Receipts
from tests.time_authority import Tsa

if TYPE_CHECKING:
    from tests.integration.port_gateway.conftest import Port

EVERY_S = 600.0


class Desk:
    """One chain in an inbox, and what asks for its tokens."""

    def __init__(self, port: "Port", tsa: Tsa, store: Store, epoch: bytes = bytes(range(16))) -> None:
        self.port, self.tsa, self.store = port, tsa, store
        self.ledger = port.ledger(epoch)
        self.receive()

    def receive(self, grown: int = 3) -> None:
        """The chain grows by so many events."""
        self.ledger.grow(grown)
        self.receive_kept()

    def receive_kept(self) -> None:
        """What the ledger holds beyond the inbox arrives."""
        kept, key = self.head().seq, self.port.booth.key.public_key()
        chain, verified = Chain(Head(self.ledger.booth_id, self.ledger.epoch), {key_id(key): key}), []
        for envelope in self.ledger.envelopes:
            verified.append(verify_next(chain, envelope))
            chain = verified[-1].chain
        tiles = Tree().extended(v.sha256 for v in verified)[1]
        start = verified[kept - 1].chain.head if kept else Head(self.ledger.booth_id, self.ledger.epoch)
        Inbox(self.store, SystemClock()).append(start, verified[kept:], tiles).result()

    def head_at(self, seq: int) -> Head:
        """Where the ledger stood after so many events."""
        head = Head(self.ledger.booth_id, self.ledger.epoch)
        for envelope in self.ledger.envelopes[:seq]:
            head = head.after(envelope_sha256(envelope))
        return head

    def head(self) -> Head:
        with self.store.reading() as db:
            row = db.execute("SELECT seq, sha256 FROM chain WHERE epoch = ?", (self.ledger.epoch,)).fetchone()
        return Head(self.ledger.booth_id, self.ledger.epoch, *(row or ()))

    def tokens(self, timeout_s: float = 10, root: bytes | None = None, url: str = "") -> TimeTokens:
        gateway = self.port.gateway
        receipts = Receipts(identity_of(gateway.certificate), gateway.key, SystemClock())
        authority = TimeAuthority(url or self.tsa.address, timeout_s)
        stamping = Stamping(receipts, gateway.certificate_der, authority, root or self.tsa.root, EVERY_S)
        return TimeTokens(self.store, stamping, SystemClock())

    def stamped(self, seq: int) -> Stamped | None:
        with self.store.reading() as db:
            return first_stamped(db, self.ledger.booth_id, self.ledger.epoch, seq)

    def export(self, seq: int = 2) -> Path:
        out = self.port.folder / f"pack-{seq}"
        config = str(self.port.write_config())
        assert main(["export", config, "--booth", self.ledger.booth_id, "--seq", str(seq), str(out)]) == 0
        return out
