"""What evidence goes before its retention is over when the disk fills, in this order, the oldest first:

    from 85 %   1. quick looks that the port holds
                2. pictures (frames and crops) that the port holds
    from 95 %   3. all other evidence that the port holds
                4. what waits for a finding, and would go without one
                5. quick looks that the port does not hold, without a radiation alarm: the scan itself stays
                6. the same of inspections with one

Never: events, and any other evidence that the port does not hold. When that is not enough, nothing more is accepted.
"""

from typing import Any

import apsw

from edge_agent.domain.event import StorageState
from edge_agent.domain.evidence import EvidenceKind

# One event names so many.
SHED_FILES = 64

_PICTURES = tuple(
    kind.value for kind in (EvidenceKind.FRAME, EvidenceKind.PLATE_CROP, EvidenceKind.CONTAINER_CODE_CROP)
)
_QUICK = f"kind = '{EvidenceKind.QUICK_LOOK.value}'"
_ALARM = (
    "EXISTS (SELECT 1 FROM event e JOIN event a ON a.kind = 'alarm_raised' AND a.inspection_id = e.inspection_id "
    "AND a.inspection_id <> '' WHERE e.seq = blob.seq AND e.inspection_id <> '')"
)
_CLASSES: dict[StorageState, tuple[str, ...]] = {
    StorageState.HIGH: (f"state = 'sent' AND {_QUICK}", f"state = 'sent' AND kind IN {_PICTURES}"),
    StorageState.CRITICAL: (
        "state = 'sent'",
        "state = 'waiting'",
        f"state = 'kept' AND {_QUICK} AND NOT {_ALARM}",
        f"state = 'kept' AND {_QUICK}",
    ),
}


def to_shed(database: apsw.Connection, state: StorageState) -> list[tuple[bytes, int]]:
    """Digests and sizes of what is to go next in this state: up to SHED_FILES of one class, empty when none may."""
    classes = [*_CLASSES[StorageState.HIGH]] if state in _CLASSES else []
    if state is StorageState.CRITICAL:
        classes += _CLASSES[StorageState.CRITICAL]
    for which in classes:
        rows: list[tuple[Any, ...]] = database.execute(
            f"SELECT sha256, size FROM blob WHERE {which} ORDER BY position LIMIT ?",  # noqa: S608 - our own words
            (SHED_FILES,),
        ).fetchall()
        if rows:
            return [(sha256, size) for sha256, size in rows]
    return []
