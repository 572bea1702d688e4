"""Reads ANSI N42.42-2012 documents: one passage through a spectroscopic portal, as XML.

Two readers share the work. Expat, strict, goes first: it refuses what is not whole, not well-formed or larger than any
portal's document, and picks up the two things that SpecUtils leaves out (`RadAlarm`, and start times with their offset
from UTC). Sandia's SpecUtils then reads the physics. SpecUtils alone takes a truncated document for a whole one.
"""

import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any
from xml.parsers import expat

from edge_agent.domain.observation import Nuclide, SpectroscopicMeasurement

NAMESPACE = "http://physics.nist.gov/N42/2011/N42"
INSTALL = "reading N42 documents needs SandiaSpecUtils: pip install 'edge-agent[n42]'"

# Elements and attributes: a vehicle of two minutes, ten samples a second on eight detectors, has some 80,000. A node
# takes SpecUtils some 100 bytes, and each level of nesting a frame of its stack.
MAX_NODES = 200_000
MAX_DEPTH = 32
# SpecUtils compares every measurement with others; the time that this takes must stay bounded.
MAX_MEASUREMENTS = 20_000
MAX_DETECTORS = 256
# Two minutes, ten samples a second, on eight detectors of 1,024 channels are 10 million. A run of empty channels can be
# written in seven characters (CountedZeroes, N42.42 8.4), and takes SpecUtils four bytes a channel.
MAX_CHANNELS = 16_000_000
MAX_NUCLIDES = 64
MAX_ALARMS = 64
MAX_TEXT = 200
MAX_COUNTS = 2**53  # beyond it a double is no count any more
_ENCODINGS = {None: "utf-8", "utf-8": "utf-8", "us-ascii": "utf-8", "iso-8859-1": "iso-8859-1"}
_COUNTED = re.compile(r"[0-9.\s]*")
_ZEROES = re.compile(r"(?<![0-9.])(?:0+\.?0*|\.0+)\s+([0-9]{1,9})")
_NUMBER = re.compile(r"[0-9]{1,3}(\.[0-9]*)?")


class NotN42Error(ValueError):
    """Bytes that are no N42.42-2012 document; its message says why."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that the document states (`RadAlarm`): its category in the standard's or the maker's words, its time."""

    category: str
    description: str = ""
    at: str = ""

    @property
    def gamma(self) -> bool:
        return bool(re.search("gamma|isotope", self.category, re.IGNORECASE))

    @property
    def neutron(self) -> bool:
        return "neutron" in self.category.lower()


@dataclass(frozen=True, slots=True)
class Document:
    """What an N42 document says. `measurement` is None where it holds background or calibration only.

    `measured` names the classes of its measurements in the standard's words. `started` is the start of the first that
    is no background, as written. `detector_gamma` is the gamma counts of `measurement`, one number a detector.
    """

    instrument: str
    measured: tuple[str, ...]
    measurement: SpectroscopicMeasurement | None
    detector_gamma: tuple[int, ...]
    alarms: tuple[Alarm, ...]
    started: str


def installed() -> bool:
    """Whether SpecUtils is there."""
    return find_spec("SpecUtils") is not None


def read_document(data: bytes) -> Document:
    """Read one whole document. Raises NotN42Error on anything else; takes some 20 ms a megabyte."""
    import SpecUtils  # 3 MB of native code, and optional

    screened = _screen(data)
    try:
        file = SpecUtils.SpecFile()
        if not file.loadFromN42(io.BytesIO(screened.text)):
            raise NotN42Error("an XML document in which SpecUtils finds no measurement")
        return _document(SpecUtils, file, screened)
    except NotN42Error:
        raise
    except (RuntimeError, ValueError, LookupError, ArithmeticError, MemoryError, TypeError) as error:
        # What its C++ throws arrives as one of these; text that it cut within a character as UnicodeDecodeError.
        raise NotN42Error(f"SpecUtils cannot read it: {_short(str(error))}") from None


# --- first pass: strict XML, and what SpecUtils leaves out -----------------------------------------------------------


@dataclass
class _Screened:
    """A document that is whole, well-formed and bounded. `text` is UTF-8."""

    text: bytes = b""
    encoding: str = "utf-8"
    analysed: bool = False
    failed: bool = False
    alarms: list[Alarm] = field(default_factory=list)
    started: str = ""


