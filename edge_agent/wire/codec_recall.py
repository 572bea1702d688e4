"""What a booth reads back of its own records: of a vehicle that has left, what more may become known of."""

from datetime import UTC, datetime, timedelta

from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.evidence import EvidenceKind, EvidenceRef
from edge_agent.domain.inspection import (
    Abandoned,
    Complete,
    Expected,
    Incomplete,
    Inspection,
    Missing,
    MissingReason,
    Outcome,
    PlateSeen,
    ScanJoin,
    ScanSeen,
    SealSeen,
    SealStateSeen,
    Voted,
    VotedCode,
    Weighed,
)
from edge_agent.domain.joining import Belonging, Carrier, KnownBy, PlateRole
from edge_agent.domain.observation import ScanImage, SealCondition, SealState, Weight
from edge_agent.wire.codec_findings import finding_of
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1 import expected_pb2 as expected

_CLOCK_STATES = {
    wire.CLOCK_STATE_SYNCHRONISED: ClockState.SYNCHRONISED,
    wire.CLOCK_STATE_UNSYNCHRONISED: ClockState.UNSYNCHRONISED,
}
# Matched nothing when it closed: a crossing that is announced later may be this vehicle's.
UNMATCHED = (expected.MATCH_OUTCOME_NONE, expected.MATCH_OUTCOME_COULD_NOT_LOOK)


def recalled(message: wire.Inspection) -> Inspection:
    """The record, as far as a scan or a crossing that comes later is compared with it.

    Without what portals measured, tags, devices' own texts, characters, and what was expected. Raises ValueError on
    words that this version does not know.
    """
    return Inspection(
        id=message.id,
        lane_id=message.lane_id,
        opened=_instant(message.opened),
        closed=_instant(message.closed),
        outcome=outcome_of(message),
        plate=_voted(message.plate) if message.HasField("plate") else None,
        container_codes=tuple(VotedCode(_voted(c.vote), c.check_digit_ok) for c in message.container_codes),
        seals=tuple(SealSeen(s.number, s.symbology, s.device_id, _instant(s.at), _on(s)) for s in message.seals),
        seal_states=tuple(
            SealStateSeen(SealState(s.number, SealCondition(s.condition)), s.device_id, _instant(s.at), _on(s))
            for s in message.seal_states
        ),
        weights=tuple(
            Weighed(
                Weight(
                    w.kg,
                    True,
                    w.shown,
                    w.unit,
                    w.gross if w.HasField("gross") else None,
                    w.tare_kg if w.HasField("tare_kg") else None,
                ),
                w.device_id,
                _instant(w.at),
            )
            for w in message.weights
        ),
        scans=tuple(map(scan_recalled, message.scans)),
        plates=tuple(PlateSeen(_voted(p.vote), PlateRole(p.role)) for p in message.plates),
        findings=tuple(map(finding_of, message.findings)),
        looked_for=tuple(map(Expected, message.looked_for)),
    )


def scan_recalled(message: wire.Scan) -> ScanSeen:
    """A scan. Raises ValueError on words that this version does not know."""
    return ScanSeen(
        ScanImage(message.scan_id, message.format, message.vehicle_number, message.width, message.height, message.note),
        message.device_id,
        _instant(message.at),
        ScanJoin(message.joined_by),
        tuple(EvidenceRef(EvidenceKind(f.kind), f.media_type, f.sha256, f.size) for f in message.files),
        message.device_time,
    )


def _on(message: wire.SealSeen | wire.SealState) -> Belonging | None:
    on = message.on
    return Belonging(Carrier(on.carrier), on.text, KnownBy(on.known_by), on.place) if message.HasField("on") else None


def outcome_of(message: wire.Inspection) -> Outcome:
    """How the inspection of a verified event ended; an outcome that this version does not know is Abandoned."""
    match message.WhichOneof("outcome"):
        case "complete":
            return Complete()
        case "incomplete":
            return Incomplete(tuple(Missing(Expected(m.what), _reason(m.reason)) for m in message.incomplete.missing))
        case _:
            return Abandoned(message.abandoned.why)


def _reason(reason: wire.MissingReason.ValueType) -> MissingReason:
    looked = reason == wire.MISSING_REASON_NOT_SEEN
    return MissingReason.NOT_SEEN if looked else MissingReason.COULD_NOT_LOOK


def _voted(vote: wire.Voted) -> Voted:
    return Voted(vote.text, vote.confidence, (), vote.reads, vote.reads_other, tuple(vote.others), vote.device_id)


def _instant(message: wire.Instant) -> Instant:
    utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=message.utc_us)
    return Instant(utc, message.monotonic_ns, _CLOCK_STATES.get(message.clock_state, ClockState.UNKNOWN))
