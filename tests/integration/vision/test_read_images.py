"""`read_paths` on files of every kind, good and bad."""

import json
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from edge_agent.cli import main
from edge_agent.domain.observation import Box, CharacterRead, PlateRead
from edge_agent.read_images import as_text, failed, of_clip, read_paths
from edge_agent.vision import faces as faces_module
from edge_agent.vision.drawing import Drawings
from edge_agent.vision.faces import FaceFinder
from edge_agent.vision.frame import Image
from edge_agent.vision.recogniser import Recogniser
from edge_agent.vision.recognisers import open_recogniser
from edge_agent.vision.tracks import Report
from tests.integration.vision.rendering import noisy, picture, plate
from tests.integration.vision.test_camera_preview import FACE
from tests.integration.vision.test_faces import detail

PLATE = "7KLM 223"


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return open_recogniser()


def pillow(image: Image) -> Pillow.Image:
    return Pillow.fromarray(image[:, :, ::-1])


def encoded(image: Image, suffix: str) -> bytes:
    ok, data = cv2.imencode(suffix, image)
    assert ok
    return data.tobytes()


def answer(path: Path, recogniser: Recogniser) -> dict[str, object]:
    (only,) = read_paths([path], recogniser)
    return only


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm"])
def test_every_format_is_read_into_exactly_the_promised_object(
    recogniser: Recogniser, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(encoded(plate(PLATE), suffix))
    (read,) = read_paths([path], recogniser)
    assert set(read) == {"path", "plates", "containers"}
    assert read["path"] == str(path)
    assert not failed(read)
    first = read["plates"][0]
    assert set(first) == {"text", "suggested", "confidence", "box"}
    assert first["text"] == "7KLM223"
    assert 0 < first["confidence"] <= 1
    assert [type(v) for v in first["box"]] == [int] * 4


def test_a_container_code_object(recogniser: Recogniser, tmp_path: Path) -> None:
    path = tmp_path / "box.png"
    path.write_bytes(encoded(picture([(100, 100, "MSKU 413532 9", 56)]), ".png"))
    (read,) = read_paths([path], recogniser)
    (code,) = read["containers"]
    assert set(code) == {"code", "check_digit_ok", "size_type", "confidence", "box"}
    assert code["code"] == "MSKU4135329"
    assert code["check_digit_ok"] is True
    assert "MSKU4135329" in as_text(read)


def test_unusual_but_whole_pictures_are_read(recogniser: Recogniser, tmp_path: Path) -> None:
    image = plate(PLATE)
    pillow(image).convert("CMYK").save(tmp_path / "cmyk.jpg")
    pillow(image).convert("L").save(tmp_path / "grey.png")
    pillow(image).convert("RGBA").save(tmp_path / "alpha.png")
    pillow(image).convert("P").save(tmp_path / "palette.gif")
    pillow(image).save(tmp_path / "progressive.jpg", progressive=True)
    (tmp_path / "deep.png").write_bytes(encoded((image.astype(np.uint16) * 257), ".png"))  # type: ignore[arg-type]
    turned = Pillow.Exif()
    turned[0x0112] = 6  # to be turned a quarter to the right before it is shown
    pillow(image).rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=turned)
    for read in read_paths([tmp_path], recogniser):
        assert not failed(read), read
        assert read["plates"][0]["text"] == "7KLM223", read["path"]


