"""Time and numbers, a ledger that cannot take it, the address, the token and TLS."""

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from edge_agent.devices.sources import http_push, intake
from edge_agent.devices.sources.http_push import HttpPush, Settings
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import LinkDown, StoreFailed
from tests.certificates import certificates
from tests.integration.devices import http_booth
from tests.integration.devices.conftest import until
from tests.integration.devices.http_booth import SCAN, Booth, head, raw, serving, settings

booth = http_booth.booth


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
