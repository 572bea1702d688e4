"""One truck: everything about it that a sensor could learn, drawn from a seed or stated in the scenario."""

from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from edge_agent.domain.identifiers import container_check_digit
from hardware_sim.world.plates import Colour, Plate, draw_plate, draw_trailer_plate


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
class Seal:
    """A bolt seal on a container's doors. `opened`: its bolt was cut, which an electronic seal says by itself."""

    number: str
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """A container: ISO 6346 code and size type, the seal on its doors, which are at its rear."""

    code: str
    size_type: str
    seal: Seal | None
    paint: Colour

    @property
    def length_m(self) -> float:
        return CONTAINER_M[self.size_type]


@dataclass(frozen=True, slots=True)
class Declared:
    """What was announced of a truck to the port, where it is not what comes; None: as it comes."""

    plate: str | None = None
    container_codes: tuple[str, ...] | None = None
    seals: tuple[str, ...] | None = None
    gross_kg: int | None = None


@dataclass(frozen=True, slots=True)
class Reverse:
    """The driver stops with the front at `at_m`, goes back by `back_m`, and on again."""

    at_m: float
    back_m: float


@dataclass(frozen=True, slots=True)
class Truck:
    """A tractor with one or two containers on a chassis. Metres, kilograms, metres per second.

    `plate` is the tractor's, seen from before; `trailer_plate` the chassis', seen from behind; `tag` what the tag
    behind the windscreen says. `stop_s` is how long it stands where trucks stop, None: as the lane says. With
    `turns_back_m` it leaves the lane backwards, after its front was there.
    """

    index: int
    lane: str
    plate: Plate | None
    containers: tuple[Container, ...]
    gross_kg: int
    length_m: float
    speed_mps: float
    night: bool
    cargo: Cargo
    paint: Colour
    trailer_plate: Plate | None = None
    tag: str | None = None
    rain: bool = False
    declared: Declared = Declared()
    stop_s: float | None = None
    reverse: Reverse | None = None
    turns_back_m: float | None = None

    @property
    def id(self) -> str:
        return f"{self.lane}-{self.index:04d}"

    @property
    def container_code(self) -> str:
        """The first container's code."""
        return self.containers[0].code

    @property
    def size_type(self) -> str:
        """The first container's size type."""
        return self.containers[0].size_type

    @property
    def container_paint(self) -> Colour:
        return self.containers[0].paint

    @property
    def seals(self) -> tuple[Seal, ...]:
        return tuple(c.seal for c in self.containers if c.seal is not None)

    @property
    def seal(self) -> str | None:
        """The number of the first seal."""
        return self.seals[0].number if self.seals else None

    @property
    def seal_opened(self) -> bool:
        """Whether a seal's bolt was cut."""
        return any(seal.opened for seal in self.seals)

    @property
    def container_from_m(self) -> float:
        """How far behind the truck's front the first container begins."""
        return TRACTOR_M

    @property
    def container_m(self) -> float:
        """From the first container's front to the last one's rear."""
        return load_m(self.containers)

    @property
    def placed(self) -> list[tuple[Container, float]]:
        """Each container, and how far behind the truck's front it begins."""
        places, behind = [], TRACTOR_M
        for container in self.containers:
            places.append((container, behind))
            behind += container.length_m + _BETWEEN_M
        return places


TRACTOR_M = 4.4
_TAIL_M = 1.2
# Two containers of 20 feet take the place of one of 40 (ISO 668): 76 mm lie between them.
_BETWEEN_M = 0.076
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


def draw_code(random: Random) -> str:
    """A container code of an owner that there is."""
    code = container_code(random.choice(_OWNERS), random.randrange(1_000_000))
    # ISO 6346, annex A.3: serial numbers whose remainder is 10 give check digit 0 and are best not used.
    while code.endswith("0"):
        code = container_code(code[:4], random.randrange(1_000_000))
    return code


def draw_seal(random: Random) -> Seal:
    """A seal's number: its maker's letters, seven digits."""
    return Seal(f"{random.choice(_SEAL_MAKERS)}{random.randrange(10_000_000):07d}")


def draw_truck(seed: int, lane: str, index: int, regions: list[str], speeds: tuple[float, float]) -> Truck:
    """Truck number `index` of a lane. Each truck has a generator of its own, so one stated in the scenario does not
    change those after it."""
    random = Random(f"truck/{seed}/{lane}/{index}")
    size_type = random.choices(list(CONTAINER_M), weights=(6, 2, 3, 1))[0]
    code = draw_code(random)
    plate = draw_plate(random, regions)
    seal = draw_seal(random)
    gross_kg = random.randrange(_EMPTY_KG[size_type], _LOADED_KG[size_type], 20)
    speed = round(random.uniform(*speeds), 2)
    night = random.random() < 0.4
    paint = random.choice(_PAINTS)
    container = Container(code, size_type, seal, random.choice(_CONTAINER_PAINTS))
    return Truck(
        index=index,
        lane=lane,
        plate=plate,
        containers=(container,),
        gross_kg=gross_kg,
        length_m=length_of((container,)),
        speed_mps=speed,
        night=night,
        cargo=Cargo(),
        paint=paint,
        trailer_plate=draw_trailer_plate(random, plate.region),
        tag=f"ANAM{random.randrange(10**8):08d}",
    )


def draw_container(random: Random) -> Container:
    """A container of 20 feet."""
    return Container(draw_code(random), "22G1", draw_seal(random), random.choice(_CONTAINER_PAINTS))


def with_second(truck: Truck, second: Container) -> Truck:
    """The truck with two containers of 20 feet, the first one's code and seal as they were."""
    return with_containers(truck, (replace(truck.containers[0], size_type="22G1"), second))


def with_containers(truck: Truck, containers: tuple[Container, ...]) -> Truck:
    """The truck with another load, as long as that needs."""
    return replace(truck, containers=containers, length_m=length_of(containers))


def load_m(containers: tuple[Container, ...]) -> float:
    """From the first container's front to the last one's rear."""
    return sum(c.length_m for c in containers) + _BETWEEN_M * (len(containers) - 1)


def length_of(containers: tuple[Container, ...]) -> float:
    """Metres from the tractor's front to the chassis' end."""
    return round(TRACTOR_M + load_m(containers) + _TAIL_M, 2)
