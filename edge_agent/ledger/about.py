"""What this booth holds on one plate: in its ledger, and in what was salvaged of those before."""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import EdgeAgentError
from edge_agent.ledger.database import event_of, open_reader
from edge_agent.ledger.export import LedgerChain
from edge_agent.ledger.faults import file_faults, sqlite_faults
from edge_agent.ledger.leftover import DAMAGED
from edge_agent.ledger.salvage import SALVAGED
from edge_agent.ledger.store import DATABASE
from edge_agent.pack.about import About, Held, about

# Who asked about a plate: a JSON object a line, without the plate.
REQUESTS = "requests.log"


def about_plate(directory: Path, plate: str, folded: bool) -> About:
    """May run beside the agent. Raises Permanent (no plate), StoreFailed, StoreCorrupt."""
    path = directory / DATABASE
    with contextlib.ExitStack() as opened, sqlite_faults(path):
        database = _open(opened, path)
        chain = LedgerChain(database, directory)
        sources, unsearched = [(database, path)], _beside(directory)
        for salvaged in sorted((directory / SALVAGED).glob(f"*/{DATABASE}")):
            try:
                with sqlite_faults(salvaged):
                    old = _open(opened, salvaged)
                    for _ in _events([(old, salvaged)], chain.booth_id):  # all of it can be read, or it is named
                        pass
                    sources.append((old, salvaged))
            except EdgeAgentError as error:
                unsearched.append(f"{salvaged.parent}: {error.wrong}")
        found = about(lambda: _events(sources, chain.booth_id), lambda _, it: chain.evidence(it), plate, folded)
        found.unsearched += unsearched
        return found


def _open(opened: contextlib.ExitStack, path: Path) -> apsw.Connection:
    database = open_reader(path)
    opened.callback(database.close)
    database.execute("BEGIN")
    return database


def _beside(directory: Path) -> list[str]:
    """What may hold more, and cannot be looked through."""
    damaged = sorted((directory / DAMAGED).glob("*"))
    return [f"{folder}: what salvage could not read of a damaged ledger" for folder in damaged]


def _events(sources: Sequence[tuple[apsw.Connection, Path]], booth_id: str) -> Iterator[Held]:
    for database, path in sources:
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
