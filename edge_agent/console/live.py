"""What a booth's lanes do now, folded from what devices say and what is recorded. In the agent's process.

It takes what happens anyway: it waits for nothing, writes nothing and keeps a bounded amount. A fault in here ends this
account of the lane and never the lane: the snapshot says `failed` from then on.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edge_agent.domain.clock import Clock, Instant
from edge_agent.domain.event import AlarmRaised, Draft, InspectionClosed, InspectionOpened, ScanReceived
from edge_agent.domain.observation import (
    ContainerCodeRead,
    DeviceFault,
    DeviceState,
    DeviceStatus,
    Observation,
    PlateRead,
    Presence,
    RadiationOccupancy,
    RadiationSample,
    SealRead,
    SealState,
    TagRead,
    Weight,
)

# A lane that reads more than this of what stands in it shows the last of them.
MAX_READS = 24
MAX_FAULTS = 8
MAX_TEXT = 80
MAX_DETAIL = 200
# An alarm stays in view after its vehicle has left, until the next vehicle or for so long.
ALARM_S = 600.0
VERSION = 2
ONLINE = DeviceStatus(DeviceState.ONLINE)

log = logging.getLogger(__name__)


class Open(Protocol):
    """A vehicle in the lane: an inspection that is open."""

    @property
    def id(self) -> str: ...

    @property
    def opened(self) -> Instant: ...


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """A device or camera of a lane; `what` is it, for people."""

    id: str
    what: str


@dataclass(frozen=True, slots=True)
class KnownLane:
    """A lane of the booth."""

    id: str
    devices: tuple[KnownDevice, ...]


class _Device:
    def __init__(self, known: KnownDevice) -> None:
        self.known = known
        self.state, self.detail, self.since = "", "", 0
        self.faults: dict[str, str] = {}


class _Lane:
    def __init__(self, known: KnownLane) -> None:
        self.known = known
        self.devices = {device.id: _Device(device) for device in known.devices}
        self.reads: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()
        self.occupied: dict[str, int] = {}
        self.alarms: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()
        self.alarmed_at = 0.0
        self.counts: dict[str, dict[str, Any]] = {}
        self.vehicles: Callable[[], Sequence[Open]] = lambda: ()


class Live:
    """Folds; `snapshot` gives all of it as what JSON can carry. Moments are milliseconds since 1970, UTC."""

    def __init__(self, booth: str, version: str, lanes: Iterable[KnownLane], clock: Clock) -> None:
        self._lanes = {lane.id: _Lane(lane) for lane in lanes}
        self._clock = clock
        self._about = {"v": VERSION, "booth": booth, "agent": version, "started": _ms(clock.now())}
        self._room: dict[str, Any] = {"has": True, "detail": ""}
        self._link: dict[str, Any] = {"state": "", "why": "", "since": 0}
        self._failed = False
        self._changed: Callable[[], None] = lambda: None

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever the next snapshot will differ."""
        self._changed = changed

    def look_at(self, lane_id: str, vehicles: Callable[[], Sequence[Open]]) -> None:
        """`vehicles` gives the lane's inspections that are open."""
        self._lanes[lane_id].vehicles = vehicles

    def observed(self, observation: Observation) -> None:
        """A device said something. Never raises."""
        self._guarded(self._observe, observation)

    def recorded(self, draft: Draft) -> None:
        """An event of a lane is durable. Never raises."""
        self._guarded(self._record, draft)

    def room(self, has_room: bool, detail: str) -> None:
        """As `on_room` of the recorder."""
        self._room = {"has": has_room, "detail": detail[:MAX_DETAIL]}
        self._changed()

    def link(self, state: str, why: str) -> None:
        """The connection to the port."""
        if state != self._link["state"]:
            self._link = {"state": state, "why": why[:MAX_DETAIL], "since": _ms(self._clock.now())}
            self._changed()

    def snapshot(self, head: int, device_key: DeviceStatus = ONLINE) -> dict[str, Any]:
        """Everything, `head` being the ledger's newest sequence, and `device_key` how the booth's own key stands."""
        now = self._clock.now()
        error = None if now.error is None else now.error.bound_us
        return {
            **self._about,
            "now": _ms(now),
            "clock": {"state": str(now.clock_state), "bound_us": error},
            "head": head,
            "device_key": {"state": str(device_key.state), "detail": device_key.detail[:MAX_DETAIL]},
            "room": self._room,
            "link": self._link,
            "failed": self._failed,
            "lanes": [self._lane(lane, now) for lane in self._lanes.values()],
        }

    def _lane(self, lane: _Lane, now: Instant) -> dict[str, Any]:
        alarms = list(lane.alarms.values()) if now.monotonic - lane.alarmed_at < ALARM_S else []
        return {
            "id": lane.known.id,
            "vehicles": [{"id": one.id, "since": _ms(one.opened)} for one in lane.vehicles()],
            "occupied": [{"device": device, "since": since} for device, since in lane.occupied.items()],
            "alarms": alarms,
            "reads": list(lane.reads.values()),
            "counts": list(lane.counts.values()),
            "devices": [
                {
                    "id": device.known.id,
                    "what": device.known.what,
                    "state": device.state,
                    "since": device.since,
                    "detail": device.detail,
                    "faults": [{"fault": fault, "detail": detail} for fault, detail in device.faults.items()],
                }
                for device in lane.devices.values()
            ],
        }

    def _guarded(self, take: Callable[[Any], None], what: object) -> None:
        if self._failed:
            return
        try:
            take(what)
        except Exception:  # the lane goes on, whatever is wrong in here
            self._failed = True
            log.exception("the booth's page can no longer say what the lanes do, until the agent starts again")
        self._changed()

    def _observe(self, observation: Observation) -> None:
        lane = self._lanes.get(observation.lane_id)
        if lane is None:
            return
        body = observation.body
        match body:
            case PlateRead():
                self._read(lane, observation, "plate", body.text, confidence=body.confidence)
            case ContainerCodeRead():
                self._read(
                    lane, observation, "container_code", body.code, confidence=body.confidence, ok=body.check_digit_ok
                )
            case SealRead():
                self._read(lane, observation, "seal", body.number)
            case SealState():
                self._read(lane, observation, f"seal_{body.condition}", body.number)
            case TagRead():
                self._read(lane, observation, "tag", body.text or body.epc)
            case Weight() if body.settled:
                lane.reads.pop(next((key for key in lane.reads if key[0] == "weight"), ("", "")), None)
                self._read(lane, observation, "weight", f"{body.kg:.0f} kg")
            case RadiationOccupancy():
                verdict = "alarm" if body.gamma_alarm or body.neutron_alarm else "quiet"
                self._read(lane, observation, f"radiation_{verdict}", f"#{body.number}")
            case RadiationSample():
                lane.counts[f"{observation.device_id} {body.kind}"] = {
                    "device": observation.device_id,
                    "kind": str(body.kind),
                    "cps": round(sum(body.counts[:64]) / body.interval_s) if body.interval_s > 0 else None,
                    "in_alarm": body.in_alarm,
                }
            case Presence():
                if body.occupied:
                    lane.occupied.setdefault(observation.device_id, _ms(observation.at))
                else:
                    lane.occupied.pop(observation.device_id, None)
            case DeviceStatus():
                self._status(lane, observation, body)
            case DeviceFault():
                self._fault(lane, observation.device_id, body)
            case _:
                pass

    def _read(self, lane: _Lane, observation: Observation, what: str, text: str, **more: Any) -> None:
        key = (what, text)
        known = lane.reads.pop(key, None)
        at = _ms(observation.at)
        lane.reads[key] = {
            "what": what,
            "text": text[:MAX_TEXT],
            "device": observation.device_id,
            "first": known["first"] if known else at,
            "at": at,
            "times": known["times"] + 1 if known else 1,
            **more,
        }
        while len(lane.reads) > MAX_READS:
            lane.reads.popitem(last=False)

    def _status(self, lane: _Lane, observation: Observation, status: DeviceStatus) -> None:
        device = lane.devices.get(observation.device_id)
        if device is None:
            return
        if status.state != device.state:
            device.since = _ms(observation.at)
        device.state, device.detail = str(status.state), status.detail[:MAX_DETAIL]
        if status.state is not DeviceState.ONLINE:
            lane.occupied.pop(observation.device_id, None)

    def _fault(self, lane: _Lane, device_id: str, fault: DeviceFault) -> None:
        device = lane.devices.get(device_id)
        if device is None:
            return
        device.faults.pop(str(fault.fault), None)
        if fault.active and len(device.faults) < MAX_FAULTS:
            device.faults[str(fault.fault)] = fault.detail[:MAX_DETAIL]

    def _record(self, draft: Draft) -> None:
        body = draft.body
        if not isinstance(body, InspectionOpened | InspectionClosed | AlarmRaised | ScanReceived):
            return
        lane = self._lanes.get(body.inspection.lane_id if isinstance(body, InspectionClosed) else body.lane_id)
        if lane is None:
            return
        match body:
            case InspectionOpened():
                present = {one.id for one in lane.vehicles()} | {body.inspection_id}
                if len(present) == 1:
                    _forget_reads(lane, _ms(draft.at))
                for key in [key for key, alarm in lane.alarms.items() if alarm["inspection"] not in present]:
                    del lane.alarms[key]
            case InspectionClosed():
                others = [_ms(one.opened) for one in lane.vehicles() if one.id != body.inspection.id]
                _forget_reads(lane, min(others, default=_ms(draft.at) + 1))
            case AlarmRaised():
                lane.alarms[body.device_id, str(body.kind)] = {
                    "device": body.device_id,
                    "kind": str(body.kind),
                    "at": _ms(draft.at),
                    "inspection": body.inspection_id,
                }
                lane.alarmed_at = draft.at.monotonic
            case _:
                pass


def _forget_reads(lane: _Lane, before: int) -> None:
    for key in [key for key, read in lane.reads.items() if read["at"] < before]:
        del lane.reads[key]


def _ms(at: Instant) -> int:
    return int(at.utc.timestamp() * 1000)
