"""pynetdicom's own SCU as the scanner, and raw sockets for what no scanner should do."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydicom import dcmread
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE

from edge_agent.devices.sources import dicom_server
from edge_agent.devices.sources.dicom_store import DicomStore, Settings
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import LinkDown, StoreFailed
from edge_agent.domain.observation import DeviceState, DeviceStatus, Malformed, Reading, ScanImage
from tests.certificates import certificates
from tests.contracts.source_imaging import free_port
from tests.integration.devices.conftest import until
from tests.scanner import DICOS_DX, dicom_file, dicos, store

ECHO = "1.2.840.10008.1.1"


class Booth:
    """The source as it runs. Scans become durable while `ledger` is set."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.readings: list[Reading] = []
        self.emitting = 0
        self.ledger = asyncio.Event()
        self.ledger.set()
        self.breaks = False

    async def emit(self, reading: Reading) -> None:
        if isinstance(reading.body, ScanImage):
            self.emitting += 1
            await self.ledger.wait()
            if self.breaks:
                raise StoreFailed("the disk said no")
        self.readings.append(reading)

    @property
    def scans(self) -> list[ScanImage]:
        return [reading.body for reading in self.readings if isinstance(reading.body, ScanImage)]

    @property
    def wrong(self) -> list[str]:
        return [reading.body.why for reading in self.readings if isinstance(reading.body, Malformed)]

    async def store(self, *arguments: Any, **named: Any) -> int | None:
        return await asyncio.to_thread(store, self.settings.port, *arguments, **named)


def settings(**changes: Any) -> Settings:
    return Settings(**{"port": free_port(), "calling_ae_titles": ("SCANNER",), **changes})


@asynccontextmanager
async def serving(given: Settings) -> AsyncIterator[Booth]:
    booth = Booth(given)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(DicomStore(given, SystemClock()).run(booth.emit))
        await until(lambda: any(isinstance(r.body, DeviceStatus) for r in booth.readings) or task.done())
        try:
            yield booth
        finally:
            task.cancel()


@pytest.fixture
async def booth() -> AsyncIterator[Booth]:
    async with serving(settings()) as running:
        yield running


def associated(port: int, use: Callable[[Any], Any], *contexts: tuple[str, str]) -> Any:
    """What `use` returns of an association with these contexts; None if it is refused."""
    entity = AE("SCANNER")
    for abstract, syntax in contexts or [(DICOS_DX, ExplicitVRLittleEndian)]:
        entity.add_requested_context(UID(abstract), UID(syntax))
    association = entity.associate("127.0.0.1", port, ae_title="EDGE-AGENT")
    if not association.is_established:
        return None
    try:
        return use(association)
    finally:
        association.release()
        association.join(10)


# --- what is taken --------------------------------------------------------------------------------------------------


async def test_a_dicos_scan_is_taken_over(booth: Booth) -> None:
    scan = dicos(5)
    assert await booth.store(scan) == 0x0000
    reading = booth.readings[1]
    assert reading.body == ScanImage("D5", "dicos", "MSKU0383250", 40, 20)
    assert reading.device_time == "20261122010203.000000"
    assert [evidence.kind for evidence in reading.evidence] == ["scan", "quick_look"]
    kept = dcmread(BytesIO(reading.evidence[0].data))
    assert kept.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert kept.file_meta.MediaStorageSOPInstanceUID == scan.SOPInstanceUID
    assert kept == scan
    how = f"listens on 127.0.0.1:{booth.settings.port} as EDGE-AGENT"
    assert booth.readings[0].body == DeviceStatus(DeviceState.WAITING, how)


async def test_a_repeat_is_a_success_and_is_not_recorded_again(booth: Booth) -> None:
    assert [await booth.store(dicos(1)) for _ in range(3)] == [0, 0, 0]
    assert len(booth.scans) == 1
    assert await booth.store(dicos(2)) == 0
    assert len(booth.scans) == 2


async def test_several_scans_over_one_association(booth: Booth) -> None:
    def use(association: Any) -> list[int]:
        return [int(association.send_c_store(dicos(number)).Status) for number in range(4)]

    assert await asyncio.to_thread(associated, booth.settings.port, use) == [0, 0, 0, 0]
    assert [scan.scan_id for scan in booth.scans] == ["D0", "D1", "D2", "D3"]


async def test_success_waits_for_the_ledger(booth: Booth) -> None:
    booth.ledger.clear()
    async with asyncio.TaskGroup() as tasks:
        sent = tasks.create_task(booth.store(dicos()))
        await until(lambda: booth.emitting)
        await asyncio.sleep(0.3)
        assert not sent.done()
        booth.ledger.set()
    assert sent.result() == 0


async def test_echo_is_answered(booth: Booth) -> None:
    def use(association: Any) -> int:
        return int(association.send_c_echo().Status)

    assert await asyncio.to_thread(associated, booth.settings.port, use, (ECHO, ExplicitVRLittleEndian)) == 0


