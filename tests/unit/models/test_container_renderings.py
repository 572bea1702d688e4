"""Containers, lines of their codes and whole views: the same seed draws the same; what is noted is what is drawn."""

import cv2
import numpy as np
import pytest

from edge_agent.domain.identifiers import check_digit_ok
from edge_agent.vision.text_finder import crop
from edge_agent.vision.text_reader import TextReader
from models.rendering.codes import SIZE_TYPES, code_crop, random_code
from models.rendering.containers import draw_container_side
from models.rendering.drawn import Picture, Quad, box_quad
from models.rendering.lettering import Style, column, face, row
from models.rendering.letters import missing_packages
from models.rendering.scenes import scene
from models.rendering.surfaces import Photo, paint_over

MISSING = missing_packages()
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"fonts are not installed (make system-packages): {', '.join(MISSING)}"
)


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_random_code_carries_its_own_check_digit() -> None:
    codes = [random_code(rng(i)) for i in range(300)]
    assert all(check_digit_ok(code.text) for code in codes)
    assert {code.text[3] for code in codes} == set("UJZ")
    assert all(code.size_type in SIZE_TYPES for code in codes)
    assert len({code.owner for code in codes}) > 100


@pytest.mark.parametrize("boxed", [0.0, 0.08])
def test_a_rows_ink_is_where_it_says(boxed: float) -> None:
    style = Style(face(rng(3)), box=boxed)
    painted = row("MSKU 413532 9", style, 30)
    x0, y0, x1, y1 = painted.ink(0, 10 if boxed else None)
    where = np.argwhere(painted.mask[:, : round(x1) + 2] > 128)
    assert abs(where[:, 0].min() - y0) <= 2
    assert abs(where[:, 0].max() + 1 - y1) <= 2
    assert abs(where[:, 1].min() - x0) <= 2
    assert abs(where[:, 1].max() + 1 - x1) <= 2
    assert len(painted.boxes) == 11


def test_a_column_reads_from_top_to_bottom() -> None:
    painted = column("TGHU 123456 3", Style(face(rng(1))), 24)
    tops = [box[1] for box in painted.boxes]
    assert tops == sorted(tops)
    assert len(tops) == 11
    assert painted.mask.shape[0] > 8 * painted.mask.shape[1] / 2


@pytest.mark.parametrize("face_of", ["door", "front", "side", "panel"])
def test_the_same_seed_draws_the_same_container(face_of: str) -> None:
    first, second = (draw_container_side(rng(7), 90.0, face_of) for _ in range(2))  # type: ignore[arg-type]
    assert np.array_equal(first.image, second.image)
    assert first.text == second.text
    assert not np.array_equal(first.image, draw_container_side(rng(8), 90.0, face_of).image)  # type: ignore[arg-type]


def test_a_containers_lines_say_its_code_inside_the_picture() -> None:
    layouts = set()
    for seed in range(12):
        drawn = draw_container_side(rng(1, seed), 90.0)
        assert drawn.kind == "container"
        assert check_digit_ok(drawn.text)
        high, wide = drawn.image.shape[:2]
        for line in drawn.lines:
            assert line.quad.shape == (4, 2)
            assert line.quad.min() >= 0
            assert line.quad[:, 0].max() <= wide
            assert line.quad[:, 1].max() <= high
        code = [line for line in drawn.lines if line.text not in SIZE_TYPES]
        assert "".join(line.text for line in code) == drawn.text
        layouts.add((len(code), code[0].vertical))
    assert layouts == {(1, False), (2, False), (1, True)}


@pytest.fixture(scope="module")
def reader() -> TextReader:
    return TextReader.open()


def read_text(reader: TextReader, image: Picture, quad: Quad) -> str:
    """What PP-OCR, which never saw a rendering, reads between the corners."""
    return "".join(c.character for c in reader.read([crop(image, quad)])[0].characters if c.character.isalnum())


