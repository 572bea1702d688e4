"""The vectors of trees and notes are what the script writes, and say what they claim."""

import json
from typing import Any

import pytest

from edge_agent.domain.errors import ProofInvalid
from edge_agent.wire.checkpoint import open_checkpoint
from edge_agent.wire.identity import load_public_key
from edge_agent.wire.tree import Tree, verify_consistency, verify_inclusion
from tests.vectors.make_checkpoint_vectors import FILE, text

VECTORS = json.loads(FILE.read_text())
LEAVES = [bytes.fromhex(leaf) for leaf in VECTORS["envelope_sha256"]]
ROOTS = [bytes.fromhex(root) for root in VECTORS["roots"]]


def test_the_file_is_what_the_script_writes() -> None:
    assert FILE.read_text() == text()


def test_roots() -> None:
    assert [Tree().extended(LEAVES[:size])[0].root() for size in range(len(LEAVES) + 1)] == ROOTS


def test_proofs() -> None:
    for case in VECTORS["inclusion"]:
        proof = [bytes.fromhex(node) for node in case["proof"]]
        verify_inclusion(LEAVES[case["index"]], case["index"], case["size"], proof, ROOTS[case["size"]])
    for case in VECTORS["consistency"]:
        proof = [bytes.fromhex(node) for node in case["proof"]]
        older, newer = case["older"], case["newer"]
        verify_consistency(older, newer, ROOTS[older], ROOTS[newer], proof)


@pytest.mark.parametrize("case", VECTORS["notes"], ids=[case["name"] for case in VECTORS["notes"]])
def test_a_note_says_what_it_claims(case: dict[str, Any]) -> None:
    signer = VECTORS["keys"][case["signer"]]
    key = load_public_key(bytes.fromhex(signer["spki"]))
    try:
        opened = open_checkpoint(case["note"].encode(), signer["name"], key)
    except ProofInvalid:
        assert (case["opens"], case["of_this_chain"]) == (False, False)
        return
    assert case["opens"]
    ours = opened.size < len(ROOTS) and (opened.origin, opened.root) == (VECTORS["origin"], ROOTS[opened.size])
    assert ours == case["of_this_chain"]
