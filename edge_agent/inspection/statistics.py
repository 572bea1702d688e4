"""What a lane does, counted in quarters of an hour from the drafts that it makes.

    look(now) ──► parts that have ended ─► recorded before what follows
    take(drafts) ──► counted in the part that is open

The rules, each with its test in tests/unit/inspection/test_statistics.py:

1. Quarters are those of UTC by the booth's wall clock; how long a part lasts is measured by the monotonic clock.
2. A part begins where the one before ended. It ends with its quarter; a quarter without a vehicle is one all the same.
3. What happens counts in the part that is open when it is recorded: an inspection when it is closed.
4. A wall clock that moved against the monotonic one by STEP_S or more since the last look was set: the part ends there
   by its own reckoning, the next one begins by the new one. Less is a clock that is being steered, or seconds of a
   quarter: `covered_s` tells them.
5. Who does not look for STALL_S stood still, and saw nothing: that time is covered by no part.
6. A stop ends the part. What ends without a stop is counted at the next start, as far as its ledger goes (recount.py).
7. A device is up, down or unknown from one word of it to the next; down is what an inspection calls blind.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.event import AlarmRaised, DeviceChanged, Draft, InspectionClosed, InspectionOpened, Unassigned
from edge_agent.domain.inspection import Abandoned, Complete, Expected, Incomplete, Inspection, MissingReason
from edge_agent.domain.observation import DeviceState, DeviceStatus, RadiationKind
from edge_agent.domain.statistics import (
    QUARTER_S,
    QUEUED_GAP_S,
    Confidences,
    DeviceTime,
    LaneStatistics,
    PartEnd,
    durations,
)
from edge_agent.inspection.assemble import Provider
from edge_agent.inspection.records import LaneRules

# A look a minute: so closely it is known when a clock was set, or the agent stood still.
LOOK_S = 60.0
STALL_S = 120.0
# chrony steers by at most 5 s within a minute.
STEP_S = 10.0
_QUARTER_US = QUARTER_S * 1_000_000


@dataclass(slots=True)
class _Device:
    silent_is_down: bool
    state: str = "unknown_s"
    since: float = 0.0
    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("up_s", "down_s", "unknown_s"), 0.0))

    def until(self, at: float) -> None:
        """Its state has lasted until now; nothing runs back."""
        self.spent[self.state] += max(0.0, at - self.since)
        self.since = max(self.since, at)


@dataclass(slots=True)
class _Part:
    """What is counted of the part that is open."""

    begin: Instant
    quarter_us: int
    synchronised: bool
    arrived: int = 0
    complete: int = 0
    incomplete: int = 0
    abandoned: int = 0
    missing: Counter[tuple[Expected, MissingReason]] = field(default_factory=Counter)
    dwell: list[float] = field(default_factory=list)
    gap: list[float] = field(default_factory=list)
    service: list[float] = field(default_factory=list)
    plates: Confidences = field(default_factory=Confidences)
    codes: Confidences = field(default_factory=Confidences)
    alarms: Counter[RadiationKind] = field(default_factory=Counter)
    unassigned: int = 0

    @property
    def anything(self) -> bool:
        return bool(
            self.arrived or self.complete or self.incomplete or self.abandoned or self.alarms or self.unassigned
        )


class Statistics:
    """Of one lane, from `begin` on. Asks no clock: `look` before every `take`, and whenever `next_wake` says."""

    def __init__(self, rules: LaneRules, providers: Iterable[Provider]) -> None:
        self._rules = rules
        self._devices = {provider.device_id: _Device(provider.silent_is_down) for provider in providers}
        self._part: _Part | None = None
        self._last: Instant | None = None
        self._queued: set[str] = set()  # open inspections of vehicles that came right after the one before
        self._open: set[str] = set()
        self._closed_at: float | None = None

    def next_wake(self) -> float:
        """When `look` wants to be called, in seconds on the monotonic clock."""
        if self._part is None or self._last is None:
            return 0.0
        left_s = (self._part.quarter_us + _QUARTER_US - _utc_us(self._last)) / 1e6
        return self._last.monotonic + min(max(left_s, 0.0), LOOK_S)

    def look(self, now: Instant) -> list[Draft]:
        """It is `now`: the parts that have ended, to be recorded before what follows. The first look begins."""
        if self._part is None or self._last is None:
            self.begin(now)
            return []
        last, done = self._last, list[LaneStatistics]()
        told = last.shifted(now.monotonic - last.monotonic)
        step_s = (now.utc - told.utc).total_seconds()
        if now.monotonic - last.monotonic > STALL_S:
            done += [*self._end(last, PartEnd.STALLED)]
            self.begin(now)
        elif abs(step_s) >= STEP_S:
            done += [*self._passed(told), *self._end(told, PartEnd.CLOCK_SET, step_s)]
            self.begin(now)
        else:
            done += self._passed(now)
        if self._part is not None:
            self._part.synchronised &= now.clock_state is ClockState.SYNCHRONISED
        self._last = now
        return [Draft(part, now) for part in done]

    def stop(self, now: Instant, why: PartEnd = PartEnd.STOPPED) -> list[Draft]:
        """The lane ends: what is open of the quarter."""
        drafts = self.look(now)
        drafts += [Draft(part, now) for part in self._end(now, why)]
        self._part = None
        return drafts

    def take(self, drafts: Sequence[Draft]) -> None:
        """Count what is recorded now."""
        if self._part is None:
            return
        for draft in drafts:
            body = draft.body
            match body:
                case InspectionOpened():
                    self._arrives(self._part, body.inspection_id, draft.at.monotonic)
                case InspectionClosed():
                    self._leaves(self._part, body.inspection)
                case AlarmRaised():
                    self._part.alarms[body.kind] += 1
                case Unassigned():
                    self._part.unassigned += 1
                case DeviceChanged() if isinstance(body.what, DeviceStatus):
                    self._status(body.device_id, body.what.state, draft.at.monotonic)
                case _:
                    pass

    # --- what is counted --------------------------------------------------------------------------------------

    def _arrives(self, part: _Part, inspection_id: str, at: float) -> None:
        part.arrived += 1
        if self._open:
            self._queued.add(inspection_id)
        elif self._closed_at is not None:
            gap = max(0.0, at - self._closed_at)
            part.gap.append(gap)
            if gap <= QUEUED_GAP_S:
                self._queued.add(inspection_id)
        self._open.add(inspection_id)

    def _leaves(self, part: _Part, inspection: Inspection) -> None:
        closed = inspection.closed.monotonic
        match inspection.outcome:
            case Complete():
                part.complete += 1
            case Incomplete():
                part.incomplete += 1
                part.missing.update({(m.what, m.reason) for m in inspection.outcome.missing})
            case Abandoned():
                part.abandoned += 1
        if not isinstance(inspection.outcome, Abandoned) and not inspection.resumed:  # by another monotonic clock
            part.dwell.append(max(0.0, closed - inspection.opened.monotonic))
        if inspection.id in self._queued and self._closed_at is not None:
            part.service.append(max(0.0, closed - self._closed_at))
        self._queued.discard(inspection.id)
        self._open.discard(inspection.id)
        self._closed_at = closed
        if inspection.plate is not None:
            part.plates = part.plates.with_one(inspection.plate.confidence, inspection.plate.reads_other > 0)
        for code in inspection.container_codes:
            part.codes = part.codes.with_one(code.vote.confidence, code.vote.reads_other > 0)

    def _status(self, device_id: str, state: DeviceState, at: float) -> None:
        device = self._devices.get(device_id)
        if device is None:
            return
        device.until(at)
        silent = state is DeviceState.WAITING and device.silent_is_down
        device.state = "down_s" if silent or state in (DeviceState.OFFLINE, DeviceState.FAILED) else "up_s"

    # --- parts ------------------------------------------------------------------------------------------------

    def begin(self, now: Instant) -> None:
        """A part begins; what is open of the one before is counted by nobody."""
        quarter_us = _utc_us(now) // _QUARTER_US * _QUARTER_US
        self._part = _Part(now, quarter_us, now.clock_state is ClockState.SYNCHRONISED)
        self._last = now
        for device in self._devices.values():
            device.since = now.monotonic
            device.spent = dict.fromkeys(device.spent, 0.0)

    def _passed(self, now: Instant) -> list[LaneStatistics]:
        """The quarter that is over by now; a look a minute meets one end at most."""
        if self._part is None:
            return []
        beyond_us = _utc_us(now) - self._part.quarter_us - _QUARTER_US
        if beyond_us < 0:
            return []
        boundary = now.shifted(-beyond_us / 1e6)
        done = self._end(boundary, PartEnd.QUARTER)
        self.begin(boundary)
        return done

    def _end(self, at: Instant, why: PartEnd, step_s: float = 0.0) -> list[LaneStatistics]:
        part = self._part
        if part is None or (at.monotonic_ns <= part.begin.monotonic_ns and not part.anything):
            return []
        at = max(at, part.begin, key=lambda instant: instant.monotonic_ns)
        for device in self._devices.values():
            device.until(at.monotonic)
        return [
            LaneStatistics(
                lane_id=self._rules.lane_id,
                quarter_utc_us=part.quarter_us,
                begin=part.begin,
                end=at,
                ended=why,
                clock_synchronised=part.synchronised,
                clock_step_s=step_s,
                arrived=part.arrived,
                complete=part.complete,
                incomplete=part.incomplete,
                abandoned=part.abandoned,
                missing=tuple((*what, count) for what, count in sorted(part.missing.items())),
                dwell=durations(part.dwell),
                gap=durations(part.gap),
                service=durations(part.service),
                plates=part.plates,
                codes=part.codes,
                gamma_alarms=part.alarms[RadiationKind.GAMMA],
                neutron_alarms=part.alarms[RadiationKind.NEUTRON],
                unassigned=part.unassigned,
                devices=tuple(DeviceTime(name, **device.spent) for name, device in self._devices.items()),
                settle_s=self._rules.settle_s,
            )
        ]


def _utc_us(instant: Instant) -> int:
    return round(instant.utc.timestamp() * 1e6)
