"""Letters that no free font has: plate dies drawn as strokes.

A glyph is a list of centre lines in a unit box (x to the right, y down). A corner is sharp unless marked `R`, then it
is rounded with the face's radius, so one table gives narrow dies, square ones and round ones. The shapes follow what is
seen on plates: US embossing dies, the German anti-forgery lettering of 1994 (FE: open 6 and 9, serifs on 1 and I, a
narrow 0 beside a wide O, gaps in P and R), and the British and Brazilian square gothic.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.rendering.drawn import Mask

CAP = 96
"""Height of a master glyph, pixels."""
_SCALE = 2  # drawn larger, then averaged

Points = NDArray[np.float64]
R = True
Corner = tuple[float, float] | tuple[float, float, bool]
Path = list[Corner]
_RING: Path = [(0, 0, R), (1, 0, R), (1, 1, R), (0, 1, R), (0, 0, R)]

# fmt: off
GOTHIC: dict[str, list[Path]] = {
    "0": [_RING],
    "1": [[(0.05, 0.2), (0.62, 0), (0.62, 1)]],
    "2": [[(0, 0.28), (0, 0, R), (1, 0, R), (1, 0.48, R), (0, 1), (1, 1)]],
    "3": [[(0, 0.23), (0, 0, R), (0.95, 0, R), (0.95, 0.47, R), (0.35, 0.47)],
          [(0.35, 0.47), (1, 0.47, R), (1, 1, R), (0, 1, R), (0, 0.77)]],
    "4": [[(0.72, 1), (0.72, 0), (0, 0.7), (1, 0.7)]],
    "5": [[(0.93, 0), (0.06, 0), (0.03, 0.45), (0.2, 0.38), (1, 0.38, R), (1, 1, R), (0, 1, R), (0, 0.76)]],
    "6": [[(1, 0.22), (1, 0, R), (0, 0, R), (0, 1, R), (1, 1, R), (1, 0.43, R), (0.03, 0.43, R), (0.03, 0.6)]],
    "7": [[(0, 0), (1, 0), (0.36, 1)]],
    "8": [[(0.05, 0, R), (0.95, 0, R), (0.95, 0.46, R), (0.05, 0.46, R), (0.05, 0, R)],
          [(0, 0.46, R), (1, 0.46, R), (1, 1, R), (0, 1, R), (0, 0.46, R)]],
    "9": [[(0, 0.78), (0, 1, R), (1, 1, R), (1, 0, R), (0, 0, R), (0, 0.57, R), (0.97, 0.57, R), (0.97, 0.4)]],
    "A": [[(0, 1), (0.5, 0), (1, 1)], [(0.17, 0.68), (0.83, 0.68)]],
    "B": [[(0, 1), (0, 0), (0.94, 0, R), (0.94, 0.47, R), (0, 0.47)], [(0, 0.47), (1, 0.47, R), (1, 1, R), (0, 1)]],
    "C": [[(1, 0.27), (1, 0, R), (0, 0, R), (0, 1, R), (1, 1, R), (1, 0.73)]],
    "D": [[(0, 0), (1, 0, R), (1, 1, R), (0, 1), (0, 0)]],
    "E": [[(1, 0), (0, 0), (0, 1), (1, 1)], [(0, 0.47), (0.8, 0.47)]],
    "F": [[(1, 0), (0, 0), (0, 1)], [(0, 0.48), (0.8, 0.48)]],
    "G": [[(1, 0.27), (1, 0, R), (0, 0, R), (0, 1, R), (1, 1, R), (1, 0.54), (0.52, 0.54)]],
    "H": [[(0, 0), (0, 1)], [(1, 0), (1, 1)], [(0, 0.48), (1, 0.48)]],
    "I": [[(0.5, 0), (0.5, 1)]],
    "J": [[(1, 0), (1, 1, R), (0, 1, R), (0, 0.72)]],
    "K": [[(0, 0), (0, 1)], [(1, 0), (0, 0.62)], [(0.33, 0.42), (1, 1)]],
    "L": [[(0, 0), (0, 1), (1, 1)]],
    "M": [[(0, 1), (0, 0), (0.5, 0.68), (1, 0), (1, 1)]],
    "N": [[(0, 1), (0, 0), (1, 1), (1, 0)]],
    "O": [_RING],
    "P": [[(0, 1), (0, 0), (1, 0, R), (1, 0.54, R), (0, 0.54)]],
    "Q": [_RING, [(0.5, 0.7), (1, 1.0)]],
    "R": [[(0, 1), (0, 0), (1, 0, R), (1, 0.52, R), (0, 0.52)], [(0.5, 0.52), (1, 1)]],
    "S": [[(1, 0.25), (1, 0, R), (0, 0, R), (0, 0.43, R), (1, 0.53, R), (1, 1, R), (0, 1, R), (0, 0.75)]],
    "T": [[(0, 0), (1, 0)], [(0.5, 0), (0.5, 1)]],
    "U": [[(0, 0), (0, 1, R), (1, 1, R), (1, 0)]],
    "V": [[(0, 0), (0.5, 1), (1, 0)]],
    "W": [[(0, 0), (0.24, 1), (0.5, 0.3), (0.76, 1), (1, 0)]],
    "X": [[(0, 0), (1, 1)], [(1, 0), (0, 1)]],
    "Y": [[(0, 0), (0.5, 0.48), (1, 0)], [(0.5, 0.48), (0.5, 1)]],
    "Z": [[(0, 0), (1, 0), (0, 1), (1, 1)]],
}
_SERIF_1: list[Path] = [[(0.1, 0.2), (0.55, 0), (0.55, 1)], [(0.1, 1), (1, 1)]]
_SERIF_I: list[Path] = [[(0.5, 0), (0.5, 1)], [(0, 0), (1, 0)], [(0, 1), (1, 1)]]
_OPEN_6: list[Path] = [[(0.8, 0), (0.02, 0.52, R), (0.0, 1, R), (1, 1, R), (1, 0.4, R), (0.16, 0.4)]]
_OPEN_9: list[Path] = [[(0.2, 1), (0.98, 0.48, R), (1, 0, R), (0, 0, R), (0, 0.6, R), (0.84, 0.6)]]
_FORMS: dict[str, dict[str, list[Path]]] = {
    "serif-1": {"1": _SERIF_1},
    "serif-i": {"I": _SERIF_I},
    "slab-i": {"I": [[(0.5, 0), (0.5, 1)], [(0.1, 0), (0.9, 0)], [(0.1, 1), (0.9, 1)]]},
    "broad-i": {"I": _SERIF_I},
    "early-2": {"2": [[(0, 0.24), (0, 0, R), (1, 0, R), (1, 0.34, R), (0, 1), (1, 1)]]},
    "bent-2": {"2": [[(0, 0.26), (0, 0, R), (1, 0, R), (1, 0.46, R), (0, 0.6, R), (0, 1), (1, 1)]]},
    "bar-1": {"1": [[(0.5, 0), (0.5, 1)]]},
    "open": {"6": _OPEN_6, "9": _OPEN_9},
    "flat-3": {"3": [[(0, 0), (1, 0), (0.45, 0.4), (0.6, 0.4), (1, 0.42, R), (1, 1, R), (0, 1, R), (0, 0.77)]]},
    "hook-7": {"7": [[(0, 0.14), (0, 0), (1, 0), (1, 0.14), (0.36, 1)]]},
    "deep-m": {"M": [[(0, 1), (0, 0), (0.5, 1), (1, 0), (1, 1)]],
               "W": [[(0, 0), (0.24, 1), (0.5, 0), (0.76, 1), (1, 0)]]},
    "flat-a": {"A": [[(0, 1), (0.38, 0), (0.62, 0), (1, 1)], [(0.15, 0.68), (0.85, 0.68)]]},
    "round-a": {"A": [[(0, 1), (0, 0, R), (1, 0, R), (1, 1)], [(0, 0.56), (1, 0.56)]]},
    "slab-q": {"Q": [_RING, [(0.45, 0.8), (0.75, 1), (1.0, 1.0)]]},
    "short-j": {"J": [[(0.4, 0), (1, 0), (1, 1, R), (0, 1, R), (0, 0.75)]]},
    "short-q": {"Q": [_RING, [(0.62, 0.78), (0.96, 0.98)]]},
    "spur-g": {"G": [[(1, 0.27), (1, 0, R), (0, 0, R), (0, 1, R), (1, 1, R), (1, 0.55)], [(1, 0.55), (0.72, 0.55)]]},
    "bare-g": {"G": [[(1, 0.2), (1, 0, R), (0, 0, R), (0, 1, R), (1, 1, R), (1, 0.55)]]},
    "middle-4": {"4": [[(0.6, 1), (0.6, 0), (0, 0.64), (1, 0.64)]]},
    "slab-1": {"1": [[(0.02, 0.16), (0.5, 0), (0.5, 1)], [(0, 1), (1, 1)]]},
    "straight-w": {"W": [[(0, 0), (0, 1), (0.5, 0.36), (1, 1), (1, 0)]],
                   "M": [[(0, 1), (0, 0), (0.5, 0.6), (1, 0), (1, 1)]]},
    "round-4": {"4": [[(0.75, 1), (0.75, 0.35)], [(0.45, 0), (0, 0.7), (1, 0.7)]]},
    "tail-y": {"Y": [[(0, 0), (0, 0.48, R), (1, 0.48, R), (1, 0)], [(0.5, 0.48), (0.5, 1)]]},
    "slash-0": {"0": [_RING, [(0.2, 0.75), (0.8, 0.25)]]},
    "fe": {
        "0": [[(0.12, 0, R), (0.88, 0, R), (0.88, 1, R), (0.12, 1, R), (0.12, 0, R)]],
        "1": [[(0.1, 0.25), (0.55, 0), (0.55, 1)], [(0.15, 1), (0.95, 1)]],
        "4": [[(0.45, 0), (0, 0.66), (1, 0.66)], [(0.72, 0.4), (0.72, 1)]],
        "6": _OPEN_6, "9": _OPEN_9, "I": _SERIF_I,
        "7": [[(0, 0.1), (0, 0), (1, 0), (0.4, 1)]],
        "D": [[(0, 0), (0.75, 0, R), (1, 0.3, R), (1, 0.7, R), (0.75, 1, R), (0, 1), (0, 0.12)]],
        "P": [[(0, 1), (0, 0), (1, 0, R), (1, 0.56, R), (0.22, 0.56)]],
        "R": [[(0, 1), (0, 0), (1, 0, R), (1, 0.52, R), (0.25, 0.52)], [(0.45, 0.52), (1, 1)]],
        "Q": [_RING, [(0.55, 0.68), (1.05, 1.02)]],
        "W": [[(0, 0), (0.22, 1), (0.5, 0.15), (0.78, 1), (1, 0)]],
    },
}
# fmt: on
_WIDTH = {"1": 0.62, "I": 0.3, "J": 0.9, "L": 0.88, "M": 1.18, "W": 1.32, "T": 0.95}


@dataclass(frozen=True)
class StrokeFace:
    """One die. Heights of a capital: `width` of an ordinary letter, `weight` of a stroke, `radius` of a bend."""

    width: float = 0.5
    weight: float = 0.13
    radius: float = 0.25
    square: bool = False
    """Stroke ends and right angles are square, else round."""
    forms: tuple[str, ...] = ()
    """Names of `_FORMS` that replace shapes of the gothic."""


@lru_cache(maxsize=6000)
def stroke_glyph(face: StrokeFace, character: str) -> Mask:
    """The character, CAP pixels high, flush with its own left and right edges."""
    paths = GOTHIC[character]
    for form in face.forms:
        paths = _FORMS[form].get(character, paths)
    share = _WIDTH.get(character, 1.0)
    if (character == "I" and paths is not GOTHIC["I"]) or (character == "1" and "bar-1" in face.forms):
        share = (0.85 if "broad-i" in face.forms else 0.52) if character == "I" else 0.3
    high = CAP * _SCALE
    thick = max(2, round(face.weight * high))
    wide = max(thick, round(face.width * share * high))
    if character in "MW":
        if "straight-w" in face.forms:
            wide = round(wide / share * 1.08)
        wide = max(wide, 3 * thick + thick // 2)
    canvas = np.zeros((high, wide), np.uint8)
    for path in paths:
        corners = np.array([point[:2] for point in path], np.float64) * [wide - thick, high - thick] + thick / 2
        bends = [len(point) == 3 for point in path]
        line = _rounded(corners, bends, face.radius * high)
        cv2.polylines(canvas, [np.round(line).astype(np.int32)], False, 255, thick)
        if face.square:
            for end, before in ((line[0], line[1]), (line[-1], line[-2])):
                _cap(canvas, end, end - before, thick)
            for before, corner, after, bent in zip(corners, corners[1:], corners[2:], bends[1:], strict=False):
                if not bent and _upright(corner - before) and _upright(after - corner):
                    _cap(canvas, corner, corner - before, thick)
    return cv2.resize(canvas, (max(1, wide // _SCALE), CAP), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _rounded(corners: Points, bends: list[bool], radius: float) -> Points:
    """The polyline with its marked corners as arcs; a closed one (first corner = last) is joined over its start."""
    closed = bends[0] and bool(np.allclose(corners[0], corners[-1]))
    points: list[Points] = []
    last = len(corners) - 1
    for i, corner in enumerate(corners):
        before = corners[i - 1] if i else corners[last - 1]
        after = corners[i + 1] if i < last else corners[1]
        if not bends[i] or (not closed and i in (0, last)):
            points.append(corner[None])
            continue
        back, ahead = before - corner, after - corner
        reach = min(radius, float(np.hypot(*back)) / 2, float(np.hypot(*ahead)) / 2)
        start, stop = corner + back / np.hypot(*back) * reach, corner + ahead / np.hypot(*ahead) * reach
        t = np.linspace(0, 1, 9)[:, None]
        pull = 0.5523
        near, far = start + (corner - start) * pull, stop + (corner - stop) * pull
        points.append((1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * near + 3 * (1 - t) * t**2 * far + t**3 * stop)
    return np.concatenate(points)


def _upright(way: Points) -> bool:
    """Whether a stroke runs along an axis."""
    return float(np.abs(way).min()) < 0.5


def _cap(canvas: Mask, end: Points, way: Points, thick: int) -> None:
    """A square end of the stroke that arrives at `end` in the direction `way`."""
    along = way / max(1e-6, float(np.hypot(*way))) * thick / 2
    across = np.array([-along[1], along[0]])
    box = np.stack([end - across, end + across, end + across + along, end - across + along])
    cv2.fillConvexPoly(canvas, np.round(box).astype(np.int32), 255)
