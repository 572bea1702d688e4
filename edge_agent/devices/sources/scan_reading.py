"""From the files of one scan to its reading: what it states, its bytes, and a quick look where one can be drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from edge_agent.devices.sources.dicom_file import in_words, read_dicom
from edge_agent.devices.sources.scan_file import (
    MEDIA_TYPES,
    NOTE_MAX,
    NOTHING,
    FileSettings,
    Format,
    Stated,
    clean,
    format_of,
)
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.observation import Reading, ScanImage

# Of several files of a scan, the one that is the scan: a scanner's own format before a picture of it.
_RANK: tuple[Format, ...] = ("dicos", "dicom", "uff", "tiff", "png", "jpeg", "other")


@dataclass(frozen=True, slots=True)
class File:
    """A file of a scan, whole."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it was looked at; `note` says why there is no picture of it, '' if there is or none is meant to be."""

    file: File
    format: Format
    stated: Stated = NOTHING
    width: int = 0
    height: int = 0
    jpeg: bytes = b""
    note: str = ""


def scan_reading(
    files: Sequence[File], stated: Stated, settings: FileSettings, at: float, note: str = "", raw: bytes = b""
) -> Reading:
    """One scan. `raw` is what came beside its files. `stated` goes before what the files state; without any id of its
    own a scan has its file's name.

    Decodes pictures: not for the event loop. Never raises for what is in a file.
    """
    seen = sorted((_look_at(file, settings) for file in files), key=lambda one: _RANK.index(one.format))
    first = seen[0]
    for one in seen:
        stated = stated.or_else(one.stated)
    stated = stated.or_else(Stated(scan_id=PurePath(first.file.name).stem))
    notes = [f"{one.file.name}: {one.note}" if len(seen) > 1 else one.note for one in seen if one.note]
    shown = next((one.jpeg for one in seen if one.jpeg), b"")
    evidence = [Evidence(EvidenceKind.SCAN, MEDIA_TYPES[one.format], one.file.data) for one in seen]
    if shown:
        evidence.append(Evidence(EvidenceKind.QUICK_LOOK, "image/jpeg", shown))
    body = ScanImage(
        scan_id=stated.scan_id,
        format=first.format,
        vehicle_number=stated.vehicle_number,
        width=first.width,
        height=first.height,
        note=clean("; ".join([note, *notes] if note else notes), NOTE_MAX),
    )
    return Reading(body, at, raw, evidence=tuple(evidence), device_time=stated.taken)


def _look_at(file: File, settings: FileSettings) -> _Seen:
    format_ = format_of(file.data, file.name, settings.formats)
    if format_ == "uff":
        return _Seen(file, format_)
    if format_ == "other":
        return _Seen(file, format_, note="no quick look: its format is not known")
    try:
        if format_ == "dicom" or format_ == "dicos":
            return _look_at_dicom(file, settings)
        from edge_agent.devices.sources.quick_look import of_picture

        look = of_picture(file.data)
    except Exception as error:  # noqa: BLE001 - whatever a decoder says of these bytes, they are kept
        return _Seen(file, format_, note=f"no quick look: {in_words(error)}")
    return _Seen(file, format_, width=look.width, height=look.height, jpeg=look.jpeg)


def _look_at_dicom(file: File, settings: FileSettings) -> _Seen:
    found = read_dicom(file.data, settings)
    format_: Format = "dicos" if found.dicos else "dicom"
    jpeg, note = b"", found.note
    if found.pixels:
        from edge_agent.devices.sources.quick_look import of_pixels

        try:
            jpeg = of_pixels(file.data, found.pixels).jpeg
        except Exception as error:  # noqa: BLE001 - likewise
            note = f"no quick look: {in_words(error)}"
    return _Seen(file, format_, found.stated, found.width, found.height, jpeg, note)
