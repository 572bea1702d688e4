"""Watches one camera: looks when there is presence or motion, and says what it saw and how the camera is."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import RecogniserBroken
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.observation import DeviceState, DeviceStatus, Reading
from edge_agent.vision.camera import Camera
from edge_agent.vision.camera_settings import Region
from edge_agent.vision.frame import Frame, Image
from edge_agent.vision.motion import MotionGate
from edge_agent.vision.recogniser import ContainerCodeSighting, PlateSighting, Recogniser, Sighting

TICK_S = 0.5  # how often silence is looked for
AFTER_MOTION_S = 2.0  # a vehicle that has just stopped is best read now
JPEG_QUALITY = 88
JPEG = "image/jpeg"

log = logging.getLogger(__name__)

Emit = Callable[[Reading], Awaitable[None]]


async def watch(
    camera_id: str,
    camera: Camera,
    recogniser: Recogniser,
    emit: Emit,
    clock: Clock,
    presence: Callable[[], bool],
) -> None:
    """Runs until cancelled, or until a file that does not loop has been played.

    `presence()` says whether a sensor sees a vehicle. Emits PlateRead and ContainerCodeRead with the frame and the crop
    as JPEG evidence, and DeviceStatus whenever the camera's state changes or the recogniser could not look. A reading's
    `at` is the frame's arrival on `clock`. The recogniser may be shared: it looks at one frame at a time.
    """
    news = asyncio.Event()
    loop = asyncio.get_running_loop()
    camera.on_news = lambda: _wake(loop, news)
    looker = _Looker(camera, recogniser, emit, clock, presence)
    camera.start()
    # One thread each: a look that waits for the shared recogniser holds up nobody else's worker.
    worker = ThreadPoolExecutor(1, thread_name_prefix=f"look {camera_id}")
    try:
        while True:
            news.clear()
            ended = camera.ended
            for change in camera.changes():
                level = logging.INFO if change.state is DeviceState.ONLINE else logging.WARNING
                log.log(level, "%s is %s: %s", camera_id, change.state, change.detail)
                await emit(Reading(DeviceStatus(change.state, change.detail), change.at))
            frame = camera.take()
            if frame is not None:
                await looker.consider(frame, worker)
            elif ended:
                return
            else:
                await _wait(news, TICK_S)
    finally:
        camera.on_news = lambda: None
        worker.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(camera.stop)


class _Looker:
    """Decides whether to look at a frame, and turns what was seen into readings."""

    def __init__(
        self, camera: Camera, recogniser: Recogniser, emit: Emit, clock: Clock, presence: Callable[[], bool]
    ) -> None:
        self._camera = camera
        self._recogniser = recogniser
        self._emit = emit
        self._clock = clock
        self._presence = presence
        self._motion = MotionGate()
        self._moved_at = float("-inf")
        self._next_look = float("-inf")
        self._broken = ""

    async def consider(self, frame: Frame, worker: ThreadPoolExecutor) -> None:
        part = region_of(frame.image, self._camera.settings.region)
        if self._motion.moved(part):
            self._moved_at = frame.at
        wanted = self._presence() or frame.at - self._moved_at <= AFTER_MOTION_S
        if not wanted or frame.at < self._next_look or not self._camera.well:
            return
        self._next_look = frame.at + 1 / self._camera.settings.looks_per_s
        loop = asyncio.get_running_loop()
        try:
            readings = await loop.run_in_executor(worker, self._look, frame)
        except RecogniserBroken as error:
            # Said once for each different fault: a broken recogniser must not look like an empty lane.
            if self._broken != error.wrong:
                self._broken = error.wrong
                await self._emit(Reading(DeviceStatus(DeviceState.FAILED, error.wrong), self._clock.monotonic()))
            return
        if self._broken:
            self._broken = ""
            await self._emit(Reading(DeviceStatus(DeviceState.ONLINE, "looks again"), self._clock.monotonic()))
        for reading in readings:
            await self._emit(reading)

    def _look(self, frame: Frame) -> list[Reading]:
        region = self._camera.settings.region
        part = region_of(frame.image, region)
        sightings = self._recogniser.look(replace(frame, image=part))
        x, y = region_origin(frame.image, region)
        return readings_of(sightings, frame, x, y, self._camera.settings.role)


def region_origin(image: Image, region: Region) -> tuple[int, int]:
    """The region's top left corner, in pixels of the picture."""
    return (
        min(round(region.x * image.shape[1]), image.shape[1] - 1),
        min(round(region.y * image.shape[0]), image.shape[0] - 1),
    )


def region_of(image: Image, region: Region) -> Image:
    """The part of the picture that the settings ask to look at; never empty."""
    x, y = region_origin(image, region)
    return image[
        y : y + max(1, round(region.h * image.shape[0])),
        x : x + max(1, round(region.w * image.shape[1])),
    ]


def readings_of(sightings: Sequence[Sighting], frame: Frame, x: int, y: int, role: str) -> list[Reading]:
    """The sightings that the camera's role asks for, in pixels of the whole frame, with the frame and crop as evidence.

    (`x`, `y`) is where the picture that was looked at begins in the frame.
    """
    wanted = [s for s in sightings if role in ("both", _role_of(s))]
    if not wanted:
        return []
    whole = Evidence(EvidenceKind.FRAME, JPEG, jpeg(frame.image))
    out = []
    for s in wanted:
        box = replace(s.read.box, x=s.read.box.x + x, y=s.read.box.y + y)
        kind = EvidenceKind.PLATE_CROP if isinstance(s, PlateSighting) else EvidenceKind.CONTAINER_CODE_CROP
        out.append(Reading(replace(s.read, box=box), frame.at, evidence=(whole, Evidence(kind, JPEG, jpeg(s.crop)))))
    return out


def jpeg(image: Image) -> bytes:
    """Raises RecogniserBroken if the picture cannot be encoded: evidence is never left out silently."""
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise RecogniserBroken(f"a picture of {image.shape} cannot be kept as JPEG")
    return data.tobytes()


def _role_of(sighting: Sighting) -> str:
    return "container" if isinstance(sighting, ContainerCodeSighting) else "plate"


def _wake(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(news.set)


async def _wait(news: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return
