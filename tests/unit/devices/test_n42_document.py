"""What an N42 document says, by SpecUtils itself; and what is refused before it."""

import pytest

from edge_agent.devices import n42
from edge_agent.devices.n42 import Alarm, NotN42Error, read_document
from edge_agent.domain.observation import Nuclide, SpectroscopicMeasurement
from tests.unit.devices.n42_documents import (
    BACKGROUND,
    NAMESPACE,
    Slice,
    alarm,
    analysis,
    document,
    nuclide,
    percent,
    words,
)

ACTIVE = "<RadAlarmActiveIndicator>{}</RadAlarmActiveIndicator></RadAlarm>"
EACH = sum(range(8))  # gamma counts of a slice and detector


def compressed(channels: str) -> str:
    plain = Slice(neutrons=None).xml(1)
    return plain.replace("None", "CountedZeroes").replace(">0 1 2 3 4 5 6 7<", f">{channels}<")


def measured(data: bytes) -> SpectroscopicMeasurement:
    found = read_document(data).measurement
    assert found is not None
    return found


def test_a_passage_with_its_background_alarm_and_nuclides() -> None:
    found = read_document(
        document(
            BACKGROUND,
            Slice(),
            Slice(start="2026-11-22T10:00:02-06:00", neutrons=4),
            results=analysis(
                alarm("Gamma"),
                nuclides=[nuclide("Cs-137", percent("87.5"), "Industrial"), nuclide("K-40", words("High"), "NORM")],
            ),
        )
    )
    assert found == n42.Document(
        instrument="Example Portal 9 SN-7",
        measured=("Background", "Foreground"),
        measurement=SpectroscopicMeasurement(
            instrument="Example Portal 9 SN-7",
            live_s=1.8,
            real_s=2.0,
            gamma_counts=2 * EACH,
            neutron_counts=7,
            gamma_alarm=True,
            neutron_alarm=False,
            nuclides=(Nuclide("Cs-137", 0.875, "Industrial"), Nuclide("K-40", None, "NORM; confidence High")),
            speed_kmh=9.0,
        ),
        detector_gamma=(2 * EACH,),
        alarms=(Alarm("Gamma", "over the threshold", "2026-11-22T10:00:02-06:00"),),
        started="2026-11-22T10:00:01-06:00",
    )


def test_detectors_side_by_side_add_their_counts_and_not_their_times() -> None:
    found = read_document(
        document(Slice(detectors=("Aa1", "Ba1")), Slice(detectors=("Ba1",), start="2026-11-22T10:01:00Z"))
    )
    assert found.detector_gamma == (EACH, 2 * EACH)
    assert found.measurement is not None
    assert found.measurement.gamma_counts == 3 * EACH
    assert found.measurement.live_s == pytest.approx(1.8)
    assert found.measurement.real_s == pytest.approx(2.0)


def test_what_the_document_does_not_say_is_none() -> None:
    found = measured(document(Slice(neutrons=None, speed=None)))
    assert (found.neutron_counts, found.speed_kmh, found.gamma_alarm, found.neutron_alarm) == (None, None, None, None)
    only_neutrons = measured(document(Slice(channels=(), neutrons=5)))
    assert (only_neutrons.gamma_counts, only_neutrons.neutron_counts) == (None, 5)


@pytest.mark.parametrize(
    ("results", "gamma", "neutron"),
    [
        ("", None, None),
        (analysis(), False, False),
        (analysis(status="Failure"), None, None),
        (analysis(alarm("Gamma"), status="Failure"), True, None),
        (analysis(alarm("Neutron")), False, True),
        (analysis(alarm("Gamma-Neutron")), True, True),  # some makers' word
        (analysis(alarm("Isotope")), True, False),
        (analysis(alarm("Other")), None, None),  # it alarmed, and does not say on what
        (analysis(alarm("Gamma"), alarm("Other")), True, None),
        (analysis(alarm("Gamma").replace("</RadAlarm>", ACTIVE.format("true"))), True, False),
        (analysis(alarm("Gamma").replace("</RadAlarm>", ACTIVE.format("false"))), False, False),
    ],
)
def test_the_instruments_verdict(results: str, gamma: bool | None, neutron: bool | None) -> None:
    found = measured(document(Slice(), results=results))
    assert (found.gamma_alarm, found.neutron_alarm) == (gamma, neutron)


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [
        (percent("100"), Nuclide("Co-60", 1.0)),
        (percent("0"), Nuclide("Co-60", 0.0)),
        (percent("101"), Nuclide("Co-60", None, "confidence 101")),
        ("", Nuclide("Co-60")),
    ],
)
def test_a_nuclides_confidence(confidence: str, expected: Nuclide) -> None:
    results = analysis(nuclides=[nuclide("Co-60", confidence)])
    assert measured(document(Slice(), results=results)).nuclides == (expected,)


def test_background_alone_is_no_measurement_of_a_vehicle() -> None:
    found = read_document(document(BACKGROUND))
    assert found.measurement is None
    assert found.measured == ("Background",)
    assert found.started == ""


