"""The vectors are what the script writes, they say what they claim, and docs/wire.md shows the same bytes."""

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edge_agent.wire.chain import Head
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.quarantine import verify_link
from edge_agent.wire.refused import Refused
from edge_agent.wire.v1alpha1.envelope_pb2 import Envelope
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.verify import Chain, verify_next
from port_gateway.chains import device_keys
from tests.vectors import make_forgery_vectors, make_vectors
from tests.vectors.reading import CASES, VECTORS, ends_of, envelopes_of

DEVICE_KEYS = device_keys(VECTORS["booth_id"], [bytes.fromhex(VECTORS["certificate"])])
OF_CONTENT = [case for case in CASES if case["code"] in ("OVERSIZED", "MALFORMED_EVENT")]
WIRE = Path(__file__).parents[2] / "docs" / "wire.md"


@pytest.mark.parametrize("script", [make_vectors, make_forgery_vectors])
def test_the_file_is_what_the_script_writes(script: ModuleType) -> None:
    assert script.FILE.read_text() == script.text()


def verify(case: dict[str, Any]) -> tuple[int, str | None]:
    """How many verify, and the code of the first that does not; as docs/wire.md tells, with what is held."""
    epoch = bytes.fromhex(VECTORS["epoch"])
    ends = {key: end.within(epoch) for key, end in ends_of(case).items()}
    chain = Chain(Head(VECTORS["booth_id"], epoch), DEVICE_KEYS, None, ends)
    held: list[bytes] = []
    for envelope in envelopes_of(case):
        try:
            chain = verify_next(chain, envelope).chain
        except Refused as refused:
            if refused.code.name != "REPLAYED":
                return len(held), refused.code.name
            seq = Event.FromString(Envelope.FromString(envelope).payload).seq
            return len(held), "REPLAYED" if held[seq - 1] == envelope_sha256(envelope) else "FORK"
        held.append(envelope_sha256(envelope))
    return len(held), None


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_case_says_what_it_claims(case: dict[str, Any]) -> None:
    assert verify(case) == (case["accepted"], case["code"])


@pytest.mark.parametrize("case", OF_CONTENT, ids=[case["name"] for case in OF_CONTENT])
def test_what_may_be_kept_in_quarantine(case: dict[str, Any]) -> None:
    chain = Chain(Head(VECTORS["booth_id"], bytes.fromhex(VECTORS["epoch"])), DEVICE_KEYS)
    *before, refused = envelopes_of(case)
    for envelope in before:
        chain = verify_next(chain, envelope).chain
    if case.get("quarantine"):
        assert verify_link(chain, refused).seq == len(before) + 1
    else:
        with pytest.raises(Refused):
            verify_link(chain, refused)


def test_every_code_of_an_envelope_has_a_case() -> None:
    assert {case["code"] for case in CASES} == {
        None, "OVERSIZED", "MALFORMED_ENVELOPE", "WRONG_PAYLOAD_TYPE", "UNKNOWN_KEY", "BAD_SIGNATURE",
        "MALFORMED_EVENT", "WRONG_BOOTH", "WRONG_EPOCH", "GAP", "REPLAYED", "FORK", "BROKEN_CHAIN", "WRONG_SIGNER",
        "KEY_REVOKED", "KEY_RETIRED", "NOT_POSSESSED",
    }  # fmt: skip


def test_the_document_shows_the_same_bytes() -> None:
    shown = re.sub(r"\s", "", WIRE.read_text())
    for value in (*VECTORS["worked_example"].values(), VECTORS["certificate"], VECTORS["device_key_id"]):
        assert value in shown
