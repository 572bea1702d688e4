"""The presence sensors of a lane whose devices have positions: which vehicles they met, and since when they watch."""

from collections import deque
from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace

from edge_agent.domain.observation import Observation
from edge_agent.inspection.assemble import Assembly
from edge_agent.inspection.whereabouts import Driving, Whereabouts

MAX_STAYS = 64


@dataclass(eq=False, slots=True)
class Vehicle:
    """One vehicle in the row. `inspection` None: it was given up, and has not left."""

    id: str
    inspection: Assembly | None
    where: Whereabouts
    opened: float
    last_activity: float
    on: dict[str, float] = field(default_factory=dict)  # sensors that it occupies, since when
    reached: set[str] = field(default_factory=set)  # sensors by which its front has come
    read_by: set[str] = field(default_factory=set)  # devices that have read something off it
    backed_off: bool = False  # its front has come back over a sensor
    left_back: bool = False
    closed: float | None = None

    def unlike(self, observation: Observation) -> bool:
        """A plate or code that is unlike all that this device has read of it, and it has read one."""
        return self.inspection is not None and self.inspection.unlike(observation)


@dataclass(slots=True)
class Stay:
    """A vehicle on a sensor, in seconds on the observations' monotonic clock. `until` None: it still is there."""

    vehicle: Vehicle
    since: float
    until: float | None = None
    lost: bool = False  # the sensor went down, on it or after it: whatever it says later is of nobody that it knows

    def holds(self, at: float, delay_s: float) -> bool:
        """What the sensor measured at that moment is of this vehicle, or can be so long after it left."""
        return self.until is None or at <= self.until + (0.0 if self.lost else delay_s)


@dataclass(frozen=True, slots=True)
class SensorKnown:
    """What is known of a sensor when no vehicle is in the lane; seconds on the observations' monotonic clock.

    `watches`: since when it has watched without a break, None if it does not. Of the last vehicle that it met: the
    inspection's id ('' if it has met none), and its stay.
    """

    device_id: str
    watches: float | None
    met: str = ""
    since: float = 0.0
    until: float | None = None
    lost: bool = False

    def moved(self, by_s: float) -> "SensorKnown":
        """The same on a clock that is ahead by so much."""
        watches = None if self.watches is None else self.watches + by_s
        until = None if self.until is None else self.until + by_s
        return replace(self, watches=watches, since=self.since + by_s, until=until)


class Sensors:
    """Those that spoke. `down`: devices that are down, kept by others."""

    def __init__(self, down: Container[str]) -> None:
        self._down = down
        self._stays: dict[str, deque[Stay]] = {}
        self._watches: dict[str, float] = {}

    def spoke(self, device: str, at: float) -> None:
        """It said whether it is occupied."""
        self._stays.setdefault(device, deque(maxlen=MAX_STAYS))
        self._watches.setdefault(device, at)

    def lost(self, device: str) -> None:
        """It went down: it watches from its next word on."""
        self._watches.pop(device, None)
        for last in list(self._stays.get(device, ()))[-1:]:
            last.lost = True

    def watches_since(self, device: str) -> float | None:
        """Since when it has watched without a break; None: it does not."""
        return None if device in self._down else self._watches.get(device)

    def met(self, device: str, vehicle: Vehicle, at: float) -> None:
        """A vehicle began to occupy it."""
        self._stays[device].append(Stay(vehicle, at))

    def free(self, device: str, at: float) -> None:
        """Its last vehicle does not occupy it any more, as far as is known."""
        self._stays[device][-1].until = at

    def met_one(self, device: str) -> bool:
        """It has met a vehicle."""
        return bool(self._stays.get(device))

    def spoken(self, device: str) -> bool:
        """The device is a presence sensor: it spoke once."""
        return device in self._stays

    def last(self, device: str, at: float) -> Stay | None:
        """The last stay on it that had begun at that moment."""
        return next((s for s in reversed(self._stays.get(device, ())) if s.since <= at), None)

    def last_of(self, device: str, vehicle: Vehicle) -> Stay | None:
        """The last stay of that vehicle on it."""
        return next((s for s in reversed(self._stays.get(device, ())) if s.vehicle is vehicle), None)

    def known(self) -> tuple[SensorKnown, ...]:
        """What is known of each; the row is empty."""
        return tuple(self._known(device, stays[-1] if stays else None) for device, stays in self._stays.items())

    def _known(self, device: str, last: Stay | None) -> SensorKnown:
        watches = self._watches.get(device)
        if last is None:
            return SensorKnown(device, watches)
        return SensorKnown(device, watches, last.vehicle.id, last.since, last.until, last.lost)

    def knew(self, sensors: Iterable[SensorKnown], driving: Driving) -> None:
        """As `known` said it in an earlier run."""
        for one in sensors:
            stays = self._stays[one.device_id] = deque(maxlen=MAX_STAYS)
            if one.watches is not None:
                self._watches[one.device_id] = one.watches
            if one.met:
                left = Vehicle(one.met, None, Whereabouts(driving), one.since, one.since)
                stays.append(Stay(left, one.since, one.until, one.lost))
