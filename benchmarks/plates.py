"""Plates on whole photos: the agent's recogniser against rapidocr on the same photos in the same run.

    python -m benchmarks.plates PATH [--json] [--limit N]

PATH holds a folder for each region, with the photos and `labels.csv` (image, …, plate), or is one such folder. One
plate is labelled a photo. *Any*: one of the reported plates is the labelled one. *Best*: the first reported is.
*Folded* counts O = 0 and I = 1 on both sides.

rapidocr reports lines, not plates; the rule that turns them into plates is as plain as it can be made without
favouring either: in upper case, everything but A-Z and 0-9 removed, four to nine characters are left, at least one of
them a digit; best score first. Both use two threads; photos are decoded before the clock starts; both look at each
photo once, after one warm-up.
"""

import argparse
import csv
import re
from pathlib import Path
from typing import Any

from benchmarks.reading import Peer, PeerLine, folder_or_exit, milliseconds, share, show, table, timed
from edge_agent.domain.identifiers import fold_plate, normalise_plate
from edge_agent.vision.frame import Frame
from edge_agent.vision.pictures import read_picture
from edge_agent.vision.ppocr import PpOcrRecogniser
from edge_agent.vision.recogniser import PlateSighting

_PLATE_LIKE = re.compile(r"(?=.*\d)[A-Z0-9]{4,9}")


def peer_plates(lines: list[PeerLine]) -> list[str]:
    """The plates among rapidocr's lines, by the rule above."""
    texts = [(re.sub(r"[^A-Z0-9]", "", line.text.upper()), line.score) for line in lines]
    return [t for t, _ in sorted((x for x in texts if _PLATE_LIKE.fullmatch(x[0])), key=lambda x: -x[1])]


class Tally:
    """Counts of one reader on one region."""

    def __init__(self) -> None:
        self.photos = 0
        self.counts = dict.fromkeys(("any_exact", "any_folded", "best_exact", "best_folded"), 0)
        self.reported = 0
        self.ms: list[float] = []

    def add(self, plates: list[str], label: str, ms: float) -> None:
        self.photos += 1
        self.reported += len(plates)
        self.ms.append(ms)
        folded = [fold_plate(p) for p in plates]
        self.counts["any_exact"] += label in plates
        self.counts["any_folded"] += fold_plate(label) in folded
        self.counts["best_exact"] += plates[:1] == [label]
        self.counts["best_folded"] += folded[:1] == [fold_plate(label)]

    def result(self) -> dict[str, Any]:
        return {"photos": self.photos, **self.counts, "reported": self.reported, **milliseconds(self.ms)}


def measure(folder: Path, ours: PpOcrRecogniser, peer: Peer, limit: int | None) -> dict[str, Any]:
    """Both readers on one region's photos."""
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:limit]
    agent, other = Tally(), Tally()
    for i, row in enumerate(rows):
        image = read_picture(folder / row["image"])
        label = normalise_plate(row["plate"])
        if i == 0:
            ours.look(Frame(image))
            peer.read(image)
        seen, ms = timed(lambda image=image: ours.look(Frame(image)))  # type: ignore[misc]
        agent.add([s.read.text for s in seen if isinstance(s, PlateSighting)], label, ms)
        lines, ms = timed(lambda image=image: peer.read(image))  # type: ignore[misc]
        other.add(peer_plates(lines), label, ms)
    return {"agent": agent.result(), "rapidocr": other.result()}


def as_table(results: dict[str, Any]) -> str:
    """One row for each region and reader, then the ratios."""
    rows = []
    for region, both in results.items():
        for reader, r in both.items():
            n = r["photos"]
            rows.append([
                f"{region} ({n})", reader, share(r["any_exact"], n), share(r["any_folded"], n),
                share(r["best_exact"], n), share(r["best_folded"], n), f"{r['reported'] / n:.1f}",
                f"{r['median_ms']:.0f}", f"{r['p95_ms']:.0f}",
            ])  # fmt: skip
        a, p = both["agent"], both["rapidocr"]
        rows.append([
            f"{region}", "agent : rapidocr", *(f"{a[k] / max(1, p[k]):.2f}" for k in
            ("any_exact", "any_folded", "best_exact", "best_folded", "reported", "median_ms", "p95_ms")),
        ])  # fmt: skip
    return table(
        [
            "region",
            "reader",
            "any exact",
            "any folded",
            "best exact",
            "best folded",
            "reported a photo",
            "median ms",
            "p95 ms",
        ],
        rows,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plates", description=__doc__.splitlines()[0])
    parser.add_argument("path", help="folder with a folder for each region, each with photos and labels.csv")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--limit", type=int, help="only the first N photos of each region")
    given = parser.parse_args()
    wanted = "pass a folder that holds a folder for each region, each with photos and labels.csv (image, plate)"
    root = folder_or_exit(given.path, wanted)
    folders = [root] if (root / "labels.csv").is_file() else sorted(p.parent for p in root.glob("*/labels.csv"))
    if not folders:
        raise SystemExit(f"{root} holds no labels.csv; {wanted}")
    ours, peer = PpOcrRecogniser.open(), Peer()
    results = {f.name: measure(f, ours, peer, given.limit) for f in folders}
    show(results, as_table(results), given.json)


if __name__ == "__main__":
    main()
