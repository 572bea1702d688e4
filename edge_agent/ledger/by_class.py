"""Evidence that goes by its class: what waits for a finding, and what is kept for less time than its event.

    came ─► waiting ── a finding, a referral ─► kept ─► sent ── its own time is over ─► deleted
               └─ no finding in time ─► deleted, and never sent

Each is one transaction with the EvidenceDeleted that names it: the event keeps the digest, the file goes.
"""

from typing import cast

import apsw

from edge_agent.domain.evidence import EvidenceRef
from edge_agent.domain.retention import DAY_S, BoothRetention, DeletionReason, EvidenceDeleted, Standing
from edge_agent.ledger.kept import Kept
from edge_agent.ledger.seal import Sealed

# One event names so many.
DELETED_FILES = 64


def bring(database: apsw.Connection, event: Sealed, ref: EvidenceRef, waiting: frozenset[str], run_s: int) -> None:
    """Note what an event binds. In the event's transaction, behind `raise_standing`."""
    found = database.execute("SELECT standing FROM standing WHERE inspection_id = ?", (event.inspection_id,)).get
    standing = max(event.standing, found if isinstance(found, int) else Standing.CLEAR)
    waits = standing == Standing.CLEAR and ref.kind.value in waiting
    database.execute(
        "INSERT INTO blob (sha256, kind, media_type, size, seq, state, standing, waits_since_run_s)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sha256) DO UPDATE SET seq = excluded.seq,"
        " sent_run_s = iif(state = 'sent', ?, NULL), standing = max(standing, excluded.standing),"
        " state = iif(state IN ('sent', 'kept'), state, excluded.state),"
        " waits_since_run_s = excluded.waits_since_run_s",
        (
            *(ref.sha256, ref.kind.value, ref.media_type, ref.size, event.seq),
            *("waiting" if waits else "kept", int(standing), run_s if waits else None, run_s),
        ),
    )
    database.execute("DELETE FROM doomed WHERE sha256 = ?", (ref.sha256,))
    if event.inspection_id:
        database.execute("INSERT OR IGNORE INTO brought VALUES (?, ?)", (event.inspection_id, ref.sha256))


def raise_standing(database: apsw.Connection, event: Sealed) -> None:
    """What was found of an inspection keeps its evidence, and lets what waited for it go to the port."""
    if event.standing == Standing.CLEAR or not event.inspection_id:
        return
    database.execute(
        "INSERT INTO standing VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
        " standing = max(standing, excluded.standing), seq = excluded.seq",
        (event.inspection_id, int(event.standing), event.seq),
    )
    database.execute(
        "UPDATE blob SET standing = max(standing, ?), state = iif(state = 'waiting', 'kept', state)"
        " WHERE sha256 IN (SELECT sha256 FROM brought WHERE inspection_id = ?)",
        (int(event.standing), event.inspection_id),
    )


def let_go_on(database: apsw.Connection, waiting: frozenset[str]) -> None:
    """The settings were changed: what need not wait any more is kept, and sent."""
    marks = ",".join("?" * len(waiting))
    database.execute(
        f"UPDATE blob SET state = 'kept' WHERE state = 'waiting' AND kind NOT IN ({marks})",  # noqa: S608 - only marks
        tuple(waiting),
    )


def to_delete(
    database: apsw.Connection, rules: BoothRetention, kept: Kept, retention_s: float, run_s: int
) -> EvidenceDeleted | None:
    """What is to go now, oldest first and for one reason; at most DELETED_FILES. `retention_s`: of events."""
    rows = database.execute(
        "SELECT sha256, size FROM blob WHERE state = 'waiting' AND (waits_since_run_s <= ? OR EXISTS"
        " (SELECT 1 FROM acknowledged WHERE through >= blob.seq AND run_s <= ?)) ORDER BY position LIMIT ?",
        (run_s - rules.wait_longest_s, run_s - rules.wait_s, DELETED_FILES),
    ).fetchall()
    reason = DeletionReason.NO_FINDING
    for kind, standing, days in () if rows else _own_times(rules, retention_s):
        # What goes together with its events is named by their EventsTrimmed.
        rows = database.execute(
            "SELECT sha256, size FROM blob WHERE state = 'sent' AND kind = ? AND standing = ? AND sent_run_s <= ?"
            " AND NOT (seq <= ? AND sent_run_s <= ?) ORDER BY sent_run_s LIMIT ?",
            (kind, standing, run_s - days * DAY_S, kept.announced_seq, run_s - retention_s, DELETED_FILES),
        ).fetchall()
        reason = DeletionReason.RETENTION_OVER
        if rows:
            break
    if not rows:
        return None
    found = cast("list[tuple[bytes, int]]", rows)
    return EvidenceDeleted(tuple(sha256 for sha256, _ in found), sum(size for _, size in found), reason)


def _own_times(rules: BoothRetention, retention_s: float) -> list[tuple[str, int, float]]:
    times = [(kind.value, standing, days.of(standing)) for kind, days in rules.days.items() for standing in Standing]
    return [
        (kind, int(standing), days) for kind, standing, days in times if days is not None and days * DAY_S < retention_s
    ]
