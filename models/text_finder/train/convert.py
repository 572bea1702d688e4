"""Turns the base, PP-OCRv4's mobile text detector, into the network that is trained.

    python -m models.text_finder.train.convert BASE.onnx start.pt

BASE.onnx is `rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx` of rapidocr-onnxruntime 1.4.4 (Apache-2.0).
The backbone's scalar steps are folded into its convolutions; its features are then compared with the file's in ONNX
Runtime, and more than 1e-5 of a feature's range between them is an error. The neck is made from the base's: what it
computes at stride 4 from coarser features is computed at stride 8 with the mean of the kernel's phases, and its
re-weighing of channels becomes a constant measured on drawn text. It therefore starts near the base, not at it: the
correlation of both maps of text is printed, and less than 0.8 is an error.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from models.text_finder.train.network import SLIM, TAPS, Block, Finder, twice

Floats = NDArray[np.float32]
TOLERANCE = 1e-5
CORRELATION_MIN = 0.8
SOFTEN = 0.3  # the base is sure of all text; what is to be forgotten should not be that sure
HARD_SWISH_STEPS = 4  # Add 3, Clip 0..6, Mul, Div 6


class Base:
    """The base's graph: its convolutions in order, and what follows each."""

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(str(path))
        graph = self.model.graph
        self.constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self.nodes = [n for n in graph.node if n.op_type != "Constant"]
        self.convolutions = [n for n in self.nodes if n.op_type == "Conv"]
        self.users = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.users[name].append(node)

    def weights(self, n: int) -> tuple[Floats, Floats]:
        """Kernel and bias of the n-th convolution."""
        names = self.convolutions[n].input
        kernel = self.constants[names[1]]
        return kernel, self.constants[names[2]] if len(names) > 2 else np.zeros(len(kernel), np.float32)

    def scalar(self, name: str, kind: str) -> tuple[float, str] | None:
        """The scalar that the only user of `name`, if it is a `kind`, applies; and that user's output."""
        (user,) = self.users[name] if len(self.users[name]) == 1 else (None,)
        if user is None or user.op_type != kind:
            return None
        held = [self.constants[i] for i in user.input if i in self.constants]
        return (float(held[0].reshape(-1)[0]), user.output[0]) if held and held[0].size == 1 else None

    def affine(self, name: str) -> tuple[float, float, str]:
        """Scale and shift after `name`, and the name of the result; 1 and 0 if there are none."""
        scale = self.scalar(name, "Mul")
        if scale is None:
            return 1.0, 0.0, name
        shift = self.scalar(scale[1], "Add")
        if shift is None:
            raise ValueError(f"a scale without a shift after {name}: this is not PP-OCRv4's mobile detector")
        return scale[0], shift[0], shift[1]

    def past_hard_swish(self, name: str) -> str:
        """The output of the hard-swish of `name`; `name` itself if none follows."""
        if sorted(u.op_type for u in self.users[name]) != ["Add", "Mul"]:
            return name
        for _ in range(HARD_SWISH_STEPS):
            name = self.users[name][0].output[0]
        return name

    def features(self, x: Floats, names: list[str]) -> list[Floats]:
        """The named values for a batch, from ONNX Runtime."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        found: list[Floats] = session.run(names, {"x": x})
        return found


def _set(layer: nn.Conv2d, kernel: Floats, bias: Floats | None = None) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.array(kernel, np.float32)))
        if layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(np.zeros(len(kernel), np.float32) if bias is None else np.array(bias)))


class Folding:
    """Walks the backbone and carries the scale and shift that stand between two convolutions into the next one."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.next = 0
        self.scale, self.shift = 1.0, 0.0
        self.name = ""

    def _fold(self, layer: nn.Conv2d) -> None:
        kernel, bias = self.base.weights(self.next)
        out = self.base.convolutions[self.next].output[0]
        self.next += 1
        scale, shift, self.name = self.base.affine(out)
        bias = bias + self.shift * kernel.sum((1, 2, 3))
        _set(layer, kernel * self.scale * scale, bias * scale + shift)
        self.scale, self.shift = 1.0, 0.0
        after = self.base.past_hard_swish(self.name)
        if after != self.name:
            self.scale, self.shift, self.name = self.base.affine(after)

    def stem(self, layer: nn.Conv2d) -> None:
        kernel, _ = self.base.weights(0)
        node = self.base.users[self.base.convolutions[0].output[0]][0]
        gain, offset, mean, variance = (self.base.constants[i] for i in node.input[1:])
        factor = gain / np.sqrt(variance + 1e-5)
        _set(layer, kernel * factor[:, None, None, None], offset - mean * factor)
        self.next = 1

    def block(self, block: Block) -> float:
        """Fills one block; returns the padding value with which its depthwise step equals the base's."""
        padding = -self.shift / self.scale
        self._fold(block.depth)
        if isinstance(block.squeeze, nn.Module) and not isinstance(block.squeeze, nn.Identity):
            with torch.no_grad():
                block.squeeze.shift.fill_(self.shift / self.scale)
            kernel, bias = self.base.weights(self.next)
            _set(block.squeeze.down, kernel * self.scale, bias)
            _set(block.squeeze.up, *self.base.weights(self.next + 1))
            self.next += 2
            self.shift = 0.0
        self._fold(block.point)
        return padding


