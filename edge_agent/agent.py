"""The line of one booth, put together. This module alone knows the order of the stages.

devices ─┐
         ├─► queue of a lane ─► Lane (inspection) ─► recorder (ledger) ─► uplink ═══ port gateway
cameras ─┘        full: the devices wait                 full disk: the lane waits, and is told
"""

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from importlib.metadata import version
from typing import Never

from edge_agent.config import Setup
from edge_agent.console.feed import SOCKET, Feed
from edge_agent.console.live import KnownDevice, KnownLane, Live
from edge_agent.domain.clock import Clock
from edge_agent.domain.retention import DAY_S
from edge_agent.expectations.store import DAMAGED, FOLDER
from edge_agent.expecting import Expecting, expecting, once
from edge_agent.inspection.assemble import given_up
from edge_agent.inspection.recount import recount
from edge_agent.kept_lane import LOST, Kept, TakenUp, boot_id, take_up
from edge_agent.ledger.handover import handed_over
from edge_agent.ledger.housekeeping import Keeping
from edge_agent.ledger.identity import BoothIdentity
from edge_agent.ledger.lane_journal import LaneJournal, forget_others
from edge_agent.ledger.lately import Lately, lately
from edge_agent.ledger.recent import recorded_in
from edge_agent.ledger.recorder import Ledger, OnRoom, open_ledger
from edge_agent.ledger.salvaged import open_salvaged
from edge_agent.ledger.set_aside import tend
from edge_agent.ledger.store import DATABASE
from edge_agent.ledger.uncounted import uncounted
from edge_agent.line import Line, cameras_through
from edge_agent.uplink.client import Uplink
from edge_agent.uplink.enroll import Renewal
from edge_agent.uplink.evidence import EvidenceUplink
from edge_agent.uplink.link import LinkState, OnLink, Port
from edge_agent.uplink.salvaged import SalvagedUplink
from edge_agent.uplink.watch import Watch
from edge_agent.vision.faces import FaceFinder
from edge_agent.vision.formats import COUNTRIES
from edge_agent.vision.recogniser import Recogniser
from edge_agent.vision.recognisers import open_recogniser

# What a stop waits for the open inspections to be recorded; without room on the disk they cannot be.
STOP_S = 10.0

VERSION = version("edge-agent")

log = logging.getLogger(__name__)


class _Stopped(Exception):
    """The agent was asked to stop, and the lanes are recorded."""


async def run(setup: Setup, clock: Clock, stop: asyncio.Event) -> None:
    """Run the booth until `stop` is set. Raises what is Fatal, and what makes a start impossible."""
    watch_camera = cameras_through(_recogniser(setup), _faces(setup), clock)
    identity = setup.identity()
    identity.settle()
    key = identity.signer(handed_over(setup.ledger / DATABASE))
    told = Told([lane.rules.lane_id for lane in setup.lanes], os.environ.get("NOTIFY_SOCKET", ""))
    live = None if setup.config.console is None else _live(setup, clock)
    try:
        async with asyncio.TaskGroup() as opening:
            asked = opening.create_task(_stop([], stop), name="stop")  # the ledger waits for room on its disk
            opened = open_ledger(
                setup.ledger,
                str(setup.booth),
                key,
                clock,
                VERSION,
                told.room if live is None else _both(told.room, live.room),
                device_keys=identity.device_keys(),
                keeping=_keeping(setup),
                session_s=3600 * setup.config.identity.session_h,
            )
            async with opened as ledger, expecting(setup.ledger, clock) as known:
                head = ledger.recorder.head
                log.info("ledger open at sequence %d, epoch %s", head.seq, head.epoch.hex())
                record = ledger.recorder.record
                lanes = await _take_up(setup, ledger, clock)
                lines = [
                    Line(
                        lane, record, clock, watch_camera, lane=was.lane, onlooker=live, compare=known.match, taken=was
                    )
                    for lane, was in zip(setup.lanes, lanes, strict=True)
                ]
                asked.cancel()
                async with asyncio.TaskGroup() as group:
                    group.create_task(ledger.recorder.watch(), name="ledger")
                    days, copies = setup.config.retention.set_aside_days, [setup.ledger / FOLDER / DAMAGED]
                    group.create_task(tend(setup.ledger, days, copies, clock), name="what was set aside")
                    for line in lines:
                        line.start(group)
                    group.create_task(_tell_lanes(known, lines), name="what is expected anew")
                    say_link = _say_link if live is None else live.link
                    _start_uplink(group, setup, identity, ledger, clock, say_link, known)
                    if live is not None:
                        group.create_task(_feed(setup, live, lines, ledger).run(), name="the booth's page")
                    group.create_task(_stop(lines, stop), name="stop")
    except* _Stopped:
        log.info("stopped")


