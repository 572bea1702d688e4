"""The Merkle tree of every chain as the inbox keeps it, and the receipts that the gateway signs over it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import apsw
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.domain.clock import Clock
from edge_agent.wire.chain import Head
from edge_agent.wire.checkpoint import Checkpoint, origin_of, sign_checkpoint
from edge_agent.wire.gaps import MISSING_SHA256
from edge_agent.wire.identity import SpiffeId
from edge_agent.wire.tree import TILE, TILE_LEVELS, Node, Tree, leaf_sha256, tree_at
from port_gateway.salvaged import replaced_epochs


class ChainNodes:
    """The hashes of one chain's tree, in the transaction of `db`."""

    def __init__(self, db: apsw.Connection, booth_id: str, epoch: bytes) -> None:
        self._db, self._place = db, (booth_id, epoch)

    def nodes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """Raises CorruptError when a chain's event or tile is not there."""
        if level == 0:
            found = [leaf_sha256(sha256) for sha256 in self.leaves(first, count)]
        else:
            rows = self._db.execute(
                "SELECT sha256 FROM tile WHERE booth_id = ? AND epoch = ? AND level = ? AND position >= ?"
                " ORDER BY position LIMIT ?",
                (*self._place, level, first, count),
            )
            found = [_bytes(row[0]) for row in rows]
        if len(found) != count:
            raise apsw.CorruptError(f"{len(found)} hashes of level {level} of a tree where {count} are needed")
        return found

    def leaves(self, first: int, count: int) -> Sequence[bytes]:
        """The SHA-256 of the envelopes from index `first` on; MISSING_SHA256 for those lost with a damaged ledger."""
        rows = self._db.execute(
            "SELECT seq, sha256 FROM event WHERE booth_id = ? AND epoch = ? AND seq > ? AND seq <= ? ORDER BY seq",
            (*self._place, first, first + count),
        )
        held = {int(str(seq)): _bytes(sha256) for seq, sha256 in rows}
        if len(held) < count:
            booth_id, epoch = self._place
            for begin, end in replaced_epochs(self._db, booth_id).get(epoch, ()):
                for seq in range(max(begin, first + 1), min(end, first + count) + 1):
                    held.setdefault(seq, MISSING_SHA256)
        return [held[seq] for seq in sorted(held)]

    def tree(self, size: int) -> tuple[Tree, list[Node]]:
        """The tree at `size` events, and the nodes of it that are not kept yet: of a chain older than schema 2."""
        kept = self._db.execute(
            "SELECT count(*) FROM tile WHERE booth_id = ? AND epoch = ? AND level = ?", (*self._place, TILE_LEVELS[0])
        ).get
        if isinstance(kept, int) and kept >= size // TILE:
            return tree_at(self, size), []
        return Tree().extended(self.leaves(0, size))


class ProvingNodes(ChainNodes):
    """The same, whole also for a chain older than schema 2: proofs up to `size` events can be made."""

    def __init__(self, db: apsw.Connection, booth_id: str, epoch: bytes, size: int) -> None:
        super().__init__(db, booth_id, epoch)
        self._made: dict[tuple[int, int], bytes] = {}
        self._made = {(node.level, node.position): node.sha256 for node in self.tree(size)[1]}

    def nodes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        if level and self._made:
            return [self._made[level, position] for position in range(first, first + count)]
        return super().nodes(level, first, count)


def keep_tiles(db: apsw.Connection, head: Head, tiles: Sequence[Node]) -> None:
    """Keep the nodes that a chain's new events completed."""
    db.executemany(
        "INSERT OR IGNORE INTO tile VALUES (?,?,?,?,?)",
        [(head.booth_id, head.epoch, node.level, node.position, node.sha256) for node in tiles],
    )


@dataclass(frozen=True, slots=True)
class Receipts:
    """Signs, with the gateway's key, that the port holds a chain up to an event."""

    identity: SpiffeId
    key: ec.EllipticCurvePrivateKey
    clock: Clock

    def sign(self, head: Head, tree: Tree) -> bytes:
        """A checkpoint of the chain at `head`, with the time. To be asked for only when `head` is durable."""
        held = Checkpoint(origin_of(head.booth_id, head.epoch), tree.size, tree.root(), self.clock.now().utc)
        sign: Callable[[bytes], bytes] = lambda text: self.key.sign(text, ec.ECDSA(hashes.SHA256()))  # noqa: E731
        return sign_checkpoint(held, str(self.identity), self.key.public_key(), sign)


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise apsw.CorruptError("a digest is not there")
    return value
