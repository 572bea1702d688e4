"""The short form of the finder's training, in the folder given: each step for real, in well under a minute.

    python -m models.text_finder.train.check FOLDER

Converts the base and compares it with the file; draws a few scenes; learns until the loss falls; exports, and compares
the file with PyTorch; and looks for the plates in the scenes with the agent's own steps. Then labels every line in the
scenes with both published finders, and measures the shipped finder of lines against them. Then teaches the shipped
finder to outline plates, and measures the shipped outliner.
"""

import argparse
import importlib.util
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from models.text_finder.train import convert, export, lines, nearby
from models.text_finder.train.data import batches
from models.text_finder.train.evaluate import Looking, measure, of_scenes
from models.text_finder.train.network import CODE, PLATE
from models.text_finder.train.render import cached, render
from models.text_finder.train.sources import scenes
from models.text_finder.train.train import Plan, Trainer, run

BASE = "rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx"
LATER = "rapidocr", "models/PP-OCRv6_det_small.onnx"
MODELS = Path(__file__).resolve().parents[2]
LINE_FINDER = MODELS / "line_finder" / "line_finder.onnx"
TEXT_FINDER = MODELS / "text_finder" / "text_finder.onnx"
OUTLINER = MODELS / "plate_outliner" / "plate_outliner.onnx"
LINES_SHARE = 0.6  # of the lines that both published finders see, the shipped one finds
SCENES, SIDE, STEPS = 12, 320, 24
VIEWS = 6
CLOSER = 0.04  # by so much more of a plate is what the shipped outliner makes of it than what the finder saw, at least
FALLS_TO = 0.6  # of the loss before
FALLS_FURTHER_TO = 0.85  # of the loss of a finder that knows plates from afar
APART_MIN = 3.0  # a network that says the same everywhere lets the loss fall as well


def packaged(package: str, path: str) -> Path:
    """A file inside an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{package} is not installed: see requirements/train.txt")
    return Path(next(iter(spec.submodule_search_locations))) / path


def check_lines(folder: Path) -> None:
    """Lines are labelled beside those that were drawn, and the shipped finder finds them."""
    finders = lines.Finders([packaged(*BASE), packaged(*LATER)], threads=1)
    lines.write(folder / "lines", lines.of_scenes(folder / "scenes"), finders, SCENES)
    drawn = sum(c == CODE for _, boxes in cached(folder / "scenes") for c, _ in boxes)
    known = sum(c == CODE for _, boxes in cached(folder / "lines") for c, _ in boxes)
    if not known > drawn:
        raise SystemExit(f"{known} lines are labelled, {drawn} were drawn: the published finders added none")
    (counted,) = measure(Looking(LINE_FINDER, 2 * SIDE, 2.0), of_scenes(folder / "lines", SCENES)).values()
    print(f"of {counted.true} lines the shipped finder finds {counted.matched}")
    if counted.matched < LINES_SHARE * counted.true:
        raise SystemExit("the shipped finder of lines is not what was trained")


def check_outlines(folder: Path) -> None:
    """The finder learns to outline plates from nearby, and the shipped outliner does."""
    nearby.draw_views(folder / "views", VIEWS, 1, None)
    plan = Plan(steps=STEPS, batch=4, rate=3e-4, warm_up=8, frozen=3)
    trainer = Trainer(plan, nearby.weights_in(TEXT_FINDER))
    source = (nearby.views([folder / "views"]), 1.0)
    held = list(islice(batches(7, 0, [source], plan.batch, plan.sides, nearby.window), 3))
    before = np.mean([trainer.loss_of(batch) for batch in held])
    (folder / "outliner").mkdir()
    run(trainer, [source], folder / "outliner", 1e9, None, nearby.window)
    after = np.mean([trainer.loss_of(batch) for batch in held])
    print(f"outlines: loss {before:.3f}, after {STEPS} steps {after:.3f}")
    if not after < FALLS_FURTHER_TO * before:
        raise SystemExit("the loss of outlines does not fall")
    out = folder / "plate_outliner.onnx"
    learnt = export.one_map(export.load(folder / "outliner" / "last.pt"), PLATE)
    export.export(learnt, out)
    if (worst := export.difference(learnt, out)) > export.TOLERANCE:
        raise SystemExit(f"the exported outliner is not the network: {worst:.1e} apart")
    for name, file in (("learnt", out), ("shipped", OUTLINER)):
        seen, outlined, as_seen, as_outlined = nearby.met(file, folder / "views")
        print(f"{name}: {outlined} of {seen} outlined, {as_outlined:.3f} of them met, by the finder {as_seen:.3f}")
        if file == OUTLINER and not as_outlined > as_seen + CLOSER:
            raise SystemExit("the shipped outliner is not what was trained")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    torch.set_num_threads(1)  # so small a network gains nothing from more
    finder, difference, correlation = convert.start(packaged(*BASE))
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
    plates, codes = measure(Looking(out, SIDE), of_scenes(folder / "scenes", SCENES)).values()
    if plates.pictures != SCENES or plates.true + codes.true == 0:
        raise SystemExit("the evaluation saw no plate and no code")
    check_lines(folder)
    check_outlines(folder)


if __name__ == "__main__":
    main()
