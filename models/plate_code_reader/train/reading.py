"""How right a reader's texts are."""

import math
from collections.abc import Sequence

ALIKE = str.maketrans("OI", "01")


def fold(text: str) -> str:
    """O counts as 0 and I as 1."""
    return text.translate(ALIKE)


def wilson(right: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of 95 % for a share."""
    if of == 0:
        return 0.0, 1.0
    share = right / of
    middle = share + z * z / (2 * of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)


def right(reads: Sequence[str], texts: Sequence[str], folded: bool = True) -> int:
    """How many are the same."""
    if folded:
        return sum(fold(a) == fold(b) for a, b in zip(reads, texts, strict=True))
    return sum(a == b for a, b in zip(reads, texts, strict=True))
