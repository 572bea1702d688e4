from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.vision.plate_code_finder import (
    AREAS_MAX,
    INSET,
    OVERLAP,
    WINDOW,
    PlateCodeFinder,
    areas,
    grown,
    moved_out,
    outline,
    windows,
)
from edge_agent.vision.text_finder import Quad, ordered
from tests.unit.vision.builders import quad
from tests.unit.vision.striped import draw, empty, models


@pytest.mark.parametrize("size", [(100.0, 25.0), (60.0, 40.0), (30.0, 30.0), (20.0, 600.0)])
def test_growing_undoes_what_was_taken_for_training(size: tuple[float, float]) -> None:
    whole = quad(50, 60, *size)
    core = moved_out(whole, -INSET * min(size))
    assert np.allclose(grown(core), whole, atol=1e-3)


def test_each_side_moves_out_by_its_distance() -> None:
    box = quad(10, 20, 100, 40)
    assert np.allclose(moved_out(box, 5.0), quad(5, 15, 110, 50), atol=1e-4)
    assert np.allclose(moved_out(box, (7.0, 2.0)), quad(3, 18, 114, 44), atol=1e-4)


def test_sides_of_a_trapezium_stay_parallel_to_what_they_were() -> None:
    corners = np.array([[10, 10], [110, 20], [110, 60], [10, 70]], np.float32)
    out = moved_out(corners, 4.0)
    before, after = corners[1] - corners[0], out[1] - out[0]
    assert abs(before[0] * after[1] - before[1] * after[0]) / np.linalg.norm(before) / np.linalg.norm(after) < 1e-4
    assert out[:, 0].min() == pytest.approx(6)


