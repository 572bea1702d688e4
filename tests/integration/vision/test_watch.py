"""Watching a camera: real frames, real inference where reading matters."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TypeVar

import cv2
import numpy as np
import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import RecogniserBroken
from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.observation import ContainerCodeRead, DeviceState, DeviceStatus, PlateRead, Reading
from edge_agent.vision.camera import Camera
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.frame import Frame, Image
from edge_agent.vision.recogniser import Recogniser, Sighting
from edge_agent.vision.recognisers import open_recogniser
from edge_agent.vision.watch import STILL_S, Pace, watch
from tests.integration.vision.conftest import MjpegServer
from tests.integration.vision.rendering import noisy, picture, plate

T = TypeVar("T")
Serve = Callable[[Callable[[int], Image | bytes | None]], MjpegServer]
CODE = [(60, 60, "MSKU 413532 9", 56)]


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return open_recogniser(live=True)


class Emitted:
    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.news = asyncio.Event()

    async def __call__(self, reading: Reading) -> None:
        self.readings.append(reading)
        self.news.set()

    def of(self, kind: type[T]) -> list[T]:
        return [r.body for r in self.readings if isinstance(r.body, kind)]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self.news.clear()
                await self.news.wait()


class Counting:
    """Looks, sees nothing, and remembers what it looked at."""

    def __init__(self, broken: Callable[[int], bool] = lambda _: False) -> None:
        self.frames: list[Frame] = []
        self._broken = broken

    def look(self, frame: Frame) -> Sequence[Sighting]:
        self.frames.append(frame)
        if self._broken(len(self.frames)):
            raise RecogniserBroken("the model gives no answer")
        return []


def clip(path: Path, images: Sequence[Image]) -> str:
    size = (images[0].shape[1], images[0].shape[0])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, size)
    for image in images:
        writer.write(image)
    writer.release()
    return str(path)


def camera(source: str, **settings: object) -> Camera:
    return Camera(
        "north", CameraSettings.model_validate({"source": source, "blur_faces": False, **settings}), SystemClock()
    )


async def watched(
    of: Camera,
    recogniser: Recogniser,
    emitted: Emitted,
    presence: Callable[[], bool] = lambda: True,
) -> None:
    async with asyncio.timeout(60):
        await watch("north", of, recogniser, None, emitted, SystemClock(), presence)


async def test_a_plate_is_emitted_with_frame_and_crop(recogniser: Recogniser, tmp_path: Path) -> None:
    source = clip(tmp_path / "a.avi", [noisy(plate("7KLM 223"), n) for n in range(10)])
    emitted = Emitted()
    clock = SystemClock()
    before = clock.monotonic()
    await watched(camera(source), recogniser, emitted)
    reading = next(r for r in emitted.readings if isinstance(r.body, PlateRead))
    assert isinstance(reading.body, PlateRead)
    assert reading.body.text == "7KLM223"
    assert before <= reading.at <= clock.monotonic()
    frame, crop = reading.evidence
    assert (frame.kind, crop.kind) == (EvidenceKind.FRAME, EvidenceKind.PLATE_CROP)
    whole = cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_COLOR)
    part = cv2.imdecode(np.frombuffer(crop.data, np.uint8), cv2.IMREAD_COLOR)
    assert whole is not None
    assert part is not None
    assert whole.shape == (540, 960, 3)
    assert part.shape[0] < 150
    states = [s.state for s in emitted.of(DeviceStatus)]
    assert states == [DeviceState.WAITING, DeviceState.ONLINE, DeviceState.OFFLINE]


async def test_a_camera_that_is_to_blur_faces_does_not_start_without_the_means(tmp_path: Path) -> None:
    source = clip(tmp_path / "a.avi", [noisy(picture(width=320, height=240), n) for n in range(3)])
    with pytest.raises(TypeError, match="FaceFinder"):
        await watched(camera(source, blur_faces=True), Counting(), Emitted())


async def test_the_role_and_the_region_of_a_camera_hold(recogniser: Recogniser, tmp_path: Path) -> None:
    image = plate("7KLM 223")
    image[:120] = picture(CODE)[:120]
    source = clip(tmp_path / "a.avi", [noisy(image, n) for n in range(8)])
    codes, plates, below = Emitted(), Emitted(), Emitted()
    await watched(camera(source, role="container"), recogniser, codes)
    assert not codes.of(PlateRead)
    (code, *_) = codes.of(ContainerCodeRead)
    assert code.code == "MSKU4135329"
    assert codes.readings[-2].evidence[1].kind is EvidenceKind.CONTAINER_CODE_CROP
    await watched(camera(source, role="plate"), recogniser, plates)
    assert not plates.of(ContainerCodeRead)
    assert plates.of(PlateRead)
    await watched(camera(source, region={"x": 0.2, "y": 0.5, "w": 0.8, "h": 0.5}), recogniser, below)
    assert not below.of(ContainerCodeRead)
    assert abs(below.of(PlateRead)[0].box.x - plates.of(PlateRead)[0].box.x) <= 10
    assert abs(below.of(PlateRead)[0].box.y - plates.of(PlateRead)[0].box.y) <= 10


async def test_what_decodes_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = clip(tmp_path / "a.avi", [noisy(picture(width=320, height=240), n) for n in range(5)])
    caplog.set_level("INFO")
    for hardware in (True, False):
        caplog.clear()
        await watched(camera(source, hardware_decode=hardware, playback_fps=100), Counting(), Emitted())
        said = [r.getMessage() for r in caplog.records if "decoded in" in r.getMessage()]
        assert len(said) == 1
        assert said[0].startswith("north is decoded in ")
        how = said[0].removeprefix("north is decoded in ")
        if hardware:
            assert how.startswith("hardware") or how == "software: no hardware decoder is offered"
        else:
            assert how == "software, as hardware_decode says"


async def test_an_empty_lane_is_not_looked_at_until_presence(tmp_path: Path) -> None:
    source = clip(tmp_path / "a.avi", [noisy(picture(width=320, height=240), n) for n in range(60)])
    looks = Counting()
    # The first frame counts as motion: something may stand there already.
    await watched(camera(source, playback_fps=15, looks_per_s=20), looks, Emitted(), presence=lambda: False)
    idle = len(looks.frames)
    assert idle > 0
    assert max(f.sequence for f in looks.frames) < 45  # two seconds after the first frame it stops
    present = Counting()
    await watched(camera(source, playback_fps=15, looks_per_s=20), present, Emitted(), presence=lambda: True)
    assert max(f.sequence for f in present.frames) > 50
    # What stands still is looked at less often.
    standing = [f.at for f in present.frames if f.at > present.frames[0].at + 2.1]
    assert standing
    assert all(b - a > STILL_S - 0.001 for a, b in pairwise(standing))


async def test_motion_is_looked_at_without_presence(tmp_path: Path) -> None:
    empty = picture(width=320, height=240)
    vehicle = empty.copy()
    vehicle[80:200, 100:250] = 220
    images = [noisy(vehicle if n >= 60 else empty, n) for n in range(70)]
    looks = Counting()
    await watched(
        camera(clip(tmp_path / "a.avi", images), playback_fps=20, looks_per_s=20), looks, Emitted(), lambda: False
    )
    assert max(f.sequence for f in looks.frames) >= 60


async def test_looks_are_limited(tmp_path: Path) -> None:
    source = clip(tmp_path / "a.avi", [noisy(picture(width=320, height=240), n) for n in range(50)])
    looks = Counting()
    await watched(camera(source, looks_per_s=2), looks, Emitted())
    assert 1 <= len(looks.frames) <= 5
    ats = [frame.at for frame in looks.frames]
    assert all(third - first >= 0.5 for first, third in zip(ats, ats[2:], strict=False))


@pytest.mark.parametrize("jitter_s", [0.0, 0.004, 0.03])
def test_frames_a_little_late_or_early_cost_no_look(jitter_s: float) -> None:
    random, pace, looks = Random(1), Pace(5.0), list[float]()
    for n in range(1000):  # ten frames a second
        at = n / 10 + random.uniform(-jitter_s, jitter_s)
        if pace.due(at):
            pace.looked(at)
            looks.append(at)
    assert 495 <= len(looks) <= 501


def test_a_still_picture_is_looked_at_twice_a_second_and_at_once_when_it_moves() -> None:
    pace, looks = Pace(5.0), list[float]()
    for n in range(60):  # ten frames a second; it moves for two seconds, stands for three, and moves again
        at = n / 10
        if pace.due(at, still=20 <= n < 50):
            pace.looked(at)
            looks.append(at)
    assert [len([at for at in looks if low <= at < low + 1]) for low in range(6)] == [5, 5, 2, 2, 2, 5]
    slow = Pace(1.0)
    slow.looked(0.0)
    assert not slow.due(0.9, still=True)
    assert slow.due(1.0, still=True)


def test_what_was_missed_in_a_pause_is_not_made_up_for() -> None:
    pace, looks = Pace(2.0), list[float]()
    for at in (0.0, *(60 + n / 25 for n in range(50))):
        if pace.due(at):
            pace.looked(at)
            looks.append(at)
    assert looks == pytest.approx([0.0, 60.0, 60.52, 61.0, 61.52])


async def test_a_recogniser_that_cannot_look_is_said_to_have_failed_once_and_to_be_back(tmp_path: Path) -> None:
    source = clip(tmp_path / "a.avi", [noisy(picture(width=320, height=240), n) for n in range(40)])
    emitted = Emitted()
    await watched(camera(source, looks_per_s=60), Counting(broken=lambda n: n <= 3), emitted)
    said = [(s.state, s.detail) for s in emitted.of(DeviceStatus)]
    assert said.count((DeviceState.FAILED, "the model gives no answer")) == 1
    assert said.index((DeviceState.FAILED, "the model gives no answer")) < said.index(
        (DeviceState.ONLINE, "looks again")
    )


async def test_a_frozen_camera_is_not_looked_at(serve: Serve) -> None:
    same = noisy(picture(width=320, height=240), 1)
    server = serve(lambda _: same)
    looks, emitted = Counting(), Emitted()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(
            watched(camera(f"http://{server.address}/v", frozen_after_s=0.3, looks_per_s=60), looks, emitted)
        )
        await emitted.until(lambda: any("frozen" in s.detail for s in emitted.of(DeviceStatus)))
        frozen = [r for r in emitted.readings if isinstance(r.body, DeviceStatus) and "frozen" in r.body.detail]
        await asyncio.sleep(0.3)
        task.cancel()
    assert all(f.at < frozen[0].at for f in looks.frames)


async def test_cancelling_stops_the_camera(serve: Serve) -> None:
    server = serve(lambda n: noisy(picture(width=320, height=240), n))
    live = camera(f"http://{server.address}/v")
    emitted = Emitted()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(watched(live, Counting(), emitted))
        await emitted.until(lambda: any(s.state is DeviceState.ONLINE for s in emitted.of(DeviceStatus)))
        task.cancel()
    assert live.stop(0)


@pytest.mark.parametrize("role", ["plate", "container"])
async def test_nothing_seen_emits_nothing(recogniser: Recogniser, tmp_path: Path, role: str) -> None:
    emitted = Emitted()
    source = clip(tmp_path / "a.avi", [noisy(picture(width=320, height=240), n) for n in range(3)])
    await watched(camera(source, role=role), recogniser, emitted)
    assert not emitted.of(PlateRead)
    assert not emitted.of(ContainerCodeRead)
