"""Watches one camera: looks when there is presence or motion, and says what it saw and how the camera is."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import RecogniserBroken
from edge_agent.domain.observation import DeviceState, DeviceStatus, Reading
from edge_agent.vision.camera import Camera
from edge_agent.vision.faces import FaceFinder
from edge_agent.vision.frame import Frame
from edge_agent.vision.motion import MotionGate
from edge_agent.vision.recogniser import Recogniser
from edge_agent.vision.sight import Sight, region_of

TICK_S = 0.5  # how often silence is looked for
AFTER_MOTION_S = 2.0  # a vehicle that has just stopped is best read now
# Between two looks at a picture in which nothing has moved for so long: it says little new, and other cameras wait. A
# track lives on at this pace: it ends when it was not seen for a second and a half (tracks.py).
STILL_S = 0.5

log = logging.getLogger(__name__)

Emit = Callable[[Reading], Awaitable[None]]


async def watch(
    camera_id: str,
    camera: Camera,
    recogniser: Recogniser,
    faces: FaceFinder | None,
    emit: Emit,
    clock: Clock,
    presence: Callable[[], bool],
) -> None:
    """Runs until cancelled, or until a file that does not loop has been played.

    `presence()` says whether a sensor sees a vehicle. Emits PlateRead and ContainerCodeRead with the frame and the crop
    as JPEG evidence, a few for each track (tracks.py), and DeviceStatus whenever the camera's state changes or the
    recogniser could not look. A reading's `at` is when its plate or code was last seen, on `clock`. The recogniser and
    `faces` may be shared. `faces` is None only where faces need not be blurred.
    """
    news = asyncio.Event()
    loop = asyncio.get_running_loop()
    camera.on_news = lambda: _wake(loop, news)
    decoder = ""
    looker = _Looker(camera, Sight(camera.settings, recogniser, faces), emit, clock, presence)
    camera.start()
    # One thread each: a look that waits for the shared recogniser holds up nobody else's worker.
    worker = ThreadPoolExecutor(1, thread_name_prefix=f"look {camera_id}")
    try:
        while True:
            news.clear()
            ended = camera.ended
            for change in camera.changes():
                level = logging.INFO if change.state is DeviceState.ONLINE else logging.WARNING
                log.log(level, "%s is %s", camera_id, ": ".join(filter(None, (change.state, change.detail))))
                if change.state is DeviceState.ONLINE and camera.decoder != decoder:
                    decoder = camera.decoder
                    log.info("%s is decoded in %s", camera_id, decoder)
                await emit(Reading(DeviceStatus(change.state, change.detail), change.at))
            frame = camera.take()
            if frame is not None:
                await looker.consider(frame, worker)
            elif ended:
                await looker.close(worker)
                return
            else:
                await _wait(news, TICK_S)
    finally:
        camera.on_news = lambda: None
        worker.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(camera.stop)


class Pace:
    """So many looks a second on average, of a still picture two at most. Times are monotonic seconds.

    A look is due from when the last one was due, not from when it was made: late frames do not add up.
    """

    def __init__(self, looks_per_s: float) -> None:
        self._interval = 1 / looks_per_s
        self._next = float("-inf")
        self._looked = float("-inf")

    def due(self, at: float, still: bool = False) -> bool:
        return at >= self._next and not (still and at < self._looked + STILL_S)

    def looked(self, at: float) -> None:
        late = at >= self._next + self._interval
        self._next = (at if late else self._next) + self._interval
        self._looked = at


class _Looker:
    """Decides whether to look at a frame, and turns what was seen into readings."""

    def __init__(self, camera: Camera, sight: Sight, emit: Emit, clock: Clock, presence: Callable[[], bool]) -> None:
        self._camera = camera
        self._sight = sight
        self._emit = emit
        self._clock = clock
        self._presence = presence
        self._motion = MotionGate()
        self._moved_at = float("-inf")
        self._pace = Pace(camera.settings.looks_per_s)
        self._broken = ""

    async def consider(self, frame: Frame, worker: ThreadPoolExecutor) -> None:
        part = region_of(frame.image, self._camera.settings.region)
        if self._motion.moved(part):
            self._moved_at = frame.at
        still = frame.at - self._moved_at > AFTER_MOTION_S
        if still and not self._presence():
            return
        if not self._pace.due(frame.at, still) or not self._camera.well:
            return
        self._pace.looked(frame.at)
        loop = asyncio.get_running_loop()
        try:
            readings = await loop.run_in_executor(worker, self._sight.look, frame)
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

    async def close(self, worker: ThreadPoolExecutor) -> None:
        """No frame follows."""
        for reading in await asyncio.get_running_loop().run_in_executor(worker, self._sight.close):
            await self._emit(reading)


def _wake(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(news.set)


async def _wait(news: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return
