"""The cases of both files of envelopes, read as README.md tells."""

import json
from typing import Any

from edge_agent.wire.refused import RefusalCode
from port_gateway.chains import Ended
from tests.vectors import make_forgery_vectors, make_vectors

VECTORS: dict[str, Any] = json.loads(make_vectors.FILE.read_text())
FORGERIES: dict[str, Any] = json.loads(make_forgery_vectors.FILE.read_text())
CASES: list[dict[str, Any]] = [*VECTORS["cases"], *FORGERIES["cases"]]


def envelopes_of(case: dict[str, Any]) -> list[bytes]:
    envelopes = [_bytes(written) for written in case["envelopes"]]
    envelopes[-1] *= case.get("repeat_last", 1)
    return envelopes


def _bytes(written: str | list[tuple[str, int]]) -> bytes:
    parts = [(written, 1)] if isinstance(written, str) else written
    return b"".join(bytes.fromhex(part) * times for part, times in parts)


def ends_of(case: dict[str, Any]) -> dict[str, Ended]:
    """What ListBooths says of the booth's keys that ended, by key id."""
    ends = {}
    for key in case.get("ended_keys", []):
        through = {bytes.fromhex(each["epoch"]): int(each["through_seq"]) for each in key["epochs"]}
        ends[key["key_id"]] = Ended(RefusalCode[key["code"]], through)
    return ends
