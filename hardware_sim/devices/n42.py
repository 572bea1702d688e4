"""One occupancy as an ANSI N42.42-2011 document (data format standard for radiation detectors, NIST's schema n42.xsd).

Elements stand in the schema's order. Each detector has an entry of its own; a background comes before the foreground,
and the instrument's verdict is in AnalysisResults.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from hardware_sim.world.spectrum import KEV_PER_CHANNEL, Found

NAMESPACE = "http://physics.nist.gov/N42/2011/N42"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMA = f"{NAMESPACE} http://physics.nist.gov/N42/2011/n42.xsd"
_CALIBRATION = "ECal-1"
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Panel:
    """A gamma detector with the neutron detector beside it: `name` as in ANSI N42.42, annex: Aa1, Ba1."""

    name: str
    foreground: Counts
    background: Counts
    neutrons: int
    neutrons_background: int


@dataclass(frozen=True, slots=True)
class OccupancyDocument:
    """What the document says. Times in seconds; `live` is a share of real time."""

    uuid: UUID
    manufacturer: str
    model: str
    identifier: str
    version: str
    occupancy: int
    panels: Sequence[Panel]
    background_began: datetime
    background_s: float
    began: datetime
    real_s: float
    live: float
    speed_mps: float
    gamma_alarm: bool
    neutron_alarm: bool
    found: Sequence[Found]

    def to_xml(self, counted_zeroes: bool) -> bytes:
        """The document in UTF-8; with `counted_zeroes` runs of empty channels are written as 0 and their number."""
        root = ET.Element(
            "RadInstrumentData",
            {"xmlns": NAMESPACE, "xmlns:xsi": _XSI, "xsi:schemaLocation": _SCHEMA, "n42DocUUID": str(self.uuid)},
        )
        _add(root, "RadInstrumentDataCreatorName", f"{self.manufacturer} {self.model} {self.version}")
        self._instrument(root)
        item = _add(root, "RadItemInformation", id="Vehicle")
        _add(item, "RadItemDescription", f"Vehicle of occupancy {self.occupancy}")
        calibration = _add(root, "EnergyCalibration", id=_CALIBRATION)
        _add(calibration, "CoefficientValues", f"0 {KEV_PER_CHANNEL:g} 0")
        self._measurement(root, counted_zeroes, foreground=False)
        self._measurement(root, counted_zeroes, foreground=True)
        self._analysis(root)
        body: bytes = ET.tostring(root, encoding="utf-8")
        return b'<?xml version="1.0" encoding="UTF-8"?>\n' + body

    def _instrument(self, root: ET.Element) -> None:
        information = _add(root, "RadInstrumentInformation", id="Instrument")
        _add(information, "RadInstrumentManufacturerName", self.manufacturer)
        _add(information, "RadInstrumentIdentifier", self.identifier)
        _add(information, "RadInstrumentModelName", self.model)
        _add(information, "RadInstrumentClassCode", "Spectroscopic Portal Monitor")
        version = _add(information, "RadInstrumentVersion")
        _add(version, "RadInstrumentComponentName", "Firmware")
        _add(version, "RadInstrumentComponentVersion", self.version)
        for panel in self.panels:
            gamma = _add(root, "RadDetectorInformation", id=panel.name)
            _add(gamma, "RadDetectorCategoryCode", "Gamma")
            _add(gamma, "RadDetectorKindCode", "NaI")
            neutron = _add(root, "RadDetectorInformation", id=f"{panel.name}N")
            _add(neutron, "RadDetectorCategoryCode", "Neutron")
            _add(neutron, "RadDetectorKindCode", "He3")

    def _measurement(self, root: ET.Element, counted_zeroes: bool, *, foreground: bool) -> None:
        name = "Foreground" if foreground else "Background"
        real_s = self.real_s if foreground else self.background_s
        measurement = _add(root, "RadMeasurement", id=name)
        _add(measurement, "MeasurementClassCode", name)
        _add(measurement, "StartDateTime", _date(self.began if foreground else self.background_began))
        _add(measurement, "RealTimeDuration", _duration(real_s))
        for panel in self.panels:
            spectrum = _add(
                measurement, "Spectrum", id=f"{name}-{panel.name}",
                radDetectorInformationReference=panel.name, energyCalibrationReference=_CALIBRATION,
            )  # fmt: skip
            _add(spectrum, "LiveTimeDuration", _duration(real_s * self.live))
            counts = panel.foreground if foreground else panel.background
            if counted_zeroes:
                _add(spectrum, "ChannelData", _counted_zeroes(counts), compressionCode="CountedZeroes")
            else:
                _add(spectrum, "ChannelData", " ".join(map(str, counts.tolist())), compressionCode="None")
        for panel in self.panels:
            gross = _add(
                measurement, "GrossCounts", id=f"{name}-{panel.name}N", radDetectorInformationReference=f"{panel.name}N"
            )
            _add(gross, "LiveTimeDuration", _duration(real_s))
            _add(gross, "CountData", str(panel.neutrons if foreground else panel.neutrons_background))
        if foreground:
            state = _add(measurement, "RadItemState", radItemInformationReference="Vehicle")
            vector = _add(state, "StateVector")
            _add(vector, "SpeedValue", f"{self.speed_mps:.3f}")
        _add(measurement, "OccupancyIndicator", "true" if foreground else "false")

    def _analysis(self, root: ET.Element) -> None:
        results = _add(root, "AnalysisResults", id="Analysis", radMeasurementReferences="Foreground Background")
        _add(results, "AnalysisAlgorithmName", "Key lines over background")
        version = _add(results, "AnalysisAlgorithmVersion")
        _add(version, "AnalysisAlgorithmComponentName", "Library")
        _add(version, "AnalysisAlgorithmComponentVersion", "1")
        alarming = self.gamma_alarm or self.neutron_alarm
        _add(results, "AnalysisResultDescription", "Alarm" if alarming else "No alarm")
        for category, active in (("Gamma", self.gamma_alarm), ("Neutron", self.neutron_alarm)):
            if active:
                alarm = _add(results, "RadAlarm", id=f"Alarm-{category}")
                _add(alarm, "RadAlarmCategoryCode", category)
                _add(alarm, "RadAlarmDescription", f"{category} counts above the alarm level")
                _add(alarm, "RadAlarmActiveIndicator", "true")
        if not self.found:
            return
        nuclides = _add(results, "NuclideAnalysisResults")
        for each in self.found:
            nuclide = _add(nuclides, "Nuclide")
            _add(nuclide, "NuclideIdentifiedIndicator", "true")
            _add(nuclide, "NuclideName", each.nuclide.name)
            _add(nuclide, "NuclideIDConfidenceValue", f"{100 * each.confidence:.1f}")
            _add(nuclide, "NuclideCategoryDescription", each.nuclide.category)


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, tag, attributes)
    child.text = text
    return child


def _date(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _duration(seconds: float) -> str:
    return f"PT{seconds:.3f}S"


def _counted_zeroes(counts: Counts) -> str:
    """N42.42, 8.4: each run of zeroes as one zero and how many there are."""
    words: list[str] = []
    run = 0
    for count in [*counts.tolist(), None]:
        if count == 0:
            run += 1
            continue
        if run:
            words += ["0", str(run)]
            run = 0
        if count is not None:
            words.append(str(count))
    return " ".join(words)
