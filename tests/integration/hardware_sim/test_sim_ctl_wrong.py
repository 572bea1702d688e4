"""`hardware-sim ctl` at a wrong address, and a control port that hears no HTTP."""

import asyncio
import http.server
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hardware_sim.cli import main
from hardware_sim.control import Control
from tests.integration.hardware_sim.sim import lane, running


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that is no run; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(answer)

        def log_message(self, format: str, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8600", "localhost", "ftp://127.0.0.1:1", "file:///etc/passwd", "http://", "http://h:x", "http://h:99999",
     "http://a b/", "http://[::1", "http://\u00e4"],
)  # fmt: skip
def test_what_is_no_address(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ctl", "--url", url, "state"]) == 2
    said = capsys.readouterr()
    assert said.err == f"{url}: no address of a run\n  → write for instance http://127.0.0.1:8600\n"
    assert said.out == ""


def test_a_token_that_is_none_is_named_and_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARDWARE_SIM_TOKEN", "secret\nof two lines")
    assert main(["ctl", "--url", "http://127.0.0.1:1", "state"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("HARDWARE_SIM_TOKEN is no token: ")
    assert "secret" not in said


def test_a_lane_of_any_name_is_asked_for_by_it(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(_OK) as url:
        assert main(["ctl", "--url", url, "truck", "lane=\u00e4 1"]) == 2
    assert capsys.readouterr().err.startswith("POST /lanes/%C3%A4%201/trucks: 501")  # which this server does not know


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
    for what in ("state", "follow"):
        assert main(["ctl", "--url", url, what]) == 2
        assert capsys.readouterr().err == (
            f"{url} does not answer: Connection refused\n"
            "  → is the run still going on, and is this the address that it said?\n"
        )


_OK = b"HTTP/1.0 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0\r\n", _OK + b"<html>", _OK + b"[]", _OK + b'{"a": 1}', _OK + b"3", _OK + b"\xff", _OK]
)
@pytest.mark.parametrize("arguments", [["state"], ["places"], ["faults"], ["truck"], ["end"]])
def test_an_answer_that_is_not_a_runs(answer: bytes, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if answer.endswith(b"[]") and arguments[0] in ("faults", "end"):
        return  # a run without faults says the same
    with answering(answer) as url:
        assert main(["ctl", "--url", url, *arguments]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"{url} answers, but is no control API of a run\n  → use the address that")
    assert said.out == ""


def test_a_stream_that_is_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(_OK + b"\xff\xfe\n") as url:
        assert main(["ctl", "--url", url, "follow"]) == 2
    assert "answers, but is no control API of a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "request_", [b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n"]
)
async def test_what_is_no_http_is_refused_without_a_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, request_: bytes
) -> None:
    async with running(lane(), tmp_path) as sim:
        control = Control(sim, lambda: None)
        await control.open()
        try:
            reader, writer = await asyncio.open_connection(*_address(control.url))
            writer.write(request_)
            assert b"400" in await asyncio.wait_for(reader.readline(), 30)
            writer.close()
        finally:
            await control.close()
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_a_defect_of_ours_is_still_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("planted")

    async with running(lane(), tmp_path) as sim:
        control = Control(sim, lambda: None)
        await control.open()
        try:
            monkeypatch.setattr(sim, "places", broken)
            reader, writer = await asyncio.open_connection(*_address(control.url))
            writer.write(b"GET /places HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"500" in await asyncio.wait_for(reader.readline(), 30)
            writer.close()
        finally:
            await control.close()
    assert "planted" in caplog.text


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)
