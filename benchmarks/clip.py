"""A clip of a lane: the tracks that are reported, beside the vehicles that a person counts in it.

    python -m benchmarks.clip ../shared/data/video/toll-booth.mp4 [--looks-per-s 4] [--models own|ppocr] [--json]

Each frame that is looked at goes through what a camera goes through (region, recogniser, tracks). The peer is the same
recogniser without tracks: what it would have said, once for each look and text. Of a clip that is not known here the
tracks are printed alone.
"""

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.reading import THREADS, milliseconds
from edge_agent.domain.observation import PlateRead
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.pictures import video_frames
from edge_agent.vision.recognisers import DEFAULT, MODELS, open_recogniser
from edge_agent.vision.sight import Sight
from edge_agent.vision.tracks import Report, Tracks, text_of


@dataclass(frozen=True)
class Counted:
    """What a person sees: each vehicle of the lane with its plate, and numbers that stand on others in view."""

    vehicles: dict[str, str]
    others: dict[str, str]


# Counted on contact sheets of every ninth frame, plates read from single frames.
BY_EYE = {
    "toll-booth.mp4": Counted(
        vehicles={
            "34A36837": "white car, its plate in view in frames 0 to 49",
            "34A23126": "red car, legible in frames 100 to 128",
            "89C20339": "blue truck, legible from frame 300 to the end, 338",
        },
        others={
            "12323": "part of the number on a truck's door in the next lane, frames 27 to 35",
            "15C17171": "number on the tailgate of a truck in the next lane, its end behind a pole, frames 270 to 300",
        },
    )
}


def text(report: Report) -> str:
    return report.read.text if isinstance(report.read, PlateRead) else report.read.code


def measure(path: Path, models: Any, looks_per_s: float, long_side: int) -> dict[str, Any]:
    recogniser = open_recogniser(models, THREADS, live=True, long_side=long_side)
    sight = Sight(CameraSettings(source=str(path), blur_faces=False), recogniser, None)
    tracks, reports, plain, took = Tracks(), list[Report](), Counter[str](), list[float]()
    frames = dict[float, int]()
    for frame in video_frames(path, looks_per_s):
        began = time.perf_counter()
        sightings = sight.sightings(frame)
        took.append((time.perf_counter() - began) * 1000)
        frames[frame.at] = frame.sequence
        plain.update(text_of(s) for s in sightings)
        reports += tracks.looked(sightings, frame.at, lambda _: ())
    reports += tracks.close()
    ended = [r for r in reports if r.ended]
    rows = [
        {
            "track": r.track,
            "text": text(r),
            "confidence": round(r.read.confidence, 3),
            "looks": r.seen,
            "votes": r.votes,
            "reports": sum(other.track == r.track and other.read.looks > 0 for other in reports),
            "first_frame": frames[r.first_at],
            "last_frame": frames[r.at],
        }
        for r in sorted(ended, key=lambda r: r.first_at)
        if any(other.track == r.track and other.read.looks for other in reports)
    ]
    return {
        "clip": path.name,
        "looks": len(took),
        **milliseconds(took),
        "tracks": rows,
        "reports": sum(r.read.looks > 0 for r in reports),
        "without_tracks": {"reports": sum(plain.values()), "texts": len(plain)},
    }


def beside(result: dict[str, Any], counted: Counted) -> dict[str, Any]:
    """The vehicles counted by eye beside the tracks."""
    texts = [row["text"] for row in result["tracks"]]
    known = {**counted.vehicles, **counted.others}
    return {
        "vehicles": len(counted.vehicles),
        "vehicles_with_one_track": sum(texts.count(plate) == 1 for plate in counted.vehicles),
        "missed": [plate for plate in counted.vehicles if plate not in texts],
        "of_others_in_view": [t for t in texts if t in counted.others],
        "wrong": [t for t in texts if t not in known],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path, metavar="PATH")
    parser.add_argument("--looks-per-s", type=float, default=4.0)
    parser.add_argument("--long-side", type=int, default=640)
    parser.add_argument("--models", choices=MODELS, default=DEFAULT)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.path.is_file():
        raise SystemExit(f"{options.path} is not there: name a clip")
    result = measure(options.path, options.models, options.looks_per_s, options.long_side)
    counted = BY_EYE.get(options.path.name)
    if counted is not None:
        result["by_eye"] = beside(result, counted)
    if options.json:
        print(json.dumps(result))
        return
    print(f"{result['clip']}: {result['looks']} looks, median {result['median_ms']} ms, {options.models}")
    for row in result["tracks"]:
        print(
            f"  track {row['track']:<3} {row['text']:<12} {row['confidence']:4.0%}  {row['votes']} of {row['looks']} "
            f"looks, said {row['reports']} times, frames {row['first_frame']} to {row['last_frame']}"
        )
    plain = result["without_tracks"]
    print(f"reports: {result['reports']}; without tracks {plain['reports']}, of {plain['texts']} texts")
    if counted is None:
        return
    print("by eye")
    for plate, what in {**counted.vehicles, **counted.others}.items():
        print(f"  {plate:<12} {what}")
    for name, value in result["by_eye"].items():
        print(f"  {name:<26} {', '.join(map(str, value)) or 'none' if isinstance(value, list) else value}")


if __name__ == "__main__":
    main()