async def test_which_contexts_are_accepted() -> None:
    asked = [
        (DICOS_DX, JPEG2000Lossless),
        (DICOS_DX, DeflatedExplicitVRLittleEndian),
        ("1.2.840.10008.5.1.4.1.1.2", ExplicitVRLittleEndian),
        ("1.2.276.0.99.7", ExplicitVRLittleEndian),
        ("1.2.840.10008.5.1.4.1.2.2.1", ExplicitVRLittleEndian),  # query
    ]

    def use(association: Any) -> list[tuple[str, str]]:
        return [(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in association.accepted_contexts]

    async with serving(settings(sop_classes=("1.2.276.0.99.7",))) as booth:
        accepted = await asyncio.to_thread(associated, booth.settings.port, use, *asked)
        assert accepted == [asked[0], asked[2], asked[3]]
        own = dicos(8)
        own.SOPClassUID = own.file_meta.MediaStorageSOPClassUID = UID("1.2.276.0.99.7")
        assert await booth.store(own) == 0
        assert booth.scans[0].scan_id == "D8"


# --- who is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("called", "calling"), [("OTHER", "SCANNER"), ("EDGE-AGENT", "OTHER"), ("", "SCANNER")])
async def test_other_titles_are_refused(
    booth: Booth, called: str, calling: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await booth.store(dicos(), called=called or "ANY-SCP", calling=calling) is None
    assert f"'{calling}' at 127.0.0.1 asked for '{called or 'ANY-SCP'}' and was refused" in caplog.text
    assert await booth.store(dicos()) == 0


async def test_associations_are_counted() -> None:
    async with serving(settings(max_associations=1)) as booth:

        def use(association: Any) -> tuple[int | None, int]:
            return store(booth.settings.port, dicos(1)), int(association.send_c_store(dicos(2)).Status)

        assert await asyncio.to_thread(associated, booth.settings.port, use) == (None, 0)
        assert await booth.store(dicos(3)) == 0


async def test_connections_that_say_nothing_are_counted_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_server, "SPARE_CONNECTIONS", 1)
    monkeypatch.setattr(dicom_server, "STEP_S", 3.0)
    async with serving(settings(max_associations=1)) as booth:
        held = [await asyncio.open_connection("127.0.0.1", booth.settings.port) for _ in range(2)]
        await asyncio.sleep(0.2)
        reader, writer = await asyncio.open_connection("127.0.0.1", booth.settings.port)
        async with asyncio.timeout(1.5):
            assert await reader.read() == b"", "one too many is not closed"
        writer.close()
        for reader, writer in held:
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
        async with asyncio.timeout(20):
            while await booth.store(dicos()) != 0:
                await asyncio.sleep(0.05)


async def test_connections_that_come_and_go_hold_no_places(booth: Booth) -> None:
    for _ in range(2 * (booth.settings.max_associations + dicom_server.SPARE_CONNECTIONS)):
        _, writer = await asyncio.open_connection("127.0.0.1", booth.settings.port)
        writer.close()
        await writer.wait_closed()
    async with asyncio.timeout(dicom_server.STEP_S / 2):
        while await booth.store(dicos()) != 0:
            await asyncio.sleep(0.05)


async def test_tls_with_clients_certificates(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    tls = {"certificate": made.server, "key": made.server_key, "client_ca": made.authority}
    async with serving(settings(tls=tls)) as booth:
        silent = await asyncio.open_connection("127.0.0.1", booth.settings.port)  # never begins its handshake
        context = made.client_context()
        assert await booth.store(dicos(), tls_args=(context, "127.0.0.1")) == 0
        assert await booth.store(dicos(2)) is None, "without TLS"
        nobody = made.client_context(with_certificate=False)
        assert await booth.store(dicos(3), tls_args=(nobody, "127.0.0.1")) is None
        silent[1].close()
    assert len(booth.scans) == 1


# --- when it cannot be taken ----------------------------------------------------------------------------------------


async def test_a_full_ledger_is_out_of_resources_and_the_repeat_is_not_recorded_twice() -> None:
    async with serving(settings(answer_s=0.2)) as booth:
        booth.ledger.clear()
        assert await booth.store(dicos()) == 0xA700
        booth.ledger.set()
        await until(lambda: booth.scans)
        assert await booth.store(dicos()) == 0
        assert len(booth.scans) == 1


async def test_the_ledgers_refusal_ends_the_source_and_is_no_success() -> None:
    booth = Booth(settings())
    booth.breaks = True

    async def send() -> int | None:
        await until(lambda: booth.readings)
        return await booth.store(dicos())

    async with asyncio.TaskGroup() as tasks:
        sent = tasks.create_task(send())
        with pytest.raises(StoreFailed):
            await asyncio.wait_for(DicomStore(booth.settings, SystemClock()).run(booth.emit), 20)
        assert await sent in (0xA700, None)


async def test_stopped_while_a_scan_waits_the_scanner_has_no_success() -> None:
    async with asyncio.TaskGroup() as tasks:
        async with serving(settings()) as booth:
            booth.ledger.clear()
            sent = tasks.create_task(booth.store(dicos()))
            await until(lambda: booth.emitting)
        assert await sent in (0xA700, None)


async def test_a_data_set_larger_than_the_ledger_takes(booth: Booth, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 3_000_000
    monkeypatch.setattr(dicom_server, "MAX_FILE_BYTES", limit)
    largest = 0
    seen = dicom_server._Dimse.receive_primitive

    def watched(self: Any, primitive: Any) -> None:
        nonlocal largest
        seen(self, primitive)
        if self.message is not None and self.message.data_set is not None:
            largest = max(largest, self.message.data_set.tell())

    monkeypatch.setattr(dicom_server._Dimse, "receive_primitive", watched)

    def use(association: Any) -> list[int]:
        statuses = []
        for number, height in ((1, 2000), (2, 500), (3, 2000), (4, 500)):  # 4 MB, 1 MB
            statuses.append(int(association.send_c_store(dicos(number, height, 1000)).Status))
        return statuses

    assert await asyncio.to_thread(associated, booth.settings.port, use) == [0xA700, 0, 0xA700, 0]
    assert [scan.scan_id for scan in booth.scans] == ["D2", "D4"]
    assert len(booth.wrong) == 2
    assert "SCANNER sent a data set of more than" in booth.wrong[0]
    assert largest <= limit, "more was held than can be taken"


async def test_a_store_without_a_data_set(booth: Booth) -> None:
    def use(association: Any) -> int | None:
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(DICOS_DX), UID("1.2.3")
        request.DataSet = BytesIO(struct.pack("<HH2sH", 0x0008, 0x0005, b"CS", 0))
        association._reactor_checkpoint.clear()  # or the association's own thread takes the answer
        while not association._is_paused:
            time.sleep(0.01)
        association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
        _, answer = association.dimse.get_msg(block=True)
        return None if answer is None else int(answer.Status)

    assert await asyncio.to_thread(associated, booth.settings.port, use) == 0, "opaque to us, and kept"
    assert booth.scans[0].note.endswith("it has no pixels")
    assert booth.scans[0].scan_id == "1.2.3"


async def test_who_does_not_wait_for_answers_is_cut_off(booth: Booth) -> None:
    booth.ledger.clear()

    def use(association: Any) -> bool:
        context = association.accepted_contexts[0].context_id
        for number in range(1, 20):
            request = C_STORE()
            request.MessageID, request.Priority = number, 2
            request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(DICOS_DX), UID(f"1.2.{number}")
            request.DataSet = BytesIO(dicom_file(dicos(number))[400:])
            association.dimse.send_msg(request, context)
        association.join(20)
        return bool(association.is_established)

    assert await asyncio.to_thread(associated, booth.settings.port, use) is False
    assert booth.emitting == 1
    booth.ledger.set()
    assert await booth.store(dicos(99)) == 0


# --- bytes ----------------------------------------------------------------------------------------------------------


def said(port: int, *pieces: bytes) -> bytes:
    """What comes back until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        got = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
            while data := connection.recv(1000):
                got += data
        except ConnectionError:
            pass
        return got


@pytest.mark.parametrize(
    "pieces",
    [
        (b"\x01\x00\xff\xff\xff\xff" + b"\0" * 1000,),  # an associate request of 4 GB
        (b"\x04\x00\x00\x00\x00\x04\0\0\0\0",),  # data before there is an association
        (b"\xff" * 100,),
        (b"\x01\x00\x00\x00\x00\x44" + b"\xff" * 68,),
        (b"GET / HTTP/1.1\r\n\r\n",),
    ],
)
async def test_rubbish_ends_its_connection_and_harms_nobody(booth: Booth, pieces: tuple[bytes, ...]) -> None:
    async with asyncio.timeout(20):
        await asyncio.to_thread(said, booth.settings.port, *pieces)
    assert await booth.store(dicos()) == 0


async def test_a_pdu_that_does_not_come_is_not_waited_for(booth: Booth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_server, "STEP_S", 0.5)
    async with asyncio.timeout(15):
        assert await asyncio.to_thread(said, booth.settings.port, b"\x01\x00\x00\x00\x01\x00half") == b""


# --- settings -------------------------------------------------------------------------------------------------------


async def test_an_address_that_is_taken(booth: Booth) -> None:
    with pytest.raises(LinkDown, match=r"cannot listen on 127\.0\.0\.1") as raised:
        await DicomStore(booth.settings, SystemClock()).run(booth.emit)
    assert raised.value.remedy


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"calling_ae_titles": ()}, "at least 1"),
        ({"calling_ae_titles": ("A" * 17,)}, "is no AE title"),
        ({"ae_title": "A\\B"}, "is no AE title"),
        ({"ae_title": " A"}, "is no AE title"),
        ({"host": "0.0.0.0"}, "without `tls` it listens on loopback only"),  # noqa: S104
        ({"sop_classes": ("1.02",)}, "is no UID"),
        ({"port": None}, "port"),
    ],
)
def test_settings_that_cannot_be_meant(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings.model_validate({"port": 104, "calling_ae_titles": ("SCANNER",), **changes})


def test_settings_that_can() -> None:
    given = Settings(port=104, calling_ae_titles=("XRAY 1", "A"), host="0.0.0.0", insecure=True, sop_classes=("1.2.3",))  # noqa: S104
    assert given.ae_title == "EDGE-AGENT"
