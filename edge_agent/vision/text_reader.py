"""Reads one line of text: PP-OCR's recognition, as pure steps before and after the model.

The model knows some 18,700 characters. Plates and container codes use 36: the probabilities of a letter in either case,
in full width, ringed, and of the same shape in Greek or Cyrillic are added up; of everything else only the strongest
counts, as one class that no plate contains. So a confidence stays the model's own, and a Chinese shop sign does not
turn into Latin letters.
"""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.domain.observation import CharacterRead
from edge_agent.vision.ctc import (
    CLASSES,
    LETTERS_AND_DIGITS,
    LineRead,
    Probabilities,
    alternatives,
    place,
    runs,
    unit,
)
from edge_agent.vision.frame import Image
from edge_agent.vision.model_file import DEFAULT_THREADS, Model, open_model

MODEL = "text_reader_ppocrv6"
REST = CLASSES  # the class of everything that is neither blank, letter nor digit
SAME_SHAPE = dict(zip("АВЕКМНОРСТУХІЅЈΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEKMHOPCTYXISJABEZHIKMNOPTYX", strict=True))
HEIGHT = 48
WIDTH_STEP = 32
WIDTH_MIN = 96
WIDTH_MAX = 960  # longer lines are no plate and no container code; they are squeezed


@dataclass(frozen=True)
class Classes:
    """How the model's columns become blank, 36 letters and digits, and the rest."""

    alphabet: tuple[str, ...]  # with blank first and space last, as the columns stand
    columns: tuple[npt.NDArray[np.intp], ...]  # of each of the 36
    rest: npt.NDArray[np.intp]


def classes(alphabet: Sequence[str]) -> Classes:
    """Groups the columns of a model whose alphabet, without blank and space, is `alphabet`."""
    full = ("", *alphabet, " ")
    members: dict[str, list[int]] = {c: [] for c in LETTERS_AND_DIGITS}
    rest = []
    for column, character in enumerate(full):
        if column == 0:
            continue
        # Unicode's compatible form: full width is plain; ringed digits, as which boxed check digits read, are digits.
        plain = unicodedata.normalize("NFKC", character).upper()
        plain = SAME_SHAPE.get(plain, plain)
        if plain in members:
            members[plain].append(column)
        else:
            rest.append(column)
    return Classes(
        full, tuple(np.array(members[c], dtype=np.intp) for c in LETTERS_AND_DIGITS), np.array(rest, dtype=np.intp)
    )


def reader_width(width: int, height: int) -> int:
    """The width at which a line of that size is read at a height of 48."""
    return min(WIDTH_MAX, max(16, math.ceil(HEIGHT * width / max(1, height))))


def reader_input(lines: Sequence[Image]) -> Probabilities:
    """Straightened lines as N × 3 × 48 × W in -1..1; shorter ones are filled up with 0."""
    widths = [reader_width(line.shape[1], line.shape[0]) for line in lines]
    total = max(WIDTH_MIN, math.ceil(max(widths) / WIDTH_STEP) * WIDTH_STEP)
    batch = np.zeros((len(lines), 3, HEIGHT, total), dtype=np.float32)
    for i, (line, width) in enumerate(zip(lines, widths, strict=True)):
        resized = cv2.resize(line, (width, HEIGHT), interpolation=cv2.INTER_LINEAR)
        batch[i, :, :, :width] = resized.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
    return batch


def decode(probabilities: Probabilities, known: Classes, used: float = 1.0) -> LineRead:
    """Best path of CTC over steps × columns: repeats merge, blanks part. `used` is the share of steps with a line."""
    steps = probabilities.shape[0]
    reduced = np.zeros((steps, CLASSES + 1), dtype=np.float32)
    reduced[:, 0] = probabilities[:, 0]
    for i, columns in enumerate(known.columns):
        reduced[:, i + 1] = probabilities[:, columns].sum(axis=1)
    strongest_rest = known.rest[probabilities[:, known.rest].argmax(axis=1)]
    reduced[:, REST] = probabilities[np.arange(steps), strongest_rest]
    best = reduced.argmax(axis=1)
    labels = np.where(best == REST, REST + strongest_rest, best)

    characters: list[CharacterRead] = []
    places: list[float] = []
    for start, end in runs(labels):
        kind = int(best[start])
        if kind:
            peak = start + int(reduced[start:end, kind].argmax())
            row = reduced[peak]
            character = known.alphabet[strongest_rest[peak]] if kind == REST else LETTERS_AND_DIGITS[kind - 1]
            characters.append(CharacterRead(character, unit(row[kind]), alternatives(row, kind)))
            places.append(place(start, end, steps, used))
    return LineRead(tuple(characters), tuple(places))


class TextReader:
    """The recognition model with its steps."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._classes = classes(model.alphabet)

    @classmethod
    def open(cls, threads: int = DEFAULT_THREADS) -> "TextReader":
        """Raises ModelRefused if the model's file is not the stated one."""
        return cls(open_model(MODEL, threads))

    def read(self, lines: Sequence[Image]) -> list[LineRead]:
        """Each straightened line's text. Lines of one width are read in one batch."""
        out: list[LineRead] = []
        for line in lines:
            batch = reader_input([line])
            used = reader_width(line.shape[1], line.shape[0]) / batch.shape[3]
            out.append(decode(self._model.run(batch)[0], self._classes, used))
        return out
