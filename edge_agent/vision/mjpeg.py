"""MJPEG over HTTP: JPEGs one after the other in a multipart body (RFC 2046), each bounded before it is decoded.

OpenCV's reader decodes a picture before anybody can ask for its size: one of 12,000 × 12,000 pixels takes 1.3 GB. Here
the JPEG's own header is read first. Basic and digest authentication, as cameras ask for them; redirects stay on HTTP
and on the camera.
"""

import http.client
import io
import math
import re
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from edge_agent.vision.frame import Image
from edge_agent.vision.picture_sizes import SCANS_MAX, scans, stated_size
from edge_agent.vision.pictures import is_cut_short

BYTES_MAX = 16 << 20  # of one picture; 4K at the best quality has some 10 MB
LINE_MAX = 4096
HEADERS_MAX = 32
BAD_MAX = 100  # pictures in a row that cannot be used: then it is no stream of pictures
CHUNK = 1 << 16
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)


class NotMjpeg(Exception):
    """The address answers with something else, which another reader may know."""


class _Broken(Exception):
    """The stream cannot go on; the text, if any, is for people."""


class Patience:
    """Until when the camera may take its time, however little it sends at a time; a single wait never says that."""

    def __init__(self) -> None:
        self._until = math.inf

    def within(self, seconds: float) -> None:
        """From now on."""
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds. Raises TimeoutError when there are none."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class MjpegStream:
    """One connection. `grab` reads the next picture, `retrieve` decodes it, so that one nobody wants costs little."""

    decoder = "software (JPEG)"
    fps = 0.0  # it has its own pace

    def __init__(
        self,
        body: io.BufferedIOBase,
        boundary: bytes | None,
        pixels_max: int,
        stopped: Callable[[], bool],
        patience: Patience,
        picture_s: float,
    ) -> None:
        """`boundary` is None for a single picture. `picture_s` and `stopped` end the waiting for a slow one."""
        self.why = ""
        self._body = body
        self._boundary = boundary
        self._at_boundary = False
        self._pixels_max = pixels_max
        self._stopped = stopped
        self._patience = patience
        self._picture_s = picture_s
        self._picture = b""
        self._ended = False

    def grab(self) -> bool:
        """Whether a picture came; if not, `why` may say more than that the stream ended."""
        bad = 0
        while not self._ended and not self._stopped():
            try:
                self._patience.within(self._picture_s)
                data = self._next()
                if self._usable(data):
                    self._picture = data
                    return True
                bad += 1
                if bad >= BAD_MAX:
                    raise _Broken("sends what is no JPEG")
            except _Broken as error:
                self.why, self._ended = str(error), True
            except TimeoutError:
                self.why, self._ended = f"sends no whole picture in {self._picture_s:g} s", True
            except (OSError, http.client.HTTPException):
                self._ended = True
        return False

    def retrieve(self) -> Image | None:
        """The picture that was grabbed, as blue-green-red; None if it cannot be decoded."""
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        try:
            image = cv2.imdecode(np.frombuffer(self._picture, np.uint8), flags)
        except cv2.error:
            return None
        return None if image is None else np.asarray(image, np.uint8)

    def release(self) -> None:
        self._body.close()

    def _usable(self, data: bytes) -> bool:
        size = stated_size(data) if data.startswith(b"\xff\xd8") else None
        if size is None or is_cut_short(data):
            return False
        if size[0] * size[1] > self._pixels_max:
            most = self._pixels_max // 1_000_000
            raise _Broken(f"sends pictures of {size[0]} × {size[1]} pixels, more than {most} million")
        if (count := scans(data)) > SCANS_MAX:
            raise _Broken(f"sends pictures in {count} scans, more than {SCANS_MAX}")
        return True

    def _next(self) -> bytes:
        if self._boundary is None:
            self._ended = True
            data = self._body.read(BYTES_MAX + 1)
            if len(data) > BYTES_MAX:
                raise _Broken(f"sends a picture of more than {BYTES_MAX >> 20} MB")
            return data
        self._to_boundary()
        length = self._length()
        return self._exactly(length) if length is not None else self._until_boundary()

    def _line(self) -> bytes:
        line = self._body.readline(LINE_MAX)
        if not line:
            raise _Broken("")
        return line

    def _to_boundary(self) -> None:
        """Up to the line that begins a part; what stands before it belongs to none."""
        passed = 0
        while not self._at_boundary:
            line = self._line()
            passed += len(line)
            self._at_boundary = self._is_boundary(line)
            if passed > BYTES_MAX or self._stopped():
                raise _Broken("sends no boundary between pictures")
        self._at_boundary = False

    def _is_boundary(self, line: bytes) -> bool:
        # Some cameras write the two hyphens into the header's boundary already.
        return self._boundary is not None and line.strip().strip(b"-") == self._boundary

    def _length(self) -> int | None:
        length = None
        for _ in range(HEADERS_MAX):
            line = self._line().strip()
            if not line:
                return length
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length" and value.strip().isdigit():
                length = int(value)
                if length > BYTES_MAX:
                    raise _Broken(f"announces a picture of {length} bytes, more than {BYTES_MAX >> 20} MB")
        raise _Broken("sends endless headers")

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            if self._stopped():
                raise _Broken("")
            chunk = self._body.read1(min(CHUNK, length - len(data)))
            if not chunk:
                raise _Broken("")
            data += chunk
        return bytes(data)

    def _until_boundary(self) -> bytes:
        """A part without its length: lines up to the next boundary."""
        data = bytearray()
        while True:
            line = self._line()
            if line.startswith(b"--") and self._is_boundary(line):
                self._at_boundary = True
                return bytes(data).rstrip(b"\r\n")
            data += line
            if len(data) > BYTES_MAX or self._stopped():
                raise _Broken(f"sends a picture of more than {BYTES_MAX >> 20} MB")


