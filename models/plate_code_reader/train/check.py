"""A short form of the reader's whole training, which must come out right: part of `make train-check`.

    python -m models.plate_code_reader.train.check FOLDER

Converts the base, draws a few pictures, trains on them in two halves (the second resumes the first), measures before
and after, exports, and measures the shipped weights on the drawn pictures. No photo is needed.
"""

import sys
from pathlib import Path

import numpy as np

from models.plate_code_reader.train import convert, evaluate, export, render, train
from models.plate_code_reader.train.data import Shard, load_source
from models.plate_code_reader.train.reading import right

SHIPPED = Path(__file__).resolve().parent.parent / "plate_code_reader.onnx"
SHIPPED_SHARE = 0.75  # of rendered plates and codes, many of them unreadable by intent, the shipped weights read


def _read(weights: Path, shards: list[Shard]) -> tuple[int, int]:
    predict = evaluate.predictor(weights)
    measured = [evaluate.measure("", shard, predict) for shard in shards]
    return sum(right(m.reads, m.texts) for m in measured), sum(len(m.texts) for m in measured)


def _losses(run: Path) -> list[float]:
    return [float(line.split(",")[2]) for line in (run / "log.csv").read_text().splitlines()]


def _run(module: object, *arguments: object) -> None:
    sys.argv = [str(module), *map(str, arguments)]
    module.main()  # type: ignore[attr-defined]


def check(folder: Path) -> None:
    """Raises AssertionError where a step does not do what it must."""
    start, run, cache = folder / "start.pt", folder / "run", folder / "cache"
    _run(convert, start)
    _run(render, cache, "plates-us=96", "plates-br=32", "codes=48", "--seed", 7)
    shards = [load_source(cache, s) for s in ("plates-us", "plates-br", "codes")]
    sources = ("--plates", "plates-us=3", "plates-br", "--lines", "codes", "--batch", 16, "--lines-every", 4)
    _run(train, start, cache, run, "--steps", 60, "--minutes", 0.2, *sources)
    _run(train, start, cache, run, "--steps", 60, *sources, "--resume")
    losses = _losses(run)
    assert len(losses) == 60 // train.LOG_STEPS, f"the run went to {len(losses) * train.LOG_STEPS} steps, not 60"
    assert losses[-1] < 0.8 * losses[0], f"the loss does not fall: {losses}"
    before, of = _read(start, shards)
    after, _ = _read(run / "last.pt", shards)
    print(f"of {of} drawn pictures the base reads {before}, after 60 steps {after}")
    assert after > before, "training on these pictures does not help to read them"
    _run(export, run / "last.pt", folder / "plate_code_reader.onnx")
    exported, _ = _read(folder / "plate_code_reader.onnx", shards)
    assert abs(exported - after) <= 1, f"the exported file reads {exported}, the network {after}"
    if SHIPPED.exists():
        shipped, _ = _read(SHIPPED, shards)
        print(f"the shipped weights read {shipped} of {of}")
        assert shipped >= SHIPPED_SHARE * of, "the shipped weights do not fit what is drawn"


def main() -> None:
    np.seterr(all="raise", under="ignore")
    check(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
