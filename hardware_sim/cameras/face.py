"""The front or the rear of a truck, drawn once and seen in perspective ever after.

It is warped coarsely, at half the frame's size, as the rest of the picture; what somebody wants to read (plate, code,
seal) is warped again in full on top. That is half of what warping everything in full would cost.
"""

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from hardware_sim.cameras.geometry import NEAREST_M, Matrix, Pinhole, Plane

# left, top, right, bottom; metres from a face's upper left corner.
Place = tuple[float, float, float, float]
_LEVELS = 3
# Details are drawn with so much of what is around them, for the smear at their edges.
_MARGIN_M = 0.02
_RIM_M = 0.005  # outside a picture there is nothing to be mixed in at its edge
# A smear shorter than this, in pixels, is not seen.
_LEAST_SMEAR = 0.5


@dataclass(frozen=True, slots=True)
class _Picture:
    """A flat picture of so many pixels a metre, and halved again and again, so that far away it does not flicker."""

    levels: tuple[tuple[Image.Image, float], ...]
    place: Place

    @classmethod
    def of(cls, image: Image.Image, px_per_m: float, place: Place) -> "_Picture":
        levels = [(image, px_per_m)]
        while len(levels) < _LEVELS:
            levels.append((levels[-1][0].reduce(2), levels[-1][1] / 2))
        return cls(tuple(levels), place)

    def level(self, px_per_m: float) -> tuple[Image.Image, float]:
        return next((of for of in reversed(self.levels) if of[1] >= px_per_m * 0.8), self.levels[0])


@dataclass(frozen=True, slots=True)
class Face:
    """`width_m` by `height_m`, with the places that are seen in full."""

    whole: _Picture
    details: tuple[_Picture, ...]

    @classmethod
    def of(cls, image: Image.Image, px_per_m: float, details: list[Place]) -> "Face":
        place = (0.0, 0.0, image.width / px_per_m, image.height / px_per_m)
        pictures = []
        for detail in details:
            box = tuple(round(metres * px_per_m) for metres in detail)
            pictures.append(_Picture.of(image.crop(box), px_per_m, tuple(p / px_per_m for p in box)))  # type: ignore[arg-type]
        return cls(_Picture.of(image.reduce(2), px_per_m / 2, place), tuple(pictures))

    @property
    def image(self) -> Image.Image:
        """All of it, at half of what it was drawn at."""
        return self.whole.levels[0][0]


def paste_face(frame: Image.Image, camera: Pinhole, plane: Plane, face: Face, way: float, *, detail: bool) -> None:
    """Put a face into the frame, or with `detail` what is to be read on it. The frame's size says at which scale.
    `way`: metres along the lane that it goes while the shutter is open."""
    for picture in face.details if detail else (face.whole,):
        _paste(frame, camera, plane, picture, way, _MARGIN_M if detail else _RIM_M)


def _paste(frame: Image.Image, camera: Pinhole, plane: Plane, picture: _Picture, way: float, margin: float) -> None:
    left, top, right, bottom = picture.place
    origin = left, top
    left, top, right, bottom = left + margin, top + margin, right - margin, bottom - margin
    corners = [plane.point(s, t) for s, t in ((left, top), (right, top), (right, bottom), (left, bottom))]
    depth = camera.depth(plane.point((left + right) / 2, (top + bottom) / 2))
    if depth < NEAREST_M or min(camera.depth(c) for c in corners) < NEAREST_M:
        return
    scale = frame.width / 1280
    seen = camera.outline(corners, scale)
    us, vs = [u for u, _ in seen], [v for _, v in seen]
    smear = _smear(camera, plane.point((left + right) / 2, (top + bottom) / 2), way, scale)
    box = (
        max(0, floor(min(us) - smear[0])),
        max(0, floor(min(vs) - smear[1])),
        min(frame.width, ceil(max(us) + smear[0])),
        min(frame.height, ceil(max(vs) + smear[1])),
    )
    if box[0] >= box[2] or box[1] >= box[3]:
        return
    image, px_per_m = picture.level(camera.focal_px * scale / depth)
    to_pixels = np.diag([scale, scale, 1.0]) @ camera.of_plane(plane)
    shift = np.array([[1, 0, -box[0]], [0, 1, -box[1]], [0, 0, 1.0]])
    sprite = np.array([[1 / px_per_m, 0, origin[0]], [0, 1 / px_per_m, origin[1]], [0, 0, 1.0]])
    size = (box[2] - box[0], box[3] - box[1])
    warped = image.transform(
        size,
        Image.Transform.PERSPECTIVE,
        _coefficients(shift @ to_pixels @ sprite),
        Image.Resampling.BILINEAR,
    )
    mask = Image.new("L", (size[0] * 2, size[1] * 2), 0)  # larger, for even edges
    ImageDraw.Draw(mask).polygon([(2 * (u - box[0]), 2 * (v - box[1])) for u, v in seen], fill=255)
    mask = mask.reduce(2)
    if max(smear) >= _LEAST_SMEAR:
        blur = ImageFilter.BoxBlur((smear[0] / 2, smear[1] / 2))
        warped, mask = warped.filter(blur), mask.filter(blur)
    frame.paste(warped, box[:2], mask)


def _smear(camera: Pinhole, point: tuple[float, float, float], way: float, scale: float) -> tuple[float, float]:
    """How far a point's picture goes while the point goes `way` along the lane; pixels."""
    x, y, z = point
    (u0, v0), (u1, v1) = camera.project((x - way / 2, y, z)), camera.project((x + way / 2, y, z))
    return abs(u1 - u0) * scale, abs(v1 - v0) * scale


def _coefficients(matrix: Matrix) -> tuple[float, ...]:
    """What Pillow's PERSPECTIVE wants: from the result's pixels to the source's."""
    inverse = np.linalg.inv(matrix)
    return tuple((inverse / inverse[2, 2]).ravel()[:8].tolist())
