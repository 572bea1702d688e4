"""What the sources read, as far as it is a pure function of bytes: registers, documents, files, messages."""

import io
import json
import os
import struct
from pathlib import Path

from edge_agent.devices.capture_file import MARK, is_capture, read_events, read_header
from edge_agent.devices.n42 import NotN42Error, read_document
from edge_agent.devices.sources.aspect_portal import REGISTERS, NotAPortalError, Portal, RegisterSettings, decode
from edge_agent.devices.sources.llrp_session import decoded
from edge_agent.devices.sources.modem_lines import MASKS, Contact, Contacts, Settings
from edge_agent.devices.sources.scan_file import NOTHING, FileSettings
from edge_agent.devices.sources.scan_reading import File, scan_reading
from edge_agent.devices.sources.sidecar import SidecarSettings, read_sidecar
from edge_agent.domain.errors import SettingsInvalid
from tests.fuzz.parsers import NOW, Parser
from tests.unit.devices.n42_documents import BACKGROUND, Slice, alarm, analysis, document


def _registers(data: bytes) -> None:
    """A portal that is polled as long as there are registers."""
    portal, size = Portal(RegisterSettings()), 2 * REGISTERS
    for index, at in enumerate(range(0, max(len(data), 1), size)):
        words = struct.unpack(f">{len(data[at : at + size]) // 2}H", data[at : at + size][: len(data[at:]) & ~1])
        portal.polled(decode(words), NOW + index / 5)


def _register_seeds() -> list[bytes]:
    def low_first(kind: str, value: float) -> bytes:
        packed = struct.pack(kind, value)
        return packed[2:] + packed[:2]

    def poll(time: int, inputs: int, status: int, count: int) -> bytes:
        channel = struct.pack(">H", status) + low_first(">I", count) + low_first(">f", 500.0) + low_first(">f", 510.0)
        return low_first(">I", time) + struct.pack(">H", inputs) + channel * 2 + struct.pack(">4H", time, 0, 8, 0)

    empty, occupied, alarmed = poll(1, 0, 0x80, 500), poll(2, 0x41, 0x80, 480), poll(3, 0x41, 0x81, 9000)
    return [empty, empty + occupied + alarmed + empty, poll(1, 0xF00, 0x30, 0)]


def _lines(data: bytes) -> None:
    """Each two bytes: the lines' state, and how long it lasts."""
    contacts = Contacts(
        Settings(
            url="/dev/x", lines={line: Contact(sensor=line) for line in MASKS}, forward=("cts", "dsr"), debounce_s=0.1
        )
    )
    now = NOW
    for state, pause in zip(data[::2], data[1::2], strict=False):
        contacts.seen(state, now)
        now += pause / 100
        contacts.woke(now)


_NAMES = ("scan.dcm", "scan.dcs", "scan.png", "scan.tif", "scan.jpg", "scan.uff", "scan", "\udcff\x00 1.dcm")


def _scan(data: bytes) -> None:
    """The first byte picks the file's name. Small pictures only: the largest that are drawn take seconds each."""
    from edge_agent.devices.sources import quick_look

    quick_look.PIXELS_MAX = 250_000
    if data:
        scan_reading([File(_NAMES[data[0] % len(_NAMES)], data[1:])], NOTHING, FileSettings(), NOW)


def _scan_seeds() -> list[bytes]:
    import cv2
    import numpy as np
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    picture = np.arange(64, dtype=np.uint16).reshape(8, 8) * 900
    found = [
        bytes([name]) + cv2.imencode(kind, picture if kind != ".jpg" else picture.astype(np.uint8))[1].tobytes()
        for name, kind in ((2, ".png"), (3, ".tif"), (4, ".jpg"))
    ]
    dataset, meta = Dataset(), FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, UID("1.2.3")
    dataset.PatientID, dataset.StudyID = "ABC1234", "42"
    dataset.Rows = dataset.Columns = 8
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.PixelData = 15, 0, picture.tobytes()
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return [*found, b"\x00" + file.getvalue(), b"\x01" + file.getvalue(), b"\x05UFF"]


def _sidecar(data: bytes) -> None:
    read_sidecar(data, SidecarSettings(scan="a.0.b", vehicle="v.@number", taken="taken"))


def _sidecar_seeds() -> list[bytes]:
    return [
        json.dumps({"a": [{"b": 17}], "v": {"@number": "X"}, "taken": None}).encode(),
        b'<?xml version="1.0"?><s xmlns="u"><a><b>1</b></a><v number="ABC"/><taken>2026</taken></s>',
    ]


class _Capture:
    """A file in memory: on a disk each input would wait for it, for fifteen times as long as for the parser."""

    def __init__(self) -> None:
        self._file = os.memfd_create("fuzz-capture")

    def __call__(self, data: bytes) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, data, 0)
        path = Path(f"/proc/self/fd/{self._file}")
        if is_capture(path):
            read_header(path)
            list(read_events(path))


def _capture_seeds() -> list[bytes]:
    head = {"capture": 1, "device": "x", "driver": "barcode_scanner", "settings": {}, "link": {"url": "/dev/x"}}
    first = json.dumps({**head, "started": "2026-11-22T02:40:11Z"}).encode()
    events = b'\n{"t": 0, "opened": true}\n{"t": 1.5, "rx": "5d43"}\n{"t": 2, "lost": "why"}\n{"t": 3, "end": ""}\n'
    return [first + events, MARK + b" 2}\n", first + b"\n"]


def _llrp(data: bytes) -> None:
    decoded(data)


def _llrp_seeds() -> list[bytes]:
    from llrpkit.protocol import messages, params

    tag = params.TagReportData(epc_parameter=params.EPC_96(epc=bytes(range(12))))
    report = messages.RO_ACCESS_REPORT(tag_report_datas=[tag])
    return [message.to_bytes(message_id=1) for message in (messages.KEEPALIVE(), report)]


PARSERS = (
    Parser("aspect_portal", _registers, _register_seeds, allowed=(NotAPortalError,)),
    Parser("llrp", _llrp, _llrp_seeds, allowed=(ValueError,)),
    Parser("modem_lines", _lines, lambda: [b"\x10\x20\x30\x20\x00\x20" * 3]),
    Parser(
        "n42",
        lambda data: [read_document(data)].clear(),
        lambda: [document(BACKGROUND, Slice(), results=analysis(alarm("Gamma")))],
        longest=16_384,
        allowed=(NotN42Error,),
    ),
    Parser("scan_reading", _scan, _scan_seeds),
    Parser("sidecar", _sidecar, _sidecar_seeds, allowed=(ValueError,)),
    Parser("capture_file", _Capture(), _capture_seeds, allowed=(SettingsInvalid,)),
)
