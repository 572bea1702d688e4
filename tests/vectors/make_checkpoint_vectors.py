"""Writes checkpoints.json: a tree with roots and proofs, and notes over it, good and named-bad (docs/wire.md).

    python -m tests.vectors.make_checkpoint_vectors           write the file
    python -m tests.vectors.make_checkpoint_vectors --check   compare it with what would be written

Deterministic: fixed keys (public, for tests only), ECDSA with RFC 6979.
"""

import base64
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
from edge_agent.wire.tree import Tree, consistency_proof, inclusion_proof, leaf_sha256, node_sha256
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


def by_gateway(checkpoint: Checkpoint, name: str = GATEWAY) -> str:
    def sign(text: bytes) -> bytes:
        return GATEWAY_KEY.sign(text, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))

    return sign_checkpoint(checkpoint, name, GATEWAY_KEY.public_key(), sign).decode()


class _Lines(Checkpoint):
    """Text that is no checkpoint's, signed all the same: its origin is the whole of it."""

    def text(self) -> bytes:
        return self.origin.encode()


def _of(*lines: str) -> Checkpoint:
    return _Lines("".join(f"{line}\n" for line in lines), SIZE, root(SIZE))


def notes() -> list[dict[str, Any]]:
    """Each with whether it opens under `signer`, whether it is for this chain's tree, and what is wrong with it."""
    good = Checkpoint(ORIGIN, SIZE, root(SIZE))
    held = replace(good, held=HELD)
    checkpoint, receipt = by_session(good), by_gateway(held)
    text, _, signature = checkpoint.partition("\n\n")
    root_line = text.split("\n")[2]
    witness = by_session(good, STRANGER_KEY, "witness.example").partition("\n\n")[2]
    longer = root_of([*LEAVES, LEAVES[0]])
    made = [
        ("a checkpoint of the booth", "booth", checkpoint, None),
        ("a receipt of the port", "gateway", receipt, None),
        ("a checkpoint of fewer events", "booth", by_session(Checkpoint(ORIGIN, 7, root(7))), None),
        ("a checkpoint of no events", "booth", by_session(Checkpoint(ORIGIN, 0, root(0))), None),
        ("with the signature of a key that is not known", "booth", checkpoint + witness, None),
        ("4,096 bytes", "booth", _padded(checkpoint, 4096), None),
        ("4,097 bytes", "booth", _padded(checkpoint, 4097), "NOTE_OVERSIZED"),
        ("too long", "booth", checkpoint + witness * 40, "NOTE_OVERSIZED"),
        ("another root", "gateway", by_gateway(replace(held, root=root(10))), "FORK"),
        ("another size", "gateway", by_gateway(replace(held, size=10)), "FORK"),
        ("another root, signed by the booth", "booth", by_session(replace(good, root=root(10))), "FORK"),
        ("more events than the chain has: it was cut off", "gateway", _longer(held, longer), "GAP"),
        ("another chain", "gateway", by_gateway(replace(held, origin=ORIGIN[:-1] + "0")), "WRONG_ORIGIN"),
        ("another booth", "gateway", by_gateway(replace(held, origin=ORIGIN.replace("1/", "2/"))), "WRONG_ORIGIN"),
        ("a receipt that does not say since when", "gateway", by_gateway(good), "WRONG_KIND"),
        ("a checkpoint that says since when", "booth", by_session(held), "WRONG_KIND"),
        ("another key", "booth", by_session(good, STRANGER_KEY), "NOTE_NOT_SIGNED"),
        (
            "another key under the right key id",
            "booth",
            _under(checkpoint, by_session(good, STRANGER_KEY)),
            "NOTE_BAD_SIGNATURE",
        ),
        ("another name", "booth", by_session(good, name=f"{ORIGIN}x"), "NOTE_NOT_SIGNED"),
        ("another gateway's name", "gateway", by_gateway(held, f"{GATEWAY}2"), "NOTE_NOT_SIGNED"),
        ("a receipt signed by the booth", "gateway", by_session(held), "NOTE_NOT_SIGNED"),
        (
            "a receipt signed by the booth in the port's name",
            "gateway",
            by_session(held, name=GATEWAY),
            "NOTE_NOT_SIGNED",
        ),
        ("a changed size", "booth", checkpoint.replace("\n11\n", "\n12\n"), "NOTE_BAD_SIGNATURE"),
        ("a changed root", "booth", checkpoint.replace(root_line, "A" + root_line[1:]), "NOTE_BAD_SIGNATURE"),
        ("a changed time", "gateway", receipt.replace("T09:", "T08:"), "NOTE_BAD_SIGNATURE"),
        (
            "the receipt's signature under the checkpoint",
            "gateway",
            f"{text}\n\n{receipt.partition(chr(10) * 2)[2]}",
            "NOTE_BAD_SIGNATURE",
        ),
        ("no signature", "booth", f"{text}\n", "NOTE_MALFORMED"),
        ("no newline at the end", "booth", checkpoint[:-1], "NOTE_MALFORMED"),
        ("unused bits in base64", "booth", f"{text}\n\n{_unused_bits(signature)}", "NOTE_MALFORMED"),
        ("a hyphen for the dash", "booth", checkpoint.replace("\u2014", "-"), "NOTE_MALFORMED"),
        ("a size with a zero before it", "booth", by_session(_of(ORIGIN, "011", root_line)), "NOTE_MALFORMED"),
        ("a size with a sign", "booth", by_session(_of(ORIGIN, "+11", root_line)), "NOTE_MALFORMED"),
        ("a size of 20 digits", "booth", by_session(_of(ORIGIN, "1" * 20, root_line)), "NOTE_MALFORMED"),
        ("a root of 31 bytes", "booth", by_session(_of(ORIGIN, "11", "A" * 41 + "A==")), "NOTE_MALFORMED"),
        ("two lines", "booth", by_session(_of(ORIGIN, "11")), "NOTE_MALFORMED"),
        (
            "a fourth line that is no time",
            "booth",
            by_session(_of(ORIGIN, "11", root_line, "held today")),
            "NOTE_MALFORMED",
        ),
        (
            "a day that there is not",
            "booth",
            by_session(_of(ORIGIN, "11", root_line, "held 2026-02-30T09:00:00Z")),
            "NOTE_MALFORMED",
        ),
        ("a fifth line", "gateway", by_gateway(_of(*receipt.split("\n")[:4], "more")), "NOTE_MALFORMED"),
    ]
    return [
        {
            "name": name,
            "signer": signer,
            "note": note,
            "opens": fault is None or not fault.startswith("NOTE_"),
            "of_this_chain": fault is None,
            "fault": fault,
        }
        for name, signer, note, fault in made
    ]


