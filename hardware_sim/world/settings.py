"""What a scenario says of one lane's world: how trucks drive, which come, and when."""

from dataclasses import replace
from random import Random
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from edge_agent.domain.counted import counted
from edge_agent.domain.identifiers import check_digit_ok, is_container_code, is_seal_number
from hardware_sim.settings import Metres, OneOrTwo, SimSettings
from hardware_sim.world.arrivals import ArrivalSettings
from hardware_sim.world.lane import Lane
from hardware_sim.world.passage import Layout
from hardware_sim.world.plates import REGIONS, USUAL, Plate
from hardware_sim.world.truck import (
    DEFAULT_GAMMA_CPS,
    DEFAULT_NUCLIDE,
    Cargo,
    CargoKind,
    Container,
    Declared,
    Reverse,
    Seal,
    Truck,
    draw_code,
    draw_container,
    draw_seal,
    draw_truck,
    with_containers,
    with_second,
)


def _code(code: str) -> str:
    if not is_container_code(code):
        raise ValueError("a container code is three letters, U, J or Z, and seven digits")
    if not check_digit_ok(code):
        raise ValueError(f"the check digit of {code} does not fit (ISO 6346)")
    return code


def _seal_number(number: str) -> str:
    if not is_seal_number(number):
        raise ValueError("a seal number has 4 to 32 letters, digits and hyphens, with at least one digit")
    return number


ContainerCode = Annotated[str, AfterValidator(_code)]
SealNumber = Annotated[str, AfterValidator(_seal_number)]
SizeType = Literal["22G1", "42G1", "45G1", "L5G1"]
Speed = Annotated[float, Field(ge=0.5, le=15)]
Share = Annotated[float, Field(ge=0, le=1)]
# Those of which a spectroscopic portal knows the spectrum (world/spectrum.py).
NuclideName = Literal[
    "K-40", "Ra-226", "Th-232", "Cs-137", "Co-60", "Ir-192", "Ba-133", "Am-241", "Tc-99m", "I-131", "F-18", "U-235"
]
# A day's traffic of a busy port of entry; each truck costs memory before the first one drives.
MAX_SCRIPTED = 5000


class DriveSettings(SimSettings):
    """How trucks drive. Metres along the lane, the origin at 0; the truck's front where nothing else is said."""

    speed_mps: Annotated[tuple[Speed, Speed], OneOrTwo()] = (2.2, 2.8)
    slow_from_m: Metres = 1.5
    slow_to_m: Metres = 5.0
    slow_mps: Annotated[float, Field(ge=0.3, le=10)] = 1.6
    stop_s: Annotated[float, Field(ge=0, le=600)] = 0.0
    clears_m: Annotated[float, Field(ge=1, le=100)] = 6.0

    approach_m: Annotated[float, Field(ge=5, le=100)] = 14.0

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


class SealSettings(SimSettings):
    """A bolt seal. `opened`: its bolt was cut, which an electronic seal says by itself."""

    number: SealNumber | None = None
    opened: bool = False


class ContainerSettings(SimSettings):
    """A container; what is not stated is drawn. `seal: null`: none."""

    code: ContainerCode | None = None
    size_type: SizeType = "22G1"
    seal: SealNumber | SealSettings | None = None


class DeclaredSettings(SimSettings):
    """What was announced to the port where it is not what comes."""

    plate: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,10}$")] | None = None
    container_codes: tuple[ContainerCode, ...] | None = None
    seals: tuple[SealNumber, ...] | None = None
    gross_kg: Annotated[int, Field(ge=5_000, le=80_000)] | None = None


class ReverseSettings(SimSettings):
    """The driver stops with the front at `at_m`, goes back by `back_m`, and on again."""

    at_m: Annotated[float, Field(ge=0.5, le=60)]
    back_m: Annotated[float, Field(ge=0.5, le=30)]


