"""A short form of the reader's whole training, which must come out right: part of `make train-check`.

    python -m models.plate_code_reader.train.check FOLDER

Converts the base, draws a few pictures, trains on them in two halves (the second resumes the first), measures the
loss and the reads of these pictures before and after, leaves something out, exports, and measures the shipped weights
on the drawn pictures, and on plates and columns of codes as the shipped finders cut them out of drawn views. No photo
is needed.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from models.plate_code_reader.train import ablate, average, convert, evaluate, export, found, render, train
from models.plate_code_reader.train.data import Shard, as_input, load_source
from models.plate_code_reader.train.reading import right

SHIPPED = Path(__file__).resolve().parent.parent / "plate_code_reader.onnx"
STEPS = 60
FALLS_TO = 0.7  # of the loss before, on pictures that were learnt from
SHIPPED_SHARE = 0.75  # of rendered plates and codes, many of them unreadable by intent, the shipped weights read
FOUND_SHARE = 0.7  # of plates and columns as the finders cut them out, worn at will


def _read(weights: Path, shards: list[Shard]) -> tuple[int, int]:
    predict = evaluate.predictor(weights)
    measured = [evaluate.measure("", shard, predict) for shard in shards]
    return sum(right(m.reads, m.texts) for m in measured), sum(len(m.texts) for m in measured)


def _loss(weights: Path, shards: list[Shard]) -> float:
    """The loss on the drawn pictures as they are, with the weights that would be exported."""
    network = evaluate.load_weights(weights)
    with torch.inference_mode():
        return float(np.mean([train.ctc(network(as_input(s.pictures, s.used)), s.texts) for s in shards]))


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
    _run(train, start, cache, run, "--steps", STEPS // 2, *sources)
    _run(train, start, cache, run, "--steps", STEPS, *sources, "--resume")
    logged = [int(line.split(",")[0]) for line in (run / "log.csv").read_text().splitlines()]
    assert logged == list(range(train.LOG_STEPS, STEPS + 1, train.LOG_STEPS)), f"the run logged the steps {logged}"
    loss, learnt = _loss(start, shards), _loss(run / "last.pt", shards)
    print(f"the loss falls from {loss:.4f} to {learnt:.4f}")
    assert learnt < FALLS_TO * loss, f"the loss does not fall: {loss:.4f}, after {STEPS} steps {learnt:.4f}"
    before, of = _read(start, shards)
    after, _ = _read(run / "last.pt", shards)
    print(f"of {of} drawn pictures the base reads {before}, after {STEPS} steps {after}")
    assert after > before, "training on these pictures does not help to read them"
    _run(average, folder / "mean.pt", f"{start}=1", f"{run / 'last.pt'}=3")
    mean = _loss(folder / "mean.pt", shards)
    assert mean < loss, f"weights averaged with the base's are no better than these: {mean:.4f}"
    assert mean != learnt, "averaging left the base out"
    short = ["--steps", "2", "--pictures", "45", "--drawn", "9", "--only", "nothing"]
    _run(ablate, folder / "ablations", *short, "blur, noise, JPEG")
    _run(export, run / "last.pt", folder / "plate_code_reader.onnx")
    exported, _ = _read(folder / "plate_code_reader.onnx", shards)
    assert abs(exported - after) <= 1, f"the exported file reads {exported}, the network {after}"
    _run(convert, folder / "again.pt", "--exported", folder / "plate_code_reader.onnx")
    again = _loss(folder / "again.pt", shards)
    assert abs(again - learnt) < 1e-3, f"the network of the exported file has a loss of {again:.4f}, not {learnt:.4f}"
    if SHIPPED.exists():
        shipped, _ = _read(SHIPPED, shards)
        print(f"the shipped weights read {shipped} of {of}")
        assert shipped >= SHIPPED_SHARE * of, "the shipped weights do not fit what is drawn"
        _run(found, cache, "found-us=60", "found-columns=40", "--seed", 7)
        shipped, of = _read(SHIPPED, [load_source(cache, s) for s in ("found-us", "found-columns")])
        print(f"the shipped weights read {shipped} of {of} that were found")
        assert shipped >= FOUND_SHARE * of, "the shipped reader does not fit the crops that the shipped finders make"


def main() -> None:
    np.seterr(all="raise", under="ignore")
    check(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
