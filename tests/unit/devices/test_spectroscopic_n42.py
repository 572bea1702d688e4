"""Bytes in, readings out: what stands between STX and ETX, and what becomes of the rest."""

import math
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from edge_agent.devices.drivers import spectroscopic_n42
from edge_agent.devices.drivers.spectroscopic_n42 import (
    NOISE_LIMIT,
    RAW_LIMIT,
    REMEMBERED,
    UNFINISHED_S,
    Settings,
    SpectroscopicN42,
)
from edge_agent.devices.n42 import Alarm, Document, NotN42Error
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.observation import (
    Body,
    Malformed,
    Opaque,
    RadiationAlarm,
    RadiationKind,
    Reading,
    SpectroscopicMeasurement,
)
from tests.unit.devices.n42_documents import BACKGROUND, Slice, alarm, analysis, document, framed

GAMMA, NEUTRON = RadiationKind.GAMMA, RadiationKind.NEUTRON
PASSAGE = document(Slice())
OUTSIDE = "no document: bytes outside STX and ETX"
EMPTY = SpectroscopicMeasurement("Example", 1.0, 1.0, 10, None, None, None)


class Portal:
    """A dialogue, with the time stepped by the test."""

    def __init__(self, settings: Settings | None = None, **how: Any) -> None:
        self.dialogue = SpectroscopicN42(settings or Settings(), **how)
        self.now = 100.0
        self.dialogue.opened(self.now)

    def says(self, data: bytes, after: float = 0.0) -> list[Reading]:
        self.now += after
        return list(self.dialogue.received(data, self.now))

    def bodies(self, data: bytes) -> list[Body]:
        return [reading.body for reading in self.says(data)]


def saying(found: Document) -> Portal:
    return Portal(read=lambda _: found)


def test_a_document_is_a_measurement_with_the_document_as_evidence() -> None:
    portal = Portal()
    (reading,) = portal.says(framed(PASSAGE))
    assert isinstance(reading.body, SpectroscopicMeasurement)
    assert reading.body.gamma_counts == 28
    assert reading == Reading(
        reading.body,
        99.5,  # the middle of the second that was measured
        framed(PASSAGE),
        (Evidence(EvidenceKind.N42, "application/xml", PASSAGE),),
        "2026-11-22T10:00:01-06:00",
    )
    assert portal.dialogue.next_wake() is None
    assert portal.dialogue.to_send() == b""


@pytest.mark.parametrize(("real_s", "at"), [(20.0, 90.0), (1e9, 40.0), (-5.0, 100.0)])
def test_it_is_dated_when_the_vehicle_was_there(real_s: float, at: float) -> None:
    measured = SpectroscopicMeasurement("maker", 1.0, real_s, 5, None, True, None)
    document = Document("maker", (), measured, (), (), "")
    dialogue = SpectroscopicN42(Settings(), lambda _: document)
    dialogue.opened(0.0)
    assert [reading.at for reading in dialogue.received(framed(b"<x/>"), 100.0)] == [at]


def test_line_ends_between_documents_belong_to_the_next() -> None:
    portal = Portal()
    first = portal.says(framed(PASSAGE) + b"\r\n")
    assert portal.dialogue.next_wake() is None
    assert portal.dialogue.woke(1e9) == ()
    second = portal.says(b"\n" + framed(PASSAGE), after=60)
    assert [r.raw for r in first + second] == [framed(PASSAGE), b"\r\n\n" + framed(PASSAGE)]
    portal.says(b"\r\n")
    assert list(portal.dialogue.woke(math.inf)) == [Reading(Opaque("blank", ()), portal.now, b"\r\n")]
    assert list(portal.dialogue.woke(math.inf)) == []


def test_a_document_of_background_is_kept_and_no_measurement() -> None:
    data = framed(document(BACKGROUND))
    assert Portal().says(data) == [Reading(Opaque("n42", ("Example Portal 9 SN-7", "Background")), 100.0, data)]


def test_a_large_document_comes_in_parts_and_is_whole_as_evidence() -> None:
    large = document(*[Slice(channels=(123456,) * 1024)] * 20)
    assert 2 * RAW_LIMIT < len(large) < 3 * RAW_LIMIT
    *parts, last = Portal().says(framed(large))
    assert [part.body for part in parts] == [Opaque("n42_part", ("1", "3")), Opaque("n42_part", ("2", "3"))]
    assert isinstance(last.body, SpectroscopicMeasurement)
    assert last.evidence[0].data == large
    assert b"".join(reading.raw for reading in [*parts, last]) == framed(large)
    assert max(len(reading.raw) for reading in [*parts, last]) == RAW_LIMIT


# --- alarms -----------------------------------------------------------------------------------------------------------


def test_alarms_follow_their_measurement() -> None:
    results = analysis(alarm("Gamma"), alarm("Neutron"), alarm("Isotope"), alarm("Other"))
    readings = Portal().says(framed(document(Slice(), results=results)))
    assert [reading.body for reading in readings[1:]] == [
        RadiationAlarm(GAMMA, (28,)),
        RadiationAlarm(NEUTRON, (3,)),
        Opaque("alarm", ("Other", "over the threshold")),
    ]
    assert all(not reading.raw and not reading.evidence for reading in readings[1:])
    assert isinstance(readings[0].body, SpectroscopicMeasurement)


