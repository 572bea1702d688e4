"""A lane is counted in quarters of an hour: what counts where, and what is said of time that nobody covered."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.event import (
    AlarmRaised,
    DeviceChanged,
    Draft,
    EventBody,
    InspectionClosed,
    InspectionOpened,
    Unassigned,
)
from edge_agent.domain.inspection import (
    Abandoned,
    Complete,
    Expected,
    Incomplete,
    Inspection,
    Missing,
    MissingReason,
    Outcome,
    Voted,
    VotedCode,
)
from edge_agent.domain.observation import DeviceFault, DeviceState, DeviceStatus, FaultKind, Observation, RadiationKind
from edge_agent.domain.statistics import LaneStatistics, PartEnd
from edge_agent.inspection.records import LaneRules
from edge_agent.inspection.statistics import LOOK_S, STALL_S, STEP_S, Statistics
from tests.unit.inspection.script import PROVIDERS, seal

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
RULES = LaneRules("1", (Expected.PLATE,), settle_s=3.0)
DWELL = 40.0


def about(value: Any) -> Any:
    return pytest.approx(value, abs=0.01)


class Counted:
    """Statistics under test on a clock of its own: `wall_s` is what the wall clock is off since the start."""

    def __init__(self, begin_s: float = 0.0) -> None:
        self.statistics = Statistics(RULES, PROVIDERS)
        self.now_s, self.wall_s, self.state = begin_s, 0.0, ClockState.SYNCHRONISED
        self.parts: list[LaneStatistics] = []
        self._ids = 0
        self.look()

    def instant(self, seconds: float | None = None) -> Instant:
        at = self.now_s if seconds is None else seconds
        return Instant(NOON + timedelta(seconds=at + self.wall_s), round((5000 + at) * 1e9), self.state)

    def look(self) -> None:
        for draft in self.statistics.look(self.instant()):
            self._keep(draft)

    def _keep(self, draft: Draft) -> None:
        assert isinstance(draft.body, LaneStatistics)
        self.parts.append(draft.body)

    def until(self, seconds: float) -> "Counted":
        """Time passes; the lane looks when it is asked to."""
        while (wake := self.statistics.next_wake() - 5000) <= seconds:
            assert wake > self.now_s or wake == about(self.now_s)
            self.now_s = max(wake, self.now_s + 1e-6)
            self.look()
        self.now_s = seconds
        return self

    def say(self, *bodies: EventBody) -> "Counted":
        self.look()
        self.statistics.take([Draft(body, self.instant()) for body in bodies])
        return self

    def vehicle(self, at: float, outcome: Outcome = Complete(), dwell: float = DWELL, **more: object) -> "Counted":  # noqa: B008
        self._ids += 1
        self.until(at).say(InspectionOpened(str(self._ids), "1", "presence"))
        opened = self.instant()
        self.until(at + dwell)
        record = Inspection(str(self._ids), "1", opened, self.instant(), outcome, **more)  # type: ignore[arg-type]
        return self.say(InspectionClosed(record))

    def status(self, device: str, state: DeviceState) -> "Counted":
        return self.say(DeviceChanged(device, "1", DeviceStatus(state)))

    def stop(self) -> list[LaneStatistics]:
        for draft in self.statistics.stop(self.instant()):
            self._keep(draft)
        return self.parts


def times(part: LaneStatistics, device: str) -> Any:
    [one] = [d for d in part.devices if d.device_id == device]
    return about((one.up_s, one.down_s, one.unknown_s))


def test_rule_1_quarters_are_those_of_utc() -> None:
    [part, second] = Counted(begin_s=100).until(1000).stop()
    assert (part.quarter_utc_us, part.begin.utc, part.end.utc) == (
        *(round(NOON.timestamp() * 1e6), NOON + timedelta(seconds=100), NOON + timedelta(seconds=900)),
    )
    assert (part.ended, part.covered_s) == (PartEnd.QUARTER, about(800))
    assert second.begin == part.end
    assert second.quarter_utc_us - part.quarter_utc_us == 900_000_000


def test_rule_2_a_quarter_without_a_vehicle_is_one() -> None:
    parts = Counted().until(2700).parts
    assert [(p.covered_s, p.vehicles, p.ended) for p in parts] == [(about(900), 0, PartEnd.QUARTER)] * 3
    assert parts[0].dwell.count == parts[0].gap.count == 0


def test_rule_3_an_inspection_counts_where_it_is_closed() -> None:
    first, second = Counted().vehicle(880).until(1000).stop()
    assert (first.arrived, first.vehicles, second.arrived, second.vehicles) == (1, 0, 0, 1)
    assert (second.dwell.count, second.dwell.sum_s) == (1, about(DWELL))


def test_outcomes_and_what_was_missing() -> None:
    plate = Missing(Expected.PLATE, MissingReason.NOT_SEEN)
    blind = Missing(Expected.SEAL, MissingReason.COULD_NOT_LOOK)
    counted = Counted().vehicle(10).vehicle(100, Incomplete((plate, blind))).vehicle(200, Incomplete((plate,)))
    [part] = counted.vehicle(300, Abandoned("did not leave"), dwell=600.0 - 300.0).stop()
    assert (part.vehicles, part.complete, part.incomplete, part.abandoned) == (4, 1, 2, 1)
    assert part.missing == ((*key(plate), 2), (*key(blind), 1))
    assert part.dwell.count == 3, "how long one that was given up stood there is not known"
    assert part.settle_s == 3.0


def key(missing: Missing) -> tuple[Expected, MissingReason]:
    return missing.what, missing.reason


def test_gaps_and_what_a_vehicle_takes_while_a_queue_stands() -> None:
    counted = Counted().vehicle(0).vehicle(DWELL + 8).vehicle(200).until(600)
    [part] = counted.stop()
    assert part.gap.count == 2, "of the first one nobody knows how long the lane was empty"
    assert (part.gap.min_s, part.gap.max_s) == (about(8), about(200 - 2 * DWELL - 8))
    assert (part.service.count, part.service.sum_s) == (1, about(8 + DWELL))


def test_in_a_row_the_next_one_has_come_before_the_last_has_left() -> None:
    counted = Counted()
    for at, bodies in (
        (0, [InspectionOpened("a", "1", "presence")]),
        (20, [InspectionOpened("b", "1", "presence")]),
        (30, [InspectionClosed(Inspection("a", "1", counted.instant(0), counted.instant(30), Complete()))]),
        (55, [InspectionClosed(Inspection("b", "1", counted.instant(20), counted.instant(55), Complete()))]),
    ):
        counted.until(at).say(*bodies)
    [part] = counted.stop()
    assert part.gap.count == 0
    assert (part.service.count, part.service.sum_s) == (1, about(25))


def test_reads_by_confidence() -> None:
    sure, unsure = Voted("ABC123", 0.995, (), 9), Voted("ABC128", 0.72, (), 3, 2, ("ABC123",))
    counted = Counted().vehicle(0, plate=sure).vehicle(100, plate=unsure).vehicle(200)
    code = VotedCode(replace(sure, confidence=0.3), True)
    [part] = counted.vehicle(300, container_codes=(code, code)).stop()
    assert (part.plates.counts, part.plates.disputed) == ((0, 0, 0, 1, 0, 0, 0, 1), 1)
    assert (part.codes.counts, part.codes.disputed) == ((2, 0, 0, 0, 0, 0, 0, 0), 0)


def test_alarms_and_what_belongs_to_no_vehicle() -> None:
    counted = Counted(5)
    for kind in (RadiationKind.GAMMA, RadiationKind.GAMMA, RadiationKind.NEUTRON):
        counted.say(AlarmRaised("", "1", "portal", kind, (1,), b""))
    counted.say(Unassigned(Observation("o", "scanner", "1", counted.instant(), seal("A1"))))
    [part] = counted.until(60).stop()
    assert (part.gamma_alarms, part.neutron_alarms, part.unassigned) == (2, 1, 1)


def test_rule_4_a_clock_that_is_set_forward_ends_the_part() -> None:
    counted = Counted().until(300)
    counted.wall_s = 3600.0
    before, after = counted.until(330).until(400).stop()
    assert (before.ended, before.clock_step_s) == (PartEnd.CLOCK_SET, about(3600))
    assert before.end.utc <= NOON + timedelta(seconds=300 + LOOK_S), "by its own reckoning"
    assert after.begin.utc - before.end.utc == timedelta(hours=1)
    assert after.quarter_utc_us - before.quarter_utc_us == 3_600_000_000
    assert before.covered_s + after.covered_s == about(400), "no time is lost, none is counted twice"


def test_rule_4_a_clock_that_is_set_back_covers_a_quarter_again() -> None:
    counted = Counted().until(950)
    counted.wall_s = -600.0
    parts = counted.until(1600).stop()
    assert [p.ended for p in parts] == [PartEnd.QUARTER, PartEnd.CLOCK_SET, PartEnd.QUARTER, PartEnd.STOPPED]
    quarters = [(p.quarter_utc_us - round(NOON.timestamp() * 1e6)) / 9e8 for p in parts]
    assert quarters == [0, 1, 0, 1]
    assert sum(p.covered_s for p in parts) == about(1600)


@pytest.mark.parametrize("step_s", [STEP_S - 1, 1 - STEP_S])
def test_rule_4_a_clock_that_is_steered_ends_nothing(step_s: float) -> None:
    counted = Counted().until(300)
    counted.wall_s = step_s
    [part] = counted.until(901 - step_s).parts
    assert (part.ended, part.covered_s) == (PartEnd.QUARTER, about(900 - step_s))
    assert (part.end.utc - part.begin.utc).total_seconds() == about(900)


def test_rule_4_a_clock_that_is_set_just_after_its_quarter() -> None:
    counted = Counted().until(890)
    counted.now_s, counted.wall_s = 920, 100
    counted.look()
    assert [p.ended for p in counted.parts] == [PartEnd.QUARTER, PartEnd.CLOCK_SET]
    assert [p.covered_s for p in counted.parts] == [about(900), about(20)]


def test_rule_5_who_stood_still_has_seen_nothing() -> None:
    counted = Counted().until(300)
    last = counted.statistics.next_wake() - 5000 - LOOK_S
    counted.now_s = last + STALL_S + 3000
    counted.look()
    [before] = counted.parts
    assert (before.ended, before.covered_s) == (PartEnd.STALLED, about(last))
    [_, after] = counted.until(counted.now_s + 30).stop()
    assert after.begin.utc == NOON + timedelta(seconds=last + STALL_S + 3000)


def test_rule_6_a_stop_says_what_there_is() -> None:
    [part] = Counted().vehicle(10).until(100).stop()
    assert (part.ended, part.covered_s, part.vehicles) == (PartEnd.STOPPED, about(100), 1)
    at_once = Counted(900)
    assert at_once.stop() == [], "nothing happened in no time"
    assert at_once.say(InspectionOpened("late", "1", "presence")).parts == [], "it is over"


def test_a_clock_that_follows_nothing_is_told() -> None:
    counted = Counted().until(300)
    counted.state = ClockState.UNSYNCHRONISED
    counted.until(600)
    counted.state = ClockState.SYNCHRONISED
    first, second = counted.until(1800).parts
    assert (first.clock_synchronised, second.clock_synchronised) == (False, True)


def test_rule_7_devices_are_up_down_or_unknown() -> None:
    counted = Counted().until(100).status("portal", DeviceState.ONLINE).status("front", DeviceState.ONLINE)
    counted.until(400).status("portal", DeviceState.WAITING).status("scanner", DeviceState.WAITING)
    counted.until(700).status("front", DeviceState.FAILED)
    counted.say(DeviceChanged("front", "1", DeviceFault(FaultKind.TAMPER, True)))
    counted.say(DeviceChanged("somebody", "1", DeviceStatus(DeviceState.OFFLINE)))
    first, second = counted.until(1000).stop()
    assert times(first, "portal") == (300, 500, 100), "its silence is a fault"
    assert times(first, "scanner") == (500, 0, 400), "it speaks when it is used"
    assert times(first, "front") == (600, 200, 100)
    assert times(first, "rear") == (0, 0, 900)
    assert times(second, "portal") == (0, 100, 0)
    assert all(d.up_s + d.down_s + d.unknown_s == about(first.covered_s) for d in first.devices)
