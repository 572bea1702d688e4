"""N42.42-2012 documents, written for these tests after the standard's structure."""

from collections.abc import Iterable
from dataclasses import dataclass

NAMESPACE = "http://physics.nist.gov/N42/2011/N42"
CHANNELS = (0, 1, 2, 3, 4, 5, 6, 7)


@dataclass(frozen=True)
class Slice:
    """One `RadMeasurement`: a gamma spectrum for each detector, a neutron count, or both."""

    kind: str = "Foreground"
    start: str = "2026-11-22T10:00:01-06:00"
    real: str = "PT1.0S"
    live: str = "PT0.9S"
    channels: tuple[int, ...] = CHANNELS
    detectors: tuple[str, ...] = ("Aa1",)
    neutrons: int | None = 3
    speed: float | None = 2.5
    occupied: bool | None = True

    def xml(self, number: int) -> str:
        spectra = "".join(
            f'<Spectrum id="S{number}-{detector}" radDetectorInformationReference="{detector}"'
            f' energyCalibrationReference="C1"><LiveTimeDuration>{self.live}</LiveTimeDuration>'
            f'<ChannelData compressionCode="None">{" ".join(map(str, self.channels))}</ChannelData></Spectrum>'
            for detector in self.detectors
            if self.channels
        )
        neutron = (
            f'<GrossCounts id="G{number}" radDetectorInformationReference="N1"><LiveTimeDuration>{self.live}'
            f"</LiveTimeDuration><CountData>{self.neutrons}</CountData></GrossCounts>"
        )
        occupancy = f"<OccupancyIndicator>{str(self.occupied).lower()}</OccupancyIndicator>"
        speed = f"<RadItemState><StateVector><SpeedValue>{self.speed}</SpeedValue></StateVector></RadItemState>"
        return (
            f'<RadMeasurement id="M{number}"><MeasurementClassCode>{self.kind}</MeasurementClassCode>'
            f"<StartDateTime>{self.start}</StartDateTime><RealTimeDuration>{self.real}</RealTimeDuration>"
            f"{spectra}{neutron if self.neutrons is not None else ''}"
            f"{occupancy if self.occupied is not None else ''}"
            f"{speed if self.speed is not None else ''}</RadMeasurement>"
        )


BACKGROUND = Slice("Background", "2026-11-22T09:59:00-06:00", "PT60S", "PT59S", (9,) * 8, ("Aa1",), 20, None, False)


def alarm(category: str, at: str = "2026-11-22T10:00:02-06:00") -> str:
    return (
        f'<RadAlarm id="A-{category}"><RadAlarmDateTime>{at}</RadAlarmDateTime>'
        f"<RadAlarmCategoryCode>{category}</RadAlarmCategoryCode>"
        f"<RadAlarmDescription>over the\n threshold</RadAlarmDescription></RadAlarm>"
    )


def nuclide(name: str, confidence: str = "", category: str = "") -> str:
    described = f"<NuclideCategoryDescription>{category}</NuclideCategoryDescription>" if category else ""
    return (
        f"<Nuclide><NuclideIdentifiedIndicator>true</NuclideIdentifiedIndicator><NuclideName>{name}</NuclideName>"
        f"{confidence}{described}</Nuclide>"
    )


def percent(value: str) -> str:
    return f"<NuclideIDConfidenceValue>{value}</NuclideIDConfidenceValue>"


def words(value: str) -> str:
    return f"<NuclideIDConfidenceDescription>{value}</NuclideIDConfidenceDescription>"


def analysis(*alarms: str, nuclides: Iterable[str] = (), status: str = "Success") -> str:
    found = "".join(nuclides)
    found = f"<NuclideAnalysisResults>{found}</NuclideAnalysisResults>" if found else ""
    return (
        f"<AnalysisResults><AnalysisResultStatusCode>{status}</AnalysisResultStatusCode>"
        f"{found}{''.join(alarms)}</AnalysisResults>"
    )


def document(
    *slices: Slice, results: str = "", manufacturer: str = "Example", model: str = "Portal 9", head: str = ""
) -> bytes:
    detectors = "".join(
        f'<RadDetectorInformation id="{name}"><RadDetectorCategoryCode>{category}</RadDetectorCategoryCode>'
        f"<RadDetectorKindCode>{kind}</RadDetectorKindCode></RadDetectorInformation>"
        for name, category, kind in (("Aa1", "Gamma", "NaI"), ("Ba1", "Gamma", "NaI"), ("N1", "Neutron", "He3"))
    )
    measured = "".join(part.xml(number) for number, part in enumerate(slices))
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}\n<RadInstrumentData xmlns="{NAMESPACE}">'
        f'<RadInstrumentInformation id="I1">'
        f"<RadInstrumentManufacturerName>{manufacturer}</RadInstrumentManufacturerName>"
        f"<RadInstrumentIdentifier>SN-7</RadInstrumentIdentifier><RadInstrumentModelName>{model}</RadInstrumentModelName>"
        f"<RadInstrumentClassCode>Spectroscopic Portal Monitor</RadInstrumentClassCode></RadInstrumentInformation>"
        f'{detectors}<EnergyCalibration id="C1"><CoefficientValues>0 3 0</CoefficientValues></EnergyCalibration>'
        f"{measured}{results}</RadInstrumentData>"
    ).encode()


def framed(data: bytes) -> bytes:
    return b"\x02" + data + b"\x03"
