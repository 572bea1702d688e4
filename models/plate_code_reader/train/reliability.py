"""How far stated confidences hold: of what is said with some confidence, the share that is right."""

from collections.abc import Sequence

import numpy as np

BINS = 10
Said = Sequence[tuple[float, bool]]  # confidence (0..1), and whether it is right


def right_characters(text: str, read: str) -> list[bool]:
    """For each character of `read`, whether it stands so in `text`, which is aligned to it with the fewest edits.

    Levenshtein, 1966. Of several ways the one that keeps most characters counts; a missing character makes no other one
    wrong.
    """
    # edits and, negative, the kept characters of text[:i] and read[:j]
    cost = [[(max(i, j), 0) for j in range(len(read) + 1)] for i in range(len(text) + 1)]
    for i in range(1, len(text) + 1):
        for j in range(1, len(read) + 1):
            edits, kept = cost[i - 1][j - 1]
            same = text[i - 1] == read[j - 1]
            ways = [(edits + (not same), kept - same)]
            ways += [(edits + 1, kept) for edits, kept in (cost[i - 1][j], cost[i][j - 1])]
            cost[i][j] = min(ways)
    right = [False] * len(read)
    i, j = len(text), len(read)
    while i and j:
        same = text[i - 1] == read[j - 1]
        edits, kept = cost[i - 1][j - 1]
        if cost[i][j] == (edits + (not same), kept - same):
            i, j = i - 1, j - 1
            right[j] = same
        elif cost[i][j] == (cost[i - 1][j][0] + 1, cost[i - 1][j][1]):
            i -= 1
        else:
            j -= 1
    return right


def tenths(said: Said) -> list[tuple[float, float, int]]:
    """Mean confidence, share that is right and number, for each tenth of confidence that occurs."""
    sure = np.array([c for c, _ in said])
    good = np.array([right for _, right in said])
    of = np.minimum((sure * BINS).astype(int), BINS - 1)
    held = [of == b for b in range(BINS)]
    return [(float(sure[h].mean()), float(good[h].mean()), int(h.sum())) for h in held if h.any()]


def calibration_error(said: Said) -> float:
    """Expected calibration error: the mean distance between confidence and share, weighted by number."""
    rows = tenths(said)
    return sum(n * abs(sure - good) for sure, good, n in rows) / max(1, len(said))


def above(said: Said, confidence: float) -> tuple[int, int]:
    """How many are said with at least that confidence, and how many of these are right."""
    kept = [right for sure, right in said if sure >= confidence]
    return len(kept), sum(kept)
