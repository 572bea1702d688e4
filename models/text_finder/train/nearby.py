"""Teaches the plate outliner: the finder's network, on windows around what the finder takes for plates.

    N="python -m models.text_finder.train.nearby"
    $N draw CACHE/nearby --views 1200 --seed 1 --photos ../shared/data/plates/dashcam
    $N train text_finder.onnx RUN --sources CACHE/nearby --steps 1300
    $N draw CACHE/nearby-val --views 60 --seed 9 --photos ../shared/data/plates/dashcam
    $N evaluate plate_outliner.onnx CACHE/nearby-val

`draw` sets drawn plates into dashcam photos (drawn streets without --photos) as the reader's `found` does, and keeps
where they stand and where the shipped finder sees a plate when it looks from afar, as the agent does. `train` begins
with the weights in the finder's file. `evaluate` says how well the outlines meet the plates, beside the finder's own.
"""

import argparse
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import Tensor

from edge_agent.vision.model_file import Model, read_model_file
from edge_agent.vision.plate_code_finder import MODEL as FINDER
from edge_agent.vision.plate_outliner import AROUND, MEETS, PlateOutliner, common_share, nearby
from models.plate_code_reader.train.found import LOOKS, finders, plates_in_view
from models.rendering.drawn import Picture, Quad, box_quad, chance, pick
from models.text_finder.train.data import Labelled, Rng, Source, View, maps, weathered
from models.text_finder.train.network import PLATE
from models.text_finder.train.render import CHUNK, QUALITY, cached, close_chunk
from models.text_finder.train.train import Plan, Trainer, run

SEEN = -2  # in a cache: where the finder sees a plate from afar
GROUPS = (("us", 0.42), ("br", 0.22), ("eu", 0.2), ("mx", 0.08), ("ca", 0.08))
FIRST_LOOK = 640  # pixels; each view is looked at so, and at another size
JITTER = 0.06  # of the shorter side, how far the corners of what was seen are moved
IN_PART, PARTS = 0.12, (0.35, 0.8)  # how often the finder is made to have seen a part alone, and how much
FROM_SEEN = 0.75  # of the windows: around what the finder saw, plate or not; the others around a plate
AROUND_FACTOR = 1.35  # so far larger or smaller than the agent's are the windows
WEATHERED = 0.5


def draw(seed: int, number: int, photos: Path | None) -> tuple[Picture, list[tuple[int, Quad]]]:
    """View `number` of that seed: its plates, and where the shipped finder sees one from afar."""
    rng = np.random.default_rng([seed, number])
    view, plates = plates_in_view(rng, pick(rng, [g for g, _ in GROUPS], [p for _, p in GROUPS]), photos)
    sizes = {FIRST_LOOK, pick(rng, [s for s, _ in LOOKS], [p for _, p in LOOKS])}
    seen = [region.quad for size in sorted(sizes) for region in finders()[0].find(view, size).plates]
    return view, [*((PLATE, quad) for _, quad in plates), *((SEEN, quad) for quad in seen)]


