"""A real HTTP client, and raw sockets for what no client does."""

import asyncio
import base64
import gzip
import hashlib
import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from edge_agent.devices.sources import http_push, intake
from edge_agent.devices.sources.http_push import HttpPush, Settings
from edge_agent.devices.sources.scan_file import MAX_FILE_BYTES
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import LinkDown, StoreFailed
from edge_agent.domain.observation import DeviceStatus, Reading, ScanImage
from tests.certificates import certificates
from tests.contracts.source_imaging import free_port
from tests.integration.devices.conftest import until
from tests.scanner import TOKEN, dicom_file, dicos, png

SCAN = png(30, 40)
BEARER = {"Authorization": f"Bearer {TOKEN}"}


# What curl -T sends, where there is no curl.
CURL = """
import sys, urllib.request
headers = {"Authorization": sys.argv[2], "Content-Type": "application/octet-stream"}
request = urllib.request.Request(sys.argv[3], open(sys.argv[1], "rb").read(), headers, method="PUT")
print(urllib.request.urlopen(request).read().decode())
"""


class Booth:
    """The source as it runs. Scans become durable while `ledger` is set."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.readings: list[Reading] = []
        self.emitting = 0
        self.ledger = asyncio.Event()
        self.ledger.set()
        self.breaks = False

    @property
    def base(self) -> str:
        return f"http{'s' if self.settings.tls else ''}://127.0.0.1:{self.settings.port}"

    @property
    def scans(self) -> list[ScanImage]:
        return [reading.body for reading in self.readings if isinstance(reading.body, ScanImage)]

    async def emit(self, reading: Reading) -> None:
        if isinstance(reading.body, ScanImage):
            self.emitting += 1
            await self.ledger.wait()
            if self.breaks:
                raise StoreFailed("the disk said no")
        self.readings.append(reading)

    async def send(
        self, data: Any = SCAN, path: str = "/scans", method: str = "POST", **named: Any
    ) -> tuple[int, dict[str, Any]]:
        headers = {**BEARER, **named.pop("headers", {})}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session,
            session.request(method, self.base + path, data=data, headers=headers, **named) as answer,
        ):
            body = await answer.json()
            assert isinstance(body, dict)
            return answer.status, body


def settings(tmp_path: Path, **changes: Any) -> Settings:
    token = tmp_path / "token"
    token.write_text(f"  {TOKEN}\n")
    return Settings(**{"port": free_port(), "token_file": token, **changes})


@asynccontextmanager
async def serving(given: Settings) -> AsyncIterator[Booth]:
    booth = Booth(given)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(HttpPush(given, SystemClock()).run(booth.emit))
        await until(lambda: any(isinstance(r.body, DeviceStatus) for r in booth.readings) or task.done())
        try:
            yield booth
        finally:
            task.cancel()


@pytest.fixture
async def booth(tmp_path: Path) -> AsyncIterator[Booth]:
    async with serving(settings(tmp_path)) as running:
        yield running


async def raw(booth: Booth, *pieces: bytes, within: float = 5.0) -> bytes:
    """What is answered until the connection is closed; b'' if nothing is, `within` seconds long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", booth.settings.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(within):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def head(length: int | None = len(SCAN), *more: str, path: str = "/scans", token: str = TOKEN) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: booth", f"Authorization: Bearer {token}", *more]
    return "\r\n".join([*lines, *([] if length is None else [f"Content-Length: {length}"]), "", ""]).encode()


# --- what is taken --------------------------------------------------------------------------------------------------


