"""Measures a reader on labelled crops and on rendered shards.

    python -m models.plate_code_reader.train.evaluate WEIGHTS --crops us-crops=FOLDER/labels.csv \\
        --shards CACHE val-plates-eu val-codes --plot reliability.png

WEIGHTS is start.pt, a run's last.pt (its averaged weights) or an exported .onnx. A labels.csv has the columns image
and plate, and x, y, w, h in pixels if the pictures are whole photos. Prints for each set how many reads are right,
folded (O counts as 0, I as 1) and exact, with the interval of 95 % (Wilson); which characters are taken for which; and
how far confidences hold: of a read the probability of its text over all CTC paths, of a character that of its step.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from edge_agent.vision.ctc import Probabilities, best_path
from edge_agent.vision.plate_code_reader import HEIGHT, PLATE_WIDTH, straightened
from models.plate_code_reader.train.data import Shard, as_input, load_source, open_picture, plate_picture
from models.plate_code_reader.train.network import Reader
from models.plate_code_reader.train.reading import fold, right, wilson
from models.plate_code_reader.train.reliability import BINS, Said, above, calibration_error, right_characters

BATCH = 64
STATED = (0.99, 0.95, 0.9, 0.8, 0.5)
ALONG, ACROSS = 0.04, 0.06  # around a plate as the agent reads it, in its heights


@dataclass(frozen=True)
class Measured:
    """One set: what stands there, what was read and how sure the reader was, of the text and of each character."""

    name: str
    texts: tuple[str, ...]
    reads: tuple[str, ...]
    confidences: tuple[float, ...]
    characters: tuple[tuple[float, ...], ...]


def load_weights(path: Path) -> Reader:
    """The network with the weights of a start or, averaged, of a run."""
    state = torch.load(path, weights_only=True)
    network = Reader()
    network.load_state_dict(state.get("mean", state))
    return network.eval()


def predictor(path: Path) -> Callable[[NDArray[np.float32]], Probabilities]:
    """Input N × 3 × 48 × W to probabilities N × W/8 × 37."""
    if path.suffix == ".onnx":
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return lambda x: session.run(None, {"x": x})[0]
    network = load_weights(path)

    def predict(x: NDArray[np.float32]) -> Probabilities:
        with torch.inference_mode():
            return network(torch.from_numpy(x)).softmax(2).numpy()

    return predict


def labelled_crops(labels: Path) -> Shard:
    """The plates of a labels.csv, each squeezed to 48 × 192; boxes are widened as the agent widens them."""
    pictures, texts = [], []
    with labels.open(newline="") as file:
        for row in csv.DictReader(file):
            image = open_picture(labels.parent / row["image"])
            if row.get("w"):
                x, y, w, h = (float(row[k]) for k in "xywh")
                left, right, top, foot = (x - ALONG * h, x + w + ALONG * h, y - ACROSS * h, y + h + ACROSS * h)
                quad = np.array([[left, top], [right, top], [right, foot], [left, foot]], np.float32)
                pictures.append(straightened(image, quad, PLATE_WIDTH, HEIGHT))
            else:
                pictures.append(plate_picture(image))
            texts.append(row["plate"])
    return Shard(np.stack(pictures), np.full(len(texts), PLATE_WIDTH, np.int32), tuple(texts))


def measure(name: str, shard: Shard, predict: Callable[[NDArray[np.float32]], Probabilities]) -> Measured:
    """Reads every picture of a set."""
    reads, confidences, characters = [], [], []
    for i in range(0, len(shard), BATCH):
        x = as_input(shard.pictures[i : i + BATCH], shard.used[i : i + BATCH]).contiguous().numpy()
        for probabilities in predict(x):
            read = best_path(probabilities)
            reads.append(read.as_read)
            confidences.append(read.probability)
            characters.append(tuple(c.confidence for c in read.characters))
    return Measured(name, shard.texts, tuple(reads), tuple(confidences), tuple(characters))


def table(sets: Sequence[Measured]) -> str:
    """One row a set, in Markdown."""
    lines = ["| set | read right, folded | 95 % | exact |", "| --- | --- | --- | --- |"]
    for m in sets:
        of, folded = len(m.texts), right(m.reads, m.texts)
        low, high = wilson(folded, of)
        exact = right(m.reads, m.texts, folded=False)
        lines.append(
            f"| {m.name} | {folded} of {of}, {100 * folded / of:.1f} % | {100 * low:.1f}–{100 * high:.1f} "
            f"| {100 * exact / of:.1f} % |"
        )
    return "\n".join(lines)


def confusions(sets: Sequence[Measured], most: int = 20) -> list[tuple[str, int]]:
    """Character taken for character ("∅" for none), folded, the most frequent first."""
    counted: Counter[str] = Counter()
    for m in sets:
        for text, read in zip(map(fold, m.texts), map(fold, m.reads), strict=True):
            for how, a, b, c, d in SequenceMatcher(None, text, read, autojunk=False).get_opcodes():
                if how == "equal":
                    continue
                for i in range(max(b - a, d - c)):
                    stands = text[a + i] if a + i < b else "∅"
                    seen = read[c + i] if c + i < d else "∅"
                    counted[f"{stands}→{seen}"] += 1
    return counted.most_common(most)


def said_texts(sets: Sequence[Measured]) -> Said:
    """Each read's confidence, and whether it is right, folded."""
    return [(c, fold(r) == fold(t)) for m in sets for c, r, t in zip(m.confidences, m.reads, m.texts, strict=True)]


