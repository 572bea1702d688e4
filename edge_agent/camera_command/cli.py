"""`edge-agent camera`: the words that people type, and what they read.

Booth libraries are imported by the commands that need them, as in edge_agent/cli.py.
"""

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import PictureNotWritten


def add_commands(camera: argparse.ArgumentParser) -> None:
    """Adds `preview`."""
    commands = camera.add_subparsers(required=True, metavar="COMMAND")
    summary = "a picture from a camera with its region, what was read and what to set, for whoever aligns it"
    shown: argparse.ArgumentParser = commands.add_parser("preview", help=summary, description=summary)
    shown.set_defaults(command=_preview)
    shown.add_argument("config", type=Path, metavar="CONFIG", help="the booth's settings file (YAML)")
    shown.add_argument("camera", metavar="DEVICE", help="the camera's id")
    shown.add_argument("--out", type=Path, metavar="PICTURE", help="a .jpg or .png file (default: DEVICE.jpg)")
    shown.add_argument(
        "--seconds", type=_seconds, default=3.0, help="how long to look for the best picture (default: %(default)g)"
    )
    shown.add_argument("--json", action="store_true", help="print one JSON object")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 600:
        raise ValueError("not within 0 and 600 seconds")
    return value


def _preview(options: argparse.Namespace) -> int:
    # The camera's state is told in our words; OpenCV's and FFmpeg's own lines come with every attempt.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    from edge_agent.camera_command.preview import chosen, preview
    from edge_agent.config import read_config
    from edge_agent.vision.alignment import encoded
    from edge_agent.vision.faces import FaceFinder
    from edge_agent.vision.formats import COUNTRIES
    from edge_agent.vision.recognisers import open_recogniser

    setup = read_config(options.config)
    config, vision = chosen(setup, options.camera), setup.config.vision
    out = options.out or Path(f"{config.id}.jpg")
    recogniser = open_recogniser(
        threads=vision.threads, live=True, long_side=vision.long_side, countries=vision.countries or COUNTRIES
    )
    faces = FaceFinder.open(vision.threads) if config.blur_faces else None
    seen = preview(config, recogniser, faces, SystemClock(), options.seconds, vision.long_side)
    data = encoded(seen.picture, out.suffix)
    try:
        out.write_bytes(data)
    except OSError as error:
        raise PictureNotWritten(
            f"{out} cannot be written: {error.strerror}", "name another place with --out"
        ) from error
    figures = seen.figures
    if options.json:
        said = {
            **{"camera": config.id, "picture": str(out), "decoder": seen.decoder, "frames_per_s": seen.frames_per_s},
            **{"looks": seen.looks, "faces_blurred": seen.faces if config.blur_faces else None},
            **asdict(figures),
            "advice": figures.advice,
        }
        print(json.dumps(said))
        return 0
    rate = f"{seen.frames_per_s:.1f} frames/s" if seen.frames_per_s else "one frame"
    print(f"{config.id} at {config.shown}: {figures.width} × {figures.height}, {rate}, decoded in {seen.decoder}")
    print(
        f"  sharpness {figures.sharpness:.2f}, brightness {figures.brightness:.0f} of 255, "
        f"{figures.burnt:.1%} burnt out, {figures.black:.1%} black"
    )
    for text in figures.texts:
        print(
            f"  {text.kind:<10} {text.text:<12} {text.confidence:4.0%}  {text.height} pixels high, needs {text.least}"
        )
    for line in figures.advice:
        print(f"  → {line}")
    faces_said = f"{seen.faces} face{'s'[: seen.faces != 1]} blurred" if config.blur_faces else "faces are not blurred"
    print(f"{out}: the best of {seen.looks} look{'s'[: seen.looks != 1]}, {faces_said}")
    return 0
