import base64
import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.domain.errors import ProofInvalid
from edge_agent.wire.tree import (
    EMPTY_ROOT,
    TILE_LEVELS,
    Tree,
    consistency_proof,
    inclusion_proof,
    leaf_sha256,
    node_sha256,
    tree_at,
    verify_consistency,
    verify_inclusion,
)

# Certificate Transparency's reference vectors: transparency-dev/merkle, testonly/constants.go and proof/verify_test.go.
LEAVES = [bytes.fromhex(leaf) for leaf in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [bytes.fromhex(root) for root in (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)]  # fmt: skip
INCLUSION = {
    (0, 1): (),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
    (1, 5): (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
}
CONSISTENCY = {
    (1, 1): (),
    (1, 8): INCLUSION[0, 8],
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
# transparency-dev/merkle, compact/range_test.go: leaf i is i in two bytes, little-endian.
GOLDEN = {
    10: "VjWMPSYNtCuCNlF/RLnQy6HcwSk6CIipfxm+hettA+4=",
    255: "SmdsuKUqiod3RX2jyF2M6JnbdE4QuTwwipfAowI4/i0=",
    256: "qFI0t/tZ1MdOYgyPpPzHFiZVw86koScXy9q3FU5casA=",
    1000: "RXrgb8xHd55Y48FbfotJwCbV82Kx22LZfEbmBGAvwlQ=",
    10_000: "VZcav65F9haHVRk3wre2axFoBXRNeUh/1d9d5FQfxIg=",
    65_535: "iPuVYJhP6SEE4gUFp8qbafd2rYv9YTCDYqAxCj8HdLM=",
}


class Kept:
    """What a ledger keeps: leaves, and the nodes of the tile levels."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.tree, tiles = Tree().extended(leaves)
        self.levels = {0: [leaf_sha256(leaf) for leaf in leaves], **{level: [] for level in TILE_LEVELS}}
        for node in tiles:
            assert node.position == len(self.levels[node.level])
            self.levels[node.level].append(node.sha256)
        self.reads = 0

    def nodes(self, level: int, first: int, count: int) -> list[bytes]:
        self.reads += count
        return self.levels[level][first : first + count]


# RFC 6962 §2.1, word for word.
def mth(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def numbered(count: int) -> list[bytes]:
    return [hashlib.sha256(b"%d" % number).digest() for number in range(count)]


def test_hashes_of_rfc_6962() -> None:
    assert leaf_sha256(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    assert node_sha256(b"N123", b"N456").hex() == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
    assert EMPTY_ROOT == Tree().root() == ROOTS[0]


def test_published_roots() -> None:
    tree = Tree()
    for size, leaf in enumerate(LEAVES, 1):
        tree, _ = tree.extended([leaf])
        assert (tree.size, tree.root()) == (size, ROOTS[size])
    leaves = [bytes((i & 255, i >> 8)) for i in range(65_535)]
    for size, root in GOLDEN.items():
        assert base64.b64encode(Tree().extended(leaves[:size])[0].root()).decode() == root


@pytest.mark.parametrize(("place", "proof"), INCLUSION.items())
def test_published_inclusion_proofs(place: tuple[int, int], proof: tuple[str, ...]) -> None:
    index, size = place
    made = inclusion_proof(Kept(LEAVES), index, size)
    assert [node.hex() for node in made] == list(proof)
    verify_inclusion(LEAVES[index], index, size, made, ROOTS[size])


@pytest.mark.parametrize(("sizes", "proof"), CONSISTENCY.items())
def test_published_consistency_proofs(sizes: tuple[int, int], proof: tuple[str, ...]) -> None:
    older, newer = sizes
    made = consistency_proof(Kept(LEAVES), older, newer)
    assert [node.hex() for node in made] == list(proof)
    verify_consistency(older, newer, ROOTS[older], ROOTS[newer], made)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_definition_of_the_rfc(data: st.DataObject) -> None:
    newer = data.draw(st.integers(1, 600) | st.sampled_from([255, 256, 257, 511, 512, 513]))
    older = data.draw(st.integers(1, newer))
    index = data.draw(st.integers(0, newer - 1))
    leaves = numbered(newer)
    kept = Kept(leaves)
    assert kept.tree.root() == mth(leaves)
    assert tree_at(kept, older) == Tree().extended(leaves[:older])[0]
    proof = inclusion_proof(kept, index, newer)
    assert proof == path(index, leaves)
    verify_inclusion(leaves[index], index, newer, proof, kept.tree.root())
    consistency = consistency_proof(kept, older, newer)
    assert consistency == subproof(older, leaves, True)
    verify_consistency(older, newer, mth(leaves[:older]), kept.tree.root(), consistency)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_anything_else_does_not_verify(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 300))
    index = data.draw(st.integers(0, size - 1))
    older = data.draw(st.integers(1, size - 1))
    leaves = numbered(size)
    kept = Kept(leaves)
    root, old_root = kept.tree.root(), mth(leaves[:older])
    proof, consistency = inclusion_proof(kept, index, size), consistency_proof(kept, older, size)
    place = data.draw(st.integers(0, 31))

    def flipped(node: bytes) -> bytes:
        return node[:place] + bytes((node[place] ^ 1 << data.draw(st.integers(0, 7)),)) + node[place + 1 :]

    for wrong, length in [(proof[:-1], "short"), ([*proof, root], "long"), ([leaf_sha256(b""), *proof], "long")]:
        with pytest.raises(ProofInvalid, match=f"too {length}"):
            verify_inclusion(leaves[index], index, size, wrong, root)
    for number in range(len(proof)):
        wrong = [flipped(node) if at == number else node for at, node in enumerate(proof)]
        with pytest.raises(ProofInvalid):
            verify_inclusion(leaves[index], index, size, wrong, root)
    for other in {index ^ 1, index + 1, size, -1} - {index}:
        with pytest.raises(ProofInvalid):
            verify_inclusion(leaves[index], other, size, proof, root)
    for leaf, wrong_root in [(flipped(leaves[index]), root), (leaves[index], flipped(root))]:
        with pytest.raises(ProofInvalid):
            verify_inclusion(leaf, index, size, proof, wrong_root)

    for wrong, length in [(consistency[:-1], "short"), ([*consistency, root], "long")]:
        with pytest.raises(ProofInvalid, match=f"too {length}"):
            verify_consistency(older, size, old_root, root, wrong)
    for number in range(len(consistency)):
        wrong = [flipped(node) if at == number else node for at, node in enumerate(consistency)]
        with pytest.raises(ProofInvalid):
            verify_consistency(older, size, old_root, root, wrong)
    for old, new in [(flipped(old_root), root), (old_root, flipped(root))]:
        with pytest.raises(ProofInvalid):
            verify_consistency(older, size, old, new, consistency)


def test_sizes_that_cannot_be() -> None:
    kept, root = Kept(numbered(5)), mth(numbered(5))
    for index, size in [(5, 5), (-1, 5)]:
        with pytest.raises(ValueError, match="has none with index"):
            inclusion_proof(kept, index, size)
    for older, newer in [(0, 5), (6, 5)]:
        with pytest.raises(ValueError, match="no proof leads"):
            consistency_proof(kept, older, newer)
        with pytest.raises(ProofInvalid, match="no proof leads"):
            verify_consistency(older, newer, root, root, [])
    verify_consistency(5, 5, root, root, [])
    for other, proof in [(EMPTY_ROOT, []), (root, [root])]:
        with pytest.raises(ProofInvalid, match="two roots"):
            verify_consistency(5, 5, root, other, proof)
    with pytest.raises(ValueError, match="5 hashes of level 0 are kept where 8 are needed"):
        tree_at(kept, 8)


def test_a_long_chain_is_read_in_a_few_hundred_hashes() -> None:
    size = 70_000
    kept = Kept(numbered(size))
    assert tree_at(kept, size) == kept.tree
    assert kept.reads < 256 * 3
    kept.reads = 0
    proof = inclusion_proof(kept, 40_000, size)
    assert kept.reads < 256 * 3
    verify_inclusion(numbered(40_001)[-1], 40_000, size, proof, kept.tree.root())
    kept.levels[0][:65_536] = [b""] * 65_536  # leaves below the newest tiles may be forgotten
    assert tree_at(kept, size) == kept.tree
