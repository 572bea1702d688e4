import cv2
import numpy as np
import pytest

from edge_agent.vision.text_finder import (
    crop,
    expanded,
    finder_input,
    finder_size,
    normalised,
    ordered,
    region_score,
    text_regions,
)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (1080, 1920, (544, 960)),  # scaled down to the long side
        (1920, 1080, (960, 544)),
        (480, 640, (480, 640)),  # left as it is
        (160, 320, (320, 640)),  # a crop is enlarged so that its text is large enough
        (20, 4000, (32, 960)),  # never below one stride
        (1, 1, (320, 320)),
    ],
)
def test_size_is_a_multiple_of_the_stride(height: int, width: int, expected: tuple[int, int]) -> None:
    assert finder_size(height, width) == expected


def test_input_runs_from_minus_one_to_one_with_channels_first() -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :, 2] = 255
    batch = finder_input(image)
    assert batch.shape[:2] == (1, 3)
    assert batch.dtype == np.float32
    assert batch[0, 0].max() == pytest.approx(-1)
    assert batch[0, 2].min() == pytest.approx(1)


@pytest.mark.parametrize("shape", [(32, 32, 3), (192, 320, 3), (33, 7, 3), (1, 1, 3)])
def test_pixels_become_what_opencv_makes_of_them(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    expected = cv2.dnn.blobFromImage(image, 1 / 127.5, mean=(127.5, 127.5, 127.5))
    assert np.array_equal(normalised(image), expected)
    assert np.array_equal(normalised(image[::-1, ::-1]), expected[:, :, ::-1, ::-1])


@pytest.mark.parametrize("angle", [0, 3, -3, 12, -12, 40])
def test_corners_start_at_the_top_left_and_go_clockwise(angle: float) -> None:
    points = cv2.boxPoints(((100.0, 100.0), (80.0, 20.0), float(angle))).astype(np.float32)
    top_left, top_right, bottom_right, bottom_left = ordered(points[[2, 0, 3, 1]])
    assert top_left[0] < top_right[0]
    assert bottom_left[0] < bottom_right[0]
    assert top_left[1] < bottom_left[1]
    assert top_right[1] < bottom_right[1]


def test_a_region_grows_by_area_times_ratio_over_perimeter() -> None:
    centre, size, angle = expanded(((50.0, 50.0), (100.0, 20.0), 5.0), 1.5)
    assert centre == (50.0, 50.0)
    assert angle == 5.0
    grow = 100 * 20 * 1.5 / 240
    assert size == pytest.approx((100 + 2 * grow, 20 + 2 * grow))
    assert expanded(((0.0, 0.0), (0.0, 0.0), 0.0), 1.5)[1] == (0.0, 0.0)


def test_regions_come_in_the_pictures_pixels_surest_first() -> None:
    probability = np.zeros((100, 200), np.float32)
    probability[20:30, 40:120] = 0.7
    probability[60:70, 40:120] = 0.95
    probability[80:90, 40:120] = 0.4  # above the pixel's threshold, below the region's
    probability[2:4, 2:4] = 0.99  # too small
    regions = text_regions(probability, 200, 400)
    assert len(regions) == 2
    assert regions[0].score > regions[1].score
    first = regions[0].quad
    assert first[:, 0].min() < 80 < 240 < first[:, 0].max()
    assert first[:, 1].min() < 120 < 140 < first[:, 1].max()
    assert regions[0].width == pytest.approx(160 + 2 * 2 * 80 * 10 * 1.6 / 180, rel=0.1)


def test_regions_stay_inside_the_picture() -> None:
    probability = np.ones((64, 64), np.float32)
    (region,) = text_regions(probability, 64, 64)
    assert region.quad.min() >= 0
    assert region.quad.max() <= 63


def test_an_empty_map_has_no_regions() -> None:
    assert text_regions(np.zeros((32, 32), np.float32), 100, 100) == []


def test_score_is_the_mean_inside_and_zero_outside_the_map() -> None:
    probability = np.zeros((40, 40), np.float32)
    probability[10:21, 10:31] = 0.8
    inside = [[10, 10], [30, 10], [30, 20], [10, 20]]
    assert region_score(probability, inside) == pytest.approx(0.8)
    assert region_score(probability, [[100, 100], [120, 100], [120, 110], [100, 110]]) == 0.0


def test_a_crop_straightens_a_turned_rectangle() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    corners = cv2.boxPoints(((100.0, 100.0), (120.0, 30.0), 20.0)).astype(np.float32)
    cv2.fillPoly(image, [corners.astype(np.int32)], (255, 255, 255))
    straight = crop(image, ordered(corners))
    assert abs(straight.shape[1] - 120) <= 2
    assert abs(straight.shape[0] - 30) <= 2
    assert straight.mean() > 235
