"""What each rendering and each kind of data buys the reader: one short training, again and again without one of them.

    python -m models.plate_code_reader.train.ablate FOLDER --crops US-CROPS/labels.csv [--photos DASHCAM]
        [--real CACHE] [--steps 120] [--pictures 3600] [--drawn 300] [--only NAME ...]

Every run begins with the converted base, sees as many pictures with the same seed, and reads the same sets afterwards.
Drawings come from the same seeds, without what is left out (models/rendering/leave_out.py). `--real` is a cache in
which `plate_code_reader.train.real` has put the dashcam photos' plates. A run that was finished is not made again. Two
runs with everything, of different seeds, tell what chance alone does. Prints a table in Markdown.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch

from models.plate_code_reader.train import evaluate
from models.plate_code_reader.train.convert import installed_base, reduced
from models.plate_code_reader.train.data import Shard, load_source
from models.plate_code_reader.train.network import base_network
from models.plate_code_reader.train.reading import fold
from models.plate_code_reader.train.render import render_shard
from models.plate_code_reader.train.train import Plan, Trainer, run
from models.rendering.leave_out import without

SHARES = {"plates-us": 5, "plates-br": 2, "plates-eu": 2}
VALIDATION = {"drawn US": "plates-us", "drawn Brazil": "plates-br", "drawn EU": "plates-eu"}
SEED, OTHER_SEED, VALIDATION_SEED = 1, 2, 900_001
PHOTOS, DASHCAM = "photos around drawn plates", "plates of dashcam photos"


@dataclass(frozen=True)
class Run:
    """What is left out: `parts` of the drawings, `sources` of the data."""

    parts: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    seed: int = SEED


RUNS = {
    "nothing": Run(),
    "nothing, another seed": Run(seed=OTHER_SEED),
    "decals, names, frames, stickers": Run(("decals", "names and legends", "frames", "stickers")),
    "tilt and bent plates": Run(("tilt", "bent plates")),
    "dirt, light, night, infrared": Run(("dirt", "something before the plate", "light")),
    "blur, noise, JPEG": Run(("blur", "noise", "JPEG")),
    PHOTOS: Run(sources=(PHOTOS,)),
    DASHCAM: Run(sources=(DASHCAM,)),
    "plates of Brazil and of the EU": Run(sources=("plates-br", "plates-eu")),
}


def drawings(folder: Path, how: Run, pictures: int, photos: Path | None) -> Path:
    """The cache of a run's pictures; those of runs that draw alike are drawn once."""
    alike = next(n for n, r in RUNS.items() if (r.parts, PHOTOS in r.sources) == (how.parts, PHOTOS in how.sources))
    cache = folder / alike.replace(",", "").replace(" ", "-")
    cache.mkdir(parents=True, exist_ok=True)
    with without(*how.parts):
        for source, share in SHARES.items():
            path = cache / f"{source}-000.npz"
            if not path.exists():
                count = max(8, pictures * share // sum(SHARES.values()))
                render_shard(path, source, count, SEED, 1, None if PHOTOS in how.sources else photos)
    return cache


def trained(folder: Path, name: str, how: Run, a: argparse.Namespace) -> Path:
    """The weights of one run."""
    cache = drawings(folder, how, a.pictures, a.photos)
    weights = folder / f"run-{name.replace(',', '').replace(' ', '-')}"
    sources = [f"{source}={share}" for source, share in SHARES.items() if source not in how.sources]
    if a.real is not None and DASHCAM not in how.sources:
        for real in a.real.glob("dashcam-[0-9]*.npz"):
            if not (cache / real.name).exists():
                (cache / real.name).symlink_to(real.resolve())
        sources.append("dashcam=1")
    if not (weights / "done").exists():
        weights.mkdir(exist_ok=True)
        plan = Plan(a.steps, sources, (), a.batch, warm_up=a.steps // 10, frozen=6, threads=a.threads, seed=how.seed)
        run(Trainer(plan, torch.load(folder / "start.pt", weights_only=True)), cache, weights, 1e9, None)
        (weights / "done").touch()
    return weights / "last.pt"


def validation(folder: Path, a: argparse.Namespace) -> dict[str, Shard]:
    """The sets that are read: real ones first."""
    sets = {"US crops": evaluate.labelled_crops(a.crops)} if a.crops is not None else {}
    if a.real is not None:
        sets["dashcam"] = load_source(a.real, "val-dashcam")
    for name, source in VALIDATION.items() if a.drawn else ():
        path = folder / f"val-{source}-000.npz"
        if not path.exists():
            render_shard(path, f"val-{source}", a.drawn, VALIDATION_SEED, 1, a.photos)
        sets[name] = load_source(folder, f"val-{source}")
    return sets


def read_right(weights: Path, sets: dict[str, Shard]) -> dict[str, list[bool]]:
    """Of each set, which pictures are read right, folded."""
    predict = evaluate.predictor(weights)
    measured = {name: evaluate.measure(name, shard, predict) for name, shard in sets.items()}
    return {n: [fold(t) == fold(r) for t, r in zip(m.texts, m.reads, strict=True)] for n, m in measured.items()}


def row(name: str, right: dict[str, list[bool]], whole: dict[str, list[bool]] | None) -> str:
    """How many are right, and beside it how many more and fewer than with everything."""
    cells = [f"| {name} |"]
    for of, found in right.items():
        pairs = [] if whole is None else list(zip(found, whole[of], strict=True))
        more, fewer = sum(f and not w for f, w in pairs), sum(w and not f for f, w in pairs)
        cells.append(f" {sum(found)}{f' (+{more} −{fewer})' if pairs else ''} |")
    return "".join(cells)


def ablate(folder: Path, names: Sequence[str], a: argparse.Namespace) -> None:
    """Makes the runs and prints a row of the table after each."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "start.pt").exists():
        network, alphabet = base_network(installed_base())
        torch.save(reduced(network, alphabet).state_dict(), folder / "start.pt")
    sets = validation(folder, a)
    print(f"| left out | {' | '.join(f'{name} ({len(shard)})' for name, shard in sets.items())} |")
    print(f"|{' --- |' * (1 + len(sets))}")
    print(row("(before training)", read_right(folder / "start.pt", sets), None), flush=True)
    whole = None
    for name in names:
        right = read_right(trained(folder, name, RUNS[name], a), sets)
        print(row(name, right, whole), flush=True)
        whole = right if whole is None else whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--crops", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--pictures", type=int, default=3600)
    parser.add_argument("--drawn", type=int, default=300, help="drawn pictures of each kind for validation")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS))
    a = parser.parse_args()
    cv2.setNumThreads(1)
    ablate(a.folder, a.only, a)


if __name__ == "__main__":
    main()
