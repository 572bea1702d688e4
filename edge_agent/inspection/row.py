"""The traffic of a lane whose devices have positions: vehicles in a row, each with an inspection of its own.

    driving direction ──►      B          A        rear ≤ front, front of B ≤ rear of A: nobody overtakes
                            ▐███▌      ▐████▌      where each can be at a moment: whereabouts.py
    positions      ──┬────────┬──────────┬─────►

The rules, each shown by tests that carry its number (tests/unit/inspection/test_rules_are_shown.py says where):

P1. A presence sensor that becomes occupied has met the foremost vehicle that has not come by it yet and can have got
    there. If there is none, it has met a new vehicle, and that one's inspection opens; the others stay open.
P2. What a presence sensor measures while it is occupied belongs to the vehicle that occupies it; an alarm within
    `settle_s` after that, an occupancy or a spectrum within `scan_delay_s`, to the vehicle that was the last on it, if
    the sensor was not down since. What it said of its background before is of the vehicle that comes to it next.
    A sensor that holds itself occupied (a portal's hold-in, `holds_s`) was left so long before it says so.
P3. Every other observation belongs to the vehicle whose front (a camera of plates), rear (a camera or scanner at the
    rear) or any part can have been in the device's stretch at that moment. Of several it is the one of which the same
    text was read already; else the one that must have been there; else the only one that can have been there if all
    drove on at the slowest speed or faster, but not for a text that the device has read before, when it could be of
    several: its vehicle did not drive on. The last two are not meant if the device has read another text of them. Else
    it is nobody's.
P4. A plate or code that can be of no vehicle in the row opens an inspection: cameras before the first sensor.
P5. A measurement that may come later (a spectrum) is of the one vehicle that can have been in the device's stretch
    within `scan_delay_s`; where there were several it is nobody's.
P6. A reading that is dated before others is judged by where vehicles were at its own moment on the booth's clock, those
    whose inspection has closed included: it is reported with that inspection's id. Devices' own clocks decide nothing.
P7. A sensor that was occupied for less than the shortest vehicle takes at the fastest speed has not been passed; if it
    is occupied again, it is by the same vehicle. So it is with one that was down while its vehicle can still be there.
P8. A sensor that is occupied again after a vehicle has passed it has met that vehicle coming back, if the sensor says
    so (direction), or if no new one can have got there: another sensor before it works and has met none. From then on
    that vehicle may drive either way. It goes back over a sensor when it clears it and is over one before it, or would
    be over the next one if it drove on, or has gone back over one already; then it may meet that sensor again.
P9. An inspection closes `settle_s` after the last sign of its vehicle, when that is on no sensor; but it is waited for
    as long as a vehicle at the slowest speed takes to the last device that it has not come to; and `stands_s` longer,
    up to `longest_s` in all, where a sensor that works has met it, and another one has still to: it stands between
    them. A sensor that has just missed the one before it is not waited for; nor is one that went back.
P10. A vehicle that has not left after `longest_s` is recorded as abandoned, once, and stays in the row: what is read of
    it is reported with its inspection's id, and the inspections of others go on. What sensors count and say of its
    moves meanwhile is not kept (an alarm is an event all the same).
P11. Of a sensor that is down nothing follows: it has met nobody, and has not missed anybody. Up again, it watches from
    its next word on: what can have come by it before that may have come by it unseen.
P12. A vehicle has one plate at each end. A camera that looks at one end and reads a plate unlike all that it has read
    of a vehicle which need not be there any more sees the next one: at once if it surely is a plate, by its look and
    the region's series, else at the second such look. The first may as well be lettering: it is nobody's. Trucks
    whose plates differ in little (a fleet's, one after the other) are not told apart so: where no sensor parts them,
    what is read of the second can be joined to the first.
"""

from collections.abc import Iterable

from edge_agent.domain.clock import Instant
from edge_agent.domain.event import Draft
from edge_agent.domain.inspection import Abandoned
from edge_agent.domain.observation import (
    Direction,
    Observation,
    Presence,
)
from edge_agent.inspection.assemble import Assembly
from edge_agent.inspection.records import LEAST_MEMORY_S, Records
from edge_agent.inspection.sensors import SensorKnown, Sensors, Vehicle
from edge_agent.inspection.vehicles import READ_OFF, TICK_S, Vehicles
from edge_agent.inspection.whereabouts import End, Place, Whereabouts

# More do not stand in one lane; a sensor that chatters must not fill the memory.
MAX_ROW = 32


