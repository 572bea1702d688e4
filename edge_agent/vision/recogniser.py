"""What the line asks of a recogniser, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_agent.domain.observation import ContainerCodeRead, PlateRead
from edge_agent.vision.frame import Frame, Image


@dataclass(frozen=True)
class PlateSighting:
    """A plate in one frame. `likeness` (0..1) orders the sightings of a frame: how much it looks like a plate."""

    read: PlateRead
    crop: Image
    likeness: float


@dataclass(frozen=True)
class ContainerCodeSighting:
    """A container code in one frame."""

    read: ContainerCodeRead
    crop: Image


Sighting = PlateSighting | ContainerCodeSighting


class Recogniser(Protocol):
    """Looks at one frame. [] says that it looked and saw none; RecogniserBroken, that it could not look.

    Plates come before container codes, each best first. May be called from several threads.
    """

    def look(self, frame: Frame) -> Sequence[Sighting]: ...
