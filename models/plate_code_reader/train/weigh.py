"""Notes beside each shard how often each picture is worth showing, so that a run spends its time where it learns.

    python -m models.plate_code_reader.train.weigh WEIGHTS CACHE [SOURCE ...]

What WEIGHTS (start.pt, last.pt or .onnx) already reads surely is shown least, what it reads wrong most, and what is
beyond reading (less than one part in a thousand for each character) seldom. Writes `<source>-<number>.weights.npy`.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_agent.vision.ctc import text_probability
from models.plate_code_reader.train.data import as_input
from models.plate_code_reader.train.evaluate import predictor

LEAST, BEYOND = 0.15, 0.25
HOPELESS = 7.0  # loss for each character


def weights(losses: NDArray[np.float64]) -> NDArray[np.float32]:
    """Of pictures, by their CTC loss for each character."""
    out = np.clip(LEAST + losses, LEAST, 1.0)
    out[losses > HOPELESS] = BEYOND
    return out.astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("sources", nargs="*", default=[""])
    a = parser.parse_args()
    predict = predictor(a.weights)
    paths = [p for p in sorted(a.cache.glob("*.npz")) if p.name.startswith(tuple(a.sources))]
    for path in paths:
        if path.name.startswith("val-"):
            continue
        held = np.load(path)
        pictures, used, texts = held["pictures"], held["used"], held["texts"]
        losses = np.zeros(len(texts))
        for i in range(0, len(texts), 32):
            x = as_input(pictures[i : i + 32], used[i : i + 32]).contiguous().numpy()
            for j, probabilities in enumerate(predict(x), i):
                text = str(texts[j])
                losses[j] = -np.log(max(1e-30, text_probability(probabilities, text))) / len(text)
        found = weights(losses)
        np.save(path.with_suffix(".weights.npy"), found)
        print(
            f"{path.name}: mean weight {found.mean():.2f}, beyond reading {np.mean(losses > HOPELESS):.2f}", flush=True
        )


if __name__ == "__main__":
    main()
