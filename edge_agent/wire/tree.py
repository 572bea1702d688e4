"""The Merkle tree of RFC 6962 §2.1 over one chain's envelopes: roots, proofs and their verification.

A leaf is the SHA-256 of an envelope; the leaf of sequence s has index s - 1. No input or output.

    size 11, index          0 1 2 3 4 5 6 7   8 9   10
    complete subtrees      └───── 8 ──────┘  └ 2 ┘  └1┘      `Tree.peaks`: all that is needed to go on

Whoever keeps a chain also keeps the root of every complete subtree of 256, 65,536, … leaves (`TILE_LEVELS`): a root or
proof of a chain of any length then reads a few hundred hashes, and leaves below the newest tile may be forgotten.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from edge_agent.domain.errors import ProofFault, ProofInvalid

EMPTY_ROOT = hashlib.sha256(b"").digest()
TILE = 256
TILE_LEVELS = (8, 16, 24, 32, 40, 48, 56)


class Node(NamedTuple):
    """The root of a complete subtree: the leaves from `position` << `level`, 1 << `level` of them."""

    level: int
    position: int
    sha256: bytes


class Nodes(Protocol):
    """Where hashes of a tree are kept. `level` is 0 or one of TILE_LEVELS."""

    def nodes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """`count` hashes of that level from position `first` on; at level 0 they are `leaf_sha256`."""
        ...


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree as far as is needed to go on: its size, and the roots of its complete subtrees, largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def root(self) -> bytes:
        """The root hash at this size; EMPTY_ROOT at 0."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_sha256(peak, root)
        return root

    def extended(self, envelope_sha256s: Iterable[bytes]) -> tuple["Tree", list[Node]]:
        """The tree with these leaves at its end, and the nodes of TILE_LEVELS that they completed."""
        size, peaks, tiles = self.size, list(self.peaks), []
        for sha256 in envelope_sha256s:
            node, level, position = leaf_sha256(sha256), 0, size
            while position & 1:
                node, level, position = node_sha256(peaks.pop(), node), level + 1, position >> 1
                if level in TILE_LEVELS:
                    tiles.append(Node(level, position, node))
            peaks.append(node)
            size += 1
        return Tree(size, tuple(peaks)), tiles


def leaf_sha256(envelope_sha256: bytes) -> bytes:
    """The hash of a leaf: of 0x00 and the data."""
    return hashlib.sha256(b"\x00" + envelope_sha256).digest()


def node_sha256(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: of 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_at(nodes: Nodes, size: int) -> Tree:
    """The tree at `size` leaves, from what is kept of it."""
    peaks, first = [], 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            peaks.append(_subtree(nodes, first, level))
            first += 1 << level
    return Tree(size, tuple(peaks))


def inclusion_proof(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """RFC 6962 §2.1.1: from the leaf's sibling up to the root's child. Raises ValueError when there is no such leaf."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has none with index {index}")
    first, end, proof = 0, size, []
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            proof.append(_root(nodes, middle, end))
            end = middle
        else:
            proof.append(_root(nodes, first, middle))
            first = middle
    return proof[::-1]


def consistency_proof(nodes: Nodes, older: int, newer: int) -> list[bytes]:
    """RFC 6962 §2.1.2: that the tree of `newer` leaves begins with that of `older`. Raises ValueError."""
    if not 0 < older <= newer:
        raise ValueError(f"no proof leads from {older} leaves to {newer}")
    first, end, whole, proof = 0, newer, True, []
    while older < end:
        middle = first + _split(end - first)
        if older <= middle:
            proof.append(_root(nodes, middle, end))
            end = middle
        else:
            proof.append(_root(nodes, first, middle))
            first, whole = middle, False
    if not whole:
        proof.append(_root(nodes, first, end))
    return proof[::-1]


def verify_inclusion(envelope_sha256: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Returns if the leaf is in the tree (RFC 9162 §2.1.3.2). Raises ProofInvalid."""
    if not 0 <= index < size:
        raise ProofInvalid(ProofFault.PROOF_NO_LEAF, f"a tree of {size} leaves has none with index {index}", _ASK)
    node, position, last = leaf_sha256(envelope_sha256), index, size - 1
    for sibling in proof:
        if last == 0:
            raise ProofInvalid(ProofFault.PROOF_LENGTH, "the inclusion proof is too long", _ASK)
        if position & 1 or position == last:
            node = node_sha256(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_sha256(node, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise ProofInvalid(ProofFault.PROOF_LENGTH, "the inclusion proof is too short", _ASK)
    if node != root:
        raise ProofInvalid(ProofFault.PROOF_WRONG_ROOT, f"the leaf with index {index} does not lead to this root", _ASK)


def verify_consistency(older: int, newer: int, older_root: bytes, newer_root: bytes, proof: Sequence[bytes]) -> None:
    """Returns if the newer tree begins with the older one (RFC 9162 §2.1.4.2). Raises ProofInvalid."""
    if not 0 < older <= newer:
        raise ProofInvalid(ProofFault.PROOF_NO_LEAF, f"no proof leads from {older} leaves to {newer}", _ASK)
    path = list(proof) if older & older - 1 else [older_root, *proof]
    if older == newer:
        if proof or older_root != newer_root:
            raise ProofInvalid(ProofFault.PROOF_WRONG_ROOT, f"two roots for {older} leaves", _ASK)
        return
    position, last = older - 1, newer - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    if not path:
        raise ProofInvalid(ProofFault.PROOF_LENGTH, "the consistency proof is too short", _ASK)
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofInvalid(ProofFault.PROOF_LENGTH, "the consistency proof is too long", _ASK)
        if position & 1 or position == last:
            old, new = node_sha256(sibling, old), node_sha256(sibling, new)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new = node_sha256(new, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise ProofInvalid(ProofFault.PROOF_LENGTH, "the consistency proof is too short", _ASK)
    if (old, new) != (older_root, newer_root):
        raise ProofInvalid(
            ProofFault.PROOF_WRONG_ROOT, f"the tree of {newer} leaves does not begin with that of {older}", _ASK
        )


_ASK = "one side has shown different chains to different people: keep both, and ask the booth and the port"


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _root(nodes: Nodes, first: int, end: int) -> bytes:
    """MTH(D[first:end]) where `first` is a multiple of a power of two not below `end - first`."""
    if end - first & end - first - 1 == 0:
        return _subtree(nodes, first, (end - first).bit_length() - 1)
    middle = first + _split(end - first)
    return node_sha256(_root(nodes, first, middle), _root(nodes, middle, end))


def _subtree(nodes: Nodes, first: int, level: int) -> bytes:
    """The root of the complete subtree of 1 << `level` leaves from index `first`."""
    kept = max(known for known in (0, *TILE_LEVELS) if known <= level)
    row = list(nodes.nodes(kept, first >> kept, 1 << level - kept))
    if len(row) != 1 << level - kept:
        raise ValueError(f"{len(row)} hashes of level {kept} are kept where {1 << level - kept} are needed")
    while len(row) > 1:
        row = [node_sha256(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]