class _PaddedWith(nn.Module):
    """A depthwise convolution whose border is not zero."""

    def __init__(self, layer: nn.Conv2d, value: float) -> None:
        super().__init__()
        self.layer, self.value = layer, value

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.layer
        x = functional.pad(x, [int(kernel.padding[0])] * 4, value=self.value)
        return functional.conv2d(x, kernel.weight, kernel.bias, kernel.stride, groups=kernel.groups)


def fold_backbone(base: Base, finder: Finder) -> tuple[list[str], list[tuple[float, float]], list[float], int]:
    """Fills the backbone; returns the taps' names in the base, the affine steps after them, paddings, what is next."""
    fold = Folding(base)
    fold.stem(finder.stem)
    names, affine, paddings = [], [], []
    for n, block in enumerate(finder.blocks):
        assert isinstance(block, Block)
        paddings.append(fold.block(block))
        if n in TAPS:
            names.append(fold.name)
            affine.append((fold.scale, fold.shift))
    return names, affine, paddings, fold.next


def backbone_difference(
    base: Base, finder: Finder, names: list[str], affine: list[tuple[float, float]], paddings: list[float], x: Floats
) -> float:
    """The largest difference of a feature, as a share of the features' range, with the base's borders."""
    plain = [block.depth for block in finder.blocks]
    for block, padding in zip(finder.blocks, paddings, strict=True):
        block.depth = _PaddedWith(block.depth, padding)
    with torch.inference_mode():
        found = finder.features(torch.from_numpy(x))
    for block, depth in zip(finder.blocks, plain, strict=True):
        block.depth = depth
    worst = 0.0
    for ours, (scale, shift), theirs in zip(found, affine, base.features(x, names), strict=True):
        worst = max(worst, float(np.abs(ours.numpy() * scale + shift - theirs).max() / np.ptp(theirs)))
    return worst


def gain(base: Base, convolution: int, x: Floats) -> Floats:
    """The mean factor with which the base's neck weighs the channels of that convolution, 1 × C × 1 × 1."""
    out = base.convolutions[convolution].output[0]
    add = next(u for u in base.users[out] if u.op_type == "Add")
    before, after = base.features(x, [out, add.output[0]])
    weighed = (np.abs(after).sum((0, 2, 3)) / np.abs(before).sum((0, 2, 3))).astype(np.float32)
    return weighed[:, None, None, None]


