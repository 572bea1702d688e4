"""What all crops of a plate say of each character of the text that they agreed on (ADR 0053)."""

from collections.abc import Sequence

import numpy as np

from edge_agent.domain.observation import CharacterRead
from edge_agent.vision.ctc import (
    ALTERNATIVE_MIN,
    ALTERNATIVES_MAX,
    CLASSES,
    LETTERS_AND_DIGITS,
    LineRead,
    Probabilities,
    best_path,
    label_probabilities,
    labels_of,
    unit,
)


def by_place(crops: Sequence[Probabilities], read: LineRead) -> tuple[CharacterRead, ...]:
    """The characters of the text, each with its share of all that the crops (steps × classes each) say of its place.

    The text itself, with another sign there, and without one are weighed by their probabilities, summed over the crops,
    its other characters as they are: a crop that reads another text says next to nothing.
    """
    text = labels_of(read.as_read)
    if not text:
        return ()
    named = _named(crops, text)
    together = np.stack(crops).astype(np.float64)
    # One class more for each place: all letters and digits that are not named there.
    letters = together[:, :, 1:].sum(axis=2)
    rest = [letters - together[:, :, [own, *others]].sum(axis=2) for own, others in zip(text, named, strict=True)]
    widened = np.concatenate([together, np.clip(np.stack(rest, axis=2), 0, None)], axis=2)
    instead = [(place, sign) for place, others in enumerate(named) for sign in (*others, CLASSES + place)]
    texts = [text, *([*text[:place], sign, *text[place + 1 :]] for place, sign in instead)]
    own, *each = label_probabilities(widened, texts).sum(axis=0).tolist()
    without = [text[:place] + text[place + 1 :] for place in range(len(text))]
    lacking = label_probabilities(together, without).sum(axis=0).tolist()
    out = []
    for place, character in enumerate(read.characters):
        said = {sign: weight for (at, sign), weight in zip(instead, each, strict=True) if at == place}
        total = own + sum(said.values()) + lacking[place]
        if not total > 0:  # no reader says so
            return read.characters
        shares = [(LETTERS_AND_DIGITS[s - 1], weight / total) for s, weight in said.items() if s < CLASSES]
        others = sorted((one for one in shares if one[1] >= ALTERNATIVE_MIN), key=lambda one: -one[1])
        alternatives = tuple((sign, unit(share)) for sign, share in others[:ALTERNATIVES_MAX])
        out.append(CharacterRead(character.character, unit(own / total), alternatives))
    return tuple(out)


def _named(crops: Sequence[Probabilities], text: Sequence[int]) -> list[list[int]]:
    """For each place the other signs that a crop of a text of that length reads or names there."""
    named: list[dict[int, None]] = [{} for _ in text]
    for read in map(best_path, crops):
        if len(read.characters) == len(text):
            for signs, said in zip(named, read.characters, strict=True):
                signs.update(dict.fromkeys(labels_of([said.character, *(sign for sign, _ in said.alternatives)])))
    return [[sign for sign in signs if sign != own] for own, signs in zip(text, named, strict=True)]
