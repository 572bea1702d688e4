"""Where a point of the lane falls in a camera's picture: a pinhole, and the planes it sees.

World axes, metres: x along the lane in driving direction, the origin at 0; y to the driver's left, the lane's middle at
0; z above the road. Pixels: u to the right, v down, the corner of the picture at 0.
"""

from dataclasses import dataclass
from functools import cached_property
from math import cos, sin

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 1280, 720
Point = tuple[float, float, float]
Matrix = NDArray[np.float64]
# What is nearer to the lens than this is cut off.
NEAREST_M = 0.4


@dataclass(frozen=True)
class Pinhole:
    """A camera at `at`, `heading` counted from the driving direction to the left, `pitch` up; radians, pixels."""

    at: Point
    heading: float
    pitch: float
    focal_px: float

    @cached_property
    def axes(self) -> Matrix:
        """Rows: what is right, down and ahead for the camera."""
        h, p = self.heading, self.pitch
        ahead = np.array([cos(p) * cos(h), cos(p) * sin(h), sin(p)])
        right = np.array([sin(h), -cos(h), 0.0])
        return np.stack([right, np.cross(ahead, right), ahead])

    @cached_property
    def matrix(self) -> Matrix:
        lens = np.array([[self.focal_px, 0, WIDTH / 2], [0, self.focal_px, HEIGHT / 2], [0, 0, 1.0]])
        return np.asarray(lens @ self.axes)

    def depth(self, point: Point) -> float:
        """Metres along the optical axis; negative behind the camera."""
        return float(self.axes[2] @ (np.array(point) - self.at))

    def project(self, point: Point) -> tuple[float, float]:
        """Where a point that lies before the camera falls."""
        u, v, depth = self.matrix @ (np.array(point) - self.at)
        return float(u / depth), float(v / depth)

    def outline(self, points: list[Point], scale: float = 1.0) -> list[tuple[float, float]]:
        """A flat polygon as it is seen, cut off before the lens; empty when nothing of it is ahead."""
        ahead = self.axes[2]
        corners = [np.array(p) - self.at for p in points]
        depths = [float(ahead @ c) for c in corners]
        kept = []
        for i in range(len(corners)):
            a, b, da, db = corners[i - 1], corners[i], depths[i - 1], depths[i]
            if (da < NEAREST_M) != (db < NEAREST_M):
                kept.append(a + (b - a) * ((NEAREST_M - da) / (db - da)))
            if db >= NEAREST_M:
                kept.append(b)
        seen = [self.matrix @ c for c in kept]
        return [(float(u / d) * scale, float(v / d) * scale) for u, v, d in seen]

    def of_plane(self, plane: "Plane") -> Matrix:
        """The homography from a plane's metres to pixels."""
        columns = [np.array(plane.right), np.array(plane.down), np.array(plane.corner) - self.at]
        return np.asarray(self.matrix @ np.stack(columns, axis=1))


@dataclass(frozen=True, slots=True)
class Plane:
    """A flat picture in the world: its upper left corner, and which way a metre to the right and down in it leads."""

    corner: Point
    right: Point
    down: Point

    def point(self, right_m: float, down_m: float) -> Point:
        x, y, z = (c + right_m * r + down_m * d for c, r, d in zip(self.corner, self.right, self.down, strict=True))
        return x, y, z