class TruckSettings(SimSettings):
    """What is stated of one truck; what is not stated is drawn from the seed. A plate, tag or seal of `null`: none.

    `container_code`, `size_type`, `seal`, `seal_opened` and `misprinted` are the first container's; `containers` states
    all.
    """

    at_s: Annotated[float, Field(ge=0, le=604_800)] | None = Field(
        default=None, description="when its front is at the origin, in seconds of traffic; later if another is there"
    )
    plate: PlateSettings | None = None
    trailer_plate: PlateSettings | None = None
    container_code: ContainerCode | None = None
    size_type: SizeType | None = None
    seal: SealNumber | None = None
    seal_opened: bool | None = None
    misprinted: bool = Field(default=False, description="the check digit on the first container is painted wrong")
    containers: Annotated[tuple[ContainerSettings, ...], Field(min_length=1, max_length=2)] | None = None
    tag: Annotated[str, Field(pattern=r"^[A-Z0-9]{4,32}$")] | None = Field(
        default=None, description="what the tag behind the windscreen says; null: it has none"
    )
    gross_kg: Annotated[int, Field(ge=5_000, le=80_000)] | None = None
    length_m: Annotated[float, Field(ge=6, le=40)] | None = None
    speed_mps: Speed | None = None
    night: bool | None = None
    rain: bool | None = None
    cargo: CargoSettings | None = None
    declared: DeclaredSettings | None = None
    stop_s: Annotated[float, Field(ge=0, le=3600)] | None = Field(
        default=None, description="how long it stands where trucks stop; unset: as `drive` says"
    )
    reverse: ReverseSettings | None = None
    turns_back_m: Annotated[float, Field(ge=0.5, le=60)] | None = Field(
        default=None, description="once its front was there it leaves the lane backwards"
    )

    @model_validator(mode="after")
    def _one_load(self) -> "TruckSettings":
        firsts = {"container_code", "size_type", "seal", "seal_opened", "misprinted"} & self.model_fields_set
        if self.containers is not None and firsts:
            raise ValueError(f"{', '.join(sorted(firsts))}: say it under `containers`, which states the whole load")
        if len(self.containers or ()) == 2 and any(c.size_type != "22G1" for c in self.containers or ()):
            raise ValueError("two containers on one chassis are both of 20 feet: 22G1")
        if self.reverse is not None and self.turns_back_m is not None:
            raise ValueError("reverse and turns_back_m: say one of them")
        return self

    def applied(self, truck: Truck, random: Random) -> Truck:
        """The truck with what is stated in place of what was drawn; `random` draws what containers leave open."""
        changed: dict[str, Any] = {
            n: getattr(self, n)
            for n in ("gross_kg", "speed_mps", "night", "rain", "stop_s", "turns_back_m")
            if getattr(self, n) is not None
        }
        for name in ("plate", "trailer_plate"):
            if name in self.model_fields_set:
                plate: PlateSettings | None = getattr(self, name)
                changed[name] = Plate(plate.text, plate.region) if plate else None
        if "tag" in self.model_fields_set:
            changed["tag"] = self.tag
        if self.cargo is not None:
            changed["cargo"] = self.cargo.cargo
        if self.declared is not None:
            changed["declared"] = Declared(**{n: getattr(self.declared, n) for n in DeclaredSettings.model_fields})
        if self.reverse is not None:
            changed["reverse"] = Reverse(self.reverse.at_m, self.reverse.back_m)
        truck = replace(with_containers(truck, self._containers(truck, random)), **changed)
        return truck if self.length_m is None else replace(truck, length_m=self.length_m)

    def _containers(self, truck: Truck, random: Random) -> tuple[Container, ...]:
        if self.containers is None:
            first, *others = truck.containers
            seal = first.seal
            if "seal" in self.model_fields_set:
                seal = Seal(self.seal) if self.seal else None
            if seal is not None and self.seal_opened is not None:
                seal = replace(seal, opened=self.seal_opened)
            size_type = self.size_type or first.size_type
            if size_type != "22G1":
                others = []  # nothing else fits beside it
            code = self.container_code or first.code
            if self.misprinted:
                code = f"{code[:-1]}{(int(code[-1]) + 1) % 10}"
            first = replace(first, code=code, size_type=size_type, seal=seal)
            return (first, *others)
        found = []
        for number, entry in enumerate(self.containers):
            drawn = truck.containers[number] if number < len(truck.containers) else draw_container(random)
            seal = drawn.seal
            if isinstance(entry.seal, SealSettings):
                number_of = entry.seal.number or (seal.number if seal else draw_seal(random).number)
                seal = Seal(number_of, entry.seal.opened)
            elif "seal" in entry.model_fields_set:
                seal = Seal(entry.seal) if entry.seal else None
            found.append(replace(drawn, code=entry.code or drawn.code, size_type=entry.size_type, seal=seal))
        return tuple(found)


