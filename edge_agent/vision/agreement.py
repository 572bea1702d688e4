"""Several crops of one plate, each read by itself: the text on which they agree."""

from collections.abc import Callable, Sequence

from edge_agent.domain.identifiers import fold_plate
from edge_agent.vision.ctc import LineRead, Probabilities, best_path, text_probability

# Exponent of the share of a text's series: a common one is a little likelier. Only texts that were read compete.
SERIES_WEIGHT = 0.2
SHARE_MIN = 1e-4


def agreed(crops: Sequence[Probabilities], share: Callable[[str], float]) -> LineRead:
    """The text that the crops support most, as the crop that reads it surest says it.

    `crops`: steps × classes of each, at least one. Every text that a crop reads is weighed by its mean probability over
    all crops and its largest, together, and by the `share` (0..1) of its series. O and 0, I and 1 count as the same.
    """
    reads: dict[str, LineRead] = {}
    for read in map(best_path, crops):
        known = reads.get(read.as_read)
        if read.characters and (known is None or read.probability > known.probability):
            reads[read.as_read] = read
    if not reads:
        return best_path(crops[0])
    support = {text: _support(crops, text) * max(share(text), SHARE_MIN) ** SERIES_WEIGHT for text in reads}
    together: dict[str, float] = {}
    for text, weight in support.items():
        together[fold_plate(text)] = together.get(fold_plate(text), 0.0) + weight
    best = max(together, key=together.__getitem__)
    return reads[max((t for t in reads if fold_plate(t) == best), key=support.__getitem__)]


def _support(crops: Sequence[Probabilities], text: str) -> float:
    each = [text_probability(p, text) for p in crops]
    return sum(each) / len(each) + max(each)
