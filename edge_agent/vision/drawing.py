"""Draws what was seen into a picture, for the person who aligns a camera or judges a reading."""

from collections.abc import Sequence
from pathlib import Path

import cv2

from edge_agent.domain.errors import PictureNotWritten
from edge_agent.domain.observation import Box
from edge_agent.vision.faces import FaceFinder, hide
from edge_agent.vision.frame import Image
from edge_agent.vision.recogniser import PlateSighting, Sighting

PLATE_COLOUR, CODE_COLOUR, DOUBT_COLOUR = (60, 200, 60), (230, 160, 40), (40, 140, 255)  # blue-green-red
DOUBT_MAX = 0.6  # confidence below which a reading is drawn as doubtful
JPEG_QUALITY = 90
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def drawn(image: Image, sightings: Sequence[Sighting]) -> Image:
    """A copy of the picture with a box around each plate and code, and its text and confidence above it."""
    out = image.copy()
    for s in reversed(sightings):  # the best comes last, and so on top
        colour = PLATE_COLOUR if isinstance(s, PlateSighting) else CODE_COLOUR
        box_with_text(out, s.read.box, label(s), colour if s.read.confidence >= DOUBT_MAX else DOUBT_COLOUR)
    return out


def label(sighting: Sighting) -> str:
    """The reading in a few words, in ASCII."""
    if isinstance(sighting, PlateSighting):
        plate = sighting.read
        return f"{plate.text} {plate.confidence:.0%}" + (f" ({plate.suggested}?)" if plate.suggested else "")
    code = sighting.read
    words = [code.code, f"{code.confidence:.0%}", "check ok" if code.check_digit_ok else "check?", code.size_type]
    return " ".join(w for w in words if w)


def box_with_text(image: Image, box: Box, text: str, colour: tuple[int, int, int]) -> None:
    """Draws into the picture; the text stands above the box, or in it where there is no room."""
    unit = max(image.shape[:2]) / 1280
    line, scale = max(1, round(2 * unit)), max(0.4, 0.7 * unit)
    (width, height), foot = cv2.getTextSize(text, _FONT, scale, line)
    cv2.rectangle(image, (box.x, box.y), (box.x + box.w, box.y + box.h), colour, line)
    x = max(0, min(box.x, image.shape[1] - width))
    y = box.y - line if box.y - line - height - foot >= 0 else box.y + height + foot
    cv2.rectangle(image, (x, y - height - foot), (x + width, y + foot // 2), colour, -1)
    cv2.putText(image, text, (x, y - foot // 2), _FONT, scale, (0, 0, 0), line, cv2.LINE_AA)


class Drawings:
    """Writes pictures with boxes and texts into a folder, under the names of the files that were read."""

    def __init__(self, folder: Path, faces: FaceFinder | None) -> None:
        """`faces` is None only where faces may be kept."""
        self._folder = folder
        self._faces = faces
        self._names: set[str] = set()

    def write(self, path: Path, image: Image, sightings: Sequence[Sighting], frame: int | None = None) -> None:
        """`frame` is the number of a video's frame. Raises PictureNotWritten.

        Raises RecogniserBroken if the picture could not be searched for faces; it is not written then.
        """
        if self._faces is not None:
            image = hide(image, self._faces.faces(image), [s.read.box for s in sightings])
        name = f"{path.stem}.jpg" if frame is None else f"{path.stem}-{frame:06}.jpg"
        number = 1
        while name in self._names:  # of another folder
            number += 1
            name = f"{path.stem}-{number}.jpg"
        self._names.add(name)
        ok, data = cv2.imencode(".jpg", drawn(image, sightings), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        try:
            if not ok:
                raise OSError("JPEG cannot hold its size")
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / name).write_bytes(data.tobytes())
        except OSError as error:
            raise PictureNotWritten(f"{self._folder / name} cannot be written: {error}", "name a folder") from error