def root_of(leaves: list[bytes]) -> bytes:
    return Tree().extended(leaves)[0].root()


def _longer(held: Checkpoint, root: bytes) -> str:
    return by_gateway(replace(held, size=SIZE + 1, root=root))


def _padded(note: str, size: int) -> str:
    """With signatures by nobody, up to so many bytes."""
    while (left := size - len(note.encode())) > 600:
        note += _nobody(400)
    return note + _nobody(left)


def _nobody(size: int) -> str:
    line = "\u2014 x "
    encoded = (size - len(line.encode()) - 1) // 4 * 4
    name = "x" * (size - encoded - len(line.encode()))
    return f"\u2014 {name} {'A' * encoded}\n"


def _under(note: str, other: str) -> str:
    """The note with the other's signature behind its own key id."""
    mine, theirs = (base64.b64decode(each.rsplit(" ", 1)[1]) for each in (note, other))
    return f"{note.rsplit(' ', 1)[0]} {base64.b64encode(mine[:4] + theirs[4:]).decode()}\n"


def forged_inclusion() -> list[dict[str, Any]]:
    """Proofs that lead nowhere. A size is told by the note alone: some proofs hold for another one, too."""
    nodes, leaf = _Nodes(), LEAVES[4]
    proof, whole = inclusion_proof(nodes, 4, SIZE), root(SIZE)
    bit = bytes([proof[1][0] ^ 1]) + proof[1][1:]
    made = [
        ("another root", leaf, 4, SIZE, proof, root(10), "PROOF_WRONG_ROOT"),
        ("another leaf", LEAVES[5], 4, SIZE, proof, whole, "PROOF_WRONG_ROOT"),
        ("another index", leaf, 5, SIZE, proof, whole, "PROOF_WRONG_ROOT"),
        ("an index beyond the tree", leaf, SIZE, SIZE, proof, whole, "PROOF_NO_LEAF"),
        ("an index far beyond the tree", leaf, 4 + 2**32, SIZE, proof, whole, "PROOF_NO_LEAF"),
        ("a tree of no leaves", leaf, 0, 0, [], root(0), "PROOF_NO_LEAF"),
        ("a smaller tree", leaf, 4, 7, proof, whole, "PROOF_LENGTH"),
        ("a larger tree", leaf, 4, 17, proof, whole, "PROOF_LENGTH"),
        ("a path that is too short", leaf, 4, SIZE, proof[:-1], whole, "PROOF_LENGTH"),
        ("a path that is too long", leaf, 4, SIZE, [*proof, proof[0]], whole, "PROOF_LENGTH"),
        ("no path", leaf, 4, SIZE, [], whole, "PROOF_LENGTH"),
        ("a path in a tree of one leaf", LEAVES[0], 0, 1, [proof[0]], root(1), "PROOF_LENGTH"),
        ("two steps exchanged", leaf, 4, SIZE, [proof[1], proof[0], *proof[2:]], whole, "PROOF_WRONG_ROOT"),
        ("one bit of a step", leaf, 4, SIZE, [proof[0], bit, *proof[2:]], whole, "PROOF_WRONG_ROOT"),
        (
            "an inner node as a leaf",
            node_sha256(*map(leaf_sha256, LEAVES[4:6])),
            4,
            SIZE,
            proof[1:],
            whole,
            "PROOF_LENGTH",
        ),
    ]
    return [
        {
            "name": name,
            "envelope_sha256": sha256.hex(),
            "index": index,
            "size": size,
            "proof": [node.hex() for node in path],
            "root": top.hex(),
            "fault": fault,
        }
        for name, sha256, index, size, path, top, fault in made
    ]