async def test_a_scan_is_taken_over_with_what_is_said_of_it(booth: Booth) -> None:
    status, body = await booth.send(path="/scans?scan=S1&vehicle=MSKU0383250&taken=2026-11-22T01:02:03Z")
    assert status == 201
    assert body == {"sha256": hashlib.sha256(SCAN).hexdigest(), "bytes": len(SCAN), "repeated": False}
    reading = booth.readings[1]
    assert reading.body == ScanImage("S1", "png", "MSKU0383250", 40, 30)
    assert reading.device_time == "2026-11-22T01:02:03Z"
    assert [evidence.kind for evidence in reading.evidence] == ["scan", "quick_look"]


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/scans/S%202", {}, ScanImage("S 2", "uff")),
        ("/scans", {"X-Scan-Id": "S3", "X-Vehicle-Number": "ABC1234"}, ScanImage("S3", "uff", "ABC1234")),
        (
            "/scans",
            {"X-File-Name": "../../etc/S4.uff", "Content-Type": "application/octet-stream"},
            ScanImage("S4", "uff"),
        ),
        ("/scans", {}, ScanImage("scan", "uff")),
    ],
)
async def test_where_it_can_be_said(booth: Booth, path: str, headers: dict[str, str], body: ScanImage) -> None:
    status, _ = await booth.send(b"opaque", path, "PUT", headers={"Content-Type": "application/x-uff", **headers})
    assert (status, booth.scans) == (201, [body])


async def test_a_dicos_file_says_it_itself_and_chunks_are_joined(booth: Booth) -> None:
    data = dicom_file(dicos(9))

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 700):
            yield data[start : start + 700]

    status, body = await booth.send(chunks(), headers={"Content-Type": "application/dicom"})
    assert (status, body["sha256"]) == (201, hashlib.sha256(data).hexdigest())
    assert booth.scans == [ScanImage("D9", "dicos", "MSKU0383250", 40, 20)]


async def test_a_repeat_is_answered_and_not_recorded_again(booth: Booth) -> None:
    assert [(await booth.send(path="/scans/S1"))[0] for _ in range(3)] == [201, 200, 200]
    assert len(booth.scans) == 1
    assert (await booth.send(path="/scans/S2"))[0] == 201, "the same picture of another scan"
    assert len(booth.scans) == 2


async def test_an_answer_waits_for_the_ledger_and_a_repeat_meanwhile_waits_with_it(booth: Booth) -> None:
    booth.ledger.clear()
    async with asyncio.TaskGroup() as tasks:
        sent = [tasks.create_task(booth.send()) for _ in range(2)]
        await until(lambda: booth.emitting)
        await asyncio.sleep(0.2)
        assert not any(task.done() for task in sent)
        booth.ledger.set()
    assert sorted(task.result()[0] for task in sent) == [200, 201]
    assert (len(booth.scans), booth.emitting) == (1, 1)


async def test_as_curl_sends_it(booth: Booth, tmp_path: Path) -> None:
    scan = tmp_path / "S7.uff"
    scan.write_bytes(b"opaque")
    url = f"{booth.base}/scans?scan=S7&vehicle=MSKU0383250&name=S7.uff"
    command = ["curl", "-sS", "-T", str(scan), "-H", f"Authorization: {BEARER['Authorization']}", url]
    if shutil.which("curl") is None:
        command = [sys.executable, "-c", CURL, str(scan), BEARER["Authorization"], url]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True, timeout=30)
    assert json.loads(done.stdout)["sha256"] == hashlib.sha256(b"opaque").hexdigest()
    assert booth.scans == [ScanImage("S7", "uff", "MSKU0383250")]


async def test_keep_alive(booth: Booth) -> None:
    async with aiohttp.ClientSession(headers=BEARER) as session:
        for number in range(3):
            async with session.post(f"{booth.base}/scans/S{number}", data=SCAN) as answer:
                assert answer.status == 201
    assert len(booth.scans) == 3


