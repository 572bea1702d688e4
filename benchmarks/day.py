"""A simulated day through one lane, stepped: how long it takes, and in what the ledger differs from the truth.

    python -m benchmarks.day [--trucks 2500] [--recogniser 100] [--json]

Simulator and agent run in one process on one clock that jumps to the next moment at which something happens: portal,
seal scanner and scale over links in memory, the real line, a real ledger on disk of which every envelope is verified.
In the recogniser's place stands an oracle that reads what is true, so that any difference is the line's. With
`--recogniser N` N trucks are played again, with frames drawn, put through JPEG and read by the agent's recogniser: its
read rate stands apart. The peer is the clock on the wall: the same day, lived through.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_agent.domain.observation import Reading
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.frame import Frame
from edge_agent.vision.recognisers import open_recogniser
from edge_agent.vision.sight import Sight
from hardware_sim.cameras.scene import ContainerView, Noise, PlateView, View
from hardware_sim.world.lane import Lane
from tests.e2e.stepped_booth import BOOTH, IN_VIEW, Day, Eye, day_scenario, oracle, run_day

JPEG_QUALITY = 80
LONG_SIDE = 640  # as in a live lane (ADR 0012)
EYE_EVERY_S = 1.0


class RealEye:
    """The agent's recogniser, on frames as the simulated cameras would send them; one look a second."""

    def __init__(self) -> None:
        self._recogniser = open_recogniser(threads=2, live=True, long_side=LONG_SIDE)
        self._views: dict[str, View] = {}
        self._looked: dict[str, float] = {}
        self._noise = Noise(1)
        self.looks = 0

    def __call__(self, lane: Lane, role: str, at: float) -> Iterator[Reading]:
        near, far = IN_VIEW[role]
        in_view = any(near <= passage.position(at) <= far for passage in lane.seen(at))
        if not in_view or at - self._looked.get(role, -1e9) < EYE_EVERY_S:
            return
        self._looked[role] = at
        if role not in self._views:
            self._views[role] = PlateView(lane) if role == "plate" else ContainerView(lane)
        view = self._views[role]
        drawn = view.draw(at)
        if drawn is None:
            return
        self.looks += 1
        sent = BytesIO()
        self._noise.add(drawn, self.looks, night=view.night(at)).save(sent, "JPEG", quality=JPEG_QUALITY)
        image = cv2.imdecode(np.frombuffer(sent.getvalue(), np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise RuntimeError("a frame of our own cannot be decoded")
        frame = Frame(image.astype(np.uint8, copy=False), role, at, self.looks)
        settings = CameraSettings.model_validate({"source": "0", "role": role, "blur_faces": False})
        for sighting in Sight(settings, self._recogniser, None).sightings(frame):
            yield Reading(sighting.read, at)


def measure(trucks: int, eye: Eye) -> tuple[Day, float, float]:
    with tempfile.TemporaryDirectory(prefix="day-") as folder:
        began, processor = time.perf_counter(), time.process_time()
        day = run_day(day_scenario(trucks), BOOTH, Path(folder), eye)
        return day, time.perf_counter() - began, time.process_time() - processor


def figures(day: Day, wall_s: float, processor_s: float) -> dict[str, Any]:
    return {
        "trucks": len(day.score.vehicles),
        "inspections": day.events,
        "events": day.envelopes,
        "simulated_h": round(day.simulated_s / 3600, 2),
        "wall_s": round(wall_s, 1),
        "processor_s": round(processor_s, 1),
        "times_real_time": round(day.simulated_s / wall_s),
        "differences": len(day.misses),
        "spurious": len(day.score.spurious),
        "by_identifier": dict(Counter(check.what for _, check in day.misses)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trucks", type=int, default=2500)
    parser.add_argument("--recogniser", type=int, default=0, metavar="N", help="play N trucks with the real recogniser")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {"oracle": figures(*measure(options.trucks, oracle))}
    if options.recogniser:
        eye = RealEye()
        day, wall_s, processor_s = measure(options.recogniser, eye)
        rows = {name: f"{tally.right} of {tally.there}" for name, tally in day.score.rows.items()}
        result["recogniser"] = {**figures(day, wall_s, processor_s), "looks": eye.looks, "right": rows}
    if options.json:
        print(json.dumps(result))
        return
    for name, values in result.items():
        print(f"\n{name}")
        for key, value in values.items():
            print(f"  {key:<16} {value}")


if __name__ == "__main__":
    main()
