"""What the recorder's thread does when nobody waits for it: one small step at a time, then it looks for events again.

step ─► announce (an event of the ledger's own) ─► trim a few events ─► remove a few files ─► …
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.domain.event import EventBody, EventsTrimmed
from edge_agent.ledger.evidence_files import EvidenceFiles
from edge_agent.ledger.trimming import Retention

DAY_S = 86_400.0
# Every announcement is an event that the port keeps for ever: at least so many seconds lie between two.
ANNOUNCE_S = 3_600.0
# How often it is looked whether there is something to do.
LOOK_S = 5.0
# While events come without a pause, so often is a step taken all the same.
BUSY_S = 1.0


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long the ledger keeps events and evidence that the port has acknowledged, in seconds.

    Long enough that a port that lost data can be refilled from here.
    """

    retention_s: float = 14 * DAY_S


class Housekeeper:
    """Used from the recorder's thread. `record` makes an event of the ledger's own durable, or raises StoreFull."""

    def __init__(self, keeping: Keeping, evidence: EvidenceFiles, monotonic: Callable[[], float]) -> None:
        self._keeping, self._evidence, self._monotonic = keeping, evidence, monotonic
        self._looked = -math.inf
        self._busy = False

    def due(self, idle: bool) -> bool:
        """Whether to take a step now: at once while there is more to do, but for events that come meanwhile."""
        ago = self._monotonic() - self._looked
        return ago >= LOOK_S or (self._busy and (idle or ago >= BUSY_S))

    def step(self, retention: Retention, record: Callable[[EventBody], None]) -> bool:
        """One step; whether there may be more to do at once. Raises what Store's methods raise."""
        self._looked, self._busy = self._monotonic(), False  # also when it fails
        self._busy = self._take_step(retention, record)
        return self._busy

    def _take_step(self, retention: Retention, record: Callable[[EventBody], None]) -> bool:
        retention.note_time()
        said = self._due(retention)
        if said is not None:
            record(said)
            retention.announced(said)
            return True
        return retention.trim(self._keeping.retention_s) or self._remove(retention)

    def _due(self, retention: Retention) -> EventsTrimmed | None:
        if retention.announced_ago_s < min(ANNOUNCE_S, self._keeping.retention_s):
            return None
        return retention.due(self._keeping.retention_s)

    def _remove(self, retention: Retention) -> bool:
        doomed = retention.doomed()
        for sha256 in doomed:
            self._evidence.remove(sha256)
        if doomed:
            retention.buried(doomed)
        return bool(doomed)
