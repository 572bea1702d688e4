"""Which recogniser looks: the project's own, PP-OCRv6 with its packaged weights, or each for what it reads better."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from edge_agent.vision import plate_code, text_finder
from edge_agent.vision.formats import COUNTRIES
from edge_agent.vision.frame import Frame
from edge_agent.vision.model_file import DEFAULT_THREADS
from edge_agent.vision.plate_code import PlateCodeRecogniser
from edge_agent.vision.ppocr import PpOcrRecogniser
from edge_agent.vision.recogniser import ContainerCodeSighting, PlateSighting, Recogniser, Sighting

Models = Literal["mixed", "own", "ppocr"]
MODELS: tuple[Models, ...] = ("mixed", "own", "ppocr")
DEFAULT: Models = "mixed"  # ADR 0020


class MixedRecogniser:
    """Plates by the project's own models, container codes by PP-OCRv6; a frame's role says which of them look."""

    def __init__(self, own: PlateCodeRecogniser, ppocr: PpOcrRecogniser) -> None:
        self._own = own
        self._ppocr = ppocr

    def look(self, frame: Frame) -> Sequence[Sighting]:
        """Plates, then container codes, each best first. Raises RecogniserBroken if it could not look."""
        codes = self._ppocr.codes(frame) if frame.role != "plate" else ()
        if frame.role == "container":
            return codes
        plates = [s for s in self._own.look(frame) if isinstance(s, PlateSighting) and not _in_a_code(s, codes)]
        return [*plates, *codes]


def open_recogniser(
    models: Models = DEFAULT,
    threads: int = DEFAULT_THREADS,
    live: bool = False,
    long_side: int | None = None,
    countries: Sequence[str] = COUNTRIES,
    folder: Path | None = None,
) -> Recogniser:
    """The recogniser with these models. Raises ModelRefused if a file is not the stated one.

    `live`: the next frame is the second look. `long_side`: pixels at which text is found, the recogniser's own choice
    if None. `countries` are those whose plates are expected, `folder` holds other descriptions of models; both are for
    the project's own.
    """
    if models == "own":
        return PlateCodeRecogniser.open(threads, not live, long_side or plate_code.LONG_SIDE, countries, folder)
    ppocr = PpOcrRecogniser.open(threads, look_again=not live, long_side=long_side or text_finder.LONG_SIDE)
    if models == "ppocr":
        return ppocr
    own = PlateCodeRecogniser.open(threads, not live, long_side or plate_code.LONG_SIDE, countries, folder)
    return MixedRecogniser(own, ppocr)


def _in_a_code(plate: PlateSighting, codes: Sequence[Sighting]) -> bool:
    """Whether the middle of what was taken for a plate lies in a code that has its check digit."""
    x, y = plate.read.box.x + plate.read.box.w / 2, plate.read.box.y + plate.read.box.h / 2
    boxes = [s.read.box for s in codes if isinstance(s, ContainerCodeSighting) and s.read.check_digit_ok]
    return any(box.x <= x <= box.x + box.w and box.y <= y <= box.y + box.h for box in boxes)
