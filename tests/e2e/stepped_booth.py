"""A lane and its booth in one process on one stepped clock: devices over links in memory, the real line, a real ledger.

PortSim ──memory links──► Line ──► recorder ══ ledger on disk ──► every envelope verified ──► score ◄── truth.jsonl
   └────── what cameras would show ──► an eye (an oracle, or a recogniser on rendered frames)
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edge_agent.config import CameraConfig, read_config
from edge_agent.devices.link import LinkSettings
from edge_agent.devices.source import Emit
from edge_agent.domain.clock import Clock, SystemClock, at_monotonic
from edge_agent.domain.event import Draft
from edge_agent.domain.expected import ExpectationMatch
from edge_agent.domain.identifiers import check_digit_ok, normalise_plate
from edge_agent.domain.inspection import Inspection
from edge_agent.domain.observation import (
    Box,
    CharacterRead,
    ContainerCodeRead,
    DeviceState,
    DeviceStatus,
    PlateRead,
    Reading,
    ScanImage,
)
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.ledger.recorder import open_ledger
from edge_agent.line import Line
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import Role, SpiffeId, certificate_key, create_identity, key_id, load_certificate
from edge_agent.wire.verify import Chain, Verified, verify_next
from hardware_sim.links.memory import MemoryEnd
from hardware_sim.run import PortSim
from hardware_sim.scenario import Scenario
from hardware_sim.score.judge import Check, Score, judge
from hardware_sim.score.received import parse_received
from hardware_sim.score.truth import read_truth
from hardware_sim.stepped import SteppedClock, SteppedLoop
from hardware_sim.world.lane import Lane
from hardware_sim.world.truck import Truck
from port_gateway.describe import event_json

# Where the front of a truck is while a camera has it well in view, metres past the portal; looks a second.
IN_VIEW = {"plate": (1.0, 6.0), "container": (3.0, 12.0)}
LOOKS_PER_S = 2.0
SCANNED_M = 2.0
LATER_S = 20.0
SETTLES_S = 30.0  # after the last truck: what a lane waits for

# What a camera sees: given the lane, the role and the moment; None: nothing is there.
Eye = Callable[[Lane, str, float], Iterator[Reading]]
# Is told of each event before it is recorded.
Onlooker = Callable[[Draft], None]
# The number that an imaging scanner states of a truck, and how long after the truck has left it.
Scanner = Callable[[Truck], tuple[str, float]]
# How a record compares with what is expected.
Compare = Callable[[Inspection], ExpectationMatch | None]


@dataclass(frozen=True)
class Day:
    """What came of a run."""

    score: Score
    events: int
    envelopes: int
    simulated_s: float
    closed: dict[str, Any]  # the inspections' records, by id
    records: list[dict[str, Any]]  # the ledger's events as JSON
    lanes: dict[str, Lane]  # what drove through each
    verified: list[Verified]  # the ledger's events with their envelopes, as a port takes them

    @property
    def misses(self) -> list[tuple[str, Check]]:
        """By truck: what differs between truth and ledger."""
        return [(v.joined.truck.id, m) for v in self.score.vehicles for m in v.misses]


TCP = [{"kind": "tcp"}]
DEVICES: dict[str, Any] = {
    "portal": {"kind": "rapiscan_vm250", "hold_in": 3, "links": TCP},
    "seal-scanner": {"kind": "barcode_scanner", "links": TCP},
    "scale": {"kind": "toledo_continuous", "at_m": -18.0, "length_m": 26.0, "links": TCP},
}
BOOTH: dict[str, Any] = {
    "1": {
        "expects": ["plate", "container_code", "seal", "radiation", "weight"],
        "devices": [
            {"id": "portal", "driver": "rapiscan_vm250"},
            {"id": "seal-scanner", "driver": "barcode_scanner"},
            {"id": "scale", "driver": "toledo_continuous"},
        ],
    }
}


def day_scenario(trucks: int) -> Scenario:
    """Every truck stops with its whole length on the scale, in the portal."""
    lane = {
        "drive": {"speed_mps": [2.5, 4.0], "stop_s": 6.0, "approach_m": 20.0},
        "devices": DEVICES,
        "cameras": {"front": {"view": "plate"}, "side": {"view": "container"}},
        "traffic": {"count": trucks, "gap_s": [6, 30]},
    }
    return Scenario.model_validate({"title": "A day", "seed": 7, "lanes": {"1": lane}})


def oracle(lane: Lane, role: str, at: float) -> Iterator[Reading]:
    """In the recogniser's place: what is true of the truck in view, with no reading error."""
    near, far = IN_VIEW[role]
    for passage in lane.seen(at):
        if near <= passage.position(at) <= far:
            for text in _texts(passage.truck, role):
                characters = tuple(CharacterRead(c, 0.99) for c in text)
                box = Box(0, 0, 100, 30)
                if role == "plate":
                    yield Reading(PlateRead(text, 0.99, characters, box, text), at)
                else:
                    yield Reading(ContainerCodeRead(text, 0.99, characters, box, check_digit_ok(text)), at)


