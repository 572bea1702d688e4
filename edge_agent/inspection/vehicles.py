"""Whose an observation is, of the vehicles in a row and those that have just left it: P2, P3, P5 and P6 of row.py."""

from collections import deque

from edge_agent.domain.observation import (
    ContainerCodeRead,
    Observation,
    PlateRead,
    RadiationAlarm,
    RadiationOccupancy,
    SealRead,
    SealState,
    SpectroscopicMeasurement,
    TagRead,
    Weight,
)
from edge_agent.inspection.records import LaneRules
from edge_agent.inspection.roles import alike
from edge_agent.inspection.sensors import Sensors, Vehicle
from edge_agent.inspection.vote import in_series
from edge_agent.inspection.whereabouts import Body, End, Fact, Place, Span

TICK_S = 1e-6  # a wake time goes through a float and back
# Vehicles that have left, for readings that are dated before.
MAX_GONE = 16
MAX_UNCLEAR = 64
# Of a plate that one look suffices for.
SURE_LIKENESS, SURE_CONFIDENCE = 0.65, 0.9
SLOW = (RadiationOccupancy, SpectroscopicMeasurement)
# What is read off a vehicle, also by a device that is a presence sensor besides.
READ_OFF = (PlateRead, ContainerCodeRead, SealRead, SealState, TagRead, Weight)


