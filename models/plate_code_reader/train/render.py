"""Draws the reader's training and validation pictures into shards.

    python -m models.plate_code_reader.train.render CACHE plates-us=20000 plates-eu=8000 codes=10000 --seed 1
    python -m models.plate_code_reader.train.render CACHE val-plates-us=600 val-codes=600 --seed 900001

A source is `plates-GROUP` (us, ca, mx, eu, br) or `codes`; `val-` before it keeps it from training. --photos names a
folder of photos whose parts show around the plates (permissively licensed ones only). Shard number and seed decide
what is drawn: a shard that exists is kept, so that an interrupted run goes on. --again sees each plate that often.
"""

import argparse
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from edge_agent.vision.plate_code_reader import PLATE_WIDTH
from models.plate_code_reader.train.data import (
    Picture,
    Rng,
    line_picture,
    open_picture,
    plate_picture,
    rows_side_by_side,
    save_shard,
)
from models.rendering.codes import code_crop
from models.rendering.crops import reader_crop
from models.rendering.plates import draw_plate

SHARD = 1000
PHOTOS = 150


@lru_cache(maxsize=1)
def photos(folder: Path | None) -> tuple[Picture, ...]:
    """Some photos of a folder, evenly over its list."""
    if folder is None:
        return ()
    paths = sorted(folder.glob("*.jpg"))
    return tuple(open_picture(p) for p in paths[:: max(1, len(paths) // PHOTOS)])


def drawn(rng: Rng, source: str, again: int, behind: tuple[Picture, ...]) -> list[tuple[Picture, int, str]]:
    """Pictures of one plate or code, the columns used, and what is to be read."""
    kind, _, group = source.removeprefix("val-").partition("-")
    photo = behind[rng.integers(len(behind))] if behind and rng.random() < 0.5 else None
    if kind == "codes":
        image, text = code_crop(rng, photo)
        return [(*line_picture(image), text)]
    plate = draw_plate(rng, group)
    seen = (reader_crop(rng, plate, photo) for _ in range(again))
    laid = rows_side_by_side if len(plate.lines) > 1 else plate_picture
    return [(laid(image), PLATE_WIDTH, text) for image, text in seen]


def shard_rng(path: Path, seed: int) -> Rng:
    """The random numbers of one shard, by its name and the seed."""
    return np.random.default_rng([seed, zlib.crc32(path.name.encode())])


def render_shard(path: Path, source: str, count: int, seed: int, again: int, folder: Path | None) -> Path:
    """One shard, whose pictures depend on the seed, the source and the shard's name only."""
    cv2.setNumThreads(1)
    rng = shard_rng(path, seed)
    behind = photos(folder)
    out: list[tuple[Picture, int, str]] = []
    while len(out) < count:
        out += [(p, u, t) for p, u, t in drawn(rng, source, again, behind) if t]
    pictures, used, texts = zip(*out[:count], strict=True)
    save_shard(path, pictures, used, texts)
    return path


def write_shards(draw: Callable[..., Path], cache: Path, sources: Sequence[str], processes: int, *rest: object) -> None:
    """Each shard of `source=count` that is not there yet: draw(its path, source, count, *rest), in other processes."""
    cache.mkdir(parents=True, exist_ok=True)
    work = []
    for entry in sources:
        source, _, count = entry.partition("=")
        for start in range(0, int(count), SHARD):
            path = cache / f"{source}-{start // SHARD:03d}.npz"
            if not path.exists():
                work.append((path, source, min(SHARD, int(count) - start), *rest))
    # Not forked: a copy of a process in which PyTorch holds threads can wait for them for ever.
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for done in pool.map(draw, *zip(*work, strict=True)) if work else ():
            print(done.name, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("sources", nargs="+", metavar="SOURCE=COUNT")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", type=int, default=1)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    a = parser.parse_args()
    write_shards(render_shard, a.cache, a.sources, a.processes, a.seed, a.again, a.photos)


if __name__ == "__main__":
    main()
