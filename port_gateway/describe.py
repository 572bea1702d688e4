"""An event as a person reads it, and as a program does."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from edge_agent.domain.carriers import on_in_words
from edge_agent.domain.counted import counted
from edge_agent.domain.errors import IdentityInvalid
from edge_agent.domain.finding import Decision, Recommendation
from edge_agent.domain.terms import term
from edge_agent.wire.codec_findings import decision_named, recommendation_named, severity_named
from edge_agent.wire.codec_inspection import reason_named
from edge_agent.wire.identity import certificate_key, key_id
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1 import expected_pb2 as expected
from edge_agent.wire.v1alpha1 import findings_pb2 as found
from edge_agent.wire.v1alpha1.joining_pb2 import Belonging
from edge_agent.wire.v1alpha1.retention_pb2 import DELETION_REASON_NO_FINDING, DELETION_REASON_RETENTION_OVER
from edge_agent.wire.v1alpha1.statistics_pb2 import LaneStatistics

_RADIATION = {
    wire.RADIATION_KIND_GAMMA: "gamma",
    wire.RADIATION_KIND_NEUTRON: "neutron",
}
_STATES = {
    wire.DEVICE_STATE_ONLINE: "online",
    wire.DEVICE_STATE_WAITING: "waiting",
    wire.DEVICE_STATE_OFFLINE: "offline",
    wire.DEVICE_STATE_FAILED: "failed",
}
_STORAGE = {
    wire.STORAGE_STATE_NORMAL: "room enough",
    wire.STORAGE_STATE_FILLING: "FILLING",
    wire.STORAGE_STATE_HIGH: "HIGH",
    wire.STORAGE_STATE_CRITICAL: "CRITICAL",
}
_VERDICTS = {
    expected.IDENTIFIER_VERDICT_LOOKS_ALIKE: "but for O and 0 or I and 1",
    expected.IDENTIFIER_VERDICT_ONE_CHARACTER_OFF: "one character off",
    expected.IDENTIFIER_VERDICT_WITHOUT_CHECK_DIGIT: "without its check digit",
    expected.IDENTIFIER_VERDICT_OTHER: "is OTHER than declared",
    expected.IDENTIFIER_VERDICT_NOT_READ: "not read",
    expected.IDENTIFIER_VERDICT_UNDECLARED: "NOT DECLARED",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# An error bound above this is told beside the time, although the clock counts as synchronised.
FAR_OFF_US = 1_000_000


def event_json(event: wire.Event) -> dict[str, Any]:
    """Protobuf's JSON with the field names of the .proto files, and bytes as lower-case hex."""
    return _hex_bytes(event, MessageToDict(event, preserving_proto_field_name=True))


def _hex_bytes(message: Message, values: dict[str, Any]) -> dict[str, Any]:
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_BYTES:
            values[field.name] = [item.hex() for item in value] if field.is_repeated else value.hex()
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            if field.is_repeated:
                for item, inner in zip(value, values[field.name], strict=True):
                    _hex_bytes(item, inner)
            else:
                _hex_bytes(value, values[field.name])
    return values


def event_text(event: wire.Event) -> str:
    """One line, and a second one where evidence belongs to it. Without control characters."""
    at = (_EPOCH + timedelta(microseconds=_sane(event.at.utc_us))).strftime("%H:%M:%S")
    clock = "" if event.at.clock_state == wire.CLOCK_STATE_SYNCHRONISED else "?"
    if event.at.clock_error.bound_us > FAR_OFF_US and not clock:
        clock = f" (±{event.at.clock_error.bound_us / 1e6:.0f} s)"
    text = f"{at}{clock}  {_body(event)}"
    if event.evidence:
        refs = "  ".join(f"{ref.kind} {ref.sha256.hex()} ({ref.size} B)" for ref in event.evidence)
        text += f"\n    evidence: {refs}"
    # What devices sent is shown to a terminal.
    return "".join(c if c.isprintable() or c == "\n" else "·" for c in text)


_DELETED = {
    DELETION_REASON_NO_FINDING: "kept only with a finding, and there was none",
    DELETION_REASON_RETENTION_OVER: "its time at the booth is over, and the port took it",
}


def _sane(utc_us: int) -> int:
    """A signed event may carry any number; a date has a range."""
    return min(max(utc_us, 0), 253_402_300_799_999_999)