def coarse(kernel: Floats) -> Floats:
    """The kernel for a map that is on the mean what `kernel` is for the map enlarged to twice; both 3 × 3."""
    mean = np.array([[0.5, 0, 0], [0.5, 1, 0.5], [0, 0, 0.5]], np.float32)
    found: Floats = np.einsum("ia,jb,ocab->ocij", mean, mean, kernel)
    return found


def fill_neck(base: Base, finder: Finder, affine: list[tuple[float, float]], first: int, x: Floats) -> None:
    """Neck and head from the base's, which begin with convolution `first`."""
    neck = finder.neck
    into = {}
    for n, layer in enumerate((None, neck.in8, neck.in16, neck.in32)):
        scale, shift = affine[n]
        kernel, bias = base.weights(first + n)
        bias = bias + shift * kernel.sum((1, 2, 3))
        kernel = kernel * scale
        index = first + 4 + 3 * (3 - n)
        widen = (base.weights(index)[0] * gain(base, index, x))[:, :, 0, 0]
        if layer is None:
            _set(neck.in4, kernel, bias)
        else:
            _set(layer, np.einsum("oi,icab->ocab", widen, kernel), widen @ bias)
        into[n] = widen
    out = [base.weights(i)[0] * gain(base, i, x) for i in (first + 16 + 3 * k for k in range(4))]  # strides 32 to 4
    _set(neck.out32, out[0])
    _set(neck.out16, out[1])
    _set(neck.out8, np.concatenate([out[2], coarse(out[3])]))
    _set(neck.out4, np.einsum("oiab,ic->ocab", out[3], into[0]))
    head = base.weights(first + 28)[0]
    norms = [n for n in base.nodes if n.op_type == "BatchNormalization"][-2:]
    factors = []
    for norm in norms:
        scales, offset, mean, variance = (base.constants[i] for i in norm.input[1:])
        factors.append((np.asarray(scales / np.sqrt(variance + 1e-5), np.float32), offset, mean))
    (factor, offset, mean), (factor2, offset2, mean2) = factors
    head = head * factor[:, None, None, None]
    _set(neck.mix8, coarse(head[:, : 3 * SLIM]))
    _set(neck.mix4, head[:, 3 * SLIM :], offset - mean * factor)
    fill_head(base, finder, factor2, offset2 - mean2 * factor2)


