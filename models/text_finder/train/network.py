"""The finder's network: PP-OCRv4's mobile backbone (PP-LCNetV3) with its affine steps folded away, and a slim neck.

The neck sums features of strides 4 to 32 as PP-OCRv4's does, but with 24 channels or fewer at stride 4. The output has
stride 2 and two channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE_OUT = 2
PLATE, CODE = 0, 1


@dataclass(frozen=True)
class BlockShape:
    """One block of the backbone: channels, kernel and stride of its depthwise step, and whether it weighs channels."""

    channels_in: int
    channels_out: int
    kernel: int
    stride: int
    squeeze: bool = False


# At strides 2; 4, 4; 8, 8; 16 five times; 32 four times. The neck takes the outputs of those in TAPS.
BLOCKS = (
    BlockShape(16, 32, 3, 1),
    BlockShape(32, 48, 3, 2),
    BlockShape(48, 48, 3, 1),
    BlockShape(48, 96, 3, 2),
    BlockShape(96, 96, 3, 1),
    BlockShape(96, 192, 3, 2),
    *(BlockShape(192, 192, 5, 1),) * 4,
    BlockShape(192, 384, 5, 2, squeeze=True),
    BlockShape(384, 384, 5, 1, squeeze=True),
    *(BlockShape(384, 384, 5, 1),) * 2,
)
TAPS = (2, 4, 9, 13)
NARROW, SLIM, WIDE = 12, 24, 96  # channels in the neck: coming in at stride 4; going out; summed at strides 8 to 32


class Squeeze(nn.Module):
    """Weighs each channel, shifted by a constant, by what the whole picture holds of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.down = nn.Conv2d(channels, channels // 4, 1)
        self.up = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.shift
        weight = self.up(functional.relu(self.down(functional.adaptive_avg_pool2d(x, 1))))
        return x * functional.hardsigmoid(weight)


class Block(nn.Module):
    """Depthwise and pointwise convolution with hard-swish after each; a halving depthwise one has none."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.depth = nn.Conv2d(
            shape.channels_in,
            shape.channels_in,
            shape.kernel,
            shape.stride,
            shape.kernel // 2,
            groups=shape.channels_in,
        )
        self.activation = nn.Identity() if shape.stride == 2 else nn.Hardswish()
        self.squeeze = Squeeze(shape.channels_in) if shape.squeeze else nn.Identity()
        self.point = nn.Conv2d(shape.channels_in, shape.channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.hardswish(self.point(self.squeeze(self.activation(self.depth(x)))))


def twice(x: Tensor) -> Tensor:
    """Each place of a map as 2 × 2 places."""
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Neck(nn.Module):
    """Features of four strides to 24 channels at stride 4.

    The sums at strides 8 to 32 have 96 channels, as in PP-OCRv4; at stride 4 the coarser features come in narrow.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = [BLOCKS[tap].channels_out for tap in TAPS]
        self.in4 = nn.Conv2d(channels[0], NARROW, 1)
        self.in8 = nn.Conv2d(channels[1], WIDE, 1)
        self.in16 = nn.Conv2d(channels[2], WIDE, 1)
        self.in32 = nn.Conv2d(channels[3], WIDE, 1)
        self.out32 = nn.Conv2d(WIDE, SLIM, 3, padding=1)
        self.out16 = nn.Conv2d(WIDE, SLIM, 3, padding=1)
        self.out8 = nn.Conv2d(WIDE, 2 * SLIM, 3, padding=1)  # stride 8's own features, and its share of stride 4's
        self.out4 = nn.Conv2d(NARROW, SLIM, 3, padding=1)
        self.mix8 = nn.Conv2d(3 * SLIM, SLIM, 3, padding=1)
        self.mix4 = nn.Conv2d(SLIM, SLIM, 3, padding=1)

    def forward(self, x4: Tensor, x8: Tensor, x16: Tensor, x32: Tensor) -> Tensor:
        sum32 = self.in32(x32)
        sum16 = self.in16(x16) + twice(sum32)
        sum8 = self.in8(x8) + twice(sum16)
        out8 = self.out8(sum8)
        own8, for4 = out8[:, :SLIM], out8[:, SLIM:]
        coarse = torch.cat([twice(twice(self.out32(sum32))), twice(self.out16(sum16)), own8], 1)
        out4 = self.out4(self.in4(x4)) + twice(for4)
        return functional.relu(self.mix4(out4) + twice(self.mix8(coarse)))


class Finder(nn.Module):
    """N × 3 × H × W, H and W multiples of 32, to N × 2 × H/2 × W/2: plate and container code, before the sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.blocks = nn.ModuleList(Block(shape) for shape in BLOCKS)
        self.neck = Neck()
        self.grow = nn.Conv2d(SLIM, 4 * SLIM, 1)  # each cell's four quarters
        self.decide = nn.Conv2d(4 * SLIM, 8, 1)

    def features(self, x: Tensor) -> list[Tensor]:
        """The backbone's outputs at strides 4, 8, 16 and 32."""
        x = self.stem(x)
        taps = []
        for n, block in enumerate(self.blocks):
            x = block(x)
            if n in TAPS:
                taps.append(x)
        return taps

    def forward(self, x: Tensor) -> Tensor:
        x = self.decide(functional.relu(self.grow(self.neck(*self.features(x)))))
        return functional.pixel_shuffle(x, STRIDE_OUT)


class FinderWithSigmoid(nn.Module):
    """The finder as it is exported: probabilities."""

    def __init__(self, finder: Finder) -> None:
        super().__init__()
        self.finder = finder

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.finder(x))