def _body(event: wire.Event) -> str:
    kind = event.WhichOneof("body")
    if kind == "session_opened":
        session = event.session_opened
        text = f"session opened, agent {session.agent_version}"
        if session.while_running:
            text = f"new session key while running, agent {session.agent_version}"
        if session.HasField("replaces"):
            old = session.replaces
            found = counted(old.found, "whole event")
            text += f", in place of the damaged ledger {old.epoch.hex()}, with {found} of it"
        return text
    if kind == "key_rotated":
        return f"handed over to a new device key: {_key_of(event.key_rotated.certificate)}"
    if kind == "inspection_opened":
        opened = event.inspection_opened
        return f"{opened.lane_id}: vehicle arrived ({opened.cause})"
    if kind == "inspection_closed":
        return _inspection(event.inspection_closed.inspection)
    if kind == "alarm_raised":
        alarm = event.alarm_raised
        counts = ", ".join(map(str, alarm.counts))
        return f"{alarm.lane_id}: RADIATION ALARM {_RADIATION.get(alarm.kind, '?')} at {alarm.device_id} ({counts})"
    if kind == "device_changed":
        return _device(event.device_changed)
    if kind == "scan_received":
        received = event.scan_received
        belongs = f"of inspection {received.inspection_id}" if received.inspection_id else "belongs to NO vehicle known"
        return f"{received.lane_id}: {_scan(received.scan)} from {received.scan.device_id} {belongs}"
    if kind == "unassigned":
        other = event.unassigned
        late = f"came too late for inspection {other.inspection_id}"
        belongs = late if other.inspection_id else "belongs to no vehicle"
        more = f", and {other.unreported} more that are only counted" if other.unreported else ""
        return f"{other.lane_id}: {other.kind} {other.text!r} from {other.device_id} {belongs}{more}"
    if kind == "lane_statistics":
        return _statistics(event.lane_statistics)
    if kind == "storage_level":
        level = event.storage_level
        share = f"{100 * level.used_bytes / level.capacity_bytes:.0f} %" if level.capacity_bytes else "?"
        return (
            f"the booth's disk: {_STORAGE.get(level.state, '?')}, {share} of {level.capacity_bytes / 1e9:.1f} GB used"
        )
    if kind == "findings_added":
        added = event.findings_added
        what = _findings(added.findings, added.recommendation)
        return f"{added.lane_id}: of inspection {added.inspection_id} the {added.origin} found later{what}"
    if kind == "decision_recorded":
        made = event.decision_recorded
        decision, why = _loud(decision_named(made.decision)), _line(f"{made.officer}: {made.reason}")
        return f"{made.lane_id}: inspection {made.inspection_id} DECIDED {decision} by {why}"
    if kind == "evidence_shed":
        shed = event.evidence_shed
        pieces = counted(len(shed.sha256), "piece of evidence")
        return f"the booth removed {pieces} ({shed.size} B) early, for room on its disk"
    if kind == "evidence_deleted":
        gone = event.evidence_deleted
        why = _DELETED.get(gone.reason, "for a reason that this version does not know")
        return f"the booth deleted {counted(len(gone.sha256), 'piece of evidence')} ({gone.size} B): {why}"
    if kind == "events_trimmed":
        return f"the booth drops its events through {event.events_trimmed.through_seq}, which the port holds"
    return f"an event that this version does not know (protobuf field {kind})"


def _statistics(said: LaneStatistics) -> str:
    quarter = (_EPOCH + timedelta(microseconds=_sane(said.quarter_utc_us))).strftime("%H:%M")
    vehicles = f"{counted(said.vehicles, 'vehicle')}, {said.complete} of them complete"
    return f"{said.lane_id}: {vehicles}, in {said.covered_s:.0f} s of the quarter hour from {quarter}"


def _key_of(certificate: bytes) -> str:
    try:
        return key_id(certificate_key(x509.load_der_x509_certificate(certificate)))
    except (ValueError, IdentityInvalid):
        return "?"


def _on(on: Belonging) -> str:
    return f" {on_in_words(on.carrier, on.place, on.text)}" if on.carrier else ""


def _inspection(inspection: wire.Inspection) -> str:
    plate = _voted(inspection.plate) if inspection.HasField("plate") else "none read"
    codes = ", ".join(
        f"{_voted(code.vote)}{'' if code.check_digit_ok else ' check digit WRONG'}"
        for code in inspection.container_codes
    )
    parts = [f"plate {plate}", f"container {codes or 'none read'}"]
    if inspection.seals:
        parts.append("seal " + ", ".join(seal.number + _on(seal.on) for seal in inspection.seals))
    parts += [
        f"SEAL {s.number}{_on(s.on)} {s.condition.replace('_', ' ').upper()}"
        for s in inspection.seal_states
        if s.condition != "present"
    ]
    parts += [f"tag {tag.text or tag.epc}{_on(tag.on)}" for tag in inspection.tags]
    parts += [f"{weighed.kg:.0f} kg" for weighed in inspection.weights]
    parts += [_scan(scan) for scan in inspection.scans]
    parts += [_spectrum(spectrum) for spectrum in inspection.spectra]
    if inspection.direction == wire.DIRECTION_BACKWARD:
        parts.append("drove BACKWARD")
    if inspection.HasField("expectation"):
        parts.append(_expectation(inspection.expectation))
    parts.append("radiation " + ("; ".join(map(_verdict, inspection.radiation)) or "not measured"))
    findings = _findings(inspection.findings, inspection.recommendation)
    return f"{inspection.lane_id}: {_outcome(inspection)}: " + " | ".join(parts) + findings