def fill_head(base: Base, finder: Finder, factor: Floats, offset: Floats) -> None:
    """The two enlarging steps of the base, the second at the mean of its quarters, for both channels alike."""
    steps = [n for n in base.nodes if n.op_type == "ConvTranspose"]
    first, second = (base.constants[n.input[1]] for n in steps)
    biases = []
    for step in steps:
        add = base.users[step.output[0]][0]
        biases.append(next(base.constants[i].reshape(-1) for i in add.input if i in base.constants))
    quarters = first.transpose(2, 3, 1, 0).reshape(4, SLIM, SLIM) * factor[None, :, None]
    bias = np.tile(biases[0] * factor + offset, 4)
    _set(finder.grow, quarters.reshape(4 * SLIM, SLIM, 1, 1), bias)
    decide = np.zeros((8, 4 * SLIM, 1, 1), np.float32)
    for channel in range(2):
        for quarter in range(4):
            decide[channel * 4 + quarter, quarter * SLIM : (quarter + 1) * SLIM, 0, 0] = second.mean((1, 2, 3))
    _set(finder.decide, decide * SOFTEN, np.full(8, biases[1][0] * SOFTEN, np.float32))


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def balance(finder: Finder, x: Floats) -> None:
    """Scales neck and head so that what runs between their steps is near 1; what they compute stays the same.

    The base's have values of thousands and weights of hundred-thousandths, which an optimiser with one rate destroys.
    """
    neck = finder.neck

    def scale(layers: list[nn.Conv2d], factor: float) -> None:
        for layer in layers:
            layer.weight *= factor
            _bias(layer).mul_(factor)

    def size(value: Tensor) -> float:
        return float(value.square().mean().sqrt())

    with torch.no_grad():
        x4, x8, x16, x32 = finder.features(torch.from_numpy(x))
        sum32 = neck.in32(x32)
        sum16 = neck.in16(x16) + twice(sum32)
        sum8 = neck.in8(x8) + twice(sum16)
        narrow = neck.in4(x4)
        out8 = neck.out8(sum8)
        outs = [neck.out32(sum32), neck.out16(sum16), out8[:, :SLIM]]
        for4 = neck.out4(narrow) + twice(out8[:, SLIM:])
        sums, coming = size(sum8), size(narrow)
        scale([neck.in32, neck.in16, neck.in8], 1 / sums)
        scale([neck.in4], 1 / coming)
        sizes = [size(out) for out in outs]
        for layer, out in ((neck.out32, sizes[0]), (neck.out16, sizes[1])):
            layer.weight *= sums / out
            _bias(layer).div_(out)
        wide = torch.tensor([sizes[2]] * SLIM + [size(for4)] * SLIM)
        neck.out8.weight *= (sums / wide)[:, None, None, None]
        _bias(neck.out8).div_(wide)
        neck.out4.weight *= coming / size(for4)
        _bias(neck.out4).div_(size(for4))
        neck.mix8.weight *= torch.tensor(sizes).repeat_interleave(SLIM)[None, :, None, None]
        neck.mix4.weight *= size(for4)
        mixed = neck(x4, x8, x16, x32)
        grown = functional.relu(finder.grow(mixed))
        mixed_size, grown_size = size(mixed), size(grown)
        scale([neck.mix8, neck.mix4], 1 / mixed_size)
        finder.grow.weight *= mixed_size / grown_size
        _bias(finder.grow).div_(grown_size)
        finder.decide.weight *= grown_size


def drawn_text(side: int = 480, pictures: int = 4, seed: int = 0) -> Floats:
    """Pictures of text in many sizes, as a batch in -1..1."""
    rng = np.random.default_rng(seed)
    batch = []
    for _ in range(pictures):
        image = cv2.resize(rng.integers(40, 216, (6, 6, 3), np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
        for _ in range(14):
            text = "".join(rng.choice(list("ABCDEFGHKLMNPRSTUXYZ0123456789"), 7))
            colour = [int(c) for c in rng.integers(0, 256, 3)]
            at = int(rng.integers(0, side - 120)), int(rng.integers(20, side - 5))
            cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, float(rng.uniform(0.4, 1.6)), colour, 2, cv2.LINE_AA)
        batch.append(image.transpose(2, 0, 1))
    return np.stack(batch).astype(np.float32) / 127.5 - 1


def start(path: Path) -> tuple[Finder, float, float]:
    """The network to train, the backbone's difference to the base, and the correlation of both maps of text."""
    base = Base(path)
    finder = Finder().eval()
    names, affine, paddings, first = fold_backbone(base, finder)
    x = drawn_text()
    difference = backbone_difference(base, finder, names, affine, paddings, x)
    fill_neck(base, finder, affine, first, x)
    balance(finder, x)
    with torch.inference_mode():
        ours = torch.sigmoid(finder(torch.from_numpy(x)) / SOFTEN)[:, 0].numpy()
    theirs = base.features(x, [base.model.graph.output[0].name])[0][:, 0]
    theirs = theirs.reshape(len(x), ours.shape[1], 2, ours.shape[2], 2).mean((2, 4))
    return finder, difference, float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    finder, difference, correlation = start(arguments.base)
    print(f"backbone: largest difference {difference:.1e} of the range; maps of text: correlation {correlation:.3f}")
    if difference > TOLERANCE or correlation < CORRELATION_MIN:
        raise SystemExit("the network is not the base's")
    torch.save(finder.state_dict(), arguments.out)
    print(f"{arguments.out}: {sum(p.numel() for p in finder.parameters()):,} parameters")


if __name__ == "__main__":
    main()
