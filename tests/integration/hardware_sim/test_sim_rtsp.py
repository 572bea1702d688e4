"""A simulated camera over RTSP, played by the agent's own camera: a real server, a real stream, a real decoder."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import SettingsInvalid
from edge_agent.domain.observation import DeviceState
from edge_agent.vision.camera import Camera
from edge_agent.vision.camera_settings import CameraSettings
from hardware_sim.cameras import rtsp
from hardware_sim.cameras.frames import Frames
from hardware_sim.cameras.rtsp import RtspCamera
from hardware_sim.cameras.scene import HEIGHT, WIDTH, Noise, PlateView
from hardware_sim.scenario import CameraSettings as Settings
from hardware_sim.scenario import load_scenario

CLOCK = SystemClock()


def _installed() -> bool:
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        return subprocess.run([rtsp.DEBIANS_PYTHON, "-I", "-c", probe], capture_output=True, timeout=30).returncode == 0
    except OSError:
        return False


needs_gstreamer = pytest.mark.skipif(
    not _installed(),
    reason="GStreamer's RTSP server is not installed (make system-packages)",
)


@asynccontextmanager
async def served(codec: Literal["h264", "mjpeg"]) -> AsyncIterator[RtspCamera]:
    lane = load_scenario("demo").build_lanes(2026)["1"]
    settings = Settings(view="plate", protocol="rtsp", codec=codec, fps=10)
    camera = RtspCamera("front", settings, Frames(PlateView(lane), Noise(1), 80), CLOCK.monotonic)
    await camera.open()
    try:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(camera.watch())
            yield camera
            watching.cancel()
    finally:
        await camera.close()


async def plays(camera: Camera, frames: int) -> tuple[int, int]:
    """The size of the last of so many frames."""
    size = (0, 0)
    for _ in range(frames):
        while (frame := camera.take()) is None:
            await asyncio.sleep(0.02)
        size = (frame.width, frame.height)
    return size


@needs_gstreamer
@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
async def test_the_agents_camera_plays_it_and_finds_it_again(codec: Literal["h264", "mjpeg"]) -> None:
    async with asyncio.timeout(100), served(codec) as simulated:
        assert simulated.url.startswith("rtsp://127.0.0.1:")
        await asyncio.sleep(0)
        assert simulated.frames.drawn == 0, "nobody looks, nothing is drawn"
        camera = Camera("front", CameraSettings.model_validate({"source": simulated.url}), CLOCK)
        camera.start()
        try:
            assert await plays(camera, 5) == (WIDTH, HEIGHT)
            assert DeviceState.ONLINE in {change.state for change in camera.changes()}
        finally:
            await asyncio.to_thread(camera.stop)


@needs_gstreamer
async def test_a_port_that_is_taken_is_a_mistake_of_the_scenario() -> None:
    async with asyncio.timeout(60), served("mjpeg") as first:
        port = int(first.url.rpartition(":")[2].partition("/")[0])
        second = RtspCamera("rear", Settings(view="plate", protocol="rtsp", port=port), first.frames, CLOCK.monotonic)
        with pytest.raises(SettingsInvalid, match="cannot be served"):
            await second.open()


async def test_without_gstreamer_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp, "DEBIANS_PYTHON", "/bin/false")
    lane = load_scenario("demo").build_lanes(2026)["1"]
    frames = Frames(PlateView(lane), Noise(1), 80)
    camera = RtspCamera("front", Settings(view="plate", protocol="rtsp"), frames, CLOCK.monotonic)
    with pytest.raises(SettingsInvalid, match="make system-packages"):
        await camera.open()
