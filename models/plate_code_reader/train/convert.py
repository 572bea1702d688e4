"""Turns the base into the network that is trained: the same weights, its classes cut down to blank, 0-9 and A-Z.

    python -m models.plate_code_reader.train.convert start.pt

The base is `PP-OCRv6_rec_small.onnx` of the package rapidocr that requirements/models.txt pins; --base names another
copy. --exported names a file that export.py wrote instead, such as the shipped reader, so that training can go on from
it where no run's folder is left. First compares the whole network in PyTorch with the file in ONNX Runtime; more than
2e-4 between two probabilities is an error.
"""

import argparse
import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from edge_agent.vision.ctc import LETTERS_AND_DIGITS
from models.plate_code_reader.train.data import as_input, line_picture
from models.plate_code_reader.train.network import Reader, base_network, exported_network
from models.rendering.codes import code_crop

TOLERANCE = 2e-4  # of a probability; rounding differs by up to 4e-5 between processors and numbers of threads


def installed_base() -> Path:
    """The base inside the installed package, which is not imported: its own dependencies are not needed."""
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("needs the package rapidocr: pip install --no-deps -r requirements/models.txt")
    return Path(next(iter(spec.submodule_search_locations))) / "models/PP-OCRv6_rec_small.onnx"


def difference(network: Reader, base: Path, seed: int = 0) -> float:
    """The largest difference between two probabilities, over rendered lines."""
    session = onnxruntime.InferenceSession(str(base), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed)
    worst = 0.0
    for _ in range(24):
        picture, used = line_picture(code_crop(rng)[0])
        x = as_input(picture[None], np.array([used], np.int32))
        expected = session.run(None, {"x": x.numpy()})[0]
        with torch.inference_mode():
            found = network(x).softmax(2).numpy()
        worst = max(worst, float(np.abs(expected - found).max()))
    return worst


def reduced(network: Reader, alphabet: list[str]) -> Reader:
    """The network with 37 classes; a letter's weights are those of the plain capital letter."""
    columns = [0, *(alphabet.index(c) for c in LETTERS_AND_DIGITS)]
    small = Reader()
    state = network.state_dict()
    state["head.weight"] = state["head.weight"][columns].clone()
    state["head.bias"] = state["head.bias"][columns].clone()
    small.load_state_dict(state)
    return small


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--exported", type=Path)
    arguments = parser.parse_args()
    path = arguments.exported or arguments.base or installed_base()
    if arguments.exported:
        small = network = exported_network(path)
    else:
        network, alphabet = base_network(path)
        small = reduced(network, alphabet)
    worst = difference(network, path)
    print(f"largest difference to {path.name}: {worst:.1e}")
    if worst > TOLERANCE:
        raise SystemExit(f"more than {TOLERANCE}: the network is not the file's")
    torch.save(small.state_dict(), arguments.out)
    print(f"{arguments.out}: {sum(p.numel() for p in small.parameters()):,} parameters")


if __name__ == "__main__":
    main()
