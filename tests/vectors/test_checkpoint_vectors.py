"""The vectors of trees and notes are what the script writes, and say what they claim."""

import json
from typing import Any

import pytest

from edge_agent.domain.errors import PortRefused, ProofInvalid
from edge_agent.uplink.receipts import check_receipt
from edge_agent.uplink.window import ChainForked
from edge_agent.wire.checkpoint import open_checkpoint
from edge_agent.wire.identity import SpiffeId, load_public_key, self_signed
from edge_agent.wire.tree import Tree, verify_consistency, verify_inclusion
from tests.vectors.make_checkpoint_vectors import FILE, GATEWAY_KEY, HELD, text

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


def named(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def fault_of(case: dict[str, Any]) -> str | None:
    """What a verifier that has this chain's events says of a note."""
    signer = VECTORS["keys"][case["signer"]]
    try:
        opened = open_checkpoint(case["note"].encode(), signer["name"], load_public_key(bytes.fromhex(signer["spki"])))
    except ProofInvalid as error:
        return error.fault
    if opened.origin != VECTORS["origin"]:
        return "WRONG_ORIGIN"
    if (opened.held is None) is not (case["signer"] == "booth"):
        return "WRONG_KIND"
    if opened.size >= len(ROOTS):
        return "GAP"
    return None if opened.root == ROOTS[opened.size] else "FORK"


@named(VECTORS["notes"])
def test_a_note_says_what_it_claims(case: dict[str, Any]) -> None:
    assert fault_of(case) == case["fault"]
    assert case["of_this_chain"] is (case["fault"] is None)
    assert case["opens"] is not (case["fault"] or "").startswith("NOTE_")


@named([case for case in VECTORS["notes"] if case["signer"] == "gateway"])
def test_a_booth_takes_no_forged_receipt(case: dict[str, Any]) -> None:
    gateway = self_signed(GATEWAY_KEY, SpiffeId.parse(VECTORS["keys"]["gateway"]["name"]), HELD)
    tree = Tree().extended(LEAVES)[0]
    if case["fault"] is None:
        check_receipt(case["note"].encode(), tree, VECTORS["origin"], gateway)
        return
    with pytest.raises(PortRefused if case["fault"].startswith("NOTE_") else ChainForked):
        check_receipt(case["note"].encode(), tree, VECTORS["origin"], gateway)


@named(VECTORS["forged_inclusion"])
def test_a_forged_inclusion_proof(case: dict[str, Any]) -> None:
    leaf, top = bytes.fromhex(case["envelope_sha256"]), bytes.fromhex(case["root"])
    proof = [bytes.fromhex(node) for node in case["proof"]]
    with pytest.raises(ProofInvalid) as caught:
        verify_inclusion(leaf, case["index"], case["size"], proof, top)
    assert caught.value.fault == case["fault"]


@named(VECTORS["forged_consistency"])
def test_a_forged_consistency_proof(case: dict[str, Any]) -> None:
    roots = bytes.fromhex(case["older_root"]), bytes.fromhex(case["newer_root"])
    with pytest.raises(ProofInvalid) as caught:
        verify_consistency(case["older"], case["newer"], *roots, [bytes.fromhex(node) for node in case["proof"]])
    assert caught.value.fault == case["fault"]
