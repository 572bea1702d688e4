from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.domain.errors import PictureNotWritten
from edge_agent.domain.observation import Box, ContainerCodeRead, PlateRead
from edge_agent.read_images import read_paths
from edge_agent.vision.drawing import CODE_COLOUR, DOUBT_COLOUR, PLATE_COLOUR, Drawings, drawn, label
from edge_agent.vision.frame import Image
from edge_agent.vision.plate_code import PlateCodeRecogniser
from edge_agent.vision.recogniser import ContainerCodeSighting, PlateSighting
from tests.unit.vision.striped import draw, empty, models

CROP = np.zeros((4, 4, 3), np.uint8)


def plate(text: str, box: Box, confidence: float = 0.95, suggested: str = "") -> PlateSighting:
    return PlateSighting(PlateRead(text, confidence, (), box, suggested=suggested), CROP, 1.0)


def has(image: Image, colour: tuple[int, int, int]) -> bool:
    return bool((image == colour).all(axis=2).any())


def test_a_sure_plate_a_doubtful_one_and_a_code_are_told_apart() -> None:
    image = empty()
    code = ContainerCodeSighting(ContainerCodeRead("MSKU4135329", 0.9, (), Box(50, 300, 300, 40), True, "22G1"), CROP)
    sure, doubtful = plate("7KLM223", Box(100, 100, 120, 40)), plate("AB1", Box(400, 100, 90, 30), 0.3)
    assert has(drawn(image, [sure]), PLATE_COLOUR)
    assert has(drawn(image, [doubtful]), DOUBT_COLOUR)
    assert has(drawn(image, [code]), CODE_COLOUR)
    assert not has(image, PLATE_COLOUR)


def test_the_box_stands_where_the_plate_is() -> None:
    out = drawn(np.zeros((480, 640, 3), np.uint8), [plate("7KLM223", Box(100, 200, 120, 40))])
    assert not has(out[250:], PLATE_COLOUR)
    assert (out[200:241, 100] == PLATE_COLOUR).all()
    assert (out[200:241, 220] == PLATE_COLOUR).all()


def test_labels_say_what_was_read_and_what_would_be_usual() -> None:
    assert label(plate("8BC1234", Box(0, 0, 1, 1), 0.93)) == "8BC1234 93%"
    assert label(plate("8BC1234", Box(0, 0, 1, 1), 0.93, "BBC1234")) == "8BC1234 93% (BBC1234?)"
    code = ContainerCodeRead("MSKU4135329", 0.9, (), Box(0, 0, 1, 1), True, "22G1")
    assert label(ContainerCodeSighting(code, CROP)) == "MSKU4135329 90% check ok 22G1"


@pytest.mark.parametrize("box", [Box(0, 0, 640, 480), Box(630, 0, 10, 10), Box(0, 470, 5, 10)])
def test_boxes_at_the_edge_can_be_drawn(box: Box) -> None:
    assert drawn(empty(), [plate("ABCDEFGHI", box)]).shape == (480, 640, 3)


def test_read_writes_a_picture_for_each_photo(tmp_path: Path) -> None:
    recogniser = PlateCodeRecogniser.open(1, folder=models(tmp_path / "models"))
    image = empty()
    draw(image, "7KLM223", 200, 250, 192, 48)
    for place in ("a", "b"):
        (tmp_path / "photos" / place).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "photos" / place / "one.png"), image)
    answers = list(read_paths([tmp_path / "photos"], recogniser, Drawings(tmp_path / "drawn", None)))
    assert [a["plates"][0]["text"] for a in answers] == ["7KLM223"] * 2
    assert sorted(p.name for p in (tmp_path / "drawn").iterdir()) == ["one-2.jpg", "one.jpg"]
    written = cv2.imread(str(tmp_path / "drawn" / "one.jpg"))
    assert written is not None
    assert np.abs(written.astype(int) - image).max() > 100


def test_a_video_is_drawn_frame_by_frame(tmp_path: Path) -> None:
    recogniser = PlateCodeRecogniser.open(1, folder=models(tmp_path / "models"))
    seen, unseen = empty(), empty()
    draw(seen, "7KLM223", 200, 250, 192, 48)
    writer = cv2.VideoWriter(str(tmp_path / "clip.mkv"), cv2.VideoWriter.fourcc(*"FFV1"), 10, (640, 480))
    for image in (seen, seen, unseen, seen, seen):  # every second frame is looked at
        writer.write(image)
    writer.release()
    (answer,) = read_paths([tmp_path / "clip.mkv"], recogniser, Drawings(tmp_path / "drawn", None))
    assert answer["frames"] == 3
    assert sorted(p.name for p in (tmp_path / "drawn").iterdir()) == ["clip-000000.jpg", "clip-000004.jpg"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PictureNotWritten, match=r"file/photo\.jpg cannot be written"):
        Drawings(tmp_path / "file", None).write(Path("photo.png"), empty(), [])
