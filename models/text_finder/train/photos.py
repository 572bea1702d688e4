"""The dashcam photos: which are for learning and which for validation, and every plate that can be seen in them."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from models.rendering.drawn import Picture, Quad, box_quad

Part = Literal["learn", "validate"]
GAP_SECONDS = 8  # photos of one drive are a second apart; after a longer gap another car is followed
VALIDATE_EVERY = 5  # of the sequences, every fifth
EXTRA = Path(__file__).with_name("dashcam_extra.csv")


@dataclass(frozen=True, eq=False)
class LabelledPhoto:
    """A photo with its plates, and the places of which it is not known whether a plate is there (4 × 2 pixels each)."""

    name: str
    image: Picture
    plates: tuple[Quad, ...]
    unsure: tuple[Quad, ...]


def sequences(names: Sequence[str]) -> list[list[str]]:
    """The photos in groups of one drive without a gap: `<drive>.mp4_t_<second>.jpg`."""
    timed = []
    for name in names:
        match = re.fullmatch(r"(.+)_t_(\d+)\.jpg", name)
        if match is None:
            raise ValueError(f"{name} is not named DRIVE_t_SECOND.jpg: the photos' order in time is unknown")
        timed.append((match[1], int(match[2]), name))
    groups: list[list[str]] = []
    last = ("", 0)
    for drive, second, name in sorted(timed):
        if drive != last[0] or second - last[1] > GAP_SECONDS:
            groups.append([])
        groups[-1].append(name)
        last = (drive, second)
    return groups


class Dashcam:
    """One part of the photos in a folder with `labels.csv`; plates added and places left open are in dashcam_extra.csv.

    Raises ValueError if the folder does not hold what its labels name.
    """

    def __init__(self, folder: Path, part: Part) -> None:
        boxes: dict[str, dict[str, list[Quad]]] = {}
        for source in (folder / "labels.csv", EXTRA):
            if not source.is_file():
                raise ValueError(f"{source} is missing: without it the plates in the photos are unknown")
            with source.open(newline="") as lines:
                for line in csv.DictReader(lines):
                    x, y, w, h = (float(line[k]) for k in "xywh")
                    kinds = boxes.setdefault(line["image"], {"plate": [], "unsure": []})
                    kinds[line.get("kind", "plate")].append(box_quad(x, y, x + w, y + h))
        groups = sequences(list(boxes))
        self.names = [n for k, g in enumerate(groups) if (k % VALIDATE_EVERY == 2) == (part == "validate") for n in g]
        missing = [name for name in self.names if not (folder / name).is_file()]
        if missing:
            raise ValueError(f"{folder} lacks {len(missing)} labelled photos, as {missing[0]}")
        self._boxes = boxes
        self._folder = folder
        self.photo = lru_cache(maxsize=600)(self._photo)

    def __len__(self) -> int:
        return len(self.names)

    def _photo(self, index: int) -> LabelledPhoto:
        name = self.names[index]
        image = cv2.imread(str(self._folder / name), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f"{self._folder / name} is no picture that OpenCV can read")
        kinds = self._boxes[name]
        return LabelledPhoto(name, np.asarray(image, np.uint8), tuple(kinds["plate"]), tuple(kinds["unsure"]))
