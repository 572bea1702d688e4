"""Where the events that are kept begin, and for how long agents ran: the ledger's one row about itself."""

from dataclasses import dataclass
from typing import Any

import apsw

from edge_agent.wire.chain import GENESIS_SHA256


@dataclass(frozen=True, slots=True)
class Kept:
    """How long agents ran here, and where the events begin: behind `trimmed_seq`, 0 at the epoch's beginning.

    `session` is the envelope that opened the session in force there. `announced_seq` is what the chain's last
    EventsTrimmed names.
    """

    run_s: int = 0
    trimmed_seq: int = 0
    trimmed_sha256: bytes = GENESIS_SHA256
    session: bytes | None = None
    announced_seq: int = 0
    announced_run_s: int = 0


def read_kept(database: apsw.Connection) -> Kept:
    """As noted; nothing was trimmed in a database of the first schema."""
    version = database.execute("PRAGMA user_version").get
    if not isinstance(version, int) or version < 2:
        return Kept()
    rows: list[tuple[Any, ...]] = database.execute(
        "SELECT run_s, trimmed_seq, trimmed_sha256, session, announced_seq, announced_run_s FROM kept"
    ).fetchall()
    return Kept(*rows[0])
