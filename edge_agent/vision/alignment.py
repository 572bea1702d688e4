"""What a person who aligns a camera wants to know of a picture, as figures and drawn into it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np

from edge_agent.domain.errors import PictureNotWritten
from edge_agent.vision.camera_settings import Region
from edge_agent.vision.drawing import drawn
from edge_agent.vision.frame import Image
from edge_agent.vision.recogniser import PlateSighting, Sighting
from edge_agent.vision.sight import region_of, region_origin
from edge_agent.vision.tracks import text_of

TEXT_MIN = 10.0  # pixels at the size at which text is searched for: the smallest that is found
TEXT_WELL = 20.0  # of the frame's own: as a rule read without a mistake
DARK, BRIGHT = 40.0, 215.0  # mean grey
BURNT_MAX = 0.05  # share of the region
BURNT, BLACK = 250, 5
SOFT = 0.04  # lanes and roads in focus: 0.04 to 0.29; blurred by three pixels: 0.01 to 0.04
OUTSIDE = 0.45  # brightness of what lies outside the region
_BAND, _WHITE, _GREY = 30, (255, 255, 255), (190, 190, 190)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Text:
    """One reading: `height` of its box in pixels of the frame, `least` the height that it needs to be found."""

    kind: str
    text: str
    confidence: float
    height: int
    least: int

    @property
    def advice(self) -> str:
        if self.height < self.least:
            return f"too small: {self.least} pixels are needed; zoom in or raise vision.long_side"
        return "" if self.height >= TEXT_WELL else f"small: {TEXT_WELL:.0f} pixels read better; zoom in"


@dataclass(frozen=True)
class Alignment:
    """Figures of the region of one picture.

    `sharpness` is the contrast between neighbouring pixels over the contrast of the whole; it depends on the scene, so
    it is to be compared while the focus is turned. `brightness` is the mean grey of 0..255, `burnt` and `black` the
    shares of pixels without drawing.
    """

    width: int
    height: int
    sharpness: float
    brightness: float
    burnt: float
    black: float
    texts: tuple[Text, ...]

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do, in words; nothing if all is well."""
        said = []
        if self.brightness < DARK:
            said.append("dark: open the iris, expose longer or add light")
        if self.brightness > BRIGHT or self.burnt > BURNT_MAX:
            said.append(f"{self.burnt:.0%} is burnt out: expose shorter, or turn the camera from lamps and sun")
        if self.sharpness < SOFT:
            said.append("soft: turn the focus until the sharpness is highest; clean the lens")
        if not self.texts:
            said.append("no plate and no code seen: preview again with a vehicle where it will stand")
        return (*said, *(f"{t.text} is {t.height} pixels high, {t.advice}" for t in self.texts if t.advice))


def alignment(image: Image, region: Region, sightings: Sequence[Sighting], long_side: int) -> Alignment:
    """Figures of a frame; `long_side` is the size at which its region is searched for text."""
    part = region_of(image, region)
    grey = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY)
    least = ceil(TEXT_MIN * max(1.0, max(part.shape[:2]) / long_side))
    deviation = float(grey.std())
    edges = cv2.Laplacian(cv2.GaussianBlur(grey, (3, 3), 0), cv2.CV_32F)
    return Alignment(
        width=image.shape[1],
        height=image.shape[0],
        sharpness=float(edges.std()) / deviation if deviation else 0.0,
        brightness=float(grey.mean()),
        burnt=float(np.mean(grey >= BURNT)),
        black=float(np.mean(grey <= BLACK)),
        texts=tuple(
            Text(
                "plate" if isinstance(s, PlateSighting) else "container",
                text_of(s),
                s.read.confidence,
                min(s.read.box.w, s.read.box.h),
                least,
            )
            for s in sightings
        ),
    )


def drawn_alignment(image: Image, region: Region, sightings: Sequence[Sighting], figures: Alignment) -> Image:
    """The picture with the region, boxes and readings drawn, and the figures in a band below it."""
    out = np.asarray(image * OUTSIDE, np.uint8)
    inside = drawn(image, sightings)
    x, y = region_origin(image, region)
    part = region_of(inside, region)
    out[y : y + part.shape[0], x : x + part.shape[1]] = part
    line = max(1, round(max(image.shape[:2]) / 640))
    cv2.rectangle(out, (x, y), (x + part.shape[1] - 1, y + part.shape[0] - 1), _WHITE, line)
    lines = [
        f"{figures.width} x {figures.height}   sharpness {figures.sharpness:.2f}   brightness {figures.brightness:.0f}"
        f"   burnt out {figures.burnt:.1%}   black {figures.black:.1%}",
        *(f"{t.kind} {t.text} {t.confidence:.0%}, {t.height} pixels high (needs {t.least})" for t in figures.texts),
        *(f"> {said}" for said in figures.advice),
    ]
    return np.vstack([out, _band(lines, out.shape[1])])


def _band(lines: Sequence[str], width: int) -> Image:
    scale = min(1.0, max(0.35, width / 1800))
    step = round(_BAND * scale * 1.2)
    band = np.zeros((step * len(lines) + step // 2, width, 3), np.uint8)
    for n, text in enumerate(lines, 1):
        colour = _WHITE if text.startswith(">") else _GREY
        cv2.putText(band, text, (step // 2, n * step), _FONT, scale * 0.8, colour, 1, cv2.LINE_AA)
    return band


def encoded(image: Image, suffix: str) -> bytes:
    """The picture as the file's suffix says. Raises PictureNotWritten if OpenCV knows no such format."""
    try:
        ok, data = cv2.imencode(suffix, image)
    except cv2.error:
        ok = False
    if not ok:
        raise PictureNotWritten(
            f"a picture cannot be written as {suffix or 'a file without suffix'}", "use .jpg or .png"
        )
    return data.tobytes()