def forged_consistency() -> list[dict[str, Any]]:
    nodes = _Nodes()
    proof = consistency_proof(nodes, 7, SIZE)
    made = [
        ("another older root", 7, SIZE, root(6), root(SIZE), proof, "PROOF_WRONG_ROOT"),
        ("another newer root", 7, SIZE, root(7), root(10), proof, "PROOF_WRONG_ROOT"),
        ("the roots exchanged", 7, SIZE, root(SIZE), root(7), proof, "PROOF_WRONG_ROOT"),
        ("two roots for one size", 7, 7, root(7), root(6), [], "PROOF_WRONG_ROOT"),
        ("a path between equal sizes", 7, 7, root(7), root(7), proof, "PROOF_WRONG_ROOT"),
        ("from more to fewer", SIZE, 7, root(SIZE), root(7), proof, "PROOF_NO_LEAF"),
        ("from no leaves", 0, SIZE, root(0), root(SIZE), [], "PROOF_NO_LEAF"),
        ("a path that is too short", 7, SIZE, root(7), root(SIZE), proof[:-1], "PROOF_LENGTH"),
        ("a path that is too long", 7, SIZE, root(7), root(SIZE), [*proof, proof[0]], "PROOF_LENGTH"),
        ("no path", 7, SIZE, root(7), root(SIZE), [], "PROOF_LENGTH"),
    ]
    return [
        {
            "name": name,
            "older": older,
            "newer": newer,
            "older_root": before.hex(),
            "newer_root": after.hex(),
            "proof": [node.hex() for node in path],
            "fault": fault,
        }
        for name, older, newer, before, after, path, fault in made
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
        "forged_inclusion": forged_inclusion(),
        "forged_consistency": forged_consistency(),
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
