"""Container codes on whole photos: the agent's recogniser against rapidocr on the same photos in the same run.

    python -m benchmarks.containers PATH [--reader own|ppocr] [--json]

PATH holds the photos and `labels.csv` (image, code, complete, …); only codes that can be read completely by eye count.
*Right*: the labelled code is reported with all eleven characters. *First ten*: at least all but the check digit.
*Wrong*: complete codes reported that are not the label and yet carry their check digit. *Other*: all other reports that
are of another code. *Size-type*: the labelled one is reported with the right code.

rapidocr reports lines, not codes; for it every four letters that end in U, J or Z are tried with every six or seven
digits in its lines, and what passes the check digit is reported: the usual careless pairing, which favours it in
*right* and shows in *wrong*. Both use two threads; photos are decoded before the clock starts, after one warm-up.
"""

import argparse
import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.reading import (
    Peer,
    PeerLine,
    folder_or_exit,
    milliseconds,
    share,
    share_with_interval,
    show,
    table,
    timed,
)
from edge_agent.domain.identifiers import check_digit_ok, normalise_plate
from edge_agent.vision.frame import Frame
from edge_agent.vision.pictures import read_picture
from edge_agent.vision.recogniser import ContainerCodeSighting, Recogniser
from edge_agent.vision.recognisers import DEFAULT, MODELS, open_recogniser


def peer_codes(lines: list[PeerLine]) -> list[str]:
    """The codes among rapidocr's lines, by the rule above."""
    texts = [normalise_plate(line.text) for line in lines]
    owners = [m for t in texts for m in re.findall(r"[A-Z]{3}[UJZ]", t)]
    numbers = [m for t in texts for m in re.findall(r"\d{6,7}", t)]
    singles = [t for t in texts if re.fullmatch(r"\d", t)]
    tried = [o + n for o in owners for n in numbers if len(n) == 7]
    tried += [o + n + s for o in owners for n in numbers if len(n) == 6 for s in singles]
    return [code for code in dict.fromkeys(tried) if check_digit_ok(code)]


class Tally:
    """Counts of one reader."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(
            ("photos", "right", "first_ten", "wrong", "other", "size_types", "size_types_right"), 0
        )
        self.ms: list[float] = []

    def add(self, codes: Mapping[str, str], label: str, size_type: str, ms: float) -> None:
        """`codes`: those reported, each with its size-type code."""
        self.ms.append(ms)
        c = self.counts
        c["photos"] += 1
        c["right"] += label in codes
        c["first_ten"] += any(code[:10] == label[:10] for code in codes)
        wrong = [code for code in codes if code[:10] != label[:10]]
        complete = [code for code in codes if code != label and check_digit_ok(code)]
        c["wrong"] += len(complete)
        c["other"] += len([code for code in wrong if code not in complete])
        c["size_types"] += bool(size_type)
        c["size_types_right"] += bool(size_type) and codes.get(label) == size_type

    def result(self) -> dict[str, Any]:
        return {**self.counts, **milliseconds(self.ms)}


def measure(folder: Path, ours: Recogniser, peer: Peer) -> dict[str, Any]:
    """Both readers on the folder's photos."""
    with (folder / "labels.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r.get("complete", "yes") == "yes"]
    agent, other = Tally(), Tally()
    for i, row in enumerate(rows):
        image = read_picture(folder / row["image"])
        size_type = row.get("size_type", "")
        size_type = "" if "?" in size_type else size_type
        if i == 0:
            ours.look(Frame(image))
            peer.read(image)
        seen, ms = timed(lambda image=image: ours.look(Frame(image)))  # type: ignore[misc]
        reads = [s.read for s in seen if isinstance(s, ContainerCodeSighting)]
        agent.add({r.code: r.size_type for r in reads}, row["code"], size_type, ms)
        lines, ms = timed(lambda image=image: peer.read(image))  # type: ignore[misc]
        other.add(dict.fromkeys(peer_codes(lines), ""), row["code"], size_type, ms)
    return {"agent": agent.result(), "rapidocr": other.result()}


def as_table(results: dict[str, Any]) -> str:
    """One row for each reader, then the ratios."""
    rows = []
    for reader, r in results.items():
        n = r["photos"]
        rows.append([
            reader, str(n), share_with_interval(r["right"], n), share(r["first_ten"], n), str(r["wrong"]),
            str(r["other"]), f"{r['size_types_right']} of {r['size_types']}", f"{r['median_ms']:.0f}",
            f"{r['p95_ms']:.0f}",
        ])  # fmt: skip
    a, p = results["agent"], results["rapidocr"]
    keys = ("right", "first_ten", "wrong", "other", "size_types_right", "median_ms", "p95_ms")
    rows.append(["agent : rapidocr", "", *(f"{a[k] / p[k]:.2f}" if p[k] else "–" for k in keys)])
    return table(["reader", "photos", "right", "first ten", "wrong", "other", "size-type", "median ms", "p95 ms"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.containers", description=__doc__.splitlines()[0])
    parser.add_argument("path", help="folder with photos and labels.csv (image, code, complete)")
    parser.add_argument("--reader", choices=MODELS, default=DEFAULT, help="the agent's models (default: %(default)s)")
    parser.add_argument("--models", type=Path, help="folder with other descriptions of the agent's own models")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    given = parser.parse_args()
    folder = folder_or_exit(given.path, "pass a folder with photos and labels.csv (image, code, complete)")
    if not (folder / "labels.csv").is_file():
        raise SystemExit(f"{folder} holds no labels.csv (image, code, complete)")
    results = measure(folder, open_recogniser(given.reader, folder=given.models), Peer())
    show(results, as_table(results), given.json)


if __name__ == "__main__":
    main()
