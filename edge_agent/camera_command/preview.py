"""Looks through a booth's camera for some seconds, and keeps the most telling picture."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.config import CameraConfig, Setup
from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import CameraDown, SettingsInvalid
from edge_agent.vision.alignment import Alignment, alignment, drawn_alignment
from edge_agent.vision.camera import Camera
from edge_agent.vision.faces import FaceFinder, hide
from edge_agent.vision.frame import Frame, Image
from edge_agent.vision.recogniser import Recogniser, Sighting
from edge_agent.vision.sight import Sight
from edge_agent.vision.tracks import weight_of

WAIT_S = 0.02


@dataclass(frozen=True)
class Preview:
    """What was seen: the picture with everything drawn, its figures, and how the camera delivers.

    `frames_per_s` is None where too few frames came to tell; `looks` is how many of them were looked at.
    """

    picture: Image
    figures: Alignment
    faces: int
    frames_per_s: float | None
    looks: int
    decoder: str


def chosen(setup: Setup, name: str) -> CameraConfig:
    """The booth's camera of this name. Raises SettingsInvalid if there is none."""
    cameras = {camera.id: camera for lane in setup.lanes for camera in lane.cameras}
    if name in cameras:
        return cameras[name]
    known = f"its cameras are: {', '.join(cameras)}" if cameras else "it has none: add it under `cameras` of its lane"
    if any(device.config.id == name for lane in setup.lanes for device in lane.devices):
        raise SettingsInvalid(f"{name!r} is a device and no camera", known)
    raise SettingsInvalid(f"there is no camera {name!r} in the settings file", known)


def preview(
    config: CameraConfig,
    recogniser: Recogniser,
    faces: FaceFinder | None,
    clock: Clock,
    seconds: float,
    long_side: int,
    sleep: Callable[[float], None] = time.sleep,
) -> Preview:
    """Looks for `seconds` after the first frame. Raises CameraDown if no frame comes.

    The frame that is kept is the one with the most to read, the last one where there is nothing.
    """
    camera = Camera(config.id, config, clock)
    sight = Sight(config, recogniser, faces)
    best: tuple[float, Frame, list[Sighting]] | None = None
    looks, said, first = 0, "", None
    camera.start()
    try:
        until = clock.monotonic() + config.open_timeout_s + seconds
        while clock.monotonic() < until:
            said = next((c.detail for c in reversed(camera.changes()) if c.detail), said)
            frame = camera.take()
            if frame is None:
                if camera.ended:
                    break
                sleep(WAIT_S)
                continue
            if first is None:
                first, until = frame, clock.monotonic() + seconds
            sightings = sight.sightings(frame)
            looks += 1
            worth = sum(weight_of(s) for s in sightings)
            if best is None or worth >= best[0]:
                best = (worth, frame, sightings)
            last = frame
    finally:
        camera.stop()
    if best is None or first is None:
        raise CameraDown(
            f"{config.id}: no picture came from {config.shown}" + (f": {said}" if said else ""),
            "check its power, its address and its password, and that no other program holds it",
        )
    _, frame, sightings = best
    passed = last.at - first.at
    rate = (last.sequence - first.sequence) / passed if passed > 0 else None
    figures = alignment(frame.image, config.region, sightings, long_side)
    found = faces.faces(frame.image) if config.blur_faces and faces else []
    hidden = hide(frame.image, found, [s.read.box for s in sightings])
    picture = drawn_alignment(hidden, config.region, sightings, figures)
    return Preview(picture, figures, len(found), rate, looks, camera.decoder)
