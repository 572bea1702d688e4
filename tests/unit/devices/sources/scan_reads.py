"""What is read of a scanner's file, with its bytes always kept."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from edge_agent.devices.sources.scan_file import NOTHING, FileSettings
from edge_agent.devices.sources.scan_reading import File, scan_reading
from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.observation import Reading, ScanImage
from tests.scanner import dicos, encoded

SETTINGS = FileSettings()


def read(data: bytes, name: str = "scan.bin", **settings: Any) -> tuple[ScanImage, Reading]:
    reading = scan_reading([File(name, data)], NOTHING, FileSettings(**settings), 5.0)
    assert isinstance(reading.body, ScanImage)
    assert reading.evidence[0].kind is EvidenceKind.SCAN
    assert reading.evidence[0].data == data, "the file is not kept as it came"
    assert reading.at == 5.0
    return reading.body, reading


def shown(reading: Reading) -> NDArray[Any]:
    [look] = [evidence for evidence in reading.evidence if evidence.kind is EvidenceKind.QUICK_LOOK]
    assert look.media_type == "image/jpeg"
    return np.asarray(cv2.imdecode(np.frombuffer(look.data, np.uint8), cv2.IMREAD_UNCHANGED))


def compressed(extension: str, syntax: str) -> Dataset:
    scan = dicos(syntax=syntax, height=80, width=120)
    coded = encoded(extension, np.tile(np.arange(120, dtype=np.uint8) * 2, (80, 1)))
    if extension == ".jp2":  # DICOM holds the code stream without its box
        coded = coded[coded.index(b"\xff\x4f\xff\x51") :]
    scan.BitsAllocated = scan.BitsStored = 8
    scan.HighBit = 7
    scan.PixelData = encapsulate([coded])
    scan["PixelData"].VR = "OB"
    scan["PixelData"].is_undefined_length = True
    return scan
