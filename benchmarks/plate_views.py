"""Photos with one known plate each, for choosing weights and thresholds: real and drawn plates set into dashcam photos.

    python -m benchmarks.plate_views OUT --crops ../shared/data/plates/us-crops --photos ../shared/data/plates/dashcam
    python -m benchmarks.plate_views OUT --hard --count 300 --crops ... --photos ...
    python -m benchmarks.plates OUT --no-peer
    python -m benchmarks.plates OUT --causes

OUT/us gets crops of real US plates, OUT/br and OUT/eu drawn plates, 60 to 220 pixels wide, turned, lit as what they
hide, blurred, with noise, as JPEG; with --hard 46 to 130 pixels wide, and turned by half as much again. The photos are
those that the finder did not learn from; all that is written on them as a plate is painted over. One seed gives one
set. Nothing that is made here may be learnt from.
"""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from models.rendering.drawn import Picture, Quad, chance
from models.rendering.plates import draw_plate
from models.rendering.surfaces import paint_over
from models.rendering.wear import place, tilted
from models.text_finder.train.photos import Dashcam, LabelledPhoto

Rng = np.random.Generator
Plate = tuple[Picture, str]

WIDTHS, WIDTHS_HARD = (60.0, 220.0), (46.0, 130.0)  # pixels
TILT, TILT_HARD = 1.0, 1.5  # as wear.tilted
SITE_WIDTH_MIN = 24.0  # pixels of a real plate in whose place another is set
LENGTH_MIN = 4  # characters: shorter labels name less than stands there
LEVELS = (0.25, 1.2)  # brightness of a plate by that of its crop
DRAWN = ("br", "eu")


def sites(photos: Dashcam) -> list[int]:
    """The photos that show a plate near enough."""
    return [i for i in range(len(photos)) if any(_width(q) >= SITE_WIDTH_MIN for q in photos.photo(i).plates)]


def set_in(rng: Rng, photo: LabelledPhoto, plate: Picture, hard: bool = False) -> tuple[Picture, Quad]:
    """The photo with the plate where its widest one was, and the plate's corners."""
    site = max(photo.plates, key=_width)
    low, high = site.min(0).astype(int), np.ceil(site.max(0)).astype(int)
    under = photo.image[max(0, low[1]) : high[1], max(0, low[0]) : high[0]].astype(np.float32)
    view = photo.image.copy()
    for quad in (*photo.plates, *photo.unsure):
        paint_over(view, quad)
    level = float(np.clip(np.percentile(under, 80) / max(1.0, float(np.percentile(plate, 80))), *LEVELS))
    cast = (under.mean((0, 1)) - under.mean()) * 0.5
    lit = np.clip(plate * (level * float(rng.uniform(0.65, 1.0))) + cast, 0, 255).astype(np.uint8)
    wide = float(np.exp(rng.uniform(*np.log(WIDTHS_HARD if hard else WIDTHS))))
    corners = tilted(rng, wide, wide * plate.shape[0] / plate.shape[1], TILT_HARD if hard else TILT)
    room = np.array(view.shape[1::-1]) - np.ptp(corners, axis=0) - 2
    corners = (corners - corners.min(0) + np.clip(site.mean(0) - np.ptp(corners, axis=0) / 2, 1, room)).astype(
        np.float32
    )
    place(lit, corners, view)
    x0, y0 = np.maximum(corners.min(0).astype(int) - 8, 0)
    x1, y1 = np.ceil(corners.max(0)).astype(int) + 8
    window = view[y0:y1, x0:x1]
    soft = cv2.GaussianBlur(window, (0, 0), float(rng.uniform(0.2, 0.9))).astype(np.float32)
    window[:] = np.clip(soft + rng.normal(0, rng.uniform(1, 5), soft.shape), 0, 255).astype(np.uint8)
    return view, corners


def views(
    rng: Rng, photos: Dashcam, plates: Callable[[Rng], Plate], folder: Path, count: int, hard: bool = False
) -> None:
    """Writes `count` photos and labels.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    usable = sites(photos)
    if not usable:
        raise SystemExit("no photo shows a plate wide enough to set another in its place")
    with (folder / "labels.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(("image", "x", "y", "w", "h", "plate"))
        for n in range(count):
            image, text = plates(rng)
            view, corners = set_in(rng, photos.photo(usable[int(rng.integers(len(usable)))]), image, hard)
            name = f"{n:04d}.jpg"
            cv2.imwrite(str(folder / name), view, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 95))])
            (x, y), (w, h) = corners.min(0), np.ptp(corners, axis=0)
            write.writerow((name, *(round(float(v), 1) for v in (x, y, w, h)), text))


def real(folder: Path) -> Callable[[Rng], Plate]:
    """Crops of plates with `labels.csv` (image, plate), one at a time."""
    with (folder / "labels.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if len(r["plate"]) >= LENGTH_MIN]

    def one(rng: Rng) -> Plate:
        row = rows[int(rng.integers(len(rows)))]
        return np.asarray(cv2.imread(str(folder / row["image"])), np.uint8), row["plate"]

    return one


def drawn(region: str) -> Callable[[Rng], Plate]:
    """Drawn plates of one part of the world."""

    def one(rng: Rng) -> Plate:
        while not (plate := draw_plate(rng, region)).text:
            pass
        worn = np.repeat(plate.image.mean(2, keepdims=True), 3, 2) if chance(rng, 0.1) else plate.image
        return worn.astype(np.uint8), plate.text

    return one


def _width(quad: Quad) -> float:
    return float(np.ptp(quad[:, 0]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plate_views", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--crops", type=Path, required=True, help="crops of real plates with labels.csv (image, plate)")
    parser.add_argument("--photos", type=Path, required=True, help="dashcam photos with labels.csv")
    parser.add_argument("--count", type=int, default=240, help="photos of real plates; half as many of each drawn kind")
    parser.add_argument("--hard", action="store_true", help="smaller plates, seen from further aside")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    photos = Dashcam(given.photos, "validate")
    for n, (name, plates) in enumerate([("us", real(given.crops)), *((r, drawn(r)) for r in DRAWN)]):
        rng = np.random.default_rng([given.seed, n])
        views(rng, photos, plates, given.out / name, given.count if name == "us" else given.count // 2, given.hard)


if __name__ == "__main__":
    main()
