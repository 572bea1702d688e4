"""What cameras cost: an idle lane, and four cameras that look all the time.

    python -m benchmarks.cameras idle [--cameras 2] [--fps 10] [--seconds 20] [--json]
    python -m benchmarks.cameras busy [--cameras 4] [--looks-per-s 5] [--seconds 20] [--models own|ppocr]
        [--roles both | plate,plate,container,container] [--at-once 1] [--standing]

The cameras are another process that serves MJPEG over HTTP, 1280 × 720, from frames that were drawn before: an empty
lane with a sensor's noise, or trucks that drive through it. What is measured is processor time of this process, so that
other programs change it little.

`idle`: decoding alone (frames are read and decoded, nothing else), the agent's cameras as they run in a booth, and the
named peer, a plain OpenCV loop that gives each frame of `VideoCapture` to `createBackgroundSubtractorMOG2`.
`busy`: presence all the time, so that each camera wants to look `looks-per-s` times a second; the looks that were made,
and the share of those that were dropped because the recogniser had no time. With `--standing` a truck stands before
each camera, which then wants two looks a second (ADR 0039). A look's time holds its waiting for the recogniser, which
all cameras share.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from math import inf
from typing import Any

import cv2
import numpy as np

from benchmarks.reading import THREADS, milliseconds
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.observation import Reading
from edge_agent.vision.camera import Camera
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.faces import FaceFinder
from edge_agent.vision.frame import Frame, Role
from edge_agent.vision.recogniser import Recogniser, Sighting
from edge_agent.vision.recognisers import DEFAULT, MODELS, open_recogniser
from edge_agent.vision.streams import open_stream
from edge_agent.vision.watch import STILL_S, watch
from hardware_sim.cameras.scene import Noise, PlateView
from hardware_sim.scenario import load_scenario

FRAMES = 40
STANDS_AT_S = 3.0  # after the first truck has come into view
JPEG_QUALITY = 80
SETTLED_S = 5.0  # the first frame counts as motion, and is looked at for two seconds


# --- the cameras: a process of their own ----------------------------------------------------------------------
def drawn(busy: bool, standing: bool = False) -> list[bytes]:
    """JPEGs of an empty lane, no two alike, or of trucks that drive through it, or of one that stands."""
    lane = load_scenario("demo").build_lanes(2026)["1"]
    lane.open(0.0)
    lane.advance(inf)
    view, noise = PlateView(lane, 1), Noise(1)
    first = lane.passages[0].arrives
    out = []
    for n in range(FRAMES):
        at = first + (STANDS_AT_S if standing else 20.0 * n / FRAMES)
        picture = view.draw(at) if busy else None
        picture = noise.add(picture or view.empty(first), n, night=view.night(at))
        image = np.asarray(picture, np.uint8)[:, :, ::-1]
        out.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())
    return out


def serve(busy: bool, fps: float, standing: bool) -> None:
    frames = drawn(busy, standing)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            due = time.monotonic()
            try:
                for n in count():
                    data = frames[n % FRAMES]
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    self.wfile.write(head.encode() + data + b"\r\n")
                    due += 1 / fps
                    time.sleep(max(0.0, due - time.monotonic()))
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


@contextmanager
def cameras(busy: bool, fps: float, standing: bool = False) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.cameras", "serve", "--fps", str(fps)]
    command += [*(["--busy"] if busy else []), *(["--standing"] if standing else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/video"
        finally:
            process.terminate()


# --- what is measured -----------------------------------------------------------------------------------------
def in_threads(work: Callable[[threading.Event], int], number: int, seconds: float) -> tuple[float, int]:
    """Share of one core that `number` threads take over `seconds`, and how often they went round."""
    stop, rounds = threading.Event(), [0] * number

    def run(index: int) -> None:
        rounds[index] = work(stop)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(number)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    began, processor = time.monotonic(), time.process_time()
    time.sleep(seconds)
    share = (time.process_time() - processor) / (time.monotonic() - began)
    stop.set()
    for thread in threads:
        thread.join()
    return share, sum(rounds)


def decoding(url: str) -> Callable[[threading.Event], int]:
    def work(stop: threading.Event) -> int:
        stream = open_stream(CameraSettings(source=url), stop.is_set)
        frames = 0
        while not stop.is_set() and stream.grab():
            stream.retrieve()
            frames += 1
        stream.release()
        return frames

    return work


def peer(url: str, subtract: bool) -> Callable[[threading.Event], int]:
    def work(stop: threading.Event) -> int:
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
        subtractor = cv2.createBackgroundSubtractorMOG2()
        frames = 0
        while not stop.is_set():
            ok, image = capture.read()
            if not ok:
                break
            if subtract:
                subtractor.apply(image)
            frames += 1
        capture.release()
        return frames

    return work


class Counting:
    """Looks as `of` does, and remembers when and for how long."""

    def __init__(self, of: Recogniser) -> None:
        self._of = of
        self.looks: list[tuple[str, float, float]] = []

    def look(self, frame: Frame) -> Sequence[Sighting]:
        began = time.monotonic()
        seen = self._of.look(frame)
        self.looks.append((frame.camera_id, began, (time.monotonic() - began) * 1000))
        return seen


async def agent(
    url: str,
    number: int,
    seconds: float,
    counting: Counting,
    faces: FaceFinder,
    presence: bool,
    looks_per_s: float,
    roles: Sequence[Role] = ("both",),
) -> dict[str, Any]:
    """The agent's cameras for `seconds`, once they have settled."""
    clock, readings = SystemClock(), list[Reading]()

    async def emit(reading: Reading) -> None:
        readings.append(reading)

    settings = [CameraSettings(source=url, looks_per_s=looks_per_s, role=roles[n % len(roles)]) for n in range(number)]
    made = [Camera(f"camera-{n}", one, clock) for n, one in enumerate(settings)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(watch(c.camera_id, c, counting, faces, emit, clock, lambda: presence)) for c in made]
        await asyncio.sleep(SETTLED_S)
        began, processor = time.monotonic(), time.process_time()
        delivered, dropped = sum(c.delivered for c in made), sum(c.dropped for c in made)
        await asyncio.sleep(seconds)
        passed, used = time.monotonic() - began, time.process_time() - processor
        figures = {
            "share": used / passed,
            "frames": sum(c.delivered for c in made) - delivered,
            "frames_not_considered": sum(c.dropped for c in made) - dropped,
            "looks": [(who, at, took) for who, at, took in counting.looks if began <= at < began + passed],
            "passed_s": passed,
        }
        for task in tasks:
            task.cancel()
    return {**figures, "readings": len(readings)}


