"""A scenario file: the lane, its devices and cameras, and the traffic. Every mistake is reported with its line."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edge_agent.domain.errors import SettingsInvalid
from edge_agent.domain.identifiers import check_digit_ok, is_container_code, is_seal_number
from edge_agent.settings_file import read_settings
from hardware_sim.world.lane import Lane, Layout
from hardware_sim.world.plates import REGIONS, Plate
from hardware_sim.world.truck import (
    DEFAULT_GAMMA_CPS,
    Cargo,
    CargoKind,
    Truck,
    draw_truck,
    regions_known,
    with_stated,
)

# Names become file names, keys of the ready line and parts of URLs.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Metres = Annotated[float, Field(ge=-50, le=200)]
# A day's traffic of a busy port of entry; each truck costs memory before the first one drives.
MAX_TRUCKS = 5000


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _range(value: Any) -> Any:
    """A single number stands for a range of one."""
    return (value, value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class TcpLink(_Settings):
    """Bytes over a TCP server; port 0 lets the system choose one."""

    kind: Literal["tcp"]
    host: str = "127.0.0.1"
    port: Port = 0


class PtyLink(_Settings):
    """Bytes over a pseudo-terminal, reached by a symbolic link; a relative path lies in the output folder."""

    kind: Literal["pty"]
    path: Annotated[str, Field(min_length=1, max_length=200)]


Link = Annotated[TcpLink | PtyLink, Field(discriminator="kind")]


class PortalSettings(_Settings):
    """A Rapiscan VM-250. Backgrounds are counts per second for each of the four panels."""

    kind: Literal["rapiscan_vm250"]
    links: Annotated[list[Link], Field(min_length=1, max_length=4)]
    gamma_background: Annotated[list[Annotated[float, Field(ge=0, le=50_000)]], Field(min_length=4, max_length=4)] = [
        380.0, 376.0, 408.0, 366.0,
    ]  # fmt: skip
    neutron_background: Annotated[list[Annotated[float, Field(ge=0, le=1000)]], Field(min_length=4, max_length=4)] = [
        3.9, 0.0, 2.6, 0.0,
    ]  # fmt: skip
    n_sigma: Annotated[float, Field(ge=1, le=50)] = 5.0
    hold_in: Annotated[int, Field(ge=1, le=99)] = 10
    setup_on_connect: bool = True
    first_occupancy: Annotated[int, Field(ge=1, le=900_000)] = 1

    @property
    def hold_in_s(self) -> float:
        """How long the portal still holds itself occupied after the vehicle has left; counted in 200 ms intervals."""
        return self.hold_in * 0.2


class ScannerSettings(_Settings):
    """A serial barcode scanner that an officer points at the seal's Code 128 label."""

    kind: Literal["barcode_scanner"]
    links: Annotated[list[Link], Field(min_length=1, max_length=4)]
    aim: bool = True
    prefix: Annotated[str, Field(max_length=16)] = ""
    suffix: Literal["crlf", "cr", "lf", "none"] = "crlf"

    @field_validator("prefix")
    @classmethod
    def _ascii(cls, prefix: str) -> str:
        if not prefix.isascii():
            raise ValueError("a prefix is sent as ASCII")
        return prefix


DeviceSettings = Annotated[PortalSettings | ScannerSettings, Field(discriminator="kind")]


class CameraSettings(_Settings):
    """An MJPEG camera over HTTP that shows rendered trucks, or photos from a folder."""

    view: Literal["plate", "container"]
    host: str = "127.0.0.1"
    port: Port = 0
    fps: Annotated[float, Field(ge=0.2, le=30)] = 6.0
    quality: Annotated[int, Field(ge=30, le=95)] = 80
    max_clients: Annotated[int, Field(ge=1, le=64)] = 8
    photos: str | None = None


