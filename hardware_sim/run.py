"""A scenario, built and running: devices on their links, cameras on theirs, the truth in its file.

PortSim ──► lane ──► Player ──► devices ──► links ◄══► readers
   │         ├──► cameras ══► clients
   │         └──► services ◄══► peers
   └──► truth.jsonl, and whoever subscribed
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path

from edge_agent.domain.clock import Clock
from hardware_sim.cameras.frames import Frames
from hardware_sim.cameras.photos import PhotoView, find_photos
from hardware_sim.cameras.rtsp import RtspCamera
from hardware_sim.cameras.scene import VIEWS, Noise, View
from hardware_sim.cameras.serve import Camera
from hardware_sim.clock import WorldClock
from hardware_sim.device import Device, Service, Simulated, Site, WiredSettings
from hardware_sim.devices.catalogue import DEVICES, SERVICES
from hardware_sim.fault_run import FaultRun
from hardware_sim.faults import PORT
from hardware_sim.links.faults import inner_of
from hardware_sim.links.lines import HasLines
from hardware_sim.links.link import Connected, Link, Received, build_link
from hardware_sim.links.memory import MemoryLink
from hardware_sim.player import Departed, Player, Said, play
from hardware_sim.record import Recorder
from hardware_sim.scenario import CameraSettings, LaneSettings, Scenario
from hardware_sim.world.lane import Lane
from hardware_sim.world.settings import TruckSettings, build_truck
from hardware_sim.world.truth import Record, TruthFile, truth_of


@dataclass(slots=True)
class LaneRun:
    """One lane of a run. `links` are those of its devices, by name; services have none."""

    settings: LaneSettings
    player: Player
    devices: dict[str, Device]
    services: dict[str, Service]
    cameras: dict[str, Camera | RtspCamera] = field(default_factory=dict)
    photo_views: dict[str, PhotoView] = field(default_factory=dict)
    nudged: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def lane(self) -> Lane:
        return self.player.lane


Build = Callable[[Connected, Received], Link]


def build_lane_run(settings: LaneSettings, site: Site) -> LaneRun:
    """A lane with what stands in it, without links and cameras."""
    devices: dict[str, Device] = {}
    services: dict[str, Service] = {}
    everything: list[Simulated] = []
    for name, device in settings.devices.items():
        if device.kind in DEVICES:
            devices[name] = DEVICES[device.kind].build(name, device, site)
            everything.append(devices[name])
        else:
            services[name] = SERVICES[device.kind].build(name, device, site)
            everything.append(services[name])
    return LaneRun(settings, Player(site.lane, everything), devices, services)


def build_players(scenario: Scenario, seed: int, started: float = 0.0, folder: Path = Path()) -> dict[str, Player]:
    """The scenario's lanes without links, services' sockets and cameras, to be stepped; `started` is when the devices
    are switched on."""
    lanes = scenario.build_lanes(seed)
    return {
        id: build_lane_run(scenario.lanes[id], Site(lane, seed, started, folder)).player for id, lane in lanes.items()
    }


class PortSim:
    """Lanes whose devices can be connected to between `open` and `close`."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        out: Path,
        clock: Clock,
        photos: Path | None = None,
        *,
        speed: float = 1.0,
        in_memory: bool = False,
        record: Path | None = None,
    ) -> None:
        """`speed`: how much faster than `clock` the world runs. `in_memory`: devices that speak in bytes are reached in
        this process, by `memory_links`. `record`: a file for every byte that goes over a line. Raises
        SettingsInvalid for a folder of photos, or a file to record, that cannot be used."""
        self.clock = WorldClock(clock, speed)
        self.scenario = scenario
        self.seed = seed
        self.out = out
        self.lanes: dict[str, LaneRun] = {}
        self.links: dict[str, list[Link]] = {}
        self._in_memory = in_memory
        self._truth: TruthFile | None = None
        self._played = False
        self._subscribers: list[Callable[[Record], None]] = []
        self._opens_with: list[Callable[[], Awaitable[None]]] = []
        self._recorder = Recorder(record, self.clock, out) if record is not None else None
        self._runs_faults(scenario)
        noise = cache(lambda: Noise(seed))  # takes a moment: only where there are cameras
        for id, lane in scenario.build_lanes(seed).items():
            run = build_lane_run(scenario.lanes[id], Site(lane, seed, self.clock.monotonic(), out, self._utc))
            self.lanes[id] = run
            run.player.faults = self.faults.faults
            self.faults.add_lane(id, run, run.settings.cameras)
            for name, device in run.devices.items():
                self.links[name] = self._build_links(run, device)
            for name, settings in run.settings.cameras.items():
                view = self._view(name, settings, run, photos)
                trouble = self.faults.cameras[name]
                frames = Frames(view, noise(), settings.quality, trouble, f"{seed}/{name}")
                served = RtspCamera if settings.protocol == "rtsp" else Camera
                run.cameras[name] = served(name, settings, frames, self.clock.monotonic)

    def _runs_faults(self, scenario: Scenario) -> None:
        self.faults = FaultRun(self.seed, scenario.fault_targets, self.clock, self.out / "faults.jsonl", scenario.port)
        self.faults.faults.plan(scenario.faults)

    def _utc(self, at: float) -> datetime:
        """Wall time at a moment of the world's."""
        now = self.clock.now()
        return now.shifted(at - now.monotonic).utc

    @property
    def truck_count(self) -> int:
        """Trucks that are known: scripted, and sent so far."""
        return sum(run.lane.truck_count for run in self.lanes.values())

    @property
    def truth_path(self) -> Path:
        return self.out / "truth.jsonl"

    @property
    def memory_links(self) -> dict[str, MemoryLink]:
        """By device, when the devices are reached in this process."""
        ends = ((name, inner_of(link)) for name, links in self.links.items() for link in links)
        return {name: link for name, link in ends if isinstance(link, MemoryLink)}

    def _view(self, name: str, settings: CameraSettings, run: LaneRun, photos: Path | None) -> View:
        rendered = VIEWS[settings.view](run.lane, self.seed)
        folder = Path(settings.photos) if settings.photos is not None else None
        if photos is not None and (photos / name).is_dir():
            folder = photos / name
        elif photos is not None and settings.view == "plate":
            folder = photos
        if folder is None:
            return rendered
        run.photo_views[name] = PhotoView(run.lane, find_photos(folder), rendered)
        return run.photo_views[name]

    def _build_links(self, run: LaneRun, device: Device) -> list[Link]:
        def received(data: bytes) -> bytes:
            answer = device.received(data, self.clock.monotonic())
            run.nudged.set()  # it may want to be woken sooner now
            return answer

        if self._in_memory:
            return [
                self._disturbed(
                    device, 0, lambda hello, heard: MemoryLink(device.name, self.clock, hello, heard), received
                )
            ]
        settings = run.settings.devices[device.name]
        if not isinstance(settings, WiredSettings):  # a row of DEVICES has no other
            raise TypeError(f"{device.name} has no links")
        lines = device.control_lines if isinstance(device, HasLines) else None
        return [
            self._disturbed(
                device,
                number,
                lambda hello, heard, link=link: build_link(link, self.out, hello, heard, lines),  # type: ignore[misc]
                received,
            )
            for number, link in enumerate(settings.links)
        ]

    def _disturbed(self, device: Device, number: int, build: Build, received: Received) -> Link:
        """The link that `build` makes; faults reach it, and what then goes over the line is recorded."""
        recorder = self._recorder
        if recorder is None:
            return self.faults.link(device.name, build, device.connected, received)
        return self.faults.link(
            device.name,
            lambda hello, heard: recorder.link(device.name, number, build, hello, heard),
            device.connected,
            received,
        )

    def _begin_record(self) -> None:
        devices = {
            name: {"kind": device.kind, "lane": id, "links": [
                link.model_dump(mode="json") for link in getattr(run.settings.devices[name], "links", ())
            ]}
            for id, run in self.lanes.items()
            for name, device in (run.devices | run.services).items()
        }  # fmt: skip
        if self._recorder is not None:
            self._recorder.begin({"title": self.scenario.title, "seed": self.seed, "devices": devices})

    def opens_with(self, serve: Callable[[], Awaitable[None]]) -> None:
        """Let `open` bring up `serve` too, before it replaces what an earlier run left."""
        self._opens_with.append(serve)

    async def open(self) -> None:
        """Bring up every device and camera. What was brought up is closed again if one fails, and no file is left."""
        try:
            self._truth = TruthFile(self.truth_path)
            await self.faults.open()
            for links in self.links.values():
                for link in links:
                    await link.open()
            for run in self.lanes.values():
                for service in run.services.values():
                    await service.open()
                for camera in run.cameras.values():
                    await camera.open()
            for serve in self._opens_with:
                await serve()
            self._begin_record()
            self.faults.open_file()
            self._truth.begin()  # last: it empties an earlier run's
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End what goes on. A run that was never played leaves no files."""
        for run in self.lanes.values():
            for camera in run.cameras.values():
                await camera.close()
            for service in run.services.values():
                await service.close()
        for links in self.links.values():
            for link in links:
                await link.close()
        if not self._played:
            self._discard()
        await self.faults.close()
        if self._recorder is not None:
            self._recorder.close()
        if self._truth is not None:
            self._truth.close()

    def _discard(self) -> None:
        self.faults.discard()
        if self._recorder is not None:
            self._recorder.discard()
        if self._truth is not None:
            self._truth.discard()

    def places(self) -> dict[str, dict[str, object]]:
        """What is where: for each device and camera its kind, its first address, all of them, and its lane."""
        places: dict[str, dict[str, object]] = {}
        for id, run in self.lanes.items():
            for device in run.player.devices:
                service = run.services.get(device.name)
                urls = [service.url] if service else [link.url for link in self.links[device.name]]
                places[device.name] = {"kind": device.kind, "url": urls[0], "urls": urls, "lane": id}
            for name, camera in run.cameras.items():
                view = run.settings.cameras[name].view
                places[name] = {"kind": camera.kind, "url": camera.url, "urls": [camera.url], "view": view, "lane": id}
        if (proxy := self.faults.proxy) is not None:
            places[PORT] = {"kind": "port_proxy", "url": proxy.address, "urls": [proxy.address], "lane": ""}
        return places

    def begin(self) -> None:
        """Let traffic begin in every lane."""
        for run in self.lanes.values():
            if not run.lane.is_open:
                run.lane.open(self.clock.monotonic())
                run.nudged.set()

    def traffic(self, lane: str | None, *, paused: bool) -> None:
        """Let no further truck into a lane (all of them without `lane`), or let trucks come: traffic begins, or goes on
        after a pause. Raises KeyError for a lane that there is not."""
        for run in self.lanes.values() if lane is None else (self.lanes[lane],):
            if paused:
                run.lane.pause()
            elif run.lane.is_open:
                run.lane.resume(self.clock.monotonic())
            else:
                run.lane.paused = False
                run.lane.open(self.clock.monotonic())
            run.nudged.set()

    def send(self, lane: str, stated: TruckSettings | None = None) -> str:
        """Let one more truck come, of which `stated` is true and the rest is drawn; the truck's id, as in the truth.

        Raises KeyError for a lane that there is not; ValueError for one whose traffic is over, or LaneFull.
        """
        run = self.lanes[lane]
        if run.player.finished:
            raise ValueError(f"lane {lane} is over: say `on_demand: true` under its traffic")
        settings = run.settings
        truck = build_truck(
            self.seed, lane, run.lane.truck_count + 1, settings.drive, settings.traffic, stated or TruckSettings()
        )
        run.lane.send(truck, self.clock.monotonic())
        run.nudged.set()
        return truck.id

    def subscribe(self, on_truth: Callable[[Record], None]) -> Callable[[], None]:
        """Have each truck's truth once it is on disk; what is returned ends that."""
        self._subscribers.append(on_truth)
        return lambda: self._subscribers.remove(on_truth)

    async def run(self, released: asyncio.Event | None = None) -> None:
        """Play until the last truck has left every lane. Traffic begins at once, or when `released` is set."""
        self._played = True
        async with asyncio.TaskGroup() as tasks:
            watchers = [
                tasks.create_task(self._release(released), name="release"),
                tasks.create_task(self.faults.run(), name="faults"),
            ]
            if self._recorder is not None:
                watchers.append(tasks.create_task(self._recorder.failed(), name="record"))
            for name, links in self.links.items():
                watchers += [tasks.create_task(link.watch(), name=f"link of {name}") for link in links]
            for run in self.lanes.values():
                watchers += [tasks.create_task(s.run(), name=f"service {n}") for n, s in run.services.items()]
                watchers += [tasks.create_task(c.watch(), name=f"camera {n}") for n, c in run.cameras.items()]
            async with asyncio.TaskGroup() as lanes:
                for id, run in self.lanes.items():
                    lanes.create_task(self._play(run), name=f"lane {id}")
            for watcher in watchers:
                watcher.cancel()

    async def _release(self, released: asyncio.Event | None) -> None:
        if released is not None:
            await released.wait()
        self.begin()

    async def _play(self, run: LaneRun) -> None:
        async def wait(seconds: float | None) -> bool:
            return await self.clock.wait(seconds, run.nudged)

        await play(run.player, self.clock, lambda what: self._happened(run, what), wait)

    def _happened(self, run: LaneRun, what: Said | Departed) -> None:
        if isinstance(what, Said):
            for link in self.links.get(what.device, ()):
                link.write(what.data)
            if what.device in run.services and self._recorder is not None:
                self._recorder.note(what.device, -1, "payload", what.data)
            return
        record = self._truth_of(run, what)
        if self._truth is not None:
            self._truth.write(record)
        for tell in tuple(self._subscribers):
            tell(record)

    def _truth_of(self, run: LaneRun, what: Departed) -> Record:
        photos: Mapping[str, str] = {n: view.shown(what.passage.truck).name for n, view in run.photo_views.items()}
        views = {run.settings.cameras[name].view for name in photos}
        now = self.clock.now()
        record = truth_of(
            what.passage, lambda at: now.shifted(at - now.monotonic).utc, what.said, photos, unknown=views
        )
        record["observed_by"] = {name: device.kind for name, device in run.settings.devices.items()} | {
            name: f"{camera.view} camera" for name, camera in run.settings.cameras.items()
        }
        return record
