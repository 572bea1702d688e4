"""One lane: which observation belongs to which vehicle.

    idle ── presence, or a plate or code is seen ──► open ── departed and settled ──► idle
                                                      │
                                                      └── no departure in time ──► blocked ── lane empty ──► idle

The rules, each shown by tests that carry its number (tests/unit/inspection/test_rules_are_shown.py says where):

1. Presence, or the first plate or container code seen, opens an inspection.
2. While it is open, everything that the lane's devices say of vehicles belongs to it.
3. It closes once no presence device is occupied and nothing has been seen for `settle_s`.
4. A presence device that is occupied again after having been empty has met the next vehicle: the inspection closes and
   the next one opens. A sighting that opened an inspection before the presence device saw the vehicle is joined by it.
5. A presence device that goes down no longer holds the inspection open: it cannot say that the vehicle has left.
6. A vehicle that has not left after `longest_s` is recorded as abandoned, once; the lane is then blocked until it is
   empty, and what is read meanwhile is reported once for each text, up to 32 texts. What its portal counts meanwhile is
   not kept (an alarm is an event all the same).
7. A read, an alarm, an occupancy or a spectrum that is dated before the last inspection closed came too late for it: it
   belongs not to the next vehicle and opens no inspection. It is reported, a read once for each text, and names the
   inspection whose time it falls into.
8. A seal that is read while no inspection is open, and whose vehicle does not come (rule 15), belongs to no vehicle: it
   is reported as such, once a minute and number.
9. A radiation alarm and a change of a device are events of their own, at once. A set-up that a device states is one
   when it is the first or differs from the last.
10. Malformed input outside an inspection is reported once a minute and device, with the number of such messages.
11. A tag, or a seal's condition, while no inspection is open is reported like a seal. Of these and of seals 256 a
    minute are reported; past that they are counted, and the next report says how many. A spectrum is like an occupancy.
    One that an inspection has heard of already joins it again and holds it open no longer: it may hang in the yard.
12. A scale counts with what it settled on. It holds an inspection open while a vehicle stands on it, and its frames
    while nothing does say nothing of any vehicle.
13. A scan is an event of its own, at once, whether its vehicle has come, has left or never will; which vehicle it
    belongs to is decided in inspection/scans.py.
14. After an absence of the agent the open inspections go on: what devices say joins them, and each says when the agent
    was away. Until its devices have spoken, no device has looked and none is occupied; a vehicle is waited for
    `RETURN_S` longer, from when they are heard again on, so that they can connect. A camera that then reads a plate
    unlike all that it had read of the vehicle sees another one: the inspection ends as abandoned. One text read again,
    and it is the same vehicle.
15. What a seal or tag says while no vehicle is known that it can be of waits for its vehicle: a reader may stand before
    the first sensor. Without positions it is of the inspection that opens within `settle_s`: no farther apart lie the
    signs of one vehicle. With positions it waits as long as a vehicle at the slowest speed takes from there to the
    next sensor, at most a minute; then, or when one leaves before, it is of the vehicle that was there by P3, if all
    readings of that number can be of that one alone. Else it is of no vehicle (rules 8 and 11).

Rules 1 to 7 are those of a lane that does not know where along it its devices stand (one_at_a_time.py): a plate that
a camera sees of the *next* vehicle, before the presence device does, is taken for one of the vehicle that is still
open. Where the settings state positions, the rules of row.py stand in their place, and several inspections are open at
once.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from edge_agent.domain.clock import Instant
from edge_agent.domain.event import (
    AlarmRaised,
    DeviceChanged,
    Draft,
    Unassigned,
)
from edge_agent.domain.expected import ExpectationMatch
from edge_agent.domain.inspection import Inspection, ScanSeen
from edge_agent.domain.joining import Away
from edge_agent.domain.observation import (
    ContainerCodeRead,
    DeviceFault,
    DeviceSetup,
    DeviceState,
    DeviceStatus,
    Malformed,
    Observation,
    Opaque,
    PlateRead,
    Presence,
    RadiationAlarm,
    RadiationOccupancy,
    RadiationSample,
    ScanImage,
    SealRead,
    SealState,
    SpectroscopicMeasurement,
    TagRead,
    Weight,
)
from edge_agent.inspection.assemble import VEHICLE_KG, Assembly, Provider
from edge_agent.inspection.malformed import MalformedNow
from edge_agent.inspection.one_at_a_time import OneAtATime
from edge_agent.inspection.records import LaneRules, Records
from edge_agent.inspection.row import Row
from edge_agent.inspection.rules import Facts
from edge_agent.inspection.sensors import SensorKnown
from edge_agent.inspection.strays import Strays
from edge_agent.inspection.traffic import Traffic

# Reads of a vehicle that blocks the lane: its plate in a few misreadings, not a ledger full of them.
MAX_REPORTED = 32
# After an absence: so long devices take to connect.
RETURN_S = 10.0
# Of what a device or a library says of a fault, for the record of every vehicle that it was blind to.
MAX_WHY = 200


@dataclass(frozen=True, slots=True)
class LaneKnown:
    """What decisions rest on that is older than `LaneRules.memory_s`, while the lane is empty.

    `down`: devices that cannot look, and why.
    """

    down: tuple[tuple[str, str], ...] = ()
    sensors: tuple[SensorKnown, ...] = ()


class Lane:
    """The state machine. `observe` and `woke` return the drafts that follow, in order."""

    def __init__(
        self,
        rules: LaneRules,
        providers: Iterable[Provider],
        new_id: Callable[[], str],
    ) -> None:
        self._rules = rules
        self._records = Records(rules, providers, new_id)
        self._traffic: Traffic = Row(self._records) if rules.places else OneAtATime(self._records)
        self._malformed_now = MalformedNow()
        self._last_raw: dict[str, bytes] = {}
        self._strays = Strays()
        self._setups: dict[str, dict[str, str]] = {}

    @property
    def busy(self) -> bool:
        """Whether a vehicle stands in the lane, so that cameras should look."""
        return self._traffic.busy

    @property
    def inspections(self) -> tuple[Assembly, ...]:
        """Those that are open."""
        return self._traffic.inspections()

    @property
    def idle(self) -> bool:
        """No inspection is open, and no vehicle is known to be in the lane."""
        return self._traffic.empty

    def observe(self, observation: Observation) -> list[Draft]:
        """Assign one observation."""
        drafts = self._strays_that_waited(observation.at)
        drafts += self._assign(observation)
        if not self._rules.places and drafts:
            self._vehicle_came()
        return drafts

    def _assign(self, observation: Observation) -> list[Draft]:
        if observation.raw:
            self._last_raw[observation.device_id] = observation.raw
        body = observation.body
        match body:
            case Presence():
                return self._traffic.presence(observation, body.occupied)
            case PlateRead():
                return self._sighting(observation, "plate", body.text)
            case ContainerCodeRead():
                return self._sighting(observation, "container_code", body.code)
            case SealRead():
                return self._join_or_report(observation, body.number)
            case SealState():
                said = f"{body.number} {body.condition}"
                return self._join_or_report(observation, said)
            case TagRead():
                return self._join_or_report(observation, body.epc)
            case Weight():
                return self._weight(observation, body)
            case ScanImage():
                return self._scan(observation, body)
            case SpectroscopicMeasurement() | RadiationOccupancy():
                return self._measured(observation)
            case RadiationSample() | Opaque():
                if self._traffic.open_for(observation):
                    self._traffic.join(observation)
                elif not self._traffic.blocked_for(observation):  # its samples are not of the next vehicle
                    self._records.context.append(observation)
                return []
            case RadiationAlarm():
                return self._alarm(observation, body)
            case DeviceFault() | DeviceStatus():
                return self._device(observation, body)
            case DeviceSetup():
                return self._setup(observation, body)
            case Malformed():
                return self._malformed(observation)
            case _:
                assert_never(body)

    def next_wake(self) -> float | None:
        """When `woke` wants to be called, in seconds on the observations' monotonic clock."""
        return min((w for w in (self._traffic.next_wake(), self._strays.next_wake()) if w is not None), default=None)

    def woke(self, now: Instant) -> list[Draft]:
        """Time has passed: close what has settled, give up what does not leave."""
        drafts = self._strays_that_waited(now)
        wake = self._traffic.next_wake()
        if wake is not None and wake <= now.monotonic:  # a vehicle may leave
            self._vehicle_came()
        return drafts + self._strays.woke(now) + self._traffic.woke(now)

    def compared(self, inspection: Inspection, match: ExpectationMatch | None) -> Inspection:
        """The record that just closed with how it compares with what the port expects, and what is found by that."""
        return self._records.compared(inspection, match)

    def expectations_changed(self) -> None:
        """What the port expects has changed: a vehicle that left may be among it. Call `announced` while `looking`."""
        self._records.later.changed()

    @property
    def looking(self) -> bool:
        """There are vehicles that left and are to be looked up again."""
        return self._records.later.looking

    def announced(self, match: Callable[[Inspection], ExpectationMatch | None], now: Instant) -> list[Draft]:
        """A step of looking them up; what is found of them."""
        return self._records.later.announced(match, now)

    def stop(self, now: Instant, why: str) -> list[Draft]:
        """The agent stops: an open inspection is given up, and recorded as such; what was counted is said."""
        return self._strays.stop(now) + self._traffic.stop(now, why)

    def give_up(self, inspection: Assembly, now: Instant, why: str) -> list[Draft]:
        """It ends here, and so its vehicle is taken to have left."""
        return self._traffic.give_up(inspection, now, why)

    def pause(self, now: Instant) -> list[Draft]:
        """The agent stops, and may soon go on here: what was counted is said, inspections stay open."""
        return self._strays.pause(now)

    @property
    def known(self) -> LaneKnown:
        """What is known while no vehicle is in the lane."""
        down = tuple(self._records.down.items())
        return LaneKnown(down, self._traffic.sensors())

    def knew(self, known: LaneKnown) -> None:
        """As `known` said it in an earlier run."""
        self._records.down.clear()
        self._records.down.update(known.down)
        self._traffic.knew(known.sensors)

    def remember(self, left: Sequence[Inspection], waiting: Iterable[ScanSeen]) -> None:
        """Vehicles that left before this run, the oldest first, and scans that belong to none."""
        self._records.scans.remember(left, waiting)
        self._records.later.remember(left)

    def remember_unmatched(self, unmatched: Iterable[Facts]) -> None:
        """Of the vehicles that left before this run, those that matched nothing that the port expects."""
        self._records.later.remember_unmatched(unmatched)

    def resume(self, away: Away) -> None:
        """The agent is there again (rule 14)."""
        how = "stopped" if away.stopped else "not running"
        for device in self._records.providers:
            self._records.down[device] = "has not connected"
            self._traffic.lost(device)
        for inspection in self._traffic.inspections():
            inspection.was_away(away)
            for device in self._records.providers:
                inspection.was_blind(device, f"the agent was {how} for {away.seconds:.0f} s")
        self._traffic.waits_until(away.until.monotonic + RETURN_S)

    def hears(self, now: Instant) -> None:
        """After an absence devices are heard from now on: whoever is in the lane is waited for from here (rule 14)."""
        self._traffic.waits_until(now.monotonic + RETURN_S)

    # --- what belongs to a vehicle ------------------------------------------------------------------------

    def _sighting(self, observation: Observation, cause: str, text: str) -> list[Draft]:
        of = self._traffic.late_for(observation)
        inspection = self._traffic.open_for(observation) if of is None else None
        if inspection is not None and inspection.is_another(observation):
            why = "another vehicle stood there when the agent was back"
            return self._traffic.give_up(inspection, observation.at, why) + self._traffic.begin(observation, cause)
        if inspection is not None:
            self._traffic.join(observation)
            return []
        if self._traffic.keeps_out(observation) or of is not None:
            reported = self._records.reported
            if text in reported or len(reported) >= MAX_REPORTED:
                return []
            reported.add(text)
            return [Draft(Unassigned(observation, of or ""), observation.at)]
        return self._traffic.begin(observation, cause)

    def _join_or_report(self, observation: Observation, said: str) -> list[Draft]:
        inspection = self._traffic.open_for(observation)
        if inspection is None:
            nobody = self._traffic.late_for(observation) is None and not self._traffic.blocked_for(observation)
            if not nobody or isinstance(observation.body, Weight):
                return self._strays.seen(observation, said)
            return self._strays.waits(observation, said, self._traffic.approach_s(observation.device_id))
        if inspection.heard_before(observation):  # as of a tag that hangs in the yard: it holds nothing open
            inspection.join(observation)
        else:
            self._traffic.join(observation)
        return []

    def _vehicle_came(self) -> None:
        """What was read of it before the lane knew of it (rule 15)."""
        for waited in self._strays.taken(self._traffic.open_for):
            self._traffic.join(waited)

    def _strays_that_waited(self, now: Instant) -> list[Draft]:
        if not self._strays.due(now):
            return []
        if self._rules.places:
            self._vehicle_came()
        return self._strays.overdue(now)

    def _measured(self, observation: Observation) -> list[Draft]:
        of = self._traffic.late_for(observation)
        if of is None and self._traffic.open_for(observation):
            self._traffic.join(observation)
            return []
        return [Draft(Unassigned(observation, of or ""), observation.at, observation.evidence)]

    def _weight(self, observation: Observation, weight: Weight) -> list[Draft]:
        if weight.kg < VEHICLE_KG:
            self._record_only(observation)
            return []
        if self._rules.places:
            return self._join_or_report(observation, f"weight of {observation.device_id}")
        self._traffic.join(observation)
        return []

    def _scan(self, observation: Observation, scan: ScanImage) -> list[Draft]:
        inspections = self._traffic.inspections()
        received = self._records.scans.received(observation, scan, {one.id: one.numbers() for one in inspections})
        for one in inspections:
            if one.id == received.inspection_id:
                one.scanned(received.scan)
                self._traffic.join_to(one, observation)
        added = self._records.later.scan_came(received, observation.at)
        return [Draft(received, observation.at, observation.evidence), *added]

    # --- what is an event of its own ----------------------------------------------------------------------

    def _alarm(self, observation: Observation, alarm: RadiationAlarm) -> list[Draft]:
        of, inspection = self._traffic.late_for(observation), self._traffic.open_for(observation)
        inspection_id = of if of is not None else inspection.id if inspection else ""
        if of is None:
            self._traffic.join(observation)
        lane_id, device_id = self._rules.lane_id, observation.device_id
        raw = self._last_raw.get(device_id, b"")  # of several readings of one line, only the first carries it
        raised = AlarmRaised(inspection_id, lane_id, device_id, alarm.kind, alarm.counts, raw)
        return [Draft(raised, observation.at)]

    def _device(self, observation: Observation, what: DeviceFault | DeviceStatus | DeviceSetup) -> list[Draft]:
        device = observation.device_id
        if isinstance(what, DeviceStatus):
            self._status(device, what)
        self._record_only(observation)
        return [Draft(DeviceChanged(device, self._rules.lane_id, what), observation.at)]

    def _setup(self, observation: Observation, setup: DeviceSetup) -> list[Draft]:
        known = self._setups.setdefault(observation.device_id, {})
        new = {name: value for name, value in setup.values if known.get(name) != value}
        changed = tuple(name for name in new if name in known)
        known.update(new)
        if not new:
            self._record_only(observation)
            return []
        return self._device(observation, replace(setup, changed=changed))

    def _status(self, device: str, status: DeviceStatus) -> None:
        provider = self._records.providers.get(device)
        silent = status.state is DeviceState.WAITING and provider is not None and provider.silent_is_down
        if silent or status.state in (DeviceState.OFFLINE, DeviceState.FAILED):
            detail = status.detail[:MAX_WHY]
            why = f"{status.state}: {detail}" if detail else str(status.state)
            self._records.down[device] = why
            self._traffic.lost(device)
            for inspection in self._traffic.inspections():
                inspection.was_blind(device, why)
        else:
            self._records.down.pop(device, None)

    def _malformed(self, observation: Observation) -> list[Draft]:
        if self._traffic.open_for(observation) is not None:
            self._record_only(observation)
            return []
        told = self._malformed_now.report(observation)
        return [] if told is None else [Draft(Unassigned(told), observation.at)]

    def _record_only(self, observation: Observation) -> None:
        """Into the capture, without holding the inspection open: it says nothing of the vehicle."""
        inspection = self._traffic.open_for(observation)
        if inspection is not None:
            inspection.join(observation)
