"""The line of one booth, put together. This module alone knows the order of the stages.

devices ─┐
         ├─► queue of a lane ─► Lane (inspection) ─► recorder (ledger) ─► uplink ═══ port gateway
cameras ─┘        full: the devices wait                 full disk: the lane waits, and is told
"""

import asyncio
import logging
import uuid
from importlib.metadata import version

from edge_agent.config import LaneSetup, Setup
from edge_agent.devices.talk import talk
from edge_agent.domain.clock import Clock, at_monotonic
from edge_agent.domain.event import Draft
from edge_agent.domain.observation import Observation, Reading
from edge_agent.inspection.assemble import given_up
from edge_agent.inspection.lane import Lane
from edge_agent.inspection.words import in_words
from edge_agent.ledger.recorder import Ledger, Recorder, open_ledger
from edge_agent.ledger.signer import open_signer
from edge_agent.uplink.client import Uplink
from edge_agent.uplink.evidence import EvidenceUplink
from edge_agent.uplink.link import LinkState, Port
from edge_agent.vision.camera import Camera
from edge_agent.vision.ppocr import PpOcrRecogniser
from edge_agent.vision.recogniser import Recogniser
from edge_agent.vision.watch import watch

# Some seconds of everything a lane can say. When it is full the devices wait, and their own buffers hold the rest.
LANE_QUEUE = 1000
# What a stop waits for the open inspections to be recorded; without room on the disk they cannot be.
STOP_S = 10.0

VERSION = version("edge-agent")

log = logging.getLogger(__name__)


class _Stopped(Exception):
    """The agent was asked to stop, and the lanes are recorded."""


async def run(setup: Setup, clock: Clock, stop: asyncio.Event) -> None:
    """Run the booth until `stop` is set. Raises what is Fatal, and what makes a start impossible."""
    recogniser = _recogniser(setup)
    signer = open_signer(f"file:{setup.key}")
    try:
        async with asyncio.TaskGroup() as opening:
            asked = opening.create_task(_stop([], stop), name="stop")  # the ledger waits for room on its disk
            async with open_ledger(setup.ledger, str(setup.booth), signer, clock, VERSION, _say_room) as ledger:
                head = ledger.recorder.head
                log.info("ledger open at sequence %d, epoch %s", head.seq, head.epoch.hex())
                for one in ledger.recorder.unfinished():
                    why = "the agent ended during this passage"
                    closing = given_up(one.inspection_id, one.lane_id, one.opened, clock.now(), why)
                    await ledger.recorder.record(closing)
                lines = [_Line(lane, ledger.recorder, clock) for lane in setup.lanes]
                asked.cancel()
                async with asyncio.TaskGroup() as group:
                    group.create_task(ledger.recorder.watch(), name="ledger")
                    for line in lines:
                        line.start(group, recogniser)
                    _start_uplink(group, setup, ledger, clock)
                    group.create_task(_stop(lines, stop), name="stop")
    except* _Stopped:
        log.info("stopped")


