"""Models small enough to be known by heart, and pictures that they read.

The finders take red areas for plates and green ones for lines, on a map four times coarser. The reader takes
one blue level for each character: a text is a row of stripes, with stripes of the blank's level between them.
"""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.vision.ctc import CLASSES, LETTERS_AND_DIGITS
from edge_agent.vision.frame import Image
from edge_agent.vision.plate_code_finder import INSET
from tests.unit.vision.onnx_file import OnnxFile, node

BLANK = 128
SHARPNESS = 3000.0
DESCRIPTION = """name = "{name}"
title = "for tests"
[source]
path = "{name}.onnx"
size = {size}
sha256 = "{sha256}"
[licence]
spdx = "Apache-2.0"
holder = "nobody"
[input]
name = "x"
shape = {input}
[output]
shape = {output}
"""
ALPHABET = '[alphabet]\nmetadata_key = "character"\ncharacters = {}\nsha256 = "{}"\n'


def level(kind: int) -> float:
    """The blue level of a class, in -1..1; the blank's is 0."""
    return (((kind + 18) % CLASSES) - 18) / 18


def finder(*colours: int) -> bytes:
    """A map for each of the colours' channels."""
    weights = np.zeros((len(colours), 3, 1, 1), np.float32)
    weights[range(len(colours)), colours] = 8
    nodes = [
        node("AveragePool", ["x"], "coarse", kernel_shape=[4, 4], strides=[4, 4]),
        node("Conv", ["coarse", "weights"], "logits"),
        node("Sigmoid", ["logits"], "maps"),
    ]
    shapes = ("x", ("N", 3, "H", "W")), ("maps", ("N", len(colours), "h", "w"))
    return OnnxFile(*shapes, nodes, {"weights": weights}).data()


def reader(characters: str = LETTERS_AND_DIGITS) -> bytes:
    weights = np.zeros((CLASSES, 3, 1, 1), np.float32)
    weights[:, 0, 0, 0] = [2 * SHARPNESS * level(k) for k in range(CLASSES)]
    constants: dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]] = {
        "weights": weights,
        "biases": np.array([-SHARPNESS * level(k) ** 2 for k in range(CLASSES)], np.float32),
        "from": np.array([24], np.int64),
        "to": np.array([25], np.int64),
        "row": np.array([2], np.int64),
        "class": np.array([1], np.int64),
        "one": np.array([1], np.float32),
        "last": np.array([CLASSES], np.int64),
    }
    nodes = [
        node("Slice", ["x", "from", "to", "row"], "middle"),
        node("Conv", ["middle", "weights", "biases"], "logits"),
        node("Softmax", ["logits"], "columns", axis=1),
        # A step says what both of two columns say, so that an edge between two stripes says nothing.
        node("Neg", ["columns"], "negative"),
        node("MaxPool", ["negative"], "most", kernel_shape=[1, 2], strides=[1, 8]),
        node("Neg", ["most"], "least"),
        node("Slice", ["least", "class", "last", "class"], "characters"),
        node("ReduceSum", ["characters", "class"], "said", keepdims=1),
        node("Sub", ["one", "said"], "blank"),
        node("Concat", ["blank", "characters"], "both", axis=1),
        node("Squeeze", ["both", "row"], "line"),
        node("Transpose", ["line"], "probabilities", perm=[0, 2, 1]),
    ]
    shapes = ("x", ("N", 3, 48, "W")), ("probabilities", ("N", "steps", CLASSES))
    return OnnxFile(*shapes, nodes, constants, {"character": "\n".join(characters)}).data()


def models(folder: Path, characters: str = LETTERS_AND_DIGITS) -> Path:
    """The models with their descriptions, as PlateCodeRecogniser.open takes them."""
    digest = hashlib.sha256("\n".join(characters).encode()).hexdigest()
    for name, data, inputs, outputs, more in (
        ("text_finder", finder(2, 1), "[0, 3, 0, 0]", "[0, 2, 0, 0]", ""),
        ("line_finder", finder(1), "[0, 3, 0, 0]", "[0, 1, 0, 0]", ""),
        ("plate_outliner", finder(2), "[0, 3, 0, 0]", "[0, 1, 0, 0]", ""),
        ("plate_code_reader", reader(characters), "[0, 3, 48, 0]", f"[0, 0, {CLASSES}]",
         ALPHABET.format(len(characters), digest)),
    ):  # fmt: skip
        (folder / name).mkdir(parents=True)
        (folder / name / f"{name}.onnx").write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        text = DESCRIPTION.format(name=name, size=len(data), sha256=sha256, input=inputs, output=outputs)
        (folder / name / "model.toml").write_text(text + more)
    return folder


def empty(width: int = 640, height: int = 480) -> Image:
    """A lane without a vehicle."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, :, 0] = BLANK
    image[::7, ::5, 2] = 30  # a picture, not one tone
    return image


def stripes(text: str, width: int, height: int) -> Image:
    """The text as blue stripes."""
    kinds = [0]
    for character in text:
        kinds += [LETTERS_AND_DIGITS.index(character) + 1, 0]
    row = np.array([round((level(k) + 1) * 127.5) for k in kinds], np.uint8)
    at = np.minimum(np.arange(width) * len(kinds) // width, len(kinds) - 1)
    return np.broadcast_to(row[at], (height, width)).astype(np.uint8)


def draw(image: Image, text: str, x: int, y: int, w: int, h: int, channel: int = 2) -> None:
    """A plate (channel 2) or a line of a code (channel 1) at that place; what marks it is shrunk as for training."""
    image[y : y + h, x : x + w, 0] = stripes(text, w, h)
    inside = round(INSET * min(w, h))
    image[y + inside : y + h - inside, x + inside : x + w - inside, channel] = 255


def turned(image: Image, degrees: float) -> Image:
    """The picture turned about its middle."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(  # type: ignore[return-value]
        image, matrix, (width, height), flags=cv2.INTER_NEAREST, borderValue=(BLANK, 0, 0)
    )
