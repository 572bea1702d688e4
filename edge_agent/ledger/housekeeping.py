"""What the recorder's thread does when nobody waits for it: one small step at a time, then it looks for events again.

    step ─► say how full the disk is, if that changed
         ─► announce, then trim a few events (trimming.py) ─► remove a few files
         ─► delete evidence whose class has its own time (by_class.py)
         ─► shed evidence while the disk is too full (shedding.py) ─► put the ballast back

On a disk without room (`make_room`) the same is done at once in the ballast's space, and nothing is accepted before the
ballast is whole again: what makes room can always be written.
"""

import logging
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_agent.domain.errors import StoreFull
from edge_agent.domain.event import EventBody, EventsTrimmed, EvidenceShed, StorageLevel, StorageState
from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.retention import DAY_S, BoothRetention
from edge_agent.ledger.by_class import DELETED_FILES
from edge_agent.ledger.disk import Ballast, measure
from edge_agent.ledger.evidence_files import EvidenceFiles
from edge_agent.ledger.faults import file_faults
from edge_agent.ledger.store import BlobState
from edge_agent.ledger.trimming import Retention

# Every announcement is an event that the port keeps for ever: at least so many seconds lie between two.
ANNOUNCE_S = 3_600.0
# Of evidence that goes by its class an event names up to DELETED_FILES pieces: fewer wait so long for more.
DELETE_S = 300.0
# How often it is looked whether there is something to do.
LOOK_S = 5.0
# While events come without a pause, so often is a step taken all the same.
BUSY_S = 1.0
# Steps on a full disk before those who wait are tried again.
ROOM_STEPS = 100
BALLAST = "ballast"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long the ledger keeps events and evidence that the port has acknowledged, in seconds, and its place.

    Long enough that a port that lost data can be refilled from here. `budget_bytes`: what the ledger may use of its
    file system; None: all of it. `ballast_bytes`: kept back for what makes room on a full disk. `by_class`: which
    evidence goes before its event; None: none does.
    """

    retention_s: float = 14 * DAY_S
    budget_bytes: int | None = None
    ballast_bytes: int = 16 * 1024 * 1024
    by_class: BoothRetention | None = None

    @property
    def waiting(self) -> frozenset[EvidenceKind]:
        """What waits for a finding before the port is offered it."""
        return self.by_class.waiting if self.by_class is not None else frozenset()


class KeptStore(Protocol):
    """What it needs of the store."""

    @property
    def retention(self) -> Retention: ...

    def checkpoint(self, least_pages: int | None = None) -> None: ...


Record = Callable[[EventBody, Mapping[bytes, BlobState]], None]
"""Makes an event of the ledger's own durable, with new states of evidence. Raises StoreFull."""


class Housekeeper:
    """Used from the recorder's thread, for the ledger in `directory`."""

    def __init__(
        self, keeping: Keeping, directory: Path, evidence: EvidenceFiles, monotonic: Callable[[], float]
    ) -> None:
        self._keeping, self._directory, self._evidence, self._monotonic = keeping, directory, evidence, monotonic
        self._ballast = Ballast(directory / BALLAST, keeping.ballast_bytes)
        self._state = StorageState.NORMAL
        self._looked = self._deleted = -math.inf
        self._busy = False

    def due(self, idle: bool) -> bool:
        """Whether to take a step now: at once while there is more to do, but for events that come meanwhile."""
        ago = self._monotonic() - self._looked
        return ago >= LOOK_S or (self._busy and (idle or ago >= BUSY_S))

    def step(self, store: KeptStore, record: Record) -> bool:
        """One step; whether there may be more to do at once. Raises what Store's methods raise."""
        self._looked, self._busy = self._monotonic(), False  # also when it fails
        self._busy = self._take_step(store.retention, record)
        return self._busy

    def ready(self) -> bool:
        """Whether events may be accepted: not while the ballast is released."""
        return not self._ballast.released or self._ballast.hold()

    def lend(self) -> bool:
        """The ballast's space for the ledger's opening: nothing can be shed before it; whether there was any."""
        return self._ballast.release()

    def make_room(self, store: KeptStore, record: Record) -> bool:
        """On a full disk: let go what may go. Whether it is worth trying again at once."""
        if not (self._removable(store.retention) or store.retention.to_shed(StorageState.CRITICAL)):
            return False
        self._ballast.release()
        made = False
        with suppress(StoreFull):
            for _ in range(ROOM_STEPS):
                store.checkpoint(least_pages=1)  # what is in the log can then be written over
                shed = store.retention.to_shed(StorageState.CRITICAL)
                if not self._drop(store.retention) and not self._shed(shed, record):
                    break
                made = True
                if not store.retention.doomed() and self._measure(store.retention).state is not StorageState.CRITICAL:
                    break
        return self._ballast.hold() and made

    def _take_step(self, retention: Retention, record: Record) -> bool:
        retention.note_time()
        level = self._measure(retention)
        if level.state is not self._state:
            record(level, {})
            self._state = level.state
            share = level.used_bytes / level.capacity_bytes
            log.warning("the ledger's disk is %s: %.0f %% of %d bytes", level.state, 100 * share, level.capacity_bytes)
            return True
        said = self._due(retention)
        if said is not None:
            record(said, {})
            retention.announced(said)
            return True
        if (
            self._drop(retention)
            or self._delete(retention, record)
            or self._shed(retention.to_shed(self._state), record)
        ):
            return True
        self._ballast.hold()
        return False

    def _measure(self, retention: Retention) -> StorageLevel:
        budget = self._keeping.budget_bytes
        own = retention.own_bytes() + self._keeping.ballast_bytes if budget is not None else 0
        with file_faults(self._directory):
            return measure(self._directory, own, budget, self._state)

    def _due(self, retention: Retention) -> EventsTrimmed | None:
        if retention.announced_ago_s < min(ANNOUNCE_S, self._keeping.retention_s):
            return None
        return retention.due(self._keeping.retention_s)

    def _removable(self, retention: Retention) -> bool:
        return bool(retention.doomed()) or retention.trimmable(self._keeping.retention_s)

    def _drop(self, retention: Retention) -> bool:
        """Files first: that needs no room."""
        doomed = retention.doomed()
        for sha256 in doomed:
            self._evidence.remove(sha256)
        if doomed:
            retention.buried(doomed)
        return bool(doomed) or retention.trim(self._keeping.retention_s)

    def _delete(self, retention: Retention, record: Record) -> bool:
        """Once in DELETE_S, and more often while there is much."""
        if self._keeping.by_class is None:
            return False
        body = retention.to_delete(self._keeping.by_class, self._keeping.retention_s)
        now = self._monotonic()
        if body is None or (len(body.sha256) < DELETED_FILES and now - self._deleted < DELETE_S):
            return False
        record(body, dict.fromkeys(body.sha256, BlobState.DELETED))
        self._deleted = now
        log.info("%d pieces of evidence (%d bytes) are deleted: %s", len(body.sha256), body.size, body.reason)
        return True

    def _shed(self, shed: list[tuple[bytes, int]], record: Record) -> bool:
        if shed:
            digests = tuple(sha256 for sha256, _ in shed)
            body = EvidenceShed(digests, sum(size for _, size in shed))
            record(body, dict.fromkeys(digests, BlobState.SHED))
            log.warning("%d pieces of evidence (%d bytes) are removed early, for room", len(digests), body.size)
        return bool(shed)
