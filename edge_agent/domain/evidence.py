"""Bytes that prove an event, kept by their SHA-256."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class EvidenceKind(StrEnum):
    """What the bytes show."""

    FRAME = "frame"
    PLATE_CROP = "plate_crop"
    CONTAINER_CODE_CROP = "container_code_crop"
    RADIATION_PROFILE = "radiation_profile"
    RAW_CAPTURE = "raw_capture"
    N42 = "n42"  # a spectroscopic portal's document
    SCAN = "scan"  # a scanner's file, as it came
    QUICK_LOOK = "quick_look"  # a scan as a picture for people


@dataclass(frozen=True, slots=True)
class EvidenceRef:
    """How an event names its evidence: digest and size bind the bytes, wherever they lie."""

    kind: EvidenceKind
    media_type: str
    sha256: bytes
    size: int


@dataclass(frozen=True)
class Evidence:
    """The bytes themselves, on their way to the ledger."""

    kind: EvidenceKind
    media_type: str
    data: bytes

    @cached_property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.data).digest()

    @property
    def ref(self) -> EvidenceRef:
        return EvidenceRef(self.kind, self.media_type, self.sha256, len(self.data))
