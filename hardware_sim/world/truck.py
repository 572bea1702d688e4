"""One truck: everything about it that a sensor could learn, drawn from a seed or stated in the scenario."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from random import Random

from edge_agent.domain.identifiers import container_check_digit
from hardware_sim.world.plates import REGIONS, Colour, Plate, draw_plate


class CargoKind(StrEnum):
    """What in the load radiates."""

    NONE = "none"
    NORM = "norm"  # naturally radioactive goods: tile, fertiliser, cat litter; spread through the load
    SOURCE = "source"  # one object


@dataclass(frozen=True, slots=True)
class Cargo:
    """What radiates in the load.

    `gamma_cps` and `neutron_cps` are the counts per second that it adds at its closest, summed over the panels and
    unshielded; `shielding` is the share that load and packing hold back, 0 to 1.
    """

    kind: CargoKind = CargoKind.NONE
    gamma_cps: float = 0.0
    neutron_cps: float = 0.0
    shielding: float = 0.0
    nuclide: str | None = None  # which one, as N42.42 writes it: "Cs-137"

    @property
    def gamma_out(self) -> float:
        return self.gamma_cps * (1 - self.shielding)

    @property
    def neutron_out(self) -> float:
        return self.neutron_cps * (1 - self.shielding)


# What a cargo gives off unless the scenario says it: NORM makes up for part of what the truck shields, a source of
# this size lies far above the alarm threshold (the recorded alarms of a VM-250 reach 6 to 17 sigma).
DEFAULT_GAMMA_CPS = {CargoKind.NONE: 0.0, CargoKind.NORM: 300.0, CargoKind.SOURCE: 1000.0}
DEFAULT_NUCLIDE = {CargoKind.NONE: None, CargoKind.NORM: "K-40", CargoKind.SOURCE: "Cs-137"}


@dataclass(frozen=True, slots=True)
class Truck:
    """A tractor with one container on a chassis. Metres, kilograms, metres per second."""

    index: int
    lane: str
    plate: Plate | None
    container_code: str
    size_type: str
    seal: str | None
    gross_kg: int
    length_m: float
    speed_mps: float
    night: bool
    cargo: Cargo
    paint: Colour
    container_paint: Colour
    seal_opened: bool = False  # an electronic seal's own word that its bolt was cut

    @property
    def id(self) -> str:
        return f"{self.lane}-{self.index:04d}"

    @property
    def container_from_m(self) -> float:
        """How far behind the truck's front the container begins."""
        return TRACTOR_M

    @property
    def container_m(self) -> float:
        return CONTAINER_M[self.size_type]


TRACTOR_M = 4.4
_TAIL_M = 1.2
# ISO 6346 size types and the length they stand for (ISO 668).
CONTAINER_M = {"22G1": 6.06, "42G1": 12.19, "45G1": 12.19, "L5G1": 13.72}
_EMPTY_KG = {"22G1": 14_500, "42G1": 17_500, "45G1": 17_800, "L5G1": 18_600}
_LOADED_KG = {"22G1": 34_000, "42G1": 36_200, "45G1": 36_200, "L5G1": 36_200}
_OWNERS = ("MSKU", "TCNU", "HLXU", "TGHU", "CMAU", "GESU", "SEGU", "BMGU", "DRYU", "HLBU", "MEDU", "NYKU", "TEMU")
_SEAL_MAKERS = ("HS", "ML", "UNL", "EMX")
_PAINTS: tuple[Colour, ...] = (
    (178, 32, 36),
    (28, 62, 130),
    (232, 232, 228),
    (36, 92, 60),
    (208, 132, 28),
    (60, 62, 68),
)
_CONTAINER_PAINTS: tuple[Colour, ...] = (
    (132, 46, 38), (30, 72, 128), (38, 104, 76), (92, 96, 102), (176, 96, 34), (24, 94, 122),
)  # fmt: skip


def container_code(owner: str, serial: int) -> str:
    """A complete ISO 6346 code: owner and category, six digits, check digit."""
    body = f"{owner}{serial:06d}"
    return f"{body}{container_check_digit(body)}"


def draw_truck(seed: int, lane: str, index: int, regions: list[str], speeds: tuple[float, float]) -> Truck:
    """Truck number `index` of a lane. Each truck has a generator of its own, so one stated in the scenario does not
    change those after it."""
    random = Random(f"truck/{seed}/{lane}/{index}")
    size_type = random.choices(list(CONTAINER_M), weights=(6, 2, 3, 1))[0]
    owner = random.choice(_OWNERS)
    code = container_code(owner, random.randrange(1_000_000))
    # ISO 6346, annex A.3: serial numbers whose remainder is 10 give check digit 0 and are best not used.
    while code.endswith("0"):
        code = container_code(owner, random.randrange(1_000_000))
    return Truck(
        index=index,
        lane=lane,
        plate=draw_plate(random, regions),
        container_code=code,
        size_type=size_type,
        seal=f"{random.choice(_SEAL_MAKERS)}{random.randrange(10_000_000):07d}",
        gross_kg=random.randrange(_EMPTY_KG[size_type], _LOADED_KG[size_type], 20),
        length_m=length_of(size_type),
        speed_mps=round(random.uniform(*speeds), 2),
        night=random.random() < 0.4,
        cargo=Cargo(),
        paint=random.choice(_PAINTS),
        container_paint=random.choice(_CONTAINER_PAINTS),
    )


def length_of(size_type: str) -> float:
    """Metres from the tractor's front to the chassis' end."""
    return round(TRACTOR_M + CONTAINER_M[size_type] + _TAIL_M, 2)


def with_stated(truck: Truck, stated: Mapping[str, object]) -> Truck:
    """The truck with what the scenario states in place of what was drawn. Keys are names of Truck's fields."""
    known = {field.name for field in fields(Truck)}
    if unknown := set(stated) - known:
        raise ValueError(f"a truck has no {', '.join(sorted(unknown))}")
    changed = replace(truck, **stated)  # type: ignore[arg-type]
    if "size_type" in stated and "length_m" not in stated:
        changed = replace(changed, length_m=length_of(changed.size_type))
    return changed


def regions_known() -> list[str]:
    """The codes of every region whose plates can be drawn."""
    return list(REGIONS)
