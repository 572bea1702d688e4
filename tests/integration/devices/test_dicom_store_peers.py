"""Who is refused, raw sockets for what no scanner should do, and the settings."""

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edge_agent.devices.sources import dicom_server
from edge_agent.devices.sources.dicom_store import DicomStore, Settings
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import LinkDown
from edge_agent.domain.observation import Reading
from tests.certificates import certificates
from tests.integration.devices import dicom_booth
from tests.integration.devices.conftest import until
from tests.integration.devices.dicom_booth import Booth, associated, serving, settings
from tests.scanner import dicos, store

booth = dicom_booth.booth


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


async def test_peers_that_never_begin_their_handshake_do_not_hold_up_the_end(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    tls = {"certificate": made.server, "key": made.server_key, "client_ca": made.authority}
    async with serving(settings(tls=tls)) as booth:
        silent = [await asyncio.open_connection("127.0.0.1", booth.settings.port) for _ in range(3)]
        assert await booth.store(dicos(), tls_args=(made.client_context(), "127.0.0.1")) == 0
        ends = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - ends < dicom_server.STOP_S / 2
    assert not [thread for thread in threading.enumerate() if isinstance(thread, dicom_server._Connection)]
    for _, writer in silent:
        writer.close()


async def test_a_server_that_breaks_ends_the_source_so_that_it_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(server: object, request: socket.socket, address: object) -> bool:
        request.close()
        raise AssertionError("the lock of a thread that ends")

    monkeypatch.setattr(dicom_server._Server, "verify_request", breaks)
    readings: list[Reading] = []

    async def emit(reading: Reading) -> None:
        readings.append(reading)

    async with asyncio.timeout(20):
        given = settings()
        running = asyncio.ensure_future(DicomStore(given, SystemClock()).run(emit))
        await until(lambda: bool(readings))
        _, writer = await asyncio.open_connection("127.0.0.1", given.port)
        with pytest.raises(LinkDown, match="the DICOM server broke: AssertionError"):
            await running
        writer.close()
    with socket.create_server(("127.0.0.1", given.port)):
        pass  # it does not listen any more


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
