"""Outlines a plate that is seen from nearby: where its corners are, better than the finder could tell from afar.

The finder sees a plate of 50 pixels in half of a photo's resolution, and its corners come out so coarse that what is
cut out begins or ends with a part of a character. Here the plate and as much again of what is around it fill a window
of one size, whatever the plate's own, in which the model marks it. Method as the finder's (plate_code_finder.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.vision.frame import Image
from edge_agent.vision.model_file import DEFAULT_THREADS, Model, open_model
from edge_agent.vision.plate_code_finder import areas
from edge_agent.vision.text_finder import Quad, TextRegion, normalised

MODEL = "plate_outliner"
WINDOW = (192, 320)  # height and width, pixels
AROUND = 2.0  # widths of a plate that the window shows
SQUARE = 1.6  # a plate higher than its width by this counts as that wide: it is to fit the window's height
MEETS = 0.15  # of what both cover together, from which an outline is that of the plate that was looked for
BATCH_MAX = 8
HIGHER_MAX = 2.0  # times as high as what was seen: an outline that is higher holds another plate, too
AT_EDGE = 6.0  # pixels of the window from its left or right edge, within which an outline may be cut off


@dataclass(frozen=True, eq=False)
class Nearby:
    """A part of a picture as the model sees it; its pixels times `scale` plus `origin` are the picture's."""

    view: Image
    scale: npt.NDArray[np.float32]
    origin: npt.NDArray[np.float32]

    def in_picture(self, quad: Quad) -> Quad:
        """Corners in the window as corners in the picture."""
        return (quad * self.scale + self.origin).astype(np.float32)

    def in_window(self, quad: Quad) -> Quad:
        """Corners in the picture as corners in the window."""
        return ((quad - self.origin) / self.scale).astype(np.float32)


def nearby(image: Image, quad: Quad, around: float = AROUND) -> Nearby:
    """What stands around a plate, `around` times as wide as it is; beyond the picture's edge its border goes on."""
    height, width = WINDOW
    low, high = quad.min(axis=0), quad.max(axis=0)
    size = np.maximum(high - low, 1.0)
    reach = around * max(float(size[0]), SQUARE * float(size[1])) / 2 * np.array([1.0, height / width])
    middle = (low + high) / 2
    limit = np.array(image.shape[1::-1])
    first = np.clip(np.floor(middle - reach), 0, limit - 1).astype(int)
    last = np.clip(np.ceil(middle + reach), first + 1, limit).astype(int)
    part = image[first[1] : last[1], first[0] : last[0]]
    # Where the part lies in the window, in whole pixels of it.
    start = np.clip(np.round((first - (middle - reach)) * width / (2 * reach[0])), 0, np.array([width, height]) - 1)
    end = np.clip(np.round((last - (middle - reach)) * width / (2 * reach[0])), start + 1, np.array([width, height]))
    (left, top), (right, bottom) = start.astype(int), end.astype(int)
    shrinks = (right - left) * (bottom - top) < part.shape[0] * part.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(part, (int(right - left), int(bottom - top)), interpolation=how)
    view = cv2.copyMakeBorder(
        resized, int(top), int(height - bottom), int(left), int(width - right), cv2.BORDER_REPLICATE
    )
    scale = (last - first) / (end - start)
    origin = (first - start * scale).astype(np.float32)
    return Nearby(view, scale.astype(np.float32), origin)  # type: ignore[arg-type]


class PlateOutliner:
    """The outlining model with its steps."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @classmethod
    def open(cls, threads: int = DEFAULT_THREADS, folder: Path | None = None) -> "PlateOutliner":
        """Raises ModelRefused if the model's file is not the stated one. `folder`: of another set of models."""
        return cls(open_model(MODEL, threads, folder))

    def outlines(self, image: Image, quads: Sequence[Quad]) -> list[TextRegion | None]:
        """For each place where the finder saw a plate, the plate as it is seen from nearby; None if none is seen.

        If the finder saw a part of it, the window shows a part, too; it is then looked at once more around that.
        """
        found = self._in_windows(image, quads)
        out = [outline for outline, _ in found]
        cut_off = [(i, outline.quad) for i, (outline, at_edge) in enumerate(found) if outline is not None and at_edge]
        wider = self._in_windows(image, [quad for _, quad in cut_off])
        for (i, _), (outline, _) in zip(cut_off, wider, strict=True):
            out[i] = outline or out[i]
        return out

    def _in_windows(self, image: Image, quads: Sequence[Quad]) -> list[tuple[TextRegion | None, bool]]:
        """The outline in the window around each area, and whether it reaches the window's edge."""
        out: list[tuple[TextRegion | None, bool]] = []
        for start in range(0, len(quads), BATCH_MAX):
            some = quads[start : start + BATCH_MAX]
            windows = [nearby(image, quad) for quad in some]
            maps = self._model.run(np.concatenate([normalised(w.view) for w in windows]))
            out += [_outlined(window, m[0], quad) for window, m, quad in zip(windows, maps, some, strict=True)]
        return out


def _outlined(window: Nearby, probability: npt.NDArray[np.float32], quad: Quad) -> tuple[TextRegion | None, bool]:
    found = areas(probability, WINDOW, *WINDOW)
    asked = window.in_window(quad)
    best = max(found, key=lambda r: common_share(r.quad, asked), default=None)
    if best is None or common_share(best.quad, asked) < MEETS:
        return None, False
    if best.height > HIGHER_MAX * TextRegion(asked, 0.0).height:
        return None, False
    across = best.quad[:, 0]
    at_edge = bool(across.min() < AT_EDGE or across.max() > WINDOW[1] - AT_EDGE)
    return TextRegion(window.in_picture(best.quad), best.score), at_edge


def common_area(a: Quad, b: Quad) -> float:
    """What two convex quadrilaterals have in common, square pixels.

    OpenCV errs now and then: less near to the origin, and never by more than the smaller one's area after this.
    """
    start = a.min(axis=0)
    common = float(cv2.intersectConvexConvex(a - start, b - start)[0])
    return min(common, cv2.contourArea(a), cv2.contourArea(b))


def common_share(a: Quad, b: Quad) -> float:
    """What two convex quadrilaterals have in common, of what they cover together."""
    common = common_area(a, b)
    together = cv2.contourArea(a) + cv2.contourArea(b) - common
    return common / together if math.isfinite(together) and together > 0 else 0.0
