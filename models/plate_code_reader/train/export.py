"""Writes the trained network as ONNX and checks the file against PyTorch.

    python -m models.plate_code_reader.train.export RUN/last.pt plate_code_reader.onnx

Input `x`, N × 3 × 48 × W in -1..1; output N × W/8 × 37 probabilities of CTC's blank, 0-9 and A-Z, which the metadata
entry `character` names, one a line, without the blank. --towards-start START.pt=0.8 takes the weights on the straight
line from the start (0) to the run (1). --temperature divides the logits, inside the last layer; `--temperature fit`
finds it on --shards CACHE SOURCE ... More than 1e-4 between two probabilities of PyTorch and of the file is an error.
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

from edge_agent.vision.ctc import LETTERS_AND_DIGITS
from edge_agent.vision.plate_code_reader import LINE_WIDTH, PLATE_WIDTH
from models.plate_code_reader.train.data import as_input, load_source
from models.plate_code_reader.train.evaluate import load_weights
from models.plate_code_reader.train.network import Reader
from models.plate_code_reader.train.train import ctc

TOLERANCE = 1e-4
OPSET = 17


class WithProbabilities(nn.Module):
    """The reader and the softmax after it."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, x: Tensor) -> Tensor:
        return self.reader(x).softmax(2)


def between(start: Reader, end: Reader, share: float) -> Reader:
    """The network on the straight line between two, at `share` of the way."""
    first, last = start.state_dict(), end.state_dict()
    out = Reader()
    out.load_state_dict({k: torch.lerp(first[k].float(), v.float(), share) for k, v in last.items()})
    return out.eval()


def fitted_temperature(network: Reader, cache: Path, sources: list[str]) -> float:
    """The temperature with the least CTC loss on validation shards."""
    temperatures = [round(float(t), 2) for t in np.arange(0.6, 2.05, 0.05)]
    losses = np.zeros(len(temperatures))
    for source in sources:
        shard = load_source(cache, source)
        for i in range(0, len(shard), 64):
            part = slice(i, i + 64)
            with torch.inference_mode():
                logits = network(as_input(shard.pictures[part], shard.used[part]))
                losses += [len(logits) * float(ctc(logits / t, shard.texts[part])) for t in temperatures]
    return temperatures[int(losses.argmin())]


def cooled(network: Reader, temperature: float) -> Reader:
    """The network with its logits divided by the temperature."""
    with torch.no_grad():
        network.head.weight /= temperature
        network.head.bias /= temperature
    return network


def write(network: Reader, path: Path) -> None:
    """The network and its alphabet as one file."""
    torch.onnx.export(
        WithProbabilities(network).eval(),
        (torch.zeros(1, 3, 48, PLATE_WIDTH),),
        str(path),
        input_names=["x"],
        output_names=["probabilities"],
        dynamic_axes={"x": {0: "N", 3: "W"}, "probabilities": {0: "N", 1: "steps"}},
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(str(path))
    entry = model.metadata_props.add()
    entry.key, entry.value = "character", "\n".join(LETTERS_AND_DIGITS)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def difference(network: Reader, path: Path, seed: int = 0) -> float:
    """The largest difference between two probabilities, PyTorch's and the file's, for several sizes."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed)
    worst = 0.0
    for count, width in ((1, PLATE_WIDTH), (5, PLATE_WIDTH), (3, LINE_WIDTH), (2, 96)):
        x = rng.uniform(-1, 1, (count, 3, 48, width)).astype(np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(x)).softmax(2).numpy()
        worst = max(worst, float(np.abs(session.run(None, {"x": x})[0] - expected).max()))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--towards-start", metavar="START.pt=SHARE")
    parser.add_argument("--temperature", default="1")
    parser.add_argument("--shards", nargs="*", default=[], metavar=("CACHE", "SOURCE"))
    a = parser.parse_args()
    network = load_weights(a.weights)
    if a.towards_start:
        start, _, share = a.towards_start.partition("=")
        network = between(load_weights(Path(start)), network, float(share))
    temperature = a.temperature
    if temperature == "fit":
        temperature = fitted_temperature(network, Path(a.shards[0]), a.shards[1:])
    network = cooled(network, float(temperature))
    warnings.filterwarnings("ignore", module="torch.onnx")  # the exporter says that it could fold more constants
    write(network, a.out)
    worst = difference(network, a.out)
    print(f"{a.out}: temperature {temperature}, difference to PyTorch {worst:.1e}; for model.toml:")
    print(f'size = {a.out.stat().st_size}\nsha256 = "{hashlib.sha256(a.out.read_bytes()).hexdigest()}"')
    if worst > TOLERANCE:
        raise SystemExit(f"more than {TOLERANCE}: the file does not compute what was trained")


if __name__ == "__main__":
    main()
