"""Whether eight-bit numbers would make a finder faster: quantises it, and times both on one thread, by turns.

    python -m models.text_finder.train.quantise MODEL.onnx --photos ../shared/data/plates/dashcam

Static quantisation by ONNX Runtime's own tool (QDQ, weights by channel, ranges from 60 photos at 640 pixels), with its
preparation of the graph. Prints processor time a look; nothing of the result is shipped unless it is faster.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from edge_agent.vision.text_finder import finder_input

LONG_SIDE = 640
OPERATIONS = ["Conv", "ConvTranspose", "Add", "Mul", "Concat"]
ROUNDS = 30


class Photos(CalibrationDataReader):
    """Some photos of a folder, as the finder is given them."""

    def __init__(self, folder: Path, number: int) -> None:
        paths = sorted(folder.rglob("*.jpg"))
        self.inputs = [
            finder_input(image.astype(np.uint8), LONG_SIDE, short_side=0)
            for path in random.Random(1).sample(paths, min(number, len(paths)))
            if (image := cv2.imread(str(path))) is not None
        ]
        if not self.inputs:
            raise SystemExit(f"no JPEG under {folder}: name the folder of the dashcam photos")
        self._left: Iterator[npt.NDArray[np.float32]] = iter(self.inputs)

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        batch = next(self._left, None)
        return None if batch is None else {"x": batch}


def opened(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    options = parser.parse_args()
    photos = Photos(options.photos, 60)
    with tempfile.TemporaryDirectory() as folder:
        prepared, eight = Path(folder, "prepared.onnx"), Path(folder, "eight.onnx")
        quant_pre_process(str(options.model), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared), str(eight), photos, quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=OPERATIONS,
        )  # fmt: skip
        sessions = {"float": opened(options.model), "eight bits": opened(eight)}
        took: dict[str, list[float]] = {name: [] for name in sessions}
        for n in range(ROUNDS):
            for name, session in sessions.items():
                began = time.thread_time()
                session.run(None, {"x": photos.inputs[n % len(photos.inputs)]})
                took[name].append((time.thread_time() - began) * 1000)
        apart = [
            float(np.abs(a - b).mean())
            for x in photos.inputs[:10]
            for a, b in [[session.run(None, {"x": x})[0] for session in sessions.values()]]
        ]
    for name, times in took.items():
        print(f"{name:<12} {statistics.median(times):6.1f} ms of one core, median of {ROUNDS}")
    print(f"mean difference of the maps' probabilities {statistics.mean(apart):.4f}")


if __name__ == "__main__":
    main()
