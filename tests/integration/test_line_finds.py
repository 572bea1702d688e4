"""A line compares a record before it is kept, judges it by that, and looks it up again when more is announced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from pydantic import BaseModel

from edge_agent.agent import _tell_lanes
from edge_agent.config import Device, DeviceConfig, LaneSetup
from edge_agent.devices.catalogue import SourceDriver
from edge_agent.devices.source import Emit
from edge_agent.domain.clock import Clock, Instant, SystemClock
from edge_agent.domain.event import Draft, FindingsAdded, InspectionClosed
from edge_agent.domain.expected import ExpectationMatch, MatchOutcome
from edge_agent.domain.finding import Recommendation
from edge_agent.domain.inspection import Abandoned, Expected, Inspection
from edge_agent.domain.observation import DeviceState, DeviceStatus, Presence, Reading
from edge_agent.domain.statistics import LaneStatistics
from edge_agent.expecting import Expecting
from edge_agent.inspection import findings
from edge_agent.inspection.assemble import Provider
from edge_agent.inspection.lane import RETURN_S
from edge_agent.inspection.records import LaneRules
from edge_agent.line import Line
from tests.unit.inspection.facts import matched
from tests.unit.inspection.script import instant
from tests.unit.test_kept_lane import mid_vehicle
from tests.unit.test_kept_lane_longer import killed_at_its_last_word

NONE = ExpectationMatch(MatchOutcome.NONE)


class Settings(BaseModel):
    pass


class Sensor:
    """Vehicles come and go, the next one when it is asked for."""

    def __init__(self) -> None:
        self.next = asyncio.Event()

    async def run(self, emit: Emit) -> None:
        clock = SystemClock()
        await emit(Reading(DeviceStatus(DeviceState.ONLINE), clock.monotonic()))
        while True:
            for body in (Presence(True), Presence(False)):
                await emit(Reading(body, clock.monotonic()))
            await self.next.wait()
            self.next.clear()


class Known:
    """What the port expects: nothing at first."""

    def __init__(self) -> None:
        self.match = NONE
        self.listeners: list[object] = []

    def compare(self, _: Inspection) -> ExpectationMatch:
        return self.match

    def notify(self, listener: object) -> None:
        self.listeners.append(listener)


class Kept:
    """What `Recorder.record` is to a line."""

    def __init__(self) -> None:
        self.drafts: asyncio.Queue[Draft] = asyncio.Queue()

    async def record(self, draft: Draft) -> None:
        await self.drafts.put(draft)

    async def next(self, kind: type) -> Draft:
        while True:
            draft = await asyncio.wait_for(self.drafts.get(), 30)
            if isinstance(draft.body, kind):
                return draft


@asynccontextmanager
async def running(sensor: Sensor, known: Known, kept: Kept) -> AsyncIterator[None]:
    def source(_settings: object, _clock: Clock) -> Sensor:
        return sensor

    row = SourceDriver("loop", "sensor", "presence", frozenset({Expected.RADIATION}), Settings, source, pushes=True)
    device = Device(DeviceConfig(id="loop", driver="loop"), row, Settings())
    setup = LaneSetup(LaneRules("1", (), settle_s=0.05), (Provider("loop", row.gives),), (device,), ())
    line = Line(setup, kept.record, SystemClock(), None, compare=known.compare)

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            line.start(group)
            group.create_task(_tell_lanes(cast("Expecting", known), [line]))

    task = asyncio.ensure_future(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_record_is_judged_by_what_is_expected_and_again_when_that_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(findings, "LOOK_AT_ONCE", 1)
    sensor, known, kept = Sensor(), Known(), Kept()
    async with running(sensor, known, kept):
        first = (await kept.next(InspectionClosed)).body
        sensor.next.set()
        closed = (await kept.next(InspectionClosed)).body
        assert isinstance(first, InspectionClosed)
        assert isinstance(closed, InspectionClosed)
        assert closed.inspection.expectation == NONE
        assert [one.rule for one in closed.inspection.findings] == ["no_expectation"]
        assert closed.inspection.recommendation is Recommendation.REFER
        known.match = replace(matched(), outcome=MatchOutcome.MATCHED)
        [tell] = known.listeners
        await asyncio.to_thread(cast("type", tell))  # as Watch does it
        for inspection in (first.inspection, closed.inspection):  # one after the other, without anything else said
            added = (await kept.next(FindingsAdded)).body
            assert isinstance(added, FindingsAdded)
            found = (added.inspection_id, [one.rule for one in added.findings])
            assert found == (inspection.id, ["late_expectation"])


async def test_what_a_start_gives_up_is_recorded_told_and_counted(tmp_path: Path) -> None:
    booth, kept = mid_vehicle(tmp_path), Kept()
    taken = killed_at_its_last_word(booth, 500)
    line = Line(booth.setup, kept.record, SystemClock(), None, lane=taken.lane, compare=Known().compare, taken=taken)
    async with asyncio.TaskGroup() as group:
        line.start(group)
        closed = (await kept.next(InspectionClosed)).body
        assert isinstance(closed, InspectionClosed)
        assert isinstance(closed.inspection.outcome, Abandoned)
        assert closed.inspection.expectation == NONE
        await line.stop()
    counted = (await kept.next(LaneStatistics)).body
    assert isinstance(counted, LaneStatistics)
    assert (counted.arrived, counted.abandoned) == (0, 1)


class At(SystemClock):
    """It is 60 s after the beginning, and stays so."""

    def now(self) -> Instant:
        return instant(60)

    def monotonic(self) -> float:
        return 60.0


async def test_whoever_is_in_a_lane_is_waited_for_from_when_it_hears_again(tmp_path: Path) -> None:
    booth, kept = mid_vehicle(tmp_path), Kept()
    taken = killed_at_its_last_word(booth, 20)  # and 40 s pass: its disk was full, other lanes had heard much
    line = Line(booth.setup, kept.record, At(), None, lane=taken.lane, compare=Known().compare, taken=taken)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        line.start(group)
        while taken.lane.next_wake() != pytest.approx(60 + RETURN_S + booth.setup.rules.settle_s):
            await asyncio.sleep(0.01)
        await line.stop()
    assert len(line.vehicles) == 1
