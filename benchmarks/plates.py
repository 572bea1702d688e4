"""Plates on whole photos: the agent's recogniser against rapidocr on the same photos in the same run.

    python -m benchmarks.plates PATH [--reader own|ppocr] [--boxes | --causes] [--live] [--others DIR] [--no-peer]
        [--limit N]

PATH holds a folder for each region, with the photos and `labels.csv` (image, x, y, w, h, plate), or is one such folder.
A photo may have several labelled boxes, and texts may be missing. *Any*: a labelled text is among the reported plates.
*Best*: the first reported is. *Folded* counts O = 0 and I = 1 on both sides. *Series*: best folded, if `suggested` is
taken where there is one. *Found*: labelled boxes that a report meets. *No plate*: photos with a report that meets no
labelled box; on photos that show more plates than are labelled, these count too. Where there are no boxes (crops of one
plate), the whole photo is the box.

With --boxes the reader is measured alone, on the labelled boxes; *right* and *exact* are folded and exact reads,
and the tables of confidences say which share of the reads, and of their characters, above a confidence is right, and
the expected calibration error. Without --boxes they do so of the best reports.

With --live a photo gets one look, as a frame of a camera does: what a vehicle's single frames are worth to its votes.

--others writes what each report of the agent lies on that meets no label, with a margin, into DIR: whether that is a
plate which nobody labelled can be told by eye alone.

With --causes each photo whose best plate is wrong, folded, is counted under one cause (benchmarks/plate_causes.py).

rapidocr reports lines, not plates; the rule that turns them into plates is as plain as it can be made without
favouring either: in upper case, everything but A-Z and 0-9 removed, four to nine characters are left, at least one of
them a digit; best score first. Both use two threads; photos are decoded before the clock starts; both look at each
photo once, after one warm-up. Intervals are Wilson's of 95 %.
"""

import argparse
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from benchmarks.reading import (
    Image,
    Peer,
    PeerLine,
    folder_or_exit,
    milliseconds,
    own_or_exit,
    share,
    share_with_interval,
    show,
    table,
    timed,
)
from edge_agent.domain.errors import NothingVisible
from edge_agent.domain.identifiers import fold_plate, normalise_plate
from edge_agent.domain.observation import PlateRead
from edge_agent.vision.frame import Frame
from edge_agent.vision.pictures import read_picture
from edge_agent.vision.plate_code import PlateCodeRecogniser
from edge_agent.vision.recogniser import PlateSighting, Recogniser
from edge_agent.vision.recognisers import MODELS, open_recogniser
from models.plate_code_reader.train.reliability import above, calibration_error, right_characters

_PLATE_LIKE = re.compile(r"(?=.*\d)[A-Z0-9]{4,9}")
MEETS = 0.2  # of the smaller box that two must share: PP-OCR reports the characters, labels the whole plate
CONFIDENCES = (0.99, 0.95, 0.9, 0.8, 0.6, 0.0)

Corners = tuple[float, float, float, float]  # x0, y0, x1, y1