def _loud(what: Recommendation | Decision | None) -> str:
    return "?" if what is None else what.upper()


def _findings(findings: Iterable[found.Finding], recommendation: found.Recommendation.ValueType) -> str:
    """On lines of their own, and what they recommend together."""
    if not recommendation:
        return ""
    lines = "".join(f"\n    {term(severity_named(one.severity))}: {_line(one.sentence)}" for one in findings)
    return f" | recommended: {_loud(recommendation_named(recommendation))}{lines}"


def _line(text: str) -> str:
    """What came from elsewhere takes no line of its own."""
    return " ".join(text.split())


def _expectation(match: expected.ExpectationMatch) -> str:
    names = " ".join(match.expectation_ids)
    if match.outcome == expected.MATCH_OUTCOME_AMBIGUOUS:
        return f"expected as ONE OF {names}"
    if match.outcome == expected.MATCH_OUTCOME_NONE:
        return "NOT EXPECTED"
    if match.outcome != expected.MATCH_OUTCOME_MATCHED:
        return f"could NOT be compared with what is expected ({match.detail})"
    said = [
        f"{one.kind.replace('_', ' ')} {one.read or one.declared} {_VERDICTS.get(one.verdict, '?')}"
        for one in match.identifiers
        if one.verdict != expected.IDENTIFIER_VERDICT_SAME
    ]
    if match.timing in (expected.ARRIVAL_TIMING_EARLY, expected.ARRIVAL_TIMING_LATE):
        said.append(
            f"{match.outside_s} s {'before' if match.timing == expected.ARRIVAL_TIMING_EARLY else 'after'} its window"
        )
    return f"expected as {names}" + (f" ({', '.join(said)})" if said else "")


def _scan(scan: wire.Scan) -> str:
    number = f" that states {scan.vehicle_number}" if scan.vehicle_number else ""
    return f"scan {scan.scan_id} ({scan.format}{f', by {scan.joined_by}' if scan.joined_by != 'none' else ''}){number}"


def _spectrum(spectrum: wire.Spectrum) -> str:
    alarm = " ALARM" if spectrum.gamma_alarm or spectrum.neutron_alarm else ""
    return f"spectrum{alarm}: {', '.join(nuclide.name for nuclide in spectrum.nuclides) or 'no nuclide identified'}"


def _voted(vote: wire.Voted) -> str:
    return f"{vote.text} ({vote.confidence:.2f}, {vote.reads} of {counted(vote.reads + vote.reads_other, 'read')})"


def _verdict(occupancy: wire.RadiationOccupancy) -> str:
    alarms = [name for name, on in (("GAMMA", occupancy.gamma_alarm), ("NEUTRON", occupancy.neutron_alarm)) if on]
    text = f"{' and '.join(alarms)} ALARM" if alarms else "no alarm"
    if not occupancy.HasField("cross_check_sigma"):
        return f"{text} (no cross-check)"
    differs = occupancy.HasField("cross_check_alarm") and occupancy.cross_check_alarm != occupancy.gamma_alarm
    return f"{text} (cross-check {occupancy.cross_check_sigma:.1f} sigma{', which DISAGREES' if differs else ''})"


def _outcome(inspection: wire.Inspection) -> str:
    outcome = inspection.WhichOneof("outcome")
    if outcome == "complete":
        return "complete"
    if outcome == "incomplete":
        missing = (f"{m.what}: {term(reason_named(m.reason))}" for m in inspection.incomplete.missing)
        return f"INCOMPLETE ({', '.join(missing)})"
    if outcome == "abandoned":
        return f"ABANDONED ({inspection.abandoned.why})"
    return "no outcome"


def _device(changed: wire.DeviceChanged) -> str:
    if changed.WhichOneof("what") == "status":
        what, detail = _STATES.get(changed.status.state, "?"), changed.status.detail
    elif changed.WhichOneof("what") == "setup":
        differs = ", ".join(f"{s.name} = {s.value}" for s in changed.setup.values if s.name in changed.setup.changed)
        what, detail = ("set-up CHANGED", differs) if differs else ("says how it is set up", "")
    else:
        over = "" if changed.fault.active else " is over"
        what, detail = f"fault {changed.fault.fault}{over}", changed.fault.detail
    where = f"{changed.lane_id}: " if changed.lane_id else ""  # the booth's own device key is of no lane
    return f"{where}device {changed.device_id} {what}" + (f" ({detail})" if detail else "")