class LaneSettings(_Settings):
    """How trucks drive, and where devices stand. Metres along the lane, the portal at 0."""

    speed_mps: tuple[Annotated[float, Field(ge=0.5, le=15)], Annotated[float, Field(ge=0.5, le=15)]] = (2.2, 2.8)
    gap_s: tuple[Seconds, Seconds] = (6.0, 12.0)
    first_truck_s: Seconds = 5.5
    slow_from_m: Metres = 1.5
    slow_to_m: Metres = 5.0
    slow_mps: Annotated[float, Field(ge=0.3, le=10)] = 1.6
    stop_s: Annotated[float, Field(ge=0, le=600)] = 0.0
    seal_m: Metres = -3.0
    clears_m: Annotated[float, Field(ge=1, le=100)] = 6.0

    _ranges = field_validator("speed_mps", "gap_s", mode="before")(_range)

    @model_validator(mode="after")
    def _ordered(self) -> "LaneSettings":
        wrong = [f"{name}: the first number is the smaller one" for name in ("speed_mps", "gap_s")
                 if getattr(self, name)[0] > getattr(self, name)[1]]  # fmt: skip
        if self.slow_from_m >= self.slow_to_m:
            wrong.append("slow_from_m lies before slow_to_m")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def layout(self) -> Layout:
        return Layout(
            slow_from_m=self.slow_from_m,
            slow_to_m=self.slow_to_m,
            slow_mps=self.slow_mps,
            stop_s=self.stop_s,
            seal_m=self.seal_m,
            clears_m=self.clears_m,
        )


class CargoSettings(_Settings):
    """What in the load radiates: none, norm (spread through the load) or source (one object)."""

    kind: CargoKind
    gamma_cps: Annotated[float, Field(ge=0, le=1e6)] | None = None
    neutron_cps: Annotated[float, Field(ge=0, le=1e5)] = 0.0
    shielding: Annotated[float, Field(ge=0, le=1)] = 0.0

    @property
    def cargo(self) -> Cargo:
        gamma = DEFAULT_GAMMA_CPS[self.kind] if self.gamma_cps is None else self.gamma_cps
        return Cargo(self.kind, gamma, self.neutron_cps, self.shielding)


class PlateSettings(_Settings):
    """A plate as it is painted, with its separators."""

    text: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9 -]{2,10}$")]
    region: str

    @field_validator("region")
    @classmethod
    def _known(cls, region: str) -> str:
        if region not in REGIONS:
            raise ValueError(f"no such region; there are {', '.join(REGIONS)}")
        return region


class TruckSettings(_Settings):
    """What is stated of one truck; what is not stated is drawn from the seed. `null` for a plate or a seal: none."""

    plate: PlateSettings | None = None
    container_code: str | None = None
    size_type: Literal["22G1", "42G1", "45G1", "L5G1"] | None = None
    seal: str | None = None
    gross_kg: Annotated[int, Field(ge=5_000, le=80_000)] | None = None
    length_m: Annotated[float, Field(ge=6, le=40)] | None = None
    speed_mps: Annotated[float, Field(ge=0.5, le=15)] | None = None
    night: bool | None = None
    cargo: CargoSettings | None = None

    @field_validator("container_code")
    @classmethod
    def _code(cls, code: str | None) -> str | None:
        if code is not None and not is_container_code(code):
            raise ValueError("a container code is three letters, U, J or Z, and seven digits")
        if code is not None and not check_digit_ok(code):
            raise ValueError(f"the check digit of {code} does not fit (ISO 6346)")
        return code

    @field_validator("seal")
    @classmethod
    def _seal(cls, seal: str | None) -> str | None:
        if seal is not None and not is_seal_number(seal):
            raise ValueError("a seal number has 4 to 32 letters, digits and hyphens, with at least one digit")
        return seal

    def stated(self) -> dict[str, object]:
        """Fields of Truck that this entry states."""
        values: dict[str, object] = {
            n: getattr(self, n) for n in self.model_fields_set if n not in ("plate", "cargo", "seal")
        }
        values = {name: value for name, value in values.items() if value is not None}
        if "plate" in self.model_fields_set:
            values["plate"] = Plate(self.plate.text, self.plate.region) if self.plate else None
        if "seal" in self.model_fields_set:
            values["seal"] = self.seal
        if self.cargo is not None:
            values["cargo"] = self.cargo.cargo
        if self.size_type is not None and self.length_m is None:
            values.pop("length_m", None)
        return values


