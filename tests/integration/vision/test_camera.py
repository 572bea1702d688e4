"""Cameras on real streams: files written by OpenCV, MJPEG over HTTP."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.observation import DeviceState
from edge_agent.vision import streams
from edge_agent.vision.camera import Camera
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.frame import Frame, Image
from edge_agent.vision.streams import Stream
from edge_agent.vision.watchdog import CameraChange
from tests.integration.vision.conftest import MjpegServer
from tests.integration.vision.rendering import noisy, picture

DEADLINE_S = 30.0
Serve = Callable[[Callable[[int], Image | bytes | None]], MjpegServer]


def video(path: Path, frames: int, fps: float = 25.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (320, 240))
    assert writer.isOpened()
    for i in range(frames):
        writer.write(noisy(picture(width=320, height=240), i))
    writer.release()
    return path


@contextmanager
def running(camera: Camera) -> Iterator[Camera]:
    camera.start()
    try:
        yield camera
    finally:
        assert camera.stop(DEADLINE_S)


def camera(source: str, **settings: object) -> Camera:
    return Camera("north", CameraSettings.model_validate({"source": source, **settings}), SystemClock())


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


def test_a_stream_that_cannot_be_decoded_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = Camera._read, list[Stream]()

    def read(self: Camera, stream: Stream) -> int:
        calls.append(stream)
        if len(calls) == 1:
            raise cv2.error("Insufficient memory")
        return real(self, stream)

    monkeypatch.setattr(Camera, "_read", read)
    with running(camera(str(video(tmp_path / "clip.avi", 5)))) as north:
        wait_for(lambda: north.delivered == 5)
        assert DeviceState.OFFLINE in [change.state for change in north.changes()]


def test_a_fault_while_reading_is_recorded_without_its_text_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Camera._read, list[Stream]()

    def read(self: Camera, stream: Stream) -> int:
        calls.append(stream)
        if len(calls) == 1:
            raise KeyError("rtsp://admin:pa55w0rd@192.0.2.20/")
        return real(self, stream)

    monkeypatch.setattr(Camera, "_read", read)
    with running(camera(str(video(tmp_path / "clip.avi", 5)))) as north:
        wait_for(lambda: north.delivered == 5)
        (failed,) = [change for change in north.changes() if change.state is DeviceState.FAILED]
        assert failed.detail.startswith(f"{tmp_path / 'clip.avi'} cannot be read: KeyError at test_camera.py:")
        assert "pa55w0rd" not in failed.detail


def test_a_stream_that_ends_at_once_is_opened_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[float] = []

    def read(self: Camera, stream: Stream) -> int:
        opened.append(time.monotonic())
        return 3  # frames, as a live source that hangs up

    monkeypatch.setattr(Camera, "_read", read)
    monkeypatch.setattr(CameraSettings, "is_file", False)
    with running(camera(str(video(tmp_path / "clip.avi", 5)))):
        wait_for(lambda: len(opened) == 3)
    assert opened[2] - opened[1] > 1.5 * (opened[1] - opened[0])


class Log:
    """Collects a camera's changes and frames."""

    def __init__(self, of: Camera) -> None:
        self.of = of
        self.changes: list[CameraChange] = []
        self.frames: list[Frame] = []

    def has(self, state: DeviceState, detail: str = "") -> bool:
        self.changes += self.of.changes()
        frame = self.of.take()
        if frame is not None:
            self.frames.append(frame)
        return any(c.state is state and detail in c.detail for c in self.changes)

    def wait(self, state: DeviceState, detail: str = "") -> None:
        wait_for(lambda: self.has(state, detail))

    @property
    def states(self) -> list[DeviceState]:
        return [c.state for c in self.changes]


def test_a_file_is_played_to_its_end(tmp_path: Path) -> None:
    with running(camera(str(video(tmp_path / "a.avi", 12)), playback_fps=200)) as played:
        log = Log(played)
        log.wait(DeviceState.OFFLINE, "played to its end")
        wait_for(lambda: played.take() is None and played.ended)
    assert played.delivered == 12
    assert log.states == [DeviceState.WAITING, DeviceState.ONLINE, DeviceState.OFFLINE]


def test_a_hardware_decoder_that_does_not_open_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = cv2.VideoCapture

    class Driver:
        """A machine whose driver for video fails."""

        def __init__(self) -> None:
            self.real = real()

        def open(self, source: str, backend: int, parameters: list[int]) -> bool:
            return cv2.CAP_PROP_HW_ACCELERATION not in parameters and self.real.open(source, backend, parameters)

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

    monkeypatch.setattr(cv2, "VideoCapture", Driver)
    monkeypatch.setattr(streams, "_has_hardware", lambda: True)
    with running(camera(str(video(tmp_path / "a.avi", 3)), playback_fps=200)) as played:
        wait_for(lambda: played.delivered == 3)
        assert played.decoder == "software: the hardware decoder does not open"


def test_a_file_keeps_its_own_pace(tmp_path: Path) -> None:
    before = time.monotonic()
    with running(camera(str(video(tmp_path / "a.avi", 10, fps=20)))) as played:
        Log(played).wait(DeviceState.OFFLINE)
    assert time.monotonic() - before >= 0.45


