"""Writes the averaged weights of a run as the ONNX file that the agent loads, and checks it against PyTorch.

    python -m models.text_finder.train.export RUN/last.pt text_finder.onnx
    python -m models.text_finder.train.export RUN/last.pt line_finder.onnx --only code
    python -m models.text_finder.train.export RUN/last.pt plate_outliner.onnx --only plate

--only leaves the other map out: `code` of a finder that learnt every line of text, `plate` of the plate outliner.
More than 1e-4 between two probabilities, over drawn pictures of three sizes, is an error. Prints size and SHA-256 for
model.toml.
"""

import argparse
import hashlib
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from models.text_finder.train.convert import drawn_text
from models.text_finder.train.network import CODE, PLATE, STRIDE_OUT, Finder, FinderWithSigmoid
from models.text_finder.train.train import weights

TOLERANCE = 1e-4
SIZES = ((384, 640), (320, 320), (96, 480), (192, 320))
OPSET = 17
CHANNELS = {"plate": PLATE, "code": CODE}


def load(path: Path) -> Finder:
    """The finder of a run (its average) or of a file of bare weights."""
    finder = Finder()
    finder.load_state_dict(weights(path))
    return finder.eval()


def one_map(finder: Finder, channel: int) -> Finder:
    """The same finder without its other map."""
    both = finder.decide
    assert both.bias is not None
    finder.decide = nn.Conv2d(both.in_channels, STRIDE_OUT**2, 1)
    own = slice(channel * STRIDE_OUT**2, (channel + 1) * STRIDE_OUT**2)
    finder.decide.load_state_dict({"weight": both.weight[own], "bias": both.bias[own]})
    return finder.eval()


def export(finder: Finder, path: Path) -> None:
    """Writes the finder with its sigmoid; batch, height and width are free."""
    free = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            FinderWithSigmoid(finder), (torch.zeros(1, 3, 64, 96),), str(path), dynamo=False, opset_version=OPSET,
            input_names=["x"], output_names=["probability"],
            dynamic_axes={"x": free, "probability": {0: "batch", 2: "rows", 3: "columns"}},
        )  # fmt: skip
    model = onnx.load(str(path))
    model.producer_name, model.doc_string = "", ""
    for node in model.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def difference(finder: Finder, path: Path) -> float:
    """The largest difference between a probability in PyTorch and in ONNX Runtime."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    model = FinderWithSigmoid(finder).eval()
    worst = 0.0
    for seed, (height, width) in enumerate(SIZES):
        x = np.ascontiguousarray(drawn_text(max(height, width), 2, seed)[:, :, :height, :width])
        with torch.inference_mode():
            expected: Tensor = model(torch.from_numpy(x))
        found = session.run(None, {"x": x})[0]
        if found.shape != tuple(expected.shape) or found.shape[2:] != (height // STRIDE_OUT, width // STRIDE_OUT):
            raise ValueError(f"{path}: {found.shape} for a picture of {height} × {width}")
        worst = max(worst, float(np.abs(expected.numpy() - found).max()))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", choices=CHANNELS, help="this map alone")
    a = parser.parse_args()
    finder = load(a.weights)
    finder = one_map(finder, CHANNELS[a.only]) if a.only else finder
    export(finder, a.out)
    worst = difference(finder, a.out)
    print(f"largest difference between PyTorch and ONNX Runtime: {worst:.1e}")
    if worst > TOLERANCE:
        raise SystemExit(f"more than {TOLERANCE}: the file is not the network")
    data = a.out.read_bytes()
    print(f"{a.out}: size = {len(data)}, sha256 = {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