async def test_a_client_that_asks_before_it_sends(booth: Booth) -> None:
    answer = await raw(booth, head(len(SCAN), "Expect: 100-continue", "Connection: close"), SCAN)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 ")
    answer = await raw(booth, head(len(SCAN), "Expect: 100-continue", token="x" * 20))
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_digest_that_the_client_sends_is_checked(booth: Booth) -> None:
    right = base64.b64encode(hashlib.sha256(SCAN).digest()).decode()
    wrong = base64.b64encode(hashlib.sha256(b"").digest()).decode()
    assert (await booth.send(headers={"Content-Digest": f"sha-512=:AA==:, sha-256=:{right}:"}))[0] == 201
    status, body = await booth.send(headers={"Content-Digest": f"sha-256=:{wrong}:"})
    assert (status, body["error"]) == (400, "the body's SHA-256 is not the one in Content-Digest")


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer \u00e9" * 9],
)
async def test_without_the_token_nothing_is_taken(booth: Booth, given: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = await raw(booth, head(token="-").replace(b"Bearer -", given.encode()), SCAN)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"WWW-Authenticate: Bearer\r\n" in answer
    assert not booth.scans
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("spoilt", [f"Bearer {TOKEN}\x01", f"Bearer {TOKEN}" + "\r\n x" * 3000])
async def test_a_request_that_cannot_be_parsed_leaves_no_token_in_the_log(
    booth: Booth, spoilt: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await raw(booth, head().replace(f"Bearer {TOKEN}".encode(), spoilt.encode()), SCAN)
    assert b" 400 " in answer
    assert TOKEN not in caplog.text


async def test_an_error_of_ours_is_in_the_log(
    booth: Booth, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_push, "_check_digest", None)
    assert b" 500 " in await raw(booth, head(len(SCAN), "Connection: close"), SCAN)
    assert "could not be answered" in caplog.text


@pytest.mark.parametrize("given", [f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
async def test_the_scheme_is_in_any_case(booth: Booth, given: str) -> None:
    assert (
        await raw(booth, head(len(SCAN), "Connection: close").replace(f"Bearer {TOKEN}".encode(), given.encode()), SCAN)
    )[9:12] == b"201"


@pytest.mark.parametrize(
    ("status", "path", "method", "headers", "error"),
    [
        (404, "/", "POST", {}, "there is nothing here"),
        (404, "/scans/a/b", "POST", {}, "there is nothing here"),
        (404, "/other", "PUT", {}, "there is nothing here"),
        (405, "/scans", "GET", {}, "files are sent by POST or PUT"),
        (405, "/scans/S1", "DELETE", {}, "files are sent by POST or PUT"),
        (
            415,
            "/scans",
            "POST",
            {"Content-Type": "multipart/form-data; boundary=x"},
            "multipart/form-data is not taken",
        ),
        (415, "/scans", "POST", {"Content-Type": "application/x-www-form-urlencoded"}, "application/x-www-form"),
        (415, "/scans", "POST", {"Content-Type": "text/html"}, "text/html is not taken"),
        (415, "/scans", "POST", {"Content-Encoding": "gzip"}, "a compressed body is not opened"),
        (400, "/scans?scan=" + "x" * 129, "POST", {}, "scan is no text of at most 128 characters"),
        (400, "/scans/" + "x" * 129, "POST", {}, "scan is no text of at most 128 characters"),
        (400, "/scans?vehicle=%00", "POST", {}, "vehicle is no text of at most 128 characters"),
    ],
)
async def test_what_is_refused(
    booth: Booth, status: int, path: str, method: str, headers: dict[str, str], error: str
) -> None:
    got, body = await booth.send(gzip.compress(SCAN), path, method, headers=headers)
    assert (got, body["error"][: len(error)]) == (status, error)
    assert body["remedy"]
    assert not booth.scans


async def test_an_empty_body(booth: Booth) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    assert (await booth.send(b""))[0] == 400
    assert (await booth.send(nothing()))[0] == 400


async def test_a_file_larger_than_the_ledger_takes(booth: Booth, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = await raw(booth, head(MAX_FILE_BYTES + 1))
    assert answer.startswith(b"HTTP/1.1 413 "), "the body was waited for"
    monkeypatch.setattr(http_push, "MAX_FILE_BYTES", 5000)
    assert (await booth.send(b"x" * 5000))[0] == 201
    assert (await booth.send(b"x" * 5001))[0] == 413
    chunked = head(None, "Transfer-Encoding: chunked") + b"1000\r\n" + b"x" * 4096 + b"\r\n1000\r\n" + b"x" * 4096
    answer = await raw(booth, chunked)
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_half_a_file_is_none(booth: Booth) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", booth.settings.port)
    writer.write(head() + SCAN[:50])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await booth.send(path="/scans/next"))[0] == 201
    assert [scan.scan_id for scan in booth.scans] == ["next"]


@pytest.mark.parametrize(
    "rubbish",
    [b"\0" * 100, b"GET\r\n\r\n", head(10) * 20, b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 500 + b"\r\n", b"A" * 20_000],
)
async def test_rubbish_harms_nobody(booth: Booth, rubbish: bytes) -> None:
    await raw(booth, rubbish, b"\r\n\r\n", within=15)
    assert (await booth.send())[0] == 201


# --- time and numbers -----------------------------------------------------------------------------------------------


async def test_who_is_slow_is_cut_off(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, idle_s=0.3, receive_s=0.4)) as booth:
        assert await raw(booth) == b"", "it connects and says nothing"
        assert await raw(booth, b"POST /scans HT") == b"", "it does not end its head"
        answer = await raw(booth, head(), SCAN[:10])
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.split(b"\r\n\r\n")[1])["error"] == "the file did not come within 0.4 s"
        assert (await booth.send())[0] == 201


async def test_one_connection_too_many_is_closed(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, max_connections=2)) as booth:
        held = [await asyncio.open_connection("127.0.0.1", booth.settings.port) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert await raw(booth, head(), SCAN) == b""
        held[0][1].close()
        await held[0][1].wait_closed()
        await until_taken(booth)
        held[1][1].close()


async def until_taken(booth: Booth) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                assert (await booth.send())[0] in (200, 201)
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)
            else:
                return


async def test_no_more_files_are_received_than_fit_into_memory(booth: Booth) -> None:
    held = [await asyncio.open_connection("127.0.0.1", booth.settings.port) for _ in range(http_push.RECEIVING)]
    for _, writer in held:
        writer.write(head() + SCAN[:10])
        await writer.drain()
    await asyncio.sleep(0.1)
    status, body = await booth.send()
    assert (status, body["error"]) == (503, "too many files are being received")
    for reader, writer in held:
        writer.write(SCAN[10:])
        assert (await reader.read(12))[9:] in (b"201", b"200")
        writer.close()


async def test_a_full_ledger_is_503_and_the_repeat_is_not_recorded_twice(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, answer_s=0.2)) as booth:
        booth.ledger.clear()
        status, body = await booth.send()
        assert (status, body["error"]) == (503, "it is not in the ledger after 0.2 s")
        for number in range(1, intake.WAITING):
            assert (await booth.send(path=f"/scans/S{number}"))[0] == 503
        status, body = await booth.send(path="/scans/more")
        assert (status, body["error"]) == (503, "4 scans wait for the ledger already")
        booth.ledger.set()
        await until(lambda: len(booth.scans) == intake.WAITING)
        assert (await booth.send())[0] == 200, "it was there before, for all that the scanner knew"
        assert (await booth.send(path="/scans/more"))[0] == 201
        assert len(booth.scans) == intake.WAITING + 1


