"""The crops of a plate that the reader gets."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from edge_agent.vision.plate_code_reader import HEIGHT, PLATE_WIDTH
from edge_agent.vision.plate_crops import crops_again, first_crop, part_alone, upright
from edge_agent.vision.text_finder import Quad, TextRegion


def region(*corners: Sequence[float]) -> TextRegion:
    return TextRegion(np.array(corners, np.float32), 0.9)


def area(x: float, y: float, w: float, h: float) -> TextRegion:
    return region((x, y), (x + w, y), (x + w, y + h), (x, y + h))


def slanted() -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """A picture in which each place has colours of its own."""
    x, y = np.meshgrid(np.arange(320), np.arange(240))
    return np.stack([x // 2, y, (x + y) // 4], axis=2).astype(np.uint8)


def quad_of(crop: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]) -> Quad:
    """Where a crop of `slanted` was taken."""
    corners = crop[[0, 0, -1, -1], [0, -1, -1, 0]].astype(np.float32)
    return np.stack([corners[:, 0] * 2, corners[:, 1]], axis=1)


def test_the_upright_box_around_a_tilted_plate() -> None:
    box = upright(region((100, 60), (200, 100), (180, 150), (80, 110)))
    inside = 0.08 * 90
    assert box.min(0) == pytest.approx((80 + inside, 60 + inside), abs=0.01)
    assert box.max(0) == pytest.approx((200 - inside, 150 - inside), abs=0.01)


def test_crops_as_seen_and_as_outlined() -> None:
    image, seen, outline = slanted(), area(90, 70, 130, 50), area(100, 80, 100, 40)
    crops = crops_again(image, seen, outline, photo=True)
    assert {c.shape for c in [first_crop(image, seen), *crops]} == {(HEIGHT, PLATE_WIDTH, 3)}
    places = [quad_of(c) for c in crops]
    # Drawn in by 0.05 of 40, and as outlined; its ends drawn in by 0.14 of 50; drawn in by 0.08 of 50.
    for place, (x, y, w, h) in zip(
        places, ((102, 82, 96, 36), (100, 80, 100, 40), (97, 70, 116, 50), (94, 74, 122, 42)), strict=True
    ):
        assert np.allclose(place, area(x, y, w, h).quad, atol=3), (place, x, y, w, h)
    assert len(crops_again(image, seen, outline, photo=False)) == 3
    assert len(crops_again(image, seen, None, photo=True)) == 3


def test_of_a_plate_that_was_seen_in_part_the_outline_alone_is_read() -> None:
    image, outline = slanted(), area(100, 80, 100, 40)
    part, whole = area(100, 80, 65, 45), area(90, 74, 85, 48)
    assert part_alone(part, outline)
    assert not part_alone(whole, outline)
    assert not part_alone(part, None)
    places = [quad_of(c) for c in crops_again(image, part, outline, photo=True)]
    for place, (x, y, w, h) in zip(places, ((102, 82, 96, 36), (100, 80, 100, 40)), strict=True):
        assert np.allclose(place, area(x, y, w, h).quad, atol=3)
    assert len(crops_again(image, whole, outline, photo=True)) == 4


def test_two_rows_are_read_side_by_side_as_seen_and_as_outlined() -> None:
    image, seen, outline = slanted(), area(90, 70, 60, 50), area(95, 75, 50, 40)
    *_, of_seen, of_outline = crops_again(image, seen, outline, photo=True)
    assert np.allclose(quad_of(of_seen), [(90, 70), (150, 95), (150, 120), (90, 95)], atol=3)
    assert np.allclose(quad_of(of_outline), [(95, 75), (145, 95), (145, 115), (95, 95)], atol=3)
    assert len(crops_again(image, seen, area(95, 75, 70, 40), photo=True)) == 5
    assert cv2.absdiff(of_seen, of_outline).max() > 0
