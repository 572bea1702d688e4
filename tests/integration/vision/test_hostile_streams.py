"""Cameras that stall, dribble or flood: a state with its reason, and never a thread that hangs."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler

import pytest

from edge_agent.domain.observation import DeviceState
from edge_agent.vision import camera as camera_module
from edge_agent.vision.mjpeg import open_mjpeg
from tests.integration.vision.test_camera import Log, camera, running
from tests.integration.vision.test_mjpeg import JPEGS, answering, parts

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=lane\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
)
ANSWERS = {  # RFC 2326: what each request's answer says beside its number and session
    "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
    "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}",
    "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
    "PLAY": "",
}


@contextmanager
def rtsp(stalls_at: str) -> Iterator[str]:
    """A camera that answers every request before `stalls_at` and then nothing: no answer, no picture, no end."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stalled = threading.Event()

        def answer() -> None:
            while True:
                with suppress(OSError):
                    held = stack.enter_context(server.accept()[0])
                    asked = held.makefile("r", newline="")
                    while (verb := _request(asked)) is not None and verb[0] != stalls_at:
                        said = f"RTSP/1.0 200 OK\r\nCSeq: {verb[1]}\r\nSession: 1\r\n{ANSWERS.get(verb[0], '')}"
                        held.sendall((said if verb[0] == "DESCRIBE" else said + "\r\n").encode())
                if stalled.is_set():
                    return

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"rtsp://127.0.0.1:{server.getsockname()[1]}/lane"
        finally:
            stalled.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _request(lines: Iterator[str]) -> tuple[str, str] | None:
    """The method and the number of a client's next request; None at the connection's end."""
    head = list[str]()
    for line in lines:
        if line == "\r\n":
            number = re.search(r"CSeq: (\d+)", "".join(head))
            return head[0].split()[0], number[1] if number else ""
        head.append(line)
    return None


def test_an_rtsp_camera_that_stalls_is_offline_with_the_reason() -> None:
    how = {"open_timeout_s": 1.0, "silent_after_s": 0.3, "retry_max_s": 0.2}
    with rtsp("OPTIONS") as mute, rtsp("PAUSE") as without_pictures, ExitStack() as stack:
        logs = [Log(stack.enter_context(running(camera(url, **how)))) for url in (mute, without_pictures)]
        logs[0].wait(DeviceState.OFFLINE, f"{mute} cannot be opened")
        logs[1].wait(DeviceState.WAITING, "no picture for 0.3 s")
        logs[1].wait(DeviceState.OFFLINE, f"{without_pictures} sends no picture")


def dribbling(head: bytes, body: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """`head` at once, then byte by byte, each well within any time that a camera may be silent."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head)
        pause = threading.Event()
        for n in range(len(body)):
            handler.wfile.write(body[n : n + 1])
            pause.wait(0.01)

    return answer


HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


@pytest.mark.parametrize("body", [parts(JPEGS[0]), parts(JPEGS[0], length=False), b"x" * 20_000], ids=len)
def test_a_picture_that_comes_in_drops_ends_the_stream(body: bytes) -> None:
    with answering(dribbling(HEAD, body)) as address:
        stream = open_mjpeg(f"http://{address}/", 5.0, 0.3, 50_000_000, lambda: False)
        assert not stream.grab()
        assert stream.why == "sends no whole picture in 0.3 s"
        stream.release()


def test_an_answer_that_comes_in_drops_is_none() -> None:
    answer = dribbling(b"HTTP/1.0 200 OK\r\n", b"X-Lane: north\r\n" * 1000)
    with answering(answer) as address, running(camera(f"http://{address}/", open_timeout_s=0.3)) as slow:
        Log(slow).wait(DeviceState.OFFLINE, f"http://{address}/ cannot be opened")


def test_a_flood_of_pictures_is_hung_up_on_and_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(HEAD)
        while True:
            handler.wfile.write(parts(*JPEGS).rpartition(b"--frame--")[0])

    monkeypatch.setattr(camera_module, "FLOOD", 50)
    monkeypatch.setattr(camera_module, "LIVE_FPS_MAX", 0.05)
    with answering(flood) as address, running(camera(f"http://{address}/")) as flooded:
        Log(flooded).wait(DeviceState.OFFLINE, "sends more than 50 pictures a second")
        assert flooded.delivered <= 3


@pytest.mark.parametrize("how", ["a list of files", "a redirect"])
def test_a_camera_cannot_have_the_agent_ask_other_machines(how: str) -> None:
    asked = list[str]()

    def other(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        handler.send_error(404)

    def playlist(handler: BaseHTTPRequestHandler) -> None:
        head = b"HTTP/1.0 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\n\r\n"
        body = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://{elsewhere}/open-the-gate.ts\n#EXT-X-ENDLIST\n"
        handler.wfile.write(head + body.encode())

    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(f"HTTP/1.0 302 Found\r\nLocation: http://{elsewhere}/open-the-gate\r\n\r\n".encode())

    camera_says, why = (
        (playlist, "") if how == "a list of files" else (redirect, ": it answers 302 Found, to another host")
    )
    with answering(other) as address, answering(camera_says) as asks, ExitStack() as stack:
        elsewhere = address.replace("127.0.0.1", "localhost")
        bad = stack.enter_context(running(camera(f"http://{asks}/")))
        Log(bad).wait(DeviceState.OFFLINE, f"http://{asks}/ cannot be opened{why}")
    assert asked == []
