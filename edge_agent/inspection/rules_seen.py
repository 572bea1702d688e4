"""Rules on what was seen of a vehicle, whatever was announced of it: radiation, seals, codes, devices, scans."""

from collections.abc import Iterator
from dataclasses import replace

from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.finding import Identifier
from edge_agent.domain.identifiers import fold_plate, normalise_plate
from edge_agent.domain.inspection import Expected, Incomplete, Inspection, MissingReason, ScanJoin, ScanSeen
from edge_agent.domain.observation import RadiationKind, SealCondition
from edge_agent.inspection.rules import Facts, Found, Limits, Rule

CODE_CHARACTERS = 11


def radiation_alarm(facts: Facts, rule: Rule, _: Limits) -> Iterator[Found]:
    """The device's verdict: an alarm that it raised, an occupancy that it judged, a spectrum that it took."""
    evidence = facts.evidence(EvidenceKind.RADIATION_PROFILE)
    said = {*facts.alarms}
    said |= {(device, RadiationKind.GAMMA) for device, one in facts.occupancies if one.gamma_alarm}
    said |= {(device, RadiationKind.NEUTRON) for device, one in facts.occupancies if one.neutron_alarm}
    spectra = []
    for seen in facts.inspection.spectra:
        measured = seen.measurement
        alarms = ((measured.gamma_alarm, RadiationKind.GAMMA), (measured.neutron_alarm, RadiationKind.NEUTRON))
        kinds = {(seen.device_id, kind) for on, kind in alarms if on}
        if kinds and measured.nuclides:
            spectra.append((seen.device_id, ", ".join(nuclide.name for nuclide in measured.nuclides)))
        else:
            said |= kinds
    for device, kind in sorted(said):
        if rule.heeds(device):
            yield Found(f"radiation_alarm.{kind}", (("device", device),), (device,), evidence=evidence)
    for device, nuclides in spectra:
        if rule.heeds(device):
            parameters = (("device", device), ("nuclides", nuclides))
            yield Found("radiation_alarm.nuclides", parameters, (device,), evidence=facts.evidence(EvidenceKind.N42))


def radiation_cross_check(facts: Facts, rule: Rule, _: Limits) -> Iterator[Found]:
    """Our own reckoning of the portal's counts."""
    for device, one in facts.occupancies:
        if rule.heeds(device) and one.cross_check_alarm:
            yield _reckoned("", device, one.cross_check_sigma, facts)


def radiation_disagreement(facts: Facts, rule: Rule, _: Limits) -> Iterator[Found]:
    """The portal and our reckoning differ on gamma."""
    for device, one in facts.occupancies:
        if rule.heeds(device) and one.disagreement:
            side = "device" if one.gamma_alarm else "counts"
            yield _reckoned(f"radiation_disagreement.{side}", device, one.cross_check_sigma, facts)


def _reckoned(key: str, device: str, sigma: float | None, facts: Facts) -> Found:
    parameters = (("device", device), ("sigma", "?" if sigma is None else f"{sigma:.1f}"))
    return Found(key, parameters, (device,), evidence=facts.evidence(EvidenceKind.RADIATION_PROFILE))


def seal_broken(facts: Facts, rule: Rule, _: Limits) -> Iterator[Found]:
    """By its own electronics."""
    yield from _condition(facts, rule, SealCondition.BROKEN, "seal_broken")


def seal_states_other(facts: Facts, rule: Rule) -> Iterator[Found]:
    """It does not carry the number that it should, by its own electronics."""
    yield from _condition(facts, rule, SealCondition.OTHER_NUMBER, "seal_other.electronics")


def _condition(facts: Facts, rule: Rule, condition: SealCondition, key: str) -> Iterator[Found]:
    for seen in facts.inspection.seal_states:
        if rule.heeds(seen.device_id) and seen.state.condition is condition:
            number = seen.state.number
            found = Found(key, (("seal", number),), (seen.device_id,), (Identifier("seal", number),), _talk(facts))
            yield on_container(found, facts.inspection, number)


def on_container(found: Found, inspection: Inspection, seal: str) -> Found:
    """The same of a seal of which it is known on which container it is, said with that container."""
    seals = [(s.number, s.on) for s in inspection.seals] + [(s.state.number, s.on) for s in inspection.seal_states]
    codes = {on.text for number, on in seals if on and on.text and normalise_plate(number) == normalise_plate(seal)}
    if len(codes) != 1:
        return found
    [code] = codes
    return replace(
        found,
        key=f"{found.key}.container",
        parameters=(*found.parameters, ("container", code)),
        identifiers=(*found.identifiers, Identifier("container_code", code)),
    )


def lane_seal_missing(facts: Facts) -> Iterator[Found]:
    """The lane expects a seal of each vehicle, its devices looked, and none was there."""
    if _missing(facts.inspection, Expected.SEAL) is MissingReason.NOT_SEEN:
        yield Found("seal_missing.lane", evidence=_talk(facts))


def check_digit(facts: Facts, rule: Rule, _: Limits) -> Iterator[Found]:
    """A whole code was read, and its check digit is not the one that belongs to it."""
    for code in facts.inspection.container_codes:
        text, device = code.vote.text, code.vote.device_id
        if len(text) == CODE_CHARACTERS and not code.check_digit_ok and rule.heeds(device):
            evidence = facts.pictures.get(("container_code", text), ())
            yield Found("", (("read", text),), (device,), (Identifier("container_code", text),), evidence)


def could_not_look(facts: Facts, rule: Rule, _: Limits) -> Iterator[Found]:
    """A device was down for a part of the passage, or the list of what is expected could not be read."""
    for device, why in facts.blind.items():
        if rule.heeds(device):
            yield Found("", (("device", device), ("why", why)), (device,))


def scan_other(facts: Facts, rule: Rule, _: Limits) -> Iterator[Found]:
    """Of the scans that had come."""
    read = numbers_read(facts.inspection)
    for scan in facts.inspection.scans:
        if rule.heeds(scan.device_id):
            yield from states_other_number(scan, read)


def states_other_number(scan: ScanSeen, read: frozenset[str]) -> Iterator[Found]:
    """A scan that belongs to a vehicle by time, and states a number that none of those `read` on it comes near to."""
    number = scan.scan.vehicle_number
    if scan.how is not ScanJoin.TIME or not number or not read:
        return
    if any(_near(fold_plate(number), one) for one in read):
        return
    yield Found(
        "scan_other",
        (("device", scan.device_id), ("number", number)),
        (scan.device_id,),
        (Identifier("scan", scan.scan.scan_id),),
        tuple(ref.sha256 for ref in scan.files),
    )


def numbers_read(inspection: Inspection) -> frozenset[str]:
    """What a scanner could state of this vehicle, folded."""
    plates = [plate.vote.text for plate in inspection.plates]
    return frozenset(map(fold_plate, [*plates, *(code.vote.text for code in inspection.container_codes)]))


def _near(one: str, other: str) -> bool:
    return len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) <= 1


def _missing(inspection: Inspection, what: Expected) -> MissingReason | None:
    outcome = inspection.outcome
    missing = outcome.missing if isinstance(outcome, Incomplete) else ()
    return next((m.reason for m in missing if m.what is what), None)


def _talk(facts: Facts) -> tuple[bytes, ...]:
    return facts.evidence(EvidenceKind.RAW_CAPTURE)
