"""The Merkle tree over the ledger's chain: tiles, a signed checkpoint with every commit, and the port's receipts."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import apsw

from edge_agent.domain.errors import StoreCorrupt
from edge_agent.ledger.faults import SALVAGE
from edge_agent.ledger.seal import Sealed
from edge_agent.wire.chain import Head
from edge_agent.wire.checkpoint import Checkpoint, origin_of, sign_checkpoint
from edge_agent.wire.identity import load_public_key
from edge_agent.wire.tree import TILE, TILE_LEVELS, Node, Tree, leaf_sha256, tree_at


class Receipt(NamedTuple):
    """What the port signed for the chain's first `size` events, and its gateway's certificate (DER)."""

    size: int
    note: bytes
    certificate: bytes


class CheckpointSigner(Protocol):
    """The session key: `public_key` is its SubjectPublicKeyInfo in DER."""

    @property
    def public_key(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


class LedgerNodes:
    """The hashes of the tree as a ledger's database keeps them."""

    def __init__(self, database: apsw.Connection, path: Path) -> None:
        self._database, self._path = database, path

    def nodes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """Raises StoreCorrupt when one is not there."""
        if level == 0:
            return [leaf_sha256(sha256) for sha256 in self.leaves(first, count)]
        query = "SELECT sha256 FROM tile WHERE level = ? AND position >= ? AND position < ? ORDER BY position"
        rows = self._database.execute(query, (level, first, first + count)).fetchall()
        return self._whole(rows, level, first, count)

    def leaves(self, first: int, count: int) -> list[bytes]:
        """The SHA-256 of the envelopes from index `first` on; those of a tile that was trimmed whole are forgotten."""
        query = (
            "SELECT sha256 FROM (SELECT seq, sha256 FROM trimmed_leaf WHERE seq > ?1 AND seq <= ?2 "
            "UNION ALL SELECT seq, sha256 FROM event WHERE seq > ?1 AND seq <= ?2) ORDER BY seq"
        )
        return self._whole(self._database.execute(query, (first, first + count)).fetchall(), 0, first, count)

    def _whole(self, rows: Sequence[object], level: int, first: int, count: int) -> list[bytes]:
        if len(rows) != count:
            raise StoreCorrupt(
                f"{self._path}: {len(rows)} of {count} hashes of its tree are there (level {level}, from {first})",
                SALVAGE,
            )
        return [row[0] for row in cast("list[tuple[bytes]]", rows)]

    def tree(self, size: int) -> Tree:
        """The tree at `size` events."""
        return tree_at(self, size)


class LedgerTree:
    """The tree at the ledger's head, in the writer's hands. Make it, and `grow` it, in a transaction."""

    def __init__(self, database: apsw.Connection, path: Path, head: Head) -> None:
        self._database, self._origin = database, origin_of(head.booth_id, head.epoch)
        self._sign: Callable[[Checkpoint], bytes] | None = None
        self._sign_next: Callable[[Checkpoint], bytes] | None = None
        self._tree, tiles = _restored(LedgerNodes(database, path), database, head.seq)
        self._keep(tiles)

    def sign_with(self, session: CheckpointSigner) -> None:
        """The session that is opened next; its key signs once the chain holds the event that vouches for it."""
        key = load_public_key(session.public_key)
        self._sign_next = lambda checkpoint: sign_checkpoint(checkpoint, self._origin, key, session.sign)

    def grow(self, sealed: Sequence[Sealed]) -> Tree:
        """Write what these events add: tiles, and a checkpoint over all; the tree to be `grown` once it is durable."""
        tree, tiles = self._tree.extended(event.sha256 for event in sealed)
        self._keep(tiles)
        sign = self._sign_next if _opens_session(sealed) else self._sign
        if sealed and sign is not None:
            note = sign(Checkpoint(self._origin, tree.size, tree.root()))
            self._database.execute(
                "INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?)", ((tree.size - 1) // TILE, tree.size, note)
            )
        return tree

    def grown(self, tree: Tree, sealed: Sequence[Sealed]) -> None:
        """What `grow` gave for these events is durable."""
        self._tree = tree
        if _opens_session(sealed):
            self._sign, self._sign_next = self._sign_next, None

    def _keep(self, tiles: Sequence[Node]) -> None:
        self._database.executemany("INSERT OR IGNORE INTO tile VALUES (?, ?, ?)", tiles)


def _opens_session(sealed: Sequence[Sealed]) -> bool:
    return any(event.kind == "session_opened" for event in sealed)


def keep_receipt(database: apsw.Connection, receipt: Receipt) -> None:
    """The last of each 256 events is kept."""
    database.execute("INSERT OR REPLACE INTO receipt VALUES (?, ?, ?, ?)", ((receipt.size - 1) // TILE, *receipt))


def checkpoint_for(database: apsw.Connection, seq: int) -> bytes | None:
    """The smallest checkpoint that covers event `seq`."""
    rows = _first(database, "SELECT note FROM checkpoint WHERE size >= ? ORDER BY tile LIMIT 1", seq)
    return cast("bytes", rows[0][0]) if rows else None


def receipt_for(database: apsw.Connection, seq: int) -> Receipt | None:
    """The smallest receipt that covers event `seq`."""
    rows = _first(database, "SELECT size, note, certificate FROM receipt WHERE size >= ? ORDER BY tile LIMIT 1", seq)
    return Receipt(*rows[0]) if rows else None


def _first(database: apsw.Connection, query: str, seq: int) -> list[tuple[Any, ...]]:
    return cast("list[tuple[Any, ...]]", database.execute(query, (seq,)).fetchall())


def _restored(nodes: LedgerNodes, database: apsw.Connection, size: int) -> tuple[Tree, list[Node]]:
    """From the tiles; a ledger of an older version has none yet, and is read whole once."""
    kept = database.execute("SELECT count(*) FROM tile WHERE level = ?", (TILE_LEVELS[0],)).get
    if kept == size // TILE:
        return nodes.tree(size), []
    return Tree().extended(nodes.leaves(0, size))
