"""A plate seen from nearby: which part of the picture the model gets, and where what it marks lies in the picture."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from edge_agent.domain.errors import ModelRefused
from edge_agent.vision.plate_outliner import BATCH_MAX, MEETS, WINDOW, PlateOutliner, common_share, nearby
from edge_agent.vision.text_finder import Quad
from tests.unit.vision.striped import draw, empty, models, turned


@pytest.fixture(scope="module")
def outliner(tmp_path_factory: pytest.TempPathFactory) -> PlateOutliner:
    return PlateOutliner.open(1, models(tmp_path_factory.mktemp("models")))


def box(x: float, y: float, w: float, h: float) -> Quad:
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float32)


@pytest.mark.parametrize(
    ("picture", "quad"),
    [
        ((480, 640), box(300, 200, 50, 20)),
        ((480, 640), box(2, 3, 60, 30)),  # in a corner: beyond the picture its border goes on
        ((480, 640), box(590, 460, 80, 40)),
        ((480, 640), box(-200, -100, 1200, 900)),  # larger than the picture
        ((60, 40), box(10, 10, 20, 30)),  # higher than wide
        ((3, 2), box(0, 0, 2, 3)),
        ((480, 640), box(100, 100, 0, 0)),
        ((480, 640), box(-500, -500, 50, 20)),  # not in the picture at all
    ],
)
def test_corners_come_back_from_the_window_where_they_were(picture: tuple[int, int], quad: Quad) -> None:
    window = nearby(np.zeros((*picture, 3), np.uint8), quad)
    assert window.view.shape == (*WINDOW, 3)
    assert np.allclose(window.in_picture(window.in_window(quad)), quad, atol=0.01)


@pytest.mark.parametrize("width", [30, 90, 400])
def test_a_plate_fills_half_of_the_window_whatever_its_size(width: int) -> None:
    image = empty(1280, 960)
    quad = box(300, 300, width, width / 3)
    image[300 : 300 + width // 3, 300 : 300 + width] = 255
    view = nearby(image, quad).view
    columns = np.flatnonzero((view[WINDOW[0] // 2] > 200).all(axis=1))
    assert abs(len(columns) - WINDOW[1] / 2) < 0.1 * WINDOW[1]
    assert abs(columns.mean() - WINDOW[1] / 2) < 6


def test_a_huge_area_takes_no_more_room_than_the_window() -> None:
    image = np.zeros((2000, 2000, 3), np.uint8)
    nearby(image, box(1000, 1000, 100, 50))
    tracemalloc.start()
    try:
        nearby(image, box(-9000, -9000, 19_000, 19_000))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("width", "height"), [(44, 14), (64, 32), (180, 60), (60, 48)])
@pytest.mark.parametrize(("shift", "grow"), [((0.12, -0.2), 1.0), ((-0.1, 0.1), 1.35), ((0.2, 0.0), 0.6)])
def test_a_plate_that_was_seen_coarsely_is_outlined(
    outliner: PlateOutliner, width: int, height: int, shift: tuple[float, float], grow: float
) -> None:
    image = empty()
    draw(image, "AB12C", 250, 200, width, height)
    w, h = width * grow, height * grow
    seen = box(250 + shift[0] * width + (width - w) / 2, 200 + shift[1] * height + (height - h) / 2, w, h)
    truth = box(250, 200, width, height)
    (outline,) = outliner.outlines(image, [seen])
    assert outline is not None
    assert common_share(outline.quad, truth) > max(0.8, common_share(seen, truth))


@pytest.mark.parametrize(("start", "end"), [(0, 0.25), (0.6, 1), (0.3, 0.65)])
def test_a_plate_that_was_seen_in_part_is_outlined_whole(outliner: PlateOutliner, start: float, end: float) -> None:
    image = empty()
    draw(image, "7KLM223", 200, 200, 200, 50)
    draw(image, "AB12C", 440, 320, 90, 25)  # needs one window
    part = box(200 + 200 * start, 200, 200 * (end - start), 50)
    none, *outlines = outliner.outlines(image, [box(20, 400, 60, 20), part, box(435, 322, 90, 25)])
    assert none is None
    for outline, truth in zip(outlines, (box(200, 200, 200, 50), box(440, 320, 90, 25)), strict=True):
        assert outline is not None
        assert common_share(outline.quad, truth) > 0.85


def test_a_plate_that_goes_on_beyond_the_picture_is_outlined(outliner: PlateOutliner) -> None:
    image = empty()
    draw(image, "7KLM223", 0, 200, 640, 160)  # reaches every window's edge
    (outline,) = outliner.outlines(image, [box(10, 220, 200, 120)])
    assert outline is not None


def test_a_tilted_plate_is_outlined_as_it_hangs(outliner: PlateOutliner) -> None:
    image = empty()
    draw(image, "AB12C", 240, 220, 160, 50)
    (outline,) = outliner.outlines(turned(image, 12), [box(235, 200, 170, 90)])
    assert outline is not None
    slope = np.degrees(np.arctan2(*(outline.quad[1] - outline.quad[0])[::-1]))
    assert abs(slope + 12) < 2


def test_where_none_is_seen_from_nearby_there_is_no_outline(outliner: PlateOutliner) -> None:
    image = empty()
    assert outliner.outlines(image, [box(200, 200, 60, 20)]) == [None]
    draw(image, "AB12C", 255, 235, 60, 20)  # in the window, but not what was asked for
    asked = box(200, 200, 60, 40)
    assert common_share(asked, box(255, 235, 60, 20)) < MEETS
    assert outliner.outlines(image, [asked]) == [None]
    assert outliner.outlines(image, []) == []


def test_an_outline_that_holds_what_is_above_or_below_too_is_none(outliner: PlateOutliner) -> None:
    image = empty()
    draw(image, "AB12C", 200, 200, 100, 66)
    (higher,) = outliner.outlines(image, [box(200, 200, 100, 36)])
    assert higher is not None
    assert outliner.outlines(image, [box(200, 200, 100, 28)]) == [None]


def test_many_plates_come_back_in_their_order(outliner: PlateOutliner) -> None:
    image = empty(1280, 960)
    places = [(40 + 240 * (i % 5), 60 + 250 * (i // 5)) for i in range(BATCH_MAX + 3)]
    for x, y in places:
        draw(image, "AB12C", x, y, 90, 30)
    outlines = outliner.outlines(image, [box(x + 3 * i - 15, y - 3, 90, 30) for i, (x, y) in enumerate(places)])
    for (x, y), outline in zip(places, outlines, strict=True):
        assert outline is not None
        assert np.allclose(outline.quad.mean(axis=0), (x + 45, y + 15), atol=3)


def test_what_two_areas_share() -> None:
    assert common_share(box(0, 0, 10, 10), box(0, 0, 10, 10)) == pytest.approx(1)
    assert common_share(box(0, 0, 10, 10), box(5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert common_share(box(0, 0, 10, 10), box(20, 0, 10, 10)) == 0
    assert common_share(box(0, 0, 0, 0), box(0, 0, 0, 0)) == 0


def test_nothing_has_more_in_common_with_a_part_of_it_than_that_part() -> None:
    rng = np.random.default_rng(3)
    for _ in range(3000):
        w, h = rng.uniform(5, 120, 2)
        quad = (box(0, 0, w, h) + rng.uniform(-2, 2, (4, 2))).astype(np.float32)
        half = np.stack([quad[0], (quad[0] + quad[1]) / 2, (quad[2] + quad[3]) / 2, quad[3]]).astype(np.float32)
        assert common_share(quad, half) < 0.75


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    folder = models(tmp_path)
    file = folder / "plate_outliner" / "plate_outliner.onnx"
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ModelRefused, match="plate_outliner"):
        PlateOutliner.open(1, folder)
