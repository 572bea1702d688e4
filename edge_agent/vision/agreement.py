"""Several crops of one plate, each read by itself: the text on which they agree."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_agent.domain.identifiers import fold_plate
from edge_agent.vision.ctc import LineRead, Probabilities, best_path, text_probabilities, unit

# Exponent of the share of a text's series: a common one is a little likelier. Only texts that were read compete.
SERIES_WEIGHT = 0.2
SHARE_MIN = 1e-4
# Exponent of the agreement in a text's confidence: what one of several crops says surely and the others do not is right
# less often than that one crop is by itself (ADR 0052).
DISAGREEMENT = 0.15


@dataclass(frozen=True)
class Agreed:
    """A text, as one crop reads it, and its mean probability over all crops (0..1)."""

    read: LineRead
    agreement: float

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
    reads: dict[str, LineRead] = {}
    for read in map(best_path, crops):
        known = reads.get(read.as_read)
        if read.characters and (known is None or read.probability > known.probability):
            reads[read.as_read] = read
    if not reads:
        return Agreed(best_path(crops[0]), 0.0)
    together = np.stack(crops)
    each = {text: text_probabilities(together, text) for text in reads}
    mean = {text: float(ps.mean()) for text, ps in each.items()}
    support = {t: (mean[t] + float(each[t].max())) * max(share(t), SHARE_MIN) ** SERIES_WEIGHT for t in reads}
    best = max(support, key=lambda text: _of_sign(support, text))
    said = max((t for t in reads if fold_plate(t) == fold_plate(best)), key=support.__getitem__)
    return Agreed(reads[said], min(1.0, _of_sign(mean, said)))


def _of_sign(values: dict[str, float], text: str) -> float:
    """What all texts have together that are `text` but for O and 0, I and 1."""
    return sum(value for other, value in values.items() if fold_plate(other) == fold_plate(text))