class MixSettings(SimSettings):
    """Which share of the drawn trucks is out of the ordinary, each 0 to 1."""

    no_plate: Share = 0.0
    no_seal: Share = 0.0
    no_tag: Share = 0.0
    two_containers: Share = 0.0
    seal_opened: Share = 0.0
    swapped_container: Share = Field(default=0.0, description="another container was announced than the one that comes")
    norm: Share = 0.0
    source: Share = 0.0

    def applied(self, truck: Truck, random: Random) -> Truck:
        """The truck as chance has it; every share is drawn for, so that one does not change the others."""
        by_chance = {name: random.random() < getattr(self, name) for name in MixSettings.model_fields}
        if by_chance["two_containers"]:
            truck = with_second(truck, draw_container(random))
        if by_chance["no_plate"]:
            truck = replace(truck, plate=None)
        if by_chance["no_tag"]:
            truck = replace(truck, tag=None)
        if by_chance["swapped_container"]:
            codes = (draw_code(random), *(c.code for c in truck.containers[1:]))
            truck = replace(truck, declared=Declared(container_codes=codes))
        if by_chance["no_seal"] or by_chance["seal_opened"]:
            first = truck.containers[0]
            seal = None if by_chance["no_seal"] or first.seal is None else replace(first.seal, opened=True)
            truck = replace(truck, containers=(replace(first, seal=seal), *truck.containers[1:]))
        for kind in (CargoKind.SOURCE, CargoKind.NORM):
            if by_chance[kind.value]:
                truck = replace(truck, cargo=CargoSettings(kind=kind).cargo)
        return truck


class TrafficSettings(ArrivalSettings):
    """Trucks in order: those stated in `trucks`, then drawn ones until there are `count`; with `on_demand` also those
    that are sent by command, and the run goes on until it is stopped. `every_truck` is stated of all of them."""

    count: Annotated[int, Field(ge=0, le=MAX_SCRIPTED)] | None = None
    trucks: Annotated[tuple[TruckSettings, ...], Field(max_length=MAX_SCRIPTED)] = ()
    on_demand: bool = False
    every_truck: TruckSettings = TruckSettings()
    mix: MixSettings = MixSettings()
    regions: Annotated[list[str], Field(min_length=1)] = Field(default_factory=lambda: list(USUAL))

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
            raise ValueError(f"count is {self.count}, but the list has {counted(len(self.trucks), 'truck')}")
        return self

    def truck(self, seed: int, lane: str, index: int, speeds: tuple[float, float], stated: TruckSettings) -> Truck:
        """Truck number `index` of a lane: what is stated, what is stated of every truck, and the rest drawn."""
        truck = draw_truck(seed, lane, index, self.regions, speeds)
        random = Random(f"mix/{seed}/{lane}/{index}")
        truck = self.mix.applied(truck, random)
        return stated.applied(self.every_truck.applied(truck, random), random)

    def scripted(self, seed: int, lane: str, speeds: tuple[float, float]) -> list[Truck]:
        """The lane's trucks of a seed: those stated, then drawn ones."""
        count = len(self.trucks) if self.count is None else self.count
        stated = [*self.trucks, *[TruckSettings()] * (count - len(self.trucks))]
        return [self.truck(seed, lane, i, speeds, entry) for i, entry in enumerate(stated, 1)]


def build_truck(
    seed: int, lane: str, index: int, drive: DriveSettings, traffic: TrafficSettings, stated: TruckSettings
) -> Truck:
    """Truck number `index` of a lane: what is stated, and what is drawn for the rest."""
    return traffic.truck(seed, lane, index, drive.speed_mps, stated)


def build_lane(id: str, drive: DriveSettings, traffic: TrafficSettings, seed: int) -> Lane:
    """The lane with its traffic of a seed; still closed."""
    stated = [truck.at_s for truck in traffic.trucks]
    return Lane(
        traffic.scripted(seed, id, drive.speed_mps),
        drive.layout,
        lambda: traffic.arrivals(Random(f"arrivals/{seed}/{id}"), stated),
        id=id,
        on_demand=traffic.on_demand,
        least_gap=traffic.least_gap_s,
    )
