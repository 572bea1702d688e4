"""A booth stopped at a moment of a stepped run, and its page served by the real server in a thread of its own.

PortSim ──memory links──► Line ──► recorder ══ ledger ──┐
                            └──► Live ── snapshot ══ socket ──► page ══► browser
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import yaml

from edge_agent.config import CameraConfig, LaneSetup, read_config
from edge_agent.config_console import ConsoleSettings, read_console
from edge_agent.console.feed import SOCKET, Feed
from edge_agent.console.live import KnownDevice, KnownLane, Live
from edge_agent.console_command.serve import serve
from edge_agent.devices.link import LinkSettings
from edge_agent.devices.source import Emit
from edge_agent.domain.clock import Clock, ClockState, Instant
from edge_agent.domain.event import DecisionRecorded, Draft, InspectionClosed
from edge_agent.domain.expected import IdentifierVerdict
from edge_agent.domain.finding import Decision, Recommendation
from edge_agent.expecting import Expecting
from edge_agent.ledger.recorder import open_ledger
from edge_agent.line import Line
from edge_agent.wire.v1alpha1.watch_pb2 import ExpectationsPage
from hardware_sim.expect import expected
from hardware_sim.run import PortSim
from hardware_sim.scenario import Scenario
from hardware_sim.stepped import SteppedClock, SteppedLoop
from port_gateway.expect_command.given import Terms, crossing_of
from tests.e2e.stepped_booth import BOOTH, TCP, Eye, _keep, _look, _settings, oracle
from tests.unit.expectations.pages import page

WAIT_S = 30.0

Snapshot = dict[str, Any]


@dataclass(frozen=True)
class Moment:
    """The booth as it was then: its folder with settings and ledger, what its lanes did, and when that was."""

    folder: Path
    snapshot: Snapshot
    now: Instant

    @property
    def config(self) -> Path:
        return self.folder / "booth.yaml"


class HeldClock:
    """Shows the same moment until it is set on."""

    def __init__(self, now: Instant) -> None:
        self._now = now

    def now(self) -> Instant:
        return self._now

    def monotonic(self) -> float:
        return self._now.monotonic

    def forward(self, seconds: float) -> None:
        self._now = self._now.shifted(seconds)

    def runs_free(self) -> None:
        """No time source is followed any more."""
        self._now = replace(self._now, clock_state=ClockState.UNSYNCHRONISED, error=None)


def trucks(*scripted: dict[str, Any], seed: int = 7) -> Scenario:
    """These trucks, each stopping on the scale and in the portal."""
    devices = {
        "portal": {"kind": "rapiscan_vm250", "hold_in": 3, "links": TCP},
        "seal-scanner": {"kind": "barcode_scanner", "links": TCP},
        "scale": {"kind": "toledo_continuous", "at_m": -18.0, "length_m": 26.0, "links": TCP},
    }
    lane = {
        "drive": {"speed_mps": [2.5, 4.0], "stop_s": 6.0, "approach_m": 20.0},
        "devices": devices,
        "cameras": {"front": {"view": "plate"}, "side": {"view": "container"}},
        "traffic": {"gap_s": [6, 9], "trucks": list(scripted)},
    }
    return Scenario.model_validate({"title": "Some trucks", "seed": seed, "lanes": {"1": lane}})


def moment(
    folder: Path,
    scenario: Scenario,
    until: Callable[[Snapshot], bool],
    eye: Eye = oracle,
    console: dict[str, Any] | None = None,
    also: Callable[[Draft], list[Draft]] = lambda draft: [draft],
    announced: bool = False,
) -> Moment:
    """Play until `until` holds of a snapshot; `also` gives what is recorded in a draft's place. `announced`: the port
    has told of the trucks.
    """

    def run() -> Moment:
        with asyncio.Runner(loop_factory=SteppedLoop) as runner:
            return runner.run(_moment(folder, scenario, until, eye, console or {}, also, announced))

    with ThreadPoolExecutor(1) as apart:  # a driven browser has the loop of this thread
        return apart.submit(run).result()


async def _moment(
    folder: Path,
    scenario: Scenario,
    until: Callable[[Snapshot], bool],
    eye: Eye,
    console: dict[str, Any],
    also: Callable[[Draft], list[Draft]],
    announced: bool,
) -> Moment:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    clock = SteppedClock(loop)
    sim = PortSim(scenario, scenario.seed, folder / "sim", clock, in_memory=True)
    path = _settings(BOOTH, folder)
    settings = yaml.safe_load(path.read_text()) | {"console": {"listen": "127.0.0.1:0"} | console}
    path.write_text(yaml.safe_dump(settings))
    setup = read_config(path, files=False)

    def open_link(settings: LinkSettings, baud: int, clock: Clock) -> Any:
        return links[settings.url].attach()

    def watch(camera: CameraConfig, emit: Emit, presence: Callable[[], bool]) -> Coroutine[Any, Any, None]:
        return _look(sim.lanes[camera.id.partition("-")[0]].lane, camera.role, eye, emit, clock)

    opening = open_ledger(setup.ledger, str(setup.booth), setup.identity().signer(None), clock, "0", lambda *_: None)
    with loop.working():
        ledger = await opening.__aenter__()

    known = Expecting(setup.ledger, clock)
    if announced:
        known.keep(_page(scenario, clock.now().utc))

    async def record(draft: Draft) -> None:
        body = draft.body
        if isinstance(body, InspectionClosed):
            match = known.match(body.inspection)
            draft = replace(draft, body=InspectionClosed(replace(body.inspection, expectation=match)))
        for one in also(draft):
            with loop.working():  # the recorder's thread
                await ledger.recorder.record(one)

    live = Live(str(setup.booth), "0.1.0", [_known(lane) for lane in setup.lanes], clock)
    try:
        await sim.open()
        links = {link.url: link for link in sim.memory_links.values()}
        lines = [Line(lane, record, clock, watch, open_link, onlooker=live) for lane in setup.lanes]
        for line, lane in zip(lines, setup.lanes, strict=True):
            live.look_at(lane.rules.lane_id, lambda line=line: line.vehicles)  # type: ignore[misc]
        live.link("up", "welcomed")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_keep(line)) for line in lines]
            tasks.append(group.create_task(sim.run()))
            while not until(snapshot := live.snapshot(ledger.recorder.head.seq)):
                await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()
    finally:
        with loop.working():
            await sim.close()
            await opening.__aexit__(None, None, None)
            known.close()
    return Moment(folder, snapshot, clock.now())


def decided(draft: Draft) -> list[Draft]:
    """An officer has decided over every vehicle that was not to be released, or is not what was declared."""
    body = draft.body
    if not isinstance(body, InspectionClosed):
        return [draft]
    match = body.inspection.expectation
    other = match is not None and any(one.verdict is IdentifierVerdict.OTHER for one in match.identifiers)
    if body.inspection.recommendation is Recommendation.RELEASE and not other:
        return [draft]
    at = round(draft.at.utc.timestamp() * 1e6)
    why = "seal and cargo are to be looked at"
    made = DecisionRecorded(body.inspection.id, body.inspection.lane_id, Decision.REFER, "R. Vega", why, at, bytes(16))
    return [draft, Draft(made, draft.at)]


def _page(scenario: Scenario, now: datetime) -> ExpectationsPage:
    """All of them, as the port's importer reads them."""
    terms = Terms("uslrd", now, timedelta(days=1), timedelta(days=1))
    crossings = [crossing_of(entry, terms)[0] for entry in expected(scenario, scenario.seed)]
    return page(*filter(None, crossings), whole=True)


