"""Which recogniser looks: the project's own, or PP-OCRv6 with its packaged weights, to compare with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from edge_agent.vision import plate_code, text_finder
from edge_agent.vision.formats import COUNTRIES
from edge_agent.vision.model_file import DEFAULT_THREADS
from edge_agent.vision.plate_code import PlateCodeRecogniser
from edge_agent.vision.ppocr import PpOcrRecogniser
from edge_agent.vision.recogniser import Recogniser

Models = Literal["own", "ppocr"]
MODELS: tuple[Models, ...] = ("own", "ppocr")
DEFAULT: Models = "own"  # ADR 0025


def open_recogniser(
    models: Models = DEFAULT,
    threads: int = DEFAULT_THREADS,
    live: bool = False,
    long_side: int | None = None,
    countries: Sequence[str] = COUNTRIES,
    folder: Path | None = None,
    at_once: int = 1,
) -> Recogniser:
    """The recogniser with these models. Raises ModelRefused if a file is not the stated one.

    `live`: the next frame is the second look. `long_side`: pixels at which text is found, the recogniser's own choice
    if None. `countries` are those whose plates are expected, `folder` holds other descriptions of models; both are for
    the project's own; so is `at_once`, the looks that are made at a time (PP-OCRv6 makes one).
    """
    if models == "own":
        return PlateCodeRecogniser.open(
            threads, not live, long_side or plate_code.LONG_SIDE, countries, folder, at_once
        )
    return PpOcrRecogniser.open(threads, look_again=not live, long_side=long_side or text_finder.LONG_SIDE)