def _texts(truck: Truck, role: str) -> list[str]:
    if role == "plate":
        return [normalise_plate(truck.plate.text)] if truck.plate else []
    return [container.code for container in truck.containers]


def run_day(
    scenario: Scenario,
    booth: dict[str, Any],
    folder: Path,
    eye: Eye = oracle,
    compare: Compare | None = None,
    onlooker: Onlooker | None = None,
    later: Mapping[str, Callable[[], None]] | None = None,
    scanner: Scanner | None = None,
) -> Day:
    """Play the scenario to its end through a booth with the devices of `booth` (as under `lanes` in a settings file; a
    device's link is put in; `cameras` by role, both without). Everything is kept in `folder`.

    `later`: by truck, what changes in what the port expects `LATER_S` after it has left the lane."""
    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        return runner.run(_day(scenario, booth, folder, eye, compare, onlooker, later or {}, scanner))


async def _day(
    scenario: Scenario,
    booth: dict[str, Any],
    folder: Path,
    eye: Eye,
    compare: Compare | None,
    onlooker: Onlooker | None,
    later: Mapping[str, Callable[[], None]],
    scanner: Scanner | None,
) -> Day:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    clock = SteppedClock(loop)
    started = loop.time()
    sim = PortSim(scenario, scenario.seed, folder / "sim", clock, in_memory=True)
    setup = read_config(_settings(booth, folder))

    def open_link(settings: LinkSettings, baud: int, clock: Clock) -> AbstractAsyncContextManager[MemoryEnd]:
        return links[settings.url].attach()

    def watch(camera: CameraConfig, emit: Emit, presence: Callable[[], bool]) -> Coroutine[Any, Any, None]:
        return _look(sim.lanes[camera.id.partition("-")[0]].lane, camera.role, eye, emit, clock)

    signer = setup.identity().signer(None)
    opening = open_ledger(setup.ledger, str(setup.booth), signer, clock, "0", lambda *_: None)
    with loop.working():
        ledger = await opening.__aenter__()
    epoch = ledger.recorder.head.epoch

    async def record(draft: Draft) -> None:
        if onlooker is not None:
            onlooker(draft)
        with loop.working():  # the recorder's thread
            await ledger.recorder.record(draft)

    try:
        await sim.open()
        links = {link.url: link for link in sim.memory_links.values()}
        lines = {
            lane.rules.lane_id: Line(lane, record, clock, watch, open_link, compare=compare) for lane in setup.lanes
        }
        async with asyncio.TaskGroup() as group:
            booths = [group.create_task(_keep(line)) for line in lines.values()]
            for lane_id, line in lines.items() if scanner else ():
                assert scanner is not None
                emit = line._emit("x-ray", wait=True)
                booths.append(group.create_task(_scan(sim.lanes[lane_id].lane, scanner, emit, clock)))

            def change(of: Callable[[], None]) -> None:
                of()
                for line in lines.values():
                    group.create_task(line.expectations_changed())

            def departed(truth: dict[str, Any]) -> None:
                if truth["id"] in later:
                    loop.call_later(LATER_S, change, later[truth["id"]])

            sim.subscribe(departed)
            await sim.run()
            await asyncio.sleep(SETTLES_S)
            for line in lines.values():
                await line.stop()
            for task in booths:
                task.cancel()
    finally:
        with loop.working():
            await sim.close()
            await opening.__aexit__(None, None, None)
    simulated = loop.time() - started
    verified = _verified(setup.ledger, Head(str(setup.booth), epoch), setup.certificate)
    events = [event_json(one.event) for one in verified]
    truth = read_truth(sim.truth_path)
    inbox = parse_received(iter(json.dumps(event).encode() for event in events), "the ledger")
    closed = [e["inspection_closed"]["inspection"] for e in events if "inspection_closed" in e]
    lanes = {lane_id: run.lane for lane_id, run in sim.lanes.items()}
    by_id = {one["id"]: one for one in closed}
    return Day(judge(truth, inbox), len(closed), len(events), simulated, by_id, events, lanes, verified)


