"""Whole views for teaching the text finder: plates and codes where they hang, and much writing that is neither."""

from collections.abc import Callable
from typing import Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from models.rendering import vehicles
from models.rendering.containers import Face, draw_container_side
from models.rendering.drawn import Drawn, Picture, Quad, chance, pick
from models.rendering.plates import draw_plate
from models.rendering.signs import burn_in, sign
from models.rendering.surfaces import Field, Photo, Rng, paint_over
from models.rendering.vehicles import CutOut
from models.rendering.views import Hour, Lamp, as_jpeg, camera, hour, street, weather
from models.rendering.wear import Matrix, bend, moved, rectangle, tilted

T = TypeVar("T", bound=np.generic)
TextBox = tuple[Quad, Literal["plate", "code"], str]
PLATE_WIDTHS = (26.0, 400.0)  # pixels in a view
INSIDE_MIN = 0.75  # share of a box that must lie in the view for it to be shown cut
PHOTO_LEVEL_MIN = 12.0  # mean brightness below which a photo shows nothing, whatever its labels say
TRIES = 6  # places tried for a vehicle or container before it is left out
OVERWRITTEN_MAX = 0.5  # share of a box under a burnt-in line from which it is given up
CONTRAST_MIN = 2.5  # standard deviation of grey levels below which a plate or code is lost in the dark
INSIDE_CODE_MIN = 0.97  # share of a code's line that must lie in the view
CLOSE_FACES: tuple[Face, ...] = ("door", "front", "side", "panel")
CLOSE_SCALE = 360.0  # pixels per metre at most: a nearer wall is drawn so and enlarged
CLOSE_LENGTHS = (0.3, 0.93)  # of the view's width, for the code's line
CLOSE_TRIES = 30
CUT_OUT_MAX = 560  # pixels: wider vehicles are drawn so wide and enlarged


def scene(
    rng: Rng, background: Photo | None = None, size: tuple[int, int] = (640, 640), close: bool = False
) -> tuple[Picture, list[TextBox]]:
    """A view of `size` (height, width) and every plate and line of a container's code in it.

    A plate's corners are those of its sheet, a code's those of one line with a little room (a column is one line), from
    the top left as it would be read, inside the picture. The text is '' where it is unknown: real plates that
    `background` brings along. Other writing is in no box, and what the night hides neither. The picture is BGR. `close`
    puts a camera near a container's wall, so that its code is a third to nearly all of the view's width.
    """
    view = _View(rng, size)
    view.hour = hour(rng)
    real = background is not None and background.image.mean() >= PHOTO_LEVEL_MIN and chance(rng, 0.8)
    if real and background is not None:
        view.from_photo(background)
    else:
        view.image = street(rng, size[0], size[1])
    for _ in range(int(rng.integers(0, 4))):
        view.stand_sign()
    gate = chance(rng, 0.15)  # a gate's camera, a container alone before it
    if close:
        gate = True
        view.stand_close()
    elif gate or chance(rng, 0.4 if real else 0.55):
        view.stand_container(2.0 if gate else 1.0)
        if chance(rng, 0.25):
            view.stand_container(1.0)
    wanted = int(rng.integers(0, 2)) if real else int(rng.choice([0, 1, 2, 3], p=[0.1, 0.5, 0.28, 0.12]))
    for _ in range(0 if gate else wanted):
        view.stand_vehicle()
    for _ in range(int(rng.integers(0, 2))):
        view.stand_sign()
    light = weather(rng, view.image, view.lamps, view.hour) if not real or view.hour != "day" else view.image
    picture = camera(rng, light)
    boxes = [box for box in view.boxes if _visible(picture, box[0])]
    if chance(rng, 0.33):
        plain = picture.copy()
        burn_in(rng, picture)
        over = (plain != picture).any(2)
        boxes = [box for box in boxes if _window(over, box[0]).mean() < OVERWRITTEN_MAX]
    return as_jpeg(rng, picture), boxes


