"""The recogniser: PP-OCRv6 finds and reads lines of text, plates.py and containers.py say which of them matter."""

import threading
from collections.abc import Sequence

from edge_agent.domain.errors import RecogniserBroken
from edge_agent.domain.observation import PlateRead
from edge_agent.vision.columns import column_cells, column_line, column_quad
from edge_agent.vision.containers import PART_OF_CODE, code_candidates
from edge_agent.vision.frame import Frame, Image, cut
from edge_agent.vision.lines import TextLine, bounding_box
from edge_agent.vision.model_file import DEFAULT_THREADS
from edge_agent.vision.plates import PlateCandidate, plate_candidates
from edge_agent.vision.recogniser import ContainerCodeSighting, PlateSighting, Sighting, picture_of
from edge_agent.vision.text_finder import LONG_SIDE, Quad, TextFinder, TextRegion, crop
from edge_agent.vision.text_reader import TextReader

LINES_MAX = 40  # a lane's picture has fewer; the largest are read
LINE_HEIGHT_MIN = 7.0  # pixels; below it nothing is legible
LINE_ASPECT_MAX = 16.0  # eleven characters and a boxed digit stay below
# A picture is looked at once, small. If that left something open it is looked at once more, a larger one at this
# size, a smaller one enlarged: small text is found better so (rendered codes of 8 to 18 pixels: 16 of 20, not 14).
LONG_SIDE_AGAIN = 1600
ENLARGE_AGAIN = 1.5
CONVINCING = 0.5  # likeness of a plate that needs no second look


class PpOcrRecogniser:
    """Looks at a frame with PP-OCRv6, at one frame at a time, whichever thread asks.

    `look_again` is for photos: a camera's next frame is its second look, and comes sooner. `long_side` is the size, in
    pixels, at which text is found; it is read at the picture's own.
    """

    def __init__(
        self, finder: TextFinder, reader: TextReader, look_again: bool = True, long_side: int = LONG_SIDE
    ) -> None:
        self._finder = finder
        self._reader = reader
        self._look_again = look_again
        self._long_side = long_side
        self._one_at_a_time = threading.Lock()  # two looks at once would only share the same cores

    @classmethod
    def open(
        cls, threads: int = DEFAULT_THREADS, look_again: bool = True, long_side: int = LONG_SIDE
    ) -> "PpOcrRecogniser":
        """Loads both models. Raises ModelRefused if a file is not the stated one."""
        return cls(TextFinder.open(threads), TextReader.open(threads), look_again, long_side)

    def look(self, frame: Frame) -> Sequence[Sighting]:
        """Plates, then container codes, each best first. Raises RecogniserBroken if it could not look."""
        image = picture_of(frame)
        try:
            with self._one_at_a_time:
                return self._look(image)
        except Exception as error:
            # Whatever OpenCV or ONNX Runtime raises (they share no base class) means the same: could not look.
            raise RecogniserBroken(f"could not look at a frame of {frame.camera_id or 'a picture'}: {error}") from error

    def lines(self, image: Image, long_side: int = LONG_SIDE, enlarge: float = 1.0) -> list[TextLine]:
        """The lines of text that could be part of a plate or a code, largest first; columns as lines."""
        regions = self._finder.find(image, long_side, enlarge)
        wanted = sorted((r for r in regions if _worth_reading(r)), key=lambda r: -r.width * r.height)
        lines = [self._line(image, r.quad) for r in wanted[:LINES_MAX]]
        for cells in column_cells(regions):
            lines.append(TextLine(column_quad(cells), self._reader.read([column_line(image, cells)])[0]))
        return lines

    def _line(self, image: Image, quad: Quad) -> TextLine:
        return TextLine(quad, self._reader.read([crop(image, quad)])[0])

    def _look(self, image: Image) -> list[Sighting]:
        lines = self.lines(image, self._long_side)
        found = self._sightings(image, lines)
        if not self._look_again or not _left_open(found, lines):
            return found
        return self._sightings(image, self._lines_again(image)) or found

    def _lines_again(self, image: Image) -> list[TextLine]:
        return self.lines(image, LONG_SIDE_AGAIN, 1.0 if max(image.shape[:2]) > LONG_SIDE else ENLARGE_AGAIN)

    def _sightings(self, image: Image, lines: Sequence[TextLine]) -> list[Sighting]:
        height, width = image.shape[:2]
        codes = code_candidates(lines, lambda quad: self._line(image, quad))
        in_codes = {line for c in codes for line in c.lines}
        plates = plate_candidates([line for line in lines if line not in in_codes], height, width)
        found: list[Sighting] = [_plate(image, p) for p in plates]
        for code in codes:
            read = code.as_read(height, width)
            found.append(ContainerCodeSighting(read, cut(image, read.box)))
        return found


def _left_open(found: Sequence[Sighting], lines: Sequence[TextLine]) -> bool:
    """Nothing convincing was seen, or parts of a container code without the whole."""
    codes = _codes(found)
    if codes or _code_left_open(codes, lines):
        return _code_left_open(codes, lines)
    return not any(isinstance(s, PlateSighting) and s.likeness >= CONVINCING for s in found)


def _code_left_open(codes: Sequence[Sighting], lines: Sequence[TextLine]) -> bool:
    """A code without its check digit, or something that may be part of one."""
    if any(isinstance(s, ContainerCodeSighting) and s.read.check_digit_ok for s in codes):
        return False
    return bool(codes) or any(PART_OF_CODE.fullmatch(line.text) for line in lines)


def _codes(found: Sequence[Sighting]) -> list[Sighting]:
    return [s for s in found if isinstance(s, ContainerCodeSighting)]


def _worth_reading(region: TextRegion) -> bool:
    return region.height >= LINE_HEIGHT_MIN and 0.4 <= region.width / region.height <= LINE_ASPECT_MAX


def _plate(image: Image, plate: PlateCandidate) -> PlateSighting:
    box = bounding_box((line.quad for line in plate.lines), image.shape[0], image.shape[1])
    read = PlateRead(plate.text, plate.confidence, plate.characters, box, plate.as_read, plate.likeness)
    return PlateSighting(read, cut(image, box), plate.likeness)
