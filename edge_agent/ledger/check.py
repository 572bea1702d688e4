"""Walks a whole ledger and verifies every link: what `edge-agent ledger check` and the tests rely on."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import apsw

from edge_agent.domain.errors import ProofInvalid, StoreCorrupt
from edge_agent.ledger.database import open_reader
from edge_agent.ledger.faults import SALVAGE, sqlite_faults
from edge_agent.ledger.kept import Kept, read_kept
from edge_agent.ledger.store import DATABASE
from edge_agent.ledger.trees import LedgerNodes
from edge_agent.wire.chain import Head
from edge_agent.wire.checkpoint import open_checkpoint, origin_of
from edge_agent.wire.identity import PublicKey, load_public_key
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.tree import Tree
from edge_agent.wire.verify import Chain, Session, Verified, verify_event, verify_next


def verify_ledger(directory: Path, device_keys: Mapping[str, PublicKey]) -> Head:
    """Verify every event of the ledger in `directory`; returns the end of its chain.

    `device_keys` are the booth's registered keys by key id. Raises Refused (with the code and the sequence of
    the first event that does not verify) or StoreCorrupt. May run beside the agent.
    """
    path = directory / DATABASE
    with sqlite_faults(path):
        database = open_reader(path)
        try:
            database.execute("BEGIN")  # one picture, although an agent may be trimming
            return _walk(_begin(database, path), read_kept(database), database, device_keys, _Tree(database, path))
        finally:
            database.close()


def _begin(database: apsw.Connection, path: Path) -> Head:
    meta = {key: bytes(value) for key, value in database.execute("SELECT key, value FROM meta")}
    if not {"booth_id", "epoch"} <= set(meta):
        raise StoreCorrupt(f"{path}: says neither whose ledger it is nor which epoch", SALVAGE)
    return Head(meta["booth_id"].decode(errors="replace"), meta["epoch"])


class _Tree:
    """The tree and what was signed over it, beside the walk. A ledger of an older schema has neither."""

    def __init__(self, database: apsw.Connection, path: Path) -> None:
        version = database.execute("PRAGMA user_version").get
        self._there = isinstance(version, int) and version >= 3
        self._database, self._path = database, path
        self._nodes = LedgerNodes(database, path)
        self._tree = Tree()

    def begin(self, seq: int) -> None:
        if self._there:
            self._tree = self._nodes.tree(seq)

    def add(self, verified: Verified) -> None:
        """Raises StoreCorrupt at a tile or a checkpoint that is not of this chain."""
        if not self._there:
            return
        self._tree, tiles = self._tree.extended([verified.sha256])
        for tile in tiles:
            if self._nodes.nodes(tile.level, tile.position, 1) != [tile.sha256]:
                raise self._wrong(f"the hash of level {tile.level}, position {tile.position}, of its tree")
        note = self._database.execute("SELECT note FROM checkpoint WHERE size = ?", (self._tree.size,)).get
        session = verified.chain.session
        if not isinstance(note, bytes) or session is None:
            return
        origin = origin_of(verified.chain.head.booth_id, verified.chain.head.epoch)
        try:
            signed = open_checkpoint(note, origin, session.key)
        except ProofInvalid as error:
            raise self._wrong(f"the checkpoint at {self._tree.size} ({error.wrong})") from None
        if (signed.origin, signed.size, signed.root) != (origin, self._tree.size, self._tree.root()):
            raise self._wrong(f"the checkpoint at {self._tree.size}")

    def _wrong(self, what: str) -> StoreCorrupt:
        return StoreCorrupt(f"{self._path}: {what} is not of this chain", SALVAGE)


def _walk(
    begin: Head, kept: Kept, database: apsw.Connection, device_keys: Mapping[str, PublicKey], tree: _Tree
) -> Head:
    chain = _first_kept(begin, kept, device_keys)
    tree.begin(kept.trimmed_seq)
    announced = 0
    for seq, sha256, envelope in _events(database):
        try:
            verified = verify_next(chain, envelope)
        except Refused as refused:
            raise Refused(refused.code, refused.detail, seq) from None
        if verified.event.seq != seq:
            raise Refused(RefusalCode.MALFORMED_EVENT, f"the event names sequence {verified.event.seq}", seq)
        if verified.sha256 != sha256:
            raise Refused(RefusalCode.BROKEN_CHAIN, "the hash kept beside the event is not its own", seq)
        tree.add(verified)
        chain = verified.chain
        announced = max(announced, verified.event.events_trimmed.through_seq)
    if announced < kept.trimmed_seq:
        detail = f"events through {kept.trimmed_seq} are gone, and the chain says so only of those through {announced}"
        raise Refused(RefusalCode.GAP, detail, kept.trimmed_seq)
    return chain.head


def _first_kept(begin: Head, kept: Kept, device_keys: Mapping[str, PublicKey]) -> Chain:
    """The chain at the trimmed end. Its head is believed: the first event kept is signed, and must name it."""
    chain = Chain(begin, device_keys)
    if kept.session is None:
        return chain
    opening, device_key_id = verify_event(chain, kept.session)
    if device_key_id is None or opening.WhichOneof("body") != "session_opened":
        raise Refused(RefusalCode.WRONG_SIGNER, "the session at the trimmed end is not opened by the device key")
    session = Session.of(load_public_key(opening.session_opened.public_key), device_key_id)
    return Chain(replace(begin, seq=kept.trimmed_seq, sha256=kept.trimmed_sha256), device_keys, session)


def _events(database: apsw.Connection) -> Iterator[tuple[int, bytes, bytes]]:
    yield from database.execute("SELECT seq, sha256, envelope FROM event ORDER BY seq")
