"""MJPEG over HTTP: `/stream.mjpg` for software, `/snapshot.jpg` for one frame, `/` for a browser.

Frames are drawn in a thread, once for all clients, and only while somebody looks. A client that does not keep up
misses frames; it never holds up the others.
"""

import asyncio
from collections.abc import Callable
from io import BytesIO
from typing import Protocol

from aiohttp import web
from PIL import Image

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.cameras.scene import Noise, View

_BOUNDARY = "frame"
# Variants of the empty lane that are kept as JPEG; as many as there are noise images, so that neighbours differ.
_EMPTY_KEPT = 6
# A client that takes nothing for so long is gone.
_SEND_TIMEOUT_S = 10.0
_PAGE = """<!doctype html><html lang="en"><title>{name}</title><body style="margin:0;background:#111">
<img src="stream.mjpg" alt="{name}" style="max-width:100%"></body></html>"""


class CameraSettings(Protocol):
    """What the scenario says of a camera."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def fps(self) -> float: ...
    @property
    def quality(self) -> int: ...
    @property
    def max_clients(self) -> int: ...


class Camera:
    """One camera of the lane, on the world's clock."""

    kind = "mjpeg_camera"

    def __init__(self, name: str, settings: CameraSettings, view: View, noise: Noise, now: Callable[[], float]) -> None:
        self.name = name
        self.frames_drawn = 0
        self._settings = settings
        self._view = view
        self._noise = noise
        self._now = now
        self._port = settings.port
        self._runner: web.AppRunner | None = None
        self._clients: set[asyncio.Queue[bytes]] = set()
        self._wanted = asyncio.Event()
        self._number = 0
        self._empty_kept: dict[tuple[bool, int], bytes] = {}

    @property
    def url(self) -> str:
        return f"http://{self._settings.host}:{self._port}/stream.mjpg"

    async def open(self) -> None:
        application = web.Application(client_max_size=1024)
        application.add_routes(
            [
                web.get("/stream.mjpg", self._stream),
                web.get("/snapshot.jpg", self._snapshot),
                web.get("/", self._page),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.host, self._settings.port, backlog=16)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            raise SettingsInvalid(
                f"camera {self.name}: {self.url} cannot be served: {error.strerror}",
                "choose another port in the scenario, or 0 for a free one",
            ) from None
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def watch(self) -> None:
        """Draw frames at the camera's rate while somebody looks. Runs until cancelled."""
        every = 1 / self._settings.fps
        due = self._now()
        while True:
            if not self._clients:
                self._wanted.clear()
                await self._wanted.wait()
                due = self._now()
            frame = await asyncio.to_thread(self.frame, self._now())
            for client in self._clients:
                if client.full():
                    client.get_nowait()  # newest wins
                client.put_nowait(frame)
            due = max(due + every, self._now())  # behind its time, a camera drops frames and does not hurry
            await asyncio.sleep(max(0.0, due - self._now()))

    def frame(self, at: float) -> bytes:
        """The JPEG at `at`. No two are the same bytes: a real camera's never are."""
        self._number += 1
        drawn = self._view.draw(at)
        night = self._view.night(at)
        if drawn is None:
            variant = (night, self._number % _EMPTY_KEPT)
            if variant not in self._empty_kept:
                self._empty_kept[variant] = self._encode(
                    self._noise.add(self._view.empty(at), self._number, night=night)
                )
            return _numbered(self._empty_kept[variant], self._number)
        self.frames_drawn += 1
        return _numbered(self._encode(self._noise.add(drawn, self._number, night=night)), self._number)

    def _encode(self, image: Image.Image) -> bytes:
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=self._settings.quality)
        return buffer.getvalue()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if len(self._clients) >= self._settings.max_clients:
            return web.Response(status=503, text=f"{self.name} already serves {len(self._clients)} clients\n")
        response = web.StreamResponse(
            headers={"Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY}", "Cache-Control": "no-store"}
        )
        frames: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
        self._clients.add(frames)
        self._wanted.set()
        try:
            await response.prepare(request)
            while True:
                frame = await frames.get()
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(frame)}\r\n\r\n"
                async with asyncio.timeout(_SEND_TIMEOUT_S):
                    await response.write(head.encode() + frame + b"\r\n")
        except (ConnectionError, TimeoutError):
            return response  # the client is gone, or takes nothing
        finally:
            self._clients.discard(frames)

    async def _snapshot(self, _: web.Request) -> web.Response:
        frame = await asyncio.to_thread(self.frame, self._now())
        return web.Response(body=frame, content_type="image/jpeg", headers={"Cache-Control": "no-store"})

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text=_PAGE.format(name=self.name), content_type="text/html")


def _numbered(jpeg: bytes, number: int) -> bytes:
    """The JPEG with its number in a comment segment (ITU-T T.81, B.2.4.5) right after the start of image."""
    comment = f"frame {number}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]
