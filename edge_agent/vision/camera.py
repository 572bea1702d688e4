"""A camera: RTSP, MJPEG over HTTP, USB or a file, read by a thread of its own into one slot.

source ──► thread: open, read, back off ──► slot (newest wins, drops counted) ──► take()
                    └─► watchdog ──► changes()
"""

import math
import os
import threading
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import cv2

from edge_agent.domain.clock import Clock
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.frame import Frame, Image
from edge_agent.vision.streams import NotOpened, Stream, open_stream
from edge_agent.vision.watchdog import CameraChange, CameraWatchdog

RETRY_FIRST_S = 0.5
# A stream that ends sooner is not back: each opening and each end is an event in the ledger.
HOLDS_S = 5.0
CHANGES_MAX = 100  # nobody drains them: the newest matter
FILE_FPS = 25.0  # of a file that does not say
LIVE_FPS_MAX = 60.0  # of a live source, unless its settings say less: what comes sooner is not decoded
# No camera sends so many in a second, also not those that have waited: what does takes a core from the other cameras.
FLOOD = 1000


class Camera:
    """`start()` begins reading; `take()` gives the newest frame once; `changes()` what changed of its state since.

    `on_news` is called from the camera's thread after each frame and each change.
    """

    def __init__(self, camera_id: str, settings: CameraSettings, clock: Clock) -> None:
        self.camera_id = camera_id
        self.settings = settings
        self.on_news: Callable[[], None] = lambda: None
        self.delivered = 0
        self.dropped = 0
        self.decoder = ""  # what decodes the pictures, for people; '' before the first connection
        self._clock = clock
        self._watchdog = CameraWatchdog(settings)
        self._lock = threading.Lock()
        self._slot: Frame | None = None
        self._changes: deque[CameraChange] = deque(maxlen=CHANGES_MAX)
        self._stop = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"camera {camera_id}", daemon=True)

    def start(self) -> None:
        """To be called once."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Ends reading; says whether the thread has ended within the time (a hanging driver may hold it longer)."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def ended(self) -> bool:
        """A file has been played to its end, and its last frame was taken."""
        with self._lock:
            return self._ended and self._slot is None

    @property
    def well(self) -> bool:
        """Frames arrive and they are neither frozen nor dark."""
        with self._lock:
            return self._watchdog.well

    def take(self) -> Frame | None:
        """The newest frame that was not taken yet."""
        with self._lock:
            frame, self._slot = self._slot, None
            return frame

    def changes(self) -> list[CameraChange]:
        """Changes of state since the last call; notices silence, so it is to be called now and then."""
        with self._lock:
            self._note(self._watchdog.checked(self._clock.monotonic()))
            out = list(self._changes)
            self._changes.clear()
            return out

    # --- the camera's thread ----------------------------------------------------------------------------------
    def _run(self) -> None:
        pause = RETRY_FIRST_S
        while not self._stop.is_set():
            opened = self._clock.monotonic()
            fault = ""
            try:
                frames, why = self._once()
            except Exception as error:  # noqa: BLE001 - recorded: a thread that has ended would look like an empty lane
                frames, why, fault = None, "", _place(error)
            if self._stop.is_set():
                return
            if frames and self.settings.is_file:
                if self.settings.loop:
                    continue
                self._end()
                return
            self._lose(f"{self.settings.shown} {why}", fault)
            if self._clock.monotonic() - opened >= HOLDS_S and frames is not None:
                pause = RETRY_FIRST_S
            self._stop.wait(pause)
            pause = min(self.settings.retry_max_s, pause * 2)

    def _once(self) -> tuple[int | None, str]:
        """One connection: the number of frames that came, None if it did not open, and why it ended."""
        try:
            stream = open_stream(self.settings, self._stop.is_set)
        except NotOpened as error:
            return None, str(error)
        with self._lock:
            self.decoder = stream.decoder
            self._note(self._watchdog.connected(self._clock.monotonic()))
        frames = 0
        with suppress(cv2.error):  # a stream that cannot be decoded, or a picture that memory does not hold
            try:
                frames = self._read(stream)
            finally:
                stream.release()
        return frames, stream.why or f"sends no {'more pictures' if frames else 'picture'}"

    def _read(self, stream: Stream) -> int:
        """Reads until the source ends, is silent for too long or the camera is stopped; counts the frames."""
        period = self._file_period(stream)
        fps_max = self.settings.fps_max or (math.inf if self.settings.is_file else LIVE_FPS_MAX)
        least = 1 / fps_max
        count = 0
        counted_from = self._clock.monotonic(), 0
        next_due = self._clock.monotonic()
        last = float("-inf")
        while not self._stop.is_set():
            if not stream.grab():
                return count
            now = self._clock.monotonic()
            if period:
                next_due = max(next_due + period, now - 1.0)
                if self._stop.wait(max(0.0, next_due - now)):
                    return count
                now = self._clock.monotonic()
            count += 1
            if now - counted_from[0] >= 1.0:
                counted_from = now, count
            elif count - counted_from[1] > FLOOD and not period:
                stream.why = f"sends more than {FLOOD} pictures a second"
                return count
            if now - last < least * 0.95:
                continue
            image = stream.retrieve()
            if image is None:
                if stream.why:
                    return count
                continue  # one picture was broken
            last = now
            self._deliver(image, now)
        return count

    def _file_period(self, stream: Stream) -> float:
        """Seconds between two frames of a file; 0 for a live source, which has its own pace."""
        if not self.settings.is_file:
            return 0.0
        fps = self.settings.playback_fps or stream.fps
        return 1 / fps if 0 < fps <= 1000 else 1 / FILE_FPS

    def _deliver(self, image: Image, now: float) -> None:
        with self._lock:
            frame = Frame(image, self.camera_id, now, self.delivered)
            self.delivered += 1
            self.dropped += self._slot is not None
            self._slot = frame
            self._note(self._watchdog.delivered(image, now))
        self.on_news()

    def _lose(self, why: str, fault: str) -> None:
        now = self._clock.monotonic()
        with self._lock:
            if fault:
                self._note(self._watchdog.failed(f"{why}cannot be read: {fault}", now))
            else:
                self._note(self._watchdog.lost(why, now))
        self.on_news()

    def _end(self) -> None:
        with self._lock:
            self._note(self._watchdog.lost(f"{self.settings.shown} was played to its end", self._clock.monotonic()))
            self._ended = True
        self.on_news()

    def _note(self, change: CameraChange | None) -> None:
        if change is not None:
            self._changes.append(change)


def _place(error: Exception) -> str:
    """The error's kind and where it was raised; its text may hold the camera's address, password and all."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {os.path.basename(at.filename)}:{at.lineno}"
