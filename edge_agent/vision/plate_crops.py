"""The crops of a plate that the reader gets: the whole plate, and others where that one could not be read surely."""

import cv2
import numpy as np

from edge_agent.vision.frame import Image
from edge_agent.vision.plate_code_finder import moved_out
from edge_agent.vision.plate_code_reader import HEIGHT, PLATE_WIDTH, straightened
from edge_agent.vision.plate_outliner import common_area
from edge_agent.vision.text_finder import Quad, TextRegion

# What a doubtful plate is read again in, as its outline (plate_outliner.py) says where it stands: as it is, and a
# little tighter; as the finder saw it, with less at its ends, and in photos as the upright box around it; one of
# such a shape also as two rows. Margins are in its heights, at its ends, then above and under it (ADR 0047).
OUTLINED_AGAIN = (-0.05, -0.05)
SEEN_AGAIN = (-0.14, 0.0)
UPRIGHT_IN = -0.08  # of its height, how far the upright box around a plate is drawn in
TWO_ROWS_ASPECT = 1.7  # width by height
WHOLE = 0.7  # of an outline, what the finder is to have seen of it; one in fifty plates is seen less


def first_crop(image: Image, region: TextRegion) -> Image:
    """The plate, as far as its corners are known."""
    return straightened(image, region.quad, PLATE_WIDTH, HEIGHT)


def crops_again(image: Image, seen: TextRegion, outline: TextRegion | None, photo: bool) -> list[Image]:
    """Further crops of a plate whose first one, as the finder saw it, could not be read surely."""
    return [*crops_of_one_row(image, seen, outline, photo), *crops_of_two_rows(image, seen, outline)]


def crops_of_one_row(image: Image, seen: TextRegion, outline: TextRegion | None, photo: bool) -> list[Image]:
    """Those that show the plate as it is."""
    quads = [_with_margins(outline or seen, OUTLINED_AGAIN), *([] if outline is None else [outline.quad])]
    if not part_alone(seen, outline):
        quads += [_with_margins(seen, SEEN_AGAIN), *([upright(seen)] if photo else [])]
    return [straightened(image, quad, PLATE_WIDTH, HEIGHT) for quad in quads]


def crops_of_two_rows(image: Image, seen: TextRegion, outline: TextRegion | None) -> list[Image]:
    """Those that show its upper and its lower half side by side, if it is as high as plates of two rows are."""
    areas = [outline] if part_alone(seen, outline) else [seen, outline]
    high = [r.quad for r in areas if r is not None and r.width < TWO_ROWS_ASPECT * r.height]
    return [rows_side_by_side(image, quad) for quad in high]


def part_alone(seen: TextRegion, outline: TextRegion | None) -> bool:
    """Whether the finder saw so little of the plate that what stands there is not the plate's text."""
    return outline is not None and common_area(seen.quad, outline.quad) < WHOLE * cv2.contourArea(outline.quad)


def _with_margins(region: TextRegion, margins: tuple[float, float]) -> Quad:
    return moved_out(region.quad, (margins[0] * region.height, margins[1] * region.height))


def upright(region: TextRegion) -> Quad:
    """The upright box around the area, drawn in: what a person marks."""
    (left, top), (right, bottom) = region.quad.min(axis=0), region.quad.max(axis=0)
    box = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)
    return moved_out(box, UPRIGHT_IN * float(bottom - top))


def rows_side_by_side(image: Image, quad: Quad) -> Image:
    """The upper and the lower half of a plate as one line."""
    left, right = (quad[0] + quad[3]) / 2, (quad[1] + quad[2]) / 2
    upper = np.array([quad[0], quad[1], right, left], dtype=np.float32)
    lower = np.array([left, right, quad[2], quad[3]], dtype=np.float32)
    halves = [straightened(image, half, PLATE_WIDTH // 2, HEIGHT) for half in (upper, lower)]
    return np.concatenate(halves, axis=1)
