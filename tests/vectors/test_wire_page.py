"""docs/wire.md names every code with its number and its vectors, and every limit as the code has it."""

import json
import re
from pathlib import Path

import pytest

from edge_agent.domain import expected as crossings
from edge_agent.domain.errors import ProofFault
from edge_agent.expectations import store
from edge_agent.wire import (
    add_checkpoint,
    checkpoint,
    cosignature,
    enrollment,
    envelope,
    quarantine,
    rotation,
    witness_policy,
)
from edge_agent.wire.refused import RefusalCode
from port_gateway import (
    alarms,
    booth_messages,
    config,
    evidence,
    expected,
    inbox,
    messages_end,
    serve,
    subscribe,
    upload,
    witness_client,
)
from port_gateway import quarantine as kept
from tests.vectors.reading import FORGERIES, VECTORS

PAGE = (Path(__file__).parents[2] / "docs" / "wire.md").read_text()
CERTIFICATES = json.loads(Path(__file__).with_name("certificates.json").read_text())
NOTES = json.loads(Path(__file__).with_name("checkpoints.json").read_text())
ROWS = {row[0]: row[1:] for row in re.findall(r"^\| `([A-Z_]+)` \| (\d+) \| .* \| ([a-z, ]*)\|$", PAGE, re.MULTILINE)}


def codes_of(cases: list[dict[str, object]]) -> set[object]:
    return {case["code"] for case in cases}


def test_every_code_with_its_number_and_its_vectors() -> None:
    files = {
        "envelopes": codes_of(VECTORS["cases"]),
        "forgeries": codes_of(FORGERIES["cases"]),
        "certificates": codes_of([*CERTIFICATES["listed"], *CERTIFICATES["shown"]]),
    }
    expected = {
        code.name: (str(code.value), ", ".join(name for name, codes in files.items() if code.name in codes))
        for code in RefusalCode
    }
    assert {name: (number, named.strip()) for name, (number, named) in ROWS.items()} == expected


def test_every_fault_has_a_row_and_cases() -> None:
    cases = [*NOTES["notes"], *NOTES["forged_inclusion"], *NOTES["forged_consistency"]]
    faults = {fault.value for fault in ProofFault} | {"GAP", "FORK"}
    assert {case["fault"] for case in cases} - {None} == faults
    section = PAGE.partition("## 8.")[2]
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)) == faults


@pytest.mark.parametrize(
    ("words", "limits"),
    [
        ("envelope", (envelope.MAX_ENVELOPE_BYTES, quarantine.MAX_QUARANTINED_BYTES)),
        ("signature, and `possession`", (envelope.MAX_SIGNATURE_BYTES,)),
        ("certificate of a", (rotation.MAX_CERTIFICATE_BYTES,)),
        ("batch", (config.MAX_BATCH_RECORDS, config.MAX_BATCH_BYTES)),
        ("in flight", (config.Limits().window_records,)),
        ("gRPC message to", (serve.MAX_MESSAGE_BYTES,)),
        ("evidence", (evidence.MAX_BLOB_BYTES >> 20, upload.MAX_STAT, evidence.MAX_PARTIALS_A_BOOTH)),
        ("outstanding", (subscribe.MAX_OUTSTANDING, subscribe.DEFAULT_OUTSTANDING)),
        ("reader's name", (subscribe.MAX_NAME, inbox.MAX_READERS_AN_IDENTITY, subscribe.MAX_FILTER)),
        ("quarantined events", (kept.MAX_TOLD,)),
        ("a checkpoint", (checkpoint.MAX_NOTE_BYTES,)),
        ("a submission to", (add_checkpoint.MAX_REQUEST_BYTES, witness_client.MAX_ANSWER_BYTES)),
        ("witnesses of", (witness_policy.MAX_WITNESSES, witness_policy.MAX_GROUPS, cosignature.MAX_NAME_BYTES)),
        ("enrolment", (enrollment.MAX_TOKEN_CHARACTERS, enrollment.MAX_REQUEST_BYTES)),
        ("alarms that", (alarms.MAX_ALARMS_A_CODE,)),
        ("expectations of a port", (expected.MAX_EXPECTED, expected.MAX_FOR_A_PLATE)),
        ("of an expectation", (crossings.MAX_PLATES, crossings.MAX_SEALS, crossings.MAX_PLACES, crossings.MAX_NOTE)),
        ("its weight", (int(crossings.MAX_GROSS_KG), crossings.MAX_WINDOW.days, crossings.MAX_AHEAD.days)),
        ("a page of expectations", (expected.PAGE_RECORDS, expected.PAGE_BYTES, store.MAX_HELD)),
        ("messages that wait", (booth_messages.MAX_WAITING, messages_end.MESSAGE_DAYS)),
        ("epochs of a booth", (config.Limits().epochs_a_booth,)),
        ("crossings named", (crossings.MAX_AMBIGUOUS,)),
    ],
)
def test_a_limit_is_the_code_s(words: str, limits: tuple[int, ...]) -> None:
    section = PAGE.partition("## 6. Limits")[2].partition("## 7.")[0]
    (row,) = re.findall(rf"^\| {re.escape(words)}.*$", section, re.MULTILINE)
    for limit in limits:
        assert re.search(rf"(?<![\d,]){limit:,}(?![\d,]\d)", row), (limit, row)
