"""One vehicle's record, from the domain's words to the wire's messages."""

from collections.abc import Sequence
from typing import Any, assert_never

from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.evidence import EvidenceRef
from edge_agent.domain.inspection import (
    Abandoned,
    Complete,
    Incomplete,
    Inspection,
    MissingReason,
    PlateSeen,
    ScanSeen,
    SealSeen,
    SealStateSeen,
    SpectrumSeen,
    TagSeen,
    Voted,
    VotedCode,
    Weighed,
)
from edge_agent.domain.joining import Away, Belonging, DeviceReads
from edge_agent.domain.observation import CharacterRead, Direction, Nuclide, RadiationKind, RadiationOccupancy
from edge_agent.wire.clipping import clip
from edge_agent.wire.codec_expected import match_message
from edge_agent.wire.codec_findings import RECOMMENDATIONS, findings
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1.joining_pb2 import Belonging as Message

_CLOCK_STATES = {
    ClockState.UNKNOWN: wire.CLOCK_STATE_UNSPECIFIED,
    ClockState.SYNCHRONISED: wire.CLOCK_STATE_SYNCHRONISED,
    ClockState.UNSYNCHRONISED: wire.CLOCK_STATE_UNSYNCHRONISED,
}
_REASONS = {
    MissingReason.NOT_SEEN: wire.MISSING_REASON_NOT_SEEN,
    MissingReason.COULD_NOT_LOOK: wire.MISSING_REASON_COULD_NOT_LOOK,
}
_DIRECTIONS = {
    Direction.FORWARD: wire.DIRECTION_FORWARD,
    Direction.BACKWARD: wire.DIRECTION_BACKWARD,
}
RADIATION = {
    RadiationKind.GAMMA: wire.RADIATION_KIND_GAMMA,
    RadiationKind.NEUTRON: wire.RADIATION_KIND_NEUTRON,
}


# Devices can state texts of any length. Cut to these, the fullest inspection fits its envelope; the whole is in the
# raw capture and in the files themselves.
MAX_NUMBER = 64
MAX_WORDS = 200
MAX_MEMORY = 256
MAX_NUCLIDES = 32
MAX_FILES = 8


def reason_named(value: int) -> MissingReason | None:
    """A MissingReason of the wire; None for one that is not known here."""
    return next((name for name, known in _REASONS.items() if known == value), None)


def instant(at: Instant) -> wire.Instant:
    """A moment on the booth's clock."""
    error = at.error
    return wire.Instant(
        utc_us=round(at.utc.timestamp() * 1e6),
        monotonic_ns=at.monotonic_ns,
        clock_state=_CLOCK_STATES[at.clock_state],
        clock_error=wire.ClockError(estimated_us=error.estimated_us, bound_us=error.bound_us) if error else None,
    )


def evidence_ref(ref: EvidenceRef) -> wire.EvidenceRef:
    """Evidence by its digest."""
    return wire.EvidenceRef(kind=ref.kind.value, media_type=ref.media_type, sha256=ref.sha256, size=ref.size)


def inspection(closed: Inspection) -> wire.Inspection:
    """One vehicle's whole record."""
    message = wire.Inspection(
        id=closed.id,
        lane_id=closed.lane_id,
        opened=instant(closed.opened),
        closed=instant(closed.closed),
        container_codes=[_voted_code(code) for code in closed.container_codes],
        seals=[_seal(seal) for seal in closed.seals],
        radiation=[_occupancy(occupancy) for occupancy in closed.radiation],
        observations=closed.observations,
        seal_states=[_seal_state(seen) for seen in closed.seal_states],
        tags=[_tag(seen) for seen in closed.tags],
        weights=[_weighed(seen) for seen in closed.weights],
        spectra=[_spectrum(seen) for seen in closed.spectra],
        scans=[scan(seen) for seen in closed.scans],
        direction=_direction(closed.direction),
        expectation=None if closed.expectation is None else match_message(closed.expectation),
        plates=[_plate(seen) for seen in closed.plates],
        device_reads=[_device_reads(reads) for reads in closed.device_reads],
        resumed=[_away(away) for away in closed.resumed],
        findings=findings(closed.findings),
        recommendation=None if closed.recommendation is None else RECOMMENDATIONS[closed.recommendation],
        looked_for=[what.value for what in closed.looked_for],
    )
    if closed.plate is not None:
        message.plate.CopyFrom(_voted(closed.plate))
    outcome = closed.outcome
    match outcome:
        case Complete():
            message.complete.SetInParent()
        case Incomplete():
            message.incomplete.missing.extend(
                wire.Missing(what=m.what.value, reason=_REASONS[m.reason], detail=clip(m.detail, MAX_WORDS))
                for m in outcome.missing
            )
            message.incomplete.SetInParent()
        case Abandoned():
            message.abandoned.why = clip(outcome.why, MAX_WORDS)
            message.abandoned.SetInParent()
        case _:
            assert_never(outcome)
    return message


def shorten(message: wire.Inspection, too_many: int) -> None:
    """Leaves out the ends of the largest lists, until the record is `too_many` bytes smaller or they are empty.

    Findings go last of all.
    """
    lists: list[Any] = [
        *(message.tags, message.seal_states, message.spectra, message.scans, message.seals, message.weights),
        *(message.radiation, message.container_codes, message.plates, message.device_reads),
    ]
    wanted = message.ByteSize() - too_many
    while message.ByteSize() > wanted and (any(lists) or message.findings):
        largest = max(lists, key=lambda entries: sum(entry.ByteSize() for entry in entries))
        del (largest or message.findings)[-1]
        message.shortened = True