class _View:
    """A view while things are stood into it: nearer ones later, none across an earlier box."""

    def __init__(self, rng: Rng, size: tuple[int, int]) -> None:
        self.rng = rng
        self.height, self.width = size
        self.image: Field = np.zeros((*size, 3), np.float32)
        self.boxes: list[TextBox] = []
        self.lamps: list[Lamp] = []
        self.ambient = np.ones(3, np.float32)
        self.hour: Hour = "day"

    def from_photo(self, photo: Photo) -> None:
        """A part of the photo at some enlargement. Its plates are kept, replaced by drawn ones, or painted over."""
        rng = self.rng
        high, wide = photo.image.shape[:2]
        least = max(self.height / high, self.width / wide)
        widths = [float(q[1, 0] - q[0, 0]) for q in photo.plates]
        scale = least * float(np.exp(rng.uniform(0, 0.9)))
        middle = np.array([rng.uniform(0, wide), rng.uniform(0, high)])
        if photo.plates and chance(rng, 0.9):
            chosen = int(rng.integers(len(photo.plates)))
            middle = photo.plates[chosen].mean(0) + rng.normal(0, 0.2, 2) * np.array([self.width, self.height]) / scale
            scale = float(np.clip(np.exp(rng.normal(4.6, 0.5)) / widths[chosen], least, 3.0 * least))
        half = np.array([self.width, self.height]) / scale / 2
        low = np.clip(middle, half, np.maximum(half, np.array([wide, high]) - half)) - half
        source = photo.image.copy()
        matrix = np.array([[scale, 0, -low[0] * scale], [0, scale, -low[1] * scale], [0, 0, 1]])
        replaced: list[tuple[Quad, Picture]] = []
        for quad in photo.plates:
            seen = moved(quad, matrix)
            share = self._share_inside(seen)
            how = rng.random()
            if share >= INSIDE_MIN and seen[1, 0] - seen[0, 0] >= 14 and how < 0.55:
                self.boxes.append((self._clipped(seen), "plate", ""))
            elif share > 0:
                replaced.append((seen, _window(photo.image, quad)))
                paint_over(source, quad)
        for quad in photo.unsure:
            paint_over(source, quad)
        flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        x0, y0 = (int(v) for v in np.floor(low))
        x1, y1 = min(wide, round(low[0] + 2 * half[0])), min(high, round(low[1] + 2 * half[1]))
        part = cv2.resize(source[y0:y1, x0:x1], (self.width, self.height), interpolation=flags).astype(np.float32)
        self.image = _recoloured(rng, part)
        mean = self.image.mean((0, 1))
        self.ambient = (np.clip((0.5 * mean + 0.5 * mean.mean()) / 105, 0.15, 1.3)).astype(np.float32)
        for seen, under in replaced:
            if self._share_inside(seen) >= 0.99 and seen[1, 0] - seen[0, 0] >= 24 and chance(rng, 0.75):
                self._replace(seen, _recoloured_level(part, self.image, under))

    def _replace(self, seen: Quad, level: Field) -> None:
        """A drawn plate where a real one hung, in that one's light."""
        drawn = draw_plate(self.rng)
        aspect = drawn.image.shape[1] / drawn.image.shape[0]
        middle, wide = seen.mean(0), float(seen[1, 0] - seen[0, 0])
        if aspect < 3:
            wide *= 0.7
        corners = tilted(self.rng, wide, wide / aspect, 0.5) + middle
        gain = level / max(20.0, float(drawn.image.mean()))
        self._hang(drawn, corners.astype(np.float32), gain)

    def stand_sign(self) -> None:
        """A sign or bill somewhere."""
        rng = self.rng
        wide = float(np.exp(rng.uniform(np.log(30), np.log(0.45 * self.width))))
        cut = sign(rng, round(min(wide, 400)))
        tall = wide * cut.image.shape[0] / cut.image.shape[1]
        at = np.array([rng.uniform(0, self.width), rng.uniform(0, self.height * 0.8)])
        self._stand(cut, (tilted(rng, wide, tall, 1.0) + at).astype(np.float32))

    def stand_vehicle(self) -> None:
        """A vehicle from behind or in front with a plate, another board, or nothing in the plate's place."""
        rng = self.rng
        drawn = draw_plate(rng)
        aspect = drawn.image.shape[1] / drawn.image.shape[0]
        metres = _metres(aspect)
        draw: Callable[[Rng, int, float, float], CutOut] = pick(
            rng, (vehicles.car, vehicles.trailer, vehicles.tractor), (0.6, 0.2, 0.2)
        )
        low, high = np.log(PLATE_WIDTHS)
        top = min(float(high), float(np.log(self.width * 0.6)))
        plate_wide = float(np.exp(rng.uniform(float(low), top)))
        wide = plate_wide / metres * 2.1
        cut = draw(rng, round(np.clip(wide, 60, CUT_OUT_MAX)), aspect, metres)
        wide = plate_wide / metres * cut.metres
        for _ in range(TRIES):
            at = np.array([rng.uniform(0.1, 0.9) * self.width, rng.uniform(0.25, 0.9) * self.height])
            if self._stand_with_plate(cut, wide, at, drawn):
                break

    def _stand_with_plate(self, cut: CutOut, wide: float, at: Quad, drawn: Drawn) -> bool:
        """`at` is where the plate's middle comes to stand; whether there was room."""
        tall = wide * cut.image.shape[0] / cut.image.shape[1]
        corners = tilted(self.rng, wide, tall, 1.5 if chance(self.rng, 0.2) else 0.7)
        matrix = _onto(cut.image, corners)
        corners = (corners + at - moved(cut.plates[0], matrix).mean(0)).astype(np.float32)
        placed = self._stand(cut, corners)
        if placed is None:
            return False
        what = self.rng.random()
        if what < 0.84:
            place = moved(cut.plates[0], placed)
            place = (place - place.mean(0)) @ _turn(
                float(self.rng.normal(0, pick(self.rng, (0.015, 0.05))))
            ) + place.mean(0)
            self._hang(drawn, place.astype(np.float32), self.rng.uniform(0.6, 1.1) * self.ambient)
        elif what < 0.93:  # a dealer's board, a rally plate, a blank: no plate
            board = sign(self.rng, 160)
            self._paste(board.image * self.ambient, board.cover, moved(cut.plates[0], placed))
        return True

    def stand_container(self, near: float) -> None:
        """A container, with `near` 2 up to twice as large; under a door end stands its chassis, with a plate."""
        rng = self.rng
        scale = float(np.exp(rng.uniform(np.log(85), np.log(200 * near))))
        drawn = draw_container_side(rng, scale)
        high, wide = drawn.image.shape[:2]
        cover = np.ones((high, wide), np.float32)
        anchor = pick(rng, [line.quad.mean(0) for line in drawn.lines])
        cut = CutOut(drawn.image.astype(np.float32), cover, wide / scale, [], list(drawn.lines))
        placed = None
        for _ in range(TRIES):
            corners = tilted(rng, wide, high, 1.4)
            matrix = _onto(drawn.image, corners)
            at = np.array([rng.uniform(0.15, 0.85) * self.width, rng.uniform(0.08, 0.6) * self.height])
            corners = (corners + at - moved(anchor[None], matrix)[0]).astype(np.float32)
            placed = self._stand(cut, corners)
            if placed is not None:
                break
        if placed is None or not drawn.region.endswith("door") or not chance(rng, 0.8):
            return
        plate = draw_plate(rng)
        aspect = plate.image.shape[1] / plate.image.shape[0]
        under = vehicles.under_container(rng, min(CUT_OUT_MAX, wide), aspect, _metres(aspect))
        foot = np.array([[0, high], [wide, high], [wide, high * 1.16], [0, high * 1.16]], np.float32)
        below = self._stand(under, moved(foot, placed))
        if below is not None and chance(rng, 0.85):
            self._hang(plate, moved(under.plates[0], below), rng.uniform(0.6, 1.0) * self.ambient)

    def stand_close(self) -> None:
        """A container's wall or a panel with a code so near that it fills most of the view."""
        rng = self.rng
        face: Face = pick(rng, CLOSE_FACES, (0.3, 0.15, 0.3, 0.25))
        scale = float(rng.uniform(220, CLOSE_SCALE))
        drawn = draw_container_side(rng, scale, face)
        high, wide = drawn.image.shape[:2]
        cut = CutOut(
            drawn.image.astype(np.float32), np.ones((high, wide), np.float32), wide / scale, [], list(drawn.lines)
        )
        corners_of_lines = np.concatenate([line.quad for line in drawn.lines])
        length = float(np.ptp(max(drawn.lines, key=lambda line: len(line.text)).quad, axis=0).max())
        view = np.array([self.width, self.height])
        for _ in range(CLOSE_TRIES):
            grow = float(np.exp(rng.uniform(np.log(CLOSE_LENGTHS[0]), np.log(CLOSE_LENGTHS[1])))) * self.width / length
            corners = tilted(rng, wide * grow, high * grow, 1.2)
            seen = moved(corners_of_lines, _onto(drawn.image, corners))
            room = view - np.ptp(seen, axis=0)
            if (room < 0).any():
                continue
            shift = rng.uniform(0, 1, 2) * room - seen.min(0)
            if self._stand(cut, (corners + shift).astype(np.float32)) is not None:
                return

    def _stand(self, cut: CutOut, corners: Quad) -> Matrix | None:
        """Pastes a cut-out unless it would cut an earlier box; its homography, None if it was left out."""
        matrix = _onto(cut.image, corners)
        hidden = cv2.warpPerspective(cut.cover, matrix, (self.width, self.height)) if self.boxes else self.image[..., 0]
        kept: list[TextBox] = []
        for box in self.boxes:
            under = np.zeros(hidden.shape, np.uint8)
            cv2.fillConvexPoly(under, box[0].round().astype(np.int32), 1)
            share = float(hidden[under > 0].mean()) if under.any() else 1.0
            if 0.02 < share < 0.98:
                return None
            if share <= 0.02:
                kept.append(box)
        new: list[TextBox] = []
        for line in cut.lines:
            seen = moved(line.quad, matrix)
            share = self._share_inside(seen)
            if 0.02 < share < INSIDE_CODE_MIN:
                return None
            if share >= INSIDE_CODE_MIN:
                new.append((self._clipped(seen), "code", line.text))
        self._paste(cut.image * self.ambient, cut.cover, corners)
        self.boxes = kept + new
        span = float(np.linalg.norm(corners[1] - corners[0]))
        for x, y, red in cut.lamps:
            at = moved(np.array([[x, y]], np.float32), matrix)[0]
            self.lamps.append((float(at[0]), float(at[1]), span * 0.035, red))
        return matrix

    def _hang(self, drawn: Drawn, corners: Quad, gain: Field) -> None:
        """Pastes a plate and notes it, unless it is cut by the view's edge or stands over another box."""
        if self._share_inside(corners) < 0.99 or any(_overlap(corners, box[0]) for box in self.boxes):
            return
        image = drawn.image
        if chance(self.rng, 0.3):
            image, _ = bend(self.rng, image, [], 0.02 * image.shape[0])
        if self.hour != "day" and chance(self.rng, 0.7):  # the sheeting throws a lamp's light back
            gain = gain * self.rng.uniform(1.2, 3.0)
        lit = (image.astype(np.float32) * gain).astype(np.float32)
        self._paste(lit, np.ones(image.shape[:2], np.float32), corners)
        self.boxes.append((self._clipped(corners), "plate", drawn.text))

    def _paste(self, image: Field, cover: Field, corners: Quad) -> None:
        """Warps a picture into the view through its cover."""
        low = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(corners.max(0)).astype(int) + 2, (self.width, self.height))
        if (high - low < 1).any():
            return
        span = max(float(np.linalg.norm(corners[1] - corners[0])), float(np.linalg.norm(corners[2] - corners[3])))
        rise = max(float(np.linalg.norm(corners[3] - corners[0])), float(np.linalg.norm(corners[2] - corners[1])))
        small = max(2, min(image.shape[1], round(span))), max(2, min(image.shape[0], round(rise)))
        if small[0] < image.shape[1] or small[1] < image.shape[0]:  # averaged first: warping alone would alias
            image = cv2.resize(image, small, interpolation=cv2.INTER_AREA).astype(np.float32)
            cover = cv2.resize(cover, small, interpolation=cv2.INTER_AREA).astype(np.float32)
        target = (corners - low).astype(np.float32)
        matrix = _onto(image, target)
        size = (int(high[0] - low[0]), int(high[1] - low[1]))
        seen = cv2.warpPerspective(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        weight = cv2.warpPerspective(cover, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        window = self.image[low[1] : high[1], low[0] : high[0]]
        window += (seen - window) * weight[..., None]

    def _share_inside(self, quad: Quad) -> float:
        """How much of the quadrilateral's area lies in the view."""
        frame = rectangle(self.width, self.height)
        whole = float(cv2.contourArea(quad.astype(np.float32)))
        area, _ = cv2.intersectConvexConvex(quad.astype(np.float32), frame)
        return float(area) / max(1e-6, whole)

    def _clipped(self, quad: Quad) -> Quad:
        return np.clip(quad, 0, np.array([self.width, self.height], np.float32)).astype(np.float32)


def _visible(picture: Picture, quad: Quad) -> bool:
    """Whether anything stands out inside the quadrilateral."""
    part = _window(picture, quad).mean(2, dtype=np.float32)
    return part.size > 0 and float(cv2.blur(part, (3, 3)).std()) > CONTRAST_MIN


def _onto(image: Field | Picture, corners: Quad) -> Matrix:
    """The homography that lays a picture between four corners."""
    high, wide = image.shape[:2]
    return np.asarray(cv2.getPerspectiveTransform(rectangle(wide, high), corners), np.float64)


def _metres(aspect: float) -> float:
    """A plate's width, by its shape: one row as in Europe, Brazil's, America's, two rows."""
    return 0.52 if aspect > 4 else 0.4 if aspect > 2.6 else 0.305 if aspect > 1.7 else 0.25


def _turn(angle: float) -> Field:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)


def _overlap(a: Quad, b: Quad) -> bool:
    area, _ = cv2.intersectConvexConvex(a.astype(np.float32), b.astype(np.float32))
    return float(area) > 1


def _window(image: NDArray[T], quad: Quad) -> NDArray[T]:
    """The upright part of a picture around a quadrilateral."""
    low, high = np.maximum(quad.min(0).astype(int), 0), np.ceil(quad.max(0)).astype(int) + 1
    return image[low[1] : high[1], low[0] : high[0]]


def _recoloured(rng: Rng, image: Field) -> Field:
    """The photo in another light: some cameras' casts are strong, and these photos are all of two cameras."""
    if chance(rng, 0.7):
        mean = np.maximum(image.mean((0, 1)), 10)
        gain = np.clip(mean.mean() / mean, 0.55, 1.7)
        image = image * (1 + (gain - 1) * np.float32(rng.uniform(0.3, 1.0)))
    level = float(image.mean())
    wish = float(np.clip(np.exp(rng.normal(np.log(max(level, 30)), 0.35)), 25, 150))
    lit: Field = (image * (wish / max(5.0, level)) ** 0.8).astype(np.float32)
    return lit


def _recoloured_level(before: Field, after: Field, under: Picture) -> Field:
    """What a plate's mean colour became when the whole photo was recoloured."""
    gain = after.mean((0, 1)) / np.maximum(before.mean((0, 1)), 1)
    level: Field = (under.astype(np.float32).mean((0, 1)) * gain).astype(np.float32)
    return level
