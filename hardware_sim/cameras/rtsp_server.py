"""An RTSP server for one camera: Debian's GStreamer, run with Debian's own Python, since its bindings are not on PyPI.

    /usr/bin/python3 rtsp_server.py HOST PORT WIDTH HEIGHT FPS h264|mjpeg

Standard input: JPEG frames, each after its length as four bytes, big-endian. Standard output, a line each: `ready
PORT`, `wanted N` (how many streams somebody plays), `failed WHY`. Ends with its standard input. Imports nothing of the
simulator.

    frames ──► appsrc ─► jpegdec ─► x264enc ─► rtph264pay ══ RTP ══► client        (mjpeg: appsrc ─► rtpjpegpay)
"""

import os
import struct
import sys
import threading
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PATH = "/stream"
MAX_FRAME = 16 * 1024 * 1024
# What has waited longer is of no use to anybody who looks.
MAX_QUEUED = 4 * 1024 * 1024
BITRATE_KBIT = 6000


class Server:
    """Feeds the newest frames to every stream that is played."""

    def __init__(self, host: str, port: int, width: int, height: int, fps: int, codec: str) -> None:
        self._sources: list[Any] = []
        self._lock = threading.Lock()
        self._loop = GLib.MainLoop()
        source = (
            f"appsrc name=frames is-live=true format=time do-timestamp=true block=false max-bytes={MAX_QUEUED} "
            f"leaky-type=downstream caps=image/jpeg,width={width},height={height},framerate={fps}/1"
        )
        encode = {
            "mjpeg": "rtpjpegpay name=pay0 pt=26",
            "h264": "jpegdec ! videoconvert ! video/x-raw,format=I420 ! x264enc tune=zerolatency "
            f"speed-preset=superfast bitrate={BITRATE_KBIT} key-int-max={fps} ! video/x-h264,profile=baseline ! "
            "rtph264pay name=pay0 pt=96 config-interval=1",
        }[codec]
        factory = GstRtspServer.RTSPMediaFactory.new()
        factory.set_launch(f"( {source} ! {encode} )")
        factory.set_shared(True)
        factory.connect("media-configure", self._configured)
        self._server = GstRtspServer.RTSPServer.new()
        self._server.set_address(host)
        self._server.set_service(str(port))
        self._server.get_mount_points().add_factory(PATH, factory)
        if not self._server.attach(None):
            say(f"failed the address {host}:{port} is taken or is not this machine's")
            sys.exit(1)

    def run(self) -> None:
        """Until standard input ends."""
        say(f"ready {self._server.get_bound_port()}")
        threading.Thread(target=self._feed, daemon=True).start()
        self._loop.run()

    def _configured(self, _factory: Any, media: Any) -> None:
        source = media.get_element().get_by_name("frames")
        with self._lock:
            self._sources.append(source)
            say(f"wanted {len(self._sources)}")
        media.connect("unprepared", self._gone, source)

    def _gone(self, _media: Any, source: Any) -> None:
        with self._lock:
            if source in self._sources:
                self._sources.remove(source)
            say(f"wanted {len(self._sources)}")

    def _feed(self) -> None:
        while (frame := read_frame()) is not None:
            with self._lock:
                sources = list(self._sources)
            for source in sources:
                source.emit("push-buffer", Gst.Buffer.new_wrapped(frame))
        GLib.idle_add(self._loop.quit)


def read_frame() -> bytes | None:
    """The next frame; None at the end."""
    head = read_exactly(4)
    if head is None:
        return None
    (length,) = struct.unpack(">I", head)
    return read_exactly(length) if length <= MAX_FRAME else None


def read_exactly(length: int) -> bytes | None:
    """So many bytes of standard input; None at its end."""
    data = bytearray()
    while len(data) < length:
        piece = os.read(0, min(length - len(data), 1 << 20))
        if not piece:
            return None
        data += piece
    return bytes(data)


def say(line: str) -> None:
    """To the simulator; when it is gone there is nobody to tell."""
    try:
        os.write(1, (line + "\n").encode())
    except OSError:
        os._exit(0)


if __name__ == "__main__":
    Gst.init(None)
    host, port, width, height, fps, codec = sys.argv[1:]
    Server(host, int(port), int(width), int(height), max(1, round(float(fps))), codec).run()
