"""A scenario file: lanes, what stands in each, and what drives through it. Every mistake is reported with its line."""

import re
from importlib.resources import as_file
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from edge_agent.domain.errors import SettingsInvalid
from edge_agent.settings_file import parse_settings, read_settings
from hardware_sim.devices.catalogue import AnyDevice
from hardware_sim.fault_targets import targets_of
from hardware_sim.faults import MAX_FAULTS, FaultSettings
from hardware_sim.port_settings import PortSettings
from hardware_sim.scenario_mistakes import mistakes
from hardware_sim.settings import Host, Name, Port, SimSettings
from hardware_sim.shipped import shipped
from hardware_sim.world.lane import Lane
from hardware_sim.world.settings import DriveSettings, TrafficSettings, build_lane

# Where an example of a scenario stands.
_PAGE = "docs/simulator.md"


class CameraSettings(SimSettings):
    """A camera that shows rendered trucks, or photos from a folder: MJPEG over HTTP, or RTSP where Debian's GStreamer
    is installed."""

    view: Literal["plate", "container", "rear"]
    host: Host = "127.0.0.1"
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


def _as_text(lanes: Any) -> Any:
    """A lane called 1 is a number to YAML."""
    if isinstance(lanes, dict):
        return {str(k) if isinstance(k, int) and not isinstance(k, bool) else k: v for k, v in lanes.items()}
    return lanes


_LANE_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$"


def _lane_id(text: str) -> str:
    if not re.fullmatch(_LANE_ID, text):
        raise ValueError(
            "a lane's id has letters, digits, '.', '_' and '-', at most 32, and begins with a letter or digit"
        )
    return text


LaneId = Annotated[str, AfterValidator(_lane_id), WithJsonSchema({"type": "string", "pattern": _LANE_ID})]


class Scenario(SimSettings):
    """The lanes of a port, and what happens there."""

    # What its parts cannot say of themselves is judged by `load_scenario` and `parse_scenario`.

    title: Annotated[str, Field(min_length=1, max_length=200)]
    seed: Annotated[int, Field(ge=0, le=2**31)] = 1
    lanes: Annotated[dict[LaneId, LaneSettings], BeforeValidator(_as_text), Field(min_length=1, max_length=64)]
    faults: Annotated[tuple[FaultSettings, ...], Field(max_length=MAX_FAULTS)] = ()
    port: PortSettings | None = None

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


def parse_scenario(text: str, name: str) -> Scenario:
    """A scenario from YAML text; `name` stands in the messages. Raises SettingsInvalid with every mistake."""
    return parse_settings(text, Scenario, name, mistakes, _PAGE)


def load_scenario(name_or_path: str) -> Scenario:
    """A shipped scenario by its name, or a YAML file by its path.

    Raises SettingsInvalid with every mistake, or when there is no such scenario.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        return read_settings(path, Scenario, mistakes, _PAGE)
    known = shipped()
    if name_or_path not in known:
        raise SettingsInvalid(
            f"there is no shipped scenario {name_or_path!r}",
            f"use one of {', '.join(known)}, or the path of a .yaml file",
        )
    with as_file(known[name_or_path]) as file:
        return read_settings(file, Scenario, mistakes, _PAGE)
