"""Real photos in the place of rendered trucks: one photo a truck, from a folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.cameras.scene import HEIGHT, WIDTH, View
from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Passage
from hardware_sim.world.truck import Truck

_SUFFIXES = {".jpg", ".jpeg", ".png"}
# A folder of a day's photos; more is a wrong path.
_MOST_FILES = 20_000
# A photo of a 100-megapixel camera is larger than any lane camera's; Pillow warns of bombs beyond.
_MOST_PIXELS = 80_000_000


def find_photos(folder: Path) -> list[Path]:
    """The photos of a folder by name. Raises SettingsInvalid when there is no such folder, or no photo in it."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e, _ in zip(entries, range(_MOST_FILES), strict=False) if e.is_file())
    except OSError as error:
        raise SettingsInvalid(
            f"{folder}: the folder of photos cannot be read: {error.strerror}", "give the path of a folder of photos"
        ) from None
    photos = [folder / name for name in names if Path(name).suffix.lower() in _SUFFIXES]
    if not photos:
        raise SettingsInvalid(f"{folder}: there is no .jpg or .png in it", "give the path of a folder of photos")
    return photos


class PhotoView:
    """Shows one photo for each truck while its front is at the camera, and the rendered empty lane otherwise.

    Photos are taken by name, in turn. What is on them the world does not know: `shown` says which it was.
    """

    # Positions of a truck's front, in metres past the portal, between which its photo is shown.
    SHOWN_FROM_M, SHOWN_TO_M = 0.0, 8.0

    def __init__(self, lane: Lane, photos: list[Path], rendered: View) -> None:
        self._lane = lane
        self._photos = photos if lane.on_demand else photos[: lane.truck_count]
        for photo in self._photos:
            _check(photo)
        self._rendered = rendered
        self._last: tuple[Path, Image.Image] | None = None

    def night(self, at: float) -> bool:
        return False

    def rain(self, at: float) -> bool:
        return self._rendered.rain(at) and self.draw(at) is None

    def elapsed(self, at: float) -> float:
        return self._rendered.elapsed(at)

    def empty(self, at: float) -> Image.Image:
        return self._rendered.empty(at)

    def shown(self, truck: Truck) -> Path:
        """The photo of a truck."""
        return self._photos[(truck.index - 1) % len(self._photos)]

    def draw(self, at: float) -> Image.Image | None:
        here = [p for p in self._lane.seen(at) if self._is_shown(p, at)]
        if not here:
            return None
        path = self.shown(here[-1].truck)
        if self._last is None or self._last[0] != path:
            self._last = (path, _fitted(path))
        return self._last[1]

    def _is_shown(self, passage: Passage, at: float) -> bool:
        return self.SHOWN_FROM_M <= passage.position(at) <= self.SHOWN_TO_M


def _check(path: Path) -> None:
    """Raise SettingsInvalid before the run for a file that is no picture; only its head is read."""
    with _opened(path):
        pass


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as photo:
            if photo.width * photo.height > _MOST_PIXELS:
                raise SettingsInvalid(f"{path}: {photo.width} by {photo.height} pixels are too many", "make it smaller")
            yield photo
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SettingsInvalid(f"{path}: not a picture that can be read: {error}", "remove it from the folder") from None


def _fitted(path: Path) -> Image.Image:
    """The photo in the frame's size, bars at its sides where the proportions differ."""
    with _opened(path) as photo:
        photo.draft("RGB", (WIDTH, HEIGHT))
        image = photo.convert("RGB")
    scale = min(WIDTH / image.width, HEIGHT / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    frame = Image.new("RGB", (WIDTH, HEIGHT), (12, 12, 12))
    frame.paste(image.resize(size, Image.Resampling.BICUBIC), ((WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2))
    return frame
