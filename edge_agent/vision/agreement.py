"""Several crops of one plate, each read by itself: the text on which they agree."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from edge_agent.domain.identifiers import fold_plate
from edge_agent.domain.observation import CharacterRead
from edge_agent.vision.ctc import (
    ALTERNATIVE_MIN,
    ALTERNATIVES_MAX,
    LineRead,
    Probabilities,
    best_path,
    text_probabilities,
    unit,
)

# Exponent of the share of a text's series: a common one is a little likelier. Only texts that were read compete.
SERIES_WEIGHT = 0.2
SHARE_MIN = 1e-4
# Exponent of the agreement in a text's confidence: what one of several crops says surely and the others do not is right
# less often than that one crop is by itself (ADR 0052).
DISAGREEMENT = 0.15


@dataclass(frozen=True)
class Agreed:
    """A text, as one crop reads it, its mean probability over all crops (0..1), and what all say at each place."""

    read: LineRead
    agreement: float
    characters: tuple[CharacterRead, ...]

    @property
    def confidence(self) -> float:
        """The probability that the text is right: the surest crop's, drawn towards what all say (O as 0, I as 1)."""
        return unit(self.read.probability ** (1 - DISAGREEMENT) * self.agreement**DISAGREEMENT)


def agreed(crops: Sequence[Probabilities], share: Callable[[str], float]) -> Agreed:
    """The text that the crops support most, as the crop that reads it surest says it.

    `crops`: steps × classes of each, as many steps in all, at least one crop. Every text that a crop reads is weighed
    by its mean probability over all crops and its largest, together, and by the `share` (0..1) of its series. O and 0,
    I and 1 count as the same.
    """
    by_crop = list(map(best_path, crops))
    reads: dict[str, LineRead] = {}
    for read in by_crop:
        known = reads.get(read.as_read)
        if read.characters and (known is None or read.probability > known.probability):
            reads[read.as_read] = read
    if not reads:
        return Agreed(by_crop[0], 0.0, ())
    together = np.stack(crops)
    each = {text: text_probabilities(together, [text])[:, 0] for text in reads}
    mean = {text: float(ps.mean()) for text, ps in each.items()}
    support = {t: (mean[t] + float(each[t].max())) * max(share(t), SHARE_MIN) ** SERIES_WEIGHT for t in reads}
    best = max(support, key=lambda text: _of_sign(support, text))
    said = max((t for t in reads if fold_plate(t) == fold_plate(best)), key=support.__getitem__)
    return Agreed(reads[said], min(1.0, _of_sign(mean, said)), _by_place(together, said, by_crop))


def _by_place(crops: Probabilities, text: str, reads: Sequence[LineRead]) -> tuple[CharacterRead, ...]:
    """The text's characters, each weighed against whatever a crop names at its place, the others as they are.

    A crop counts by how probable such a text is in it: one that reads another text says next to nothing (ADR 0053).
    """
    named: list[dict[str, None]] = [{character: None} for character in text]
    for read in reads:
        if len(read.characters) == len(text):
            for signs, said in zip(named, read.characters, strict=True):
                signs.update(dict.fromkeys([said.character, *(other for other, _ in said.alternatives)]))
    texts = [[text[:i] + sign + text[i + 1 :] for sign in signs] for i, signs in enumerate(named)]
    different = list(dict.fromkeys(chain.from_iterable(texts)))
    weights = dict(zip(different, text_probabilities(crops, different).sum(axis=0), strict=True))
    out = []
    for signs, with_each in zip(named, texts, strict=True):
        weight = np.array([weights[one] for one in with_each])
        (character, share), *others = zip(signs, (weight / weight.sum()).tolist(), strict=True)
        others = sorted((one for one in others if one[1] >= ALTERNATIVE_MIN), key=lambda one: -one[1])
        alternatives = tuple((other, unit(p)) for other, p in others[:ALTERNATIVES_MAX])
        out.append(CharacterRead(character, unit(share), alternatives))
    return tuple(out)


def _of_sign(values: dict[str, float], text: str) -> float:
    """What all texts have together that are `text` but for O and 0, I and 1."""
    return sum(value for other, value in values.items() if fold_plate(other) == fold_plate(text))
