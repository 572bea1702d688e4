"""One vehicle's passage: every observation that belongs to it, joined, with an outcome."""

from dataclasses import dataclass
from enum import StrEnum

from edge_agent.domain.clock import Instant
from edge_agent.domain.evidence import EvidenceRef
from edge_agent.domain.expected import ExpectationMatch
from edge_agent.domain.finding import Finding, Recommendation
from edge_agent.domain.joining import Away, Belonging, CodeRole, DeviceReads, PlateRole
from edge_agent.domain.observation import (
    CharacterRead,
    Direction,
    RadiationOccupancy,
    ScanImage,
    SealState,
    SpectroscopicMeasurement,
    TagRead,
    Weight,
)


class Expected(StrEnum):
    """What a lane is meant to learn of each vehicle."""

    PLATE = "plate"
    CONTAINER_CODE = "container_code"
    SEAL = "seal"
    RADIATION = "radiation"
    TAG = "tag"
    WEIGHT = "weight"
    SCAN = "scan"


class MissingReason(StrEnum):
    """'Nothing seen' and 'could not look' are different facts."""

    NOT_SEEN = "not_seen"
    COULD_NOT_LOOK = "could_not_look"


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that the lane expects and did not learn."""

    what: Expected
    reason: MissingReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Complete:
    """Everything that the lane expects was learnt."""


@dataclass(frozen=True, slots=True)
class Incomplete:
    """The vehicle left, and something is missing. A normal outcome: a truck may have no plate."""

    missing: tuple[Missing, ...]


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The passage did not come to its end: no departure in time, or the agent stopped in between."""

    why: str


Outcome = Complete | Incomplete | Abandoned


@dataclass(frozen=True, slots=True)
class Voted:
    """One identifier after voting over its reads.

    `text` is what most evidence supports; `reads` says how many frames spoke for it and `reads_other` how many
    read something else; `others` are those texts, most supported first. Nothing is corrected. `in_series`: a plate has
    the form of a series that is expected in the region; None of a code, and where no series is known.
    """

    text: str
    confidence: float
    characters: tuple[CharacterRead, ...]
    reads: int
    reads_other: int = 0
    others: tuple[str, ...] = ()
    device_id: str = ""
    in_series: bool | None = None


@dataclass(frozen=True, slots=True)
class PlateSeen:
    """A plate after voting, and whose it is."""

    vote: Voted
    role: PlateRole = PlateRole.UNKNOWN


@dataclass(frozen=True, slots=True)
class VotedCode:
    """A container code after voting; the check digit is evidence beside the text.

    `place`: of several containers 1 is the foremost; 0 where their order is not known. A chassis has none.
    """

    vote: Voted
    check_digit_ok: bool
    size_type: str = ""
    role: CodeRole | None = None
    place: int = 0


@dataclass(frozen=True, slots=True)
class SealSeen:
    """A seal's number, scanned from its label. `on`: None where it is not known what it is on."""

    number: str
    symbology: str
    device_id: str
    at: Instant
    on: Belonging | None = None


@dataclass(frozen=True, slots=True)
class SealStateSeen:
    """A seal's condition, each change of it once. `on` as of SealSeen."""

    state: SealState
    device_id: str
    at: Instant
    on: Belonging | None = None


@dataclass(frozen=True, slots=True)
class TagSeen:
    """A UHF tag: its strongest read, when it first answered, and how often it did.

    `states`: the kind of identifier of the same inspection that it carries; None if it carries none. `on` as of
    SealSeen.
    """

    tag: TagRead
    device_id: str
    at: Instant
    reads: int = 1
    states: Expected | None = None
    on: Belonging | None = None


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a scale settled on: of its settled indications the one that it showed longest, the larger of two.

    Axle groups that are weighed one after the other are several scales, or a scale that adds them up itself.
    """

    weight: Weight
    device_id: str
    at: Instant


@dataclass(frozen=True, slots=True)
class SpectrumSeen:
    """What a spectroscopic portal measured of this vehicle."""

    measurement: SpectroscopicMeasurement
    device_id: str
    at: Instant


class ScanJoin(StrEnum):
    """Why a scan belongs to an inspection."""

    NUMBER = "number"  # the scanner stated a number that was read on the vehicle
    TIME = "time"  # it was taken, or it came, while the vehicle was in the lane
    NONE = "none"  # it belongs to no inspection that the booth knows


@dataclass(frozen=True, slots=True)
class ScanSeen:
    """A scan that belongs to this vehicle; `files` name its bytes."""

    scan: ScanImage
    device_id: str
    at: Instant
    how: ScanJoin
    files: tuple[EvidenceRef, ...] = ()
    device_time: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    """One vehicle's passage.

    `container_codes` holds those read, most supported first. `observations` counts what was joined; the raw capture
    among the evidence holds them with their raw bytes, the first 2 MiB and 30,000 of them. `scans` holds those that had
    come when it closed: a later one is an event of its own that names this inspection. `plate` is the first of
    `plates`: the tractor's, where one was read as that. `findings` are what the rules
    found then, the gravest first; `recommendation` is None where no rules were applied. `expectation` is None where the
    port tells of none. `looked_for`: what at least one device that can give it could see all the time.
    """

    id: str
    lane_id: str
    opened: Instant
    closed: Instant
    outcome: Outcome
    plate: Voted | None = None
    container_codes: tuple[VotedCode, ...] = ()
    seals: tuple[SealSeen, ...] = ()
    radiation: tuple[RadiationOccupancy, ...] = ()
    observations: int = 0
    seal_states: tuple[SealStateSeen, ...] = ()
    tags: tuple[TagSeen, ...] = ()
    weights: tuple[Weighed, ...] = ()
    spectra: tuple[SpectrumSeen, ...] = ()
    scans: tuple[ScanSeen, ...] = ()
    direction: Direction | None = None
    plates: tuple[PlateSeen, ...] = ()
    device_reads: tuple[DeviceReads, ...] = ()
    resumed: tuple[Away, ...] = ()
    expectation: ExpectationMatch | None = None
    findings: tuple[Finding, ...] = ()
    recommendation: Recommendation | None = None
    looked_for: tuple[Expected, ...] = ()
