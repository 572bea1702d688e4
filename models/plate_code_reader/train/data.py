"""Pictures of plates and code lines as shards on disk, and as batches with light augmentation.

A shard `<source>-<number>.npz` holds `pictures` (N × 48 × W × 3, blue-green-red, 0..255), `used` (N, columns that hold
the picture; the rest is padding) and `texts` (N). Beside it `<source>-<number>.weights.npy` (weigh.py) may say how
often each picture is worth showing. W is 192 for plates, 320 for code lines.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_agent.vision.ctc import LETTERS_AND_DIGITS
from edge_agent.vision.plate_code_reader import HEIGHT, LINE_WIDTH, LINE_WIDTH_MIN, PLATE_WIDTH, resized

CLASS_OF = {c: i + 1 for i, c in enumerate(LETTERS_AND_DIGITS)}

Picture = NDArray[np.uint8]
Rng = np.random.Generator


@dataclass(frozen=True)
class Shard:
    """Pictures of one source."""

    pictures: Picture
    used: NDArray[np.int32]
    texts: tuple[str, ...]
    weights: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.texts)


def plate_picture(image: Picture) -> Picture:
    """A whole plate squeezed to 48 × 192."""
    return resized(image, PLATE_WIDTH, HEIGHT)


def rows_side_by_side(image: Picture) -> Picture:
    """The upper and the lower half of a plate of two rows, left and right in 48 × 192, as the agent reads them."""
    middle = image.shape[0] // 2
    halves = [resized(part, PLATE_WIDTH // 2, HEIGHT) for part in (image[:middle], image[middle:])]
    return np.concatenate(halves, axis=1)


def line_picture(image: Picture) -> tuple[Picture, int]:
    """A line at a height of 48 with its shape kept, filled up to 320 columns; and the columns used."""
    used = min(LINE_WIDTH, max(LINE_WIDTH_MIN, round(HEIGHT * image.shape[1] / image.shape[0])))
    out = np.zeros((HEIGHT, LINE_WIDTH, 3), np.uint8)
    out[:, :used] = resized(image, used, HEIGHT)
    return out, used


def open_picture(path: Path) -> Picture:
    """A picture file. Raises FileNotFoundError if there is none."""
    image = cv2.imread(str(path))
    if image is None:
        raise FileNotFoundError(f"{path} is no picture")
    return image.astype(np.uint8, copy=False)


def save_shard(path: Path, pictures: Sequence[Picture], used: Sequence[int], texts: Sequence[str]) -> None:
    """Writes a shard whole or not at all."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, pictures=np.stack(pictures), used=np.asarray(used, np.int32), texts=np.asarray(texts))
    part.rename(path)


def load_source(folder: Path, source: str) -> Shard:
    """All shards of one source. Raises FileNotFoundError if there is none."""
    paths = sorted(folder.glob(f"{source}-[0-9]*.npz"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no shard of {source}: run render.py first")
    held = [np.load(p) for p in paths]
    noted = [p.with_suffix(".weights.npy") for p in paths]
    weights = np.concatenate([np.load(n) for n in noted]) if all(n.exists() for n in noted) else None
    texts = tuple(str(t) for h in held for t in h["texts"])
    return Shard(
        np.concatenate([h["pictures"] for h in held]), np.concatenate([h["used"] for h in held]), texts, weights
    )


def as_input(pictures: Picture, used: NDArray[np.int32]) -> Tensor:
    """N × 48 × W × 3 as N × 3 × 48 × W in -1..1, 0 where nothing is used."""
    values = pictures.astype(np.float32) / 127.5 - 1
    for row, end in zip(values, used, strict=True):
        row[:, end:] = 0
    return torch.from_numpy(values).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def targets(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The texts as CTC's classes, one after the other, and their lengths."""
    labels = [CLASS_OF[c] for text in texts for c in text]
    return torch.tensor(labels, dtype=torch.long), torch.tensor([len(t) for t in texts], dtype=torch.long)


def augmented(rng: Rng, picture: Picture, used: int) -> Picture:
    """The picture a little moved, sheared, blurred, in another light and with noise: one drawn, many seen."""
    height, width = picture.shape[:2]
    out: NDArray[Any] = picture
    if rng.random() < 0.8:
        scale = rng.uniform(0.93, 1.05, 2)
        shear = rng.normal(0, 0.02)
        matrix = np.array([[scale[0], 4 * shear, 0], [shear / 8, scale[1], 0]], np.float32)
        middle = np.array([used / 2, height / 2], np.float32)
        shift = rng.normal(0, [0.012 * used, 0.03 * height])
        matrix[:, 2] = middle - matrix[:, :2] @ middle + shift
        out = cv2.warpAffine(out, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.25:
        smaller = rng.uniform(0.35, 0.8)
        size = max(8, round(width * smaller)), max(8, round(height * smaller))
        out = cv2.resize(cv2.resize(out, size, interpolation=cv2.INTER_AREA), (width, height))
    if rng.random() < 0.15:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.2))
    values: NDArray[Any] = out.astype(np.float32)
    if rng.random() < 0.7:
        gain, lift = rng.uniform(0.7, 1.3), rng.uniform(-25, 25)
        tint = rng.normal(1, 0.05, 3).astype(np.float32)
        values = (values - 128) * gain * tint + 128 + lift
    if rng.random() < 0.08:
        values = np.repeat(values.mean(2, keepdims=True), 3, 2)
    if rng.random() < 0.06:
        values = 255 - values
    if rng.random() < 0.3:
        values = values + rng.normal(0, rng.uniform(1, 9), values.shape)
    return np.clip(values, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Batch:
    """One step's input, with its texts."""

    x: Tensor
    texts: tuple[str, ...]


def batches(rng: Rng, sources: Sequence[tuple[Shard, float]], size: int) -> Iterator[Batch]:
    """Endless batches of one width, each picture from a source drawn by weight."""
    shares = np.array([share for _, share in sources], float)
    shares /= shares.sum()
    reach = [np.cumsum(np.ones(len(s)) if s.weights is None else s.weights, dtype=float) for s, _ in sources]
    while True:
        of = rng.choice(len(sources), size, p=shares)
        chosen = [(sources[s][0], int(np.searchsorted(reach[s], rng.random() * reach[s][-1]))) for s in of]
        used = np.array([shard.used[i] for shard, i in chosen], np.int32)
        pictures = np.stack([augmented(rng, shard.pictures[i], int(shard.used[i])) for shard, i in chosen])
        yield Batch(as_input(pictures, used), tuple(shard.texts[i] for shard, i in chosen))