async def test_503_says_when_to_come_again(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, answer_s=0.2)) as booth:
        booth.ledger.clear()
        answer = await raw(booth, head(), SCAN)
        assert b"\r\nRetry-After: 10\r\n" in answer
        booth.ledger.set()


async def test_the_ledgers_refusal_ends_the_source_and_is_503(tmp_path: Path) -> None:
    booth = Booth(settings(tmp_path))
    booth.breaks = True
    answers: list[int] = []

    async def send() -> None:
        await until(lambda: booth.readings)
        answers.append((await booth.send())[0])

    async with asyncio.TaskGroup() as tasks:
        sent = tasks.create_task(send())
        with pytest.raises(StoreFailed):
            await asyncio.wait_for(HttpPush(booth.settings, SystemClock()).run(booth.emit), 20)
        await sent
    assert answers == [503]


async def test_stopped_while_a_scan_waits_the_scanner_is_told(tmp_path: Path) -> None:
    given = settings(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        async with serving(given) as booth:
            booth.ledger.clear()
            sent = tasks.create_task(booth.send())
            await until(lambda: booth.emitting)
        status, body = await sent
    assert (status, body["error"]) == (503, "the agent is stopping")


# --- the address, the token, TLS ------------------------------------------------------------------------------------


async def ended(given: Settings) -> LinkDown:
    booth = Booth(given)
    with pytest.raises(LinkDown) as raised:
        await asyncio.wait_for(HttpPush(given, SystemClock()).run(booth.emit), 20)
    assert raised.value.remedy
    assert not booth.readings
    return raised.value


@pytest.mark.parametrize("token", ["", "short", "with a blank in it, and long", "tab\tin the middle", "\u00e9" * 20])
async def test_a_token_that_is_none(tmp_path: Path, token: str) -> None:
    given = settings(tmp_path)
    given.token_file.write_text(token)
    wrong = await ended(given)
    assert "is not 16 or more printable characters on one line" in wrong.wrong
    assert not token or token not in str(wrong)
    given.token_file.unlink()
    assert "cannot be read: No such file" in (await ended(given)).wrong


async def test_an_address_that_is_taken(tmp_path: Path) -> None:
    async with serving(settings(tmp_path)) as booth:
        assert "cannot listen on 127.0.0.1" in (await ended(booth.settings)).wrong
    assert "cannot listen on" in (await ended(settings(tmp_path, host="192.0.2.1", insecure=True))).wrong


async def test_tls_with_clients_certificates(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    tls = {"certificate": made.server, "key": made.server_key, "client_ca": made.authority}
    async with serving(settings(tmp_path, tls=tls)) as booth:
        with pytest.raises(aiohttp.ClientError):
            await booth.send(ssl=made.client_context(with_certificate=False))
        status, _ = await booth.send(ssl=made.client_context())
        assert status == 201
        plain = await raw(booth, head(), SCAN)
        assert b"201" not in plain
    del tls["client_ca"]
    async with serving(settings(tmp_path, tls=tls)) as booth:
        assert (await booth.send(ssl=made.client_context(with_certificate=False)))[0] == 201
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(made.authority)
        old.check_hostname = False
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(aiohttp.ClientError):
            await booth.send(ssl=old)


async def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    tls = {"certificate": made.server, "key": made.client_key}
    assert "cannot be used" in (await ended(settings(tmp_path, tls=tls))).wrong
    tls = {"certificate": made.server, "key": tmp_path / "absent"}
    assert "No such file" in (await ended(settings(tmp_path, tls=tls))).wrong
    tls = {"certificate": made.server, "key": made.server_key, "client_ca": tmp_path / "absent"}
    assert "the clients' authorities" in (await ended(settings(tmp_path, tls=tls))).wrong


@pytest.mark.parametrize(
    ("host", "more", "fits"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("localhost", {}, True),
        ("0.0.0.0", {}, False),  # noqa: S104
        ("192.0.2.1", {}, False),
        ("booth.example", {}, False),
        ("0.0.0.0", {"insecure": True}, True),  # noqa: S104
        ("0.0.0.0", {"tls": {"certificate": "a", "key": "b"}}, True),  # noqa: S104
        ("", {"insecure": True}, False),
    ],
)
def test_in_the_clear_only_where_nobody_listens(host: str, more: dict[str, Any], fits: bool) -> None:
    values = {"host": host, "port": 8080, "token_file": "token", **more}
    if fits:
        assert Settings.model_validate(values).host == host
    else:
        with pytest.raises(ValidationError):
            Settings.model_validate(values)


def test_the_token_has_no_default() -> None:
    with pytest.raises(ValidationError, match="token_file"):
        Settings.model_validate({"port": 8080})