def _voted(vote: Voted) -> wire.Voted:
    return wire.Voted(
        text=vote.text,
        confidence=vote.confidence,
        characters=[_character(c) for c in vote.characters],
        reads=vote.reads,
        reads_other=vote.reads_other,
        others=vote.others,
        device_id=vote.device_id,
        in_series=vote.in_series,
    )


def _plate(seen: PlateSeen) -> wire.PlateSeen:
    return wire.PlateSeen(vote=_voted(seen.vote), role=seen.role.value)


def _device_reads(reads: DeviceReads) -> wire.DeviceReads:
    texts = [wire.TextRead(text=t.text, reads=t.reads, confidence=t.confidence, fits=t.fits) for t in reads.texts]
    return wire.DeviceReads(device_id=reads.device_id, what=reads.what, sees=reads.sees, texts=texts)


def _away(away: Away) -> wire.Away:
    return wire.Away(since=instant(away.since), until=instant(away.until), stopped=away.stopped)


def _character(character: CharacterRead) -> wire.CharacterRead:
    return wire.CharacterRead(
        character=character.character,
        confidence=character.confidence,
        alternatives=[wire.Alternative(character=c, confidence=p) for c, p in character.alternatives],
    )


def _voted_code(code: VotedCode) -> wire.VotedCode:
    return wire.VotedCode(
        vote=_voted(code.vote),
        check_digit_ok=code.check_digit_ok,
        size_type=code.size_type,
        role=code.role.value if code.role else "",
        place=code.place,
    )


def _seal(seal: SealSeen) -> wire.SealSeen:
    return wire.SealSeen(
        number=seal.number,
        symbology=seal.symbology,
        device_id=seal.device_id,
        at=instant(seal.at),
        on=_belonging(seal.on),
    )


def _belonging(on: Belonging | None) -> Message | None:
    if on is None:
        return None
    return Message(carrier=on.carrier.value, text=clip(on.text, MAX_NUMBER), place=on.place, known_by=on.known_by.value)


def _occupancy(occupancy: RadiationOccupancy) -> wire.RadiationOccupancy:
    return wire.RadiationOccupancy(
        number=occupancy.number,
        duration_s=occupancy.duration_s,
        gamma_alarm=occupancy.gamma_alarm,
        neutron_alarm=occupancy.neutron_alarm,
        cross_check_sigma=occupancy.cross_check_sigma,
        cross_check_alarm=occupancy.cross_check_alarm,
        gamma_background=occupancy.gamma_background or (),
        neutron_background_milli=occupancy.neutron_background_milli,
        gamma_samples=occupancy.gamma_samples,
        speed_kmh=occupancy.speed_kmh,
        suppression=occupancy.suppression,
        direction=_direction(occupancy.direction),
    )


def _direction(direction: Direction | None) -> wire.Direction.ValueType | None:
    return None if direction is None else _DIRECTIONS[direction]


def _seal_state(seen: SealStateSeen) -> wire.SealState:
    state = seen.state
    return wire.SealState(
        number=clip(state.number, MAX_NUMBER),
        condition=state.condition.value,
        detail=clip(state.detail, MAX_WORDS),
        device_id=seen.device_id,
        at=instant(seen.at),
        on=_belonging(seen.on),
    )


def _tag(seen: TagSeen) -> wire.TagSeen:
    tag = seen.tag
    return wire.TagSeen(
        epc=clip(tag.epc, MAX_MEMORY),
        text=clip(tag.text, MAX_MEMORY),
        antenna=tag.antenna,
        rssi_dbm=tag.rssi_dbm,
        tid=clip(tag.tid, MAX_NUMBER),
        memory=clip(tag.memory, MAX_MEMORY),
        reads=seen.reads,
        device_id=seen.device_id,
        at=instant(seen.at),
        states=seen.states.value if seen.states else "",
        on=_belonging(seen.on),
    )


def _weighed(seen: Weighed) -> wire.Weighed:
    weight = seen.weight
    return wire.Weighed(
        kg=weight.kg,
        shown=clip(weight.shown, MAX_NUMBER),
        unit=clip(weight.unit, MAX_NUMBER),
        gross=weight.gross,
        tare_kg=weight.tare_kg,
        device_id=seen.device_id,
        at=instant(seen.at),
    )


def _spectrum(seen: SpectrumSeen) -> wire.Spectrum:
    measured = seen.measurement
    return wire.Spectrum(
        instrument=clip(measured.instrument, MAX_WORDS),
        live_s=measured.live_s,
        real_s=measured.real_s,
        gamma_counts=measured.gamma_counts,
        neutron_counts=measured.neutron_counts,
        gamma_alarm=measured.gamma_alarm,
        neutron_alarm=measured.neutron_alarm,
        nuclides=_nuclides(measured.nuclides),
        speed_kmh=measured.speed_kmh,
        device_id=seen.device_id,
        at=instant(seen.at),
    )


def _nuclides(nuclides: Sequence[Nuclide]) -> list[wire.Nuclide]:
    return [
        wire.Nuclide(name=clip(n.name, MAX_NUMBER), confidence=n.confidence, category=clip(n.category, MAX_NUMBER))
        for n in nuclides[:MAX_NUCLIDES]
    ]


def scan(seen: ScanSeen) -> wire.Scan:
    """A scan with the digests of its files."""
    image = seen.scan
    return wire.Scan(
        scan_id=clip(image.scan_id, MAX_WORDS),
        format=clip(image.format, MAX_NUMBER),
        vehicle_number=clip(image.vehicle_number, MAX_NUMBER),
        width=image.width,
        height=image.height,
        note=clip(image.note, MAX_WORDS),
        device_time=clip(seen.device_time, MAX_NUMBER),
        device_id=seen.device_id,
        at=instant(seen.at),
        joined_by=seen.how.value,
        files=[evidence_ref(ref) for ref in seen.files[:MAX_FILES]],
    )
