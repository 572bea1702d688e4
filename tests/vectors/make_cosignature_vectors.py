"""Writes cosignatures.json: cosignatures over a receipt, policies, and what a witness answers (docs/wire.md).

    python -m tests.vectors.make_cosignature_vectors           write the file
    python -m tests.vectors.make_cosignature_vectors --check   compare it with what would be written

Deterministic: fixed keys (public, for tests only). The tree is that of checkpoints.json.
"""

import base64
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from edge_agent.wire.add_checkpoint import Submission
from edge_agent.wire.checkpoint import Checkpoint, split_note
from edge_agent.wire.cosignature import VerifierKey, cosign, log_key, witness_key
from edge_agent.wire.tree import Tree, consistency_proof, leaf_sha256
from tests.vectors.make_checkpoint_vectors import (
    GATEWAY,
    GATEWAY_KEY,
    HELD,
    LEAVES,
    ORIGIN,
    SIZE,
    by_gateway,
    by_session,
    root,
)

FILE = Path(__file__).with_name("cosignatures.json")
NORTH, SOUTH, STRANGER = (ed25519.Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (0x41, 0x42, 0x43))
NORTH_KEY = witness_key("witness.example/north", NORTH.public_key())
SOUTH_KEY = witness_key("witness.example/south", SOUTH.public_key())
AT = int(HELD.timestamp()) + 7
RECEIPT = by_gateway(Checkpoint(ORIGIN, SIZE, root(SIZE), HELD))
TEXT = split_note(RECEIPT.encode())[0]


def _by(key: ed25519.Ed25519PrivateKey, name: str, text: bytes = TEXT, at_s: int = AT) -> str:
    return cosign(text, name, key, at_s).line.decode()


def _blob(line: str, change: slice, new: bytes) -> str:
    head, _, encoded = line.rstrip("\n").rpartition(" ")
    blob = bytearray(base64.b64decode(encoded))
    blob[change] = new
    return f"{head} {base64.b64encode(blob).decode()}\n"


def cosignature_cases() -> list[dict[str, Any]]:
    """`by`: whose cosignatures count, with their times; or a fault."""
    north, south = _by(NORTH, NORTH_KEY.name), _by(SOUTH, SOUTH_KEY.name)
    stranger = _by(STRANGER, "witness.example/other")
    plain = by_session(Checkpoint(ORIGIN, SIZE, root(SIZE)), NORTH, NORTH_KEY.name).partition("\n\n")[2]
    later = by_gateway(Checkpoint(ORIGIN, SIZE, root(SIZE), HELD.replace(hour=10)))
    both = {NORTH_KEY.name: AT, SOUTH_KEY.name: AT}
    made: list[tuple[str, str, dict[str, int] | None, str | None]] = [
        ("by both witnesses", north + south, both, None),
        ("by one", south, {SOUTH_KEY.name: AT}, None),
        ("by one among a stranger's", stranger + north, {NORTH_KEY.name: AT}, None),
        ("by a stranger alone", stranger, {}, None),
        ("by a stranger in a witness's name", _by(STRANGER, NORTH_KEY.name), {}, None),
        ("by a witness in another's name", _by(SOUTH, NORTH_KEY.name), {}, None),
        ("by nobody", "", {}, None),
        ("twice by one: the first counts", north + _by(NORTH, NORTH_KEY.name, at_s=AT + 1), {NORTH_KEY.name: AT}, None),
        ("at the last moment", _by(NORTH, NORTH_KEY.name, at_s=2**63 - 1), {NORTH_KEY.name: 2**63 - 1}, None),
        ("a plain signature (type 0x01) by a witness's key", plain, {}, None),
        ("another key under the right key id", _blob(_by(STRANGER, NORTH_KEY.name), slice(4), NORTH_KEY.id), None, BAD),
        ("over another size", _by(NORTH, NORTH_KEY.name, TEXT.replace(b"\n11\n", b"\n10\n")), None, BAD),
        ("over another receipt", _by(NORTH, NORTH_KEY.name, split_note(later.encode())[0]), None, BAD),
        ("over the first three lines alone", _by(NORTH, NORTH_KEY.name, TEXT[: TEXT.index(b"held ")]), None, BAD),
        ("another time", _blob(north, slice(4, 12), (AT + 1).to_bytes(8)), None, BAD),
        ("a time beyond 2^63 - 1", _blob(north, slice(4, 5), b"\x80"), None, BAD),
        ("a signature of 63 bytes", _blob(north, slice(75, 76), b""), None, BAD),
        ("a signature of 65 bytes", _blob(north, slice(76, 76), b"\0"), None, BAD),
        ("one bit of the signature", _blob(north, slice(75, 76), bytes([_last(north) ^ 1])), None, BAD),
        ("a hyphen for the dash", north.replace("\u2014", "-"), None, "NOTE_MALFORMED"),
        ("no base64", f"\u2014 {NORTH_KEY.name} !!!!\n", None, "NOTE_MALFORMED"),
    ]
    return [{"name": name, "lines": lines, "by": by, "fault": fault} for name, lines, by, fault in made]