@dataclass(frozen=True)
class Label:
    """One photo: its labelled boxes, none if it is a crop of one plate, and the texts that are known."""

    image: str
    boxes: tuple[Corners, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """One reported plate."""

    text: str
    box: Corners
    series: str = ""
    confidence: float | None = None  # 0..1; None where a reader's score is no probability
    characters: tuple[float, ...] = ()  # confidence of each, as above


def labels(folder: Path, limit: int | None) -> list[Label]:
    """The photos of a folder's labels.csv, in its order."""
    photos: dict[str, list[dict[str, str]]] = {}
    with (folder / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            photos.setdefault(row["image"], []).append(row)
    out = []
    for image, rows in list(photos.items())[:limit]:
        boxes = [
            (x, y, x + w, y + h) for r in rows if r.get("w") for x, y, w, h in [tuple(float(r[k]) for k in "xywh")]
        ]
        out.append(Label(image, tuple(boxes), tuple(normalise_plate(r["plate"]) for r in rows if r.get("plate"))))
    return out


def peer_reports(lines: list[PeerLine]) -> list[Report]:
    """The plates among rapidocr's lines, by the rule above."""
    texts = [(re.sub(r"[^A-Z0-9]", "", line.text.upper()), line) for line in lines]
    plates = sorted((x for x in texts if _PLATE_LIKE.fullmatch(x[0])), key=lambda x: -x[1].score)
    return [Report(text, line.box) for text, line in plates]


def agent_reports(ours: Recogniser, image: Image) -> list[Report]:
    """The plates that the agent's recogniser reports, best first; none of a photo in which nothing can be seen."""
    try:
        reads = [s.read for s in ours.look(Frame(image)) if isinstance(s, PlateSighting)]
    except NothingVisible:
        return []
    return [
        Report(
            r.text, (r.box.x, r.box.y, r.box.x + r.box.w, r.box.y + r.box.h), r.suggested or r.text, r.confidence,
            tuple(c.confidence for c in r.characters),
        ) for r in reads
    ]  # fmt: skip


def meets(a: Corners, b: Corners) -> bool:
    """Whether two boxes share at least MEETS of the smaller one."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return w > 0 and h > 0 and w * h >= MEETS * smaller


def elsewhere(reports: Sequence[Report], label: Label) -> list[Report]:
    """The reports that meet none of a photo's labelled boxes."""
    return [r for r in reports if not any(meets(r.box, b) for b in label.boxes)] if label.boxes else []


def save_elsewhere(folder: Path, name: str, image: Image, reports: Sequence[Report]) -> None:
    """What each report lies on, with as much again on every side, at least 480 pixels wide."""
    for n, report in enumerate(reports, 1):
        x0, y0, x1, y1 = report.box
        across, along = 0.5 * (x1 - x0), y1 - y0
        left, top = max(0, round(x0 - across)), max(0, round(y0 - along))
        part = image[top : round(y1 + along), left : round(x1 + across)]
        scale = max(1.0, 480 / part.shape[1])
        folder.mkdir(parents=True, exist_ok=True)
        larger = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{name}-{n}-{report.text}.png"), larger)


class Held:
    """How far the confidences of texts hold, and those of their characters; right is folded."""

    def __init__(self) -> None:
        self._texts: list[tuple[float, bool]] = []
        self._characters: list[tuple[float, bool]] = []

    def add(self, text: str, confidence: float, characters: Sequence[float], known: Sequence[str]) -> None:
        """A text as read, with what it says of itself and of its characters; right is any of the known."""
        self._texts.append((confidence, any(fold_plate(text) == fold_plate(other) for other in known)))
        if characters:
            ways = [right_characters(fold_plate(other), fold_plate(text)) for other in known]
            self._characters += zip(characters, max(ways, key=sum), strict=True)

    def result(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, said in (("", self._texts), ("characters_", self._characters)):
            if said:
                out[f"{name}above"] = {f"{c}": above(said, c) for c in CONFIDENCES}
                out[f"{name}calibration_error"] = calibration_error(said)
        return out


class Tally:
    """Counts of one reader on one region."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(
            ("photos", "texts", "any_exact", "any_folded", "best_exact", "best_folded", "best_series", "boxes", "found",
             "reported", "no_plate"), 0
        )  # fmt: skip
        self.ms: list[float] = []
        self.held = Held()  # of the best reports

    def add(self, reports: Sequence[Report], label: Label, ms: float) -> None:
        self.ms.append(ms)
        c = self.counts
        c["photos"] += 1
        c["reported"] += len(reports)
        c["boxes"] += len(label.boxes)
        c["found"] += sum(any(meets(r.box, b) for r in reports) for b in label.boxes)
        c["no_plate"] += bool(elsewhere(reports, label))
        if not label.texts:
            return
        exact, folded = set(label.texts), {fold_plate(t) for t in label.texts}
        c["texts"] += 1
        c["any_exact"] += any(r.text in exact for r in reports)
        c["any_folded"] += any(fold_plate(r.text) in folded for r in reports)
        c["best_exact"] += any(r.text in exact for r in reports[:1])
        c["best_folded"] += any(fold_plate(r.text) in folded for r in reports[:1])
        c["best_series"] += any(fold_plate(r.series or r.text) in folded for r in reports[:1])
        if len(label.texts) == len(label.boxes) or not label.boxes:  # else it may be a plate whose text is not known
            for best in reports[:1]:
                if best.confidence is not None:
                    self.held.add(best.text, best.confidence, best.characters, label.texts)

    def result(self) -> dict[str, Any]:
        return {**self.counts, **self.held.result(), **milliseconds(self.ms)}


def measure(
    folder: Path, ours: Recogniser, peer: Peer | None, limit: int | None, others: Path | None = None
) -> dict[str, Any]:
    """Both readers on one region's photos."""
    agent, other = Tally(), Tally()
    for i, label in enumerate(labels(folder, limit)):
        image = read_picture(folder / label.image)
        if i == 0:
            ours.look(Frame(image))
            _ = peer.read(image) if peer else None
        reports, ms = timed(lambda image=image: agent_reports(ours, image))  # type: ignore[misc]
        agent.add(reports, label, ms)
        if others:
            save_elsewhere(others, f"{folder.name}-{i}", image, elsewhere(reports, label))
        if peer:
            lines, ms = timed(lambda image=image: peer.read(image))  # type: ignore[misc]
            other.add(peer_reports(lines), label, ms)
    return {"agent": agent.result()} | ({"rapidocr": other.result()} if peer else {})


def measure_boxes(folder: Path, ours: PlateCodeRecogniser, limit: int | None) -> dict[str, Any]:
    """The reader alone on the labelled boxes of one region, of photos with one label."""
    counts = dict.fromkeys(("boxes", "right", "exact", "as_read_exact", "right_series"), 0)
    held, ms = Held(), []
    for label in labels(folder, limit):
        if len(label.texts) != 1:
            continue
        image = read_picture(folder / label.image)
        x0, y0, x1, y1 = label.boxes[0] if label.boxes else (0, 0, image.shape[1], image.shape[0])
        read: PlateRead
        read, spent = timed(lambda image=image, box=(x0, y0, x1 - x0, y1 - y0): ours.read_plate(image, box))  # type: ignore[misc]
        ms.append(spent)
        text = label.texts[0]
        counts["boxes"] += 1
        counts["right"] += fold_plate(read.text) == fold_plate(text)
        counts["exact"] += read.text == text
        counts["as_read_exact"] += read.as_read == text
        counts["right_series"] += fold_plate(read.suggested or read.text) == fold_plate(text)
        held.add(read.text, read.confidence, [c.confidence for c in read.characters], label.texts)
    return {**counts, **held.result(), **milliseconds(ms)}


def as_table(results: dict[str, Any]) -> str:
    """One row for each region and reader, then the ratios."""
    rows = []
    keys = ("any_exact", "any_folded", "best_exact", "best_folded", "best_series")
    for region, both in results.items():
        for reader, r in both.items():
            n = r["photos"]
            rows.append([
                f"{region} ({n})", reader, *(share(r[k], r["texts"]) for k in keys[:3]),
                share_with_interval(r["best_folded"], r["texts"]), share(r["best_series"], r["texts"]),
                share(r["found"], r["boxes"]), share(r["no_plate"], n if r["boxes"] else 0), f"{r['reported'] / n:.2f}",
                f"{r['median_ms']:.1f}", f"{r['p95_ms']:.1f}",
            ])  # fmt: skip
        if "rapidocr" in both:
            a, p = both["agent"], both["rapidocr"]
            ratio = {k: f"{a[k] / max(1, p[k]):.2f}" for k in (*keys, "found", "no_plate", "reported")}
            times = [f"{a[k] / p[k]:.3f}" for k in ("median_ms", "p95_ms")]
            rows.append([region, "agent : rapidocr", *ratio.values(), *times])
    first = table(
        ["region", "reader", "any exact", "any folded", "best exact", "best folded", "best series", "found",
         "no plate", "reported a photo", "median ms", "p95 ms"], rows
    )  # fmt: skip
    return "\n\n".join([first, *confidence_tables({region: both["agent"] for region, both in results.items()})])


def confidence_tables(results: dict[str, Any]) -> list[str]:
    """The shares of reads, and of their characters, that are right above each confidence, where any has one."""
    out = []
    for what, name in (("right above", ""), ("characters right above", "characters_")):
        sure = [
            [region, *(f"{share(right, of)} of {of}" if of else "–" for of, right in r[f"{name}above"].values()),
             f"{100 * r[f'{name}calibration_error']:.1f}"]
            for region, r in results.items() if f"{name}above" in r
        ]  # fmt: skip
        if sure:
            out.append(table([what, *(f"≥ {c}" for c in CONFIDENCES), "calibration error, points"], sure))
    return out


def boxes_table(results: dict[str, Any]) -> str:
    """One row for each region; then the shares that are right above each confidence."""
    rows = [
        [f"{region} ({r['boxes']})", share_with_interval(r["right"], r["boxes"]), share(r["exact"], r["boxes"]),
         share(r["as_read_exact"], r["boxes"]), share(r["right_series"], r["boxes"]), f"{r['median_ms']:.1f}"]
        for region, r in results.items()
    ]  # fmt: skip
    first = table(["region", "right", "exact", "exact as read", "right by series", "median ms"], rows)
    return "\n\n".join([first, *confidence_tables(results)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plates", description=__doc__.splitlines()[0])
    parser.add_argument("path", help="folder with a folder for each region, each with photos and labels.csv")
    parser.add_argument("--reader", choices=MODELS, default="own", help="the agent's models (default: %(default)s)")
    parser.add_argument("--models", type=Path, help="folder with other descriptions of the agent's own models")
    parser.add_argument("--boxes", action="store_true", help="read the labelled boxes, without the finder")
    parser.add_argument("--causes", action="store_true", help="count why the best plate is wrong, for each photo")
    parser.add_argument("--live", action="store_true", help="one look at each photo, as at a camera's frame")
    parser.add_argument("--others", type=Path, metavar="DIR", help="write what reports that meet no label lie on")
    parser.add_argument("--no-peer", action="store_true", help="leave rapidocr out")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--limit", type=int, help="only the first N photos of each region")
    given = parser.parse_args()
    wanted = "pass a folder that holds a folder for each region, each with photos and labels.csv (image, plate)"
    root = folder_or_exit(given.path, wanted)
    folders = [root] if (root / "labels.csv").is_file() else sorted(p.parent for p in root.glob("*/labels.csv"))
    if not folders:
        raise SystemExit(f"{root} holds no labels.csv; {wanted}")
    ours = open_recogniser(given.reader, live=given.live, folder=given.models)
    if given.boxes:
        own = own_or_exit(ours)
        results = {f.name: measure_boxes(f, own, given.limit) for f in folders}
        show(results, boxes_table(results), given.json)
        return
    if given.causes:
        from benchmarks import plate_causes  # it counts this module's labels

        own = own_or_exit(ours)
        results = {f.name: plate_causes.measure(f, own, given.limit) for f in folders}
        show(results, plate_causes.as_table(results), given.json)
        return
    peer = None if given.no_peer else Peer()
    results = {f.name: measure(f, ours, peer, given.limit, given.others) for f in folders}
    show(results, as_table(results), given.json)


if __name__ == "__main__":
    main()
