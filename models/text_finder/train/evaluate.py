"""Measures a finder with the agent's own steps after the network: which plates and code lines it boxes, and what else.

    python -m models.text_finder.train.evaluate FINDER.onnx --photos ../shared/data/plates/dashcam
    python -m models.text_finder.train.evaluate FINDER.onnx --scenes CACHE/validate

--scenes also takes pictures whose lines are labelled (lines.py), for a finder of lines alone.
--photos measures on the validation part of the dashcam photos. Boxes with a shorter side below SHORT_SIDE_MIN pixels at
the size looked at, and those on an unsure place, count neither way. A finding is right if it and a true box share half
of what both cover; it is usable if at least 0.9 of the true box lies in it and it is no more than twice as large.
--draw writes pictures: true boxes in green, plates found in red, code lines in yellow.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from edge_agent.vision.plate_code_finder import areas
from edge_agent.vision.text_finder import TextRegion, finder_input
from models.rendering.drawn import Picture, Quad
from models.text_finder.train.data import SHORT_SIDE_MIN, Labelled, sides
from models.text_finder.train.network import CODE, PLATE
from models.text_finder.train.photos import Dashcam
from models.text_finder.train.render import cached
from models.text_finder.train.sources import opened

OVERLAP_MIN = 0.5
COVER_MIN = 0.9
AREA_MAX = 2.0


@dataclass
class Count:
    """Over pictures: true boxes, those matched, those boxed usably, findings, false ones, pictures with a false one."""

    pictures: int = 0
    true: int = 0
    matched: int = 0
    usable: int = 0
    found: int = 0
    false: int = 0
    spoilt: int = 0

    def add(self, other: "Count") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def __str__(self) -> str:
        def share(part: int, whole: int) -> str:
            return f"{100 * part / whole:5.1f} % ({part} of {whole})" if whole else "  -"

        return (
            f"recall {share(self.matched, self.true)}, usable {share(self.usable, self.true)}, "
            f"precision {share(self.found - self.false, self.found)}, "
            f"pictures with a false one {share(self.spoilt, self.pictures)}"
        )


def common(a: Quad, b: Quad) -> float:
    """The area, in square pixels, that two convex quadrilaterals share."""
    return float(cv2.intersectConvexConvex(a.astype(np.float32), b.astype(np.float32))[0])


def area(quad: Quad) -> float:
    """Square pixels, more than 0."""
    return max(1e-6, abs(float(cv2.contourArea(quad.astype(np.float32)))))


def count(true: Sequence[Quad], neither: Sequence[Quad], found: Sequence[Quad]) -> Count:
    """One picture's figures for one channel."""
    result = Count(pictures=1, true=len(true))
    right = set()
    for quad in true:
        shared = [common(quad, f) for f in found]
        overlap = [s / (area(quad) + area(f) - s) for s, f in zip(shared, found, strict=True)]
        right |= {k for k, o in enumerate(overlap) if o >= OVERLAP_MIN}
        result.matched += any(o >= OVERLAP_MIN for o in overlap)
        result.usable += any(
            s / area(quad) >= COVER_MIN and area(f) <= AREA_MAX * area(quad) for s, f in zip(shared, found, strict=True)
        )
    for k, f in enumerate(found):
        # A part of a true box is a poor box, not a false plate.
        excused = any(common(f, q) > 0.3 * min(area(f), area(q)) for q in (*neither, *true))
        result.found += k in right or not excused
        result.false += k not in right and not excused
    result.spoilt = int(result.false > 0)
    return result


class Looking:
    """The network with the agent's steps, at a given size."""

    def __init__(self, path: Path, long_side: int, enlarge: float = 1.0) -> None:
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.long_side, self.enlarge = long_side, enlarge

    def find(self, image: Picture) -> tuple[float, dict[int, list[TextRegion]]]:
        """The factor by which the picture was scaled, and for each channel what was found; one map is that of lines."""
        x = finder_input(image, self.long_side, self.enlarge, short_side=0)
        maps = self._session.run(None, {"x": x})[0][0]
        size = int(x.shape[2]), int(x.shape[3])
        channels = (PLATE, CODE)[-len(maps) :]
        found = {c: areas(plane, size, *image.shape[:2]) for c, plane in zip(channels, maps, strict=True)}
        return size[1] / image.shape[1], found


def measure(looking: Looking, pictures: Iterator[tuple[str, Labelled]], draw: Path | None = None) -> dict[int, Count]:
    """The figures of each channel that the finder has."""
    totals: dict[int, Count] = {}
    for name, picture in pictures:
        scale, found = looking.find(picture.image)
        for channel in found:
            own = [q for c, q in picture.boxes if c == channel]
            small = [q for q in own if min(sides(q)) * scale < SHORT_SIDE_MIN[channel]]
            large = [q for q in own if min(sides(q)) * scale >= SHORT_SIDE_MIN[channel]]
            totals.setdefault(channel, Count()).add(
                count(large, (*small, *picture.unsure), [f.quad for f in found[channel]])
            )
        if draw is not None:
            drawn = picture.image.copy()
            for _, quad in picture.boxes:
                cv2.polylines(drawn, [quad.round().astype(np.int32)], True, (0, 255, 0), 1, cv2.LINE_AA)
            for channel, colour in ((PLATE, (0, 0, 255)), (CODE, (0, 255, 255))):
                for region in found.get(channel, ()):
                    cv2.polylines(drawn, [region.quad.round().astype(np.int32)], True, colour, 1, cv2.LINE_AA)
            cv2.imwrite(str(draw / f"{Path(name).stem}.png"), drawn)
    return totals


def of_photos(dashcam: Dashcam, every: int = 1) -> Iterator[tuple[str, Labelled]]:
    """The photos with their plates."""
    for n in range(0, len(dashcam), every):
        photo = dashcam.photo(n)
        yield photo.name, Labelled(photo.image, [(PLATE, quad) for quad in photo.plates], photo.unsure)


def of_scenes(folder: Path, limit: int) -> Iterator[tuple[str, Labelled]]:
    """The first scenes of a cache."""
    for path, boxes in cached(folder)[:limit]:
        yield path.name, opened(path, boxes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("finder", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--scenes", type=Path)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--sides", type=int, nargs="+", default=[640, 960])
    parser.add_argument("--draw", type=Path)
    a = parser.parse_args()
    if a.draw:
        a.draw.mkdir(parents=True, exist_ok=True)
    names = {PLATE: "plates", CODE: "lines"}
    for side in a.sides:
        looking = Looking(a.finder, side)
        if a.photos:
            counts = measure(looking, of_photos(Dashcam(a.photos, "validate"), a.every), a.draw)
            print(f"photos at {side}: plates {counts[PLATE]}", flush=True)
            print(f"    lines found in {counts[CODE].spoilt} of {counts[CODE].pictures}", flush=True)
        if a.scenes:
            for channel, figures in measure(looking, of_scenes(a.scenes, a.limit), a.draw).items():
                print(f"scenes at {side}: {names[channel]} {figures}", flush=True)


if __name__ == "__main__":
    main()