def test_one_alarm_of_both_kinds_is_two() -> None:
    found = Document("x", (), replace(EMPTY, neutron_counts=2**40), (2**40, 5), (Alarm("Gamma-Neutron"),), "")
    assert saying(found).bodies(framed(b""))[1:] == [
        RadiationAlarm(GAMMA, (2**32 - 1, 5)),
        RadiationAlarm(NEUTRON, (2**32 - 1,)),
    ]


def test_an_alarm_that_later_documents_repeat_is_told_once() -> None:
    portal = Portal()

    def alarms(*times: str) -> int:
        said = framed(document(Slice(), results=analysis(*(alarm("Gamma", at) for at in times))))
        return sum(isinstance(body, RadiationAlarm) for body in portal.bodies(said))

    assert [alarms("10:00:02"), alarms("10:00:02"), alarms("10:00:09"), alarms("10:00:02")] == [1, 0, 1, 0]
    assert [alarms(""), alarms("")] == [1, 1], "without its time, each document's is another"
    for other in range(REMEMBERED):
        assert alarms(f"11:{other}") == 1
    assert alarms("10:00:02") == 1, "what is remembered is bounded"


@pytest.mark.parametrize("measurement", [None, EMPTY])
def test_an_alarm_is_told_without_counts_too(measurement: SpectroscopicMeasurement | None) -> None:
    found = Document("x", ("Background",), measurement, (), (Alarm("Neutron", "", "now"),), "")
    portal = saying(found)
    assert portal.bodies(framed(b""))[1] == RadiationAlarm(NEUTRON, ())


# --- what is no document ----------------------------------------------------------------------------------------------


def test_bytes_outside_a_document_are_kept() -> None:
    portal = Portal()
    assert portal.says(b"hello") == []
    assert portal.dialogue.next_wake() == 100.0 + UNFINISHED_S
    noise, good = portal.says(framed(PASSAGE))
    assert noise == Reading(Malformed(OUTSIDE), 100.0, b"hello")
    assert good.raw == framed(PASSAGE)
    assert portal.says(b"ho\x03") == [Reading(Malformed("no document: an ETX without its STX"), 100.0, b"ho\x03")]
    portal.says(b"hey")
    assert portal.dialogue.woke(100.0 + UNFINISHED_S - 0.1) == ()
    assert list(portal.dialogue.woke(100.0 + UNFINISHED_S)) == [Reading(Malformed(OUTSIDE), 100.0, b"hey")]
    (long,) = portal.says(b"x" * (NOISE_LIMIT + 1))
    assert (long.body, len(long.raw)) == (Malformed(OUTSIDE), NOISE_LIMIT)


def test_a_document_without_its_end_is_given_up_by_time_and_by_the_next_one() -> None:
    portal = Portal()
    assert portal.says(b"\x02<Rad") == []
    broken, good = portal.says(framed(PASSAGE))
    assert broken == Reading(Malformed("a document without its end: another begins within it"), 100.0, b"\x02<Rad")
    assert isinstance(good.body, SpectroscopicMeasurement)
    portal.says(b"\x02<Rad")
    assert portal.dialogue.next_wake() == 100.0 + UNFINISHED_S
    assert list(portal.dialogue.woke(100.0 + UNFINISHED_S)) == [
        Reading(Malformed("a document without its end"), 100.0, b"\x02<Rad")
    ]


def test_a_document_that_is_too_large_is_given_up_in_pieces() -> None:
    settings = Settings(document_limit=RAW_LIMIT)
    at_the_limit = framed(b"x" * RAW_LIMIT)
    refused = [reading.body for reading in Portal(settings).says(at_the_limit)]
    assert [body.why for body in refused if isinstance(body, Malformed)][1:] == [
        "not whole, well-formed XML: syntax error, line 1 (continued)"
    ]
    readings = Portal(settings).says(framed(b"x" * (RAW_LIMIT + 1)))
    assert [(reading.body, len(reading.raw)) for reading in readings] == [
        (Malformed(f"a document of more than {RAW_LIMIT} bytes"), RAW_LIMIT),
        (Malformed(f"a document of more than {RAW_LIMIT} bytes (continued)"), 1),
        (Malformed("no document: an ETX without its STX"), 2),
    ]


def test_what_cannot_be_read_says_why() -> None:
    def refuse(_: bytes) -> Document:
        raise NotN42Error("no such thing")

    portal = Portal(read=refuse)
    assert portal.says(b"\x02a\x03") == [Reading(Malformed("no such thing"), 100.0, b"\x02a\x03")]


def test_without_a_clock_nothing_is_dated() -> None:
    dialogue = SpectroscopicN42(Settings())
    dialogue.opened(math.nan)
    (reading,) = dialogue.received(framed(PASSAGE), math.nan)
    assert math.isnan(reading.at)


def test_without_specutils_the_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectroscopic_n42, "installed", lambda: False)
    with pytest.raises(ValidationError, match=r"pip install 'edge-agent\[n42\]'"):
        Settings()
