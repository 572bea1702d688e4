"""Draws scenes into a cache: JPEG files of 640 × 640 and where plates and codes stand in them.

    python -m models.text_finder.train.render CACHE/street --scenes 2000 --seed 1
    python -m models.text_finder.train.render CACHE/photo --scenes 2000 --seed 2 --photos ../shared/data/plates/dashcam
    python -m models.text_finder.train.render CACHE/close --scenes 800 --seed 5 --close

The second draws into the learning part of the dashcam photos (MIT). Scene n depends on the seed and n alone, and scenes
that are there already are not drawn again. --part validate draws for validation.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.rendering.drawn import Picture, Quad
from models.rendering.scenes import scene
from models.rendering.surfaces import Photo
from models.text_finder.train.network import CODE, PLATE
from models.text_finder.train.photos import Dashcam, Part

SIDE = 640
QUALITY = 95
CHUNK = 50
UNSURE = -1  # in a cache: what stands there counts neither way


def draw(
    seed: int, number: int, side: int, photos: Dashcam | None, close: bool = False
) -> tuple[Picture, list[tuple[int, Quad]]]:
    """Scene `number` of that seed and its boxes: channel and corners."""
    rng = np.random.default_rng([seed, number])
    background = None
    if photos is not None:
        photo = photos.photo(int(rng.integers(len(photos))))
        background = Photo(photo.image, photo.plates, photo.unsure)
    picture, boxes = scene(rng, background, (side, side), close)
    channels = {"plate": PLATE, "code": CODE}
    return picture, [(channels[kind], quad) for quad, kind, _ in boxes]


def render(
    folder: Path,
    scenes: int,
    seed: int,
    side: int,
    photos: Dashcam | None,
    pause: Path | None = None,
    close: bool = False,
) -> None:
    """Draws what is missing, in chunks: `<first>.json` names the boxes of that chunk's files."""
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, scenes, CHUNK):
        done = folder / f"{first:06d}.json"
        if done.exists():
            continue
        boxes: dict[str, list[tuple[int, Quad]]] = {}
        for number in range(first, min(scenes, first + CHUNK)):
            while pause is not None and pause.exists():
                time.sleep(1)
            picture, found = draw(seed, number, side, photos, close)
            name = f"{number:06d}.jpg"
            if not cv2.imwrite(str(folder / name), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
                raise OSError(f"cannot write {folder / name}")
            boxes[name] = found
        close_chunk(done, boxes)


def close_chunk(done: Path, boxes: Mapping[str, Sequence[tuple[int, Quad]]]) -> None:
    """Writes `<first>.json`, whole or not at all: channel and corners of what stands in each file."""
    part = done.with_suffix(".part")
    part.write_text(json.dumps({n: [[c, np.round(quad, 2).tolist()] for c, quad in b] for n, b in boxes.items()}))
    part.rename(done)
    print(f"{done.parent.name}: {done.stem} and {len(boxes) - 1} more", flush=True)


def cached(folder: Path) -> list[tuple[Path, list[tuple[int, NDArray[np.float32]]]]]:
    """The scenes in a cache: file and boxes. Raises ValueError if there are none."""
    found = []
    for chunk in sorted(folder.glob("*.json")):
        for name, boxes in json.loads(chunk.read_text()).items():
            found.append((folder / name, [(int(c), np.array(quad, np.float32)) for c, quad in boxes]))
    if not found:
        raise ValueError(f"no scenes in {folder}: draw them with `python -m models.text_finder.train.render {folder}`")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--photos", type=Path, help="the dashcam photos, some of which the scenes are drawn into")
    parser.add_argument("--part", choices=("learn", "validate"), default="learn")
    parser.add_argument("--close", action="store_true", help="codes as a camera near the container sees them")
    parser.add_argument("--pause", type=Path, help="a file while which exists nothing is drawn")
    a = parser.parse_args()
    part: Part = a.part
    photos = Dashcam(a.photos, part) if a.photos else None
    render(a.folder, a.scenes, a.seed, a.side, photos, a.pause, a.close)


if __name__ == "__main__":
    main()
