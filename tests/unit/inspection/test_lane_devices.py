"""What a lane makes of seals, tags, scales, spectroscopic portals and of what devices say of their set-up."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from edge_agent.domain.event import DeviceChanged, Unassigned
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.inspection import Complete, Expected, Incomplete
from edge_agent.domain.observation import (
    Body,
    DeviceSetup,
    DeviceState,
    DeviceStatus,
    Direction,
    Nuclide,
    Observation,
    Presence,
    RadiationAlarm,
    ScanImage,
    SealCondition,
    SealState,
    TagRead,
    Weight,
)
from edge_agent.inspection.assemble import MAX_TAGS
from edge_agent.inspection.lane import Lane
from edge_agent.inspection.records import LaneRules
from edge_agent.inspection.whereabouts import Place
from edge_agent.wire import codec
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import event_payload
from edge_agent.wire.envelope import MAX_ENVELOPE_BYTES
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from tests.unit.inspection.script import (
    ARRIVES,
    DEPARTS,
    PROVIDERS,
    Script,
    alarm,
    code,
    instant,
    occupancy,
    picture,
    plate,
    seal,
    seal_state,
    setup,
    spectrum,
    tag,
    weight,
)


def passing(*expects: Expected) -> Script:
    return Script(expects=expects).at(10, "portal", ARRIVES)


def test_rule_12_the_weight_that_was_shown_longest_counts() -> None:
    script = passing(Expected.WEIGHT)
    said = [
        (9_000, True),
        (31_000, False),
        (31_000, False),
        (31_000, False),
        (30_500, True),
        (30_480, True),
        (30_480, True),
    ]
    for at, (kg, settled) in enumerate([*said, (12_000, True)], start=11):
        script.at(at, "scale", weight(kg, settled))
    script.at(20, "portal", DEPARTS).until(30)
    assert script.said() == ["opened by presence", "closed - complete"]
    [weighed] = script.closed[0].weights
    assert (weighed.weight.kg, weighed.device_id, weighed.at.monotonic) == (30_480, "scale", 17)


def test_rule_12_of_two_shown_as_long_the_larger() -> None:
    script = passing(Expected.WEIGHT).at(11, "scale", weight(30_000)).at(12, "scale", weight(9_000))
    script.at(13, "portal", DEPARTS).until(20).said()
    assert script.closed[0].weights[0].weight.kg == 30_000


def test_rule_12_an_unsettled_weight_does_not_count() -> None:
    script = passing(Expected.WEIGHT).at(11, "scale", weight(30_000, settled=False)).at(12, "portal", DEPARTS).until(20)
    assert script.said() == ["opened by presence", "closed - without weight (could_not_look)"]


def test_rule_12_an_empty_scale_does_not_hold_the_inspection_open() -> None:
    script = passing().at(12, "portal", DEPARTS)
    for tenth in range(120, 200):
        script.at(tenth / 10, "scale", weight(20))
    assert script.said() == ["opened by presence", "closed - complete"]
    assert script.closed[0].closed.monotonic == pytest.approx(15)
    assert script.closed[0].weights == ()


def test_rule_12_a_vehicle_on_the_scale_does() -> None:
    script = passing().at(12, "portal", DEPARTS)
    for second in range(13, 40, 2):
        script.at(second, "scale", weight(30_000))
    assert script.said() == ["opened by presence"]


def test_a_weight_alone_opens_nothing() -> None:
    script = Script(expects=()).at(10, "scale", weight(30_000)).until(60)
    assert script.said() == []


def test_each_change_of_a_seal_is_kept_once() -> None:
    script = passing(Expected.SEAL)
    for at, condition in enumerate([SealCondition.PRESENT, SealCondition.PRESENT, SealCondition.BROKEN], start=11):
        script.at(at, "reader", seal_state("ES-100", condition))
    script.at(14, "reader", seal_state("ES-200")).at(15, "portal", DEPARTS).until(30)
    script.said()
    inspection = script.closed[0]
    assert [(s.state.number, s.state.condition.value, s.at.monotonic) for s in inspection.seal_states] == [
        ("ES-100", "present", 11),
        ("ES-100", "broken", 13),
        ("ES-200", "present", 14),
    ]
    assert inspection.outcome == Complete()


@pytest.mark.parametrize("said", [tag, seal_state])
def test_rule_11_what_hangs_in_the_yard_holds_nothing_open_were_it_more_than_a_record_holds(
    said: Callable[[str], Body],
) -> None:
    script = passing().at(12, "portal", DEPARTS)
    for second in range(12, 50):
        for number in range(MAX_TAGS + 2):
            script.at(second + number / 1000, "reader", said(f"{number}"))
    script.said()
    assert script.closed[0].closed.monotonic < 16


def test_rule_11_nor_does_a_seal_whose_second_number_is_read_otherwise_each_time() -> None:
    script = passing().at(12, "portal", DEPARTS)
    for second in range(12, 50):
        script.at(
            second, "reader", SealState("ES-1", SealCondition.OTHER_NUMBER, f"user words 0 to 1 holds '{second}'")
        )
    script.said()
    assert script.closed[0].closed.monotonic < 16


def test_the_strongest_read_of_a_tag_stays_and_nothing_known_of_it_is_lost() -> None:
    script = passing(Expected.TAG)
    script.at(11, "reader", tag("E200", -61.5, tid="E280")).at(12, "reader", tag("E200", -48)).at(
        13, "reader", tag("E2")
    )
    script.at(14, "portal", DEPARTS).until(30).said()
    first, second = script.closed[0].tags
    assert (first.tag.epc, first.tag.rssi_dbm, first.tag.tid, first.reads) == ("E200", -48, "E280", 2)
    assert first.at.monotonic == 11
    assert (second.tag.epc, second.tag.rssi_dbm, second.reads) == ("E2", None, 1)


@pytest.mark.parametrize("body", [seal("S-1000"), tag("E200"), seal_state("ES-100", SealCondition.BROKEN)])
def test_rule_11_without_a_vehicle_it_is_reported_once_a_minute(body: Body) -> None:
    script = Script().at(10, "reader", body).at(20, "reader", body).at(75, "reader", body)
    assert script.until(78).said() == [f"unassigned {type(body).__name__}"] * 2


def test_rule_11_a_seal_that_breaks_is_news_within_the_minute() -> None:
    script = (
        Script().at(10, "reader", seal_state("ES-100")).at(20, "reader", seal_state("ES-100", SealCondition.BROKEN))
    )
    assert script.until(23).said() == ["unassigned SealState"] * 2


DOCUMENT = Evidence(EvidenceKind.N42, "application/xml", b"<RadInstrumentData/>")


@pytest.mark.parametrize("places", [None, {"front": Place(-6, 2), "portal": Place(0, 0.5), "scanner": Place(-2, 3)}])
def test_rule_11_a_tag_that_stays_in_the_yard_holds_no_inspection_open(places: dict[str, Place] | None) -> None:
    script = Script(expects=(), places=places).at(10, "portal", ARRIVES)
    for second in range(11, 31):
        script.at(second, "scanner", tag("E280")).at(second + 0.1, "scanner", seal_state("HS1"))
        if second == 14:
            script.at(second + 0.2, "portal", DEPARTS)
    script.until(100)
    said = script.said()
    assert said[:3] == ["opened by presence", "closed - complete", "unassigned TagRead"]
    [inspection] = script.closed
    assert inspection.closed.monotonic <= 20
    assert [seen.tag.epc for seen in inspection.tags] == ["E280"]


def test_a_spectrum_counts_as_radiation_and_its_document_is_evidence() -> None:
    script = passing(Expected.RADIATION).at(12, "n42", spectrum("Cs-137"), b"\x02<RadI", (DOCUMENT,))
    script.at(13, "portal", DEPARTS).until(30)
    assert script.said() == ["opened by presence", "closed - complete"]
    assert script.closed[0].spectra[0].measurement.nuclides[0].name == "Cs-137"
    assert DOCUMENT in script.evidence[0]
    [capture] = [e for e in script.evidence[0] if e.kind is EvidenceKind.RAW_CAPTURE]
    assert b"Cs-137" in capture.data
    assert b"\x02<RadI".hex().encode() not in capture.data, "its document is in the evidence once"


def test_rule_11_a_spectrum_of_no_vehicle_keeps_its_document() -> None:
    script = Script().at(12, "n42", spectrum("Cs-137"), evidence=(DOCUMENT,))
    [draft] = script.drafts
    assert isinstance(draft.body, Unassigned)
    assert draft.evidence == (DOCUMENT,)


@pytest.mark.parametrize("body", [alarm(90, 90), occupancy(), spectrum("Cs-137")])
def test_rule_7_what_was_measured_of_a_vehicle_is_not_the_next_ones(body: Body) -> None:
    script = Script(expects=())
    script.at(10, "portal", ARRIVES).at(11, "front", plate("AAA111")).at(12, "portal", DEPARTS).until(15)
    script.at(15.5, "portal", ARRIVES).said()
    file = picture("document")
    for seconds in (11.5, 9.0):
        late = Observation("late", "portal", "1", instant(seconds), body, b"raw", file)
        script.drafts += script.lane.observe(late)
    first, second = script.drafts
    if isinstance(body, RadiationAlarm):
        assert script.said() == ["alarm in inspection-1", "alarm in no inspection"]
    else:
        name = type(body).__name__
        assert script.said() == [f"unassigned {name} of inspection-1", f"unassigned {name}"]
        assert first.evidence == second.evidence == file
    script.at(17, "portal", DEPARTS).until(30).said()
    inspection = script.closed[0]
    assert (inspection.radiation, inspection.spectra) == ((), ())


def test_the_direction_is_that_of_the_device_that_knows_it() -> None:
    script = Script(expects=()).at(10, "portal", ARRIVES).at(11, "gate", Presence(True, Direction.BACKWARD))
    script.at(12, "gate", DEPARTS).at(12, "portal", DEPARTS).until(30).said()
    assert script.closed[0].direction is Direction.BACKWARD


def test_rule_9_a_set_up_is_an_event_when_it_is_the_first_or_differs() -> None:
    script = Script().at(1, "portal", setup(n_sigma="5.0", hold_in="10")).at(2, "portal", setup(n_sigma="5.0"))
    assert script.said() == ["portal setup"]
    script.at(3, "portal", setup(n_sigma="9.9", hold_in="10"))
    [draft] = script.drafts
    assert isinstance(draft.body, DeviceChanged)
    assert draft.body.what == DeviceSetup((("n_sigma", "9.9"), ("hold_in", "10")), ("n_sigma",))


def test_a_flood_of_tags_and_weights_is_bounded() -> None:
    script = passing()
    for number in range(500):
        script.at(11, "reader", tag(f"E2{number:04d}"))
        script.at(11, f"scale-{number}", Weight(1000, True, "1000", "kg"))
        script.at(11, "reader", seal_state(f"S{number:04d}"))
    script.at(12, "portal", DEPARTS).until(30).said()
    inspection = script.closed[0]
    assert (len(inspection.tags), len(inspection.weights), len(inspection.seal_states)) == (48, 8, 32)


def test_the_fullest_inspection_fits_its_envelope() -> None:
    script = passing()
    long = "Ж" * 5000
    for n in range(100):
        script.at(11, "front", plate(f"AAA{n:03d}")).at(11, "rear", code(f"CSQU{n:07d}", size_type="45G1"))
        script.at(11, "reader", TagRead(f"{n:03d}{long}", long, 1, -50, long, long))
        script.at(11, "reader", SealState(f"{n:03d}{long}", SealCondition.OTHER_NUMBER, long))
        script.at(11, "scanner", seal(f"S{n:031d}"))
        script.at(11, f"scale-{n}", Weight(1000, True, long, long, True, 1))
        nuclides = tuple(Nuclide(long, 0.5, long) for _ in range(100))
        script.at(11, "n42", replace(spectrum(), instrument=long, nuclides=nuclides), evidence=(DOCUMENT,))
        script.at(11, "x-ray", ScanImage(long, long, long, 1, 1, long), evidence=(DOCUMENT,) * 20, device_time=long)
        script.at(11, "portal", occupancy(n))
    script.at(12, "portal", DEPARTS).until(30)
    assert len(script.drafts) == 102
    assert 60_000 < max(len(data) for data in payloads(script)) < MAX_ENVELOPE_BYTES - 1000


BOOTH = "spiffe://" + "p" * 60 + "/booth/" + "b" * 60


def payloads(script: Script) -> list[bytes]:
    return [event_payload(draft, Head(BOOTH, bytes(16), 2**40, b"h" * 32)) for draft in script.drafts]


def test_a_record_that_would_not_fit_is_shortened_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_PAYLOAD_BYTES", 60_000)
    script = passing()
    device, long = "d" * 63, "Ж" * 5000
    for n in range(100):
        script.at(11, device, TagRead(f"{n:03d}{long}", long, 1, -50, long, long))
        script.at(11, device, SealState(f"{n:03d}{long}", SealCondition.OTHER_NUMBER, long))
        nuclides = tuple(Nuclide(long, 0.5, long) for _ in range(100))
        script.at(11, device, replace(spectrum(), instrument=long, nuclides=nuclides), evidence=(DOCUMENT,))
        script.at(11, device, ScanImage(long, long, long, 1, 1, long), evidence=(DOCUMENT,) * 20, device_time=long)
        script.at(11, device, seal(f"S{n:031d}")).at(11, device, occupancy(n)).at(11, device, code(f"CSQU{n:07d}"))
        script.at(11, f"{n:062d}", Weight(1000, True, long, long, True, 1))
    script.at(12, "portal", DEPARTS).until(30)
    closing = payloads(script)[-1]
    record = wire.Event.FromString(closing).inspection_closed.inspection
    assert record.shortened
    assert 55_000 < len(closing) <= 60_000
    assert record.tags
    assert record.scans
    small = wire.Event.FromString(payloads(passing().at(12, "portal", DEPARTS).until(30))[-1])
    assert not small.inspection_closed.inspection.shortened


def test_what_a_blind_device_says_of_itself_is_cut() -> None:
    script = Script(expects=(Expected.SEAL, Expected.RADIATION)).at(
        5, "portal", DeviceStatus(DeviceState.OFFLINE, "x" * 70_000)
    )
    script.at(6, "scanner", DeviceStatus(DeviceState.FAILED, "y" * 70_000))
    script.at(10, "front", plate("AAA111")).until(20)
    assert max(len(data) for data in payloads(script)) < 10_000
    script.said()
    outcome = script.closed[0].outcome
    assert isinstance(outcome, Incomplete)
    assert all(len(missing.detail) < 250 for missing in outcome.missing)


def test_measurements_of_many_bytes_do_not_fill_the_capture() -> None:
    script = passing()
    for n in range(140):
        script.at(11, "reader", tag(f"E2{n:04d}"), raw=bytes(256 * 1024))
    script.at(12, "portal", DEPARTS).until(30).said()
    [capture] = [e for e in script.evidence[0] if e.kind is EvidenceKind.RAW_CAPTURE]
    assert 8 * 1024 * 1024 < len(capture.data) < 20 * 1024 * 1024
    assert capture.data.count(b"TagRead") == 140, "each is there, the later without its bytes"


def test_rule_11_a_yard_full_of_tags_is_reported_up_to_a_bound() -> None:
    script = Script()
    for n in range(5000):
        script.at(10 + n / 1000, "reader", tag(f"E2{n:06d}"))
    assert len(script.said()) == 256
    assert script.at(15.5, "reader", tag("E2000300")).until(20).said() == [], "reported within this minute"
    assert script.until(71).said() == ["unassigned TagRead and 4743 more"], "none is dropped without being counted"
    assert script.at(80, "reader", tag("E2000000")).until(83).said() == ["unassigned TagRead"]


def test_rule_11_the_next_report_says_how_many_were_only_counted() -> None:
    lane, reports = Lane(LaneRules("1", ()), PROVIDERS, lambda: "i"), []
    for n in range(300):
        reports += lane.observe(Observation(f"o{n}", "scanner", "1", instant(10), seal(f"ML-{n}")))
    reports += lane.observe(Observation("later", "scanner", "1", instant(70), seal("ML-later")))
    reports += lane.woke(instant(73))
    unreported = [draft.body.unreported for draft in reports if isinstance(draft.body, Unassigned)]
    assert unreported == [0] * 256 + [44]
    assert lane.next_wake() is None, "nothing is left to say"


def test_rule_11_what_was_only_counted_is_said_when_the_agent_stops() -> None:
    lane = Lane(LaneRules("1", ()), PROVIDERS, lambda: "i")
    for n in range(300):
        lane.observe(Observation(f"o{n}", "scanner", "1", instant(10), seal(f"ML-{n}")))
    *reports, report = lane.stop(instant(11), "stopped")
    assert isinstance(report.body, Unassigned)
    assert (len(reports), report.body.observation.id, report.body.unreported) == (212, "o255", 43)
    assert lane.stop(instant(12), "stopped") == []
