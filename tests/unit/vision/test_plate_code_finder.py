import cv2
import numpy as np
import pytest

from edge_agent.vision.plate_code_finder import INSET, areas, grown, moved_out, outline
from edge_agent.vision.text_finder import Quad, ordered
from tests.unit.vision.builders import quad


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
