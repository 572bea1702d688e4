"""Why photos' best plates are wrong: one cause a photo, decided from the label, the finder's areas and the reads.

`python -m benchmarks.plates PATH --reader own --causes` counts them, of photos that are labelled with one text and at
most one box. It names no photo, so that measuring never becomes choosing.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.plates import Corners, Label, agent_reports, labels, meets
from benchmarks.reading import Image, share, table
from edge_agent.domain.identifiers import fold_plate
from edge_agent.vision.pictures import read_picture
from edge_agent.vision.plate_code import LAST_LOOK, LONG_SIDE, LOOKS_AGAIN, PlateCodeRecogniser
from edge_agent.vision.text_finder import Quad, finder_size

COVERS = 0.9  # of the labelled box that an area must cover to count as found whole
FOUND_HEIGHT_MIN = 8.0  # pixels of the labelled box at the largest size looked at: below it a plate is hardly found
READ_HEIGHT_MIN = 14.0  # pixels of the photo: below it characters are some 8 pixels high


class Cause(StrEnum):
    """In the order in which they are looked for."""

    RANKED = "another was ranked first"
    TOO_SMALL_TO_FIND = "not found: too small at the size looked at"
    NOT_FOUND = "not found"
    NOT_REPORTED = "read right, not reported"
    TOO_SMALL_TO_READ = "read wrong: too small in the photo"
    CUT = "found in part: the labelled box is read right"
    CORNERS = "found whole: the labelled box is read right"
    SUBSTITUTED = "read wrong: one character for another"
    MISSING = "read wrong: one character missing"
    EXTRA = "read wrong: one character too many"
    MORE = "read wrong: more"


@dataclass(frozen=True)
class Failure:
    """`pair`: of one wrong character, the labelled one and the read one, '' otherwise."""

    cause: Cause
    pair: str = ""


def failure(own: PlateCodeRecogniser, image: Image, label: Label) -> Failure | None:
    """Why the best plate of a photo with one labelled text is not right, folded; None if it is."""
    truth = fold_plate(label.texts[0])
    reports = agent_reports(own, image)
    texts = [fold_plate(r.text) for r in reports]
    if texts[:1] == [truth]:
        return None
    if truth in texts:
        return Failure(Cause.RANKED)
    box = label.boxes[0] if label.boxes else (0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
    seen = [(region.quad, read) for region, read in own.considered(image) if meets(_around(region.quad), box)]
    if not seen:
        small = _height_looked_at(image, box) < FOUND_HEIGHT_MIN
        return Failure(Cause.TOO_SMALL_TO_FIND if small else Cause.NOT_FOUND)
    if any(fold_plate(read.text) == truth for _, read in seen):
        return Failure(Cause.NOT_REPORTED)
    if box[3] - box[1] < READ_HEIGHT_MIN:
        return Failure(Cause.TOO_SMALL_TO_READ)
    labelled = fold_plate(own.read_plate(image, (box[0], box[1], box[2] - box[0], box[3] - box[1])).text)
    if labelled == truth:
        whole = max(covered(box, quad) for quad, _ in seen) >= COVERS
        return Failure(Cause.CORNERS if whole else Cause.CUT)
    return misread(truth, labelled)


def misread(truth: str, read: str) -> Failure:
    """What is wrong with a reading of the labelled box; the texts are folded and differ."""
    if len(truth) == len(read):
        wrong = [f"{stands}→{seen}" for stands, seen in zip(truth, read, strict=True) if stands != seen]
        return Failure(Cause.SUBSTITUTED, wrong[0]) if len(wrong) == 1 else Failure(Cause.MORE)
    if len(read) + 1 == len(truth) and (lost := _without_one(truth, read)):
        return Failure(Cause.MISSING, f"{lost}→∅")
    if len(truth) + 1 == len(read) and (put := _without_one(read, truth)):
        return Failure(Cause.EXTRA, f"∅→{put}")
    return Failure(Cause.MORE)


def covered(box: Corners, quad: Quad) -> float:
    """The share of a box that lies within four corners."""
    x0, y0, x1, y1 = box
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)
    return float(cv2.intersectConvexConvex(corners, quad.astype(np.float32))[0]) / max(1.0, (x1 - x0) * (y1 - y0))


def measure(folder: Path, own: PlateCodeRecogniser, limit: int | None) -> dict[str, Any]:
    """Counts of one region's photos."""
    photos, causes, pairs = 0, Counter[str](), Counter[str]()
    for label in labels(folder, limit):
        if len(label.texts) != 1 or len(label.boxes) > 1:
            continue
        photos += 1
        found = failure(own, read_picture(folder / label.image), label)
        if found is not None:
            causes[found.cause] += 1
            pairs.update([found.pair] if found.pair else [])
    wrong = sum(causes.values())
    return {
        "photos": photos,
        "wrong": wrong,
        "causes": {c: causes[c] for c in Cause},
        "pairs": dict(pairs.most_common()),
    }


def as_table(results: dict[str, Any]) -> str:
    """A row for each cause that occurred, a column for each region; then the characters taken for others."""
    rows = [["best plate wrong", *(share(r["wrong"], r["photos"]) for r in results.values())]]
    rows += [
        [cause, *(str(r["causes"][cause]) for r in results.values())]
        for cause in Cause
        if any(r["causes"][cause] for r in results.values())
    ]
    regions = table(["cause", *(f"{region} ({r['photos']})" for region, r in results.items())], rows)
    pairs = sum((Counter(r["pairs"]) for r in results.values()), Counter[str]())
    return regions + ("\n\ntaken for: " + ", ".join(f"{pair} {n}" for pair, n in pairs.most_common()) if pairs else "")


def _around(quad: Quad) -> Corners:
    (x0, y0), (x1, y1) = quad.min(axis=0), quad.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _height_looked_at(image: Image, box: Corners) -> float:
    sizes: Sequence[tuple[int, float]] = ((LONG_SIDE, 1.0), *LOOKS_AGAIN, LAST_LOOK)
    rows = max(finder_size(image.shape[0], image.shape[1], long, enlarge, 0)[0] for long, enlarge in sizes)
    return float((box[3] - box[1]) * rows / image.shape[0])


def _without_one(longer: str, shorter: str) -> str:
    """The character of the longer text without which it is the shorter one; '' if there is none."""
    return next((c for i, c in enumerate(longer) if longer[:i] + longer[i + 1 :] == shorter), "")
