"""Events in sentences, for the page of an evidence pack."""

from datetime import UTC, datetime, timedelta

from edge_agent.domain.carriers import on_in_words
from edge_agent.domain.counted import counted
from edge_agent.domain.terms import OUTCOMES, term
from edge_agent.wire.codec_findings import decision_named, recommendation_named, severity_named
from edge_agent.wire.codec_inspection import reason_named
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1.joining_pb2 import Belonging
from edge_agent.wire.v1alpha1.retention_pb2 import DELETION_REASON_NO_FINDING, DELETION_REASON_RETENTION_OVER

_CLOCKS = {
    wire.CLOCK_STATE_SYNCHRONISED: "the clock followed a time source",
    wire.CLOCK_STATE_UNSYNCHRONISED: "the clock did NOT follow a time source and may be wrong",
}
_EVIDENCE = {
    "frame": "Camera picture",
    "plate_crop": "Picture of the plate",
    "container_code_crop": "Picture of the container code",
    "radiation_profile": "Radiation measurements",
    "raw_capture": "Everything the devices sent, as it came",
    "n42": "Document of the spectroscopic portal",
    "scan": "File of the scanner, as it came",
    "quick_look": "Picture made from the scanner's file",
}
_RADIATION = {wire.RADIATION_KIND_GAMMA: "gamma", wire.RADIATION_KIND_NEUTRON: "neutron"}
_DELETED = {
    DELETION_REASON_NO_FINDING: "kept only with a finding, and there was none",
    DELETION_REASON_RETENTION_OVER: "the port had taken them, and their time at the booth was over",
}


def clock_in_words(at: wire.Instant) -> str:
    """Whether the booth's clock could be relied on at that moment."""
    return _CLOCKS.get(at.clock_state, "whether the clock followed a time source is not known")


def utc_in_words(at: wire.Instant) -> str:
    """A moment by the booth's clock. A signed event may carry any number; a date has a range."""
    us = min(max(at.utc_us, 0), 253_402_300_799_999_999)
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us):%Y-%m-%d %H:%M:%S} UTC"


def accuracy_in_words(us: int) -> str:
    """So many microseconds, in seconds: "± 1.5 s"."""
    whole, rest = divmod(us, 1_000_000)
    return f"± {whole}{f'.{rest:06d}'.rstrip('0') if rest else ''} s"


def kind_in_words(kind: str) -> str:
    """What a piece of evidence is."""
    return _EVIDENCE.get(kind, "Evidence")


def body_in_words(event: wire.Event) -> str:
    """What an event says, in one sentence."""
    kind = event.WhichOneof("body")
    if kind == "session_opened":
        return (
            "The booth's program started, and the device key vouched for the key that signs the events after this one."
        )
    if kind == "key_rotated":
        return "The booth handed over to a new device key: from here on the one before signs nothing more."
    if kind == "inspection_opened":
        opened = event.inspection_opened
        return f"A vehicle arrived in lane {opened.lane_id} (noticed by: {opened.cause.replace('_', ' ')})."
    if kind == "inspection_closed":
        closed = event.inspection_closed.inspection
        outcome, _ = OUTCOMES.get(closed.WhichOneof("outcome") or "", ("without an outcome", ""))
        return f"The inspection in lane {closed.lane_id} was closed: {outcome}. The record above is this event's."
    if kind == "alarm_raised":
        alarm = event.alarm_raised
        return f"The device {alarm.device_id} raised a {_RADIATION.get(alarm.kind, 'radiation')} alarm."
    if kind == "findings_added":
        added = event.findings_added
        said = " ".join(f"{one.sentence}" for one in added.findings)
        return f"After the inspection had been closed the {added.origin} found: {said}"
    if kind == "decision_recorded":
        made = event.decision_recorded
        decided = term(decision_named(made.decision))
        return f"By decision of the officer {made.officer} it was {decided}. The reason given: {made.reason}"
    if kind == "scan_received":
        scan = event.scan_received.scan
        return f"The device {scan.device_id} sent its scan {scan.scan_id}."
    if kind == "device_changed":
        return f"The device {event.device_changed.device_id} changed its state."
    if kind == "evidence_deleted":
        gone = event.evidence_deleted
        why = _DELETED.get(gone.reason, "as its settings say")
        pieces = counted(len(gone.sha256), "piece of evidence")
        return f"The booth deleted {pieces}: {why}. Fingerprints stay in the events."
    if kind == "unassigned":
        other = event.unassigned
        late = " It came after the inspection had been closed." if other.inspection_id else ""
        return f"The device {other.device_id} read {other.text!r} ({other.kind.replace('_', ' ')}).{late}"
    return f"An event of the kind {(kind or 'unknown').replace('_', ' ')}."


