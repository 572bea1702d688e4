"""A scanner's file, without input or output: its format, and what it and its name state of the scan.

The WCO's Unified File Format is for its members and vendors: such a file is known by its name alone, and not opened.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# The ledger and the port take no larger evidence (ledger/evidence_files.py).
MAX_FILE_BYTES = 64 * 1024 * 1024
# Ids, numbers and times that a scanner states; a DICOM long string has 64 characters.
TEXT_MAX = 128
NOTE_MAX = 500

Format = Literal["uff", "dicos", "dicom", "tiff", "png", "jpeg", "other"]

MEDIA_TYPES: Mapping[Format, str] = {
    "uff": "application/octet-stream",
    "dicos": "application/dicom",
    "dicom": "application/dicom",
    "tiff": "image/tiff",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "other": "application/octet-stream",
}
# PS3.10 7.1, ISO 15948 5.2, TIFF 6.0 section 2 (43: BigTIFF), ITU-T T.81 B.1.1.3.
_MAGIC: tuple[tuple[int, bytes, Format], ...] = (
    (128, b"DICM", "dicom"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"II+\0", "tiff"),
    (0, b"MM\0+", "tiff"),
    (0, b"\xff\xd8\xff", "jpeg"),
)
_EXTENSIONS: Mapping[str, Format] = {".uff": "uff"}
_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),? ?([0-9A-Fa-f]{4})\)?")


def _tag(text: str) -> str:
    found = _TAG.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no DICOM tag: write it as 0010,0020")
    return f"{found[1]},{found[2]}".upper()


def _extension(text: str) -> str:
    if not re.fullmatch(r"\.[A-Za-z0-9]{1,15}", text):
        raise ValueError(f"{text!r} is no extension: write it as .uff")
    return text.lower()


Tag = Annotated[str, AfterValidator(_tag)]
Extension = Annotated[str, AfterValidator(_extension)]


class FileSettings(BaseModel):
    """What every source of scans is told of its scanner's files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    formats: dict[Extension, Format] = Field(
        default={},
        description="formats by extension, besides .uff, for files whose content does not say it: makers' own",
    )
    # NEMA IIC 1 keeps DICOM's tags under other names; read from files that a DICOS toolkit wrote (V03).
    scan_tags: tuple[Tag, ...] = Field(
        default=("0020,0010", "0008,0050", "0008,0018"),
        description="DICOM tags of the scan's id, the first that has a value: DICOS scan id (DICOM study id), "
        "accession number, SOP instance UID",
    )
    vehicle_tags: tuple[Tag, ...] = Field(
        default=("0010,0020",),
        description="DICOM tags of the vehicle's or cargo's number, the first that has a value: the DICOS id of the "
        "object of inspection (DICOM patient id)",
    )


def clean(text: str, longest: int) -> str:
    """On one line, without control characters, in characters that any receiver can decode, at most `longest`.

    A file's name may hold bytes that are no text.
    """
    text = text.encode("utf-8", "replace").decode("utf-8", "replace")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


@dataclass(frozen=True, slots=True)
class Stated:
    """What is said of a scan, '' where nothing is."""

    scan_id: str = ""
    vehicle_number: str = ""
    taken: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, clean(getattr(self, field.name), TEXT_MAX))

    def or_else(self, other: "Stated") -> "Stated":
        """This, its gaps filled from `other`."""
        return Stated(
            self.scan_id or other.scan_id, self.vehicle_number or other.vehicle_number, self.taken or other.taken
        )


NOTHING = Stated()


def format_of(data: bytes, name: str, formats: Mapping[str, Format]) -> Format:
    """By its content where that says so, else by its name; dicos is told from dicom by who opens it."""
    for at, magic, found in _MAGIC:
        if data.startswith(magic, at):
            return found
    return {**_EXTENSIONS, **formats}.get(PurePath(name).suffix.lower(), "other")


def stated_by_name(name: str, pattern: re.Pattern[str] | None) -> Stated:
    """What the groups `scan`, `vehicle` and `taken` of `pattern` find in a file's name."""
    found = pattern.search(name) if pattern else None
    groups = found.groupdict(default="") if found else {}
    return Stated(groups.get("scan", ""), groups.get("vehicle", ""), groups.get("taken", ""))
