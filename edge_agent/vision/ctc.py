"""From a reader's probabilities to characters: CTC's best path, and the probability of a whole text.

Method: Graves et al., Connectionist Temporal Classification (ICML 2006). Probabilities are steps × classes; class 0 is
the blank, classes 1 to 36 are LETTERS_AND_DIGITS.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_agent.domain.observation import CharacterRead

LETTERS_AND_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CLASSES = 1 + len(LETTERS_AND_DIGITS)
ALTERNATIVE_MIN = 0.005
ALTERNATIVES_MAX = 4

Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LineRead:
    """One line as read: each character with its confidence and its place along the line (0 left, 1 right).

    A character outside A-Z and 0-9 stands as the model said it. `probability` (0..1) is that of the whole text over all
    its paths, 0 where the reader does not say.
    """

    characters: tuple[CharacterRead, ...]
    places: tuple[float, ...]
    probability: float = 0.0

    @property
    def as_read(self) -> str:
        return "".join(c.character for c in self.characters)


def best_path(probabilities: Probabilities, used: float = 1.0) -> LineRead:
    """What a reader of 37 classes says: repeats merge, blanks part. `used` is the share of steps that hold the line."""
    steps = probabilities.shape[0]
    best = probabilities.argmax(axis=1)
    characters: list[CharacterRead] = []
    places: list[float] = []
    for start, end in runs(best):
        kind = int(best[start])
        if kind:
            row = probabilities[start + int(probabilities[start:end, kind].argmax())]
            characters.append(CharacterRead(LETTERS_AND_DIGITS[kind - 1], unit(row[kind]), alternatives(row, kind)))
            places.append(place(start, end, steps, used))
    text = "".join(c.character for c in characters)
    return LineRead(tuple(characters), tuple(places), unit(text_probability(probabilities, text)))


def runs(labels: npt.NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Start and end of each run of equal labels."""
    if not len(labels):
        return
    changes = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    yield from itertools.pairwise(changes)


def place(start: int, end: int, steps: int, used: float) -> float:
    """Where the middle of a run of steps stands along the line."""
    return min(1.0, ((start + end) / 2) / steps / used)


def alternatives(row: Probabilities, kind: int) -> tuple[tuple[str, float], ...]:
    """The likeliest other letters and digits of one step."""
    order = [i for i in np.argsort(-row[1:CLASSES]) + 1 if i != kind and row[i] >= ALTERNATIVE_MIN]
    return tuple((LETTERS_AND_DIGITS[i - 1], unit(row[i])) for i in order[:ALTERNATIVES_MAX])


def text_probability(probabilities: Probabilities, text: str) -> float:
    """The sum over all paths that read `text` (the forward variable of CTC), 0..1."""
    return float(text_probabilities(probabilities[np.newaxis], text)[0])


def text_probabilities(probabilities: Probabilities, text: str) -> npt.NDArray[np.float64]:
    """The same of several lines at once: N × steps × classes in, N out."""
    return label_probabilities(probabilities, [labels_of(text)])[:, 0]


def labels_of(signs: Iterable[str]) -> list[int]:
    """The classes of letters and digits."""
    return [LETTERS_AND_DIGITS.index(sign) + 1 for sign in signs]


def label_probabilities(
    probabilities: npt.NDArray[np.floating], texts: Sequence[Sequence[int]]
) -> npt.NDArray[np.float64]:
    """The same of several texts of one length, as classes: N × steps × classes in, N × texts out."""
    labels = np.zeros((len(texts), 2 * len(texts[0]) + 1), dtype=np.intp)
    labels[:, 1::2] = texts
    skips = np.zeros(labels.shape, dtype=bool)  # a blank may be left out between two different characters
    skips[:, 3::2] = labels[:, 3::2] != labels[:, 1:-2:2]
    emitted = probabilities[:, :, labels].astype(np.float64)
    alpha = np.zeros(emitted[:, 0].shape)
    alpha[..., :2] = emitted[:, 0, :, :2]
    for step in range(1, emitted.shape[1]):
        moved = alpha.copy()
        moved[..., 1:] += alpha[..., :-1]
        moved[..., 2:] += np.where(skips[:, 2:], alpha[..., :-2], 0.0)
        alpha = moved * emitted[:, step]
    return alpha[..., -2:].sum(axis=-1)  # type: ignore[no-any-return]


def unit(value: float | np.float32) -> float:
    """Within 0..1, four places."""
    return round(min(1.0, max(0.0, float(value))), 4)