def test_a_looping_file_begins_again(tmp_path: Path) -> None:
    with running(camera(str(video(tmp_path / "a.avi", 5)), playback_fps=500, loop=True)) as played:
        wait_for(lambda: played.delivered > 12)
        assert not played.ended


def test_the_newest_frame_wins_and_drops_are_counted(tmp_path: Path) -> None:
    with running(camera(str(video(tmp_path / "a.avi", 10)), playback_fps=500)) as played:
        wait_for(lambda: played.delivered == 10)
        frame = played.take()
        assert frame is not None
        assert frame.sequence == 9
        assert played.dropped == 9
        assert played.take() is None


def test_fps_max_thins_frames_out(tmp_path: Path) -> None:
    with running(camera(str(video(tmp_path / "a.avi", 40)), playback_fps=100, fps_max=10)) as played:
        Log(played).wait(DeviceState.OFFLINE)
    assert 1 <= played.delivered <= 20


def test_a_missing_file_and_one_that_is_no_video_are_offline_and_tried_again(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.mp4"
    garbage.write_bytes(os.urandom(5000))
    for path, why in ((tmp_path / "absent.mp4", "does not exist"), (garbage, "cannot be opened")):
        with running(camera(str(path), retry_max_s=0.1)) as bad:
            Log(bad).wait(DeviceState.OFFLINE, why)
            assert not bad.ended


def test_mjpeg_over_http(serve: Serve) -> None:
    server = serve(lambda n: noisy(picture([(50, 50, "LANE", 40)], 320, 240), n))
    with running(camera(f"http://{server.address}/video")) as live:
        log = Log(live)
        log.wait(DeviceState.ONLINE)
        wait_for(lambda: log.has(DeviceState.ONLINE) and len(log.frames) >= 3)
    assert log.frames[0].image.shape == (240, 320, 3)
    assert log.frames[0].camera_id == "north"
    assert log.frames[0].at < log.frames[2].at


def test_a_stream_that_ends_is_taken_up_again(serve: Serve) -> None:
    server = serve(lambda n: noisy(picture(width=320, height=240), n))
    with running(camera(f"http://{server.address}/video")) as live:
        log = Log(live)
        log.wait(DeviceState.ONLINE)
        server.cut()
        log.wait(DeviceState.OFFLINE, "sends no more pictures")
        log.changes.clear()
        log.wait(DeviceState.ONLINE)
    assert server.connections >= 2


def test_a_stream_that_stops_sending_is_silent(serve: Serve) -> None:
    server = serve(lambda n: noisy(picture(width=320, height=240), n) if n < 20 else None)
    with running(camera(f"http://{server.address}/video", silent_after_s=0.5)) as live:
        log = Log(live)
        log.wait(DeviceState.ONLINE)
        log.wait(DeviceState.WAITING, "no picture for 0.5 s")
        assert not live.well


def test_a_stream_that_repeats_one_picture_is_frozen(serve: Serve) -> None:
    same = noisy(picture(width=320, height=240), 1)
    server = serve(lambda _: same)
    with running(camera(f"http://{server.address}/video", frozen_after_s=0.3)) as live:
        log = Log(live)
        log.wait(DeviceState.WAITING, "frozen")
        assert not live.well
        server.picture = lambda n: noisy(same, n)
        log.changes.clear()
        log.wait(DeviceState.ONLINE)


def test_a_covered_camera_is_said_to_be_so(serve: Serve) -> None:
    server = serve(lambda n: np.full((240, 320, 3), 2 + n % 3, np.uint8))
    with running(camera(f"http://{server.address}/video", dark_after_s=0.3)) as live:
        Log(live).wait(DeviceState.WAITING, "black or covered")


def test_garbage_instead_of_pictures_does_not_end_the_camera(serve: Serve) -> None:
    rng = np.random.default_rng(1)
    server = serve(lambda _: rng.bytes(2000))
    with running(
        camera(f"http://{server.address}/video", open_timeout_s=2, silent_after_s=0.5, retry_max_s=0.5)
    ) as live:
        log = Log(live)
        wait_for(lambda: log.has(DeviceState.OFFLINE) or log.has(DeviceState.WAITING))
        server.picture = lambda n: noisy(picture(width=320, height=240), n)
        log.wait(DeviceState.ONLINE)


def test_cut_pictures_in_the_stream_do_not_end_the_camera(serve: Serve) -> None:
    whole = [cv2.imencode(".jpg", noisy(picture(width=320, height=240), n))[1].tobytes() for n in range(20)]
    server = serve(lambda n: whole[n % 20] if n % 3 else whole[n % 20][:900])
    with running(camera(f"http://{server.address}/video")) as live:
        wait_for(lambda: live.delivered >= 5)


@contextmanager
def standard_error() -> Iterator[Callable[[], str]]:
    """What reaches file descriptor 2, also from C libraries."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: (file.seek(0), file.read().decode(errors="replace"))[1]
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_the_password_of_an_address_appears_nowhere(
    serve: Serve, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(lambda _: None)
    server.refuse = True
    source = f"{scheme}://admin:pa55w0rd@{server.address}/stream"
    with standard_error() as said, running(camera(source, open_timeout_s=2, retry_max_s=0.1)) as bad:
        log = Log(bad)
        log.wait(DeviceState.OFFLINE, f"{scheme}://{server.address}/stream cannot be opened")
        assert "pa55w0rd" not in said() + caplog.text + repr(log.changes) + repr(bad.settings)
