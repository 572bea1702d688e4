"""Chains over gaps: the file is what the script writes, and what it claims holds for a reader and for the port."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.gaps import leaves
from edge_agent.wire.refused import Refused
from edge_agent.wire.tree import Tree
from edge_agent.wire.v1alpha1.event_pb2 import EventLink
from edge_agent.wire.verify import verify_next
from port_gateway.chains import Chains, device_keys
from port_gateway.inbox import Inbox
from port_gateway.store import Store
from tests.vectors import make_gap_vectors

VECTORS: dict[str, Any] = json.loads(make_gap_vectors.FILE.read_text())
BOOTH, EPOCH = VECTORS["booth_id"], bytes.fromhex(VECTORS["epoch"])


DEVICE_KEYS = device_keys(BOOTH, [bytes.fromhex(VECTORS["certificate"])])
CASES = VECTORS["cases"]
AT_LIMITS = [case for case in CASES if "," in case["name"] or "thousand" in case["name"]]


def name_of(case: dict[str, Any]) -> str:
    return str(case["name"])


def test_the_file_is_what_the_script_writes() -> None:
    assert make_gap_vectors.FILE.read_text() == make_gap_vectors.text()


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_case_says_what_it_claims(case: dict[str, Any]) -> None:
    chains = Chains({BOOTH: DEVICE_KEYS})
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


@pytest.mark.parametrize("case", AT_LIMITS, ids=name_of)
def test_the_port_takes_what_its_readers_take(case: dict[str, Any], tmp_path: Path) -> None:
    accepted, code = 0, None
    with contextlib.closing(Store(tmp_path / "inbox")) as store:
        inbox = Inbox(store, SystemClock())
        try:
            for envelope in map(bytes.fromhex, case["envelopes"]):
                head = Head(BOOTH, EventLink.FromString(read_envelope(envelope)[0]).epoch)
                chain = inbox.chain(head, DEVICE_KEYS, inbox.replaced(BOOTH).get(head.epoch, ()))
                inbox.append(chain.head, [verify_next(chain, envelope)]).result(20)
                accepted += 1
        except Refused as refused:
            code = refused.code.name
    assert (accepted, code) == (case["accepted"], case["code"])
