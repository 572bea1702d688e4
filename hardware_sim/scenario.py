"""A scenario file: lanes, what stands in each, and what drives through it. Every mistake is reported with its line."""

from importlib.resources import as_file
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from edge_agent.domain.errors import SettingsInvalid
from edge_agent.settings_file import read_settings
from hardware_sim.devices.catalogue import AnyDevice
from hardware_sim.fault_targets import targets_of
from hardware_sim.faults import MAX_FAULTS, PORT, FaultSettings, wrong_targets
from hardware_sim.links.settings import PtyLink
from hardware_sim.port_settings import PortSettings
from hardware_sim.settings import Name, Port, SimSettings
from hardware_sim.shipped import shipped
from hardware_sim.world.lane import Lane
from hardware_sim.world.settings import DriveSettings, TrafficSettings, build_lane


class CameraSettings(SimSettings):
    """A camera that shows rendered trucks, or photos from a folder: MJPEG over HTTP, or RTSP where Debian's GStreamer
    is installed."""

    view: Literal["plate", "container", "rear"]
    host: str = "127.0.0.1"
    port: Port = 0
    fps: Annotated[float, Field(ge=0.2, le=30)] = 6.0
    quality: Annotated[int, Field(ge=30, le=95)] = 80
    max_clients: Annotated[int, Field(ge=1, le=64)] = 8
    protocol: Literal["mjpeg", "rtsp"] = "mjpeg"
    codec: Literal["h264", "mjpeg"] = Field(default="h264", description="of an RTSP stream")
    photos: str | None = None


class LaneSettings(SimSettings):
    """One lane, what stands in it, and what drives through it."""

    drive: DriveSettings = DriveSettings()
    devices: dict[Name, AnyDevice] = Field(default_factory=dict, max_length=64)
    cameras: dict[Name, CameraSettings] = Field(default_factory=dict, max_length=16)
    traffic: TrafficSettings

    @model_validator(mode="after")
    def _fits(self) -> "LaneSettings":
        wrong: list[str] = []
        if not self.devices and not self.cameras:
            wrong.append("there is no device and no camera: name at least one")
        for name, device in self.devices.items():
            if self.traffic.least_gap_s < device.holds_s + 1.0 and device.holds_s:
                wrong.append(
                    f"{name} holds an occupancy for {device.holds_s:.1f} s, and trucks may follow after"
                    f" {self.traffic.least_gap_s:.1f} s: two would be one vehicle to it; make gap_s longer or hold_in"
                    " smaller"
                )
            if not -self.drive.approach_m < device.at_m < self.drive.clears_m:
                wrong.append(
                    f"{name} stands at {device.at_m:g} m, and trucks are in the lane from {-self.drive.approach_m:g} to"
                    f" {self.drive.clears_m:g} m: move it, or change approach_m or clears_m of `drive`"
                )
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


def _as_text(lanes: Any) -> Any:
    """A lane called 1 is a number to YAML."""
    if isinstance(lanes, dict):
        return {str(k) if isinstance(k, int) and not isinstance(k, bool) else k: v for k, v in lanes.items()}
    return lanes


LaneId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]


class Scenario(SimSettings):
    """The lanes of a port, and what happens there."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    seed: Annotated[int, Field(ge=0, le=2**31)] = 1
    lanes: Annotated[dict[LaneId, LaneSettings], BeforeValidator(_as_text), Field(min_length=1, max_length=64)]
    faults: Annotated[tuple[FaultSettings, ...], Field(max_length=MAX_FAULTS)] = ()
    port: PortSettings | None = None

    @model_validator(mode="after")
    def _one_name_each(self) -> "Scenario":
        wrong: list[str] = []
        names = [name for lane in self.lanes.values() for name in (*lane.devices, *lane.cameras)]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            wrong.append(f"two devices or cameras are called {', '.join(twice)}: rename one, in the whole file")
        links = [
            link for lane in self.lanes.values() for d in lane.devices.values() for link in getattr(d, "links", [])
        ]
        paths = [link.path for link in links if isinstance(link, PtyLink)]
        if twice := sorted({p for p in paths if paths.count(p) > 1}):
            wrong.append(f"two pseudo-terminals have the path {', '.join(twice)}: rename one")
        wrong += wrong_targets(self.faults, self.fault_targets)
        if self.port is None and any(f.target == PORT for f in self.faults):
            wrong.append("a fault's target is port: say `port: {upstream: host:port}` where the gateway is")
        if any(f.kind == "forget" for f in self.faults) and self.port and self.port.forgets_to is None:
            wrong.append("`forget` needs a second gateway: say where under `port: {forgets_to: host:port}`")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def fault_targets(self) -> dict[str, frozenset[str]]:
        """What can happen to what."""
        devices = {name: d for lane in self.lanes.values() for name, d in lane.devices.items()}
        cameras = {name: c for lane in self.lanes.values() for name, c in lane.cameras.items()}
        return targets_of(devices, cameras, port=self.port is not None)

    def build_lanes(self, seed: int) -> dict[str, Lane]:
        """Each lane with its traffic of a seed, still closed."""
        return {id: build_lane(id, lane.drive, lane.traffic, seed) for id, lane in self.lanes.items()}


def scenario_schema() -> dict[str, Any]:
    """The JSON schema of a scenario file, for editors; what only pydantic checks is not in it."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Scenario.model_json_schema()}


def load_scenario(name_or_path: str) -> Scenario:
    """A shipped scenario by its name, or a YAML file by its path.

    Raises SettingsInvalid with every mistake, or when there is no such scenario.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        return read_settings(path, Scenario)
    known = shipped()
    if name_or_path not in known:
        raise SettingsInvalid(
            f"there is no shipped scenario {name_or_path!r}",
            f"use one of {', '.join(known)}, or the path of a .yaml file",
        )
    with as_file(known[name_or_path]) as file:
        return read_settings(file, Scenario)