@pytest.mark.parametrize(("occupied", "expected"), [(True, EACH), (None, EACH), (False, None)])
def test_a_measurement_of_no_stated_class_is_the_vehicles_unless_the_portal_was_empty(
    occupied: bool | None, expected: int | None
) -> None:
    found = read_document(document(Slice(kind="NotSpecified", occupied=occupied)))
    assert (found.measurement.gamma_counts if found.measurement else None) == expected


def test_derived_data_does_not_count_twice() -> None:
    derived = Slice(channels=(100,) * 8, neutrons=None).xml(9).replace("RadMeasurement", "DerivedData")
    both = document(Slice(), results=derived)
    assert measured(both).gamma_counts == EACH
    assert measured(document(results=derived)).gamma_counts == 800, "where it is all there is, it counts"


def test_a_document_in_latin_1_is_read() -> None:
    data = document(Slice(), manufacturer="Señal").decode().replace("UTF-8", "ISO-8859-1").encode("iso-8859-1")
    assert measured(data).instrument.startswith("Señal Portal")


def test_counted_zeroes_are_expanded() -> None:
    found = measured(document(results=compressed("3 0 1020 4 0 1 5")))
    assert found.gamma_counts == 12
    assert found.live_s == pytest.approx(0.9)


@pytest.mark.parametrize("cut", [0, 1, 60, 400, 900, -1, -20])
def test_a_truncated_document_is_refused(cut: int) -> None:
    # SpecUtils alone takes most of these for whole.
    with pytest.raises(NotN42Error, match="not whole, well-formed XML"):
        read_document(document(Slice())[:cut])


@pytest.mark.parametrize("attribute", [' compressionCode="None"', ""])
def test_channels_that_are_not_compressed_are_not_expanded(attribute: str) -> None:
    data = document(results=Slice(neutrons=None).xml(1).replace(' compressionCode="None"', attribute))
    assert measured(data.replace(b">0 1 2 3 4 5 6 7<", b">0 20000000 1.5e1 3<")).gamma_counts == 20_000_018


def test_many_compressed_spectra_of_a_usual_size_are_read() -> None:
    assert measured(document(results=compressed("1 0 1023") * 2000)).gamma_counts == 2000


ROOT = f'<RadInstrumentData xmlns="{NAMESPACE}">'
BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (document(Slice(), head=BOMB), "document type declaration"),
        (document(Slice(), head='<!DOCTYPE a SYSTEM "file:///etc/passwd">'), "document type declaration"),
        (document(Slice()).replace(b"Portal 9", b"&lol;"), "undefined entity"),
        (document(Slice()).decode().replace("UTF-8", "UTF-16").encode("utf-16"), "zero bytes"),
        (document(Slice()).replace(b"UTF-8", b"windows-1252"), "a document in windows-1252"),
        (document(Slice()).replace(b"Portal 9", b"\xff"), "not whole, well-formed XML"),
        (document(Slice()).replace(b"2011", b"2006"), "of another kind"),
        (b"<html/>", "of another kind: its root is html"),
        (document(), "finds no measurement"),
        (f"{ROOT}{'<a>' * 40}{'</a>' * 40}</RadInstrumentData>".encode(), "nested deeper than 32"),
        (f"{ROOT}{'<a/>' * n42.MAX_NODES}</RadInstrumentData>".encode(), "more than 200000 elements"),
        (f"{ROOT}{'<RadMeasurement/>' * 20_001}</RadInstrumentData>".encode(), "more than 20000 RadMeasurement"),
        (f"{ROOT}{'<RadDetectorInformation/>' * 257}</RadInstrumentData>".encode(), "more than 256 RadDetectorInfor"),
        (document(results=compressed("0 65535") * 300), "more than 16000000 channels"),
        (document(results=compressed("00.0\n\n 65535 ") * 300), "more than 16000000 channels"),
        (document(results=compressed("0 1e4")), "compressed channels that are no numbers"),
        (document(Slice(live="PT9000000000S", real="PT9000000000S")), "a measurement of"),
        (document(Slice(channels=(10**38,) * 8)), "counts"),
    ],
)
def test_what_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(NotN42Error, match=why):
        read_document(data)


def test_texts_and_lists_are_bounded() -> None:
    many = [nuclide(f"N-{number}") for number in range(100)]
    alarms = [alarm("Gamma").replace("A-Gamma", f"A{number}") for number in range(100)]
    found = read_document(
        document(Slice(), results=analysis(*alarms, nuclides=many), manufacturer="E" * 5000, model="line\n feed")
    )
    assert found.measurement is not None
    assert len(found.measurement.nuclides) == n42.MAX_NUCLIDES
    assert len(found.alarms) == n42.MAX_ALARMS
    assert len(found.instrument) == n42.MAX_TEXT
    assert measured(document(Slice(), model="line\n feed")).instrument == "Example line feed SN-7"


@pytest.mark.parametrize("error", [RuntimeError("std::exception"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no")])
def test_what_specutils_throws_is_a_refusal(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    specutils = pytest.importorskip("SpecUtils")

    class Thrower:
        def loadFromN42(self, _: object) -> bool:
            raise error

    monkeypatch.setattr(specutils, "SpecFile", Thrower)
    with pytest.raises(NotN42Error, match="SpecUtils cannot read it"):
        read_document(document(Slice()))
