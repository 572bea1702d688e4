"""Reads whole plates and lines of container codes: the project's own reader, as pure steps around the model.

A plate is squeezed to 48 × 192 pixels whatever its shape; a line of a container code keeps its shape within 48 × 320
and is filled up on the right with 0, to the next multiple of 64. Both are blue-green-red in −1..1.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.domain.errors import ModelRefused
from edge_agent.vision.ctc import CLASSES, LETTERS_AND_DIGITS, LineRead, Probabilities, best_path
from edge_agent.vision.frame import Image
from edge_agent.vision.model_file import DEFAULT_THREADS, Model, open_model
from edge_agent.vision.text_finder import Quad

MODEL = "plate_code_reader"
HEIGHT, PLATE_WIDTH, LINE_WIDTH = 48, 192, 320
LINE_WIDTH_MIN = 16
# The reader was taught lines filled up to LINE_WIDTH, and what is empty takes as long. Of 400 drawn lines 374 are read
# right either way; four are read otherwise.
LINE_WIDTH_STEP = 64
SHRINK_MAX = 4  # a crop is taken at most so many times larger than it is read: it holds no more that could be seen
BATCH_MAX = 16  # plates or lines at once; more bring no speed


class PlateCodeReader:
    """The recognition model with its steps."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @classmethod
    def open(cls, threads: int = DEFAULT_THREADS, folder: Path | None = None) -> "PlateCodeReader":
        """Raises ModelRefused if the model's file is not the stated one. `folder`: of another set of models."""
        model = open_model(MODEL, threads, folder)
        if "".join(model.alphabet) != LETTERS_AND_DIGITS:
            raise ModelRefused(f"model {MODEL} reads {''.join(model.alphabet)!r}, not 0-9 and A-Z", "restore the file")
        return cls(model)

    def read_plates(self, crops: Sequence[Image]) -> list[LineRead]:
        """What stands on each plate; crops are 48 × 192, as `straightened` makes them."""
        return [best_path(p) for p in self.plate_probabilities(crops)]

    def plate_probabilities(self, crops: Sequence[Image]) -> list[Probabilities]:
        """For each plate, 24 steps × 37 classes."""
        out: list[Probabilities] = []
        for start in range(0, len(crops), BATCH_MAX):
            out.extend(self._run(as_input(np.stack(crops[start : start + BATCH_MAX]))))
        return out

    def read_lines(self, lines: Sequence[Image]) -> list[LineRead]:
        """What each straightened line of a container code says; lines are of any size."""
        inputs = [line_input(line) for line in lines]
        out: dict[int, LineRead] = {}
        for width in sorted({batch.shape[3] for batch, _ in inputs}):
            alike = [i for i, (batch, _) in enumerate(inputs) if batch.shape[3] == width]
            for start in range(0, len(alike), BATCH_MAX):
                some = alike[start : start + BATCH_MAX]
                rows = self._run(np.concatenate([inputs[i][0] for i in some]))
                out |= {i: best_path(row, inputs[i][1]) for i, row in zip(some, rows, strict=True)}
        return [out[i] for i in range(len(lines))]

    def _run(self, batch: npt.NDArray[np.float32]) -> list[Probabilities]:
        rows = self._model.run(batch)
        if rows.shape[2] != CLASSES or rows.shape[1] < 1:
            raise ValueError(f"model {MODEL} answered with {rows.shape}, not with steps × {CLASSES}")
        return list(rows)


def as_input(crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """N × H × W × 3 of 8 bits as N × 3 × H × W in −1..1."""
    return np.ascontiguousarray(crops.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(127.5) - np.float32(1)


def line_input(line: Image) -> tuple[npt.NDArray[np.float32], float]:
    """One line as 1 × 3 × 48 × W in −1..1, filled up with 0 to a W of whole steps, and the share of W that it takes."""
    width = min(LINE_WIDTH, max(LINE_WIDTH_MIN, round(HEIGHT * line.shape[1] / max(1, line.shape[0]))))
    filled = math.ceil(width / LINE_WIDTH_STEP) * LINE_WIDTH_STEP
    batch = np.zeros((1, 3, HEIGHT, filled), dtype=np.float32)
    batch[:, :, :, :width] = as_input(resized(line, width, HEIGHT)[np.newaxis])
    return batch, width / filled


def resized(image: Image, width: int, height: int) -> Image:
    """Averaged where it becomes smaller, so that thin strokes stay."""
    shrinks = width * height < image.shape[0] * image.shape[1]
    return cv2.resize(  # type: ignore[return-value]
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def straightened(image: Image, quad: Quad, width: int, height: int) -> Image:
    """The quadrilateral of the picture as `height` × `width`; beyond the picture's edge its border goes on."""
    low = np.maximum(np.floor(quad.min(axis=0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(quad.max(axis=0)).astype(int) + 3, np.array(image.shape[1::-1]))
    low = np.minimum(low, high - 1).clip(0)
    part = image[low[1] : high[1], low[0] : high[0]]
    along = max(float(np.linalg.norm(quad[1] - quad[0])), float(np.linalg.norm(quad[2] - quad[3])))
    across = max(float(np.linalg.norm(quad[3] - quad[0])), float(np.linalg.norm(quad[2] - quad[1])))
    times = min(SHRINK_MAX, max(1, math.ceil(along / width), math.ceil(across / height)))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32) * times
    matrix = cv2.getPerspectiveTransform((quad - low).astype(np.float32), target)
    straight = cv2.warpPerspective(
        part, matrix, (width * times, height * times), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return resized(straight, width, height) if times > 1 else straight  # type: ignore[arg-type,return-value]
