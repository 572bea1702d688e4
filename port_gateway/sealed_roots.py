"""Roots of the chains that events were deleted from: beside links and tiles they show that no digest changed."""

from collections.abc import Iterator

import apsw

from edge_agent.domain.errors import StoreCorrupt
from port_gateway.trees import ChainNodes

Chain = tuple[str, bytes]
"""Booth and epoch."""


def seal_root(db: apsw.Connection, chain: Chain) -> None:
    """Keep the root of the chain as it stands. In the transaction that deletes. Raises StoreCorrupt."""
    nodes = ChainNodes(db, *chain)
    before = db.execute("SELECT size, root FROM chain_root WHERE booth_id = ? AND epoch = ?", chain).fetchone()
    if before is not None and nodes.tree(int(str(before[0])))[0].root() != before[1]:
        raise StoreCorrupt(
            f"the chain of {chain[0]}: a digest is not what it was when events were deleted last",
            "run `port-gateway verify`, and restore the data folder from a backup",
        )
    size = db.execute("SELECT seq FROM chain WHERE booth_id = ? AND epoch = ?", chain).get
    if isinstance(size, int):
        root = nodes.tree(size)[0].root()
        db.execute("INSERT OR REPLACE INTO chain_root VALUES (?,?,?,?)", (*chain, size, root))


def sealed_roots(db: apsw.Connection) -> Iterator[tuple[str, bytes, int, bytes]]:
    """Booth, epoch, size and root of each."""
    for booth_id, epoch, size, root in db.execute("SELECT booth_id, epoch, size, root FROM chain_root"):
        yield str(booth_id), _bytes(epoch), int(str(size)), _bytes(root)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
