"""What a hostile socket does to the DICOM store: whatever it is, the next good scan is taken over."""

import asyncio
import socket
import struct
import threading
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE

from edge_agent.devices.sources import dicom_server
from tests.integration.devices import dicom_booth
from tests.integration.devices.conftest import until
from tests.integration.devices.dicom_booth import Booth, associated, serving, settings
from tests.scanner import DICOS_DX, dicos, store

booth = dicom_booth.booth


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def pdu(content: bytes, kind: int = 4, length: int | None = None) -> bytes:
    return struct.pack(">BBI", kind, 0, len(content) if length is None else length) + content


def pdv(data: bytes, context: int = 1, control: int = 3, length: int | None = None) -> bytes:
    return struct.pack(">IBB", len(data) + 2 if length is None else length, context, control) + data


def on_an_association(port: int, *pieces: bytes, waits: bool = True) -> None:
    """Sends the pieces over an association that was agreed on, and waits until it is ended, or hangs up."""

    def use(association: Any) -> None:
        connection = association.dul.socket.socket
        for piece in pieces:
            connection.sendall(piece)
        if waits:
            association.join(15)
            assert not association.is_alive(), "it is still served"
        else:
            connection.shutdown(socket.SHUT_RDWR)

    associated(port, use)


@pytest.mark.parametrize(
    "piece",
    [
        pdu(pdv(b"abcd", length=0xFFFFFFFF)),
        pdu(pdv(b"abcd", length=4000)),
        pdu(pdv(b"abcd", length=0)),
        pdu(pdv(b"abcd", length=1)),
        pdu(struct.pack(">IB", 1, 1)),
        pdu(b"\x00"),
        pdu(pdv(b"abcd", context=99)),
        pdu(pdv(b"\xff" * 200)),
        pdu(b"", length=0xFFFFFFFF),
        pdu(b"", length=dicom_server.ASSOCIATE_MAX + 1),
        pdu(b"\0" * 68, kind=1),
        pdu(b"\0" * 4, kind=0x63),
    ],
    ids=[
        *("a value of 4 GB", "a value beyond its PDU", "no value", "half a value", "no control", "a byte"),
        *("no such context", "no command", "a PDU of 4 GB", "a PDU larger than agreed", "a second association", "kind"),
    ],
)
async def test_wrong_lengths_within_an_association(booth: Booth, piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_server, "STEP_S", 1.0)
    before = rss()
    async with asyncio.timeout(20):
        await asyncio.to_thread(on_an_association, booth.settings.port, piece)
    assert await booth.store(dicos()) == 0
    assert rss() - before < 64 << 20
    assert len(booth.scans) == 1


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 5000])
async def test_an_element_of_absurd_length_is_kept_as_it_came(booth: Booth, length: int) -> None:
    data = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, length) + bytes(100)

    def use(association: Any) -> int | None:
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(DICOS_DX), UID("1.2.3")
        request.DataSet = BytesIO(data)
        association._reactor_checkpoint.clear()  # or the association's own thread takes the answer
        while not association._is_paused:
            time.sleep(0.01)
        association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
        _, answer = association.dimse.get_msg(block=True)
        return None if answer is None else int(answer.Status)

    before = rss()
    assert await asyncio.to_thread(associated, booth.settings.port, use) == 0
    assert booth.scans[0].note
    assert booth.readings[-1].evidence[0].data.endswith(data), "kept byte for byte"
    assert rss() - before < 64 << 20
    assert await booth.store(dicos()) == 0


