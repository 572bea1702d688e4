"""The network of PP-OCRv6-small's recognition in PyTorch, with its weights taken from the ONNX file one by one.

N × 3 × 48 × W in -1..1 (blue-green-red) becomes N × W/8 × classes. The convolutions halve the height four times and
the width twice; a pooling of 3 × 2 leaves one row; two blocks of attention see the whole line.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as f
from onnx import numpy_helper
from torch import Tensor, nn

from edge_agent.vision.ctc import CLASSES

WIDTH = 120  # channels of the attention
HEADS = 8
# Input and output channels, stride of the height, squeeze-and-excitation: one row for each block.
BLOCKS = (
    (96, 96, 1, True),
    (96, 96, 1, False),
    (96, 96, 1, False),
    (96, 192, 2, False),
    (192, 192, 1, True),
    (192, 192, 1, False),
    (192, 192, 1, True),
    (192, 192, 1, False),
    (192, 192, 1, True),
    (192, 192, 1, False),
    (192, 384, 2, False),
    (384, 384, 1, True),
    (384, 384, 1, False),
)


class SqueezeExcite(nn.Module):
    """Weighs the channels by what the whole picture holds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, channels // 4, 1)
        self.up = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.up(f.relu(self.down(x.mean((2, 3), keepdim=True))))
        return x * f.hardsigmoid(weights)


class Block(nn.Module):
    """Mixes places channel by channel, then channels place by place."""

    def __init__(self, inputs: int, outputs: int, stride: int, squeeze: bool) -> None:
        super().__init__()
        self.places = nn.Conv2d(inputs, inputs, 3, (stride, 1), 1, groups=inputs)
        self.squeeze = SqueezeExcite(inputs) if squeeze else nn.Identity()
        hidden = 2 * inputs
        self.expand = nn.Conv2d(inputs, hidden, 1)
        self.project = nn.Conv2d(hidden, outputs, 1)
        self.residual = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(self.places(x))
        mixed = self.project(f.gelu(self.expand(x)))
        return x + mixed if self.residual else mixed


