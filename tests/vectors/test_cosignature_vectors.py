"""The vectors of cosignatures, policies and submissions are what the script writes, and say what they claim."""

import json
from typing import Any

import pytest

from edge_agent.domain.errors import ProofInvalid
from edge_agent.wire.add_checkpoint import Declined, Seen, judge, opened, read_submission
from edge_agent.wire.checkpoint import split_note
from edge_agent.wire.cosignature import VerifierKey, cosignatures
from edge_agent.wire.witness_policy import PolicyInvalid, read_policy
from tests.vectors.make_checkpoint_vectors import root
from tests.vectors.make_cosignature_vectors import FILE, text

VECTORS = json.loads(FILE.read_text())
WITNESSES = [VerifierKey.parse(key) for key in VECTORS["witnesses"]]
LOG = VerifierKey.parse(VECTORS["log"])

# A log's checkpoint, cosigned by public witnesses in their own software: published by the log and by remora.n621.de.
PUBLISHED = """arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=
"""
COSIGNED = (
    "\u2014 arche2025h1.staging.ct.transparency.dev "
    "ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=\n"
    "\u2014 transparency.dev/DEV:witness-little-garden "
    "2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==\n"
    "\u2014 witness1.smartit.nu/witness1 "
    "pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==\n"
    "\u2014 remora.n621.de "
    "2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==\n"
    "\u2014 witness.stagemole.eu "
    "Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==\n"
)
PUBLISHED_KEYS = (
    "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
    "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
)


def named(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def test_the_file_is_what_the_script_writes() -> None:
    assert FILE.read_text() == text()


def test_cosignatures_of_public_witnesses() -> None:
    keys = [VerifierKey.parse(key) for key in PUBLISHED_KEYS]
    found = cosignatures(PUBLISHED.encode(), COSIGNED.encode(), keys)
    assert {(each.witness, each.at_s) for each in found} == {(key, 1779573024) for key in keys}
    with pytest.raises(ProofInvalid):
        cosignatures(PUBLISHED.replace("1432088532", "1432088533").encode(), COSIGNED.encode(), keys)


@named(VECTORS["cosignatures"])
def test_cosignatures(case: dict[str, Any]) -> None:
    signed = split_note(VECTORS["note"].encode())[0]
    if case["fault"] is not None:
        with pytest.raises(ProofInvalid) as caught:
            cosignatures(signed, case["lines"].encode(), WITNESSES)
        assert (caught.value.fault, case["by"]) == (case["fault"], None)
        return
    found = cosignatures(signed, case["lines"].encode(), WITNESSES)
    assert {each.witness.name: each.at_s for each in found} == case["by"]
    assert all(each.line.decode() in case["lines"] for each in found)


def answer(seen: Seen, body: bytes) -> tuple[int, int | None]:
    """A witness's status, and the size that it tells."""
    try:
        submission = read_submission(body)
        assert submission.encode() == body
        judge(submission, opened(submission.note, [LOG]), seen)
    except Declined as declined:
        return declined.status, declined.size
    return 200, None


@named(VECTORS["submissions"])
def test_submissions(case: dict[str, Any]) -> None:
    told = case["seen"] if case["status"] == 409 else None
    assert answer(Seen(case["seen"], root(case["seen"])), case["body"].encode()) == (case["status"], told)


@named(VECTORS["policies"])
def test_policies(case: dict[str, Any]) -> None:
    if case["enough"] is None:
        with pytest.raises(PolicyInvalid):
            read_policy(case["policy"].encode())
        return
    policy = read_policy(case["policy"].encode())
    sets = {"": [], "n": WITNESSES[:1], "s": WITNESSES[1:], "ns": WITNESSES}
    assert [name for name, by in sets.items() if policy.satisfied(by)] == case["enough"]
    assert read_policy(policy.text().encode()).text() == policy.text()