def huge_png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 20000, 20000, 1, 0, 0, 0, 0)  # one bit a pixel
    rows = zlib.compress(bytes((20000 // 8 + 1) * 20000), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def thumbnail_then_cut() -> bytes:
    """A JPEG whose thumbnail is whole and whose picture is not."""
    whole = encoded(plate(PLATE), ".jpg")
    thumbnail = encoded(plate(PLATE)[::8, ::8], ".jpg")
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    return whole[:2] + segment + whole[2 : len(whole) * 2 // 3]


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("empty.jpg", b"", "is empty"),
        ("text.jpg", b"this is no picture", "not a picture"),
        ("zeros.png", bytes(10_000), "not a picture"),
        ("cut.jpg", encoded(plate(PLATE), ".jpg")[:9000], "ends before"),
        ("cut-in-header.jpg", encoded(plate(PLATE), ".jpg")[:100], "ends before"),
        ("thumbnail.jpg", thumbnail_then_cut(), "ends before"),
        ("cut.png", encoded(plate(PLATE), ".png")[:-500], "ends before"),
        ("tiny.png", encoded(np.zeros((1, 1, 3), np.uint8), ".png"), "only 1 × 1 pixels"),
        ("huge.png", huge_png(), "20000 × 20000 pixels"),
        ("strip.png", encoded(np.zeros((1, 5000, 3), np.uint8), ".png"), "only 5000 × 1 pixels"),
        ("black.jpg", encoded(np.zeros((480, 640, 3), np.uint8), ".jpg"), "black all over"),
        ("saturated.png", encoded(np.full((480, 640, 3), 255, np.uint8), ".png"), "white all over"),
        ("covered.jpg", encoded(noisy(np.full((480, 640, 3), 2, np.uint8), 1), ".jpg"), "black or shows one even tone"),
        ("burnt.png", encoded(noisy(np.full((480, 640, 3), 255, np.uint8), 1), ".png"), "black or shows one even tone"),
        ("garbage.mp4", bytes(range(256)) * 40, "not a video"),
        ("empty.avi", b"", "not a video"),
    ],
)
def test_a_bad_file_is_a_named_error_and_never_an_empty_answer(
    recogniser: Recogniser, tmp_path: Path, name: str, data: bytes, why: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    read = answer(path, recogniser)
    assert set(read) == {"path", "error"}
    assert why in str(read["error"])
    assert name in str(read["error"])
    assert failed(read)
    assert "could not be read" in as_text(read)


def test_the_good_beside_the_bad_is_still_read(recogniser: Recogniser, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.JPG").write_bytes(encoded(plate(PLATE), ".jpg"))
    (tmp_path / "labels.csv").write_text("a,b")
    answers = list(read_paths([tmp_path, tmp_path / "absent.jpg"], recogniser))
    assert [failed(a) for a in answers] == [True, False, True]
    assert "does not exist" in answers[2]["error"]


def test_a_folder_without_pictures_is_an_error(recogniser: Recogniser, tmp_path: Path) -> None:
    assert "holds no picture" in str(answer(tmp_path, recogniser)["error"])


def test_nothing_there_is_said_of_a_picture_that_was_looked_at(recogniser: Recogniser, tmp_path: Path) -> None:
    lane = picture()
    lane[300:] = (90, 95, 100)  # the road
    (tmp_path / "empty-lane.png").write_bytes(encoded(noisy(lane, 1), ".png"))
    read = answer(tmp_path / "empty-lane.png", recogniser)
    assert read == {"path": str(tmp_path / "empty-lane.png"), "plates": [], "containers": []}
    assert "no plate and no container code seen" in as_text(read)


def test_a_video_gives_one_merged_answer(recogniser: Recogniser, tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (960, 540))
    for n in range(6):
        writer.write(noisy(plate(PLATE), n))
    writer.release()
    (read,) = read_paths([path], recogniser)
    assert read["frames"] == 3
    assert [(p["text"], p["looks"], p["first_s"]) for p in read["plates"]] == [("7KLM223", 3, 0.0)]
    assert "3 frames looked at" in as_text(read)


def clip(path: Path, *images: Image) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (960, 540))
    for image in images:
        writer.write(image)
    writer.release()
    return path


def test_a_video_may_begin_in_black_but_not_be_black_all_over(recogniser: Recogniser, tmp_path: Path) -> None:
    black = np.zeros((540, 960, 3), np.uint8)
    read = answer(clip(tmp_path / "a.avi", black, plate(PLATE), plate(PLATE)), recogniser)
    assert [p["text"] for p in read["plates"]] == ["7KLM223"]  # type: ignore[attr-defined]
    assert read["frames"] == 2
    dark = answer(clip(tmp_path / "b.avi", black, black), recogniser)
    assert "black" in str(dark["error"])


def test_the_command_reads_draws_and_says_what_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(plate(PLATE), ".png"))
    (tmp_path / "black.png").write_bytes(encoded(np.zeros((480, 640, 3), np.uint8), ".png"))
    paths = [str(tmp_path / "photo.png"), str(tmp_path / "black.png")]
    assert main(["read", *paths, "--json", "--draw", str(tmp_path / "drawn")]) == 1
    read, black = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert read["plates"][0]["text"] == "7KLM223"
    assert "black all over" in black["error"]
    drawn = cv2.imread(str(tmp_path / "drawn" / "photo.jpg"))
    assert drawn is not None
    assert np.abs(drawn.astype(int) - plate(PLATE)).max() > 100
    (tmp_path / "file").write_text("")
    assert main(["read", paths[0], "--draw", str(tmp_path / "file")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def portrait_beside_a_plate(portrait: Image) -> Image:
    image = plate(PLATE)
    image[:300, 700:956] = cv2.resize(portrait, (256, 300))
    return image


def test_faces_are_blurred_in_what_is_drawn_unless_they_are_to_be_kept(
    portrait: Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = portrait_beside_a_plate(portrait)
    (tmp_path / "photo.png").write_bytes(encoded(image, ".png"))
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (960, 540))
    writer.write(image)
    writer.release()
    read = ["read", str(tmp_path / "photo.png"), str(tmp_path / "clip.avi"), "--draw"]
    assert main([*read, str(tmp_path / "drawn")]) == 0
    assert main([*read, str(tmp_path / "kept"), "--keep-faces"]) == 0
    assert capsys.readouterr().out.count("7KLM223") == 4
    for name in ("photo.jpg", "clip-000000.jpg"):
        drawn, kept = (np.asarray(cv2.imread(str(tmp_path / folder / name)), np.uint8) for folder in ("drawn", "kept"))
        assert detail(kept, FACE) > detail(image, FACE) / 2
        assert detail(image, FACE) > 5 * detail(drawn, FACE)
        assert np.abs(drawn[380:430, 380:620].astype(int) - kept[380:430, 380:620]).mean() < 2  # the plate stays


def test_a_picture_that_cannot_be_searched_for_faces_is_not_drawn(
    recogniser: Recogniser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = FaceFinder.open(1)
    (tmp_path / "photo.png").write_bytes(encoded(plate(PLATE), ".png"))
    monkeypatch.setattr(faces_module, "MULTIPLE", 31)  # a size that the network refuses
    (read,) = read_paths([tmp_path / "photo.png"], recogniser, Drawings(tmp_path / "drawn", faces))
    assert set(read) == {"path", "error"}
    assert "photo.png: could not look for faces" in read["error"]
    assert not (tmp_path / "drawn").exists()


def report(text: str, votes: int, seen: int, confidence: float = 0.95, at: float = 1.0) -> Report:
    read = PlateRead(text, confidence, tuple(CharacterRead(c, confidence) for c in text), Box(1, 2, 30, 10))
    return Report(1, read, (), at, at + 1, seen, votes, ended=True)


def test_a_clip_shows_each_text_once_and_most_read_ones_first() -> None:
    assert of_clip([]) == []
    shown = of_clip([
        report("ONCE11", 1, 1, confidence=0.8),
        report("TWICE2", 3, 4, at=9.0),
        report("SURE11", 1, 1, confidence=0.95),
        report("MANY33", 7, 8),
        report("TWICE2", 5, 5, at=2.0),
    ])  # fmt: skip
    assert [(one["text"], one["looks"], one["first_s"], one["last_s"]) for one in shown] == [
        ("TWICE2", 8, 2.0, 10.0),
        ("MANY33", 7, 1.0, 2.0),
        ("SURE11", 1, 1.0, 2.0),
    ]
