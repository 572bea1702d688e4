"""Lets a test of the lane read as a script: what happens, second by second, and what follows."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count

from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.event import (
    AlarmRaised,
    DecisionRecorded,
    DeviceChanged,
    Draft,
    EventBody,
    EventsTrimmed,
    EvidenceShed,
    FindingsAdded,
    InspectionClosed,
    InspectionOpened,
    KeyRotated,
    ScanReceived,
    SessionOpened,
    StorageLevel,
    Unassigned,
)
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.identifiers import check_digit_ok
from edge_agent.domain.inspection import Abandoned, Complete, Expected, Incomplete
from edge_agent.domain.observation import (
    Body,
    Box,
    Channel,
    CharacterRead,
    ContainerCodeRead,
    DeviceFault,
    DeviceSetup,
    DeviceState,
    DeviceStatus,
    Nuclide,
    Observation,
    PlateRead,
    Presence,
    RadiationAlarm,
    RadiationKind,
    RadiationOccupancy,
    RadiationSample,
    ScanImage,
    SealCondition,
    SealRead,
    SealState,
    SpectroscopicMeasurement,
    TagRead,
    Weight,
)
from edge_agent.domain.retention import EvidenceDeleted
from edge_agent.domain.statistics import LaneStatistics
from edge_agent.inspection.assemble import Provider
from edge_agent.inspection.lane import Lane
from edge_agent.inspection.records import LaneRules
from edge_agent.inspection.whereabouts import Place

START = datetime(2026, 1, 1, tzinfo=UTC)
EVERYTHING = (Expected.PLATE, Expected.CONTAINER_CODE, Expected.SEAL, Expected.RADIATION)
PROVIDERS = (
    Provider("front", frozenset({Expected.PLATE})),
    Provider("rear", frozenset({Expected.CONTAINER_CODE})),
    Provider("scanner", frozenset({Expected.SEAL})),
    Provider("portal", frozenset({Expected.RADIATION}), silent_is_down=True),
)


def instant(seconds: float) -> Instant:
    return Instant(START + timedelta(seconds=seconds), round(seconds * 1e9), ClockState.SYNCHRONISED)


def characters(text: str, confidence: float) -> tuple[CharacterRead, ...]:
    return tuple(CharacterRead(c, confidence) for c in text)


def plate(text: str, confidence: float = 0.9, likeness: float = 1.0) -> PlateRead:
    return PlateRead(text, confidence, characters(text, confidence), Box(0, 0, 100, 30), text, likeness)


def code(text: str, confidence: float = 0.9, size_type: str = "") -> ContainerCodeRead:
    return ContainerCodeRead(
        text, confidence, characters(text, confidence), Box(0, 0, 200, 30), check_digit_ok(text), size_type
    )


def seal(number: str) -> SealRead:
    return SealRead(number, "Code 128")


def sample(*counts: int, in_alarm: bool = False) -> RadiationSample:
    return RadiationSample(RadiationKind.GAMMA, Channel.OCCUPIED, counts, 0.2, in_alarm)


def background(*counts: int) -> RadiationSample:
    return RadiationSample(RadiationKind.GAMMA, Channel.BACKGROUND, counts, 1.0)


def alarm(*counts: int) -> RadiationAlarm:
    return RadiationAlarm(RadiationKind.GAMMA, counts)


def occupancy(number: int = 1, gamma_alarm: bool = False) -> RadiationOccupancy:
    return RadiationOccupancy(number, 3.0, gamma_alarm, False, 1.2, False, (300, 300, 300, 300), 1000, 15)


def status(state: DeviceState, detail: str = "") -> DeviceStatus:
    return DeviceStatus(state, detail)


def picture(text: str) -> tuple[Evidence, ...]:
    return (Evidence(EvidenceKind.FRAME, "image/jpeg", text.encode()),)


def tag(epc: str, rssi_dbm: float | None = None, tid: str = "") -> TagRead:
    return TagRead(epc, "", 1, rssi_dbm, tid)


def seal_state(number: str, condition: SealCondition = SealCondition.PRESENT) -> SealState:
    return SealState(number, condition)


def weight(kg: float, settled: bool = True) -> Weight:
    return Weight(kg, settled, f"{kg:.0f}", "kg", True)


def spectrum(*nuclides: str, gamma_alarm: bool = False) -> SpectroscopicMeasurement:
    return SpectroscopicMeasurement(
        "maker model 1", 3.0, 3.1, 900, 2, gamma_alarm, False, tuple(Nuclide(name, 0.9) for name in nuclides)
    )


def scan(scan_id: str, vehicle_number: str = "") -> ScanImage:
    return ScanImage(scan_id, "dicos", vehicle_number, 800, 600)


def setup(**values: str) -> DeviceSetup:
    return DeviceSetup(tuple(values.items()))


ARRIVES, DEPARTS = Presence(True), Presence(False)


class Script:
    """A lane under test. `at(seconds, device, body)` observes; `until(seconds)` lets time pass, waking when asked."""

    def __init__(
        self,
        connected: bool = True,
        expects: tuple[Expected, ...] = EVERYTHING,
        places: Mapping[str, Place] | None = None,
        series: Mapping[str, float] | None = None,
        longest_s: float = 60.0,
    ) -> None:
        ids = count(1)
        rules = LaneRules("1", expects, settle_s=3.0, longest_s=longest_s, places=places or {}, series=series or {})
        self.lane = Lane(rules, PROVIDERS, lambda: f"inspection-{next(ids)}")
        self.drafts: list[Draft] = []
        self.observed: list[Observation] = []
        self._ids = count(1)
        if connected:
            for provider in PROVIDERS:
                self.at(0, provider.device_id, status(DeviceState.ONLINE))
            self.said()

    def at(
        self,
        seconds: float,
        device: str,
        body: Body,
        raw: bytes = b"",
        evidence: tuple[Evidence, ...] = (),
        device_time: str = "",
    ) -> "Script":
        self.until(seconds)
        place = (f"o{next(self._ids)}", device, "1", instant(seconds))
        observation = Observation(*place, body, raw, evidence, device_time)
        self.observed.append(observation)
        self.drafts += self.lane.observe(observation)
        return self

    def until(self, seconds: float) -> "Script":
        while (wake := self.lane.next_wake()) is not None and wake <= seconds:
            drafts = self.lane.woke(instant(wake))
            self.drafts += drafts
            if not drafts and self.lane.next_wake() == wake:
                raise AssertionError(f"the lane asks to be woken at {wake} and then does nothing")
        return self

    def said(self) -> list[str]:
        """What followed since the last call, in short words."""
        words = [in_short(draft.body) for draft in self.drafts]
        self.closed = [d.body.inspection for d in self.drafts if isinstance(d.body, InspectionClosed)]
        self.evidence = [d.evidence for d in self.drafts if isinstance(d.body, InspectionClosed)]
        self.drafts = []
        return words


def in_short(body: EventBody) -> str:
    match body:
        case InspectionOpened():
            return f"opened by {body.cause}"
        case InspectionClosed():
            inspection = body.inspection
            outcome = inspection.outcome
            match outcome:
                case Complete():
                    how = "complete"
                case Incomplete():
                    how = "without " + ", ".join(f"{m.what} ({m.reason})" for m in outcome.missing)
                case Abandoned():
                    how = f"abandoned: {outcome.why}"
            return f"closed {inspection.plate.text if inspection.plate else '-'} {how}"
        case AlarmRaised():
            return f"alarm in {body.inspection_id or 'no inspection'}"
        case DeviceChanged():
            what = body.what
            match what:
                case DeviceStatus():
                    return f"{body.device_id} {what.state}"
                case DeviceFault():
                    return f"{body.device_id} {what.fault}"
                case DeviceSetup():
                    return f"{body.device_id} setup {', '.join(what.changed)}".rstrip()
        case ScanReceived():
            return f"scan {body.scan.scan.scan_id} by {body.scan.how} in {body.inspection_id or 'no inspection'}"
        case Unassigned():
            late = f" of {body.inspection_id}" if body.inspection_id else ""
            more = f" and {body.unreported} more" if body.unreported else ""
            return f"unassigned {type(body.observation.body).__name__}{late}{more}"
        case LaneStatistics():
            return f"{body.vehicles} vehicles in {body.covered_s:g} s"
        case FindingsAdded():
            return f"found later in {body.inspection_id}: {', '.join(found.key for found in body.findings)}"
        case SessionOpened() | KeyRotated() | EventsTrimmed() | StorageLevel() | EvidenceShed() | EvidenceDeleted():
            return "the ledger's own"
        case DecisionRecorded():
            return f"decided {body.decision} for {body.inspection_id}"