class Row:
    """Vehicles, the foremost first."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._rules = records.rules
        self._places = records.rules.places
        self._sensors = Sensors(records.down)
        self._vehicles = Vehicles(records.rules, self._sensors)
        self._row = self._vehicles.row
        self._lost: dict[str, Vehicle] = {}  # by sensor, the vehicle that it may find again

    @property
    def busy(self) -> bool:
        """Whether a vehicle is in the lane."""
        return any(v.inspection or v.on for v in self._row)

    @property
    def empty(self) -> bool:
        """No vehicle is known to be in the lane, not one that was given up either."""
        return not self._row

    def inspections(self) -> tuple[Assembly, ...]:
        """Those that are open, the foremost vehicle's first."""
        return tuple(v.inspection for v in self._row if v.inspection)

    def sensors(self) -> tuple[SensorKnown, ...]:
        """What is known of the sensors; the lane is empty."""
        return self._sensors.known()

    def knew(self, sensors: Iterable[SensorKnown]) -> None:
        """As `sensors` said it in an earlier run."""
        self._sensors.knew(sensors, self._rules.driving)

    # --- whose it is ------------------------------------------------------------------------------------------

    def open_for(self, observation: Observation) -> Assembly | None:
        """The open inspection that it belongs to."""
        vehicle = self._vehicles.whose(observation)
        return vehicle.inspection if isinstance(vehicle, Vehicle) else None

    def late_for(self, observation: Observation) -> str | None:
        """The id of the closed inspection that it is of, '' if it could be of several vehicles; else None."""
        vehicle = self._vehicles.whose(observation)
        if isinstance(vehicle, Vehicle):
            return None if vehicle.inspection else vehicle.id
        return None if vehicle is None else ""

    def blocked_for(self, observation: Observation) -> bool:
        """It is of a vehicle whose inspection is closed."""
        vehicle = self._vehicles.whose(observation)
        return isinstance(vehicle, Vehicle) and vehicle.inspection is None

    def approach_s(self, device: str) -> float:
        """How long before its vehicle is known something may have been read of it, in seconds."""
        place = self._places.get(device)
        ways = (
            one.until - place.begin
            for sensor, one in self._places.items()
            if place is not None and self._sensors.spoken(sensor) and one.until >= place.begin
        )
        way = min(ways, default=0.0) / self._rules.driving.slowest_mps
        return min(self._rules.settle_s + way, LEAST_MEMORY_S)

    def keeps_out(self, observation: Observation) -> bool:
        """A read is of a vehicle that was given up, or could be of several: it opens nothing."""
        vehicle = self._vehicles.whose(observation)
        if isinstance(vehicle, Vehicle):
            vehicle.last_activity = max(vehicle.last_activity, observation.at.monotonic)
        return vehicle is not None

    # --- presence ---------------------------------------------------------------------------------------------

    def presence(self, observation: Observation, occupied: bool) -> list[Draft]:
        """A sensor is occupied or free."""
        device, at = observation.device_id, observation.at.monotonic
        place, drafts = self._places[device], list[Draft]()
        self._sensors.spoke(device, at)
        vehicle = next((v for v in self._row if device in v.on), None)
        if occupied and vehicle is None:
            vehicle = self._met_by(observation, place)
            if vehicle is None:
                vehicle, drafts = self._open(observation, "presence")
            if device not in vehicle.reached:
                vehicle.where.met(at, place)
                before = self._records.before(at, lambda of: of == device)
                if vehicle.inspection is not None:
                    vehicle.inspection.preceded_by(before)
                vehicle.backed_off = False
            vehicle.reached |= {device, *self._before(place)}
            vehicle.on[device] = at
            self._sensors.met(device, vehicle, at)
            self._lost.pop(device, None)
        elif not occupied and vehicle is not None:
            self._clears(vehicle, device, place, at)
            self._sensors.free(device, at)
        if vehicle is not None:
            self._join(vehicle, observation)
        return drafts

    def _met_by(self, observation: Observation, place: Place) -> Vehicle | None:
        """Of the vehicles that are known, the one that this sensor has met (P1, P7, P8)."""
        device, at = observation.device_id, observation.at.monotonic
        backward = isinstance(observation.body, Presence) and observation.body.direction is Direction.BACKWARD
        bodies = dict(self._vehicles.bodies(at))
        lost = self._lost.get(device)
        if lost is not None and lost in self._row and bodies[lost].rear.lo <= place.until:
            return lost
        coming = [v for v in self._row if device not in v.reached and bodies[v].front.lo <= place.until]
        passed = [v for v in self._row if device in v.reached]
        if coming and not (backward and passed) and bodies[coming[0]].front.hi >= place.begin:
            return coming[0]
        stay = self._sensors.last_of(device, passed[-1]) if passed else None
        if stay is None or not (backward or passed[-1].where.backing or self._none_behind(passed[-1], place)):
            return None
        passed[-1].where.turned(stay.until if stay.until is not None else at)
        passed[-1].left_back = False
        return passed[-1]

    def _none_behind(self, vehicle: Vehicle, place: Place) -> bool:
        """A sensor before this place has watched since before anything behind the vehicle can have come by it."""
        return any(
            (since := self._sensors.watches_since(device)) is not None
            and one.until < place.begin
            and vehicle.where.at(since).rear.hi <= one.until
            for device, one in self._places.items()
        )

    def _clears(self, vehicle: Vehicle, device: str, place: Place, at: float) -> None:
        since = vehicle.on.pop(device)
        driving = self._rules.driving
        at = max(since, at - place.holds_s)
        if at - since < driving.shortest_m / driving.fastest_mps and not vehicle.where.backing:
            self._lost[device] = vehicle
            return
        if vehicle.where.backing and self._backed_off(vehicle, place):
            vehicle.reached.discard(device)
            vehicle.backed_off = True
            vehicle.where.met(at, place)  # its front is there
            vehicle.left_back = not vehicle.on
            return
        vehicle.where.cleared(at, place)

    def _backed_off(self, vehicle: Vehicle, place: Place) -> bool:
        """Its front, not its rear, has left the sensor: it still is over one before, or would be over the next one."""
        ahead = place.at_m + self._rules.driving.shortest_m
        return vehicle.backed_off or any(
            (d in vehicle.on and p.at_m < place.at_m)
            or (
                self._sensors.watches_since(d) is not None and d not in vehicle.reached and place.at_m < p.at_m <= ahead
            )
            for d, p in self._places.items()
        )

    def lost(self, device: str) -> None:
        """The sensor went down (P7, P11)."""
        self._sensors.lost(device)
        for vehicle in self._row:
            if vehicle.on.pop(device, None) is not None:
                self._lost[device] = vehicle
                self._sensors.free(device, vehicle.last_activity)

    # --- inspections ------------------------------------------------------------------------------------------

    def begin(self, observation: Observation, cause: str) -> list[Draft]:
        """A device sees a vehicle that is none of the row (P4)."""
        vehicle, drafts = self._open(observation, cause)
        place = self._places[observation.device_id]
        vehicle.where.seen(observation.at.monotonic, place)
        vehicle.reached |= self._before(place)
        vehicle.read_by.add(observation.device_id)
        for other in self._row[: self._row.index(vehicle)]:
            other.where.is_past(observation.at.monotonic, place)
        self._join(vehicle, observation)
        return drafts

    def _before(self, place: Place) -> set[str]:
        """Devices that a vehicle at this place has come by, seen or not."""
        return {device for device, one in self._places.items() if one.until < place.begin}

    def _open(self, observation: Observation, cause: str) -> tuple[Vehicle, list[Draft]]:
        drafts = list[Draft]()
        if len(self._row) >= MAX_ROW:
            drafts += self._give_up(self._row[0], observation.at, f"{MAX_ROW} vehicles came after it")
        at, device = observation.at.monotonic, observation.device_id
        inspection, draft = self._records.open(
            observation, cause, lambda of: of == device or not self._sensors.spoken(of)
        )
        place = self._places[device]
        vehicle = Vehicle(inspection.id, inspection, Whereabouts(self._rules.driving), at, at)
        bodies = dict(self._vehicles.bodies(at))
        ahead = [
            n
            for n, v in enumerate(self._row, 1)
            if device in v.reached or device in v.read_by or bodies[v].front.lo > place.until
        ]
        self._row.insert(max(ahead, default=0), vehicle)
        return vehicle, [*drafts, draft]

    def join(self, observation: Observation) -> None:
        """Into the inspection that it belongs to."""
        vehicle = self._vehicles.whose(observation)
        if isinstance(vehicle, Vehicle) and vehicle.inspection is not None:
            place = self._places.get(observation.device_id)
            if place is not None and isinstance(observation.body, READ_OFF):
                vehicle.where.seen(observation.at.monotonic, place)
                vehicle.read_by.add(observation.device_id)
            self._join(vehicle, observation)

    def join_to(self, inspection: Assembly, observation: Observation) -> None:
        """As `join`, where it is known whose it is: a scan, which comes when it comes."""
        inspection.join(observation)

    @staticmethod
    def _join(vehicle: Vehicle, observation: Observation) -> None:
        vehicle.last_activity = max(vehicle.last_activity, observation.at.monotonic)
        if vehicle.inspection is not None:
            vehicle.inspection.join(observation)

    def next_wake(self) -> float | None:
        """When `woke` wants to be called."""
        return min((w for v in self._row if (w := self._ends_at(v)) is not None), default=None)

    def _ends_at(self, vehicle: Vehicle) -> float | None:
        settles = None if vehicle.on else self._settles_at(vehicle)
        if vehicle.inspection is None:
            return settles
        longest = vehicle.opened + self._rules.longest_s
        return longest if settles is None else min(settles, longest)

    def _settles_at(self, vehicle: Vehicle) -> float:
        """When it is taken to have left, if there is no sign of it until then (P9)."""
        settles = vehicle.last_activity + self._rules.settle_s + self._waits(vehicle)
        if not self._is_between(vehicle):
            return settles
        return max(settles, min(settles + self._rules.driving.stands_s, vehicle.opened + self._rules.longest_s))

    def _is_between(self, vehicle: Vehicle) -> bool:
        """A sensor that works has met it, and one has still to: it stands between them, were it for long."""
        if vehicle.left_back or not self._vehicles.was_met(vehicle):
            return False
        return any(
            device not in vehicle.reached
            and self._vehicles.has_watched(device, vehicle)
            and not self._vehicles.missed_the_last(device, vehicle)
            for device in self._places
        )

    def _waits(self, vehicle: Vehicle) -> float:
        """Seconds that it may take, from its last sign, to the last device that it has not come to (P9)."""
        if vehicle.left_back:
            return 0.0
        where = vehicle.where.at(vehicle.last_activity)
        least = max(where.front.lo, min(place.begin for place in self._places.values()))
        rear = max(where.rear.lo, least - self._rules.driving.longest_m)
        ways = (p.begin - (rear if p.end is End.REAR else least) for p in self._places.values())
        return max(0.0, *ways) / self._rules.driving.slowest_mps

    def woke(self, now: Instant) -> list[Draft]:
        """Close what has settled, give up what does not leave."""
        drafts = list[Draft]()
        for vehicle in list(self._row):
            ends = self._ends_at(vehicle)
            if ends is None or now.monotonic < ends - TICK_S:
                continue
            longest_s = self._rules.longest_s
            if (
                now.monotonic >= vehicle.opened + longest_s - TICK_S
                and vehicle.inspection
                and self._stays_on(vehicle, now)
            ):
                drafts.append(
                    self._records.close(
                        vehicle.inspection, now, Abandoned(f"the vehicle had not left after {longest_s:g} s")
                    )
                )
                vehicle.inspection = None
                continue
            if vehicle.inspection is not None:
                drafts.append(self._records.close(vehicle.inspection, now))
            self._leaves(vehicle, now)
        return drafts

    def _stays_on(self, vehicle: Vehicle, now: Instant) -> bool:
        return bool(vehicle.on) or now.monotonic < self._settles_at(vehicle) - TICK_S

    def _leaves(self, vehicle: Vehicle, now: Instant) -> None:
        vehicle.inspection, vehicle.closed = None, now.monotonic
        self._row.remove(vehicle)
        self._vehicles.gone.append(vehicle)
        if not self._row:
            self._records.reported.clear()
            self._vehicles.forget_looks()

    def stop(self, now: Instant, why: str) -> list[Draft]:
        """Give up what is open."""
        return [draft for vehicle in list(self._row) for draft in self._give_up(vehicle, now, why)]

    def give_up(self, inspection: Assembly, now: Instant, why: str) -> list[Draft]:
        """It ends here, and its vehicle has left."""
        return [d for v in list(self._row) if v.inspection is inspection for d in self._give_up(v, now, why)]

    def waits_until(self, monotonic: float) -> None:
        """No vehicle of the row settles before."""
        for vehicle in self._row:
            vehicle.last_activity = max(vehicle.last_activity, monotonic)

    def _give_up(self, vehicle: Vehicle, now: Instant, why: str) -> list[Draft]:
        inspection = vehicle.inspection
        self._leaves(vehicle, now)
        return [self._records.close(inspection, now, Abandoned(why))] if inspection else []