class Stem(nn.Module):
    """From 3 × H × W to 96 × H/4 × W/4, with a learned and a pooled branch between."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 48, 3, 2, 1)
        self.left = nn.Conv2d(48, 24, 2)
        self.right = nn.Conv2d(24, 48, 2)
        self.join = nn.Conv2d(96, 48, 3, 2, 1)
        self.last = nn.Conv2d(48, 96, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = f.relu(self.first(x))
        learned = f.relu(self.left(f.pad(x, (0, 1, 0, 1))))
        learned = f.relu(self.right(f.pad(learned, (0, 1, 0, 1))))
        # The values are not negative, so that filling up with 0 is filling up with nothing.
        pooled = f.max_pool2d(f.pad(x, (0, 1, 0, 1)), 2, 1)
        return f.relu(self.last(f.relu(self.join(torch.cat((pooled, learned), 1)))))


class Attention(nn.Module):
    """One transformer block over the steps of the line, normalised before each part."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(WIDTH, eps=1e-5)
        self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.before_mix = nn.LayerNorm(WIDTH, eps=1e-5)
        self.expand = nn.Linear(WIDTH, 2 * WIDTH)
        self.project = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.query_key_value(self.before_attention(x))
        query, key, value = qkv.reshape(x.shape[0], -1, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (query @ key.transpose(2, 3) * (WIDTH // HEADS) ** -0.5).softmax(3)
        x = x + self.out((weights @ value).transpose(1, 2).reshape(x.shape))
        return x + self.project(f.silu(self.expand(self.before_mix(x))))


class ConvBatchNorm(nn.Module):
    """A convolution without bias, batch normalisation, SiLU."""

    def __init__(self, inputs: int, width: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, WIDTH, (1, width), padding=(0, width // 2), groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(WIDTH, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return f.silu(self.norm(self.conv(x)))


class Reader(nn.Module):
    """The whole reader; its output is the logits of blank and the characters at each step."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.stem = Stem()
        self.blocks = nn.Sequential(*(Block(*row) for row in BLOCKS))
        self.short = ConvBatchNorm(384)
        self.narrow = ConvBatchNorm(384)
        self.neighbours = ConvBatchNorm(WIDTH, 7, groups=WIDTH)
        self.attention = nn.Sequential(Attention(), Attention())
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = f.avg_pool2d(self.blocks(self.stem(x)), (3, 2))
        narrow = self.narrow(x)
        line = (narrow + self.neighbours(narrow)).squeeze(2).transpose(1, 2)
        line = self.norm(self.attention(line))
        return self.head(line + self.short(x).squeeze(2).transpose(1, 2))


def _weights_in_order(path: Path) -> tuple[Iterator[np.ndarray], str]:
    """Every weight of the ONNX file in the order in which the graph uses it, and its alphabet."""
    model = onnx.load(str(path))
    held = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    names: dict[str, str] = {}
    order: list[np.ndarray] = []
    for node in model.graph.node:
        inputs = [names.get(i, i) for i in node.input]
        if node.op_type == "Identity":
            names[node.output[0]] = inputs[0]
        elif node.op_type in ("Conv", "Add", "Mul", "MatMul", "BatchNormalization"):
            order += [held[i] for i in inputs if i in held and held[i].size > 1]
    metadata = {p.key: p.value for p in model.metadata_props}
    return iter(order), metadata["character"]


def _targets_in_order(network: Reader) -> Iterator[tuple[str, Tensor]]:
    """The network's tensors in the order in which the graph uses them, which is the order of definition."""
    for prefix, module in network.named_modules():
        for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            if tensor.ndim > 0:  # batch normalisation also counts its batches
                yield f"{prefix}.{name}", tensor


def base_network(path: Path) -> tuple[Reader, list[str]]:
    """The base with all its classes, and the character of each class ("" for blank, a space last).

    Raises ValueError if the file is not the network that this module spells out.
    """
    weights, characters = _weights_in_order(path)
    alphabet = ["", *characters.split("\n"), " "]
    network = Reader(len(alphabet))
    with torch.no_grad():
        for name, target in _targets_in_order(network):
            found = next(weights, None)
            if found is None:
                raise ValueError(f"{path}: holds no weights for {name}")
            value = torch.from_numpy(found.copy())
            if name.endswith("weight") and value.ndim == 2:
                value = value.T  # ONNX multiplies from the right
            if value.numel() != target.numel():
                raise ValueError(f"{path}: {name} has shape {tuple(value.shape)}, expected {tuple(target.shape)}")
            target.copy_(value.reshape(target.shape))
    if (left := sum(1 for _ in weights)) > 0:
        raise ValueError(f"{path}: holds {left} weights more than the network")
    return network.eval(), alphabet


def _unnamed(model: onnx.ModelProto, operation: str) -> Iterator[Tensor]:
    """The weights of such nodes that the exporter folded and named anew, in the graph's order; each with its bias."""
    held = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == operation:
            yield from (torch.from_numpy(held[i].copy()) for i in node.input if i in held and i.startswith("onnx::"))


def exported_network(path: Path) -> Reader:
    """The network of a file that export.py wrote, from which training can go on.

    The exporter folds batch normalisation into the convolution before it, and turns the linear layers' weights; the
    normalisation that stands here instead only adds the convolution's bias. Raises ValueError if the file is not such
    a network.
    """
    model = onnx.load(str(path))
    named = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    state = {k.removeprefix("reader."): torch.from_numpy(v.copy()) for k, v in named.items() if k.startswith("reader.")}
    network = Reader()
    try:
        folded = _unnamed(model, "Conv")
        for name in ("narrow", "neighbours", "short"):  # as the graph goes through them
            norm = getattr(network, name).norm
            state |= {f"{name}.norm.{k}": v for k, v in norm.state_dict().items()}
            state[f"{name}.conv.weight"], state[f"{name}.norm.bias"] = next(folded), next(folded)
            state[f"{name}.norm.running_var"] = torch.full_like(norm.running_var, 1 - norm.eps)
        turned = _unnamed(model, "MatMul")
        parts = (f"attention.{n}.{part}" for n in (0, 1) for part in ("query_key_value", "out", "expand", "project"))
        for name in (*parts, "head"):
            state[f"{name}.weight"] = next(turned).T.contiguous()
        network.load_state_dict(state)
    except (StopIteration, RuntimeError) as error:
        raise ValueError(f"{path}: is not a reader that export.py wrote: {error}") from error
    return network.eval()
