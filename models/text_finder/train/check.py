"""The short form of the finder's training, in the folder given: each step for real, in well under a minute.

    python -m models.text_finder.train.check FOLDER

Converts the base and compares it with the file; draws a few scenes; learns until the loss falls; exports, and compares
the file with PyTorch; and looks for the plates in the scenes with the agent's own steps.
"""

import argparse
import importlib.util
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from models.text_finder.train import convert, export
from models.text_finder.train.data import batches
from models.text_finder.train.evaluate import Looking, measure, of_scenes
from models.text_finder.train.render import render
from models.text_finder.train.sources import scenes
from models.text_finder.train.train import Plan, Trainer, run

BASE = "rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx"
SCENES, SIDE, STEPS = 12, 320, 24
FALLS_TO = 0.6  # of the loss before
APART_MIN = 3.0  # a network that says the same everywhere lets the loss fall as well


def base_path() -> Path:
    """The base inside its installed package, found without importing it."""
    spec = importlib.util.find_spec(BASE[0])
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{BASE[0]} is not installed: see requirements/train.in")
    return Path(next(iter(spec.submodule_search_locations))) / BASE[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    torch.set_num_threads(1)  # so small a network gains nothing from more
    finder, difference, correlation = convert.start(base_path())
    if difference > convert.TOLERANCE or correlation < convert.CORRELATION_MIN:
        raise SystemExit(f"the network is not the base's: {difference:.1e} apart, correlation {correlation:.3f}")
    render(folder / "scenes", SCENES, 1, SIDE, None, None)
    plan = Plan(steps=STEPS, batch=4, sides=(160,), rate=3e-4, warm_up=8)
    source = (scenes(folder / "scenes"), 1.0)
    trainer = Trainer(plan, finder.state_dict())
    held = list(islice(batches(7, 0, [source], plan.batch, plan.sides), 3))
    before = np.mean([trainer.loss_of(batch) for batch in held])
    run(trainer, [source], folder, minutes=1e9, pause=None)
    after = np.mean([trainer.loss_of(batch) for batch in held])
    print(f"loss {before:.3f}, after {STEPS} steps {after:.3f}")
    if not after < FALLS_TO * before:
        raise SystemExit("the loss does not fall")
    there, elsewhere = trainer.probabilities(held)
    print(f"probability {there:.3f} where plates and codes are, {elsewhere:.3f} elsewhere")
    if not there > APART_MIN * elsewhere:
        raise SystemExit("the network does not tell plates and codes from what surrounds them")
    again = Trainer(plan, finder.state_dict())
    again.resume(folder / "last.pt")
    if again.step != STEPS or not all(
        torch.equal(a, b) for a, b in zip(again.network.parameters(), trainer.network.parameters(), strict=True)
    ):
        raise SystemExit("a resumed run does not go on where the saved one stopped")
    out = folder / "text_finder.onnx"
    learnt = export.load(folder / "last.pt")
    export.export(learnt, out)
    worst = export.difference(learnt, out)
    if worst > export.TOLERANCE:
        raise SystemExit(f"the exported file is not the network: {worst:.1e} apart")
    plates, codes = measure(Looking(out, SIDE), of_scenes(folder / "scenes", SCENES))
    if plates.pictures != SCENES or plates.true + codes.true == 0:
        raise SystemExit("the evaluation saw no plate and no code")


if __name__ == "__main__":
    main()
