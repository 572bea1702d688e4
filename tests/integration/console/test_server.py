"""The page's server before hostile and slow browsers: what it refuses, by name, and what it goes on doing meanwhile."""

import asyncio
import io
import itertools
import json
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from edge_agent.cli import main
from edge_agent.config_console import ConsoleSettings, ConsoleSetup
from edge_agent.console import connections, feed, server
from edge_agent.console.feed import SOCKET, Feed
from edge_agent.console.passwords import Hashed
from edge_agent.console_command.serve import serve
from edge_agent.domain.clock import SystemClock
from tests.certificates import certificates
from tests.integration.console.clock import MovableClock

PASSWORD = "tumbleweed over the bridge"
WAIT_S = 30.0
SNAPSHOT: dict[str, Any] = {
    "v": 2, "booth": "spiffe://uslrd/booth/lane-1", "agent": "0", "started": 0, "now": 0, "head": 0, "failed": False,
    "clock": {"state": "unknown", "bound_us": None}, "room": {"has": True, "detail": ""},
    "link": {"state": "up", "why": "", "since": 0}, "lanes": [], "device_key": {"state": "online", "detail": ""},
}  # fmt: skip


class Booth:
    """A page over an empty ledger folder. `url` is its own."""

    def __init__(self, url: str, clock: MovableClock, ledger: Path) -> None:
        self.url, self.clock, self.ledger = url, clock, ledger
        self.port = int(url.rsplit(":", 1)[1].strip("/"))

    async def raw(self, request: bytes) -> bytes:
        """What comes back for these bytes, until the server ends the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        async with asyncio.timeout(WAIT_S):
            answer = await reader.read()
        writer.close()
        return answer


@asynccontextmanager
async def page(folder: Path, **settings: Any) -> AsyncIterator[Booth]:
    ledger = folder / "ledger"
    ledger.mkdir(exist_ok=True)
    setup = ConsoleSetup(ConsoleSettings.model_validate({"listen": "127.0.0.1:0"} | settings), folder, ledger)
    stop, clock = asyncio.Event(), MovableClock(SystemClock().now())
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(serve(setup, stop, ready.set_result, clock))
        async with asyncio.timeout(WAIT_S):
            url = await ready
        assert not serving.done()
        yield Booth(url, clock, ledger)
        stop.set()


@asynccontextmanager
async def browser(**settings: Any) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)  # keeps cookies of an address, too
    timeout = aiohttp.ClientTimeout(total=WAIT_S)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout, **settings) as session:
        yield session


def own(booth: Booth) -> dict[str, str]:
    return {"Origin": booth.url.rstrip("/")}


def locked(folder: Path, password: str = PASSWORD) -> dict[str, str]:
    Hashed.of(password).write(folder / "page.password")
    return {"password_file": "page.password"}


async def log_in(session: aiohttp.ClientSession, booth: Booth, password: str = PASSWORD) -> tuple[int, str]:
    async with session.post(f"{booth.url}log-in", data={"password": password}, headers=own(booth)) as answer:
        return answer.status, await answer.text()


async def test_every_answer_forbids_what_the_page_does_not_need(tmp_path: Path) -> None:
    async with page(tmp_path) as booth, browser() as session:
        for path in ("", "vehicle/" + "0" * 36, "console.js", "evidence/" + "0" * 64, "nothing"):
            async with session.get(booth.url + path) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'")
                assert "unsafe" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.status == (404 if path.startswith(("evidence", "nothing")) else 200)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1:PORT@evil.example", ""])
async def test_a_name_that_was_turned_to_this_address_is_refused(tmp_path: Path, host: str) -> None:
    async with page(tmp_path) as booth, browser() as session:
        name = host.replace("PORT", str(booth.port))
        async with session.get(booth.url, headers={"Host": name}) as answer:
            assert (answer.status, "HOST_UNKNOWN" in await answer.text()) == (421, True)
        async with session.get(booth.url, headers={"Host": f"localhost:{booth.port}"}) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "null"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_another_sites_form_changes_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    async with page(tmp_path, **locked(tmp_path)) as booth, browser() as session:
        for path, data in (("choose", {"theme": "night"}), ("log-in", {"password": PASSWORD}), ("log-out", {})):
            async with session.post(booth.url + path, data=data, headers=headers) as answer:
                assert (answer.status, "CROSS_SITE" in await answer.text()) == (403, True)
                assert "Set-Cookie" not in answer.headers


async def test_a_choice_leads_back_to_the_page_and_nowhere_else(tmp_path: Path) -> None:
    async with page(tmp_path) as booth, browser() as session:
        for back in ("https://evil.example/", "//evil.example", "/vehicle/../evidence", "javascript:alert(1)"):
            data = {"theme": "night", "language": "<x>", "back": back}
            async with session.post(
                f"{booth.url}choose", data=data, headers=own(booth), allow_redirects=False
            ) as answer:
                assert answer.headers["Location"] == "/"
                assert list(answer.cookies) == ["theme"]


async def test_a_forged_session_is_named_and_an_expired_one_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with page(tmp_path, **locked(tmp_path)) as booth, browser() as session:
        paths = ("", "live", "session", "vehicle/" + "0" * 36, "evidence/" + "0" * 64)
        for path in paths:
            async with session.get(booth.url + path) as answer:
                assert (answer.status, answer.headers["X-Refused"]) == (401, "SESSION_NONE")
            async with session.get(booth.url + path, headers={"Cookie": f"console={'A' * 43}"}) as answer:
                assert (answer.status, answer.headers["X-Refused"]) == (401, "SESSION_UNKNOWN")
        assert caplog.text.count("SESSION_UNKNOWN") == len(paths)
        assert "A" * 43 not in caplog.text
        assert (await log_in(session, booth))[0] == 200
        async with session.get(f"{booth.url}session") as answer:
            assert answer.status == 204
        booth.clock.forward(12 * 3600 + 1)
        async with session.get(f"{booth.url}session") as answer:
            assert (answer.status, answer.headers["X-Refused"]) == (401, "SESSION_EXPIRED")


async def test_a_new_password_and_a_log_out_end_sessions(tmp_path: Path) -> None:
    async with page(tmp_path, **locked(tmp_path)) as booth, browser() as one, browser() as other:
        for session in (one, other):
            assert (await log_in(session, booth))[0] == 200
        async with one.post(f"{booth.url}log-out", headers=own(booth)) as answer:
            assert "password" in await answer.text()
        for session, status in ((one, 401), (other, 204)):
            async with session.get(f"{booth.url}session") as answer:
                assert answer.status == status
        locked(tmp_path, "another one, as long")
        async with other.get(f"{booth.url}session") as answer:
            assert (answer.status, answer.headers["X-Refused"]) == (401, "SESSION_EXPIRED")


async def test_passwords_cannot_be_tried_for_long(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with page(tmp_path, **locked(tmp_path)) as booth, browser() as session:
        for number in range(5):
            assert (await log_in(session, booth, f"wrong {number}"))[0] == 403
        status, said = await log_in(session, booth)
        assert (status, "Too many wrong passwords" in said) == (429, True)  # the right one waits as well
        booth.clock.forward(31)
        assert (await log_in(session, booth))[0] == 200
    assert PASSWORD not in caplog.text
    assert "wrong 1" not in caplog.text


async def test_a_stream_ends_with_its_session(tmp_path: Path) -> None:
    async with page(tmp_path, **locked(tmp_path)) as booth, browser() as session:
        await log_in(session, booth)
        async with session.get(f"{booth.url}live") as answer:
            assert await answer.content.readuntil(b"event: news\n")
            booth.clock.forward(13 * 3600)
            async with asyncio.timeout(WAIT_S):
                await answer.content.read()


async def test_what_is_too_large_or_no_http_is_refused_and_the_rest_served(tmp_path: Path) -> None:
    async with page(tmp_path, **locked(tmp_path)) as booth, browser() as session:
        async with session.post(f"{booth.url}log-in", data={"password": "x" * 9000}, headers=own(booth)) as answer:
            assert answer.status == 413
        assert (await booth.raw(b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n"))[9:12] == b"400"
        many = b"".join(b"X-%d: 1\r\n" % number for number in range(200))
        assert (await booth.raw(b"GET / HTTP/1.1\r\n" + many + b"\r\n"))[9:12] == b"400"
        assert (await booth.raw(b"\x16\x03\x01\x02\x00 no HTTP\r\n\r\n"))[9:12] == b"400"
        assert (await log_in(session, booth))[0] == 200


async def test_who_brings_no_request_is_ended_and_the_others_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.5)
    monkeypatch.setattr(connections, "LOOK_S", 0.1)
    async with page(tmp_path) as booth, browser() as session:
        slow = [await asyncio.open_connection("127.0.0.1", booth.port) for _ in range(connections.MAX_FROM_ONE - 2)]
        for _, writer in slow:
            writer.write(b"GET / HT")
        async with session.get(booth.url) as answer:
            assert answer.status == 200
        async with asyncio.timeout(WAIT_S):
            assert [await read_out(reader) for reader, _ in slow] == [b""] * len(slow)
        for _, writer in slow:
            writer.close()


async def read_out(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_one_address_holds_so_many_connections_and_no_more(tmp_path: Path) -> None:
    async with page(tmp_path) as booth:
        held = [await asyncio.open_connection("127.0.0.1", booth.port) for _ in range(connections.MAX_FROM_ONE)]
        async with asyncio.timeout(WAIT_S):
            await asyncio.sleep(0)
            reader, writer = await asyncio.open_connection("127.0.0.1", booth.port)
            assert await read_out(reader) == b""
        for _, one in [*held, (reader, writer)]:
            one.close()
        async with browser() as session:  # and again there is room
            async with asyncio.timeout(WAIT_S):
                while True:
                    try:
                        async with session.get(booth.url) as answer:
                            assert answer.status == 200
                            break
                    except aiohttp.ClientError:
                        await asyncio.sleep(0.05)


async def test_a_browser_that_reads_nothing_is_ended_and_the_others_stay_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SLOW_S", 1.0)
    monkeypatch.setattr(server, "LEAST_S", 0.0)
    monkeypatch.setattr(server, "BEAT_S", 0.01)
    monkeypatch.setattr(connections, "LOOK_S", 0.1)
    monkeypatch.setattr(feed, "LEAST_S", 0.01)
    words = (SNAPSHOT | {"agent": f"{number} {'x' * 200_000}"} for number in itertools.count())
    async with page(tmp_path) as booth, browser() as session, telling(booth, lambda: next(words)) as agent:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", booth.port))
            deaf.sendall(f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{booth.port}\r\n\r\n".encode())
            async with session.get(f"{booth.url}live") as answer, asyncio.timeout(WAIT_S):
                while not await ended(booth.port, deaf.getsockname()[1]):
                    agent.changed()
                    async for _ in answer.content.iter_any():
                        break


async def ended(port: int, mine: int) -> bool:
    """Whether the server has ended this connection, as the kernel lists it."""
    lines = await asyncio.to_thread(Path("/proc/net/tcp").read_text)
    rows = [line.split()[1:4] for line in lines.splitlines()[1:]]
    pair = (f":{port:04X}", f":{mine:04X}")
    return not any((a[8:], b[8:], state) == (*pair, "01") for a, b, state in rows)


@asynccontextmanager
async def telling(booth: Booth, snapshot: Any) -> AsyncIterator[Feed]:
    agent = Feed(booth.ledger / SOCKET, snapshot)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(agent.run())
        async with asyncio.timeout(WAIT_S):
            while not (booth.ledger / SOCKET).exists():
                await asyncio.sleep(0.01)
        yield agent
        task.cancel()


async def test_so_many_live_pages_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_STREAMS_FROM_ONE", 2)
    async with page(tmp_path) as booth, browser() as session:
        live = f"{booth.url}live"
        async with session.get(live), session.get(live), session.get(live) as third, session.get(booth.url) as answer:
            assert (third.status, "TOO_MANY_STREAMS" in await third.text()) == (503, True)
            assert answer.status == 200


async def test_only_a_listed_certificate_may_look(tmp_path: Path) -> None:
    made, strangers = certificates(tmp_path), tmp_path / "strangers"
    strangers.mkdir()
    tls = {"certificate": "server.pem", "key": "server.key", "clients": "authority.pem"}
    async with page(tmp_path, **tls) as booth, browser() as session:
        assert booth.url.startswith("https://")
        async with session.get(booth.url, ssl=made.client_context()) as answer:
            assert (answer.status, "Strict-Transport-Security" in answer.headers) == (200, True)
        other = certificates(strangers)
        wrong = ssl.create_default_context(cafile=str(made.authority))
        wrong.load_cert_chain(other.client, other.client_key)
        for context in (made.client_context(with_certificate=False), wrong):
            with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
                await session.get(booth.url, ssl=context)


# --- the agent's end ------------------------------------------------------------------------------------------


async def test_the_agents_socket_is_its_users_own_and_takes_nothing(tmp_path: Path) -> None:
    async with page(tmp_path) as booth, telling(booth, lambda: SNAPSHOT):
        path = booth.ledger / SOCKET
        assert path.stat().st_mode & 0o777 == 0o600
        reader, writer = await asyncio.open_unix_connection(str(path))
        async with asyncio.timeout(WAIT_S):
            assert json.loads(await reader.readline())["v"] == SNAPSHOT["v"]
            writer.write(b"hello")
            await read_out(reader)
        writer.close()


async def test_a_listener_that_takes_nothing_is_dropped(tmp_path: Path) -> None:
    large = SNAPSHOT | {"booth": "x" * 200_000}
    async with page(tmp_path) as booth, telling(booth, lambda: large) as agent:
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.connect(str(booth.ledger / SOCKET))
            deaf.settimeout(WAIT_S)
            async with asyncio.timeout(WAIT_S):
                while agent.listeners < 2:  # the page's own, too
                    await asyncio.sleep(0.01)
                while agent.listeners > 1:
                    agent.changed()
                    await asyncio.sleep(0.01)


async def test_a_socket_that_cannot_be_made_is_said_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Feed(tmp_path / ("x" * 200), lambda: SNAPSHOT)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(agent.run())
        async with asyncio.timeout(WAIT_S):
            while "cannot be told" not in caplog.text:
                await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()


def test_the_password_is_set_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, path = tmp_path / "booth.yaml", tmp_path / "page.password"
    settings = {"ledger": {"directory": "ledger"}, "console": {"password_file": "page.password"}}
    config.write_text(yaml.safe_dump(settings))

    def typed(text: str, command: str, *options: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        status = main(["console", command, str(config), *options])
        return status, "".join(capsys.readouterr())

    status, said = typed("short\n", "set-password", "--stdin")
    assert (status, "5 characters" in said) == (2, True)
    assert not path.exists()
    status, said = typed("", "serve")
    assert (status, "edge-agent console set-password" in said) == (2, True)
    assert typed(f"{PASSWORD}\n", "set-password", "--stdin")[0] == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in path.read_text()
    assert Hashed.read(path).is_of(PASSWORD)
    assert not Hashed.read(path).is_of(PASSWORD + " ")
    path.chmod(0o640)
    status, said = typed("", "serve")
    assert (status, "others may read it" in said) == (2, True)