class _Screen:
    """Expat's handlers. Raising in one of them stops it."""

    def __init__(self) -> None:
        self.found = _Screened()
        self._path: list[str] = []
        self._nodes = 0
        self._counts = {"RadMeasurement": 0, "RadDetectorInformation": 0}
        self._text: list[str] = []
        self._length = 0
        self._fields: dict[str, str] = {}
        self._counted: list[str] | None = None  # the text of compressed channels, within it
        self._channels = 0

    def declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        name = encoding.lower() if encoding else None
        if name not in _ENCODINGS:
            raise NotN42Error(f"a document in {_short(str(encoding))}: only UTF-8, ASCII and ISO 8859-1 are read")
        self.found.encoding = _ENCODINGS[name]

    def doctype(self, *_: object) -> None:
        raise NotN42Error("a document type declaration: entities can grow without bound, and N42 has none")

    def start(self, name: str, attributes: Sequence[str]) -> None:
        if not self._path and name != f"{NAMESPACE} RadInstrumentData":
            raise NotN42Error(f"an XML document of another kind: its root is {_short(name)}")
        self._nodes += 1 + len(attributes) // 2
        if self._nodes > MAX_NODES:
            raise NotN42Error(f"more than {MAX_NODES} elements and attributes")
        if len(self._path) == MAX_DEPTH:
            raise NotN42Error(f"elements nested deeper than {MAX_DEPTH}")
        tag = name.rpartition(" ")[2]  # SpecUtils does not look at namespaces
        if tag == "ChannelData" and "compressionCode" in attributes and "None" not in attributes:
            self._counted = []
        if tag in self._counts:
            self._counts[tag] += 1
            limit = MAX_MEASUREMENTS if tag == "RadMeasurement" else MAX_DETECTORS
            if self._counts[tag] > limit:
                raise NotN42Error(f"more than {limit} {tag} elements")
        self._path.append(tag)
        self._text, self._length = [], 0
        if tag in ("RadMeasurement", "RadAlarm"):
            self._fields = {}

    def characters(self, text: str) -> None:
        if self._counted is not None:
            self._counted.append(text)
        if self._length < MAX_TEXT:
            self._text.append(text)
            self._length += len(text)

    def end(self, _name: str) -> None:
        tag = self._path.pop()
        text, self._text = _short("".join(self._text)), []
        if tag == "ChannelData" and self._counted is not None:
            self._expand("".join(self._counted))
            self._counted = None
        match (self._path[-1] if self._path else "", tag):
            case ("AnalysisResults", "AnalysisResultStatusCode"):
                self.found.failed |= text.lower() in ("failure", "aborted")
            case ("RadMeasurement", "MeasurementClassCode" | "StartDateTime") | (
                "RadAlarm",
                "RadAlarmCategoryCode" | "RadAlarmDescription" | "RadAlarmDateTime" | "RadAlarmActiveIndicator",
            ):
                self._fields[tag] = text
            case (_, "RadMeasurement"):
                if self._fields.get("MeasurementClassCode") not in ("Background", "Calibration", "IntrinsicActivity"):
                    self.found.started = self.found.started or self._fields.get("StartDateTime", "")
            case ("AnalysisResults", "RadAlarm"):
                is_over = self._fields.get("RadAlarmActiveIndicator") in ("false", "0")
                if len(self.found.alarms) < MAX_ALARMS and not is_over:
                    fields = (f"RadAlarm{name}" for name in ("CategoryCode", "Description", "DateTime"))
                    self.found.alarms.append(Alarm(*(self._fields.get(name, "") for name in fields)))
            case (_, "AnalysisResults"):
                self.found.analysed = True
            case _:
                pass

    def _expand(self, text: str) -> None:
        """Adds up the channels that compressed data can become."""
        if not _COUNTED.fullmatch(text):
            raise NotN42Error("compressed channels that are no numbers")
        self._channels += sum(map(int, _ZEROES.findall(text)))
        if self._channels > MAX_CHANNELS:
            raise NotN42Error(f"more than {MAX_CHANNELS} channels")


def _screen(data: bytes) -> _Screened:
    if b"\0" in data:
        raise NotN42Error("zero bytes: not text, or UTF-16; only UTF-8, ASCII and ISO 8859-1 are read")
    screen = _Screen()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.ordered_attributes = True
    parser.buffer_text = True
    parser.XmlDeclHandler = screen.declaration
    parser.StartDoctypeDeclHandler = screen.doctype
    parser.StartElementHandler = screen.start
    parser.CharacterDataHandler = screen.characters
    parser.EndElementHandler = screen.end
    try:
        parser.Parse(data.strip(), True)
    except expat.ExpatError as error:
        why = expat.ErrorString(error.code)
        raise NotN42Error(f"not whole, well-formed XML: {why}, line {error.lineno}") from None
    found = screen.found
    found.text = data if found.encoding == "utf-8" else data.decode(found.encoding).encode()
    return found


