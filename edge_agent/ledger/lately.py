"""The vehicles that left a booth's lanes lately, read back from the ledger: more may become known of them.

A crossing may be announced that is one of theirs, or a scan come that states a number which was read on one.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.finding import Cause, Origin
from edge_agent.domain.inspection import Inspection, ScanSeen
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.wire.codec_recall import UNMATCHED, recalled, scan_recalled
from edge_agent.wire.v1alpha1.event_pb2 import Event

# Some hours of a busy booth.
LAST_EVENTS = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Left:
    """A vehicle that left; `files` are the digests of its evidence by kind.

    `unmatched`: the port had announced no such crossing, and nothing was found of it by a later one.
    """

    inspection: Inspection
    files: Mapping[EvidenceKind, tuple[bytes, ...]]
    unmatched: bool


@dataclass(frozen=True, slots=True)
class Lately:
    """One lane's: the vehicles in the order in which they left, and the scans that belong to none."""

    left: tuple[Left, ...] = ()
    waiting: tuple[ScanSeen, ...] = ()


def lately(reader: LedgerReader) -> dict[str, Lately]:
    """By lane. Raises StoreFailed, StoreCorrupt."""
    return of_events(reader.of_vehicles_that_left(LAST_EVENTS))


def of_events(events: Iterable[Event]) -> dict[str, Lately]:
    """As `lately`, of these events."""
    left, waiting, found = dict[str, Left](), list[tuple[str, ScanSeen]](), set[str]()
    for event in events:
        try:
            if event.HasField("inspection_closed"):
                one = _left(event)
                left[one.inspection.id] = one
            elif event.HasField("scan_received") and not event.scan_received.inspection_id:
                waiting.append((event.scan_received.lane_id, scan_recalled(event.scan_received.scan)))
        except ValueError as error:  # of another version
            log.warning("event %d is not known any more to what comes later: %s", event.seq, error)
        added = event.findings_added
        if added.origin == Origin.BOOTH and added.cause == Cause.EXPECTATION:
            found.add(added.inspection_id)
    joined = {(scan.device_id, scan.at) for one in left.values() for scan in one.inspection.scans}
    lanes = {one.inspection.lane_id for one in left.values()} | {lane for lane, _ in waiting}
    return {
        lane: Lately(
            tuple(
                Left(one.inspection, one.files, one.unmatched and id not in found)
                for id, one in left.items()
                if one.inspection.lane_id == lane
            ),
            tuple(scan for of, scan in waiting if of == lane and (scan.device_id, scan.at) not in joined),
        )
        for lane in lanes
    }


def _left(event: Event) -> Left:
    message = event.inspection_closed.inspection
    files: dict[EvidenceKind, tuple[bytes, ...]] = {}
    for ref in event.evidence:
        files[EvidenceKind(ref.kind)] = (*files.get(EvidenceKind(ref.kind), ()), ref.sha256)
    return Left(recalled(message), files, message.HasField("expectation") and message.expectation.outcome in UNMATCHED)
