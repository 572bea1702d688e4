"""What this booth holds on one plate."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw

from edge_agent.domain.clock import Clock
from edge_agent.ledger.database import event_of, open_reader
from edge_agent.ledger.export import LedgerChain
from edge_agent.ledger.faults import file_faults, sqlite_faults
from edge_agent.ledger.store import DATABASE
from edge_agent.pack.about import About, Held, about

# Who asked about a plate: a JSON object a line, without the plate.
REQUESTS = "requests.log"


def about_plate(directory: Path, plate: str, folded: bool) -> About:
    """May run beside the agent. Raises Permanent (no plate), StoreFailed, StoreCorrupt."""
    path = directory / DATABASE
    with sqlite_faults(path):
        database = open_reader(path)
        try:
            database.execute("BEGIN")
            chain = LedgerChain(database, directory)
            return about(
                lambda: _events(database, path, chain.booth_id), lambda _, it: chain.evidence(it), plate, folded
            )
        finally:
            database.close()


def _events(database: apsw.Connection, path: Path, booth_id: str) -> Iterator[Held]:
    rows: Iterator[tuple[Any, ...]] = database.execute("SELECT seq, envelope FROM event ORDER BY seq")
    for seq, envelope in rows:
        yield Held(booth_id, seq, event_of(path, seq, envelope))


def log_request(directory: Path, clock: Clock, by: str, reason: str, inspections: Sequence[str]) -> None:
    """Durable on return, before anything is shown. Raises StoreFull, StoreFailed."""
    entry = {
        "at": f"{clock.now().utc:%Y-%m-%dT%H:%M:%SZ}",
        "by": by,
        "reason": reason,
        "inspections": list(inspections),
    }
    path = directory / REQUESTS
    with file_faults(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write((json.dumps(entry) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())