def said_characters(sets: Sequence[Measured]) -> Said:
    """Each read character's confidence, and whether it stands there, folded."""
    reads = [row for m in sets for row in zip(m.characters, m.reads, m.texts, strict=True)]
    return [pair for sure, r, t in reads for pair in zip(sure, right_characters(fold(t), fold(r)), strict=True)]


def plot(groups: Mapping[str, Sequence[Measured]], path: Path) -> None:
    """Left, how sure against how often right, in tenths of the reads; right, what holds above a stated confidence."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8.4, 3.8), dpi=80)
    left.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    thresholds = np.linspace(0, 0.99, 34)
    for name, sets in groups.items():
        for what, said, style in (("texts", said_texts(sets), "-"), ("characters", said_characters(sets), "--")):
            parts = np.array_split(np.array(sorted(said)), 2 * BINS)
            means = [p.mean(axis=0) for p in parts if len(p)]
            (line,) = left.plot(
                [m[0] for m in means], [m[1] for m in means], style, marker="o", markersize=3, label=f"{name}, {what}"
            )
            kept = [above(said, t) for t in thresholds]
            shares = [good / max(1, n) for n, good in kept]
            right.plot(thresholds, shares, style, color=line.get_color(), label=f"{name}, {what}: right")
            if what == "texts":
                right.plot(thresholds, [n / len(said) for n, _ in kept], ":", color=line.get_color(), label="kept")
    left.set_xlabel("probability of what is read")
    left.set_ylabel("share right (O = 0, I = 1)")
    right.set_xlabel("of at least this probability")
    right.set_ylim(0.7, 1.005)
    for axes in (left, right):
        axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--crops", nargs="*", default=[], metavar="NAME=LABELS.CSV")
    parser.add_argument("--shards", nargs="*", default=[], metavar=("CACHE", "SOURCE"))
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--wrong", action="store_true", help="list what was read wrong")
    a = parser.parse_args()
    predict = predictor(a.weights)
    sets = []
    for entry in a.crops:
        name, _, labels = entry.partition("=")
        sets.append(measure(name, labelled_crops(Path(labels)), predict))
    for source in a.shards[1:]:
        sets.append(measure(source, load_source(Path(a.shards[0]), source), predict))
    print(table(sets))
    print("taken for:", ", ".join(f"{what} {n}" for what, n in confusions(sets)))
    for m in sets:
        print(f"{m.name}: expected calibration error {100 * calibration_error(said_texts([m])):.1f} points")
        if a.wrong:
            wrong = [(t, r) for t, r in zip(m.texts, m.reads, strict=True) if fold(t) != fold(r)]
            print("  " + ", ".join(f"{t}→{r}" for t, r in wrong))
    groups = {"photos": sets[: len(a.crops)], "drawn": sets[len(a.crops) :]}
    groups = {name: held for name, held in groups.items() if held}
    for name, held in groups.items():
        for what, said in (("reads", said_texts(held)), ("characters", said_characters(held))):
            error = 100 * calibration_error(said)
            print(f"{name}: {len(said)} {what}, expected calibration error {error:.1f} points")
            for stated in STATED:
                kept, good = above(said, stated)
                print(f"  {kept} are at least {stated} sure, {100 * good / max(1, kept):.2f} % of them right")
    if a.plot:
        plot(groups, a.plot)


if __name__ == "__main__":
    main()
