"""A scenario, built and running: devices on their links, cameras on theirs, the truth in its file."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edge_agent.domain.clock import Clock
from hardware_sim.cameras.photos import PhotoView, find_photos
from hardware_sim.cameras.scene import ContainerView, Noise, PlateView, View
from hardware_sim.cameras.serve import Camera
from hardware_sim.devices.barcode_scanner import BarcodeScanner
from hardware_sim.devices.rapiscan_vm250 import RapiscanVm250
from hardware_sim.links.pty import PtyLink
from hardware_sim.links.tcp import TcpLink
from hardware_sim.player import Departed, Device, Player, Said, play
from hardware_sim.world.lane import Lane
from hardware_sim.world.scenario import CameraSettings, PortalSettings, Scenario
from hardware_sim.world.scenario import PtyLink as PtySettings
from hardware_sim.world.truth import Record, TruthFile, truth_of


class Link(Protocol):
    """How a device's bytes go out."""

    @property
    def url(self) -> str: ...
    async def open(self) -> None: ...
    def write(self, data: bytes) -> None: ...
    async def close(self) -> None: ...


def build_devices(scenario: Scenario, lane: Lane, seed: int, started: float) -> list[Device]:
    """The scenario's devices on one lane; `started` is when they are switched on."""
    return [
        RapiscanVm250(name, settings, lane, seed, started)
        if isinstance(settings, PortalSettings)
        else BarcodeScanner(name, settings, lane)
        for name, settings in scenario.devices.items()
    ]


def build_player(scenario: Scenario, seed: int, started: float = 0.0) -> Player:
    """The scenario's world without links and cameras, to be stepped."""
    lane = scenario.build_lane(seed)
    holds = [d.hold_in_s for d in scenario.devices.values() if isinstance(d, PortalSettings)]
    return Player(lane, build_devices(scenario, lane, seed, started), max(holds, default=0.0))


class LaneSim:
    """A lane whose devices can be connected to between `open` and `close`."""

    def __init__(self, scenario: Scenario, seed: int, out: Path, clock: Clock, photos: Path | None = None) -> None:
        """Raises SettingsInvalid for a folder of photos that cannot be used."""
        self._clock = clock
        self._out = out
        self._scenario = scenario
        self._seed = seed
        lane = scenario.build_lane(seed)
        holds = [d.hold_in_s for d in scenario.devices.values() if isinstance(d, PortalSettings)]
        self._devices = build_devices(scenario, lane, seed, clock.monotonic())
        self._player = Player(lane, self._devices, max(holds, default=0.0))
        self._photo_views: dict[str, PhotoView] = {}
        noise = Noise(seed) if scenario.cameras else None
        self._cameras = [
            Camera(name, settings, self._view(name, settings, lane, photos), noise, clock.monotonic)
            for name, settings in scenario.cameras.items()
            if noise is not None
        ]
        self._links = {device.name: self._build_links(device) for device in self._devices}
        self._truth: TruthFile | None = None

    @property
    def truck_count(self) -> int:
        return len(self._player.lane.trucks)

    @property
    def truth_path(self) -> Path:
        return self._out / "truth.jsonl"

    def _view(self, name: str, settings: CameraSettings, lane: Lane, photos: Path | None) -> View:
        rendered: View = PlateView(lane) if settings.view == "plate" else ContainerView(lane)
        folder = Path(settings.photos) if settings.photos is not None else None
        if photos is not None and (photos / name).is_dir():
            folder = photos / name
        elif photos is not None and settings.view == "plate":
            folder = photos
        if folder is None:
            return rendered
        self._photo_views[name] = PhotoView(lane, find_photos(folder), rendered)
        return self._photo_views[name]

    def _build_links(self, device: Device) -> list[TcpLink | PtyLink]:
        return [
            PtyLink(self._out / link.path, device.connected)
            if isinstance(link, PtySettings)
            else TcpLink(link.host, link.port, device.connected)
            for link in self._scenario.devices[device.name].links
        ]

    async def open(self) -> None:
        """Bring up every device and camera. What was brought up is closed again if one fails."""
        try:
            self._truth = TruthFile(self.truth_path)
            for links in self._links.values():
                for link in links:
                    await link.open()
            for camera in self._cameras:
                await camera.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        for camera in self._cameras:
            await camera.close()
        for links in self._links.values():
            for link in links:
                await link.close()
        if self._truth is not None:
            self._truth.close()

    def places(self) -> dict[str, dict[str, object]]:
        """What is where: for each device and camera its kind, its first address and all of them."""
        places: dict[str, dict[str, object]] = {}
        for device in self._devices:
            urls = [link.url for link in self._links[device.name]]
            places[device.name] = {"kind": device.kind, "url": urls[0], "urls": urls}
        for camera in self._cameras:
            view = self._scenario.cameras[camera.name].view
            places[camera.name] = {"kind": camera.kind, "url": camera.url, "urls": [camera.url], "view": view}
        return places

    async def run(self, on_truck: Callable[[Record], None], released: asyncio.Event | None) -> None:
        """Play until the last truck has left; `on_truck` gets each truck's truth once it is on disk."""
        async with asyncio.TaskGroup() as tasks:
            watchers = [
                tasks.create_task(link.watch(), name=f"pty {name}")
                for name, links in self._links.items()
                for link in links
                if isinstance(link, PtyLink)
            ]
            watchers += [tasks.create_task(camera.watch(), name=f"camera {camera.name}") for camera in self._cameras]
            await play(self._player, self._clock, lambda what: self._happened(what, on_truck), released=released)
            for watcher in watchers:
                watcher.cancel()

    def _happened(self, what: Said | Departed, on_truck: Callable[[Record], None]) -> None:
        if isinstance(what, Said):
            for link in self._links[what.device]:
                link.write(what.data)
            return
        photos = {name: view.shown(what.passage.truck).name for name, view in self._photo_views.items()}
        views = {self._scenario.cameras[name].view for name in photos}
        now = self._clock.now()
        record = truth_of(
            what.passage, lambda at: now.shifted(at - now.monotonic).utc, what.said, photos, unknown=views
        )
        if self._truth is not None:
            self._truth.write(record)
        on_truck(record)