async def test_who_hangs_up_amid_a_scan_has_stored_nothing(booth: Booth) -> None:
    command = pdv(bytes(12), control=3)
    whole = pdu(command + pdv(b"\0" * 4000, control=0))
    async with asyncio.timeout(20):
        for cut in (len(whole), len(whole) // 2, 7, 3):
            await asyncio.to_thread(on_an_association, booth.settings.port, whole[:cut], waits=False)
    assert booth.scans == []
    assert await booth.store(dicos()) == 0


@pytest.mark.parametrize("sent", [b"", b"\x01", b"\x01\x00\x00\x00\x01\x00half of it"])
async def test_half_an_association_and_silence(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_server, "STEP_S", 0.5)
    async with serving(settings(max_associations=1)) as booth:
        held = [socket.create_connection(("127.0.0.1", booth.settings.port), 20) for _ in range(5)]
        for one in held:
            one.sendall(sent)
        async with asyncio.timeout(15):
            for one in held:
                assert await asyncio.to_thread(one.recv, 100) == b"", "it is not let go"
                one.close()
            while await booth.store(dicos()) != 0:
                await asyncio.sleep(0.05)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[threading.ExceptHookArgs]:
    """Threads that an exception ended."""
    found: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", found.append)
    return found


def sent_by_a_scanner(port: int) -> list[bytes]:
    """The PDUs of a whole association that stores one scan: its request, the command, the data set, its release."""
    sent: list[bytes] = []
    store(port, dicos(), evt_handlers=[(evt.EVT_DATA_SENT, lambda event: sent.append(event.data))])
    return sent


def send_raw(port: int, *pieces: bytes) -> None:
    """Sends each piece once the one before is answered, and returns when the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection, suppress(ConnectionResetError):
        for piece in pieces:
            connection.sendall(piece)
            heard = connection.recv(4096)
        while heard:
            heard = connection.recv(4096)


@pytest.mark.parametrize("what", ["A_ASSOCIATE", "P_DATA", "A_RELEASE"])
async def test_what_this_side_says_when_the_association_has_ended(
    what: str, ended: list[threading.ExceptHookArgs], monkeypatch: pytest.MonkeyPatch
) -> None:
    crossed: list[str] = []
    loop, ends = asyncio.get_running_loop(), dicom_server._on_transition

    def ends_late(event: Any) -> None:
        """As where one thread of an association has the processor and the other has not."""
        ends(event)
        if event.action == "AA-8":
            loop.call_soon_threadsafe(agent.ledger.set)
            said, deadline = event.assoc.dul.to_provider_queue, time.monotonic() + 20
            while said.empty() and time.monotonic() < deadline:
                time.sleep(0.001)
            crossed.extend(type(primitive).__name__ for primitive in said.queue)

    monkeypatch.setattr(dicom_server, "_on_transition", ends_late)
    async with asyncio.timeout(60), serving(settings(max_associations=1)) as agent:
        request, command, data_set, release = await asyncio.to_thread(sent_by_a_scanner, agent.settings.port)
        unexpected = pdu(bytes(4), kind=6)
        agent.ledger.clear()
        pieces = {
            "A_ASSOCIATE": [request + unexpected],
            "P_DATA": [request, 5 * (command + data_set.replace(b"1.2.3.4.1", b"1.2.3.4.2"))],
            "A_RELEASE": [request, release + unexpected],
        }
        await asyncio.to_thread(send_raw, agent.settings.port, *pieces[what])
        await until(lambda: crossed)
        while await agent.store(dicos(99)) != 0:
            await asyncio.sleep(0.05)
    assert crossed == [what]
    assert ended == []


async def test_a_request_that_cannot_be_read_is_hung_up_on(
    ended: list[threading.ExceptHookArgs], caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(settings(max_associations=1)) as booth:
        request = bytearray((await asyncio.to_thread(sent_by_a_scanner, booth.settings.port))[0])
        context = request.index(b"1.2.840.10008.3.1.1.1") + 21 + 4
        assert request[context] == 1
        request[context] = 2  # PS3.8 9.3.2.2: odd
        async with asyncio.timeout(dicom_server.STEP_S / 2):
            await asyncio.to_thread(send_raw, booth.settings.port, bytes(request))
            while await booth.store(dicos(99)) != 0:
                await asyncio.sleep(0.05)
    assert "127.0.0.1 sent what cannot be read" in caplog.text
    assert ended == []


@pytest.mark.parametrize("busy", [False, True])
async def test_fifty_that_say_nothing(monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    monkeypatch.setattr(dicom_server, "STEP_S", 0.4)
    if busy:  # what serves a connection comes to run only after the next have come
        serves = dicom_server._Server.process_request_thread

        def late(*arguments: Any) -> None:
            time.sleep(0.2)
            serves(*arguments)

        monkeypatch.setattr(dicom_server._Server, "process_request_thread", late)
    async with serving(settings()) as booth:
        threads, before = threading.active_count(), rss()
        held = [socket.create_connection(("127.0.0.1", booth.settings.port), 20) for _ in range(50)]
        most = 3 * (booth.settings.max_associations + dicom_server.SPARE_CONNECTIONS)
        assert threading.active_count() <= threads + most
        async with asyncio.timeout(15):
            while await booth.store(dicos()) != 0:  # while they are connected
                await asyncio.sleep(0.05)
        assert rss() - before < 64 << 20
        for one in held:
            one.close()
        await until(lambda: threading.active_count() <= threads + 2)