async def _keep(line: Line) -> None:
    async with asyncio.TaskGroup() as group:
        line.start(group)


async def _look(lane: Lane, role: str, eye: Eye, emit: Emit, clock: Clock) -> None:
    await emit(Reading(DeviceStatus(DeviceState.ONLINE, "looks"), clock.monotonic()))
    while True:
        await asyncio.sleep(1 / LOOKS_PER_S)
        for reading in eye(lane, role, clock.monotonic()):
            await emit(reading)


async def _scan(lane: Lane, scanner: Scanner, emit: Emit, clock: Clock) -> None:
    """In an imaging scanner's place: a scan of each truck that has driven through, with a number and no picture."""
    scanned = 0
    while True:
        await asyncio.sleep(1 / LOOKS_PER_S)
        while scanned < len(lane.passages):
            passage = lane.passages[scanned]
            number, delay_s = scanner(passage.truck)
            if passage.leaves(SCANNED_M) + delay_s > clock.monotonic():
                break
            scanned += 1
            taken = at_monotonic(clock, passage.leaves(SCANNED_M)).utc.isoformat()
            scan = ScanImage(f"x-ray-{scanned}", "other", number)
            await emit(Reading(scan, clock.monotonic(), device_time=taken))


def _settings(booth: dict[str, Any], folder: Path) -> Path:
    keys = folder / "keys"
    now = SystemClock().now().utc
    create_identity(keys, "booth", SpiffeId("uslrd", Role.BOOTH, "lane-1"), now)
    create_identity(keys, "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), now, ("localhost",))
    settings = {
        "identity": {"key": "keys/booth.key", "certificate": "keys/booth.crt"},
        "ledger": {"directory": "ledger"},
        "uplink": {"gateway": "localhost:7443", "gateway_certificate": "keys/gateway.crt"},
        "lanes": [
            {
                "id": lane_id,
                **{key: value for key, value in lane.items() if key != "devices"},
                "devices": [{**d, "link": {"url": f"/memory/{d['id']}"}} for d in lane["devices"]],
                "cameras": [
                    {
                        "id": f"{lane_id}-{role}",
                        "source": "http://localhost/",
                        "role": role,
                        **camera,
                    }
                    for role, camera in lane.get("cameras", {role: {} for role in IN_VIEW}).items()
                ],
            }
            for lane_id, lane in booth.items()
        ],
    }
    path = folder / "booth.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def _verified(ledger: Path, begin: Head, certificate: Path) -> list[Verified]:
    """Every event of the ledger, each envelope verified as a back-office would."""
    key = certificate_key(load_certificate(certificate))
    chain = Chain(begin, {key_id(key): key})
    reader = LedgerReader(ledger)
    try:
        events: list[Verified] = []
        while envelopes := reader.after(len(events), 256, 4 * 1024 * 1024):
            for envelope in envelopes:
                verified = verify_next(chain, envelope)
                chain = verified.chain
                events.append(verified)
        return events
    finally:
        reader.close()
