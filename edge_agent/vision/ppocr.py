"""The recogniser: PP-OCRv6 finds and reads lines of text, plates.py and containers.py say which of them matter."""

import threading
from collections.abc import Sequence

from edge_agent.domain.errors import RecogniserBroken
from edge_agent.domain.observation import PlateRead
from edge_agent.vision.containers import code_candidates
from edge_agent.vision.frame import Frame, Image
from edge_agent.vision.lines import TextLine, bounding_box
from edge_agent.vision.model_file import DEFAULT_THREADS
from edge_agent.vision.plates import PlateCandidate, plate_candidates
from edge_agent.vision.recogniser import ContainerCodeSighting, PlateSighting, Sighting
from edge_agent.vision.text_finder import LONG_SIDE, Quad, TextFinder, TextRegion, crop
from edge_agent.vision.text_reader import TextReader

LINES_MAX = 40  # a lane's picture has fewer; the largest are read
LINE_HEIGHT_MIN = 7.0  # pixels; below it nothing is legible
LINE_ASPECT_MAX = 16.0  # eleven characters and a boxed digit stay below
CROP_MARGIN = 0.35  # around a plate or code, in heights of its box, so that a person sees where it hangs


class PpOcrRecogniser:
    """Looks at a frame with PP-OCRv6, at one frame at a time, whichever thread asks."""

    def __init__(self, finder: TextFinder, reader: TextReader) -> None:
        self._finder = finder
        self._reader = reader
        self._one_at_a_time = threading.Lock()  # two looks at once would only share the same cores

    @classmethod
    def open(cls, threads: int = DEFAULT_THREADS, long_side: int = LONG_SIDE) -> "PpOcrRecogniser":
        """Loads both models. Raises ModelRefused if a file is not the stated one."""
        return cls(TextFinder.open(threads, long_side), TextReader.open(threads))

    def look(self, frame: Frame) -> Sequence[Sighting]:
        """Plates, then container codes, each best first. Raises RecogniserBroken if it could not look."""
        image = frame.image
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype.name != "uint8" or min(image.shape[:2]) < 1:
            raise RecogniserBroken(f"a frame of {image.dtype.name} {image.shape} is no colour picture of 8 bits")
        try:
            with self._one_at_a_time:
                return self._look(image)
        except Exception as error:
            # Whatever OpenCV or ONNX Runtime raises (they share no base class) means the same: could not look.
            raise RecogniserBroken(f"could not look at a frame of {frame.camera_id or 'a picture'}: {error}") from error

    def lines(self, image: Image) -> list[TextLine]:
        """The lines of text that could be part of a plate or a code, largest first."""
        wanted = [r for r in self._finder.find(image) if _worth_reading(r)]
        wanted.sort(key=lambda r: -r.width * r.height)
        return [self._line(image, r.quad) for r in wanted[:LINES_MAX]]

    def _line(self, image: Image, quad: Quad) -> TextLine:
        return TextLine(quad, self._reader.read([crop(image, quad)])[0])

    def _look(self, image: Image) -> list[Sighting]:
        height, width = image.shape[:2]
        lines = self.lines(image)
        codes = code_candidates(lines, lambda quad: self._line(image, quad))
        in_codes = {id(line) for c in codes for line in c.lines}
        plates = plate_candidates([line for line in lines if id(line) not in in_codes], height, width)
        found: list[Sighting] = [_plate(image, p) for p in plates]
        for code in codes:
            read = code.as_read(height, width)
            found.append(ContainerCodeSighting(read, _cut(image, read.box.x, read.box.y, read.box.w, read.box.h)))
        return found


def _worth_reading(region: TextRegion) -> bool:
    return region.height >= LINE_HEIGHT_MIN and 0.4 <= region.width / region.height <= LINE_ASPECT_MAX


def _plate(image: Image, plate: PlateCandidate) -> PlateSighting:
    box = bounding_box((line.quad for line in plate.lines), image.shape[0], image.shape[1])
    read = PlateRead(plate.text, plate.confidence, plate.characters, box, plate.as_read)
    return PlateSighting(read, _cut(image, box.x, box.y, box.w, box.h), plate.likeness)


def _cut(image: Image, x: int, y: int, w: int, h: int) -> Image:
    margin = round(CROP_MARGIN * min(w, h))
    return image[max(0, y - margin) : y + h + margin, max(0, x - margin) : x + w + margin].copy()
