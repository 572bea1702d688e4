"""Finds faces with CenterFace and makes them unrecognisable, before a picture is kept or shown.

CenterFace: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019. The network gives, in
cells of 4 × 4 pixels, the probability of a face's centre, the logarithm of its size and the centre's offset.
"""

import threading
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.domain.errors import RecogniserBroken
from edge_agent.domain.observation import Box
from edge_agent.vision.alike import overlap
from edge_agent.vision.frame import Image
from edge_agent.vision.model_file import DEFAULT_THREADS, Model, load, read_model_file
from edge_agent.vision.onnx_sizes import any_size

MODEL = "faces_centerface"
# Of ten frames with a driver behind glass, seven give a face at 768 as at 960, two at 640. Larger ones are scaled down.
LONG_SIDE = 768
PROBABILITY_MIN = 0.2  # low: a blurred bush costs nothing, a face that is kept cannot be taken back
SAME_FACE = 0.3  # overlap
CELL = 4
MULTIPLE = 32
MARGIN = 0.25  # of the face's size on each side: hair, chin and ears tell a person too
TILES = 6  # so many tones across a face remain
FACES_MAX = 64


class FaceFinder:
    """Finds faces, in one picture at a time, whichever thread asks."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._one_at_a_time = threading.Lock()

    @classmethod
    def open(cls, threads: int = DEFAULT_THREADS) -> "FaceFinder":
        """Raises ModelRefused if the model is missing or is not the stated one: no picture is kept unblurred then."""
        return cls(load(read_model_file(MODEL), threads=threads, prepare=any_size))

    def faces(self, image: Image) -> list[Box]:
        """The faces in a picture, most certain first, in its pixels. Raises RecogniserBroken if it could not look."""
        scale = min(1.0, LONG_SIDE / max(image.shape[:2]))
        height, width = (max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in image.shape[:2])
        try:
            batch = cv2.dnn.blobFromImage(image, 1.0, (width, height), (0, 0, 0), swapRB=True)
            with self._one_at_a_time:
                probability, size, offset, _ = self._model.session.run(None, {self._model.stated.input.name: batch})
        except Exception as error:
            # Whatever OpenCV or ONNX Runtime raises (they share no base class) means the same: could not look.
            raise RecogniserBroken(f"could not look for faces: {error}") from error
        found = _decoded(probability[0, 0], size[0], offset[0])
        across, down = image.shape[1] / width, image.shape[0] / height
        return [_scaled(box, across, down) for box in found]


def hide(image: Image, faces: Sequence[Box], keep: Sequence[Box] = ()) -> Image:
    """A copy of the picture with these faces blurred; the picture itself if there are none.

    Boxes in `keep` (the plates and codes that the picture is kept for) stay as they are, unless a face fills one.
    """
    if not faces:
        return image
    out = image.copy()
    for face in faces:
        _blur(out, face)
    for box in keep:
        if not any(_fills(face, box) for face in faces):
            out[_slices(box)] = image[_slices(box)]
    return out


def _decoded(
    probability: npt.NDArray[np.float32], size: npt.NDArray[np.float32], offset: npt.NDArray[np.float32]
) -> list[Box]:
    """Faces in pixels of the network's input; of several for one face the most certain stays."""
    rows, columns = np.nonzero(probability > PROBABILITY_MIN)
    order = np.argsort(-probability[rows, columns])[: 8 * FACES_MAX]
    out: list[Box] = []
    for row, column in zip(rows[order], columns[order], strict=True):
        height, width = np.exp(np.minimum(size[:, row, column], 8.0)) * CELL
        y = (row + offset[0, row, column] + 0.5) * CELL - height / 2
        x = (column + offset[1, row, column] + 0.5) * CELL - width / 2
        box = Box(round(float(x)), round(float(y)), max(1, round(float(width))), max(1, round(float(height))))
        if len(out) < FACES_MAX and all(overlap(box, other) < SAME_FACE for other in out):
            out.append(box)
    return out


def _scaled(box: Box, across: float, down: float) -> Box:
    return Box(round(box.x * across), round(box.y * down), max(1, round(box.w * across)), max(1, round(box.h * down)))


def _blur(image: Image, face: Box) -> None:
    """In place: an ellipse around the face becomes a few soft tones, from which no face comes back."""
    wide = Box(
        round(face.x - MARGIN * face.w), round(face.y - MARGIN * face.h),
        round(face.w * (1 + 2 * MARGIN)), round(face.h * (1 + 2 * MARGIN)),
    )  # fmt: skip
    part = image[_slices(wide)]
    if not part.size:
        return
    tones = cv2.resize(part, (TILES, TILES), interpolation=cv2.INTER_AREA)
    soft = cv2.resize(tones, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_LINEAR)
    mask = np.zeros(part.shape[:2], np.uint8)
    top, left = max(0, wide.y), max(0, wide.x)
    centre = (round(wide.x + wide.w / 2 - left), round(wide.y + wide.h / 2 - top))
    cv2.ellipse(mask, centre, (max(1, wide.w // 2), max(1, wide.h // 2)), 0, 0, 360, 255, -1)
    part[mask > 0] = soft[mask > 0]


def _slices(box: Box) -> tuple[slice, slice]:
    top, left = max(0, box.y), max(0, box.x)
    return slice(top, max(top, box.y + box.h)), slice(left, max(left, box.x + box.w))


def _fills(face: Box, box: Box) -> bool:
    """The face's centre lies in the box, and the face is half as high or higher: text does not look so."""
    x, y = face.x + face.w / 2, face.y + face.h / 2
    inside = box.x <= x <= box.x + box.w and box.y <= y <= box.y + box.h
    return inside and face.h >= box.h / 2