def draw_views(folder: Path, views: int, seed: int, photos: Path | None) -> None:
    """Draws what is missing, in chunks as `render` does."""
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, views, CHUNK):
        done = folder / f"{first:06d}.json"
        if done.exists():
            continue
        boxes = {}
        for number in range(first, min(views, first + CHUNK)):
            picture, boxes[f"{number:06d}.jpg"] = draw(seed, number, photos)
            if not cv2.imwrite(str(folder / f"{number:06d}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
                raise OSError(f"cannot write {folder / f'{number:06d}.jpg'}")
        close_chunk(done, boxes)


def views(folders: Sequence[Path]) -> Source:
    """Drawn views, all alike often."""
    listed = [view for folder in folders for view in cached(folder) if view[1]]
    if not listed:
        raise ValueError(f"nothing is drawn in {', '.join(map(str, folders))}: run `draw` first")

    @lru_cache(maxsize=3000)
    def opened(n: int) -> Labelled:
        image = cv2.imread(str(listed[n][0]), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f"{listed[n][0]} is no picture that OpenCV can read: delete its chunk and draw again")
        return Labelled(np.asarray(image, np.uint8), listed[n][1])

    def take(rng: Rng) -> Labelled:
        return opened(int(rng.integers(len(listed))))

    return take


def seen_from_afar(rng: Rng, quad: Quad) -> Quad:
    """The upright box around an area, inexact as a finder's; now and then around a part of it."""
    low, high = quad.min(0), quad.max(0)
    size = high - low
    low, high = (end + rng.normal(0, JITTER, 2) * size.min() for end in (low, high))
    if chance(rng, IN_PART):
        cut = float(rng.uniform(*PARTS)) * size[0]
        if chance(rng, 0.5):
            high[0] = low[0] + cut
        else:
            low[0] = high[0] - cut
    return box_quad(float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def window(rng: Rng, picture: Labelled, _side: int) -> View:
    """What the agent would look at from nearby, with the map of plates alone."""
    seen = [quad for channel, quad in picture.boxes if channel == SEEN]
    plates = [quad for channel, quad in picture.boxes if channel == PLATE]
    around = seen if seen and (not plates or chance(rng, FROM_SEEN)) else plates
    quad = seen_from_afar(rng, around[int(rng.integers(len(around)))])
    part = nearby(picture.image, quad, AROUND * float(AROUND_FACTOR ** rng.uniform(-1, 1)))
    view = part.view if chance(rng, 1 - WEATHERED) else weathered(rng, part.view)
    target, counts = maps([(PLATE, part.in_window(quad)) for quad in plates], (), *part.view.shape[:2])
    return View(view, target[: PLATE + 1], counts[: PLATE + 1])


def weights_in(path: Path) -> dict[str, Tensor]:
    """The network's weights in an exported file."""
    constants = onnx.load(str(path)).graph.initializer
    return {c.name.removeprefix("finder."): torch.from_numpy(numpy_helper.to_array(c).copy()) for c in constants}


def met(file: Path, folder: Path, limit: int | None = None) -> tuple[int, int, float, float]:
    """Plates that the finder sees, those outlined, and the mean share that its area and the outline have of them.

    A share is what an area and the plate have in common, of what they cover together; 0 without an outline.
    """
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    outliner = PlateOutliner(Model(read_model_file(FINDER), session))
    shares: list[tuple[float, float]] = []
    for path, boxes in cached(folder)[:limit]:
        image = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)
        plates = [quad for channel, quad in boxes if channel == PLATE]
        seen = [quad for channel, quad in boxes if channel == SEEN]
        for quad, outline in zip(seen, outliner.outlines(image, seen), strict=True):
            truth = max(plates, key=lambda p: common_share(p, quad), default=None)
            if truth is not None and (before := common_share(truth, quad)) >= MEETS:
                shares.append((before, common_share(truth, outline.quad) if outline else 0.0))
    if not shares:
        raise ValueError(f"the finder sees no plate in {folder}: draw more views")
    each = np.array(shares).reshape(-1, 2)
    return len(each), int((each[:, 1] > 0).sum()), float(each[:, 0].mean()), float(each[:, 1].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    drawing = what.add_parser("draw")
    drawing.add_argument("folder", type=Path)
    drawing.add_argument("--views", type=int, required=True)
    drawing.add_argument("--seed", type=int, required=True)
    drawing.add_argument("--photos", type=Path)
    training = what.add_parser("train")
    training.add_argument("start", type=Path, help="the finder's or the outliner's exported file")
    training.add_argument("run", type=Path)
    training.add_argument("--sources", type=Path, nargs="+", required=True)
    training.add_argument("--steps", type=int, default=1300)
    training.add_argument("--batch", type=int, default=16)
    training.add_argument("--rate", type=float, default=4e-4)
    training.add_argument("--frozen", type=int, default=3, help="the stem and so many blocks do not learn")
    training.add_argument("--seed", type=int, default=5)
    training.add_argument("--threads", type=int, default=2)
    evaluation = what.add_parser("evaluate")
    evaluation.add_argument("file", type=Path)
    evaluation.add_argument("folder", type=Path)
    a = parser.parse_args()
    cv2.setNumThreads(1)
    if a.what == "draw":
        draw_views(a.folder, a.views, a.seed, a.photos)
    elif a.what == "train":
        torch.set_num_threads(a.threads)
        trainer = Trainer(Plan(a.steps, a.batch, rate=a.rate, seed=a.seed, frozen=a.frozen), weights_in(a.start))
        a.run.mkdir(parents=True, exist_ok=True)
        run(trainer, [(views(a.sources), 1.0)], a.run, 1e9, None, window)
    else:
        seen, outlined, before, after = met(a.file, a.folder)
        print(f"of {seen} plates that the finder sees {outlined} are outlined; the finder's areas meet them by")
        print(f"{before:.3f}, the outlines by {after:.3f}")


if __name__ == "__main__":
    main()
