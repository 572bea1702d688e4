"""Scans that are taken, and what is answered when one cannot be: pynetdicom's own SCU as the scanner."""

import asyncio
import struct
import time
from io import BytesIO
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom.dimse_primitives import C_STORE

from edge_agent.devices.sources import dicom_server
from edge_agent.devices.sources.dicom_store import DicomStore
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import StoreFailed
from edge_agent.domain.observation import DeviceState, DeviceStatus, ScanImage
from tests.integration.devices import dicom_booth
from tests.integration.devices.conftest import until
from tests.integration.devices.dicom_booth import ECHO, Booth, associated, serving, settings
from tests.scanner import DICOS_DX, dicom_file, dicos

booth = dicom_booth.booth


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
    assert booth.emitting <= 1, "one is stored at a time; it may be cut off before its first"
    booth.ledger.set()
    assert await booth.store(dicos(99)) == 0
