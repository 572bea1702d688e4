"""A camera: RTSP, MJPEG over HTTP, USB or a file, read by a thread of its own into one slot.

source ──► thread: open, read, back off ──► slot (newest wins, drops counted) ──► take()
                    └─► watchdog ──► changes()
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import cv2
import numpy as np

from edge_agent.domain.clock import Clock
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.frame import Frame, Image
from edge_agent.vision.watchdog import CameraChange, CameraWatchdog

RETRY_FIRST_S = 0.5
# A stream that ends sooner is not back: each opening and each end is an event in the ledger.
HOLDS_S = 5.0
CHANGES_MAX = 100  # nobody drains them: the newest matter
FILE_FPS = 25.0  # of a file that does not say
PIXELS_MAX = 50_000_000


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
            capture = self._open()
            if capture is None:
                self._lose(self._why_closed())
            else:
                frames, opened = 0, self._clock.monotonic()
                with suppress(cv2.error):  # a stream that cannot be decoded, or a picture that memory does not hold
                    try:
                        frames = self._read(capture)
                    finally:
                        capture.release()
                if self._stop.is_set():
                    return
                if frames and self.settings.is_file:
                    if self.settings.loop:
                        continue
                    self._end()
                    return
                self._lose(f"{self.settings.shown} sends no {'more pictures' if frames else 'picture'}")
                if self._clock.monotonic() - opened >= HOLDS_S:
                    pause = RETRY_FIRST_S
            self._stop.wait(pause)
            pause = min(self.settings.retry_max_s, pause * 2)

    def _why_closed(self) -> str:
        missing = self.settings.is_file and not os.path.exists(self.settings.source)
        return f"{self.settings.shown} {'does not exist' if missing else 'cannot be opened'}"

    def _open(self) -> cv2.VideoCapture | None:
        """The backend is named: trying all of them prints the address, password and all, to standard error."""
        settings = self.settings
        source: str | int = settings.source
        if settings.is_device:
            backend, parameters = cv2.CAP_V4L2, []
            source = int(settings.source) if settings.source.isdigit() else settings.source
        else:
            backend = cv2.CAP_FFMPEG
            parameters = [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(settings.open_timeout_s * 1000),
                cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(settings.silent_after_s * 2000),
            ]  # fmt: skip
        capture = cv2.VideoCapture()
        try:
            opened = capture.open(source, backend, parameters)
        except cv2.error:
            opened = False
        if not opened:
            capture.release()
            return None
        with self._lock:
            self._note(self._watchdog.connected(self._clock.monotonic()))
        return capture

    def _read(self, capture: cv2.VideoCapture) -> int:
        """Reads until the source ends, is silent for too long or the camera is stopped; counts the frames."""
        period = self._file_period(capture)
        least = 1 / self.settings.fps_max if self.settings.fps_max else 0.0
        count = 0
        next_due = self._clock.monotonic()
        last = float("-inf")
        while not self._stop.is_set():
            if not capture.grab():
                return count
            now = self._clock.monotonic()
            if period:
                next_due = max(next_due + period, now - 1.0)
                if self._stop.wait(max(0.0, next_due - now)):
                    return count
                now = self._clock.monotonic()
            count += 1
            if now - last < least * 0.95:
                continue
            ok, image = capture.retrieve()
            if not ok or image is None:
                return count
            last = now
            if image.shape[0] * image.shape[1] > PIXELS_MAX:
                return count  # not a camera for a lane; it is tried again, and the record says that it sends nothing
            self._deliver(_three_channels(np.asarray(image, dtype=np.uint8)), now)
        return count

    def _file_period(self, capture: cv2.VideoCapture) -> float:
        """Seconds between two frames of a file; 0 for a live source, which has its own pace."""
        if not self.settings.is_file:
            return 0.0
        fps = self.settings.playback_fps or capture.get(cv2.CAP_PROP_FPS)
        return 1 / fps if 0 < fps <= 1000 else 1 / FILE_FPS

    def _deliver(self, image: Image, now: float) -> None:
        with self._lock:
            frame = Frame(image, self.camera_id, now, self.delivered)
            self.delivered += 1
            self.dropped += self._slot is not None
            self._slot = frame
            self._note(self._watchdog.delivered(image, now))
        self.on_news()

    def _lose(self, why: str) -> None:
        with self._lock:
            self._note(self._watchdog.lost(why, self._clock.monotonic()))
        self.on_news()

    def _end(self) -> None:
        with self._lock:
            self._note(self._watchdog.lost(f"{self.settings.shown} was played to its end", self._clock.monotonic()))
            self._ended = True
        self.on_news()

    def _note(self, change: CameraChange | None) -> None:
        if change is not None:
            self._changes.append(change)


def _three_channels(image: Image) -> Image:
    """Blue-green-red with 8 bits, whatever the driver delivers."""
    if image.ndim == 2 or image.shape[2] == 1:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)  # type: ignore[return-value]
    if image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)  # type: ignore[return-value]
    return image
