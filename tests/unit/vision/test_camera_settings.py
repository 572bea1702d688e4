import pytest
from pydantic import ValidationError

from edge_agent.vision.camera_settings import CameraSettings

SECRET = "pa55w0rd"


@pytest.mark.parametrize(
    ("source", "device", "file"),
    [
        ("rtsp://10.0.0.5:554/stream1", False, False),
        ("http://camera.lane/mjpeg", False, False),
        ("0", True, False),
        ("/dev/video2", True, False),
        ("clips/lane.mp4", False, True),
    ],
)
def test_kind_of_source(source: str, device: bool, file: bool) -> None:
    settings = CameraSettings(source=source)
    assert (settings.is_device, settings.is_file) == (device, file)


@pytest.mark.parametrize(
    "source",
    [
        f"rtsp://admin:{SECRET}@10.0.0.5:554/stream1",
        f"rtsp://admin:{SECRET}@/stream1",
        f"rtsp://admin:x/{SECRET}@10.0.0.5/stream1",
        f"rtsp://admin:x@{SECRET}@10.0.0.5/stream1",
        f"http://10.0.0.5/cgi?user=admin&password={SECRET}",
        f"http://admin:{SECRET}@10.0.0.5:port/x",
        f"http://[broken:{SECRET}@10.0.0.5/x",
    ],
)
def test_a_password_is_never_shown(source: str) -> None:
    settings = CameraSettings.model_construct(source=source)
    assert SECRET not in settings.shown
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


@pytest.mark.parametrize("host", [f"a:x/{SECRET}@10.0.0.5", f"a:{SECRET}@10.0.0.5:port", f"[broken:{SECRET}@b"])
def test_an_address_without_a_port_where_one_stands(host: str) -> None:
    with pytest.raises(ValidationError, match="in a password / is written %2F") as error:
        CameraSettings(source=f"rtsp://{host}/stream")
    assert SECRET not in str(error.value)


def test_a_password_is_not_in_the_error_either() -> None:
    with pytest.raises(ValidationError) as error:
        CameraSettings.model_validate({"source": [f"rtsp://a:{SECRET}@b/"], "fps": 3, "role": SECRET})
    assert SECRET not in str(error.value)
    assert {e["loc"][0] for e in error.value.errors()} == {"source", "fps", "role"}


def test_host_and_path_are_shown() -> None:
    assert CameraSettings(source="rtsp://u:p@10.0.0.5:554/a/b?c=d").shown == "rtsp://10.0.0.5:554/a/b"
    assert CameraSettings(source="clips/lane.mp4").shown == "clips/lane.mp4"