def _known(lane: LaneSetup) -> KnownLane:
    devices = [KnownDevice(one.config.id, one.driver.device) for one in lane.devices]
    devices += [KnownDevice(one.id, f"camera ({one.role})") for one in lane.cameras]
    return KnownLane(lane.rules.lane_id, tuple(devices))


class Served:
    """The page of a moment, at `url`. `snapshot` may be replaced; `silence` ends the agent."""

    def __init__(self, moment: Moment, port: int = 0, **console: Any) -> None:
        self.moment, self._console = moment, {"listen": f"127.0.0.1:{port}", **console}
        self.snapshot = moment.snapshot
        self.clock = HeldClock(moment.now)
        self.url = ""
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._feeding: asyncio.Task[Any] | None = None
        self._failed: BaseException | None = None

    def tell(self, snapshot: Snapshot) -> None:
        """The agent's next word."""
        self.snapshot = snapshot

    def silence(self) -> None:
        """The agent is gone."""
        assert self._loop is not None
        assert self._feeding is not None
        self._loop.call_soon_threadsafe(self._feeding.cancel)

    def stop(self) -> None:
        """The page is gone."""
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # noqa: BLE001 - `serving` raises it
            self._failed = failure
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        setup = read_console(self.moment.config)
        setup = replace(setup, settings=ConsoleSettings.model_validate(self._console))
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        feed = Feed(setup.ledger / SOCKET, lambda: self.snapshot)
        async with asyncio.TaskGroup() as group:
            self._feeding = group.create_task(feed.run())
            await serve(setup, self._stop, self._said, self.clock)
            self._feeding.cancel()

    def _until_heard(self) -> None:
        """The page has the agent's first word: until then it says of the lane that it knows nothing."""
        if "password_file" in self._console:
            return
        deadline = time.monotonic() + WAIT_S
        while b"card lane gone" in urlopen(self.url).read():  # noqa: S310 - its own page
            assert time.monotonic() < deadline, "the page did not hear the agent"
            time.sleep(0.02)

    def _said(self, url: str) -> None:
        self.url = url
        self._ready.set()

    @contextmanager
    def serving(self) -> Iterator["Served"]:
        thread = threading.Thread(target=self._run, name="the page")
        thread.start()
        try:
            assert self._ready.wait(WAIT_S)
            if self._failed is not None:
                raise self._failed
            self._until_heard()
            yield self
        finally:
            if thread.is_alive():
                self.stop()
            thread.join(WAIT_S)
            if self._failed is not None:
                raise self._failed
