"""Which events the port keeps and cannot read, as it last said: a note beside the ledger, for people.

<directory>/quarantined.json   replaced whole; the port says it again at every connection
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_agent.wire.refused import RefusalCode
from edge_agent.wire.v1alpha1.services_pb2 import Quarantined as Message

log = logging.getLogger(__name__)

FILE = "quarantined.json"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One of them: its sequence, the code for which it is there, and the port's words."""

    seq: int
    code: str
    detail: str


def note_quarantined(directory: Path, epoch: bytes, events: Sequence[Message]) -> None:
    """Note `events` in place of those before. Without room for it the note is left out, and the log says so."""
    path = directory / FILE
    if not events and not path.exists():
        return
    names = {code.value: code.name for code in RefusalCode}
    said = [Quarantined(one.seq, names.get(one.code, f"code {one.code}"), one.detail[:500]) for one in events]
    unfinished = path.with_suffix(".unfinished")
    try:
        unfinished.write_text(json.dumps({"epoch": epoch.hex(), "events": [asdict(one) for one in said]}))
        unfinished.replace(path)
    except OSError as error:
        log.warning("%s: what the port has in quarantine cannot be noted: %s", path, error.strerror)


def read_quarantined(directory: Path, epoch: bytes) -> list[Quarantined]:
    """What was noted for this epoch; nothing where the note is of another one, or cannot be read."""
    try:
        noted = json.loads((directory / FILE).read_text())
        if noted["epoch"] != epoch.hex():
            return []
        return [Quarantined(int(one["seq"]), str(one["code"]), str(one["detail"])) for one in noted["events"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
