"""MJPEG over HTTP from servers as cameras are, and as they should not be."""

import hashlib
import struct
import threading
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.domain.observation import DeviceState
from edge_agent.vision import mjpeg
from edge_agent.vision.frame import Image
from edge_agent.vision.mjpeg import MjpegStream, NotMjpeg, open_mjpeg
from edge_agent.vision.picture_sizes import stated_size
from tests.integration.vision.conftest import MjpegServer
from tests.integration.vision.rendering import noisy, picture
from tests.integration.vision.test_camera import Log, camera, running, video, wait_for

Answer = Callable[[BaseHTTPRequestHandler], None]
JPEGS = [cv2.imencode(".jpg", noisy(picture(width=320, height=240), n))[1].tobytes() for n in range(3)]


def claiming(width: int, height: int) -> bytes:
    """A JPEG whose header states another size than its picture has."""
    data = bytearray(JPEGS[0])
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self)
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def says(kind: str, body: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def opened(address: str, user: str = "", pixels_max: int = 50_000_000) -> MjpegStream:
    return open_mjpeg(f"http://{user}{address}/video?n=1", 5.0, 5.0, pixels_max, lambda: False)


def images(stream: MjpegStream) -> list[Image | None]:
    out = []
    while stream.grab():
        out.append(stream.retrieve())
    stream.release()
    return out


def parts(*bodies: bytes, length: bool = True, boundary: str = "frame", junk: bytes = b"") -> bytes:
    out = junk
    for body in bodies:
        head = f"--{boundary}\r\nContent-Type: image/jpeg\r\n" + (f"Content-Length: {len(body)}\r\n" if length else "")
        out += head.encode() + b"\r\n" + body + b"\r\n"
    return out + f"--{boundary}--\r\n".encode()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param("boundary=frame", parts(*JPEGS), id="as it should be"),
        pytest.param('boundary="frame"; charset=x', parts(*JPEGS), id="quoted"),
        pytest.param("boundary=--frame", parts(*JPEGS), id="hyphens in the header"),
        pytest.param("boundary=frame", parts(*JPEGS, length=False), id="no lengths"),
        pytest.param("boundary=frame", parts(*JPEGS, junk=b"hello\r\n\r\n"), id="a preamble"),
        pytest.param("boundary=frame", parts(b"no picture", *JPEGS, JPEGS[0][:900]), id="bad ones between"),
    ],
)
def test_pictures_come_one_after_the_other(kind: str, body: bytes) -> None:
    with answering(says(f"multipart/x-mixed-replace; {kind}", body)) as address:
        got = images(opened(address))
    expected = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in JPEGS]
    assert len(got) == 3
    assert all(np.array_equal(one, other) for one, other in zip(got, expected, strict=True))  # type: ignore[arg-type]


def test_a_picture_that_nobody_wants_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(says("multipart/x-mixed-replace; boundary=frame", parts(*JPEGS))) as address:
        stream = opened(address)
        assert stream.grab()
        monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
        assert stream.grab()
        stream.release()


def test_a_single_picture_is_a_stream_of_one() -> None:
    with answering(says("image/jpeg", JPEGS[0])) as address:
        (image,) = images(opened(address))
    assert image is not None
    assert image.shape == (240, 320, 3)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param(parts(claiming(12_000, 12_000)), "12000 × 12000 pixels, more than 50 million", id="huge"),
        pytest.param(b"--frame\r\nContent-Length: 99999999\r\n\r\nab", "99999999 bytes", id="huge announcement"),
        pytest.param(parts(*[b"no picture"] * 200), "what is no JPEG", id="no pictures"),
        pytest.param(b"--frame\r\n" + b"A: b\r\n" * 100, "endless headers", id="endless headers"),
        pytest.param(b"x" * 3_000_000, "no boundary", id="no boundary"),
        pytest.param(b"--frame\r\n\r\n\xff\xd8" + b"x" * 3_000_000, "more than 0 MB", id="endless picture"),
        pytest.param(b"--frame\r\nContent-Length: 500\r\n\r\nab", "", id="cut in a picture"),
        pytest.param(b"", "", id="nothing"),
    ],
)
def test_what_cannot_be_used_ends_the_stream_with_its_reason(
    body: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mjpeg, "BYTES_MAX", 1_000_000)
    with answering(says("multipart/x-mixed-replace; boundary=frame", body)) as address:
        stream = opened(address)
        assert not stream.grab()
        assert not stream.grab()
        stream.release()
    assert why in stream.why
    assert bool(why) == bool(stream.why)


def test_a_camera_says_that_its_pictures_are_too_large(serve: Callable[[Callable[[int], bytes]], MjpegServer]) -> None:
    huge = claiming(12_000, 12_000)
    assert stated_size(huge) == (12_000, 12_000)
    with running(camera(f"http://{serve(lambda _: huge).address}/video", retry_max_s=0.1)) as bad:
        Log(bad).wait(DeviceState.OFFLINE, "sends pictures of 12000 × 12000 pixels, more than 50 million")
        assert bad.delivered == 0


def test_another_kind_of_stream_is_left_to_opencv(tmp_path: Path) -> None:
    clip = video(tmp_path / "a.avi", 12).read_bytes()
    with answering(says("video/avi", clip)) as address:
        with pytest.raises(NotMjpeg, match="video/avi"):
            opened(address)
        with running(camera(f"http://{address}/a.avi")) as live:
            wait_for(lambda: live.delivered >= 1)
            assert live.decoder.startswith(("hardware", "software: no hardware decoder is offered"))


def _basic(handler: BaseHTTPRequestHandler) -> bool:
    return handler.headers.get("Authorization") == "Basic " + b64encode(b"ad min:p/w@1").decode()


def _digest(handler: BaseHTTPRequestHandler) -> bool:
    """RFC 7616, 3.4.1, with quality of protection `auth`."""
    given = handler.headers.get("Authorization", "")
    if not given.startswith("Digest "):
        return False
    said = urllib.request.parse_keqv_list(urllib.request.parse_http_list(given[7:]))

    def h(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    secret = h("ad min:camera:p/w@1")
    asked = h(f"GET:{said['uri']}")
    return said["response"] == h(f"{secret}:{said['nonce']}:{said['nc']}:{said['cnonce']}:{said['qop']}:{asked}")


@pytest.mark.parametrize(
    ("challenge", "right"),
    [
        ('Basic realm="camera"', _basic),
        ('Digest realm="camera", nonce="abc", qop="auth", algorithm=MD5', _digest),
    ],
    ids=["basic", "digest"],
)
def test_user_and_password_are_given_as_the_camera_asks(
    challenge: str, right: Callable[[BaseHTTPRequestHandler], bool]
) -> None:
    asked = list[str | None]()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers.get("Authorization"))
        if right(handler):
            says("multipart/x-mixed-replace; boundary=frame", parts(*JPEGS))(handler)
            return
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", challenge)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with answering(answer) as address:
        assert len(images(opened(address, "ad%20min:p%2Fw%401@"))) == 3
        assert asked[0] is None  # not before it was asked for
        with running(camera(f"http://admin:wrong@{address}/video", retry_max_s=0.1)) as bad:
            Log(bad).wait(DeviceState.OFFLINE, f"http://{address}/video cannot be opened: it refuses user and password")


def test_a_redirect_to_something_else_than_http_is_refused() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "file:///etc/hostname")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with answering(answer) as address, running(camera(f"http://{address}/video", retry_max_s=0.1)) as bad:
        Log(bad).wait(DeviceState.OFFLINE, "cannot be opened")
