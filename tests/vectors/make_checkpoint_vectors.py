"""Writes checkpoints.json: a tree with roots and proofs, and notes over it, good and named-bad (docs/wire.md).

    python -m tests.vectors.make_checkpoint_vectors           write the file
    python -m tests.vectors.make_checkpoint_vectors --check   compare it with what would be written

Deterministic: fixed keys (public, for tests only), ECDSA with RFC 6979.
"""

import hashlib
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge_agent.wire.checkpoint import Checkpoint, origin_of, sign_checkpoint
from edge_agent.wire.identity import spki
from edge_agent.wire.tree import Tree, consistency_proof, inclusion_proof, leaf_sha256
from tests.vectors.make_vectors import BOOTH, EPOCH, SESSION_KEY, STRANGER_KEY

FILE = Path(__file__).with_name("checkpoints.json")
GATEWAY = "spiffe://uslrd/gateway/main"
GATEWAY_KEY = ec.derive_private_key(0xFEDCBA0987654321, ec.SECP256R1())
ORIGIN = origin_of(BOOTH, EPOCH)
SIZE = 11
LEAVES = [hashlib.sha256(b"envelope %d" % seq).digest() for seq in range(1, SIZE + 1)]
HELD = datetime(2026, 11, 22, 9, tzinfo=UTC)


class _Nodes:
    def nodes(self, level: int, first: int, count: int) -> list[bytes]:
        assert level == 0
        return [leaf_sha256(leaf) for leaf in LEAVES[first : first + count]]


def root(size: int) -> bytes:
    return Tree().extended(LEAVES[:size])[0].root()


def by_session(checkpoint: Checkpoint, key: ed25519.Ed25519PrivateKey = SESSION_KEY, name: str = ORIGIN) -> str:
    return sign_checkpoint(checkpoint, name, key.public_key(), key.sign).decode()


def by_gateway(checkpoint: Checkpoint) -> str:
    def sign(text: bytes) -> bytes:
        return GATEWAY_KEY.sign(text, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))

    return sign_checkpoint(checkpoint, GATEWAY, GATEWAY_KEY.public_key(), sign).decode()


class _Lines(Checkpoint):
    """Text that is no checkpoint's, signed all the same: its origin is the whole of it."""

    def text(self) -> bytes:
        return self.origin.encode()


def _of(*lines: str) -> Checkpoint:
    return _Lines("".join(f"{line}\n" for line in lines), SIZE, root(SIZE))


def notes() -> list[dict[str, Any]]:
    """Each with whether it opens under `signer`, and whether it is for this chain's tree."""
    good = Checkpoint(ORIGIN, SIZE, root(SIZE))
    held = replace(good, held=HELD)
    checkpoint, receipt = by_session(good), by_gateway(held)
    text, _, signature = checkpoint.partition("\n\n")
    root_line = text.split("\n")[2]
    witness = by_session(good, STRANGER_KEY, "witness.example").partition("\n\n")[2]
    made = [
        ("a checkpoint of the booth", "booth", checkpoint, True, True),
        ("a receipt of the port", "gateway", receipt, True, True),
        ("a checkpoint of fewer events", "booth", by_session(Checkpoint(ORIGIN, 7, root(7))), True, True),
        ("with the signature of a key that is not known", "booth", checkpoint + witness, True, True),
        ("another root", "gateway", by_gateway(replace(held, root=root(10))), True, False),
        ("another size", "gateway", by_gateway(replace(held, size=10)), True, False),
        ("another chain", "gateway", by_gateway(replace(held, origin=ORIGIN[:-1] + "0")), True, False),
        ("another key", "booth", by_session(good, STRANGER_KEY), False, False),
        ("another name", "booth", by_session(good, name=f"{ORIGIN}x"), False, False),
        ("a changed size", "booth", checkpoint.replace("\n11\n", "\n12\n"), False, False),
        ("a changed time", "gateway", receipt.replace("T09:", "T08:"), False, False),
        (
            "the receipt's signature under the checkpoint",
            "gateway",
            f"{text}\n\n{receipt.partition(chr(10) * 2)[2]}",
            False,
            False,
        ),
        ("no signature", "booth", f"{text}\n", False, False),
        ("unused bits in base64", "booth", f"{text}\n\n{_unused_bits(signature)}", False, False),
        ("a hyphen for the dash", "booth", checkpoint.replace("\u2014", "-"), False, False),
        ("a size with a zero before it", "booth", by_session(_of(ORIGIN, "011", root_line)), False, False),
        ("a root of 31 bytes", "booth", by_session(_of(ORIGIN, "11", "A" * 41 + "A==")), False, False),
        ("two lines", "booth", by_session(_of(ORIGIN, "11")), False, False),
        (
            "a fourth line that is no time",
            "booth",
            by_session(_of(ORIGIN, "11", root_line, "held today")),
            False,
            False,
        ),
        ("too long", "booth", checkpoint + witness * 40, False, False),
    ]
    return [
        {"name": name, "signer": signer, "note": note, "opens": opens, "of_this_chain": ours}
        for name, signer, note, opens, ours in made
    ]


def _unused_bits(signature: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    at = signature.rindex("=") - 1
    return signature[:at] + alphabet[alphabet.index(signature[at]) + 1] + signature[at + 1 :]


def text() -> str:
    nodes = _Nodes()
    vectors = {
        "origin": ORIGIN,
        "envelope_sha256": [leaf.hex() for leaf in LEAVES],
        "roots": [root(size).hex() for size in range(SIZE + 1)],
        "inclusion": [
            {"index": index, "size": size, "proof": [node.hex() for node in inclusion_proof(nodes, index, size)]}
            for index, size in [(0, 1), (0, 2), (2, 3), (3, 8), (6, 7), (4, 11), (8, 11), (10, 11)]
        ],
        "consistency": [
            {"older": older, "newer": newer, "proof": [node.hex() for node in consistency_proof(nodes, older, newer)]}
            for older, newer in [(1, 1), (1, 11), (4, 8), (6, 8), (3, 7), (7, 11), (8, 11), (10, 11)]
        ],
        "keys": {
            "booth": {"name": ORIGIN, "spki": spki(SESSION_KEY.public_key()).hex()},
            "gateway": {"name": GATEWAY, "spki": spki(GATEWAY_KEY.public_key()).hex()},
        },
        "notes": notes(),
    }
    return json.dumps(vectors, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(None if FILE.read_text() == text() else f"{FILE} is not what this script writes")
    FILE.write_text(text())
