"""What a scanner sends: pictures, DICOS data sets, and the sending of them by libraries that are not ours."""

import socket
from contextlib import suppress
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.transport import AssociationSocket

TOKEN = "f3b1c8de9a7744c0a1d2"
DICOS_DX = "1.2.840.10008.5.1.4.1.1.501.2.1"
FRAMES = 0x00280008


def _shut(self: AssociationSocket) -> None:
    """pynetdicom 3.0.4 leaves a connection open that its peer has closed."""
    if self.socket is not None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


AssociationSocket._shutdown_socket = _shut  # type: ignore[method-assign]


def scan_16_bit(height: int, width: int, low: int = 2000, high: int = 3000) -> NDArray[np.uint16]:
    """A ramp from left to right in a narrow part of the 16 bits, as detectors give it, with two pixels far outside."""
    picture = np.tile(np.linspace(low, high, width), (height, 1)).astype(np.uint16)
    picture[0, 0], picture[-1, -1] = 0, 65_535
    return picture


def png(height: int, width: int) -> bytes:
    return encoded(".png", scan_16_bit(height, width))


def encoded(extension: str, picture: NDArray[Any]) -> bytes:
    ok, data = cv2.imencode(extension, picture)
    assert ok
    return data.tobytes()


def dicos(number: int = 1, height: int = 20, width: int = 40, syntax: str = ExplicitVRLittleEndian) -> Dataset:
    """A DICOS DX scan of a container; tags as a DICOS toolkit (V03) writes them."""
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = UID(syntax)
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID = UID(DICOS_DX)
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID = UID(f"1.2.3.4.{number}")
    found.AcquisitionDateTime = "20261122010203.000000"
    found.PatientID = "MSKU0383250"  # DICOS: OOI ID
    found.IssuerOfPatientID = "BIC"
    found.StudyID = f"D{number}"  # DICOS: Scan ID
    found.DICOSVersion = "V03"
    found.OOIType = "CARGO"
    found.SamplesPerPixel = 1
    found.PhotometricInterpretation = "MONOCHROME2"
    found.Rows, found.Columns = height, width
    found.BitsAllocated = found.BitsStored = 16
    found.HighBit = 15
    found.PixelRepresentation = 0
    found.PixelData = scan_16_bit(height, width).tobytes()
    return found


def dicom_file(data_set: Dataset) -> bytes:
    """In DICOM's file format, by pydicom."""
    written = DicomBytesIO()
    dcmwrite(written, data_set, enforce_file_format=True)
    return written.getvalue()


def store(port: int, data_set: Dataset, called: str = "EDGE-AGENT", calling: str = "SCANNER", **tls: Any) -> int | None:
    """Sends it by C-STORE: the status, or None when there was no association or it ended."""
    entity = AE(calling)
    entity.add_requested_context(data_set.SOPClassUID, data_set.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", port, ae_title=called, **tls)
    if not association.is_established:
        return None
    try:
        status = association.send_c_store(data_set)
        return int(status.Status) if "Status" in status else None
    finally:
        association.release()
        association.join(10)
