"""What a scenario says of one lane's world: how trucks drive, which come, and when."""

from collections.abc import Iterator
from random import Random
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from edge_agent.domain.identifiers import check_digit_ok, is_container_code, is_seal_number
from hardware_sim.settings import Metres, Seconds, SimSettings, as_range
from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Layout
from hardware_sim.world.plates import REGIONS, Plate
from hardware_sim.world.truck import (
    DEFAULT_GAMMA_CPS,
    DEFAULT_NUCLIDE,
    Cargo,
    CargoKind,
    Truck,
    draw_truck,
    regions_known,
    with_stated,
)

# Those of which a spectroscopic portal knows the spectrum (world/spectrum.py).
NuclideName = Literal[
    "K-40", "Ra-226", "Th-232", "Cs-137", "Co-60", "Ir-192", "Ba-133", "Am-241", "Tc-99m", "I-131", "F-18", "U-235"
]
# A day's traffic of a busy port of entry; each truck costs memory before the first one drives.
MAX_SCRIPTED = 5000


class DriveSettings(SimSettings):
    """How trucks drive. Metres along the lane, the origin at 0; the truck's front where nothing else is said."""

    speed_mps: tuple[Annotated[float, Field(ge=0.5, le=15)], Annotated[float, Field(ge=0.5, le=15)]] = (2.2, 2.8)
    slow_from_m: Metres = 1.5
    slow_to_m: Metres = 5.0
    slow_mps: Annotated[float, Field(ge=0.3, le=10)] = 1.6
    stop_s: Annotated[float, Field(ge=0, le=600)] = 0.0
    clears_m: Annotated[float, Field(ge=1, le=100)] = 6.0

    approach_m: Annotated[float, Field(ge=5, le=100)] = 14.0

    _ranges = field_validator("speed_mps", mode="before")(as_range)

    @model_validator(mode="after")
    def _ordered(self) -> "DriveSettings":
        wrong = ["speed_mps: the first number is the smaller one"] if self.speed_mps[0] > self.speed_mps[1] else []
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
            clears_m=self.clears_m,
            approach_m=self.approach_m,
        )


class CargoSettings(SimSettings):
    """What in the load radiates: none, norm (spread through the load) or source (one object)."""

    kind: CargoKind
    gamma_cps: Annotated[float, Field(ge=0, le=1e6)] | None = None
    neutron_cps: Annotated[float, Field(ge=0, le=1e5)] = 0.0
    shielding: Annotated[float, Field(ge=0, le=1)] = 0.0
    nuclide: NuclideName | None = None

    @property
    def cargo(self) -> Cargo:
        gamma = DEFAULT_GAMMA_CPS[self.kind] if self.gamma_cps is None else self.gamma_cps
        nuclide = DEFAULT_NUCLIDE[self.kind] if self.nuclide is None else self.nuclide
        return Cargo(self.kind, gamma, self.neutron_cps, self.shielding, nuclide)


class PlateSettings(SimSettings):
    """A plate as it is painted, with its separators."""

    text: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9 -]{2,10}$")]
    region: str

    @field_validator("region")
    @classmethod
    def _known(cls, region: str) -> str:
        if region not in REGIONS:
            raise ValueError(f"no such region; there are {', '.join(REGIONS)}")
        return region


class TruckSettings(SimSettings):
    """What is stated of one truck; what is not stated is drawn from the seed. `null` for a plate or a seal: none."""

    plate: PlateSettings | None = None
    container_code: str | None = None
    size_type: Literal["22G1", "42G1", "45G1", "L5G1"] | None = None
    seal: str | None = None
    seal_opened: bool | None = None
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


class TrafficSettings(SimSettings):
    """Trucks in order: those stated in `trucks`, then drawn ones until there are `count`; with `on_demand` also those
    that are sent by command, and the run goes on until it is stopped."""

    count: Annotated[int, Field(ge=0, le=MAX_SCRIPTED)] | None = None
    trucks: Annotated[tuple[TruckSettings, ...], Field(max_length=MAX_SCRIPTED)] = ()
    on_demand: bool = False
    first_truck_s: Seconds = 5.5
    gap_s: tuple[Seconds, Seconds] = (6.0, 12.0)
    regions: Annotated[list[str], Field(min_length=1)] = Field(default_factory=regions_known)

    _ranges = field_validator("gap_s", mode="before")(as_range)

    @field_validator("regions")
    @classmethod
    def _known(cls, regions: list[str]) -> list[str]:
        if unknown := [r for r in regions if r not in REGIONS]:
            raise ValueError(f"no such region: {', '.join(unknown)}; there are {', '.join(REGIONS)}")
        return regions

    @model_validator(mode="after")
    def _some(self) -> "TrafficSettings":
        if not self.count and not self.trucks and not self.on_demand:
            raise ValueError("say how many trucks come (count), or list them (trucks), or have them sent (on_demand)")
        if self.count is not None and self.count < len(self.trucks):
            raise ValueError(f"count is {self.count}, but {len(self.trucks)} trucks are listed")
        if self.gap_s[0] > self.gap_s[1]:
            raise ValueError("gap_s: the first number is the smaller one")
        return self

    @property
    def least_gap_s(self) -> float:
        """No truck's front is at the origin sooner than this after the rear of the one before."""
        return self.gap_s[0]

    def scripted(self, seed: int, lane: str, speeds: tuple[float, float]) -> list[Truck]:
        """The lane's trucks of a seed: those stated, then drawn ones."""
        count = len(self.trucks) if self.count is None else self.count
        drawn = [draw_truck(seed, lane, i + 1, self.regions, speeds) for i in range(count)]
        stated = [entry.stated() for entry in self.trucks]
        return [with_stated(t, stated[i]) if i < len(stated) else t for i, t in enumerate(drawn)]

    def gaps(self, seed: int, lane: str) -> Iterator[float]:
        """The gaps from truck to truck, without end."""
        random = Random(f"gaps/{seed}/{lane}")
        while True:
            yield random.uniform(*self.gap_s)


def build_truck(
    seed: int, lane: str, index: int, drive: DriveSettings, traffic: TrafficSettings, stated: TruckSettings
) -> Truck:
    """Truck number `index` of a lane: what is stated, and what is drawn for the rest."""
    return with_stated(draw_truck(seed, lane, index, traffic.regions, drive.speed_mps), stated.stated())


def build_lane(id: str, drive: DriveSettings, traffic: TrafficSettings, seed: int) -> Lane:
    """The lane with its traffic of a seed; still closed."""
    return Lane(
        traffic.scripted(seed, id, drive.speed_mps),
        drive.layout,
        lambda: traffic.gaps(seed, id),
        traffic.first_truck_s,
        id=id,
        on_demand=traffic.on_demand,
        least_gap=traffic.least_gap_s,
    )