def idle(number: int, fps: float, seconds: float, models: Any) -> dict[str, Any]:
    faces, recogniser = FaceFinder.open(THREADS), Counting(open_recogniser(models, THREADS, live=True, long_side=640))
    with cameras(False, fps) as url:
        bare, frames = in_threads(decoding(url), number, seconds)
        booth = asyncio.run(agent(url, number, seconds, recogniser, faces, presence=False, looks_per_s=4.0))
        theirs, _ = in_threads(peer(url, subtract=False), number, seconds)
        with_mog2, _ = in_threads(peer(url, subtract=True), number, seconds)
    beyond, peer_beyond = booth["share"] - bare, with_mog2 - theirs
    return {
        "cameras": number,
        "frames_per_s": round(booth["frames"] / booth["passed_s"] / number, 1),
        "looks": len(booth["looks"]),
        "share_of_one_core": {
            "decoding": round(bare, 4),
            "agent": round(booth["share"], 4),
            "agent_beyond_decoding": round(beyond, 4),
            "opencv_decoding": round(theirs, 4),
            "opencv_with_mog2": round(with_mog2, 4),
            "mog2_beyond_decoding": round(peer_beyond, 4),
        },
        "decoded_frames": frames,
        "peer_over_agent_beyond_decoding": round(peer_beyond / beyond, 1) if beyond > 0 else None,
    }


def busy(
    number: int,
    fps: float,
    seconds: float,
    models: Any,
    looks_per_s: float,
    roles: Sequence[Role],
    at_once: int,
    standing: bool,
) -> dict[str, Any]:
    faces = FaceFinder.open(THREADS)
    recogniser = Counting(open_recogniser(models, THREADS, live=True, long_side=640, at_once=at_once))
    with cameras(True, fps, standing) as url:
        booth = asyncio.run(agent(url, number, seconds, recogniser, faces, True, looks_per_s, roles))
    rate = min(looks_per_s, 1 / STILL_S) if standing else looks_per_s
    wanted = rate * number * booth["passed_s"]
    by_camera = [sum(who == f"camera-{n}" for who, _, _ in booth["looks"]) for n in range(number)]
    return {
        "cameras": number,
        "frames_per_s": round(booth["frames"] / booth["passed_s"] / number, 1),
        "looks_wanted_per_s": rate,
        "looks_made_per_s": [round(n / booth["passed_s"], 2) for n in by_camera],
        "looks_dropped": round(max(0.0, 1 - len(booth["looks"]) / wanted), 3),
        "look": milliseconds([took for _, _, took in booth["looks"]]),
        "cores_used": round(booth["share"], 2),
        "readings": booth["readings"],
        "models": models,
        "roles": list(roles),
        "at_once": at_once,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("mode", choices=("idle", "busy", "serve"))
    parser.add_argument("--cameras", type=int, help="default: 2 idle, 4 busy")
    parser.add_argument("--fps", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--looks-per-s", type=float, default=5.0)
    parser.add_argument("--models", choices=MODELS, default=DEFAULT)
    parser.add_argument("--roles", default="both", help="of the cameras in turn: plate, container, both")
    parser.add_argument(
        "--at-once", type=int, default=THREADS, help="looks at a time, as the agent does with so many cores"
    )
    parser.add_argument("--standing", action="store_true", help="busy: a truck stands before each camera")
    parser.add_argument("--busy", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.mode == "serve":
        serve(options.busy, options.fps, options.standing)
        return
    if options.mode == "idle":
        result = idle(options.cameras or 2, options.fps, options.seconds, options.models)
    else:
        roles, number = options.roles.split(","), options.cameras or 4
        at_once = min(number, options.at_once)
        how = (options.models, options.looks_per_s, roles, at_once, options.standing)
        result = busy(number, options.fps, options.seconds, *how)
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        if isinstance(value, dict):
            print(name)
            for key, one in value.items():
                print(f"  {key:<28} {one}")
        else:
            print(f"{name:<30} {value}")


if __name__ == "__main__":
    main()
