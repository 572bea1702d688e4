"""A camera that speaks RTSP, as network cameras do: H.264, or JPEG in RTP.

The server is Debian's GStreamer in a process of its own (`rtsp_server.py`, run with Debian's Python); `make
system-packages` installs it. Frames are drawn in a thread, and only while somebody plays the stream.
"""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.cameras.frames import Frames
from hardware_sim.cameras.scene import HEIGHT, WIDTH
from hardware_sim.links.address import unserved

DEBIANS_PYTHON = "/usr/bin/python3"
_READY_S = 20.0
_END_S = 5.0
_TAKE_S = 5.0  # a server that takes no frame for so long is stuck


class RtspSettings(Protocol):
    """What the scenario says of a camera."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def fps(self) -> float: ...
    @property
    def codec(self) -> Literal["h264", "mjpeg"]: ...


class RtspCamera:
    """One camera of the lane, on the world's clock."""

    kind = "rtsp_camera"

    def __init__(self, name: str, settings: RtspSettings, frames: Frames, now: Callable[[], float]) -> None:
        self.name = name
        self.frames = frames
        self._settings = settings
        self._now = now
        self._port = settings.port
        self._server: Process | None = None
        self._players = 0
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        return f"rtsp://{self._settings.host}:{self._port}/stream"

    async def open(self) -> None:
        """Raises SettingsInvalid where GStreamer's RTSP server is not installed, or the address cannot be served."""
        s = self._settings
        script = str(Path(__file__).with_name("rtsp_server.py"))
        arguments = (s.host, str(s.port), str(WIDTH), str(HEIGHT), str(s.fps), s.codec)
        # Its own libraries and nothing of ours: GStreamer's plug-ins are found through the system's paths.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        try:
            self._server = await asyncio.create_subprocess_exec(
                DEBIANS_PYTHON, "-I", script, *arguments, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment
            )
            word, rest = await self._said(_READY_S)
        except (OSError, TimeoutError) as error:
            word, rest = "failed", str(error) or f"nothing was heard for {_READY_S:g} s"
        if word == "ready":
            self._port = int(rest)
            return
        await self.close()
        if word == "failed":
            raise unserved(f"camera {self.name}: {self.url}", s.host, s.port, rest)
        raise SettingsInvalid(
            f"camera {self.name}: GStreamer's RTSP server does not run on this machine",
            "install it (Debian: `make system-packages`), or let the camera be served by `protocol: mjpeg`",
        )

    async def close(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        if server.stdin is not None:
            server.stdin.close()
        try:
            async with asyncio.timeout(_END_S):
                await server.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                server.kill()
            await server.wait()

    async def watch(self) -> None:
        """Draw frames at the camera's rate while somebody plays the stream. Runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name=f"RTSP server of {self.name}")
            await self._draw()

    async def _listen(self) -> None:
        """How many play the stream, as the server tells it."""
        while (said := await self._said())[0]:
            if said[0] == "wanted":
                self._players = int(said[1])
                self._news.set()
        self._players = 0

    async def _draw(self) -> None:
        every = 1 / self._settings.fps
        due = self._now()
        while True:
            if not self._players:
                self._news.clear()
                await self._news.wait()
                due = self._now()
                continue
            taken = self._now()
            await self._hand_over(await asyncio.to_thread(self.frames.at, taken))
            due = max(due + every, taken + every / 2)  # behind its time, it drops frames and does not hurry
            await asyncio.sleep(max(0.0, due - self._now()))

    async def _hand_over(self, frame: bytes) -> None:
        if self._server is None or self._server.stdin is None:
            return
        with suppress(ConnectionError, TimeoutError):
            self._server.stdin.write(len(frame).to_bytes(4, "big") + frame)
            async with asyncio.timeout(_TAKE_S):
                await self._server.stdin.drain()

    async def _said(self, patience_s: float | None = None) -> tuple[str, str]:
        """The server's next line: its first word, and the rest; empty at its end."""
        if self._server is None or self._server.stdout is None:
            return "", ""
        async with asyncio.timeout(patience_s):
            line = await self._server.stdout.readline()
        word, _, rest = line.decode(errors="replace").strip().partition(" ")
        return word, rest
