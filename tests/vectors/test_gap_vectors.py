"""Chains over gaps: the file is what the script writes, and what it claims holds for a reader as the gateway has it."""

import json
from typing import Any

import pytest

from edge_agent.wire.chain import Head
from edge_agent.wire.gaps import leaves
from edge_agent.wire.refused import Refused
from edge_agent.wire.tree import Tree
from port_gateway.chains import Chains, device_keys
from tests.vectors import make_gap_vectors

VECTORS: dict[str, Any] = json.loads(make_gap_vectors.FILE.read_text())
BOOTH, EPOCH = VECTORS["booth_id"], bytes.fromhex(VECTORS["epoch"])


def test_the_file_is_what_the_script_writes() -> None:
    assert make_gap_vectors.FILE.read_text() == make_gap_vectors.text()


@pytest.mark.parametrize("case", VECTORS["cases"], ids=[case["name"] for case in VECTORS["cases"]])
def test_a_case_says_what_it_claims(case: dict[str, Any]) -> None:
    chains = Chains({BOOTH: device_keys(BOOTH, [bytes.fromhex(VECTORS["certificate"])])})
    accepted, code, tree, at = 0, None, Tree(), Head(BOOTH, EPOCH)
    try:
        for envelope in case["envelopes"]:
            verified = chains.verify(BOOTH, bytes.fromhex(envelope))
            accepted += 1
            if verified.event.epoch == EPOCH:
                tree, _ = tree.extended(leaves(at.seq, [(verified.seq, verified.sha256)]))
                at = verified.chain.head
    except Refused as refused:
        code = refused.code.name
    assert (accepted, code) == (case["accepted"], case["code"])
    if code is None:
        assert (tree.size, tree.root().hex()) == (case["size"], case["root"])
