"""What joining says beside the identifiers: which device read what, and when the agent was away meanwhile."""

from dataclasses import dataclass
from enum import StrEnum

from edge_agent.domain.clock import Instant


class PlateRole(StrEnum):
    """Whose plate it is, by the end of the vehicle at which it was read."""

    TRACTOR = "tractor"  # read at the front; a vehicle without a trailer carries it at its rear as well
    TRAILER = "trailer"  # read at the rear, where it is another one than at the front
    REAR = "rear"  # read at the rear, and none at the front: the trailer's or the vehicle's own
    UNKNOWN = "unknown"  # read by a device that looks at neither end in particular


class CodeRole(StrEnum):
    """What carries a code (ISO 6346), by its category identifier."""

    CONTAINER = "container"  # U: a freight container
    EQUIPMENT = "equipment"  # J: detachable equipment of a container
    CHASSIS = "chassis"  # Z: a trailer or chassis


class Carrier(StrEnum):
    """What a seal or a tag is on."""

    TRACTOR = "tractor"
    TRAILER = "trailer"
    CONTAINER = "container"
    CHASSIS = "chassis"
    EQUIPMENT = "equipment"
    SEAL = "seal"


class KnownBy(StrEnum):
    """Why a seal or a tag is taken to be on something; the rules are in inspection/belonging.py."""

    TEXT = "text"
    REAR = "rear"
    ONLY = "only"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Belonging:
    """What a seal or a tag is on.

    `text` is its plate, code or number, '' if only its place is known. `place`: of two containers 1 is the front one, 2
    the rear one; 0 where that is not known.
    """

    carrier: Carrier
    text: str
    known_by: KnownBy
    place: int = 0


@dataclass(frozen=True, slots=True)
class TextRead:
    """One text as a device read it. `fits`: its check digit, or a series of the region; None where neither is known."""

    text: str
    reads: int
    confidence: float
    fits: bool | None = None


@dataclass(frozen=True, slots=True)
class DeviceReads:
    """What one device read of one kind of identifier, most supported first; `sees` is front, rear or any.

    `what` is plate or container_code. Two devices that disagree are found here, each with its own texts.
    """

    device_id: str
    what: str
    sees: str
    texts: tuple[TextRead, ...]


@dataclass(frozen=True, slots=True)
class Away:
    """The agent was not there from `since`, its last sign before, to `until`; `stopped`: as it was asked to be."""

    since: Instant
    until: Instant
    stopped: bool = False

    @property
    def seconds(self) -> float:
        """How long, on the monotonic clock; both ends are in the same run of the machine or were brought to it."""
        return self.until.monotonic - self.since.monotonic
