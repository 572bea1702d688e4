"""What a look told, and a reading of which the reader of `striped` is not sure."""

from collections.abc import Sequence

import numpy as np

from edge_agent.domain.observation import ContainerCodeRead, PlateRead
from edge_agent.vision.ctc import LETTERS_AND_DIGITS
from edge_agent.vision.recogniser import ContainerCodeSighting, PlateSighting, Sighting
from tests.unit.vision.striped import level


def plates(sightings: Sequence[Sighting]) -> list[PlateRead]:
    return [s.read for s in sightings if isinstance(s, PlateSighting)]


def codes(sightings: Sequence[Sighting]) -> list[ContainerCodeRead]:
    return [s.read for s in sightings if isinstance(s, ContainerCodeSighting)]


def between(one: str, other: str, share: float = 0.5) -> int:
    """A blue level of which the reader is not sure which of the two it is."""
    levels = (level(LETTERS_AND_DIGITS.index(c) + 1) for c in (one, other))
    return round((float(np.dot((1 - share, share), tuple(levels))) + 1) * 127.5)