class _Line:
    """One lane: its devices and cameras feed a queue, and one task joins what comes out of it."""

    def __init__(self, setup: LaneSetup, recorder: Recorder, clock: Clock) -> None:
        self._setup = setup
        self._recorder = recorder
        self._clock = clock
        self._lane = Lane(setup.rules, setup.providers, lambda: str(uuid.uuid4()))
        self._queue: asyncio.Queue[Observation | None] = asyncio.Queue(LANE_QUEUE)
        self._stopped = asyncio.Event()

    def start(self, group: asyncio.TaskGroup, recogniser: Recogniser | None) -> None:
        group.create_task(self._join(), name=f"lane {self._setup.rules.lane_id}")
        for device in self._setup.devices:
            conversation = talk(
                device.config.id,
                device.driver,
                device.settings,
                device.config.link,
                self._emit(device.config.id),
                self._clock,
            )
            group.create_task(conversation, name=f"device {device.config.id}")
        for settings in self._setup.cameras:
            if recogniser is not None:
                camera = Camera(settings.id, settings, self._clock)
                watching = watch(
                    settings.id, camera, recogniser, self._emit(settings.id), self._clock, lambda: self._lane.busy
                )
                group.create_task(watching, name=f"camera {settings.id}")

    async def stop(self) -> None:
        """Returns once everything said so far, and the end of an open inspection, is durable."""
        await self._queue.put(None)
        await self._stopped.wait()

    def _emit(self, device_id: str) -> "_Emitter":
        return _Emitter(device_id, self._setup.rules.lane_id, self._queue, self._clock)

    async def _join(self) -> None:
        while True:
            observation, drafts = None, list[Draft]()
            try:
                async with asyncio.timeout(self._patience()):
                    observation = await self._queue.get()
            except TimeoutError:
                drafts = self._lane.woke(self._clock.now())
            else:
                if observation is None:
                    break
                drafts = self._lane.observe(observation)
            await self._record(drafts)
        await self._record(self._lane.stop(self._clock.now(), "the agent was stopped during this passage"))
        self._stopped.set()

    def _patience(self) -> float | None:
        wake = self._lane.next_wake()
        return None if wake is None else max(0.0, wake - self._clock.monotonic())

    async def _record(self, drafts: list[Draft]) -> None:
        for draft in drafts:
            await self._recorder.record(draft)
            if words := in_words(draft):
                log.info("lane %s: %s", self._setup.rules.lane_id, words)


class _Emitter:
    """Makes a reading an observation: an id, its place, and the instant on the booth's clock."""

    def __init__(self, device_id: str, lane_id: str, queue: asyncio.Queue[Observation | None], clock: Clock) -> None:
        self._device_id = device_id
        self._lane_id = lane_id
        self._queue = queue
        self._clock = clock

    async def __call__(self, reading: Reading) -> None:
        observation = Observation(
            id=str(uuid.uuid4()),
            device_id=self._device_id,
            lane_id=self._lane_id,
            at=at_monotonic(self._clock, reading.at),
            body=reading.body,
            raw=reading.raw,
            evidence=reading.evidence,
            device_time=reading.device_time,
        )
        await self._queue.put(observation)


def _start_uplink(group: asyncio.TaskGroup, setup: Setup, ledger: Ledger, clock: Clock) -> None:
    port = Port(setup.uplink, setup.key, setup.certificate)
    events = Uplink(setup.uplink, port, ledger.outbox, clock, VERSION, _say_link)
    evidence = EvidenceUplink(setup.uplink, port, ledger.outbox, clock, _say_lost)
    for sender, name in ((events, "uplink"), (evidence, "evidence uplink")):
        ledger.recorder.notify(sender.wake)
        group.create_task(sender.run(), name=name)


def _recogniser(setup: Setup) -> Recogniser | None:
    if not any(lane.cameras for lane in setup.lanes):
        return None
    vision = setup.config.vision
    return PpOcrRecogniser.open(vision.threads, look_again=False, long_side=vision.long_side)


def _say_room(has_room: bool, detail: str) -> None:
    if has_room:
        log.warning("the ledger accepts events again")
    else:
        log.error("NOTHING IS BEING RECORDED: %s. Go over to manual inspection until there is room.", detail)


def _say_link(state: LinkState, why: str) -> None:
    log.debug("the link to the port is %s: %s", state, why)  # the uplink itself has logged it for people


def _say_lost(sha256: bytes, why: str) -> None:
    log.error("evidence %s cannot be sent: %s", sha256.hex(), why)


async def _stop(lines: list[_Line], stop: asyncio.Event) -> None:
    await stop.wait()
    try:
        async with asyncio.timeout(STOP_S), asyncio.TaskGroup() as group:
            for line in lines:
                group.create_task(line.stop(), name="stop a lane")
    except TimeoutError:
        log.error("an open inspection could not be recorded within %g s; the next start gives it up", STOP_S)
    raise _Stopped