async def _take_up(setup: Setup, ledger: Ledger, clock: Clock) -> list[TakenUp]:
    """The lanes as the last run left them, with what it can have missed to record."""
    recorder, outbox, boot, lanes = ledger.recorder, ledger.outbox, boot_id(), list[TakenUp]()
    unfinished = recorder.unfinished()
    recorded = recorded_in(outbox)
    left = await asyncio.to_thread(lately, outbox)
    earlier = await asyncio.to_thread(uncounted, outbox, [lane.rules.lane_id for lane in setup.lanes])
    for lane in setup.lanes:
        for part in recount(lane.rules, lane.providers, earlier, clock.now()):
            await recorder.record(part)
    known = {lane.rules.lane_id for lane in setup.lanes}
    for one in unfinished:
        if one.lane_id not in known:  # the settings name that lane no more
            await recorder.record(given_up(one.inspection_id, one.lane_id, one.opened, clock.now(), LOST))
    for lane in setup.lanes:  # from here on nothing waits for the disk
        own = [one for one in unfinished if one.lane_id == lane.rules.lane_id]
        journal = LaneJournal(setup.ledger, lane.rules.lane_id)
        of_lane = left.get(lane.rules.lane_id, Lately())
        kept = Kept(own, recorded, outbox.read_blob, outbox.holds_blob, of_lane)
        lanes.append(await asyncio.to_thread(take_up, lane, journal, kept, clock.now(), boot))
    forget_others(setup.ledger, known)
    return lanes