def map_of(corners: Quad, coarser: int, height: int = 384, width: int = 640) -> np.ndarray:
    """What an ideal finder says of a plate with these corners, on a map that is so many times coarser."""
    inside = INSET * float(np.linalg.norm(corners[3] - corners[0]))
    fine = np.zeros((height, width), np.float32)
    cv2.fillPoly(fine, [np.round(moved_out(corners, -inside)).astype(np.int32)], (1.0,))
    out = cv2.resize(fine, (width // coarser, height // coarser), interpolation=cv2.INTER_AREA)
    return np.asarray(out, np.float32)


@pytest.mark.parametrize("coarser", [1, 2, 4])
@pytest.mark.parametrize("angle", [0.0, 7.0, -20.0])
def test_a_plate_is_found_where_it_stands_on_maps_of_any_coarseness(coarser: int, angle: float) -> None:
    corners = ordered(cv2.boxPoints(((300.0, 200.0), (160.0, 44.0), angle)).astype(np.float32))
    (found,) = areas(map_of(corners, coarser), (384, 640), 768, 1280)
    assert np.abs(found.quad - corners * 2).max() < 2 * 7.5
    assert found.score > 0.65


def test_the_corners_of_a_plate_seen_from_the_side_are_its_own() -> None:
    corners = np.array([[200, 150], [340, 120], [340, 190], [200, 190]], np.float32)
    mask = np.zeros((384, 640), np.uint8)
    cv2.fillPoly(mask, [corners.astype(np.int32)], (1,))
    (contour,), _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = outline(contour)  # type: ignore[arg-type]
    assert found is not None
    assert np.abs(ordered(found) - corners).max() < 3


def test_specks_and_weak_areas_are_no_plates() -> None:
    probability = np.zeros((96, 160), np.float32)
    probability[10, 10] = 1.0  # a speck
    probability[40:50, 40:80] = 0.4  # weak
    assert areas(probability, (96, 160), 96, 160) == []


def test_a_plate_of_which_the_finder_is_unsure_is_not_larger() -> None:
    sure = cv2.GaussianBlur(map_of(quad(200, 150, 160, 44), 1), (0, 0), 4)
    (found,) = areas(np.asarray(sure, np.float32), (384, 640), 384, 640)
    (unsure,) = areas(np.asarray(0.75 * sure, np.float32), (384, 640), 384, 640)
    assert np.abs(found.quad - unsure.quad).max() < 1.5


def test_neighbours_that_touch_are_two() -> None:
    both = map_of(quad(100, 150, 160, 44), 1) + map_of(quad(262, 150, 160, 44), 1)
    blurred = np.asarray(cv2.GaussianBlur(both, (0, 0), 8), np.float32)
    assert len(areas(blurred / blurred.max(), (384, 640), 384, 640)) == 2


@pytest.mark.parametrize("length", [1, 32, 191, 193, 1024, 1025, 1440, 1856, 1857, 2560, 10000])
def test_windows_cover_a_side_and_overlap(length: int) -> None:
    found = windows(length)
    assert found[0][0] == 0
    assert found[-1][1] == length
    assert all(0 < end - begin <= WINDOW for begin, end in found)
    assert all(end - begin >= OVERLAP for (_, end), (begin, _) in pairwise(found))
    few = {1: length <= WINDOW, 2: length <= 2 * WINDOW - OVERLAP, 3: length <= 3 * WINDOW - 2 * OVERLAP, 12: True}
    assert len(found) == next(count for count, enough in few.items() if enough)


@pytest.mark.parametrize(("width", "height"), [(2560, 1440), (1440, 2560), (2560, 2560), (5120, 2880), (1280, 720)])
def test_what_is_looked_for_in_windows_is_found_once_and_where_it_stands(
    tmp_path: Path, width: int, height: int
) -> None:
    finder = PlateCodeFinder.open(1, models(tmp_path))
    scale = max(width, height) / 2560
    w, h = round(180 * scale), round(45 * scale)
    rows, columns = (range(0, side - part, round(part * 1.7)) for side, part in ((height, h), (width, w)))
    every = [(x, y) for y in rows for x in columns]
    for start in range(11):
        image, places = empty(width, height), every[start::11][:AREAS_MAX]
        for x, y in places:
            draw(image, "AB12C", x, y, w, h)
        found = finder.find_small(image, 2560, 2.0).plates
        assert len(found) == len(places)
        for x, y in places:
            off = min(float(np.abs(region.quad - quad(x, y, w, h)).max()) for region in found)
            assert off < 8 * scale, (x, y)


@pytest.mark.parametrize("size", [(2560, 600), (600, 2560), (5120, 600)])
def test_no_place_on_or_beside_the_edges_of_windows_loses_a_plate(tmp_path: Path, size: tuple[int, int]) -> None:
    finder, scale = PlateCodeFinder.open(1, models(tmp_path)), max(size) / 2560
    w, h = round(150 * scale), round(40 * scale)
    (first, second), *_ = pairwise(windows(2560))
    for line in (second[0], (second[0] + first[1]) / 2, first[1]):
        for off in range(-6, 7):
            image, middle = empty(*size), round(line * scale) + off
            x, y = (middle - w // 2, 200) if size[0] > size[1] else (200, middle - h // 2)
            draw(image, "AB12C", x, y, w, h)
            (found,) = finder.find_small(image, 2560, 2.0).plates
            assert np.abs(found.quad - quad(x, y, w, h)).max() < 8 * scale, (x, y)


def test_of_what_no_window_holds_no_part_is_found(tmp_path: Path) -> None:
    image = empty(2560, 1440)
    for x, y in ((650, 100), (700, 500), (1500, 900)):
        draw(image, "AB12C", x, y, 2 * OVERLAP, 120)  # over the edges of two windows: 790 and 981, 1579 and 1771
    draw(image, "7KLM223", 1100, 1250, 180, 45)
    (found,) = PlateCodeFinder.open(1, models(tmp_path)).find_small(image, 2560, 2.0).plates
    assert np.abs(found.quad - quad(1100, 1250, 180, 45)).max() < 8


def test_no_more_areas_come_out_of_windows_than_out_of_a_picture(tmp_path: Path) -> None:
    image = empty(2560, 2560)
    for n in range(2 * AREAS_MAX):
        draw(image, "AB12C", 20 + 150 * (n % 16), 20 + 150 * (n // 16), 100, 40)
    assert len(PlateCodeFinder.open(1, models(tmp_path)).find_small(image, 2560, 2.0).plates) == AREAS_MAX
