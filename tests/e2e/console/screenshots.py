"""Makes the pictures of docs/console.md: python -m tests.e2e.console.screenshots [FOLDER]

The lane, the trucks, the clock and the reader are those of the tests; the plates and codes are read by the agent's own
recogniser from the simulator's frames, so that a new model may change a picture.
"""

import argparse
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import Browser, Page

from edge_agent.domain.observation import ContainerCodeRead, PlateRead, Reading
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.frame import Frame
from edge_agent.vision.recognisers import open_recogniser
from edge_agent.vision.sight import Sight
from hardware_sim.cameras.scene import ContainerView, Noise, PlateView, View
from hardware_sim.world.lane import Lane
from tests.e2e.console.browser import chromium, live, page
from tests.e2e.console.moment import Moment, Served, Snapshot, decided, moment, trucks
from tests.e2e.stepped_booth import IN_VIEW, oracle

FOLDER = Path(__file__).parents[3] / "docs" / "console"
WIDE = {"viewport": {"width": 1280, "height": 900}}
ZONE: dict[str, Any] = {"time_zone": "America/Chicago"}
# Colours of a palette: a page of text and lines is as clear with them, and half the size.
COLOURS = 128


class Eye:
    """Texts as they are true, with the pictures that the agent's own eye cuts out where it finds them."""

    def __init__(self) -> None:
        self._recogniser = open_recogniser(threads=2, live=True, long_side=640)
        self._views: dict[str, View] = {}
        self._noise = Noise(1)
        self._looked: set[tuple[str, str]] = set()

    def __call__(self, lane: Lane, role: str, at: float) -> Iterator[Reading]:
        for reading in oracle(lane, role, at):
            body = reading.body
            text = (
                body.text if isinstance(body, PlateRead) else body.code if isinstance(body, ContainerCodeRead) else ""
            )
            near, far = IN_VIEW[role]
            middle = any(abs(p.position(at) - (near + far) / 2) < 1.5 for p in lane.seen(at))
            if middle and (role, text) not in self._looked:
                self._looked.add((role, text))
                yield from self._seen(lane, role, at)
            yield reading

    def _seen(self, lane: Lane, role: str, at: float) -> Iterator[Reading]:
        view = self._views.setdefault(role, (PlateView if role == "plate" else ContainerView)(lane))
        drawn = view.draw(at)
        if drawn is None:
            return
        sent = BytesIO()
        self._noise.add(drawn, len(self._looked), night=view.night(at)).save(sent, "JPEG", quality=85)
        image = cv2.imdecode(np.frombuffer(sent.getvalue(), np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise RuntimeError("a frame of our own cannot be decoded")
        frame = Frame(image.astype(np.uint8, copy=False), role, at, len(self._looked))
        sight = Sight(
            CameraSettings.model_validate({"source": "0", "role": role, "blur_faces": False}), self._recogniser, None
        )
        yield from sight.look(frame)
        yield from sight.close()


def in_lane(count: int, alarm: bool) -> Any:
    """When that many vehicles have left, the next one has been read, in alarm or not."""

    def reached(snapshot: Snapshot) -> bool:
        lane = snapshot["lanes"][0]
        seen.update(one["id"] for one in lane["vehicles"])
        read = {one["what"] for one in lane["reads"]}
        return len(seen) > count and {"plate", "container_code", "seal"} <= read and bool(lane["alarms"]) == alarm

    seen: set[str] = set()
    return reached


def take(browser: Browser, served: Served, path: Path, **context: Any) -> None:
    with page(browser, served.url, **{**WIDE, **context}) as shown:
        live(shown)
        shown.reload()  # the agent's word has come
        live(shown)
        _settled(shown)
        picture = shown.screenshot(animations="disabled")
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise RuntimeError("the browser's picture cannot be decoded")
    from PIL import Image

    small = Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).quantize(COLOURS, dither=Image.Dither.NONE)
    path.parent.mkdir(parents=True, exist_ok=True)
    small.save(path, optimize=True)
    print(f"{path} {path.stat().st_size // 1024} KiB")


def _settled(shown: Page) -> None:
    """Everything is there, and the browser's clock stands at the booth's."""
    shown.wait_for_function("[...document.images].every((one) => one.complete)")
    shown.wait_for_function("document.getElementById('clock').textContent !== ''")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    folder = parser.parse_args().folder
    source = {"night": False, "cargo": {"kind": "source", "gamma_cps": 1100, "shielding": 0.1}}
    scripted = ({"night": False}, {"night": False, "seal": None}, source, {"night": False}, {"night": False})
    with tempfile.TemporaryDirectory(prefix="page-") as place, chromium() as browser:
        quiet = _moment(Path(place) / "quiet", scripted, in_lane(1, alarm=False))
        alarm = _moment(Path(place) / "alarm", scripted, in_lane(2, alarm=True))
        after = _moment(Path(place) / "after", scripted, in_lane(3, alarm=False))
        with Served(quiet, **ZONE).serving() as served:
            take(browser, served, folder / "day.png")
            phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
            take(browser, served, folder / "phone.png", **phone)
        with Served(alarm, **ZONE).serving() as served:
            take(browser, served, folder / "alarm.png")
            take(browser, served, folder / "night.png", color_scheme="dark")
            served.silence()
            take(browser, served, folder / "broken.png")
        with Served(after, **ZONE).serving() as served:
            take(browser, served, folder / "spanish.png", locale="es-MX", viewport={"width": 1280, "height": 2400})


def _moment(folder: Path, scripted: tuple[dict[str, Any], ...], until: Any) -> Moment:
    folder.mkdir()
    return moment(folder, trucks(*scripted), until, Eye(), also=decided, announced=True)


if __name__ == "__main__":
    main()