def _on(on: Belonging) -> str:
    return on_in_words(on.carrier, on.place, on.text)


def record_in_words(inspection: wire.Inspection) -> list[tuple[str, str]]:
    """The record of one vehicle, as names and values."""
    rows = [
        ("Lane", inspection.lane_id),
        ("Arrived", f"{utc_in_words(inspection.opened)}; {clock_in_words(inspection.opened)}"),
        ("Left", f"{utc_in_words(inspection.closed)}; {clock_in_words(inspection.closed)}"),
        ("Outcome", _outcome(inspection)),
    ]
    rows += [("Licence plate", _voted(inspection.plate) if inspection.HasField("plate") else "none was read")]
    for code in inspection.container_codes:
        check = "check digit right" if code.check_digit_ok else "check digit WRONG or not read"
        rows.append(("Container code", f"{_voted(code.vote)}; {check}"))
    rows += [("Seal", f"{seal.number} (scanned by {seal.device_id}; {_on(seal.on)})") for seal in inspection.seals]
    rows += [
        ("Seal's own state", f"{state.number}: {state.condition.replace('_', ' ')} ({_on(state.on)})")
        for state in inspection.seal_states
    ]
    rows += [
        ("Tag", f"{tag.text or tag.epc}{on} (answered {counted(tag.reads, 'time')})")
        for tag in inspection.tags
        for on in (f" {_on(tag.on)}" if tag.HasField("on") else "",)
    ]
    rows += [
        ("Weight", f"{weighed.kg:.0f} kg (the scale showed {weighed.shown} {weighed.unit})")
        for weighed in inspection.weights
    ]
    rows += [("Radiation", _radiation(occupancy)) for occupancy in inspection.radiation]
    for spectrum in inspection.spectra:
        named = ", ".join(nuclide.name for nuclide in spectrum.nuclides) or "no nuclide identified"
        rows.append(("Spectrum", f"{named} ({spectrum.instrument or spectrum.device_id})"))
    rows += [("Scan", f"{scan.scan_id} from {scan.device_id} ({scan.format})") for scan in inspection.scans]
    if inspection.HasField("direction"):
        rows.append(
            ("Direction", "against the lane" if inspection.direction == wire.DIRECTION_BACKWARD else "along the lane")
        )
    if inspection.shortened:
        rows.append(("Shortened", "the lists were too long for one event; the raw capture holds everything"))
    for found in inspection.findings:
        grave = term(severity_named(found.severity))
        rows.append(("Finding", f"{found.sentence} ({grave}; by the rule {found.rule}, as configured)"))
    if inspection.HasField("recommendation"):
        what = term(recommendation_named(inspection.recommendation))
        rows.append(("Recommended by the rules", f"{what}; a recommendation, which decides nothing"))
    return rows


def _outcome(inspection: wire.Inspection) -> str:
    outcome = inspection.WhichOneof("outcome")
    if outcome == "incomplete":
        missing = "; ".join(f"{m.what.replace('_', ' ')}: {_reason(m.reason)}" for m in inspection.incomplete.missing)
        return f"incomplete ({missing})"
    said, _ = OUTCOMES.get(outcome or "", ("none stated", ""))
    return f"{said} ({inspection.abandoned.why})" if outcome == "abandoned" else said


def _reason(value: int) -> str:
    reason = reason_named(value)
    return "no reason given" if reason is None else term(reason)


def _voted(vote: wire.Voted) -> str:
    others = f"; other readings: {', '.join(vote.others)}" if vote.others else ""
    reads = f"read {vote.reads} of {counted(vote.reads + vote.reads_other, 'time')}"
    return f"{vote.text} ({reads}, confidence {vote.confidence:.2f}{others})"


def _radiation(occupancy: wire.RadiationOccupancy) -> str:
    alarms = [name for name, on in (("GAMMA", occupancy.gamma_alarm), ("NEUTRON", occupancy.neutron_alarm)) if on]
    text = f"the portal's verdict: {' and '.join(alarms)} ALARM" if alarms else "the portal's verdict: no alarm"
    if occupancy.HasField("cross_check_sigma"):
        text += (
            f"; by the booth's own computation the highest gamma count was {occupancy.cross_check_sigma:.1f} standard "
            "deviations above background"
        )
    return text
