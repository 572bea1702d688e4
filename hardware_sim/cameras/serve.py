"""MJPEG over HTTP: `/stream.mjpg` for software, `/snapshot.jpg` for one frame, `/` for a browser.

Frames are drawn in a thread, once for all clients, and only while somebody looks. A client that does not keep up
misses frames; it never holds up the others.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from hardware_sim.cameras.frames import Frames
from hardware_sim.http_log import HTTP_LOG
from hardware_sim.links.address import unserved

_BOUNDARY = "frame"
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
    def max_clients(self) -> int: ...


class Camera:
    """One camera of the lane, on the world's clock."""

    kind = "mjpeg_camera"

    def __init__(self, name: str, settings: CameraSettings, frames: Frames, now: Callable[[], float]) -> None:
        self.name = name
        self.frames = frames
        self._settings = settings
        self._now = now
        self._port = settings.port
        self._runner: web.AppRunner | None = None
        self._clients: set[asyncio.Queue[bytes]] = set()
        self._wanted = asyncio.Event()

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
        self._runner = web.AppRunner(
            application,
            handler_cancellation=True,  # who is gone holds no place until the next frame
            access_log=None,
            logger=HTTP_LOG,
            shutdown_timeout=0.5,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.host, self._settings.port, backlog=16)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            what = f"camera {self.name}: {self.url}"
            raise unserved(what, self._settings.host, self._settings.port, error.strerror) from None
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
            taken = self._now()
            frame = await asyncio.to_thread(self.frames.at, taken)
            for client in self._clients:
                if client.full():
                    client.get_nowait()  # newest wins
                client.put_nowait(frame)
            due = max(due + every, taken + every / 2)  # behind its time, a camera drops frames and does not hurry
            await asyncio.sleep(max(0.0, due - self._now()))

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
        frame = await asyncio.to_thread(self.frames.at, self._now())
        return web.Response(body=frame, content_type="image/jpeg", headers={"Cache-Control": "no-store"})

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text=_PAGE.format(name=self.name), content_type="text/html")
