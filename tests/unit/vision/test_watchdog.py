import numpy as np
import pytest

from edge_agent.domain.observation import DeviceState
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.frame import Image
from edge_agent.vision.watchdog import CameraChange, CameraWatchdog, is_dark

SETTINGS = CameraSettings(source="rtsp://camera/1", silent_after_s=5, frozen_after_s=30, dark_after_s=10)
RNG = np.random.default_rng(1)


def picture() -> Image:
    return RNG.integers(0, 255, (90, 160, 3), dtype=np.uint8)


def state(change: CameraChange | None) -> tuple[DeviceState, float]:
    assert change is not None
    return change.state, change.at


@pytest.fixture
def dog() -> CameraWatchdog:
    watchdog = CameraWatchdog(SETTINGS)
    assert state(watchdog.connected(0.0)) == (DeviceState.WAITING, 0.0)
    assert not watchdog.well
    assert state(watchdog.delivered(picture(), 1.0)) == (DeviceState.ONLINE, 1.0)
    assert watchdog.well
    return watchdog


def test_a_change_is_said_once(dog: CameraWatchdog) -> None:
    assert dog.delivered(picture(), 2.0) is None
    assert state(dog.lost("gone", 3.0)) == (DeviceState.OFFLINE, 3.0)
    assert dog.lost("gone", 4.0) is None


def test_silence_is_noticed_after_its_time_and_ends_with_a_frame(dog: CameraWatchdog) -> None:
    assert dog.checked(5.9) is None
    assert state(dog.checked(6.0)) == (DeviceState.WAITING, 6.0)
    assert dog.checked(7.0) is None
    assert not dog.well
    assert state(dog.delivered(picture(), 8.0)) == (DeviceState.ONLINE, 8.0)


def test_a_camera_that_is_offline_is_not_silent_too(dog: CameraWatchdog) -> None:
    dog.lost("gone", 2.0)
    assert dog.checked(100.0) is None


def test_a_camera_that_never_sends_after_connecting_is_silent() -> None:
    watchdog = CameraWatchdog(SETTINGS)
    watchdog.connected(0.0)
    assert state(watchdog.checked(5.0)) == (DeviceState.WAITING, 5.0)


def test_the_same_picture_for_too_long_is_frozen(dog: CameraWatchdog) -> None:
    same = picture()
    assert dog.delivered(same, 2.0) is None
    assert dog.delivered(same.copy(), 31.9) is None
    change = dog.delivered(same.copy(), 32.0)
    assert state(change) == (DeviceState.WAITING, 32.0)
    assert change is not None
    assert "frozen" in change.detail
    one_bit = same.copy()
    one_bit[0, 0, 0] ^= 1
    assert state(dog.delivered(one_bit, 33.0)) == (DeviceState.ONLINE, 33.0)


def test_frozen_can_be_turned_off() -> None:
    watchdog = CameraWatchdog(CameraSettings(source="a.mp4", frozen_after_s=None))
    same = picture()
    watchdog.connected(0.0)
    assert [watchdog.delivered(same, float(t)) is not None for t in (1, 50, 500)] == [True, False, False]


@pytest.mark.parametrize("tone", [0, 4, 128, 255])
def test_a_black_or_covered_picture_is_dark_after_its_time(dog: CameraWatchdog, tone: int) -> None:
    def covered(t: int) -> Image:
        image = np.full((90, 160, 3), tone, np.uint8)
        image[t % 90, 0] ^= 1  # a sensor's noise: it is not frozen
        return image

    assert all(dog.delivered(covered(t), 2.0 + t) is None for t in range(10))
    change = dog.delivered(covered(10), 12.0)
    assert state(change) == (DeviceState.WAITING, 12.0)
    assert change is not None
    assert "covered" in change.detail
    assert state(dog.delivered(picture(), 13.0)) == (DeviceState.ONLINE, 13.0)


def test_a_night_scene_with_a_lit_plate_is_not_dark() -> None:
    image = np.full((720, 1280, 3), 6, np.uint8)
    image[400:500, 500:900] = 220
    assert not is_dark(image)
