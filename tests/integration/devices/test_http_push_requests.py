"""What is taken and what is refused: a real HTTP client, and raw sockets for what no client does."""

import asyncio
import base64
import gzip
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from edge_agent.devices.sources import http_push
from edge_agent.devices.sources.scan_file import MAX_FILE_BYTES
from edge_agent.domain.observation import ScanImage
from tests.integration.devices import http_booth
from tests.integration.devices.conftest import until
from tests.integration.devices.http_booth import BEARER, SCAN, Booth, head, raw
from tests.scanner import TOKEN, dicom_file, dicos

booth = http_booth.booth


# What curl -T sends, where there is no curl.
CURL = """
import sys, urllib.request
headers = {"Authorization": sys.argv[2], "Content-Type": "application/octet-stream"}
request = urllib.request.Request(sys.argv[3], open(sys.argv[1], "rb").read(), headers, method="PUT")
print(urllib.request.urlopen(request).read().decode())
"""


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
