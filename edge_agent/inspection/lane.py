"""One lane: which observation belongs to which vehicle.

    idle ── presence, or a plate or code is seen ──► open ── departed and settled ──► idle
                                                      │
                                                      └── no departure in time ──► blocked ── lane empty ──► idle

The rules, each with its test in tests/unit/inspection/test_lane.py:

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
8. A seal that is read while no inspection is open belongs to no vehicle: it is reported as such, once a minute and
   number.
9. A radiation alarm and a change of a device are events of their own, at once. A set-up that a device states is one
   when it is the first or differs from the last.
10. Malformed input outside an inspection is reported once a minute and device, with the number of such messages.
11. A tag, or a seal's condition, while no inspection is open is reported like a seal. Of these and of seals 256 a
    minute are reported; past that they are counted, and the next report says how many. A spectrum is like an occupancy.
12. A scale counts with what it settled on. It holds an inspection open while a vehicle stands on it, and its frames
    while nothing does say nothing of any vehicle.
13. A scan is an event of its own, at once, whether its vehicle has come, has left or never will; which vehicle it
    belongs to is decided in inspection/scans.py.

Known limitation: a lane does not know yet where along it its devices stand. A plate that a camera sees of the *next*
vehicle, before the presence device does, is taken for one of the vehicle that is still open.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import assert_never

from edge_agent.domain.clock import Instant
from edge_agent.domain.event import (
    AlarmRaised,
    DeviceChanged,
    Draft,
    InspectionOpened,
    Unassigned,
)
from edge_agent.domain.inspection import Abandoned, Expected, Outcome
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
from edge_agent.inspection.scans import Scans
from edge_agent.inspection.strays import Strays

# What a portal said of its background in the last minutes belongs into the next vehicle's profile.
CONTEXT_OBSERVATIONS = 64
MALFORMED_EVERY_S = 60.0
# Reads of a vehicle that blocks the lane: its plate in a few misreadings, not a ledger full of them.
MAX_REPORTED = 32
# Of what a device or a library says of a fault, for the record of every vehicle that it was blind to.
MAX_WHY = 200
_TICK_S = 1e-6  # a wake time goes through a float and back


@dataclass(frozen=True, slots=True)
class LaneRules:
    """What a lane expects of each vehicle, and how long it waits."""

    lane_id: str
    expects: tuple[Expected, ...]
    settle_s: float = 3.0
    longest_s: float = 600.0
    scan_delay_s: float = 120.0


@dataclass(slots=True)
class _Garbage:
    reported_at: float
    unreported: int = 0


class Lane:
    """The state machine. `observe` and `woke` return the drafts that follow, in order."""

    def __init__(self, rules: LaneRules, providers: Iterable[Provider], new_id: Callable[[], str]) -> None:
        self._rules = rules
        self._providers = {provider.device_id: provider for provider in providers}
        self._new_id = new_id
        self._open: Assembly | None = None
        self._blocked = False
        self._occupied: set[str] = set()
        self._been_occupied: set[str] = set()
        self._last_activity = 0.0
        self._last: tuple[str, float, float] | None = None  # the inspection that closed last: id, opened, closed
        self._down: dict[str, str] = dict.fromkeys(self._providers, "has not connected")
        self._context: deque[Observation] = deque(maxlen=CONTEXT_OBSERVATIONS)
        self._reported: set[str] = set()
        self._garbage: dict[str, _Garbage] = {}
        self._last_raw: dict[str, bytes] = {}
        self._strays = Strays()
        self._setups: dict[str, dict[str, str]] = {}
        self._scans = Scans(rules.lane_id, rules.scan_delay_s)

    @property
    def busy(self) -> bool:
        """Whether a vehicle stands in the lane, so that cameras should look."""
        return self._open is not None or bool(self._occupied)

    def observe(self, observation: Observation) -> list[Draft]:
        """Assign one observation."""
        if observation.raw:
            self._last_raw[observation.device_id] = observation.raw
        body = observation.body
        match body:
            case Presence():
                return self._presence(observation, body.occupied)
            case PlateRead():
                return self._sighting(observation, "plate", body.text)
            case ContainerCodeRead():
                return self._sighting(observation, "container_code", body.code)
            case SealRead():
                return self._join(observation) if self._open else self._strays.seen(observation, body.number)
            case SealState():
                said = f"{body.number} {body.condition}"
                return self._join(observation) if self._open else self._strays.seen(observation, said)
            case TagRead():
                return self._join(observation) if self._open else self._strays.seen(observation, body.epc)
            case Weight():
                return self._weight(observation, body)
            case ScanImage():
                return self._scan(observation, body)
            case SpectroscopicMeasurement() | RadiationOccupancy():
                return self._measured(observation)
            case RadiationSample() | Opaque():
                if self._open is None and not self._blocked:  # a blocked lane's samples are not of the next vehicle
                    self._context.append(observation)
                return self._join(observation)
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
        return min((w for w in (self._next_end(), self._strays.next_wake()) if w is not None), default=None)

    def _next_end(self) -> float | None:
        settled = None if self._occupied else self._last_activity + self._rules.settle_s
        if self._open is None:
            return settled if self._blocked else None
        longest = self._open.opened.monotonic + self._rules.longest_s
        return longest if settled is None else min(settled, longest)

    def woke(self, now: Instant) -> list[Draft]:
        """Time has passed: close what has settled, give up what does not leave."""
        return self._strays.woke(now) + self._ended(now)

    def _ended(self, now: Instant) -> list[Draft]:
        wake = self._next_end()
        if wake is None or now.monotonic < wake - _TICK_S:
            return []
        if not self._occupied and now.monotonic >= self._last_activity + self._rules.settle_s - _TICK_S:
            self._blocked = False
            self._reported.clear()
            return self._close(now)
        self._blocked = True
        return self._close(now, Abandoned(f"the vehicle had not left after {self._rules.longest_s:g} s"))

    def stop(self, now: Instant, why: str) -> list[Draft]:
        """The agent stops: an open inspection is given up, and recorded as such; what was counted is said."""
        return self._strays.stop(now) + self._close(now, Abandoned(why))

    # --- what belongs to a vehicle ------------------------------------------------------------------------

    def _presence(self, observation: Observation, occupied: bool) -> list[Draft]:
        device, drafts = observation.device_id, []
        if occupied:
            if device in self._been_occupied and device not in self._occupied:
                drafts += self._close(observation.at)
            if self._open is None:
                drafts += self._begin(observation, "presence")
            self._occupied.add(device)
            self._been_occupied.add(device)
        else:
            self._occupied.discard(device)
        return drafts + self._join(observation)

    def _sighting(self, observation: Observation, cause: str, text: str) -> list[Draft]:
        of = self._late_for(observation)
        if self._open is not None and of is None:
            return self._join(observation)
        if self._blocked or of is not None:
            if self._blocked:
                self._last_activity = max(self._last_activity, observation.at.monotonic)
            if text in self._reported or len(self._reported) >= MAX_REPORTED:
                return []
            self._reported.add(text)
            return [Draft(Unassigned(observation, of or ""), observation.at)]
        return [*self._begin(observation, cause), *self._join(observation)]

    def _late_for(self, observation: Observation) -> str | None:
        """The closed inspection for which this came too late, '' if it is of none; None: it did not come too late."""
        at = observation.at.monotonic
        if self._last is None or at > self._last[2]:
            return None
        return self._last[0] if at >= self._last[1] else ""

    def _measured(self, observation: Observation) -> list[Draft]:
        of = self._late_for(observation)
        if self._open is not None and of is None:
            return self._join(observation)
        return [Draft(Unassigned(observation, of or ""), observation.at, observation.evidence)]

    def _weight(self, observation: Observation, weight: Weight) -> list[Draft]:
        if weight.kg >= VEHICLE_KG:
            return self._join(observation)
        self._record_only(observation)
        return []

    def _scan(self, observation: Observation, scan: ScanImage) -> list[Draft]:
        received = self._scans.received(observation, scan, self._open.numbers() if self._open else ())
        if self._open is not None and received.inspection_id == self._open.id:
            self._open.scanned(received.scan)
            self._join(observation)
        return [Draft(received, observation.at, observation.evidence)]

    def _begin(self, observation: Observation, cause: str) -> list[Draft]:
        self._open = Assembly(self._new_id(), self._rules.lane_id, observation.at, self._context)
        self._context.clear()
        self._reported.clear()
        self._blocked = False
        self._last_activity = observation.at.monotonic
        self._scans.opened(self._open.id, observation.at)
        for device, why in self._down.items():
            self._open.was_blind(device, why)
        return [Draft(InspectionOpened(self._open.id, self._rules.lane_id, cause), observation.at)]

    def _join(self, observation: Observation) -> list[Draft]:
        if self._open is not None:
            self._open.join(observation)
            self._last_activity = max(self._last_activity, observation.at.monotonic)
        return []

    def _close(self, now: Instant, outcome: Outcome | None = None) -> list[Draft]:
        if self._open is None:
            return []
        draft = self._open.close(now, self._rules.expects, self._providers, outcome, self._scans.closed)
        self._last = (self._open.id, self._open.opened.monotonic, now.monotonic)
        self._open = None
        self._been_occupied = set(self._occupied)
        return [draft]

    # --- what is an event of its own ----------------------------------------------------------------------

    def _alarm(self, observation: Observation, alarm: RadiationAlarm) -> list[Draft]:
        of = self._late_for(observation)
        inspection_id = of if of is not None else self._open.id if self._open else ""
        if of is None:
            self._join(observation)
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
        provider = self._providers.get(device)
        silent = status.state is DeviceState.WAITING and provider is not None and provider.silent_is_down
        if silent or status.state in (DeviceState.OFFLINE, DeviceState.FAILED):
            detail = status.detail[:MAX_WHY]
            why = f"{status.state}: {detail}" if detail else str(status.state)
            self._down[device] = why
            self._occupied.discard(device)
            self._been_occupied.discard(device)
            if self._open is not None:
                self._open.was_blind(device, why)
        else:
            self._down.pop(device, None)

    def _malformed(self, observation: Observation) -> list[Draft]:
        if self._open is not None:
            self._record_only(observation)
            return []
        now = observation.at.monotonic
        garbage = self._garbage.get(observation.device_id)
        if garbage is not None and now - garbage.reported_at < MALFORMED_EVERY_S:
            garbage.unreported += 1
            return []
        body = observation.body
        if garbage is not None and garbage.unreported and isinstance(body, Malformed):
            body = Malformed(f"{body.why} (and {garbage.unreported} more since the last report)")
        self._garbage[observation.device_id] = _Garbage(now)
        return [Draft(Unassigned(replace(observation, body=body)), observation.at)]

    def _record_only(self, observation: Observation) -> None:
        """Into the capture, without holding the inspection open: it says nothing of the vehicle."""
        if self._open is not None:
            self._open.join(observation)