def test_a_reader_that_knows_nothing_of_it_reads_what_the_lines_say(reader: TextReader) -> None:
    right = total = 0
    for seed in range(8):
        drawn = draw_container_side(rng(2, seed), 200.0)
        for line in drawn.lines:
            if line.vertical:
                continue
            text = read_text(reader, drawn.image, line.quad)
            total += 1
            right += text[:6] == line.text[:6]
    assert right / total >= 0.6, f"{right} of {total}"


def test_the_same_seed_gives_the_same_line_and_lines_of_every_sort_come() -> None:
    texts = []
    for seed in range(40):
        image, text = code_crop(rng(seed))
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert text.isalnum()
        assert text == text.upper()
        texts.append(text)
    again, text = code_crop(rng(5))
    assert text == texts[5]
    assert np.array_equal(again, code_crop(rng(5))[0])
    lengths = {len(text) for text in texts}
    assert {4, 7, 11} <= lengths
    assert all(check_digit_ok(text) for text in texts if len(text) == 11)


def a_photo() -> Photo:
    """A grey street with one white board that its label calls a plate."""
    image = np.full((360, 640, 3), 90, np.uint8)
    image[200:220, 300:400] = 255
    return Photo(image, (box_quad(300, 200, 400, 220),))


def test_a_crop_takes_a_photo_of_any_size_as_its_wall() -> None:
    for size in ((20, 30), (300, 500)):
        image, text = code_crop(rng(4), np.full((*size, 3), 80, np.uint8))
        assert image.size > 0
        assert text


def test_painting_over_leaves_nothing_of_a_plate() -> None:
    image = a_photo().image
    paint_over(image, a_photo().plates[0])
    assert image[200:220, 300:400].max() < 140


def test_a_black_photo_is_no_background() -> None:
    black = Photo(np.zeros((360, 640, 3), np.uint8), (box_quad(300, 200, 400, 220),))
    for seed in range(3):
        _, boxes = scene(rng(5, seed), black, (128, 128))
        assert all(text for _, _, text in boxes)


def test_it_reads_what_a_views_boxes_say(reader: TextReader) -> None:
    right = total = 0
    for seed in range(7):
        image, boxes = scene(rng(6, seed), None, (400, 480))
        for quad, _, text in boxes:
            if np.linalg.norm(quad[1] - quad[0]) >= 60:
                read = read_text(reader, image, quad)
                total += 1
                right += text[:3] in read or text[-3:] in read
    assert total >= 3
    assert right / total >= 0.6, f"{right} of {total}"


def test_near_a_container_a_code_takes_most_of_the_view_and_can_be_read(reader: TextReader) -> None:
    lengths, right, total = [], 0, 0
    for seed in range(6):
        image, boxes = scene(rng(7, seed), None, (480, 480), close=True)
        codes = [(quad, text) for quad, kind, text in boxes if kind == "code"]
        lengths += [max(float(np.ptp(quad, axis=0).max()) for quad, _ in codes) / 480] if codes else []
        for quad, text in codes:
            if np.linalg.norm(quad[1] - quad[0]) >= 90:
                total += 1
                right += text[:3] in read_text(reader, image, quad)
    assert len(lengths) >= 5
    assert min(lengths) > 0.25
    assert max(lengths) > 0.6
    assert right / total >= 0.6, f"{right} of {total}"


@pytest.mark.parametrize("photo", [None, a_photo()])
def test_a_view_is_the_same_for_a_seed_and_its_boxes_lie_inside(photo: Photo | None) -> None:
    kinds = set()
    for seed in range(3):
        image, boxes = scene(rng(3, seed), photo, (320, 384))
        assert image.shape == (320, 384, 3)
        assert image.dtype == np.uint8
        for quad, kind, text in boxes:
            assert quad.shape == (4, 2)
            assert quad.min() >= 0
            assert quad[:, 0].max() <= 384
            assert quad[:, 1].max() <= 320
            assert cv2.contourArea(quad) > 20
            assert text or photo is not None
            kinds.add(kind)
    again = scene(rng(3, 2), photo, (320, 384))
    assert np.array_equal(image, again[0])
    assert "plate" in kinds