async def _tell_lanes(known: Expecting, lines: Sequence[Line]) -> Never:
    """What comes anew may be of a vehicle that has left."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:  # in whatever thread
        loop.call_soon_threadsafe(changed.set)

    known.notify(tell)
    while True:
        await changed.wait()
        changed.clear()
        for line in lines:
            await line.expectations_changed()


def _keeping(setup: Setup) -> Keeping:
    ledger = setup.config.ledger
    by_class = setup.config.retention.rules()
    return Keeping(ledger.retention_days * DAY_S, ledger.budget_bytes, ledger.ballast_bytes, by_class)


def _start_uplink(
    group: asyncio.TaskGroup,
    setup: Setup,
    identity: BoothIdentity,
    ledger: Ledger,
    clock: Clock,
    say_link: OnLink,
    known: Expecting,
) -> None:
    port = Port(setup.uplink, identity)
    take = once(ledger.outbox, ledger.recorder.record, clock)
    watch = Watch(setup.uplink, port, str(setup.booth), known, take, clock, VERSION)
    group.create_task(watch.run(), name="what the port expects")
    renewal = Renewal(port, identity, clock, setup.uplink.renewal_look_s)
    group.create_task(renewal.run(), name="renewal")
    salvaged = SalvagedUplink(setup.uplink, port, open_salvaged(setup.ledger), ledger.outbox, clock, VERSION)
    group.create_task(salvaged.run(), name="salvaged uplink")
    events = Uplink(setup.uplink, port, ledger.outbox, clock, VERSION, say_link, on_less_held=salvaged.offer_again)
    evidence = EvidenceUplink(setup.uplink, port, ledger.outbox, clock, _say_lost)
    for sender, name in ((events, "uplink"), (evidence, "evidence uplink")):
        ledger.recorder.notify(sender.wake)
        group.create_task(sender.run(), name=name)


def _live(setup: Setup, clock: Clock) -> Live:
    lanes = []
    for lane in setup.lanes:
        devices = [KnownDevice(device.config.id, device.driver.device) for device in lane.devices]
        devices += [KnownDevice(camera.id, f"camera ({camera.role})") for camera in lane.cameras]
        lanes.append(KnownLane(lane.rules.lane_id, tuple(devices)))
    return Live(str(setup.booth), VERSION, lanes, clock)


def _feed(setup: Setup, live: Live, lines: Sequence[Line], ledger: Ledger) -> Feed:
    for lane, line in zip(setup.lanes, lines, strict=True):
        live.look_at(lane.rules.lane_id, lambda line=line: line.vehicles)  # type: ignore[misc]
    feed = Feed(setup.ledger / SOCKET, lambda: live.snapshot(ledger.recorder.head.seq, ledger.recorder.device_key))
    live.on_change(feed.changed)
    ledger.recorder.notify(feed.changed)
    return feed


def _both(first: OnRoom, second: OnRoom) -> OnRoom:
    def both(has_room: bool, detail: str) -> None:
        first(has_room, detail)
        second(has_room, detail)

    return both


def _recogniser(setup: Setup) -> Recogniser | None:
    cameras = sum(len(lane.cameras) for lane in setup.lanes)
    if not cameras:
        return None
    vision = setup.config.vision
    return open_recogniser(
        threads=vision.threads,
        live=True,
        long_side=vision.long_side,
        countries=vision.countries or COUNTRIES,
        at_once=min(cameras, vision.threads),
    )


def _faces(setup: Setup) -> FaceFinder | None:
    if not any(camera.blur_faces for lane in setup.lanes for camera in lane.cameras):
        return None
    return FaceFinder.open(setup.config.vision.threads)


class Told:
    """Tells each lane whether what passes there is being recorded: in the log, and as systemd's status of the service.

    That needs no room on the disk. `notify` is what systemd names in NOTIFY_SOCKET (sd_notify(3)), '' without it.
    """

    def __init__(self, lanes: Sequence[str], notify: str) -> None:
        self._lanes, self._notify = lanes, notify

    def room(self, has_room: bool, detail: str) -> None:
        """As `on_room` of the recorder."""
        for lane in self._lanes:
            if has_room:
                log.warning("lane %s: EVENTS ARE KEPT AGAIN, with what waited. Inspection by the agent goes on.", lane)
            else:
                log.error(
                    "lane %s: NOTHING IS BEING RECORDED: %s. Go over to manual inspection until there is room.",
                    *(lane, detail),
                )
        self._say("recording" if has_room else f"NOTHING IS BEING RECORDED: {detail}")

    def _say(self, status: str) -> None:
        if not self._notify:
            return
        address = "\0" + self._notify[1:] if self._notify.startswith("@") else self._notify
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sending:
                sending.sendto(f"STATUS={' '.join(status.split())}".encode(), address)
        except OSError as error:  # a help to people, which the log does not need
            log.debug("systemd was not told: %s", error)


def _say_link(state: LinkState, why: str) -> None:
    log.debug("the link to the port is %s: %s", state, why)  # the uplink itself has logged it for people


def _say_lost(sha256: bytes, why: str) -> None:
    log.error("evidence %s cannot be sent: %s", sha256.hex(), why)


async def _stop(lines: list[Line], stop: asyncio.Event) -> None:
    await stop.wait()
    try:
        async with asyncio.timeout(STOP_S), asyncio.TaskGroup() as group:
            for line in lines:
                group.create_task(line.stop(), name="stop a lane")
    except TimeoutError:
        log.error("a lane could not record within %g s how it stands; the next start gives up what is open", STOP_S)
    raise _Stopped