class Vehicles:
    """Those in the row, the foremost first, and those that have just left it."""

    def __init__(self, rules: LaneRules, sensors: Sensors) -> None:
        self._rules = rules
        self._places = rules.places
        self._sensors = sensors
        self.row: list[Vehicle] = []
        self.gone: deque[Vehicle] = deque(maxlen=MAX_GONE)
        self._unclear: deque[tuple[str, str]] = deque(maxlen=MAX_UNCLEAR)  # device and text that could be of several
        self._unlike: dict[str, tuple[str, str]] = {}  # by camera, the last plate of nobody: its observation and text

    def whose(self, observation: Observation) -> Vehicle | tuple[Vehicle, ...] | None:
        """The vehicle; those among which nothing is guessed; None: no vehicle that is known."""
        at, body, device = observation.at.monotonic, observation.body, observation.device_id
        if self._sensors.met_one(device) and not isinstance(body, READ_OFF):
            last = self._sensors.last(device, at + TICK_S)
            return last.vehicle if last and last.holds(at, self._delay(body)) else None
        place = self._places.get(device)
        if place is None:
            return None
        bodies = self.bodies(at)
        if isinstance(body, SLOW):
            return self._was_there(at, place)
        possible = [v for v, where in bodies if where.possible(place)]
        if isinstance(body, PlateRead) and place.end is not End.ANY:
            unlike = [v for v, where in bodies if v in possible and not where.certain(place) and v.unlike(observation)]
            if possible and possible == unlike:
                surely = self._is_surely_a_plate(body) or self._looked_twice(observation, body)
                return None if surely else tuple(unlike)
            possible = [v for v in possible if v not in unlike]
        if len(possible) > 1:
            said = (device, _text(body))
            # What was read when it could be of several, and is read again, is of one that did not drive on.
            driving_on = [] if said in self._unclear else self.bodies(at, self._rules.driving.slowest_mps)
            for narrower in (
                self._same_text(body, possible),
                [v for v, where in bodies if where.certain(place) and not v.unlike(observation)],
                [v for v, where in driving_on if where.possible(place)],
            ):
                if len(narrower) == 1 and not narrower[0].unlike(observation):
                    return narrower[0]
            if said[1]:
                self._unclear.append(said)
        return possible[0] if len(possible) == 1 else tuple(possible) or None

    def _is_surely_a_plate(self, read: PlateRead) -> bool:
        """It looks like one, and has the form of a series: lettering has not."""
        listed = in_series(read.text, self._rules.series)
        if listed is None:
            listed = any(c.isdigit() for c in read.text) and any(c.isalpha() for c in read.text)
        return listed and read.likeness >= SURE_LIKENESS and read.confidence >= SURE_CONFIDENCE

    def _looked_twice(self, observation: Observation, read: PlateRead) -> bool:
        """The camera has read a plate like this before, and it was nobody's."""
        device = observation.device_id
        first = self._unlike.get(device)
        if first is None or not alike(first[1], read.text):
            first = self._unlike[device] = (observation.id, read.text)
        return read.looks > 1 or first[0] != observation.id

    def forget_looks(self) -> None:
        """No vehicle is there any more of which a camera can have read something that is nobody's."""
        self._unclear.clear()
        self._unlike.clear()

    def _delay(self, body: object) -> float:
        """How long after a vehicle has left a sensor this may still be of it, in seconds."""
        if isinstance(body, RadiationAlarm):
            return self._rules.settle_s
        return self._rules.scan_delay_s if isinstance(body, SLOW) else 0.0

    def _was_there(self, at: float, place: Place) -> Vehicle | tuple[Vehicle, ...] | None:
        """The one vehicle that was in the stretch in the time that a measurement takes (P5)."""
        since = at - self._rules.scan_delay_s
        last = [v for v in self.gone if v.closed is not None and v.closed >= since]
        there = [
            v
            for v in (*last, *self.row)
            if v.where.at(at).front.hi >= place.begin and v.where.at(since).rear.lo <= place.until
        ]
        return there[0] if len(there) == 1 else tuple(there) or None

    @staticmethod
    def _same_text(body: object, possible: list[Vehicle]) -> list[Vehicle]:
        return [v for v in possible if v.inspection and _text(body) in v.inspection.numbers()]

    def bodies(self, at: float, least_mps: float = 0.0) -> list[tuple[Vehicle, Body]]:
        """Where each vehicle can be at a moment, those included that were in the lane then and have left."""
        there = [v for v in self.gone if v.closed is not None and at <= v.closed]
        bodies = [(v, v.where.at(at, (), least_mps)) for v in there]
        before = float("inf")
        for vehicle in self.row:
            where = vehicle.where.at(at, self._limits(vehicle, at), least_mps)
            # Nobody overtakes: its front is behind the rear of the one before it.
            where = Body(where.front.within(Span(hi=before)), where.rear)
            before = where.rear.hi
            bodies.append((vehicle, where))
        return bodies

    def _limits(self, vehicle: Vehicle, at: float) -> list[Fact]:
        limits = []
        for device, place in self._places.items():
            if device in vehicle.on and vehicle.on[device] <= at:
                held = place.holds_s * self._rules.driving.fastest_mps  # it may have left it already
                limits.append(Fact(at, front=Span(lo=place.begin), rear=Span(hi=place.until + held)))
            elif device not in vehicle.reached and self.has_watched(device, vehicle):
                limits.append(Fact(at, front=Span(hi=place.until)))
        return limits

    def has_watched(self, device: str, vehicle: Vehicle) -> bool:
        """The sensor works, and did already when the vehicle's front cannot have come by it (P11)."""
        since = self._sensors.watches_since(device)
        return since is not None and vehicle.where.at(since).front.hi <= self._places[device].until

    def missed_the_last(self, device: str, vehicle: Vehicle) -> bool:
        """The last vehicle of the lane's sensors that left went forward, and this sensor had not met it."""
        last = next((one for one in reversed(self.gone) if self.was_met(one)), None)
        if last is None or last.closed is None or last.left_back or last.opened >= vehicle.opened:
            return False
        return device not in last.reached and vehicle.opened - last.closed <= self._rules.memory_s

    def was_met(self, vehicle: Vehicle) -> bool:
        """By a sensor that still works."""
        return any(
            self._sensors.watches_since(device) is not None and self._sensors.last_of(device, vehicle)
            for device in self._places
        )


def _text(body: object) -> str:
    return body.text if isinstance(body, PlateRead) else body.code if isinstance(body, ContainerCodeRead) else ""