# --- second pass: SpecUtils ------------------------------------------------------------------------------------------


def _document(spec_utils: Any, file: Any, screened: _Screened) -> Document:
    """`spec_utils` is the module and `file` its SpecFile, which has no types."""
    instrument = " ".join(
        part
        for part in (_short(file.manufacturer()), _short(file.instrumentModel()), _short(file.instrumentId()))
        if part
    )
    records = file.measurements()
    ours = [record for record in records if _of_the_vehicle(spec_utils, record)]
    # A derived record repeats what measured ones hold. Where a document has derived ones only, they are all there is.
    ours = [record for record in ours if not record.derivedDataProperties()] or ours
    alarms = tuple(screened.alarms)
    return Document(
        instrument=_short(instrument),
        measured=tuple(sorted({str(record.sourceType()).rpartition(".")[2] for record in records})),
        measurement=_measurement(file, ours, screened, _short(instrument)) if ours else None,
        detector_gamma=_by_detector(ours),
        alarms=alarms,
        started=screened.started,
    )


def _of_the_vehicle(spec_utils: Any, record: Any) -> bool:
    source, kinds = record.sourceType(), spec_utils.SourceType
    if source == kinds.UnknownSourceType:
        return bool(record.occupied() != spec_utils.OccupancyStatus.NotOccupied)
    return bool(source == kinds.Foreground)


def _measurement(file: Any, records: list[Any], screened: _Screened, instrument: str) -> SpectroscopicMeasurement:
    gamma = [record for record in records if record.numGammaChannels() or record.gammaCountSum()]
    neutron = [record for record in records if record.containedNeutron()]
    stated = screened.analysed and not screened.failed
    # An alarm of a category that is neither: then "no gamma alarm" would be more than the portal said.
    unclear = any(not (alarm.gamma or alarm.neutron) for alarm in screened.alarms)
    otherwise = False if stated and not unclear else None
    speeds = [record.speed() for record in records if math.isfinite(record.speed()) and 0 < record.speed() < 100]
    return SpectroscopicMeasurement(
        instrument=instrument,
        live_s=_duration(gamma or records, "liveTime"),
        real_s=_duration(gamma or records, "realTime"),
        gamma_counts=_count(record.gammaCountSum() for record in gamma) if gamma else None,
        neutron_counts=_count(record.neutronCountsSum() for record in neutron) if neutron else None,
        gamma_alarm=True if any(alarm.gamma for alarm in screened.alarms) else otherwise,
        neutron_alarm=True if any(alarm.neutron for alarm in screened.alarms) else otherwise,
        nuclides=tuple(_nuclides(file.detectorAnalysisResults())),
        speed_kmh=round(speeds[0] * 3.6, 2) if speeds else None,
    )


def _by_detector(records: list[Any]) -> tuple[int, ...]:
    counts: dict[str, list[float]] = {}
    for record in records:
        if record.numGammaChannels() or record.gammaCountSum():
            counts.setdefault(record.detectorName(), []).append(record.gammaCountSum())
    return tuple(_count(counts[name]) for name in sorted(counts))


def _duration(records: list[Any], which: str) -> float:
    """Seconds: of detectors that measure side by side the longest, of samples one after the other the sum."""
    longest: dict[int, float] = {}
    for record in records:
        seconds = getattr(record, which)()
        if not 0 <= seconds < 1e7:  # also NaN
            raise NotN42Error(f"a measurement of {seconds} s")
        sample = record.sampleNumber()
        longest[sample] = max(seconds, longest.get(sample, 0.0))
    return round(math.fsum(longest.values()), 3)


def _count(counts: Iterable[float]) -> int:
    total = math.fsum(counts)
    if not 0 <= total < MAX_COUNTS:  # also NaN
        raise NotN42Error(f"{total} counts")
    return round(total)


def _nuclides(results: list[Any]) -> Iterable[Nuclide]:
    for result in [result for result in results if result.nuclide()][:MAX_NUCLIDES]:
        stated, category = _short(result.idConfidence()), _short(result.nuclideType())
        # The standard's NuclideIDConfidenceValue is in percent; makers also write words.
        percent = float(stated) if _NUMBER.fullmatch(stated) else None
        if percent is not None and percent <= 100:
            yield Nuclide(_short(result.nuclide()), percent / 100, category)
        else:
            words = f"confidence {stated}" if stated else ""
            yield Nuclide(_short(result.nuclide()), None, "; ".join(part for part in (category, words) if part))


def _short(text: str) -> str:
    """One line of bounded length."""
    return " ".join(text.split())[:MAX_TEXT]