BAD = "NOTE_BAD_SIGNATURE"


def _last(line: str) -> int:
    return base64.b64decode(line.rsplit(" ", 1)[1])[-1]


class Nodes:
    """Those of the tree of checkpoints.json."""

    def nodes(self, level: int, first: int, count: int) -> list[bytes]:
        assert level == 0
        return [leaf_sha256(leaf) for leaf in LEAVES[first : first + count]]


def submission_cases() -> list[dict[str, Any]]:
    """`seen`: the events under the checkpoint that the witness cosigned last. `status`: of its answer."""

    def body(old: int, size: int = SIZE, proof: list[bytes] | None = None, note: str = "") -> str:
        made = consistency_proof(Nodes(), old, size) if 0 < old < size else []
        receipt = note or by_gateway(Checkpoint(ORIGIN, size, root(size), HELD))
        return Submission(old, tuple(made if proof is None else proof), receipt.encode()).encode().decode()

    forked = by_gateway(Checkpoint(ORIGIN, SIZE, Tree().extended([*LEAVES[:6], *LEAVES[:5]])[0].root(), HELD))
    receipt = Checkpoint(ORIGIN, SIZE, root(SIZE), HELD)
    elsewhere = by_gateway(replace(receipt, origin=ORIGIN.replace("uslrd", "usotm")))
    good = body(7)
    made: list[tuple[str, int, str, int]] = [
        ("the first checkpoint of a log", 0, body(0), 200),
        ("a log that has grown", 7, good, 200),
        ("from a power of two on", 8, body(8), 200),
        ("the same again", SIZE, body(SIZE), 200),
        ("the log does not know what was cosigned", 7, body(0), 409),
        ("the log goes by an older size", 7, body(3), 409),
        ("the log was set back", SIZE, body(7, 8), 409),
        ("the log goes by a newer size", 3, good, 409),
        ("another root of the same size", SIZE, body(SIZE, note=forked), 409),
        ("a fork further on", 7, body(7, note=forked), 422),
        ("a proof too short", 7, body(7, proof=consistency_proof(Nodes(), 7, SIZE)[:-1]), 422),
        ("no proof", 7, body(7, proof=[]), 422),
        ("a proof from nothing", 0, body(0, proof=[root(1)]), 422),
        ("a proof between equal sizes", SIZE, body(SIZE, proof=[root(1)]), 422),
        ("from more to fewer", SIZE, body(SIZE, 7), 400),
        ("a log of another port", 0, body(0, note=elsewhere), 404),
        ("a log that nobody knows", 0, body(0, note=by_gateway(replace(receipt, origin="example.com/log"))), 404),
        ("by the booth, not the port", 0, body(0, note=by_session(replace(receipt, held=None))), 403),
        ("by another gateway", 0, body(0, note=by_gateway(receipt, f"{GATEWAY}2")), 403),
        ("a changed size", 7, good.replace("\n11\n", "\n12\n"), 403),
        ("no old size", 7, good.partition("\n")[2], 400),
        ("an old size with a zero before it", 7, good.replace("old 7\n", "old 07\n"), 400),
        ("an old size with a sign", 7, good.replace("old 7\n", "old +7\n"), 400),
        ("no empty line", 7, good.replace("\n\n", "\n", 1), 400),
        ("a hash of 31 bytes", 7, good.replace("\n\n", f"\n{base64.b64encode(bytes(31)).decode()}\n\n", 1), 400),
        ("64 lines of proof", 7, body(7, proof=[bytes(32)] * 64), 400),
        ("no checkpoint", 7, good.partition("\n\n")[0] + "\n\n", 400),
        ("nothing", 0, "", 400),
    ]
    return [{"name": name, "seen": seen, "body": body, "status": status} for name, seen, body, status in made]