class TrafficSettings(_Settings):
    """Trucks in order: those stated in `trucks`, then drawn ones until there are `count`."""

    count: Annotated[int, Field(ge=1, le=MAX_TRUCKS)] | None = None
    trucks: Annotated[list[TruckSettings], Field(max_length=MAX_TRUCKS)] = []
    regions: Annotated[list[str], Field(min_length=1)] = Field(default_factory=regions_known)

    @field_validator("regions")
    @classmethod
    def _known(cls, regions: list[str]) -> list[str]:
        if unknown := [r for r in regions if r not in REGIONS]:
            raise ValueError(f"no such region: {', '.join(unknown)}; there are {', '.join(REGIONS)}")
        return regions

    @model_validator(mode="after")
    def _some(self) -> "TrafficSettings":
        if self.count is None and not self.trucks:
            raise ValueError("say how many trucks come (count), or list them (trucks)")
        if self.count is not None and self.count < len(self.trucks):
            raise ValueError(f"count is {self.count}, but {len(self.trucks)} trucks are listed")
        return self


class Scenario(_Settings):
    """One lane, what stands in it, and what drives through it."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    seed: Annotated[int, Field(ge=0, le=2**31)] = 1
    lane: LaneSettings = LaneSettings()
    devices: Annotated[dict[Name, DeviceSettings], Field(max_length=32)] = {}
    cameras: Annotated[dict[Name, CameraSettings], Field(max_length=16)] = {}
    traffic: TrafficSettings

    @model_validator(mode="after")
    def _fits(self) -> "Scenario":
        wrong: list[str] = []
        if not self.devices and not self.cameras:
            wrong.append("there is no device and no camera: name at least one")
        if both := sorted(set(self.devices) & set(self.cameras)):
            wrong.append(f"a device and a camera are both called {', '.join(both)}: rename one")
        paths = [link.path for d in self.devices.values() for link in d.links if isinstance(link, PtyLink)]
        if twice := sorted({p for p in paths if paths.count(p) > 1}):
            wrong.append(f"two pseudo-terminals have the path {', '.join(twice)}: rename one")
        for name, device in self.devices.items():
            if isinstance(device, PortalSettings) and self.lane.gap_s[0] < device.hold_in_s + 1.0:
                wrong.append(
                    f"{name} holds an occupancy for {device.hold_in_s:.1f} s, and trucks may follow after"
                    f" {self.lane.gap_s[0]:.1f} s: two would be one vehicle to it; make gap_s longer or hold_in smaller"
                )
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def trucks(self, seed: int) -> list[Truck]:
        """The trucks of a seed: those stated, then drawn ones."""
        traffic, speeds = self.traffic, self.lane.speed_mps
        drawn = [draw_truck(seed, i + 1, traffic.regions, speeds) for i in range(traffic.count or len(traffic.trucks))]
        stated = [entry.stated() for entry in traffic.trucks]
        return [with_stated(t, stated[i]) if i < len(stated) else t for i, t in enumerate(drawn)]

    def build_lane(self, seed: int) -> Lane:
        return Lane(self.trucks(seed), self.lane.layout, self.lane.gap_s, self.lane.first_truck_s, seed)


def shipped_scenarios() -> dict[str, str]:
    """Name and title of the scenarios that come with the simulator."""
    folder = files("hardware_sim") / "scenarios"
    names = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return {name: load_scenario(name).title for name in names}


def load_scenario(name_or_path: str) -> Scenario:
    """A shipped scenario by its name, or a YAML file by its path.

    Raises SettingsInvalid with every mistake, or when there is no such scenario.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        return read_settings(path, Scenario)
    folder = files("hardware_sim") / "scenarios"
    with as_file(folder / f"{name_or_path}.yaml") as shipped:
        if not shipped.is_file():
            names = sorted(e.name.removesuffix(".yaml") for e in folder.iterdir() if e.name.endswith(".yaml"))
            raise SettingsInvalid(
                f"there is no shipped scenario {name_or_path!r}",
                f"use one of {', '.join(names)}, or the path of a .yaml file",
            )
        return read_settings(shipped, Scenario)
