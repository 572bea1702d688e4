"""A scan as a file, in the formats in which scanners hand pictures on.

png and tiff with 16 bits; dicom (Digital X-Ray) and dicos (NEMA IIC 1, its DX object) with 16 bits; jpeg as an
operator's quick look; uff as opaque bytes, since the WCO's format is for its members.
"""

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Literal
from uuid import UUID

import numpy as np
from PIL import Image, PngImagePlugin

from hardware_sim.world.radiograph import MM_PER_PX, Picture

Format = Literal["png", "tiff", "jpeg", "dicom", "dicos", "uff"]
SUFFIXES: dict[str, str] = {
    "png": ".png", "tiff": ".tif", "jpeg": ".jpg", "dicom": ".dcm", "dicos": ".dcs", "uff": ".uff",
}  # fmt: skip
MEDIA_TYPES: dict[str, str] = {
    "png": "image/png", "tiff": "image/tiff", "jpeg": "image/jpeg", "dicom": "application/dicom",
    "dicos": "application/dicos", "uff": "application/octet-stream",
}  # fmt: skip
# DICOM PS3.6, annex A: the classes of these objects.
DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
DICOS_DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.501.2.1"
_IMPLEMENTATION = "2.25.318602513925173417846317843226415316992"


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan: the scanner's own id, the number that it states ("" for none), when it was taken, and its picture."""

    scan_id: str
    vehicle_number: str
    taken: datetime
    uuid: UUID
    scanner: str
    picture: Picture


def encoded(scan: Scan, format: Format) -> bytes:
    """The scan as a file of that format; the same scan gives the same bytes."""
    match format:
        case "png" | "tiff" | "jpeg":
            return _picture_file(scan, format)
        case "dicom" | "dicos":
            buffer = BytesIO()
            dataset(scan, format).save_as(buffer, enforce_file_format=True)
            return buffer.getvalue()
        case _:
            head = f"UFF simulated {scan.scan_id} {scan.vehicle_number} {scan.taken.isoformat()}\n".encode()
            return head.ljust(256, b"\x00") + zlib.compress(scan.picture.tobytes(), 1)


def quick_look(picture: Picture) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Eight bits for a screen: the dark parts are lifted, as an operator would."""
    return np.asarray(np.sqrt(picture / 65_535) * 255).astype(np.uint8)


def _picture_file(scan: Scan, format: str) -> bytes:
    buffer = BytesIO()
    described = f"scan={scan.scan_id};vehicle={scan.vehicle_number};taken={_iso(scan.taken)}"
    if format == "jpeg":
        Image.fromarray(quick_look(scan.picture)).save(buffer, "JPEG", quality=88, comment=described.encode())
        return buffer.getvalue()
    image = Image.fromarray(scan.picture)
    if format == "png":
        text = PngImagePlugin.PngInfo()
        text.add_text("Description", described)
        text.add_text("Software", scan.scanner)
        image.save(buffer, "PNG", pnginfo=text, compress_level=1)
    else:
        tags = {270: described, 305: scan.scanner, 306: scan.taken.astimezone(UTC).strftime("%Y:%m:%d %H:%M:%S")}
        image.save(buffer, "TIFF", tiffinfo=tags)
    return buffer.getvalue()


def dataset(scan: Scan, format: Format) -> Any:
    """The scan as a pydicom dataset with its file meta information; `format` is dicom or dicos.

    DICOS keeps DICOM's patient for the object of inspection: its id is the number that the scanner states.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    taken = scan.taken.astimezone(UTC)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(DICOS_DX_FOR_PRESENTATION if format == "dicos" else DX_FOR_PRESENTATION)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid(scan))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(_IMPLEMENTATION)
    ds = Dataset()
    ds.file_meta = meta
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID = _uid(scan.uuid.int ^ 1)
    ds.SeriesInstanceUID = _uid(scan.uuid.int ^ 2)
    ds.Modality = "DX"
    ds.Manufacturer, ds.ManufacturerModelName = "Simulated", scan.scanner
    ds.PatientID = ds.PatientName = scan.vehicle_number
    ds.AccessionNumber = ds.StudyID = scan.scan_id[:16]
    ds.StudyDescription = f"Vehicle scan {scan.scan_id}"
    ds.InstanceNumber = ds.SeriesNumber = 1
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.StudyDate = ds.ContentDate = ds.AcquisitionDate = taken.strftime("%Y%m%d")
    ds.StudyTime = ds.ContentTime = ds.AcquisitionTime = taken.strftime("%H%M%S.%f")
    ds.TimezoneOffsetFromUTC = "+0000"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.Rows, ds.Columns = scan.picture.shape
    ds.PixelSpacing = [MM_PER_PX, MM_PER_PX]
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.WindowCenter, ds.WindowWidth = 20_000, 40_000
    ds.PixelData = scan.picture.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def sop_instance_uid(scan: Scan) -> str:
    """The instance's UID, as PS3.5, annex B.2 derives one from a UUID."""
    return _uid(scan.uuid.int)


def _uid(number: int) -> str:
    return f"2.25.{number}"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
