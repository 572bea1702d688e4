"""One lane of a booth, put together: its devices and cameras feed a queue, and one task joins what comes out of it.

dialogues ──► talk ───┐
sources ────► attend ─┼─► queue ─► Lane (inspection) ─► recorder (ledger)
cameras ────► watch ──┘      └─ a source waits until what it handed over is durable; it answers its device then
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from edge_agent.config import CameraConfig, Device, LaneSetup
from edge_agent.devices.attend import attend
from edge_agent.devices.catalogue import SourceDriver
from edge_agent.devices.link import SerialLink
from edge_agent.devices.source import Emit
from edge_agent.devices.talk import OpenLink, talk
from edge_agent.domain.clock import Clock, at_monotonic
from edge_agent.domain.event import Draft, InspectionClosed
from edge_agent.domain.expected import ExpectationMatch
from edge_agent.domain.inspection import Inspection
from edge_agent.domain.observation import Observation, Reading
from edge_agent.inspection.assemble import Assembly
from edge_agent.inspection.lane import Lane
from edge_agent.inspection.statistics import Statistics
from edge_agent.inspection.words import in_words
from edge_agent.vision.camera import Camera
from edge_agent.vision.faces import FaceFinder
from edge_agent.vision.recogniser import Recogniser
from edge_agent.vision.watch import watch

# Some seconds of everything a lane can say. When it is full the devices wait, and their own buffers hold the rest.
LANE_QUEUE = 1000
# A stop does not wait for room on the disk for statistics alone.
COUNTED_S = 2.0

log = logging.getLogger(__name__)

# What keeps a camera: its settings, where readings go, and whether a vehicle stands in the lane.
Watch = Callable[[CameraConfig, Emit, Callable[[], bool]], Coroutine[Any, Any, None]]
# How a closed inspection compares with what the port expects; None where it tells of nothing. Must not raise.
Compare = Callable[[Inspection], ExpectationMatch | None]


class Record(Protocol):
    """Makes a draft durable: `Recorder.record`."""

    async def __call__(self, draft: Draft) -> object: ...


class Taken(Protocol):
    """What an earlier run left to be recorded before the lane hears anything new."""

    async def settle(self, record: Record, compared: Callable[[Lane, Draft], Awaitable[Draft]]) -> None: ...


class Onlooker(Protocol):
    """Is told what happens in the lane, and changes nothing of it: must not wait or raise."""

    def observed(self, observation: Observation) -> None: ...

    def recorded(self, draft: Draft) -> None: ...


@dataclass(frozen=True, slots=True)
class _Said:
    """What a device said; `kept` is set once it is durable, for a device that waits for it."""

    observation: Observation
    kept: "asyncio.Future[None] | None" = None


class _Changed:
    """What the port expects has changed."""


class Line:
    """One lane. `open_link` and `watch_camera` are what stands at its front: real devices, or ones in memory."""

    def __init__(
        self,
        setup: LaneSetup,
        record: Record,
        clock: Clock,
        watch_camera: Watch | None,
        open_link: OpenLink = SerialLink,
        lane: Lane | None = None,
        onlooker: Onlooker | None = None,
        compare: Compare | None = None,
        taken: Taken | None = None,
    ) -> None:
        self._setup = setup
        self._taken = taken
        self._record_draft = record
        self._clock = clock
        self._watch_camera = watch_camera
        self._open_link = open_link
        self._onlooker = onlooker
        self._compare = compare
        self._lane = lane or Lane(setup.rules, setup.providers, lambda: str(uuid.uuid4()))
        self._statistics = Statistics(setup.rules, setup.providers)
        self._queue: asyncio.Queue[_Said | _Changed | None] = asyncio.Queue(LANE_QUEUE)
        self._stopped = asyncio.Event()

    def start(self, group: asyncio.TaskGroup) -> None:
        """Starts a task for each device and camera, and one that joins."""
        group.create_task(self._join(), name=f"lane {self._setup.rules.lane_id}")
        for device in self._setup.devices:
            group.create_task(self._keep(device), name=f"device {device.config.id}")
        for camera in self._setup.cameras:
            if self._watch_camera is not None:
                watching = self._watch_camera(camera, self._emit(camera.id), lambda: self._lane.busy)
                group.create_task(watching, name=f"camera {camera.id}")

    @property
    def vehicles(self) -> tuple[Assembly, ...]:
        """Those whose inspection is open, in the order in which they came."""
        return self._lane.inspections

    async def expectations_changed(self) -> None:
        """Vehicles that left and matched nothing are looked up again."""
        await self._queue.put(_Changed())

    async def stop(self) -> None:
        """Returns once everything said so far, and the end of an open inspection, is durable."""
        await self._queue.put(None)
        await self._stopped.wait()

    def _keep(self, device: Device) -> Coroutine[Any, Any, None]:
        name = device.config.id
        if isinstance(device.driver, SourceDriver):
            return attend(name, device.driver, device.settings, self._emit(name, wait=True), self._clock)
        link = device.config.link
        if link is None:
            raise TypeError(f"{name} has no link")  # the settings were checked
        return talk(
            name, device.driver, device.settings, link, self._emit(name), self._clock, open_link=self._open_link
        )

    def _emit(self, device_id: str, wait: bool = False) -> Emit:
        """Makes a reading an observation: an id, its place, and the instant on the booth's clock."""

        async def emit(reading: Reading) -> None:
            observation = Observation(
                id=str(uuid.uuid4()),
                device_id=device_id,
                lane_id=self._setup.rules.lane_id,
                at=at_monotonic(self._clock, reading.at),
                body=reading.body,
                raw=reading.raw,
                evidence=reading.evidence,
                device_time=reading.device_time,
            )
            kept = asyncio.get_running_loop().create_future() if wait else None
            await self._queue.put(_Said(observation, kept))
            if kept is not None:
                await kept

        return emit

    async def _join(self) -> None:
        self._statistics.look(self._clock.now())
        if self._taken is not None:
            await self._taken.settle(self._record_earlier, partial(compared, self._compare))
            self._lane.hears(self._clock.now())
        while True:
            said, drafts = None, list[Draft]()
            try:
                async with asyncio.timeout(self._patience()):
                    said = await self._queue.get()
            except TimeoutError:
                drafts = self._lane.woke(self._clock.now())
            else:
                if said is None:
                    break
                if isinstance(said, _Changed):
                    self._lane.expectations_changed()
                else:
                    drafts = self._lane.observe(said.observation)
                    if self._onlooker is not None:
                        self._onlooker.observed(said.observation)
            if self._lane.looking and self._compare is not None:
                drafts = [*drafts, *await asyncio.to_thread(self._lane.announced, self._compare, self._clock.now())]
            await self._record(drafts)
            if isinstance(said, _Said) and said.kept is not None and not said.kept.done():
                said.kept.set_result(None)
        await self._record(self._lane.stop(self._clock.now(), "the agent was stopped during this passage"))
        try:
            async with asyncio.timeout(COUNTED_S):
                for draft in self._statistics.stop(self._clock.now()):
                    await self._record_draft(draft)
        except TimeoutError:
            log.warning("lane %s: what was counted since the last quarter is not recorded", self._setup.rules.lane_id)
        self._stopped.set()

    def _patience(self) -> float:
        if self._lane.looking and self._compare is not None:
            return 0.0
        wakes = (self._lane.next_wake(), self._statistics.next_wake())
        return max(0.0, min(wake for wake in wakes if wake is not None) - self._clock.monotonic())

    async def _record(self, drafts: list[Draft]) -> None:
        ended = self._statistics.look(self._clock.now())
        self._statistics.take(drafts)
        for draft in (*ended, *[await compared(self._compare, self._lane, draft) for draft in drafts]):
            await self._tell(draft)

    async def _record_earlier(self, draft: Draft) -> None:
        await self._tell(draft)
        self._statistics.take([draft])

    async def _tell(self, draft: Draft) -> None:
        await self._record_draft(draft)
        if self._onlooker is not None:
            self._onlooker.recorded(draft)
        if words := in_words(draft):
            log.info("lane %s: %s", self._setup.rules.lane_id, words)


async def compared(compare: Compare | None, lane: Lane, draft: Draft) -> Draft:
    """A closed inspection with what the port expects of it; in a thread, since the list lies on a disk."""
    if compare is None or not isinstance(draft.body, InspectionClosed):
        return draft
    inspection = draft.body.inspection
    matched = await asyncio.to_thread(compare, inspection)
    return replace(draft, body=InspectionClosed(lane.compared(inspection, matched)))


def cameras_through(recogniser: Recogniser | None, faces: FaceFinder | None, clock: Clock) -> Watch | None:
    """Watches real cameras with one recogniser; None without one. `faces` is for those that blur them."""
    if recogniser is None:
        return None

    def watch_camera(config: CameraConfig, emit: Emit, presence: Callable[[], bool]) -> Coroutine[Any, Any, None]:
        return watch(config.id, Camera(config.id, config, clock), recogniser, faces, emit, clock, presence)

    return watch_camera