def policies() -> list[dict[str, Any]]:
    """`enough`: for which sets of cosigners the quorum is met; null: it is no policy."""
    north, south = f"witness n {NORTH_KEY}\n", f"witness s {SOUTH_KEY} https://witness.example/south\n"
    other = VerifierKey("other.example", NORTH_KEY.kind, NORTH_KEY.raw)
    made: list[tuple[str, str, list[str] | None]] = [
        ("one", f"{north}quorum n\n", ["n", "ns"]),
        ("none", "quorum none\n", ["", "n", "s", "ns"]),
        ("any of two", f"{north}{south}group g any n s\nquorum g\n", ["n", "s", "ns"]),
        ("all of two", f"{north}{south}group g all n s\nquorum g\n", ["ns"]),
        ("by number, with blanks and remarks", f"# two\n\n \t{north}{south}group  g\t2 n s\nquorum g\n", ["ns"]),
        ("a group of groups", f"{north}{south}group a any n\ngroup b 1 a s\nquorum b\n", ["n", "s", "ns"]),
        ("no newline at the end", f"{north}quorum n", ["n", "ns"]),
        ("no quorum", north, None),
        ("two quorums", f"{north}quorum n\nquorum n\n", None),
        ("a quorum that is not defined", f"{north}quorum s\n", None),
        ("a quorum before its definition", f"quorum n\n{north}", None),
        ("a member twice", f"{north}{south}group g 2 n n\nquorum g\n", None),
        ("a member of two groups", f"{north}{south}group a any n\ngroup b all n s\nquorum b\n", None),
        ("more than there are", f"{north}group g 2 n\nquorum g\n", None),
        ("none of them", f"{north}group g 0 n\nquorum g\n", None),
        ("a name twice", f"{north}{north.replace('north', 'south')}quorum n\n", None),
        ("a key twice", f"{north}witness o {other}\nquorum n\n", None),
        ("a witness called none", f"witness none {NORTH_KEY}\nquorum none\n", None),
        ("a log's key as a witness", f"witness n {log_key(GATEWAY, GATEWAY_KEY.public_key())}\nquorum n\n", None),
        ("a key whose hash is another's", f"witness n {_with(NORTH_KEY, SOUTH_KEY)}\nquorum n\n", None),
        ("a word that is none", f"{north}witnesses n\nquorum n\n", None),
        ("a control character", f"{north}# \x0b\nquorum n\n", None),
    ]
    return [{"name": name, "policy": policy, "enough": enough} for name, policy, enough in made]


def _with(key: VerifierKey, other: VerifierKey) -> str:
    return str(key).replace(key.id.hex(), other.id.hex())


def text() -> str:
    vectors = {
        "note": RECEIPT,
        "log": str(log_key(GATEWAY, GATEWAY_KEY.public_key())),
        "witnesses": [str(NORTH_KEY), str(SOUTH_KEY)],
        "cosignatures": cosignature_cases(),
        "submissions": submission_cases(),
        "policies": policies(),
    }
    return json.dumps(vectors, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(None if FILE.read_text() == text() else f"{FILE} is not what this script writes")
    FILE.write_text(text())
