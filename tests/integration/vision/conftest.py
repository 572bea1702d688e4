import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest

from edge_agent.vision.faces import FaceFinder
from edge_agent.vision.frame import Image
from edge_agent.vision.ppocr import PpOcrRecogniser


@pytest.fixture(scope="session")
def recogniser() -> PpOcrRecogniser:
    return PpOcrRecogniser.open()


@pytest.fixture(scope="session")
def faces() -> FaceFinder:
    return FaceFinder.open()


@pytest.fixture(scope="session")
def portrait() -> Image:
    """Grace Hopper by the US Navy (public domain), as matplotlib ships it: 512 × 600, the face at 174, 127."""
    image = cv2.imread(str(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"))
    assert image is not None
    return np.asarray(image, np.uint8)


class MjpegServer:
    """A camera that serves multipart JPEG over HTTP, as network cameras do. `picture(n)` gives the n-th frame.

    A `picture` that returns None holds the stream open and sends nothing; `refuse` answers 404; `cut()`
    ends the streams.
    """

    def __init__(self, picture: Callable[[int], Image | bytes | None]) -> None:
        self.picture = picture
        self.refuse = False
        self.connections = 0
        self._cut = threading.Event()
        self._closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def cut(self) -> None:
        self._cut.set()

    def close(self) -> None:
        self._closing.set()
        self._cut.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        if self.refuse:
            handler.send_error(404)
            return
        self.connections += 1
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        try:
            for n in count():
                if self._cut.wait(0.03):
                    if not self._closing.is_set():
                        self._cut.clear()
                    return
                image = self.picture(n)
                if image is None:
                    continue
                data = image if isinstance(image, bytes) else cv2.imencode(".jpg", image)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                handler.wfile.write(head.encode() + data + b"\r\n")
        except OSError:
            return  # the camera has hung up


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[int], Image | bytes | None]], MjpegServer]]:
    servers: list[MjpegServer] = []

    def start(picture: Callable[[int], Image | bytes | None]) -> MjpegServer:
        servers.append(MjpegServer(picture))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
