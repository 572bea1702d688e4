"""What the agent commits to the ledger, before it is sealed.

A stage hands a `Draft` to the ledger; sealing adds booth, epoch, sequence and the previous hash.
"""

from dataclasses import dataclass
from enum import StrEnum

from edge_agent.domain.clock import Instant
from edge_agent.domain.evidence import Evidence
from edge_agent.domain.finding import Cause, Decision, Finding, Origin
from edge_agent.domain.inspection import Inspection, ScanSeen
from edge_agent.domain.observation import DeviceFault, DeviceSetup, DeviceStatus, Observation, RadiationKind
from edge_agent.domain.retention import EvidenceDeleted
from edge_agent.domain.statistics import LaneStatistics


@dataclass(frozen=True, slots=True)
class Replaced:
    """The damaged ledger in whose place this one was begun: what was found whole of it, and the gaps in that.

    `earlier` are the epochs in whose place that one itself was begun.
    """

    epoch: bytes
    last_seq: int
    last_sha256: bytes
    found: int
    missing: tuple[tuple[int, int], ...] = ()
    earlier: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The agent started: the booth's device key vouches for the session key that signs what follows.

    `while_running`: it was running already, and its session before was old.
    `replaces` stands in the first event of a ledger that was begun in place of a damaged one.
    `public_key` is the session key's SubjectPublicKeyInfo in DER.
    """

    public_key: bytes
    agent_version: str
    replaces: Replaced | None = None
    while_running: bool = False


@dataclass(frozen=True, slots=True)
class KeyRotated:
    """The booth hands over to a new device key; the session that says so is over with it.

    `certificate` (X.509 in DER) names the booth and the new key, `possession` is that key's signature.
    """

    certificate: bytes
    possession: bytes


@dataclass(frozen=True, slots=True)
class InspectionOpened:
    """A vehicle arrived; `cause` says what opened it: presence, plate or container_code."""

    inspection_id: str
    lane_id: str
    cause: str


@dataclass(frozen=True, slots=True)
class InspectionClosed:
    """A vehicle left, or its passage was given up."""

    inspection: Inspection


@dataclass(frozen=True, slots=True)
class AlarmRaised:
    """A radiation alarm, committed at once. `inspection_id` is '' when no inspection is open."""

    inspection_id: str
    lane_id: str
    device_id: str
    kind: RadiationKind
    counts: tuple[int, ...]
    raw: bytes


@dataclass(frozen=True, slots=True)
class DeviceChanged:
    """A device's connection changed its state, it reports a fault of its own or the end of one, or its set-up."""

    device_id: str
    lane_id: str
    what: DeviceStatus | DeviceFault | DeviceSetup


@dataclass(frozen=True, slots=True)
class ScanReceived:
    """A scan came in, whole: committed at once, since it was taken over from the scanner.

    `inspection_id` names the inspection that it belongs to, open or closed; '' if there is none. A scan that came
    before its vehicle is named by that vehicle's Inspection as well.
    """

    inspection_id: str
    lane_id: str
    scan: ScanSeen


@dataclass(frozen=True, slots=True)
class Unassigned:
    """Something was read that belongs to no vehicle in the lane. `inspection_id` names the one for which it came too
    late, '' if there is none. `unreported`: so many others came since the last report and are only counted; when that
    is done, and how often repeats are reported, is said in inspection/lane.py."""

    observation: Observation
    inspection_id: str = ""
    unreported: int = 0


@dataclass(frozen=True, slots=True)
class EventsTrimmed:
    """The ledger is about to drop its oldest events: the port acknowledged them, and their retention is over.

    `through_seq` is the last of them, `sha256` its envelope's digest.
    """

    through_seq: int
    sha256: bytes


class StorageState(StrEnum):
    """How full the booth's disk is, or its own budget: from 70, 85 and 95 % on; back again 5 points lower."""

    NORMAL = "normal"
    FILLING = "filling"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class StorageLevel:
    """The disk under the ledger fills, or has room again. Bytes used and there, of what is fuller: disk or budget."""

    state: StorageState
    used_bytes: int
    capacity_bytes: int


@dataclass(frozen=True, slots=True)
class EvidenceShed:
    """Evidence was removed before its retention was over, for room on the disk: its digests, and bytes in all."""

    sha256: tuple[bytes, ...]
    size: int


@dataclass(frozen=True, slots=True)
class FindingsAdded:
    """More became known of an inspection that is closed; its own record stays as it is.

    `message_id` is the port's id of what it sent; b'' if the booth found it.
    """

    inspection_id: str
    lane_id: str
    origin: Origin
    cause: Cause
    findings: tuple[Finding, ...]
    message_id: bytes = b""


@dataclass(frozen=True, slots=True)
class DecisionRecorded:
    """An officer decided over an inspection, at the port; `decided_utc_us` is by the port's clock."""

    inspection_id: str
    lane_id: str
    decision: Decision
    officer: str
    reason: str
    decided_utc_us: int
    message_id: bytes


EventBody = (
    SessionOpened
    | KeyRotated
    | InspectionOpened
    | InspectionClosed
    | AlarmRaised
    | DeviceChanged
    | ScanReceived
    | Unassigned
    | EventsTrimmed
    | StorageLevel
    | EvidenceShed
    | FindingsAdded
    | DecisionRecorded
    | EvidenceDeleted
    | LaneStatistics
)


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that is not in the ledger yet, with the evidence that must be on disk before it is."""

    body: EventBody
    at: Instant
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event that the ledger holds, read back. `draft` None: nothing that it says is asked for; `lane_id` '' then."""

    at: Instant
    lane_id: str = ""
    draft: Draft | None = None