class _OnItsHost(urllib.request.HTTPRedirectHandler):
    """A camera says where else on itself its pictures are; other machines are not asked for its sake."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).hostname != urllib.parse.urlsplit(req.full_url).hostname:
            raise urllib.error.HTTPError(req.full_url, code, f"{msg}, to another host", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Socket(socket.socket):
    """Waits no longer than there is patience."""

    patience: Patience

    def recv_into(self, *where: Any) -> int:
        self.settimeout(self.patience.left())
        return super().recv_into(*where)


def open_mjpeg(url: str, open_s: float, silent_s: float, pixels_max: int, stopped: Callable[[], bool]) -> MjpegStream:
    """Connects to an http:// address, which may hold user and password.

    Raises NotMjpeg if the answer is neither a multipart stream nor a JPEG, and OSError, HTTPException or ValueError if
    there is no usable answer.
    """
    parts = urllib.parse.urlsplit(url)
    where = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
    patience = Patience()
    patience.within(open_s)
    response = _opener(where, parts.username, parts.password, patience).open(where, timeout=open_s)
    kind = response.headers.get_content_type()
    if kind == "image/jpeg":
        return MjpegStream(response, None, pixels_max, stopped, patience, silent_s)
    found = _BOUNDARY.search(response.headers.get("Content-Type", ""))
    if not kind.startswith("multipart/") or found is None:
        response.close()
        raise NotMjpeg(kind)
    boundary = found[1].strip().strip("-").encode()
    return MjpegStream(response, boundary, pixels_max, stopped, patience, silent_s)


def _opener(where: str, user: str | None, password: str | None, patience: Patience) -> urllib.request.OpenerDirector:
    """Opens HTTP and nothing else, without proxies: a camera stands in the lane's own network."""

    class Connection(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = _Socket(fileno=self.sock.detach())
            self.sock.patience = patience
            self.sock.settimeout(patience.left())

    class Handler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Connection, req)

    known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if user is not None:
        origin = urllib.parse.urlsplit(where)
        unquoted = (urllib.parse.unquote(text or "") for text in (user, password))
        known.add_password(None, f"{origin.scheme}://{origin.netloc}/", *unquoted)
    opener = urllib.request.OpenerDirector()
    for handler in (
        Handler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        _OnItsHost(),
        urllib.request.HTTPDigestAuthHandler(known),
        urllib.request.HTTPBasicAuthHandler(known),
    ):
        opener.add_handler(handler)
    return opener
